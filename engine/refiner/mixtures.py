"""Expressions to learn from: several of those of the rendered truth together, each at a level of its own."""

import numpy as np

from engine.evaluation.people.truth import PICTURES, coefficients_of
from engine.face.coefficients import HEAD

MIXED = 3  # at most
STILL = [name for name in PICTURES if name != "neutral" and not set(HEAD) & set(coefficients_of(name))]


def mixture(random: np.random.Generator) -> dict[str, float]:
    """By names of `coefficients.NAMES`."""
    mixed: dict[str, float] = {}
    for name in random.choice(STILL, random.integers(1, MIXED + 1), replace=False):
        level = random.uniform(0.3, 1)
        for unit, value in coefficients_of(str(name)).items():
            mixed[unit] = round(min(mixed.get(unit, 0) + level * value, 1), 3)
    return mixed
