"""What truth is rendered of: expressions at known coefficients, and turned heads."""

import json
from pathlib import Path

from engine.evaluation.people.window import FACE, WHOLE, Window
from engine.face.coefficients import HEAD

PICTURES: dict[str, dict[str, float]] = {
    "neutral": {},
    "teeth": {"jawOpen": 0.22, "mouthSmile": 0.5, "mouthUpperUp": 0.45, "mouthLowerDown": 0.4},
    "jaw_open": {"jawOpen": 0.5},
    "smile": {"mouthSmile": 0.7, "cheekSquint": 0.5},
    "blink": {"eyeBlink": 1.0},
    "half_blink": {"eyeBlink": 0.5},
    "pucker": {"mouthPucker": 0.9},
    "funnel": {"mouthFunnel": 0.8, "jawOpen": 0.25},
    "press": {"mouthPress": 0.7},
    "brow_up": {"browInnerUp": 0.9, "browOuterUp": 0.8},
    "sneer": {"noseSneer": 0.9, "browDown": 0.7},
    "frown": {"mouthFrown": 0.8, "browInnerUp": 0.5},
    "surprise": {"jawOpen": 0.35, "browInnerUp": 0.8, "browOuterUp": 0.8, "eyeWide": 0.8},
    "look_left": {"eyeLookOutLeft": 0.7, "eyeLookInRight": 0.7},
    "yaw_left": {"headYaw": 15},
    "yaw_right": {"headYaw": -15},
    "pitch_up": {"headPitch": 10},
    "pitch_down": {"headPitch": -10},
    "roll_left": {"headRoll": 12},
    "yaw_smile": {"headYaw": 10, "mouthSmile": 0.6, "jawOpen": 0.15},
}
"""Names without a side stand for both sides."""

SIDED = (
    "mouthSmile", "mouthUpperUp", "mouthLowerDown", "cheekSquint", "eyeBlink", "mouthPress", "browOuterUp", "noseSneer",
    "browDown", "mouthFrown", "eyeWide",
)  # fmt: skip


def coefficients_of(picture: str) -> dict[str, float]:
    """Those of one of the pictures, by names of `coefficients.NAMES`."""
    out: dict[str, float] = {}
    for name, value in PICTURES[picture].items():
        out |= {f"{name}{side}": value for side in ("Left", "Right")} if name in SIDED else {name: value}
    return out


def window_of(picture: str) -> Window:
    """What of it can differ from the neutral picture."""
    turned = any(name in HEAD for name in coefficients_of(picture))
    return WHOLE if turned or picture == "neutral" else FACE


def write_index(folder: Path) -> None:
    """expressions.json: the coefficients of every picture that is there."""
    known = {name: coefficients_of(name) for name in PICTURES if (folder / f"{name}.png").exists()}
    units = {name: ",".join(f"{unit}={value}" for unit, value in given.items()) for name, given in known.items()}
    text = json.dumps({name: {"units": line} for name, line in units.items()}, indent=1)
    (folder / "expressions.json").write_text(text)
