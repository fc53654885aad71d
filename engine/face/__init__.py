"""The face model: a CC0 head, its 63 coefficients, and what the Linear Emotion Space does to them."""

from engine.face.head import Head, Part, load
from engine.face.les_map import LES_TO_FACE

__all__ = ["LES_TO_FACE", "Head", "Part", "load"]
