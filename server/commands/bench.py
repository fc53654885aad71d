"""`les-avatar bench`: what the engine, the encoder and, with `--calls`, the whole server do on this machine."""

import argparse
import asyncio
import json
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.avatar import Avatar, Stream
from engine.units import CHUNK, FRAME_MS
from server.app import Server, create_app
from server.capacity import babble, machine
from server.commands import Refusal
from server.commands.callers import WARM_S
from server.commands.serve import SLACK, cores, on_cores
from server.commands.sources import checked_size, open_portrait
from server.encoder import START_BITRATE, open_x264
from server.media import video_frame
from server.settings import Settings

SETTLING = 150  # frames until a network that hears silence is at rest
SMOOTH_MS = 48.0  # the 95th percentile of the time between pictures, up to which a call counts as held


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """Quantiles of many measurements, in milliseconds unless the name says otherwise."""

    name: str
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, name: str, values: Sequence[float] | Floats) -> "Row":
        return cls(name, *(round(float(v), 2) for v in np.percentile(values, (50, 95, 99))))

    def __str__(self) -> str:
        return f"{self.name:<46}{self.p50:8.1f}{self.p95:8.1f}{self.p99:8.1f}"


def run(options: argparse.Namespace) -> int:
    print(f"{machine()}\nPython {platform.python_version()}, av {version('av')}, aiortc {version('aiortc')}\n")
    rows, facts = asyncio.run(of_calls(options)) if options.calls else of_frames(options)
    print(f"{'':<46}{'p50':>8}{'p95':>8}{'p99':>8}", *rows, "", sep="\n")
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    if options.json:
        report = {"machine": machine(), "rows": [vars(row) for row in rows], **facts}
        options.json.write_text(json.dumps(report, indent=1))
    return 0


# ---- engine and encoder


def of_frames(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """One stream on one thread, talking and silent, and the encoding of what it draws."""
    avatar, portrait, size = Avatar(slack=SLACK), open_portrait(options.portrait), checked_size(options.size)
    talking = babble(max(options.seconds, 1))
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


# ---- the whole server


async def of_calls(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """A server in this process, and callers over the loopback in another."""
    count, engines = options.calls, options.engines or cores()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(port=0, portraits_dir=Path(folder), max_sessions=count, engines=engines)
        app = create_app(settings, on_cores())
        server = Server(app, settings)
        serving = asyncio.create_task(server.serve())
        while not (server.started and app.state.place.ready):
            if app.state.place.problem if server.started else serving.done():
                raise Refusal("the server did not start; see above")
            await asyncio.sleep(0.1)
        port = server.servers[0].sockets[0].getsockname()[1]
        before, begun = time.process_time(), time.monotonic()
        reports = await _callers(f"http://127.0.0.1:{port}", options)
        spent, taken = time.process_time() - before, time.monotonic() - begun
        server.should_exit = True
        await serving
    facts: dict[str, Any] = {
        "calls": f"{count}, {'silent' if options.silent else 'talking'}, for {options.seconds:g} s, {engines} engines",
        "held (p95 of the time between pictures at most 48 ms)": f"{sum(map(_held, reports))} of {count}",
        "frames a second": [round(float((len(r["arrivals"]) - 1) / np.ptp(r["arrivals"])), 2) for r in reports],
        "late share": [r["stats"][-1]["late_share"] for r in reports],
        "degraded": [r["degraded"] for r in reports if r["degraded"]] or "never",
        "server CPU, cores": round(spent / taken, 2),
        "server memory, most, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    return list(_rows(reports)), facts


async def _callers(url: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "server.commands.callers", url, "--calls", str(options.calls)]
    command += ["--seconds", str(options.seconds), *(["--silent"] if options.silent else [])]
    command += ["--speech", str(options.speech)] if options.speech else []
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise Refusal("the calls failed; see above")
    reports: list[dict[str, Any]] = json.loads(out)
    return reports


def _gaps(report: dict[str, Any]) -> list[float]:
    """Milliseconds between pictures, after the first seconds."""
    arrivals = np.array(report["arrivals"])
    gaps: list[float] = (np.diff(arrivals[arrivals > arrivals[0] + WARM_S]) * 1000).tolist()
    return gaps


def _held(report: dict[str, Any]) -> bool:
    return bool(np.percentile(_gaps(report), 95) <= SMOOTH_MS)


def _rows(reports: list[dict[str, Any]]) -> Iterator[Row]:
    for number, report in enumerate(reports, 1):
        yield Row.of(f"call {number}: time between pictures, ms", _gaps(report))
    stats = [told for report in reports for told in report["stats"][int(WARM_S) :]]
    for key, words in (
        ("render_ms", "engine a frame"),
        ("encode_ms", "encoder a frame"),
        ("latency_ms", "microphone packet to its frame at the encoder"),
    ):
        if values := [told[key] for told in stats if told[key] is not None]:
            yield Row.of(f"{words}, ms", values)
    if applied := [ms for report in reports for ms in report["applied_ms"]]:
        yield Row.of("emotion.set to applied, ms", applied)
    yield Row.of("click to the first picture, ms", [report["first_picture_ms"] for report in reports])
