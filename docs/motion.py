"""`python -m docs.motion` draws docs/motion.png: what a portrait does by itself in each state of a conversation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from engine.cdan import Cdan, Floats
from engine.face.coefficients import GAZE_DEGREES, INDEX
from engine.les import AXES
from engine.motion import Activity, Motion
from engine.units import CHUNK, FPS
from tests.streams import speech

SEED = 3
SILENT: tuple[tuple[Activity, bool, float], ...] = (
    ("idle", False, 7), ("listening", True, 8), ("listening", False, 2.5), ("thinking", False, 6),
)  # fmt: skip
"""State, whether somebody speaks to the portrait, and for how many seconds."""


def scene() -> Iterator[tuple[Activity, bool, tuple[float, float, float]]]:
    """State, addressed, and prosody of each frame: the silent states, then the portrait speaks, then it listens."""
    for activity, addressed, seconds in SILENT:
        yield from [(activity, addressed, (0.0, 0.0, 0.0))] * round(seconds * FPS)
    net, said = Cdan(), np.concatenate([speech(), speech(), np.zeros(3 * FPS * CHUNK, np.float32)])
    memory = net.open()
    for chunk in np.resize(said, len(said) // CHUNK * CHUNK).reshape(-1, CHUNK):
        heard = net.step(chunk[None], np.zeros((1, len(AXES)), np.float32), [1], [memory])
        memory = heard.states[0]
        yield "listening", False, tuple(heard.prosody[0].tolist())


def looked(track: Floats, outward: str, inward: str, degrees: float) -> Floats:
    return np.asarray((track[:, INDEX[outward]] - track[:, INDEX[inward]]) * degrees, np.float32)


def main() -> None:
    frames, motion, rows = list(scene()), Motion(SEED), []
    for activity, addressed, prosody in frames:
        motion.activity, motion.addressed = activity, addressed
        rows.append(motion.step(prosody))
    track, t = np.array(rows), np.arange(len(rows)) / FPS
    figure, axes = plt.subplots(4, 1, figsize=(14, 9), sharex=True, layout="constrained")
    curves: dict[str, dict[str, Any]] = {
        "the voice": {"activity": [p[0] for *_, p in frames], "loudness": [p[1] for *_, p in frames]},
        "head, degrees": {f"head{a}": track[:, INDEX[f"head{a}"]] for a in ("Yaw", "Pitch", "Roll")},
        "eyes, degrees": {
            "to the left": looked(track, "eyeLookOutLeft", "eyeLookInLeft", GAZE_DEGREES[0]),
            "up": looked(track, "eyeLookUpLeft", "eyeLookDownLeft", GAZE_DEGREES[1]),
        },
        "lids and brows": {n: track[:, INDEX[n]] for n in ("eyeBlinkLeft", "browInnerUp", "browDownLeft")},
    }
    for ax, (title, lines) in zip(axes, curves.items(), strict=True):
        for name, values in lines.items():
            ax.plot(t, values, label=name, lw=1.3)
        ax.set_ylabel(title)
        ax.legend(loc="upper left", ncols=3, fontsize=8)
        ax.grid(alpha=0.3)
    begin = 0.0
    for activity, addressed, seconds in (*SILENT, ("speaking", False, len(t) / FPS - sum(s for *_, s in SILENT))):
        axes[0].text(begin + 0.1, 1.12, activity + (" to somebody" if addressed else ""))
        for ax in axes:
            ax.axvline(begin, color="k", lw=0.6)
        begin += seconds
    axes[-1].set_xlabel("seconds")
    axes[0].set_xlim(0, t[-1])
    figure.savefig(Path(__file__).with_name("motion.png"), dpi=70)


if __name__ == "__main__":
    main()
