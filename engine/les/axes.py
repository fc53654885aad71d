"""The 41 axes in order, what each one is, and the emotions as directions.

The order is that of OpenGraphAU's outputs: 27 units of both sides (the Action subspace), then 14 one-sided ones (the
Isolation subspace). Left and right are the person's own. The emotions' peaks follow EMFACS and the FACS Investigator's
Guide, as FACS intensities A to E over 5, where they leave a choice the one that is seen at a glance: joy and anger bare
teeth.
"""

from collections.abc import Mapping
from types import MappingProxyType

_UNITS = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    11: "nasolabial deepener",
    12: "lip corner puller",
    13: "sharp lip puller",
    14: "dimpler",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    18: "lip pucker",
    19: "tongue show",
    20: "lip stretcher",
    22: "lip funneler",
    23: "lip tightener",
    24: "lip pressor",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
    32: "lip bite",
    38: "nostril dilator",
    39: "nostril compressor",
}
_ONE_SIDED = (1, 2, 4, 6, 10, 12, 14)

ACTION: tuple[str, ...] = tuple(f"AU{n}" for n in _UNITS)
ISOLATION: tuple[str, ...] = tuple(f"AU{side}{n}" for n in _ONE_SIDED for side in "LR")
AXES: tuple[str, ...] = ACTION + ISOLATION

DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {f"AU{n}": words for n, words in _UNITS.items()}
    | {f"AU{s}{n}": f"{side} {_UNITS[n]}" for n in _ONE_SIDED for s, side in (("L", "left"), ("R", "right"))}
)
"""Each axis's name in words."""


def _peaks(**fifths: int) -> Mapping[str, float]:
    return MappingProxyType({axis: level / 5 for axis, level in fifths.items()})


EMOTIONS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "anger": _peaks(AU4=5, AU5=4, AU7=4, AU10=2, AU16=1, AU23=2, AU25=3, AU38=3),
        "contempt": _peaks(AUR14=5, AUR12=2, AUR10=1, AU7=2),
        "disgust": _peaks(AU9=5, AU10=4, AU15=3, AU17=3, AU7=3, AU6=3, AU25=1),
        "fear": _peaks(AU1=5, AU2=3, AU4=3, AU5=5, AU7=1, AU20=5, AU25=4, AU26=3),
        "happiness": _peaks(AU6=5, AU12=5, AU10=2, AU25=5, AU26=2),
        "sadness": _peaks(AU1=5, AU4=4, AU15=5, AU17=4, AU11=3, AU7=1),
        "surprise": _peaks(AU1=5, AU2=5, AU5=2, AU25=4, AU26=5, AU27=1),
    }
)
"""Emotion -> {axis: activation} at level 1."""
