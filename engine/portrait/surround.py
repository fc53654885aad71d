"""What lies beyond the photo's edges: hair is rounded off, shoulders go on, and the background elsewhere.

Colours are continued by ever coarser means, so that there are no streaks. Whoever shows no clothes gets plain ones.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.portrait.behind import mirrored
from engine.portrait.fit import Geometry
from engine.portrait.frame import EYES_AT, Frame, fill
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE, TEXELS
from engine.portrait.segment import people

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]
Where = npt.NDArray[np.bool_]

_EARS, _CHIN = (234, 454), 152  # landmarks
_HAIR = 0.08  # face widths from the skull to the hair's outline
_SEAM = 6  # texels over which the photo's edge fades into what is made up
_SOFT = 3.0  # texels: the blur of an outline that is made up
_EDGE = 6  # texels from the photo's edge to what it shows for sure
_CLEAR = 12  # texels about the person and the face that may show either
_SAME = 22.0  # of L*a*b*, 8 bits a channel: colours so near are one material
_OTHER = 44.0  # the same: colours so far apart are two
_HUE = 13.0  # of a* and b*: the same of skin, in whatever shade
_ROUND = 32  # texels behind the photo's edge over which an outline tells how it bends
_SLOPE = 0.25, 1.2  # of shoulders that the photo's side cuts off
_WIDENS = 2.0  # columns a row, at most, by which the trunk grows below the photo
_WHOLE = 0.3  # of the face's width: half a neck that no collar closes
_COLLAR = 0.15, 0.2  # face widths below the chin: where a made-up neckline begins at the neck's sides; its depth
_CLOTH = (52.0, 55.0, 62.0)  # made-up clothes, in the light of a face of
_FACE_LEVEL = 150.0
_STRAND = 61  # texels: hair that falls is as broad
_FALLS = 100.0  # texels below the photo over which hair that falls beyond it ends
_SIZE = SIDE * TEXELS
_PATTERN = 24.0, 160.0  # texels: how coarse a background's pattern may be, and how far it goes on
_FEW = 2000  # texels that are too few to continue anything from


@dataclass(frozen=True)
class Outline:
    """Where the fitted head says that the person is; polygons [n, 2] in units."""

    face: Floats
    hair: Floats
    trunk: Floats


def outline(geometry: Geometry, head: Head) -> Outline:
    """Face, head with hair, and neck and shoulders down to the frame's lower edge."""
    face = geometry.landmarks[:468, :2]
    width, chin = face_width(geometry), float(geometry.landmarks[_CHIN, 1])
    skin = geometry.vertices[np.unique(head.triangles[head.part == Part.SKIN])][:, :2]
    skull, body = skin[skin[:, 1] < chin], skin[skin[:, 1] >= chin]
    left, right = np.percentile(body[:, 0], [5, 95])
    return Outline(
        face,
        np.concatenate([skull, skull - [0, _HAIR * width]]).astype(np.float32),
        np.concatenate([body, [[left, SIDE], [right, SIDE]]]).astype(np.float32),
    )


def face_width(geometry: Geometry) -> float:
    """From ear to ear, units."""
    right, left = geometry.landmarks[list(_EARS), :2]
    return float(np.hypot(*(left - right)))


def paint(mask: Mask, polygon: Floats, value: int) -> None:
    """Fills the hull of a polygon in units on a square mask of the frame."""
    hull = cv2.convexHull(np.round(polygon * (len(mask) / SIDE)).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, value)


class _Seen(NamedTuple):
    """What the photo shows of a person; masks [1024, 1024], False beyond the photo."""

    person: Where
    hair: Where
    neck: Where
    clothes: Where
    body: Where
    """What may be shoulders: below the eyes no hair, above the chin no skin either."""


class _Cut(NamedTuple):
    """The photo's edges and the chin, in texels of the frame."""

    left: int
    top: int
    right: int
    bottom: int
    chin: int
    middle: int
    """The chin's column."""


def continued(frame: Frame, geometry: Geometry, head: Head) -> Frame:
    """The frame with what lies beyond the photo made up: background, clothes, neck and hair, back to front."""
    if frame.inside.all():
        return frame
    lines, cut = outline(geometry, head), _cut(frame)
    seen = _seen(frame, lines, cut)
    layers = [
        (_trunk(seen, cut, lines), _cloth(frame, seen)),
        (_neck(seen, cut, TEXELS * face_width(geometry)), _from(frame, seen.neck)),
        (_crown(seen, cut), _from(frame, seen.hair) + mirrored(frame.picture, (~seen.hair).astype(np.uint8))),
    ]
    beyond = _ground(frame, ~_grown(seen.person))
    for share, colours in layers:
        beyond += (colours - beyond) * cv2.GaussianBlur(share, (0, 0), _SOFT)[..., None]
    edge = np.pad(frame.inside, 1, mode="edge").astype(np.uint8)
    kept = np.minimum(cv2.distanceTransform(edge, cv2.DIST_L2, 3)[1:-1, 1:-1, None] / _SEAM, 1)
    mixed: Rgb = np.round(frame.picture * kept + beyond * (1 - kept)).clip(0, 255).astype(np.uint8)
    return replace(frame, picture=mixed)


def _ground(frame: Frame, where: Where) -> Floats:
    """[1024, 1024, 3] the background continued, with its patterns mirrored at the photo's edge."""
    known = frame.inside & where
    detail = mirrored(frame.picture, (~known).astype(np.uint8), *_PATTERN) if known.sum() > _FEW else 0
    return np.asarray(_from(frame, where) + detail, np.float32)


def _from(frame: Frame, where: Where) -> Floats:
    """[1024, 1024, 3] the photo continued from one part of it; from all of it where that part is hardly seen."""
    known = frame.inside & where
    return fill(frame.picture, known if known.sum() > _FEW else frame.inside)


def _grown(mask: Where) -> Where:
    side = 2 * _CLEAR + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def _cut(frame: Frame) -> _Cut:
    rows, cols = (np.flatnonzero(frame.inside.any(axis)) for axis in (1, 0))
    x, y, _ = frame.landmarks[_CHIN] * TEXELS
    middle, chin = int(np.clip(x, cols[0], cols[-1])), int(np.clip(y, rows[0] + 1, rows[-1]))
    return _Cut(int(cols[0]), int(rows[0]), int(cols[-1]), int(rows[-1]), chin, middle)


def _seen(frame: Frame, lines: Outline, cut: _Cut) -> _Seen:
    """The person as the segmentation network sees it, or as the fitted head says; told apart by colour."""
    shape = frame.inside.shape
    face, model = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    paint(face, lines.face, 1)
    paint(model, lines.hair, 1)
    paint(model, lines.trunk, 1)
    person = cv2.resize(people(frame.picture), shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    if person[face > 0].mean() < 0.5:  # what the network knows for no person, it misses
        person = model > 0
    person &= frame.inside
    lab = cv2.cvtColor(cv2.GaussianBlur(frame.picture, (0, 0), 4), cv2.COLOR_RGB2LAB).astype(np.float32)
    off = np.abs(lab - np.median(lab[face > 0], axis=0))
    bare = (np.hypot(off[..., 1], off[..., 2]) < _HUE) & (lab[..., 0] > 0.3 * np.median(lab[face > 0][:, 0]))
    about = person & ~_grown(face > 0)
    hair = about & ~bare
    hair[cut.chin :] = False
    eyes = round(EYES_AT[1] * TEXELS)
    body = person & ~hair
    body[: cut.chin] = False
    if hair.sum() < _FEW:  # bald
        hair = person.copy()
        hair[eyes:] = False
    else:  # it may fall over the shoulders
        top = hair[:eyes].sum() > _FEW
        like = np.linalg.norm(lab - np.median(lab[:eyes][hair[:eyes]] if top else lab[hair], axis=0), axis=-1)
        raised = hair & (like > _OTHER)  # shoulders above the chin
        raised[:eyes] = False
        body, hair = body | raised, hair & ~raised
        hair[cut.chin :] = (about & (like < np.minimum(np.linalg.norm(off, axis=-1), _SAME)))[cut.chin :]
        hair = _hanging(hair, cut.chin)
        body &= ~hair
    below = about & ~hair
    below[: cut.chin] = False
    hue = np.median(lab[below & ~bare], axis=0) if (below & ~bare).any() else np.zeros(3)
    skin = np.hypot(off[..., 1], off[..., 2]) < np.hypot(lab[..., 1] - hue[1], lab[..., 2] - hue[2])  # in a shadow
    clothes = cv2.erode((below & ~bare & ~skin).astype(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)) > 0
    return _Seen(person, hair, below & bare, clothes, body)


def _hanging(hair: Where, chin: int) -> Where:
    """Below the chin without what is narrow, or hangs on no hair above."""
    whole = hair.astype(np.uint8)
    whole[chin:] = cv2.morphologyEx(whole, cv2.MORPH_OPEN, np.ones((1, _STRAND), np.uint8))[chin:]
    _, parts = cv2.connectedComponents(whole)
    return (whole > 0) & np.isin(parts, np.unique(parts[:chin]))


def _cloth(frame: Frame, seen: _Seen) -> Floats:
    """[1024, 1024, 3]"""
    if seen.clothes.sum() > _FEW:
        return _from(frame, seen.clothes)
    level = float(frame.picture[seen.person].mean()) / _FACE_LEVEL
    grain = fill(np.full_like(frame.picture, 128), frame.inside) - 128
    return np.asarray(np.array(_CLOTH, np.float32) * min(level, 1.5) + grain, np.float32)


def _crown(seen: _Seen, cut: _Cut) -> Floats:
    """[1024, 1024] 0..1: hair above the photo and beside it, rounded off; below it, soon at its end."""
    share = np.zeros((_SIZE, _SIZE), np.float32)
    up = seen.person[: cut.chin]
    share[: cut.chin] = _dome(up, cut.top)
    share[: cut.chin] = np.maximum(share[: cut.chin], _dome(seen.hair[: cut.chin].T, cut.left).T)
    mirror = _dome(seen.hair[: cut.chin, ::-1].T, seen.person.shape[1] - 1 - cut.right).T[:, ::-1]
    share[: cut.chin] = np.maximum(share[: cut.chin], mirror)
    deep = np.arange(len(share), dtype=np.float32)[:, None] - cut.bottom
    falls = seen.hair[cut.bottom - _EDGE] * np.clip(1 - deep / _FALLS, 0, 1)
    return np.where(deep > -2 * _EDGE, falls, share).astype(np.float32)


def _dome(mask: Where, edge: int) -> Floats:
    """[h, w] 1 in the rows before `edge` where a mask, cut off there, would go on as a circle."""
    share = np.zeros(mask.shape, np.float32)
    (near, middle), (far, _) = (_span(mask[row]) for row in (edge + _EDGE, edge + _EDGE + _ROUND))
    if edge and near > _ROUND and mask[edge + _EDGE].sum() > near:
        down = float(np.clip((far**2 - near**2 + _ROUND**2) / (2 * _ROUND), 0, 4 * near))
        y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
        share[:] = ((x - middle) ** 2 + (y - edge - down) ** 2 < near**2 + down**2) & (y < edge + 2 * _EDGE)
    return share


def _span(row: Where) -> tuple[float, float]:
    """Half the width of what a row shows, and its middle; 0, 0 where it is nothing."""
    at = np.flatnonzero(row)
    return ((at[-1] - at[0]) / 2, (at[-1] + at[0]) / 2) if at.size else (0.0, 0.0)


def _trunk(seen: _Seen, cut: _Cut, lines: Outline) -> Floats:
    """[1024, 1024] 0 or 1: shoulders beside the photo go on as they slope, below it as the fitted head's do."""
    share = np.zeros((_SIZE, _SIZE), np.float32)
    paint(mask := np.zeros(share.shape, np.uint8), lines.trunk, 1)
    half, middle = _span(seen.person[cut.bottom - _EDGE])
    for side, way in ((cut.left, -1), (cut.right, 1)):
        y, x = np.ogrid[:_SIZE, :_SIZE]
        out = way * (x - side)
        line = _shoulder(seen.body, side, way)
        if line is not None:
            share[(out > -2 * _EDGE) & (y > line[0] + line[1] * out)] = 1
            share[(y > cut.bottom - 2 * _EDGE) & (way * (x - middle) >= 0) & (out < 0)] = 1
        else:
            away, deep = way * (x - middle), y - cut.bottom + 2 * _EDGE
            share[(deep > 0) & (away >= 0) & (away < half)] = 1
            share[(deep > 0) & (away >= 0) & (away < half + _WIDENS * deep) & (mask > 0)] = 1
    return share


def _shoulder(body: Where, side: int, way: int) -> tuple[int, float] | None:
    """The row in which a shoulder crosses the photo's left or right edge, and its slope; None if it does not."""
    rows = [np.flatnonzero(body[:, side - way * back]) for back in (_EDGE, _EDGE + _ROUND)]
    if not all(found.size for found in rows):
        return None
    first, before = (int(found[0]) for found in rows)
    return first, float(np.clip((first - before) / _ROUND, *_SLOPE))


def _neck(seen: _Seen, cut: _Cut, width: float) -> Floats:
    """[1024, 1024] 0 or 1: the neck below the photo, down to a round neckline."""
    share = np.zeros((_SIZE, _SIZE), np.float32)
    row = seen.neck[cut.bottom - _EDGE]
    ends = np.flatnonzero(~np.pad(row, 1)) - 1  # beside it hair may have the skin's colour
    beyond = np.searchsorted(ends, cut.middle)
    half, middle = _span((np.arange(_SIZE) > ends[beyond - 1]) & (np.arange(_SIZE) < ends[beyond]) & row)
    if half > _WHOLE * width:
        y, x = np.ogrid[:_SIZE, :_SIZE]
        begin, deep = (max(cut.bottom, cut.chin + _COLLAR[0] * width), _COLLAR[1] * width)
        bow = np.sqrt(np.clip(1 - ((x - middle) / half) ** 2, 0, 1))
        share[(np.abs(x - middle) < half) & (y > cut.bottom - 2 * _EDGE) & (y < begin + deep * bow)] = 1
    return share
