"""`les-avatar bench`: milliseconds a frame of the engine on one thread of this machine."""

import argparse
import os
import platform
import time
from importlib.metadata import version

import numpy as np

from engine.avatar import Avatar
from engine.units import FRAME_MS
from server.capacity import babble
from server.commands.sources import checked_size, open_portrait

WARM_UP = 10  # frames


def run(options: argparse.Namespace) -> int:
    portrait = open_portrait(options.portrait)
    avatar = Avatar()
    stream = avatar.open(portrait, size=checked_size(options.size))
    wall, cpu = [], []
    for chunk in babble(options.seconds):
        start = time.perf_counter(), time.process_time()
        avatar.step([(stream, chunk)])
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"openvino {version('openvino')}, {options.size}x{options.size}, one thread, {len(wall)} frames\n")
    print("ms a frame      p50    p95    p99")
    for name, seconds in (("wall", wall), ("CPU", cpu)):
        p50, p95, p99 = np.percentile(np.array(seconds[WARM_UP:]) * 1000, (50, 95, 99))
        print(f"{name:<10}  {p50:7.1f}{p95:7.1f}{p99:7.1f}")
    print(f"\na frame lasts {FRAME_MS} ms: {FRAME_MS / float(np.median(wall) * 1000):.1f} engines' worth on one core")
    return 0
