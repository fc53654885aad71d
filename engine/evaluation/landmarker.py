"""Google's own MediaPipe as the judge: the reference code of its package, none of ours between picture and landmarks.

Every picture is looked at alone: MediaPipe's mode for video smooths over time and would hide jitter and shift lags.
"""

from dataclasses import dataclass

import mediapipe
import numpy as np
import numpy.typing as npt

from engine.portrait.landmarks import BLENDSHAPES, PATH

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class NoFace(LookupError):
    """The judge finds no face in a picture of the avatar."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A face as MediaPipe reports it."""

    points: Floats
    """[478, 2] pixels."""
    blendshapes: Floats
    """[52] scores in [0, 1], in the order of `engine.portrait.landmarks.BLENDSHAPES`."""


class Landmarker:
    """For one thread; about 8 ms a picture on one core."""

    def __init__(self) -> None:
        vision = mediapipe.tasks.vision
        base = mediapipe.tasks.BaseOptions(model_asset_path=str(PATH))
        options = vision.FaceLandmarkerOptions(base_options=base, output_face_blendshapes=True)
        self._judge = vision.FaceLandmarker.create_from_options(options)

    def see(self, picture: Rgb) -> Seen:
        """`picture` [h, w, 3]."""
        found = self._judge.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, picture))
        if not found.face_landmarks:
            raise NoFace("MediaPipe finds no face in a rendered picture: look at it before you trust any figure")
        size = picture.shape[1::-1]
        points = np.array([(mark.x, mark.y) for mark in found.face_landmarks[0]], np.float32) * size
        scores = {score.category_name: score.score for score in found.face_blendshapes[0]}
        return Seen(points.astype(np.float32), np.array([scores[name] for name in BLENDSHAPES], np.float32))

    def close(self) -> None:
        """To be called before the program ends: MediaPipe's threads can't be left at its mercy."""
        self._judge.close()
