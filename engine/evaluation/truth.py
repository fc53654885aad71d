"""Rendered people whose every coefficient is known: the avatar of the neutral picture against the true expression.

A person is a folder: `expressions.json` names pictures beside it and what they show,
`{"smile": {"units": "mouthSmileLeft=.7,mouthSmileRight=.7"}}`; `neutral` is the portrait. What an artist's mesh does at
a coefficient is not what everybody's face does, so these figures tell of the renderer more than of the likeness.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.evaluation.landmarker import Landmarker
from engine.evaluation.likeness import REGIONS, lip_shape_error, psnr, region_error, ssim
from engine.evaluation.tables import markdown
from engine.face.coefficients import FACE, INDEX
from engine.portrait import Portrait, prepare
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import Rgb, find_faces
from engine.portrait.photo import load_photo
from engine.renderer import CpuRenderer
from engine.tracks import add_source, rest
from engine.units import FRAME_SIZE

Floats = npt.NDArray[np.float32]

NEUTRAL, MEAN = "neutral", "mean of the expressions"
SIZE = (FRAME_SIZE, FRAME_SIZE)
ACROSS = 6  # columns of a sheet
WORST = 60  # of 255: an error that is drawn white


@dataclass(frozen=True, eq=False)
class Person:
    """A neutral picture and others of the same head from the same camera."""

    folder: Path
    shown: str = NEUTRAL
    """Which of them becomes the portrait."""

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def expressions(self) -> dict[str, Floats]:
        """Name -> coefficients [69], of those that have a picture."""
        told = json.loads((self.folder / "expressions.json").read_text())
        return {name: coefficients(one["units"]) for name, one in told.items() if self._pictures(name)}

    @cached_property
    def portrait(self) -> Portrait:
        return prepare(self._pictures(self.shown)[0].read_bytes())

    @cached_property
    def true(self) -> dict[str, Rgb]:
        """Name -> [512, 512, 3] in the portrait's frame, enlarged as portraits are."""
        face = find_faces(load_photo(self._pictures(self.shown)[0].read_bytes()))[0]
        pictures = {name: load_photo(self._pictures(name)[0].read_bytes()) for name in self.expressions}
        framed = {name: make_frame(picture, face).picture for name, picture in pictures.items()}
        return {name: cv2.resize(one, SIZE, interpolation=cv2.INTER_AREA) for name, one in framed.items()}

    def _pictures(self, name: str) -> list[Path]:
        return [path for path in sorted(self.folder.glob(f"{name}.*")) if path.suffix != ".json"]


def people(folder: Path) -> list[Person]:
    """Those whose folders lie in a folder."""
    return [Person(path.parent) for path in sorted(folder.glob("*/expressions.json"))]


def coefficients(text: str) -> Floats:
    """[69] of "jawOpen=.5,headYaw=10"."""
    values = rest()
    for part in filter(None, text.split(",")):
        name, level = part.split("=")
        values[INDEX[name]] = float(level)
    return values


@dataclass(frozen=True, eq=False)
class Compared:
    """One expression as drawn, against the true picture."""

    person: str
    expression: str
    way: str
    psnr: float
    ssim: float
    lip_shape: float
    regions: Floats
    """[regions]"""
    true: Rgb
    drawn: Rgb


def compare(person: Person, renderer: CpuRenderer, landmarker: Landmarker) -> Iterator[Compared]:
    """Every expression by every way."""
    source = person.portrait.source
    still = person.true[NEUTRAL]
    for name, values in person.expressions.items():
        true = person.true[name]
        points = landmarker.see(true).points
        added = add_source(values, source)
        added[: len(FACE)] = np.clip(added[: len(FACE)], 0, 1)
        drawn = {
            "avatar": renderer.render(person.portrait, values),
            "on the photo's own": renderer.render(person.portrait, added),
            "neutral picture": still,
        }
        where = face(points, landmarker.see(still).points)
        for way, picture in drawn.items():
            seen = landmarker.see(picture).points
            yield Compared(
                person=person.name,
                expression=name,
                way=way,
                psnr=psnr(picture, true, where),
                ssim=ssim(picture, true, where),
                lip_shape=float(lip_shape_error(seen, points)),
                regions=np.array([region_error(seen, points, region) for region in REGIONS], np.float32),
                true=true,
                drawn=picture,
            )


def face(*found: Floats) -> npt.NDArray[np.bool_]:
    """[512, 512] the hull of some faces' landmarks."""
    mask = np.zeros((FRAME_SIZE, FRAME_SIZE), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.concatenate(found).round().astype(np.int32)), 1)
    return mask > 0


def table(found: Sequence[Compared]) -> str:
    """Means over people, a row for each expression."""
    ways, names = (list(dict.fromkeys(getattr(one, of) for one in found)) for of in ("way", "expression"))
    lines = []
    for name in (*names, MEAN):
        cells = [name]
        for way in ways:
            some = [one for one in found if one.way == way and _counts(one, name)]
            cells += [f"{np.mean([one.psnr for one in some]):.1f}", f"{np.mean([one.ssim for one in some]):.3f}"]
        lines.append(cells)
    return markdown(["expression", *(f"{figure}, {way}" for way in ways for figure in ("PSNR", "SSIM"))], lines)


def _counts(one: Compared, name: str) -> bool:
    return one.expression == name or (name == MEAN and one.expression != NEUTRAL)


def region_table(found: Sequence[Compared]) -> str:
    ways = list(dict.fromkeys(one.way for one in found))
    lines = []
    for way in ways:
        some = [one for one in found if one.way == way]
        lines.append([way, f"{np.mean([one.lip_shape for one in some]):.4f}"])
        lines[-1] += [f"{v:.4f}" for v in np.mean([one.regions for one in some], axis=0)]
    return markdown(["landmark errors", "lip shape", *REGIONS], lines)


def sheet(found: Sequence[Compared], person: str) -> Rgb:
    """Of one person for each expression, below each other: true, drawn, their difference (white: WORST and more)."""
    columns = []
    for one in found:
        if one.person == person and one.way == "avatar":
            error = np.abs(one.drawn.astype(np.float32) - one.true).mean(-1) / WORST * 255
            heat = cv2.applyColorMap(np.clip(error, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
            column = np.concatenate([part[70:470, 90:422] for part in (one.true, one.drawn, heat)]).copy()
            cv2.putText(column, one.expression, (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2, cv2.LINE_AA)
            columns.append(cv2.resize(column, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))
    columns += [np.zeros_like(columns[0])] * (-len(columns) % ACROSS)
    return np.concatenate([np.concatenate(columns[i : i + ACROSS], 1) for i in range(0, len(columns), ACROSS)])
