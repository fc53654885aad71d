"""Ways to repeat a clip from one of its film's frames: the avatar, and what it is compared with."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import LinearNDInterpolator

from engine.capture.film import follow
from engine.capture.smoothing import smooth
from engine.evaluation.clips import MEASURED, Clip
from engine.evaluation.kept import Arrays
from engine.evaluation.study import Study
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE
from engine.renderer import CpuRenderer

Floats = npt.NDArray[np.float32]


FRAMED = ("capture/film.py", "portrait/landmarks.py", "portrait/frame.py")
TRACKING = ("capture", "face", *(f"portrait/{name}.py" for name in ("landmarks", "frame", "fit", "solve")))
"""What frames and tracks depend on, of the engine."""


class Way(Protocol):
    """Draws a clip's frames, [MEASURED, MEASURED, 3] each."""

    @property
    def name(self) -> str: ...

    @property
    def depends(self) -> Sequence[str]:
        """On which parts of the engine its pictures depend."""
        ...

    def draw(self, clip: Clip) -> Iterator[Rgb]: ...


def track(clip: Clip) -> Floats:
    """[T, 69] coefficients of a clip, followed from its film's portrait."""
    film = clip.film

    def made() -> Arrays:
        return {"track": smooth(follow(film.frame, film.reference, clip.faces, film.geometry))}

    return film.kept.of(f"track: {clip.name}", TRACKING, made)["track"]


class Avatar:
    """The renderer, from nothing but coefficients."""

    name = "avatar"
    depends = ("capture", "face", "portrait", "renderer")

    def __init__(self) -> None:
        self._renderer = CpuRenderer(SIDE)

    def draw(self, clip: Clip) -> Iterator[Rgb]:
        for coefficients in track(clip):
            yield small(self._renderer.render(clip.film.portrait, coefficients))


class Static:
    """The portrait, which never moves."""

    name = "static picture"
    depends = FRAMED

    def draw(self, clip: Clip) -> Iterator[Rgb]:
        still = small(clip.film.frame.picture)
        for _ in clip.pictures:
            yield still


class DelaunayWarp:
    """The portrait's landmarks carried onto every frame's true ones, triangle by triangle: it is told the answer."""

    name = "Delaunay warp, told the landmarks"
    depends = FRAMED
    STEP = 2  # pixels between the points at which the warp is asked

    def draw(self, clip: Clip) -> Iterator[Rgb]:
        still, edge = small(clip.film.frame.picture), _rim()
        home = np.concatenate([clip.film.frame.landmarks[:, :2] * (MEASURED / SIDE), edge])
        x = np.arange(0, MEASURED + 1, self.STEP) + 0.5
        asked = np.stack(np.meshgrid(x, x), -1)
        for landmarks in clip.landmarks():
            there = np.concatenate([landmarks[:, :2] * (MEASURED / SIDE), edge])
            yield warp(still, LinearNDInterpolator(there, home)(asked).astype(np.float32), self.STEP)


class ClosedForm:
    """The two-layer study that the renderer grew from, driven by the avatar's coefficients."""

    name = "closed-form study"
    depends = (*TRACKING, "evaluation/study.py")

    def draw(self, clip: Clip) -> Iterator[Rgb]:
        study = Study(clip.film.frame, clip.film.geometry)
        for coefficients in track(clip):
            yield small(study.render(coefficients))


def small(picture: Rgb) -> Rgb:
    """[MEASURED, MEASURED, 3] of any square picture."""
    return np.asarray(cv2.resize(picture, (MEASURED, MEASURED), interpolation=cv2.INTER_AREA), np.uint8)


def warp(picture: Rgb, places: Floats, step: int) -> Rgb:
    """A picture drawn from `places` [n, n, 2], one every `step` pixels from the first; nan is where nothing moves."""
    size = (picture.shape[1], picture.shape[0])
    grid = (np.mgrid[0 : places.shape[0], 0 : places.shape[1]][::-1] * step + 0.5).transpose(1, 2, 0)
    known = np.where(np.isnan(places), grid, places).astype(np.float32)
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) / step for n in size))
    at = cv2.remap(known, x, y, cv2.INTER_LINEAR) - 0.5
    return np.asarray(cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _rim() -> Floats:
    """[n, 2] points along the picture's edge, which stay."""
    along = np.linspace(-1, MEASURED + 1, 9)
    return np.array([(a, b) for a in along for b in along if not {a, b}.isdisjoint({along[0], along[-1]})], np.float32)
