"""Where the photo's eyes look, as coefficients: 0 is into the camera.

In a weak perspective an eye that looks into the camera shows its iris before the middle of its ball. Both eyes look
the same way, so that what sets them apart (the angle kappa, a squint, a noisy landmark) stays as it is. Only to the
sides: how high an eyeball lies behind its lids is known too badly.
"""

import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.face.coefficients import INDEX
from engine.portrait.layers_slit import smoothstep

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_EYES = (Part.EYE_LEFT, Part.EYE_RIGHT)
_LEFT, _RIGHT = (
    [INDEX[name] for name in names]
    for names in (("eyeLookOutLeft", "eyeLookInRight"), ("eyeLookInLeft", "eyeLookOutRight"))
)
"""What turns both eyes to the person's left and right, each for the left eye and the right."""
_DOUBT, _SURE = 0.2, 0.4  # eyes that seem to look less aside look into the camera; if more, where they seem to
_FRONT = 90  # percentile of depth: an eyeball's vertices about the pupil


def with_gaze(source: Doubles, vertices: Doubles, shapes: Doubles, irises: Floats, head: Head) -> Doubles:
    """`source` [63] with the photo's gaze. In the frame's units, x right: `vertices` [V, 3], `shapes` [63, V, 3],
    `irises` [2, >= 2] left, right."""
    aside = _aside(vertices, shapes, irises, head)
    looking = source.copy()
    looking[_LEFT if aside > 0 else _RIGHT] = min(abs(aside), 1) * smoothstep(_DOUBT, _SURE, np.array(abs(aside)))
    return looking


def still_lids(shapes: Floats) -> Floats:
    """`shapes` [63, V, 3] for the skin: eyes that look to a side move none of it."""
    skin = shapes.copy()
    skin[_LEFT + _RIGHT] = 0
    return skin


def _aside(vertices: Doubles, shapes: Doubles, irises: Floats, head: Head) -> float:
    """How far both eyes look to the person's left, as their coefficients count it."""
    away, turn = 0.0, 0.0
    for side, part in enumerate(_EYES):
        own = np.unique(head.triangles[head.part == part])
        ball = vertices[own]
        front = own[ball[:, 2] >= np.percentile(ball[:, 2], _FRONT)]
        away += float(irises[side, 0] - (ball[:, 0].min() + ball[:, 0].max()) / 2)
        turn += float((shapes[_LEFT[side], front, 0] - shapes[_RIGHT[side], front, 0]).mean()) / 2
    return away / turn
