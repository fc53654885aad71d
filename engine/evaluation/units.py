"""What each axis of the Linear Emotion Space should do, said twice: where on the face model, and what one would see.

Regions follow the muscles that the Facial Action Coding System names; they are written down without looking at the
table that drives the model. Readings are lengths between MediaPipe's landmarks, all made so that they rise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.evaluation.readings import aperture, between, height, width
from engine.face.coefficients import FACE
from engine.les import AXES

Floats = npt.NDArray[np.floating]

REGIONS: Mapping[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "lids": ("eyeWide", "eyeSquint", "eyeBlink"),
    "cheeks": ("cheek",),
    "nose": ("noseSneer", "nostril"),
    "fold": ("nasolabial",),
    "upper lip": ("mouthUpperUp", "mouthShrugUpper", "mouthRollUpper"),
    "lower lip": ("mouthLowerDown", "mouthShrugLower", "mouthRollLower", "lipBite"),
    "corners": ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "sharpLipPuller"),
    "ring": ("mouthPucker", "mouthFunnel", "mouthPress", "lipTightener"),
    "jaw": ("jaw", "mouthClose"),
    "tongue": ("tongue",),
}
"""Parts of the face model, each by how its coefficients' names begin."""

ACTS_ON: Mapping[str, tuple[str, ...]] = {
    "1": ("brows",), "2": ("brows",), "4": ("brows",), "5": ("lids",), "6": ("cheeks", "lids"), "7": ("lids",),
    "9": ("nose", "brows", "upper lip"), "10": ("upper lip",), "11": ("fold",), "12": ("corners",),
    "13": ("corners",), "14": ("corners",), "15": ("corners",), "16": ("lower lip",), "17": ("lower lip", "upper lip"),
    "18": ("ring",), "19": ("tongue", "jaw"), "20": ("corners",), "22": ("ring",), "23": ("ring",),
    "24": ("ring", "upper lip", "lower lip"), "25": ("upper lip", "lower lip", "jaw"), "26": ("jaw",), "27": ("jaw",),
    "32": ("lower lip",), "38": ("nose",), "39": ("nose",),
}  # fmt: skip
"""Unit -> the parts its muscle moves: 9 draws the brow down and the lip up (levator labii alaeque nasi), 19 needs an
open jaw, 24 presses both lips."""


def number(axis: str) -> tuple[str, str]:
    """ "AUL12" -> ("12", "L"); the side is empty where both move."""
    name = axis.removeprefix("AU")
    return name.lstrip("LR"), name[0] if name[0] in "LR" else ""


def region(axis: str) -> npt.NDArray[np.bool_]:
    """[63] True where an axis may move the face: its parts, and of a one-sided axis its own side."""
    unit, side = number(axis)
    starts = tuple(start for part in ACTS_ON[unit] for start in REGIONS[part])
    other = {"L": "Right", "R": "Left", "": "no side"}[side]
    return np.array([name.startswith(starts) and not name.endswith(other) for name in FACE])


Landmarks = tuple[int, ...]


@dataclass(frozen=True)
class Sight:
    """A reading [T] of landmarks [T, 478, 2] that rises with an axis."""

    words: str
    of: Callable[[Floats], Floats]


BROW_INNER: Sequence[Landmarks] = ((55, 107), (285, 336))
BROW_OUTER: Sequence[Landmarks] = ((46, 70), (276, 300))
EYE_CORNERS: Sequence[Landmarks] = ((33, 133), (263, 362))
LIDS_UPPER: Sequence[Landmarks] = ((158, 159, 160), (385, 386, 387))
LIDS_LOWER: Sequence[Landmarks] = ((144, 145, 153), (373, 374, 380))
WINGS: Sequence[Landmarks] = ((48, 64, 98, 129), (278, 294, 327, 358))
FOLD: Sequence[Landmarks] = ((203, 206), (423, 426))
LIP_SIDE: Sequence[Landmarks] = ((37, 39, 40), (267, 269, 270))
CORNER: Sequence[Landmarks] = ((61,), (291,))
NOSE, CHIN, LOWER_EDGE = (2,), (148, 152, 377), (17, 84, 314)

Side = Callable[[int], Callable[[Floats], Floats]]
"""A reading on the person's right (0) or left (1)."""


def _both(of: Side) -> Callable[[Floats], Floats]:
    return lambda p: np.asarray((of(0)(p) + of(1)(p)) / 2)


def _over(of: Sequence[Landmarks], base: Sequence[Landmarks]) -> Side:
    """How high some landmarks stand over others."""
    return lambda side: lambda p: height(p, of[side], base[side])


def _down(of: Sequence[Landmarks], base: Sequence[Landmarks]) -> Side:
    return lambda side: lambda p: -height(p, of[side], base[side])


def _thickness(p: Floats) -> Floats:
    return between(p, 0, 13) + between(p, 14, 17)


ONE_SIDED: Mapping[str, tuple[str, Side]] = {
    "1": ("inner brow up from the eye", _over(BROW_INNER, EYE_CORNERS)),
    "2": ("outer brow up from the eye", _over(BROW_OUTER, EYE_CORNERS)),
    "4": ("inner brow down to the eye", _down(BROW_INNER, EYE_CORNERS)),
    "6": ("eye narrower, from below", _down(LIDS_UPPER, LIDS_LOWER)),
    "10": ("side of the upper lip up to the nose", _over(LIP_SIDE, (NOSE, NOSE))),
    "12": ("corner of the mouth up to the nose", _over(CORNER, (NOSE, NOSE))),
    "14": ("corner of the mouth out from the middle", lambda side: lambda p: between(p, CORNER[side][0], NOSE[0])),
}
"""Unit -> what one sees, on either side. 6 rounds the cheek too, but skin without marks tells a landmark nothing."""

BOTH_SIDED: Mapping[str, tuple[str, Callable[[Floats], Floats]]] = {
    "5": ("eyes wider", _both(_over(LIDS_UPPER, LIDS_LOWER))),
    "7": ("eyes narrower", _both(_down(LIDS_UPPER, LIDS_LOWER))),
    "9": ("wings of the nose up to the eyes", _both(_over(WINGS, EYE_CORNERS))),
    "11": ("folds beside the nose up to it", _both(_over(FOLD, (NOSE, NOSE)))),
    "13": ("corners of the mouth up to the nose", _both(_over(CORNER, (NOSE, NOSE)))),
    "15": ("corners of the mouth down", _both(_down(CORNER, (NOSE, NOSE)))),
    "16": ("lower lip down", lambda p: -height(p, LOWER_EDGE, NOSE)),
    "17": ("lower lip up", lambda p: height(p, LOWER_EDGE, NOSE)),
    "18": ("mouth narrower", lambda p: -width(p)),
    "19": ("mouth open for the tongue", aperture),
    "20": ("mouth wider", width),
    "22": ("lips higher, from edge to edge", lambda p: between(p, 0, 17)),
    "23": ("red of the lips thinner", lambda p: -_thickness(p)),
    "24": ("red of the lips thinner", lambda p: -_thickness(p)),
    "25": ("mouth open", aperture),
    "26": ("chin down", lambda p: -height(p, CHIN, NOSE)),
    "27": ("chin down", lambda p: -height(p, CHIN, NOSE)),
    "32": ("red of the lower lip thinner", lambda p: -between(p, 14, 17)),
    "38": ("wings of the nose apart", lambda p: between(p, 64, 294)),
    "39": ("wings of the nose together", lambda p: -between(p, 64, 294)),
}


def sight(axis: str) -> Sight:
    """What one sees of an axis."""
    unit, side = number(axis)
    if unit in BOTH_SIDED:
        return Sight(*BOTH_SIDED[unit])
    words, of = ONE_SIDED[unit]
    return Sight(words, of("RL".index(side)) if side else _both(of))


SIGHTS: Mapping[str, Sight] = {axis: sight(axis) for axis in AXES}
