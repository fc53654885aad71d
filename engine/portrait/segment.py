"""Tells people from what is behind them: Google's selfie segmenter, a network of 256 x 256 that OpenVINO runs."""

import functools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.runtime import OpenVinoNetwork

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PATH = Path(__file__).parent / "data" / "selfie_segmenter.tflite"
SIDE = 256


def people(picture: Rgb) -> Floats:
    """[256, 256] how likely each place of a square picture shows a person, 0 to 1."""
    small = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    network = _network()
    (given,), (found,) = network.signature.inputs, network.signature.outputs
    likely = network({given.name: small[None].astype(np.float32) / 255})[found.name]
    return np.asarray(likely.reshape(SIDE, SIDE), np.float32)


@functools.cache
def _network() -> OpenVinoNetwork:
    return OpenVinoNetwork(PATH)
