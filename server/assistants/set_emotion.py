"""The tool `set_emotion` that language models are offered: its description and the reading of its arguments."""

import json
from collections.abc import Mapping
from typing import Any

from engine.les import AXES, EMOTIONS, Les, LesError
from server.assistants.emotion import emotion_of

NAME = "set_emotion"
DESCRIPTION = (
    "Sets your facial expression. It shows when the words that follow are heard, and stays until the next call. "
    "Call it before you speak whenever your feeling changes; level 0 is a neutral face, 1 the strongest."
)
PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "emotion": {"type": "string", "enum": [*EMOTIONS], "description": "The feeling to show."},
        "level": {"type": "number", "minimum": 0, "maximum": 1, "description": "How strongly; 1 unless given."},
        "units": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            "description": f"Single facial action units instead or on top, by name: {', '.join(AXES)}.",
        },
    },
}


def read_call(arguments: str) -> Les:
    """LesError says what is wrong with them, so that the model can do better."""
    try:
        data = json.loads(arguments)
    except (ValueError, RecursionError):
        raise LesError("the arguments are not JSON") from None
    if not isinstance(data, dict) or data.keys() - PARAMETERS["properties"].keys():
        raise LesError("the arguments are an object with `emotion`, `level` and `units`")
    if "emotion" not in data and "units" not in data:
        raise LesError("give `emotion`, `units` or both")
    emotion, units, level = data.get("emotion"), data.get("units") or {}, data.get("level", 1.0)
    if not isinstance(emotion, str | None) or not isinstance(units, dict):
        raise LesError("`emotion` is a name, `units` an object of names and levels")
    return Les.of(units) + (emotion_of(emotion, number(level)) if emotion else Les())


def number(level: Any) -> float:
    if isinstance(level, bool) or not isinstance(level, int | float):
        raise LesError("`level` is a number from 0 to 1")
    return float(level)
