"""What each axis of the Linear Emotion Space does to the face model: a readable table, and the same as a matrix.

Units and ARKit shapes are matched after the ARKit-to-FACS cheat sheet (M. Ozel) and the FACS manual's descriptions;
units that ARKit lacks have shapes of their own. A star stands for Left and Right.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE

UNIT_SHAPES: Mapping[str, Mapping[str, float]] = {
    "1": {"browInnerUp": 1},
    "2": {"browOuterUp*": 1},
    "4": {"browDown*": 1},
    "5": {"eyeWide*": 1},
    "6": {"cheekSquint*": 1, "eyeSquint*": 0.3},
    "7": {"eyeSquint*": 1},
    "9": {"noseSneer*": 1, "browDown*": 0.3, "mouthUpperUp*": 0.2},
    "10": {"mouthUpperUp*": 1},
    "11": {"nasolabialDeepener*": 1},
    "12": {"mouthSmile*": 1},
    "13": {"sharpLipPuller*": 1},
    "14": {"mouthDimple*": 1},
    "15": {"mouthFrown*": 1},
    "16": {"mouthLowerDown*": 1},
    "17": {"mouthShrugLower": 1, "mouthShrugUpper": 0.7},
    "18": {"mouthPucker": 1},
    "19": {"tongueOut": 1, "jawOpen": 0.25},
    "20": {"mouthStretch*": 1},
    "22": {"mouthFunnel": 1},
    "23": {"lipTightener": 1},
    "24": {"mouthPress*": 0.15, "mouthRollUpper": 0.6, "mouthRollLower": 0.7, "mouthPucker": 0.2},
    "25": {"jawOpen": 0.1, "mouthLowerDown*": 0.35, "mouthUpperUp*": 0.25},
    "26": {"jawOpen": 0.4},
    "27": {"jawOpen": 0.85},
    "32": {"lipBite": 1},
    "38": {"nostrilDilator*": 1},
    "39": {"nostrilCompressor": 1},
}
"""Unit -> {shape: weight at activation 1}."""
ONE_SIDED = ("1", "2", "4", "6", "10", "12", "14")


def _rows() -> Iterator[dict[str, float]]:
    """The 41 axes' weights by coefficient, in the space's order: 27 units, then left and right of the one-sided."""
    for shapes in UNIT_SHAPES.values():
        yield dict(_both(shapes))
    for unit in ONE_SIDED:
        for side in ("Left", "Right"):
            yield {_one(shape, side): weight for shape, weight in UNIT_SHAPES[unit].items()}


def _both(shapes: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    for shape, weight in shapes.items():
        for side in ("Left", "Right") if shape.endswith("*") else ("",):
            yield shape.replace("*", side), weight


def _one(shape: str, side: str) -> str:
    """ARKit has the inner brows in one shape; ours has them apart as well."""
    return shape.replace("*", side) if shape.endswith("*") else shape + side


def _matrix() -> npt.NDArray[np.float32]:
    rows = list(_rows())
    table = np.zeros((len(rows), len(FACE)), np.float32)
    for i, row in enumerate(rows):
        for name, weight in row.items():
            table[i, FACE.index(name)] = weight
    table.flags.writeable = False
    return table


LES_TO_FACE = _matrix()
"""[41, 63] coefficients at activation 1 of each axis, in the orders of `engine.les.AXES` and `coefficients.FACE`."""
