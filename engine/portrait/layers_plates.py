"""Where the plates lie: pictures that move as rigid wholes, in mouth and eyes, behind the skin."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.face.coefficients import FACE
from engine.portrait import layers_eyes, layers_mouth
from engine.portrait.fit import Fit
from engine.portrait.layers_fields import Places, Slits
from engine.portrait.layers_layout import (
    CAVITY,
    EYE,
    FACE_ORIGIN,
    FRAME,
    LEFT,
    LOWER_TEETH,
    MOUTH,
    RIGHT,
    TONGUE,
    TONGUE_OUT,
    UPPER_TEETH,
    Array,
)
from engine.portrait.layers_layout import FACE as FACE_WINDOW
from engine.portrait.layers_slit import Slit

_MOUTH_PARTS = {
    CAVITY: (Part.UPPER_TEETH, 0.42),
    TONGUE: (Part.TONGUE, 0.35),
    LOWER_TEETH: (Part.LOWER_TEETH, 0.12),
    UPPER_TEETH: (Part.UPPER_TEETH, 0.12),
    TONGUE_OUT: (Part.TONGUE, 0.0),
}
"""What moves each of the mouth's plates, and how far it lies behind the lips (inter-ocular distances)."""
_ROUNDED = {"mouthPucker": 0.09, "mouthFunnel": 0.06}
"""Lips that come forward hide the rows of teeth behind them: how far the rows draw apart (inter-ocular distances)."""

_GLINT = 0.7
"""Of the iris's way. A light's image moves with the middle of the cornea's curvature, 5.6 mm before the eye's centre;
the iris lies 10 mm before it. A little more keeps lights at the rim on the iris."""


class _Plate(NamedTuple):
    """A picture that moves as a rigid whole."""

    box: tuple[float, float, float, float]
    """Its middle and its size, in the photo."""
    depth: float
    moves: Array
    """[63, 3] where each coefficient is 1."""


def find_plates(
    fit: Fit, head: Head, slits: Slits, places: Places, layers: dict[str, npt.NDArray[Any]]
) -> dict[str, Array]:
    """Cavity, tongue, teeth, whites, irises, catch-lights, the tongue put out: the order in which they are drawn."""
    mouth = _mouth_plates(fit, head, slits.mouth, layers)
    whites, irises, glints = zip(
        *(_eye_plates(fit, head, side, slits.eyes[side], places.eyes[side], layers) for side in (LEFT, RIGHT)),
        strict=True,
    )
    plates = [*mouth[:TONGUE_OUT], *whites, *irises, *glints, mouth[TONGUE_OUT]]
    return {
        "sprite_box": np.array([plate.box for plate in plates], np.float32),
        "sprite_depth": np.array([plate.depth for plate in plates], np.float32),
        "sprite_moves": np.stack([plate.moves for plate in plates]).astype(np.float32),
    }


def _mouth_plates(fit: Fit, head: Head, slit: Slit, layers: dict[str, npt.NDArray[Any]]) -> list[_Plate]:
    eyes, depth = float(layers["iod"][0]), _depth(layers, slit)
    upper, lower = _lips(layers, slit)
    plates = []
    for kind, (part, behind) in _MOUTH_PARTS.items():
        moves = lower if kind == TONGUE_OUT else _moves(fit, head, part) + _hidden(kind, eyes)
        x, y, width, height = layers_mouth.box(kind, slit, eyes)
        # It rests below the upper lip as that is at rest; where the photo's mouth is open, it has moved with it.
        # The tongue that is put out has its place in the face at rest.
        own = fit.source @ ((0 if kind == TONGUE_OUT else moves) - upper)
        plates.append(_Plate((x + own[0], y + own[1], width, height), depth - behind * eyes, moves))
    return plates


def _hidden(kind: int, eyes: float) -> Array:
    """[63, 3] how the rows of teeth draw back behind rounded lips; `eyes`: units of an inter-ocular distance."""
    moves = np.zeros((len(FACE), 3), np.float32)
    for name, share in _ROUNDED.items():
        moves[FACE.index(name), 1] = eyes * share * {UPPER_TEETH: -1, LOWER_TEETH: 1}.get(kind, 0)
    return moves


def _eye_plates(
    fit: Fit, head: Head, side: int, slit: Slit, at: tuple[float, float], layers: dict[str, npt.NDArray[Any]]
) -> tuple[_Plate, _Plate, _Plate]:
    """The white, which stays, the iris, which looks about, and the catch-light, which lags behind it."""
    x, y, _, radius = (float(v) for v in fit.iris[side])
    depth, size = _depth(layers, slit), 2 * layers_eyes.IRIS_REACH * radius
    gaze = eyeball(fit, head, side)
    white = (at[0] + EYE.width / 2, at[1] + EYE.height / 2, EYE.width, EYE.height)
    iris = x, y, size, size
    return _Plate(white, depth, np.zeros_like(gaze)), _Plate(iris, depth, gaze), _Plate(iris, depth, _GLINT * gaze)


def eyeball(fit: Fit, head: Head, side: int) -> Array:
    """[63, 3] units: how an iris moves."""
    return _moves(fit, head, (Part.EYE_LEFT, Part.EYE_RIGHT)[side], 90)


def _moves(fit: Fit, head: Head, part: Part, share: float = 70) -> Array:
    """[63, 3]: how the front of a part moves: of all its vertices but the `share` % that lie deepest."""
    own = np.unique(head.triangles[head.part == part])
    front = own[fit.vertices[own, 2] >= np.percentile(fit.vertices[own, 2], share)]
    return np.asarray(fit.shapes[:, front].mean(1), np.float32)


def _depth(layers: dict[str, npt.NDArray[Any]], slit: Slit) -> float:
    """Of the skin about the middle of a slit."""
    column, row = ((slit.start + slit.end) / 2 / FRAME.cell).astype(int)
    return float(layers["frame_pose"][0, row, column])


def _lips(layers: dict[str, npt.NDArray[Any]], slit: Slit) -> tuple[Array, Array]:
    """[63, 3] each: what moves the middle of the upper lip's edge, and of the lower's."""
    middle = np.zeros(1, np.float32)
    base, patch = (slit.point(middle, edge)[0] for edge in slit.edges(middle))
    x, y = ((base - np.array(FACE_ORIGIN)) / FACE_WINDOW.cell).astype(int)
    column, row = ((patch - layers["mouth_at"]) / MOUTH.cell).astype(int)
    return layers["face_maps"][:, :, y, x], layers["mouth_maps"][: len(FACE), :, row, column]
