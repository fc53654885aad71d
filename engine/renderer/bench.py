"""How long a picture takes on this machine: `python -m engine.renderer.bench PORTRAIT [--size 512]` (one thread).

PORTRAIT is a photo or a prepared file. On a busy machine trust the processor's time.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from engine.face.coefficients import FACE, INDEX, NAMES
from engine.portrait import Portrait, prepare
from engine.renderer.cpu import CpuRenderer
from engine.renderer.cpu_fields import CpuFields, Floats

_WARM = 5  # pictures before the clock counts


def talking(frames: int) -> Floats:
    """[frames, 69]: jaw, lips, lids, gaze and head in motion."""
    t = np.arange(frames, dtype=np.float32)
    track = np.zeros((frames, len(NAMES)), np.float32)
    track[:, INDEX["headScale"]] = 1
    for name, period, level in (
        ("jawOpen", 9, 0.4),
        ("mouthFunnel", 23, 0.5),
        ("mouthSmileLeft", 50, 0.6),
        ("mouthSmileRight", 50, 0.6),
        ("eyeBlinkLeft", 61, 1),
        ("eyeBlinkRight", 61, 1),
        ("eyeLookUpLeft", 40, 0.3),
        ("browInnerUp", 70, 0.8),
    ):
        track[:, INDEX[name]] = level * (0.5 - 0.5 * np.cos(2 * np.pi * t / period))
    for i, degrees in enumerate((8, 5, 3)):
        track[:, len(FACE) + i] = degrees * np.sin(2 * np.pi * t / (60 + 17 * i))
    return track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=250)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    data = arguments.portrait.read_bytes()
    portrait = Portrait.from_bytes(data) if Portrait.is_prepared(data) else prepare(data)
    renderer, fields = CpuRenderer(arguments.size), CpuFields(portrait.layers)
    draws: dict[str, Callable[[Floats], object]] = {
        "fields": fields,
        "picture, fields included": partial(renderer.render, portrait),
    }
    for name, draw in draws.items():
        wall, cpu = [], []
        for values in talking(arguments.frames):
            start, spent = time.perf_counter(), time.process_time()
            draw(values)
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - spent)
        for clock, seconds in (("wall", wall), ("processor", cpu)):
            median, slow = np.percentile(np.array(seconds[_WARM:]) * 1e3, [50, 95])
            print(f"{name}, {clock}: median {median:.2f} ms, 95 % under {slow:.2f} ms")


if __name__ == "__main__":
    main()
