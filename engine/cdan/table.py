"""Provisional LES -> coefficient table, until `engine.les` carries it."""

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE

AXES: tuple[str, ...] = tuple(
    f"AU{n}" for n in "1 2 4 5 6 7 9 10 11 12 13 14 15 16 17 18 19 20 22 23 24 25 26 27 32 38 39".split()
) + tuple(f"AU{side}{n}" for n in (1, 2, 4, 6, 10, 12, 14) for side in "LR")
_LR: tuple[str, ...] = ("Left", "Right")
_BOTH: dict[str, list[tuple[str, float]]] = {
    "1": [("browInnerUp", 1)], "2": [("browOuterUp*", 1)], "4": [("browDown*", 1)], "5": [("eyeWide*", 1)],
    "6": [("cheekSquint*", 1)], "7": [("eyeSquint*", 1)], "9": [("noseSneer*", 1)], "10": [("mouthUpperUp*", 1)],
    "11": [("nasolabialDeepener*", 1)], "12": [("mouthSmile*", 1)], "13": [("sharpLipPuller*", 1)],
    "14": [("mouthDimple*", 1)], "15": [("mouthFrown*", 1)], "16": [("mouthLowerDown*", 1)],
    "17": [("mouthShrugLower", 1)], "18": [("mouthPucker", 1)], "19": [("tongueOut", 1)], "20": [("mouthStretch*", 1)],
    "22": [("mouthFunnel", 1)], "23": [("lipTightener", 1)], "24": [("mouthPress*", 1)],
    "25": [("jawOpen", 0.06), ("mouthLowerDown*", 0.3), ("mouthUpperUp*", 0.15)], "26": [("jawOpen", 0.4)],
    "27": [("jawOpen", 0.8)], "28": [("mouthRollUpper", 1), ("mouthRollLower", 1)], "32": [("lipBite", 1)],
    "38": [("nostrilDilator*", 1)], "39": [("nostrilCompressor", 1)],
}  # fmt: skip


def _table() -> npt.NDArray[np.float32]:
    table = np.zeros((len(AXES), len(FACE)), np.float32)
    for row, axis in enumerate(AXES):
        side = {"L": "Left", "R": "Right"}.get(axis[2])
        for name, weight in _BOTH[axis[2:].lstrip("LR")]:
            name = "browInnerUp*" if side and name == "browInnerUp" else name
            for end in (side,) if side else _LR if name.endswith("*") else ("",):
                table[row, FACE.index(name.replace("*", end))] = weight
    return table


LES_TO_FACE = _table()
EMOTIONS: dict[str, dict[str, float]] = {
    "anger": {"AU4": 0.8, "AU5": 0.6, "AU7": 0.6, "AU23": 0.6, "AU24": 0.6, "AU17": 0.4, "AU10": 0.2, "AU38": 0.4},
    "contempt": {"AUR14": 0.6, "AUR12": 0.2, "AU7": 0.2},
    "happiness": {"AU6": 0.8, "AU12": 0.8, "AU25": 0.6},
    "surprise": {"AU1": 0.8, "AU2": 0.8, "AU5": 0.4, "AU25": 0.6, "AU26": 0.8},
}
