"""How a person behaves in each state of a conversation: how calm, where they look, how often they blink and nod.

Who listens looks at the speaker nearly all the time and moves little, who speaks looks away more, mostly as they begin
(Kendon 1967); who thinks looks away from the face, upwards and to one side (Glenberg, Schroeder & Robertson 1998).
People blink 17 times a minute at rest and 26 times in conversation (Bentivoglio et al. 1997).
"""

from dataclasses import dataclass
from typing import Literal

Activity = Literal["idle", "listening", "thinking", "speaking"]


@dataclass(frozen=True)
class Manner:
    """One state's behaviour."""

    sway: float
    """Times the head's common sway."""
    aside: float
    """Share of the looks that leave the viewer."""
    aside_deg: tuple[float, float] = (0.0, 0.0)
    """Where such looks centre: towards the side chosen, and up."""
    aside_s: tuple[float, float] = (0.35, 1.1)
    """Their length, from and to."""
    viewer_s: tuple[float, float] = (0.5, 2.6)
    """Length of a look at the viewer, from and to."""
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The head's posture: yaw and roll towards the side chosen, pitch up."""
    blinks_a_minute: float = 17.0
    frown: float = 0.0
    """Lowered brows, 0 to 1."""


MANNERS: dict[Activity, Manner] = {
    "idle": Manner(sway=1.0, aside=0.28, aside_s=(0.5, 1.8)),
    "listening": Manner(sway=0.55, aside=0.08, viewer_s=(0.9, 3.6), tilt_deg=(0.0, 0.3, 1.2), blinks_a_minute=15.0),
    "thinking": Manner(
        sway=0.7, aside=0.8, aside_deg=(9.0, 5.0), aside_s=(0.8, 2.2), viewer_s=(0.3, 0.8), tilt_deg=(2.5, 1.2, 0.8),
        frown=0.12,
    ),
    "speaking": Manner(sway=1.35, aside=0.12, blinks_a_minute=26.0),
}  # fmt: skip
