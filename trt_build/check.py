"""Every backend against torch: minutes of one stream with its state looped, and pictures of many portraits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.portrait import Portrait
from engine.runtime import Network
from trt_build import material

Floats = npt.NDArray[np.float32]
REFERENCE = "torch"
MOST_COEFFICIENT = {"fp32": 1e-3, "fp16": 2e-2}
"""Coefficients run from 0 to 1. A lip that moves by 0.02 of its way moves a fifth of a pixel of 512."""
LEAST_PSNR = 45.0  # dB, of any picture


@dataclass(frozen=True)
class Result:
    """How far one backend's outputs of one kind lie from torch's."""

    backend: str
    of: str
    count: int
    """Frames compared."""
    largest: float
    most: float
    """What 99.9 % of all differences stay below."""
    psnr: float | None = None
    """Of the worst picture, in dB."""

    def failure(self, precision: str) -> str | None:
        """What is wrong, in a line, or None."""
        if self.psnr is not None and self.psnr < LEAST_PSNR:
            return f"{self.backend}: a picture at {self.psnr:.1f} dB, {LEAST_PSNR:.0f} are asked for"
        if self.of == "coefficients" and not self.largest <= MOST_COEFFICIENT[precision]:
            return (
                f"{self.backend}: coefficients differ by {self.largest:.2g}, {MOST_COEFFICIENT[precision]} are allowed"
            )
        return None

    def __str__(self) -> str:
        picture = "" if self.psnr is None else f"  worst picture {self.psnr:.1f} dB"
        return f"{self.backend:<14}{self.of:<14}{self.count:>7}{self.largest:>12.2e}{self.most:>12.2e}{picture}"


HEAD = f"{'backend':<14}{'of':<14}{'frames':>7}{'largest':>12}{'99.9 %':>12}"


class Differences:
    """Absolute differences of two streams of arrays. Keeps every one: five minutes are some millions of floats."""

    def __init__(self) -> None:
        self._kept: list[npt.NDArray[np.float32]] = []
        self._worst_square = 0.0

    def add(self, a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> None:
        if a.shape != b.shape:
            raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
        difference = np.abs(a.astype(np.float32) - b.astype(np.float32))
        self._worst_square = max(self._worst_square, float(np.mean(np.square(difference))))
        self._kept.append(difference.ravel())

    def result(self, backend: str, of: str, full_scale: float | None = None) -> Result:
        """`full_scale` makes each addition a picture with a peak signal-to-noise ratio."""
        every = np.concatenate(self._kept)
        psnr = None
        if full_scale:
            psnr = float(10 * np.log10(full_scale**2 / self._worst_square)) if self._worst_square else float("inf")
        return Result(backend, of, len(self._kept), float(every.max()), float(np.percentile(every, 99.9)), psnr)


def check_stream(
    networks: Mapping[str, Network], seconds: float, recording: Path | None = None
) -> tuple[list[Result], Floats]:
    """CDAN over one stream, each network looping its own state; torch's faces [frames, 69] for the pictures."""
    sound = material.speech(seconds, recording)
    streams = [material.listened(network, sound, material.feelings(len(sound))) for network in networks.values()]
    found = {(name, of): Differences() for name in networks for of in ("coefficients", "prosody")}
    said: list[Mapping[str, Floats]] = []
    for steps in zip(*streams, strict=True):
        outputs = dict(zip(networks, (after for _, after in steps), strict=True))
        said.append(outputs[REFERENCE])
        for (name, of), differences in found.items():
            differences.add(outputs[name][of], outputs[REFERENCE][of])
    results = [found[key].result(*key) for key in found if key[0] != REFERENCE]
    ahead = material.LOOK_AHEADS.index(1)
    return results, material.moved([o["coefficients"][ahead] for o in said], [o["prosody"][ahead] for o in said])


def check_pictures(
    networks: Mapping[str, Network], portraits: Iterable[Portrait], faces: Sequence[Floats]
) -> list[Result]:
    """Each portrait drawn with its own part of the faces, one picture at a time."""
    found = {name: Differences() for name in networks if name != REFERENCE}
    for portrait, part in zip(portraits, faces, strict=True):
        given = material.portrait_inputs(portrait)
        for face in part:
            inputs = {"coefficients": face[None], **given}
            wanted = networks[REFERENCE](inputs)["picture"]
            for name, differences in found.items():
                differences.add(networks[name](inputs)["picture"], wanted)
    return [differences.result(name, "pictures", 255.0) for name, differences in found.items()]
