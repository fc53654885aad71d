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
from engine.backend import choose
from engine.runtime.tensorrt import GpuMissing
from engine.runtime.tensorrt_plan import PlanRefused
from engine.units import CHUNK, FPS, FRAME_MS
from server.capacity import machine
from server.commands import Refusal
from server.commands.bench_calls import of_calls
from server.commands.bench_sessions import of_sessions
from server.commands.callers import fast_loop
from server.commands.rows import Row
from server.commands.serve import SLACK
from server.commands.sources import checked_size, open_portrait, read_file
from server.encoder import FastH264Encoder
from server.media import video_frame
from server.stills import Stills
from server.talk import talk
from server.timeline import video_pts

SETTLING = 150  # frames until a network that hears silence is at rest
Floats = npt.NDArray[np.float32]


OF_CALLS = ("churn", "speech", "silent", "engines")  # options that mean nothing to the other measurements


def run(options: argparse.Namespace) -> int:
    if not options.calls and (given := [f"--{name}" for name in OF_CALLS if getattr(options, name)]):
        raise Refusal(f"{given[0]} goes with --calls")
    if options.speech:
        read_file(options.speech)  # the callers, in processes of their own, would say it late
    print(f"{machine()}\nPython {platform.python_version()}, av {version('av')}, aiortc {version('aiortc')}\n")
    measured = _of_calls if options.calls else of_sessions if options.sessions else of_frames
    try:
        rows, facts = measured(options)
    except (GpuMissing, PlanRefused) as missing:
        raise Refusal(str(missing)) from missing
    print(f"{'':<46}{'p50':>8}{'p95':>8}{'p99':>8}", *rows, "", sep="\n")
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    if options.json:
        report = {"machine": machine(), "rows": [vars(row) for row in rows], **facts}
        try:
            options.json.write_text(json.dumps(report, indent=1))
        except OSError as error:
            raise Refusal(f"can't write {options.json}: {error.strerror}") from None
    return 0


def _of_calls(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(of_calls(options))


def of_frames(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """One stream on one thread, talking and silent, and the encoding of what it draws."""
    cv2.setNumThreads(1)  # as in the processes that draw calls
    size, portrait = checked_size(options.size), open_portrait(options.portrait or "anna")
    backend = choose(options.runtime, plans=options.plans)
    avatar = Avatar(look_ahead=options.look_ahead, slack=SLACK, backend=backend)
    talking = talk(max(options.seconds, 1))
    voices = {"talking": talking, "silent": np.zeros_like(talking)}
    trials = {how: Trial(avatar, avatar.open(portrait, size=size)) for how in voices}
    for second in range(0, len(talking), FPS):  # in turns, for whatever else the machine does to weigh on both
        for how, trial in trials.items():
            trial.run(voices[how][second : second + FPS])
    taken = {how: trial.milliseconds for how, trial in trials.items()}
    rows = [Row.of(f"{what} a frame, {how}, ms", taken[how][:, i]) for how in taken for i, what in enumerate(WHAT)]
    engine, _, encoder = np.median(taken["talking"], axis=0)
    shares = [sum(taken[how][:, [0, 2]].mean(axis=0)) for how in ("silent", "talking")]
    facts = {
        "picture": f"{size} x {size}, one thread, {len(talking)} frames, {backend.name}",
        "engine / encoder": round(float(engine / encoder), 1),
        "silent / talking, in the mean": round(float(shares[0] / shares[1]), 2),
        "talking portraits on one core": round(float(FRAME_MS / (engine + encoder)), 1),
    }
    return rows, facts


WHAT = ("engine", "engine's CPU time", "encoder")


class Trial:
    """A stream whose pictures are drawn, and encoded where they differ, as in a call."""

    def __init__(self, avatar: Avatar, stream: Stream) -> None:
        self._avatar, self._stream = avatar, stream
        self._encoder, self._stills = FastH264Encoder(), Stills()
        self._taken: list[tuple[float, float, float]] = []
        self.run(np.zeros((SETTLING, CHUNK), np.float32))
        self._taken.clear()

    def run(self, chunks: Floats) -> None:
        """[n, 640]"""
        for chunk in chunks:
            begun, cpu = time.perf_counter(), time.process_time()
            picture = self._avatar.step_one(self._stream, chunk)
            drawn, spent = time.perf_counter(), time.process_time() - cpu
            if not self._stills.spare(picture.frame, picture.i420):
                self._stills.sent(picture.frame, picture.i420)
                self._encoder.encode(video_frame(picture.i420, video_pts(picture.frame)))
            self._taken.append((drawn - begun, spent, time.perf_counter() - drawn))

    @property
    def milliseconds(self) -> Floats:
        """[frames, 3] in the order of WHAT, since the beginning."""
        return np.array(self._taken, np.float32) * 1000
