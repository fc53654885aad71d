"""`les-avatar bench`: what the engine, the encoder and, with `--calls`, the whole server do on this machine."""

import argparse
import asyncio
import json
import platform
import time
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.avatar import Avatar, Stream
from engine.units import CHUNK, FRAME_MS
from server.capacity import machine
from server.commands.bench_calls import of_calls
from server.commands.bench_sessions import of_sessions
from server.commands.callers import fast_loop
from server.commands.rows import Row
from server.commands.serve import SLACK
from server.commands.sources import checked_size, open_portrait
from server.encoder import START_BITRATE, open_x264
from server.media import video_frame
from server.talk import talk

SETTLING = 150  # frames until a network that hears silence is at rest
Floats = npt.NDArray[np.float32]


def run(options: argparse.Namespace) -> int:
    print(f"{machine()}\nPython {platform.python_version()}, av {version('av')}, aiortc {version('aiortc')}\n")
    measured = _of_calls if options.calls else of_sessions if options.sessions else of_frames
    rows, facts = measured(options)
    print(f"{'':<46}{'p50':>8}{'p95':>8}{'p99':>8}", *rows, "", sep="\n")
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    if options.json:
        report = {"machine": machine(), "rows": [vars(row) for row in rows], **facts}
        options.json.write_text(json.dumps(report, indent=1))
    return 0


def _of_calls(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(of_calls(options))


def of_frames(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """One stream on one thread, talking and silent, and the encoding of what it draws."""
    cv2.setNumThreads(1)  # as in the processes that draw calls
    avatar, portrait, size = Avatar(slack=SLACK), open_portrait(options.portrait), checked_size(options.size)
    talking = talk(max(options.seconds, 1))
    taken = {
        "talking": frame_times(avatar, avatar.open(portrait, size=size), talking),
        "silent": frame_times(avatar, avatar.open(portrait, size=size), np.zeros_like(talking)),
    }
    rows = [Row.of(f"{what} a frame, {how}, ms", taken[how][:, i]) for how in taken for i, what in enumerate(WHAT)]
    engine, _, encoder = np.median(taken["talking"], axis=0)
    shares = [sum(taken[how][:, [0, 2]].mean(axis=0)) for how in ("silent", "talking")]
    facts = {
        "picture": f"{size} x {size}, one thread, {len(talking)} frames",
        "engine / encoder": round(float(engine / encoder), 1),
        "silent / talking, in the mean": round(float(shares[0] / shares[1]), 2),
        "talking portraits on one core": round(float(FRAME_MS / (engine + encoder)), 1),
    }
    return rows, facts


WHAT = ("engine", "engine's CPU time", "encoder")


def frame_times(avatar: Avatar, stream: Stream, chunks: Floats) -> Floats:
    """[frames, 3] milliseconds, in the order of WHAT; what comes first does not count."""
    encoder, taken = open_x264(stream.size, stream.size, START_BITRATE), []
    for chunk in np.concatenate([np.zeros((SETTLING, CHUNK), np.float32), chunks]):
        begun, cpu = time.perf_counter(), time.process_time()
        picture = avatar.step_one(stream, chunk)
        drawn, spent = time.perf_counter(), time.process_time() - cpu
        encoder.encode(video_frame(picture.i420, picture.frame))
        taken.append((drawn - begun, spent, time.perf_counter() - drawn))
    return np.array(taken[SETTLING:], np.float32) * 1000
