"""How a training went, as a picture: `python -m engine.cdan.training.curves RUN/log.jsonl -o curves.svg`."""

import argparse
import json
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 300, 170, 42
COLUMNS = 4
COLOURS = {"trained": "#4878a8", "held": "#c8553d"}


def draw(log: Path, picture: Path) -> None:
    """One panel a term of the loss: blue as trained (running mean), red on speech held out."""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    names = list(entries[-1]["trained"])
    rows = -(-len(names) // COLUMNS)
    panels = [_panel(entries, name, i % COLUMNS * WIDTH, i // COLUMNS * HEIGHT) for i, name in enumerate(names)]
    size = f'width="{COLUMNS * WIDTH}" height="{rows * HEIGHT}"'
    style = "<style>text{font:11px sans-serif;fill:#444}path{fill:none;stroke-width:1.5}</style>"
    picture.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def _panel(entries: list[dict[str, Any]], name: str, x: int, y: int) -> str:
    series = {kind: [(e["step"], e[kind][name]) for e in entries if name in e[kind]] for kind in COLOURS}
    values = [value for points in series.values() for _, value in points]
    top, last = max(values) or 1.0, max(entries[-1]["step"], 1)
    wide, high = WIDTH - MARGIN - 12, HEIGHT - MARGIN - 16

    def at(step: float, value: float) -> str:
        return f"{x + MARGIN + wide * step / last:.1f},{y + 18 + high * (1 - value / top):.1f}"

    lines = "".join(
        f'<path stroke="{COLOURS[kind]}" d="M{" L".join(at(*point) for point in points)}"/>'
        for kind, points in series.items()
        if points
    )
    axes = f'<path stroke="#bbb" d="M{at(0, top)} L{at(0, 0)} L{at(last, 0)}"/>'
    return (
        axes
        + lines
        + _word(x + MARGIN, y + 12, name)
        + _word(x + 4, y + 26, f"{top:.2g}")
        + _word(x + WIDTH - 70, y + HEIGHT - 4, f"{last} steps")
    )


def _word(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}">{text}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the curves of a training.")
    parser.add_argument("log", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="an SVG file")
    options = parser.parse_args()
    draw(options.log, options.out)


if __name__ == "__main__":
    main()
