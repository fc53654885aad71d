"""The people: what each looks like, one row a person. Colours are linear RGB."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Colour = tuple[float, float, float]
IRIS = 0.40  # everybody's: its radius in eyeball radii


@dataclass(frozen=True)
class Skin:
    base: Colour
    red: Colour
    """Cheeks, nose and ears."""
    dark: Colour
    """Under the eyes, freckles."""
    lip: Colour
    freckles: float
    wrinkles: float = 0.0
    """0 none, 1 those of an old person; also spots and paler lips."""
    dense: bool = False
    """Much melanin: light reaches less deep."""


@dataclass(frozen=True)
class Hair:
    style: Literal["long", "tied", "crop", "curls"]
    melanin: float
    """0 white, 0.3 blond, 0.8 brown, 1 black."""
    redness: float
    length_dm: float = 0.0
    """Of a crop or of curls, on top."""
    grey: float = 0.0
    """Share of white hairs."""
    receding: float = 0.0
    """0 none, 1 a bald top."""
    part_dm: float = 0.22
    """Of long or tied hair: how far to the person's left it parts."""
    bleached: float = 0.0
    """How much less melanin the tips have."""


@dataclass(frozen=True)
class Beard:
    length_dm: float
    density: float
    """0 to 1."""


@dataclass(frozen=True)
class Person:
    seed: int
    race: Mapping[str, float]
    """Shares of the source's three kinds of people."""
    female: float
    old: float
    details: Mapping[str, float]
    """The source's targets by folder and name; of those with two sides without the side."""
    skin: Skin
    hair: Hair
    iris: Colour
    cloth: Colour
    backdrop: Colour
    beard: Beard | None = None
    brow: float = 1.0
    """Thickness of the brows."""
    lash: float = 1.0
    """Fullness of the lashes."""
    resting: Mapping[str, float] = field(default_factory=dict)
    """Coefficients of the face at rest."""


FRIENDLY = {
    "mouthSmileLeft": 0.18, "mouthSmileRight": 0.21, "cheekSquintLeft": 0.11, "cheekSquintRight": 0.09,
}  # fmt: skip


def _at_rest(lids: float, squint: float, smile: float = 1.0) -> dict[str, float]:
    """Friendly, the upper lids lowered by a share of the eye's opening (negative: raised)."""
    sides = {"eyeBlinkLeft": lids, "eyeBlinkRight": lids + 0.02, "eyeSquintLeft": squint, "eyeSquintRight": squint}
    return {name: smile * value for name, value in FRIENDLY.items()} | sides


CAST: dict[str, Person] = {
    "anna": Person(
        seed=3, race={"caucasian": 0.85, "asian": 0.10, "african": 0.05}, female=1.0, old=0.10,
        details={
            "mouth/mouth-upperlip-volume-incr": 0.3, "mouth/mouth-lowerlip-volume-incr": 0.25,
            "mouth/mouth-angles-up": 0.35, "mouth/mouth-cupidsbow-incr": 0.2,
            "mouth/mouth-philtrum-volume-incr": 0.25, "mouth/mouth-laugh-lines-in": 0.15,
            "nose/nose-scale-horiz-decr": 0.15, "nose/nose-width2-decr": 0.2, "nose/nose-point-up": 0.25,
            "nose/nose-point-width-decr": 0.3, "nose/nose-scale-vert-decr": 0.3,
            "chin/chin-width-decr": 0.55, "chin/chin-prominent-incr": 0.15, "chin/chin-triangle": 0.4,
            "chin/chin-height-decr": 0.4,
            "eyes/eye-scale-incr": 1.0, "eyes/eye-eyefold-concave": 0.3,
            "cheek/cheek-volume-decr": 0.25, "cheek/cheek-bones-incr": 0.6, "forehead/forehead-temple-decr": 0.6,
            "head/head-oval": 0.65, "head/head-fat-decr": 0.35, "head/head-scale-horiz-decr": 0.62,
            "neck/neck-scale-vert-decr": 0.2, "neck/neck-scale-horiz-decr": 0.9,
            "forehead/forehead-scale-vert-decr": 0.9,
            "ears/ear-wing-decr": 1.0, "ears/ear-lobe-decr": 1.0, "ears/ear-scale-decr": 1.0,
            "ears/ear-trans-backward": 0.7,
        },
        skin=Skin(
            (0.54, 0.285, 0.185), (0.53, 0.16, 0.11), (0.32, 0.14, 0.095), (0.40, 0.115, 0.10), 0.55, wrinkles=0.12,
        ),
        hair=Hair("long", melanin=0.5, redness=0.25, part_dm=0.2, bleached=0.2),
        iris=(0.085, 0.075, 0.035), cloth=(0.055, 0.085, 0.13), backdrop=(0.52, 0.42, 0.34), lash=1.45,
        resting=_at_rest(0.05, 0.32, smile=1.9),
    ),
    "marc": Person(
        seed=11, race={"caucasian": 0.62, "asian": 0.28, "african": 0.10}, female=0.0, old=0.14,
        details={
            "chin/chin-width-incr": 0.15, "chin/chin-prominent-incr": 0.2, "chin/chin-jaw-drop-decr": 0.1,
            "cheek/cheek-bones-incr": 0.25, "nose/nose-hump-incr": 0.15, "head/head-oval": 0.2,
            "eyes/eye-scale-incr": 0.95, "head/head-fat-decr": 0.5, "eyes/eye-trans-out": 0.1,
            "head/head-scale-horiz-decr": 0.35, "forehead/forehead-scale-vert-decr": 0.7,
            "chin/chin-height-decr": 0.25, "nose/nose-scale-horiz-decr": 0.15, "neck/neck-scale-horiz-decr": 0.2,
            "ears/ear-wing-decr": 0.5, "ears/ear-scale-decr": 0.3, "mouth/mouth-angles-up": 0.25,
        },
        skin=Skin(
            (0.31, 0.155, 0.088), (0.32, 0.105, 0.063), (0.18, 0.09, 0.055), (0.27, 0.085, 0.068), 0.12, wrinkles=0.12,
        ),
        hair=Hair("crop", melanin=0.86, redness=0.2, length_dm=0.38),
        iris=(0.07, 0.034, 0.014), cloth=(0.035, 0.045, 0.06), backdrop=(0.24, 0.31, 0.38),
        beard=Beard(length_dm=0.026, density=1.0), brow=1.15, resting=_at_rest(-0.10, 0.40, smile=1.3),
    ),
    "otto": Person(
        seed=47, race={"caucasian": 0.95, "asian": 0.03, "african": 0.02}, female=0.0, old=0.62,
        details={
            "mouth/mouth-laugh-lines-out": 0.35, "eyes/eye-bag-incr": 0.45, "nose/nose-scale-horiz-incr": 0.15,
            "head/head-oval": 0.15, "cheek/cheek-bones-incr": 0.2, "neck/neck-double-incr": 0.15,
            "ears/ear-wing-decr": 0.3, "mouth/mouth-angles-up": 0.3, "eyes/eye-scale-incr": 0.9,
            "head/head-fat-decr": 0.4, "head/head-scale-horiz-decr": 0.3, "eyes/eye-trans-out": 0.1,
            "forehead/forehead-scale-vert-decr": 0.6, "neck/neck-scale-horiz-decr": 0.2,
        },
        skin=Skin(
            (0.47, 0.255, 0.17), (0.46, 0.15, 0.105), (0.29, 0.135, 0.09), (0.36, 0.115, 0.095), 0.4, wrinkles=0.6,
        ),
        hair=Hair("crop", melanin=0.88, redness=0.0, length_dm=0.30, grey=0.62, receding=0.55),
        iris=(0.10, 0.16, 0.22), cloth=(0.10, 0.11, 0.12), backdrop=(0.32, 0.33, 0.24),
        beard=Beard(length_dm=0.075, density=1.3), brow=1.25, resting=_at_rest(-0.22, 0.40),
    ),
    "zola": Person(
        seed=23, race={"caucasian": 0.12, "asian": 0.08, "african": 0.80}, female=1.0, old=0.08,
        details={
            "mouth/mouth-angles-up": 0.25, "head/head-oval": 0.5, "eyes/eye-scale-incr": 0.75,
            "cheek/cheek-bones-incr": 0.35, "chin/chin-width-decr": 0.4, "nose/nose-width3-decr": 0.4,
            "chin/chin-triangle": 0.15, "cheek/cheek-volume-decr": 0.2, "nose/nose-point-width-decr": 0.2,
            "head/head-fat-decr": 0.35, "forehead/forehead-scale-vert-decr": 0.3, "head/head-scale-horiz-decr": 0.2,
            "ears/ear-wing-decr": 0.6, "ears/ear-scale-decr": 0.4, "neck/neck-scale-horiz-decr": 0.35,
        },
        skin=Skin(
            (0.140, 0.066, 0.037), (0.146, 0.050, 0.030), (0.068, 0.030, 0.018), (0.145, 0.042, 0.036), 0.1,
            wrinkles=0.1, dense=True,
        ),
        hair=Hair("curls", melanin=0.97, redness=0.05, length_dm=0.35),
        iris=(0.048, 0.024, 0.013), cloth=(0.36, 0.16, 0.045), backdrop=(0.40, 0.50, 0.47), brow=0.9,
        resting=_at_rest(0.08, 0.15, smile=1.4),
    ),
}  # fmt: skip
