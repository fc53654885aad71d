"""Where an `emotion.set` leads: the one sum that the Linear Emotion Space itself, which ends at 0, does not know."""

from collections.abc import Mapping

import numpy as np

from engine.les import AXES, EMOTIONS, Les


def sum_of(base: Les, emotion: Mapping[str, float], units: Mapping[str, float]) -> Les:
    """Base, emotions by level and units added up, then clipped to [0, 1]. Units may be negative."""
    total = np.array(base.values)
    for name, level in emotion.items():
        for axis, peak in EMOTIONS[name].items():
            total[AXES.index(axis)] += level * peak
    for axis, change in units.items():
        total[AXES.index(axis)] += change
    return Les.clipped(total.round(6))
