"""`python -m engine.evaluation.people portrait anna -o anna.png`, or `truth anna -o DIR`."""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from engine.evaluation.people.cast import CAST
from engine.evaluation.people.finish import finished
from engine.evaluation.people.puppet import Puppet
from engine.evaluation.people.stage import Quality, set_quality, shoot
from engine.evaluation.people.truth import PICTURES, coefficients_of, window_of, write_index
from engine.evaluation.people.window import WHOLE, Window, pasted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m engine.evaluation.people", description=__doc__)
    parser.add_argument("what", choices=("portrait", "truth"))
    parser.add_argument("person", choices=CAST)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a picture; of truth a folder")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=24, help="light paths a pixel, before the denoiser")
    parser.add_argument("--only", default="", help="of truth: names, between commas")
    options = parser.parse_args()
    quality = Quality(options.size, options.samples)
    if options.what == "portrait":
        portrait(options.person, options.output, quality)
    else:
        pictures = ["neutral", *options.only.split(",")] if options.only else list(PICTURES)
        truth(options.person, options.output, quality, pictures)


def portrait(name: str, output: Path, quality: Quality) -> None:
    person = CAST[name]
    Puppet(person)
    set_quality(quality, person.seed)
    finished(rendered(), person.seed).save(output, quality=90, subsampling=0)


def truth(name: str, folder: Path, quality: Quality, pictures: list[str]) -> None:
    """NAME.png each of the person without a resting expression, the neutral one first, and expressions.json."""
    person = replace(CAST[name], resting={})
    puppet = Puppet(person)
    set_quality(quality, person.seed)
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        puppet.pose(coefficients_of(picture))
        window = window_of(picture)
        made = rendered(window)
        if picture == "neutral":
            neutral = made
        elif window != WHOLE:
            made = pasted(neutral, made, window)
        made.save(folder / f"{picture}.png")
        write_index(folder)


def rendered(window: Window = WHOLE) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "render.png"
        shoot(path, window)
        with Image.open(path) as image:
            return image.convert("RGB")


if __name__ == "__main__":
    main()
