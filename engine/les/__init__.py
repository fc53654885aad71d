"""The Linear Emotion Space: 41 facial action units as axes, emotions as directions, levels as scalars."""

from engine.les.axes import ACTION, AXES, DESCRIPTIONS, EMOTIONS, ISOLATION
from engine.les.trajectory import Trajectory
from engine.les.vector import Les, LesError, parse, parse_json

__all__ = [
    "ACTION",
    "AXES",
    "DESCRIPTIONS",
    "EMOTIONS",
    "ISOLATION",
    "Les",
    "LesError",
    "Trajectory",
    "parse",
    "parse_json",
]
