"""What the lips do while nobody speaks: they should do nothing, and hang shut."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.cdan.training.voices import Utterance
from engine.evaluation.drivers import Driver
from engine.evaluation.judges import Judge
from engine.evaluation.speaking import speak
from engine.les import Les
from engine.units import SAMPLE_RATE


@dataclass(frozen=True)
class Stillness:
    """The lips over some seconds of a background, the worst of the portraits."""

    spread: float
    """The aperture's standard deviation."""
    mean: float
    """Its mean."""
    above_rest: float
    """The mean against the portrait's at rest, which no judge reads as exactly 0."""
    still: float
    """Share of frames whose coefficients are all exactly 0."""


def listen(driver: Driver, judge: Judge, sound: npt.NDArray[np.float32]) -> Stillness:
    """A background from its start on, before each of the judge's portraits."""
    silent = Utterance(sound, SAMPLE_RATE, ())
    (face,) = driver.drive([silent], Les())
    seen = speak(driver, judge, [silent] * len(judge.portraits), Les())
    return Stillness(
        spread=max(float(one.aperture.std()) for one in seen),
        mean=max(float(one.aperture.mean()) for one in seen),
        above_rest=max(float(one.aperture.mean()) - one.rest_aperture for one in seen),
        still=float(np.mean(np.abs(face).max(axis=1) == 0)),
    )
