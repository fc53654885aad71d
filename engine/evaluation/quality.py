"""`python -m engine.evaluation.quality -o DIR`: how true the pictures are, by every part of the bench.

clips: real faces repeated from one of their frames; truth: rendered heads whose coefficients are known.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.evaluation import feelings, integrity, repeating, truth
from engine.evaluation.clips import DRAWN, Clip, Film, films
from engine.evaluation.feelings import Classifier
from engine.evaluation.gallery import gallery
from engine.evaluation.kept import Arrays, Kept
from engine.evaluation.landmarker import Landmarker
from engine.evaluation.reenact import FRAMED, Avatar, ClosedForm, DelaunayWarp, Static, Way, small
from engine.evaluation.repeating import SHOWN, Judges, Repeated, Watched, repeat
from engine.evaluation.tables import markdown
from engine.face import LES_TO_FACE
from engine.face.coefficients import FACE
from engine.les import EMOTIONS, Les
from engine.portrait import Portrait, default_names
from engine.renderer import CpuRenderer
from engine.tracks import rest
from engine.units import MIN_SIZE

Rgb = npt.NDArray[np.uint8]

WHOLE = ("portrait", "least determinant", "most", "hole, pixels", "spill, pixels", "seam, units",
         "eyes seen at blink 1", "still", "faces with a fault", "such as")  # fmt: skip
MOST_NAMED = 4
SHEET_CLIPS = 2
PEOPLE = Path("tests/data/people")
CACHE = Path(tempfile.gettempdir()) / "les-avatar-quality"
JUDGING = tuple(
    f"evaluation/{name}.py" for name in ("clips", "identity", "landmarker", "likeness", "readings", "repeating")
)
"""What figures depend on beside the pictures."""


@dataclass(frozen=True)
class Bench:
    """Where results are kept and go."""

    kept: Kept
    output: Path
    people: Path
    """Folders of rendered people, for `truth`."""

    def clips(self) -> str:
        """Table and error maps of the real clips."""
        clips = [clip for film in films(self.kept.folder, self.kept) for clip in film.clips()]
        with Judges() as judges:
            found = {way.name: [self._repeated(way, clip, judges) for clip in clips] for way in _ways()}
            seen = {"as filmed": [self._true(clip, judges).points for clip in clips]}
            seen["a smooth sweep"] = [self._swept(film, judges) for film in dict.fromkeys(clip.film for clip in clips)]
        ours = next(iter(found.values()))
        drawn = [i for i, clip in enumerate(clips) if clip.film.name in DRAWN]
        some = {way: [figures[i] for i in drawn] for way, figures in found.items()}
        write(self.output / "clips_errors.jpg", error_sheet([clips[i] for i in drawn], some))
        write(self.output / "clips.jpg", clip_sheet([clips[i] for i in drawn[:SHEET_CLIPS]], some))
        names = [clip.name for clip in clips]
        tables = repeating.table(found), repeating.clip_table(names, ours), repeating.unrest_table(seen)
        return "\n\n".join(tables)

    def _repeated(self, way: Way, clip: Clip, judges: Judges) -> Repeated:
        def made() -> Arrays:
            return repeat(way, clip, judges, self._true(clip, judges)).arrays()

        return Repeated.of(self.kept.of(f"{way.name}: {clip.name}", (*JUDGING, *way.depends), made))

    def _true(self, clip: Clip, judges: Judges) -> Watched:
        return Watched(**self.kept.of(f"true: {clip.name}", (*JUDGING, *FRAMED), lambda: vars(judges.watch(clip.true))))

    def _swept(self, film: Film, judges: Judges) -> npt.NDArray[np.floating]:
        """[T, 478, 2] landmarks of a film's portrait while its coefficients change perfectly smoothly."""

        def made() -> Arrays:
            renderer = CpuRenderer()
            return {
                "points": judges.watch([small(renderer.render(film.portrait, c)) for c in integrity.sweep()]).points
            }

        parts = (*JUDGING, *Avatar.depends, "evaluation/integrity.py")
        return self.kept.of(f"swept: {film.name}", parts, made)["points"]

    def truth(self) -> str:
        """Tables, and a sheet for each person."""
        landmarker, renderer = Landmarker(), CpuRenderer()
        someone = truth.people(self.people)
        found = [one for person in someone for one in truth.compare(person, renderer, landmarker)]
        landmarker.close()
        for person in someone:
            write(self.output / f"truth_{person.name}.jpg", truth.sheet(found, person.name))
        return f"{truth.table(found)}\n\n{truth.region_table(found)}"

    def wholeness(self) -> str:
        """A row for each of ten portraits."""
        lines: list[list[str]] = []
        for shown in gallery(self.kept.folder):
            parts = ("portrait", "renderer", "face", "evaluation/integrity.py", "evaluation/gallery.py")
            found = self.kept.of(f"whole: {shown.name}", parts, partial(_inspected, shown.portrait))
            lines.append([shown.name, *map(str, found["row"])])
        return markdown(WHOLE, lines)

    def feelings(self) -> str:
        """What a stranger sees in ten portraits, and the sheet that he sees."""
        renderer, landmarker, classifier = CpuRenderer(), Landmarker(), Classifier()
        seen: dict[str, list[npt.NDArray[np.floating]]] = {"neutral": [], **{emotion: [] for emotion in EMOTIONS}}
        rows = []
        for shown in gallery(self.kept.folder):
            pictures = [renderer.render(shown.portrait, _feeling(emotion)) for emotion in seen]
            for emotion, picture in zip(seen, pictures, strict=True):
                seen[emotion].append(classifier.see(picture, landmarker.see(picture).points))
            rows.append(np.concatenate([small(picture) for picture in pictures], 1))
        landmarker.close()
        write(self.output / "feelings.jpg", np.concatenate(rows[: len(default_names())]))
        return feelings.table(seen)


def _inspected(portrait: Portrait) -> Arrays:
    """One row of WHOLE, as text."""
    renderer, inspector = CpuRenderer(), integrity.Inspector(portrait, CpuRenderer(MIN_SIZE))
    found = {name: inspector.look(values) for name, values in integrity.everything(integrity.MIXTURES)}
    faulty = {name: ", ".join(one.faults) for name, one in found.items() if one.faults}
    row = [
        f"{min(one.least for one in found.values()):.3f}",
        f"{max(one.most for one in found.values()):.1f}",
        str(max(one.hole for one in found.values())),
        str(max(one.spill for one in found.values())),
        f"{max(one.seam for one in found.values()):.2f}",
        f"{integrity.lids(portrait, renderer):.1%}",
        "yes" if integrity.still(portrait, renderer, list(integrity.everything(1))[-1][1]) else "no",
        f"{len(faulty)} of {len(found)}",
        "; ".join(f"{name}: {fault}" for name, fault in list(faulty.items())[:MOST_NAMED]),
    ]
    return {"row": np.array(row)}


def _feeling(emotion: str) -> npt.NDArray[np.float32]:
    """[69] at level 1, through the table of units alone."""
    values = rest()
    if emotion in EMOTIONS:
        values[: len(FACE)] = np.clip(Les.of(emotion={emotion: 1}).array() @ LES_TO_FACE, 0, 1)
    return values


def _ways() -> Iterator[Way]:
    yield Avatar()
    yield Static()
    yield DelaunayWarp()
    yield ClosedForm()


def clip_sheet(clips: Sequence[Clip], found: Mapping[str, Sequence[Repeated]]) -> Rgb:
    """Of each clip some frames: as filmed, below by every way."""
    rows = []
    for i, clip in enumerate(clips):
        rows += [np.concatenate(clip.true[SHOWN], 1), *(np.concatenate(ways[i].shown, 1) for ways in found.values())]
    return np.concatenate(rows)


def error_sheet(clips: Sequence[Clip], found: Mapping[str, Sequence[Repeated]]) -> Rgb:
    """A row for each clip: the portrait, then where each way errs, black to white: 0 to 60 of 255."""
    rows = []
    for i, clip in enumerate(clips):
        maps = [cv2.applyColorMap(np.clip(ways[i].error / 60 * 255, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
                for ways in found.values()]  # fmt: skip
        rows.append(np.concatenate([small(clip.film.frame.picture), *(m[..., ::-1] for m in maps)], 1))
    return np.concatenate(rows)


def write(path: Path, picture: Rgb) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture[..., ::-1])


PARTS: dict[str, tuple[str, Callable[[Bench], str]]] = {
    "feelings": ("Emotions, as a classifier sees them", Bench.feelings),
    "wholeness": ("Every coefficient and 200 mixtures on ten portraits", Bench.wholeness),
    "truth": ("Rendered faces of known coefficients", Bench.truth),
    "clips": ("Real faces, repeated", Bench.clips),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how true the avatar's pictures are.")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all of them unless named")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where films and results are kept")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/quality"))
    parser.add_argument("--people", type=Path, default=PEOPLE, help="folder of rendered people, see `truth`")
    options = parser.parse_args()
    bench = Bench(Kept(options.cache), options.output, options.people)
    for name in options.parts or PARTS:
        title, part = PARTS[name]
        text = f"## {title}\n\n{part(bench)}\n"
        print(text, flush=True)
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
