"""`les-avatar bench --calls N`: the whole server, and callers over WebRTC who hold it to its rate."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np

from engine.units import FRAME_MS
from server.app import Server, create_app
from server.commands import Refusal, serve
from server.commands.callers import WARM_S
from server.commands.rows import Row
from server.commands.watch import Watch
from server.engine_thread import Engine
from server.place import Place
from server.protocol import SIZES
from server.remote import RemoteEngine
from server.settings import Settings

SMOOTH_MS = 48.0  # the 95th percentile of the time between pictures, up to which a call counts as held
LEAST_GAPS = 25  # between pictures, by which a call is judged
MOST_ROWS = 8  # calls that get a row each


async def of_calls(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    """A server in this process, its engines where `serve` has them, and callers over the loopback in another."""
    if options.size not in SIZES:
        raise Refusal(f"--size must be one of {', '.join(map(str, SIZES))} with --calls, not {options.size}")
    factory, engines = serve.engines(options)
    async with _serving(Settings(port=0, max_sessions=options.calls, engines=engines), factory) as (url, place):
        drawing = [
            engine.pid
            for engine in await place.engines.run_on_each(lambda engine: engine)
            if isinstance(engine, RemoteEngine)
        ]
        callers = await _call(url, options)
        watch = Watch(os.getpid(), drawing, callers.pid)
        watching = asyncio.create_task(watch.run())
        more = asyncio.create_task(_one_more(url, options.seconds / 2))
        told = await _told(callers)
        watching.cancel()
        one_more = await more
    came = [report for report in told if not report["refused"]]
    for report in came:
        report["gaps"] = _gaps(report, options.silent)
    reports = [report for report in came if len(report["gaps"]) >= LEAST_GAPS]  # the others were too short to judge
    if not reports:
        raise Refusal("no call lasted long enough to be judged; give more --seconds, or fewer calls")
    kind = "silent" if options.silent else "talking"
    churn = f", one of them another every {options.churn:g} s" if options.churn else ""
    facts: dict[str, Any] = {
        "calls": f"{options.calls} {kind} for {options.seconds:g} s{churn}; {engines} engines",
        "picture": f"{options.size} x {options.size}",
        "held (p95 of the time between pictures at most 48 ms)": f"{sum(map(_held, reports))} of {len(reports)}",
        "frames a second": [round(_rate(report), 2) for report in reports],
        "late share": [r["stats"][-1]["late_share"] for r in reports if r["stats"]],
        "degraded": [r["degraded"] for r in reports if r["degraded"]] or "never",
        "turned away": len(told) - len(came),
        "one call more": one_more,
        **watch.facts(),
    }
    if options.churn:
        strange = [what for report in came for what in report["strange"]]
        facts["pictures looked at"] = sum(report["judged"] for report in came)
        facts["of them another session's"] = strange or 0
    return list(_rows(reports)), facts


@asynccontextmanager
async def _serving(settings: Settings, factory: Callable[[], Engine]) -> AsyncIterator[tuple[str, Place]]:
    app = create_app(settings, factory)
    server = Server(app, settings)
    serving = asyncio.create_task(server.serve())
    try:
        while not (server.started and app.state.place.ready):
            if app.state.place.problem if server.started else serving.done():
                raise Refusal("the server did not start; see above")
            await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", app.state.place
    finally:
        server.should_exit = True
        await serving


async def _one_more(url: str, after_s: float) -> str:
    """What a caller is told who comes when all places should be taken."""
    await asyncio.sleep(after_s)
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/v1/sessions", json={"portrait": "anna", "source": "microphone"})
        if answer.is_success:  # somebody has just left
            auth = {"Authorization": f"Bearer {answer.json()['token']}"}
            await http.delete(f"/v1/sessions/{answer.json()['id']}", headers=auth)
    return f"{answer.status_code}, Retry-After {answer.headers.get('retry-after')}"


async def _call(url: str, options: argparse.Namespace) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "server.commands.callers", url, "--calls", str(options.calls)]
    command += ["--seconds", str(options.seconds), "--churn", str(options.churn), "--size", str(options.size)]
    command += ["--silent"] if options.silent else []
    command += ["--speech", str(options.speech)] if options.speech else []
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def _told(callers: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    out, _ = await callers.communicate()
    if callers.returncode:
        raise Refusal("the calls failed; see above")
    reports: list[dict[str, Any]] = json.loads(out)
    return reports


def _gaps(report: dict[str, Any], silent: bool) -> list[float]:
    """Milliseconds between pictures, after the first seconds.

    Of a silent call, of whose pictures only those that differ are sent: 40, and by how much each took longer than its
    slot says. Whether all came, `_rate` tells.
    """
    # aiortc hands a picture out when the next one comes: that is whose time the arrival is
    arrivals, slots = np.array(report["arrivals"][:-1]), np.array(report["slots"][1:])
    warm = arrivals > arrivals[:1] + WARM_S
    gaps = 1000 * np.diff(arrivals[warm])
    if silent:
        gaps -= FRAME_MS * (np.diff(slots[warm]) - 1)
    told: list[float] = gaps.tolist()
    return told


def _rate(report: dict[str, Any]) -> float:
    """Pictures a second: those that came, and those that the server says need not."""
    came = (len(report["arrivals"]) - 1) / np.ptp(report["arrivals"])
    return float(came + np.mean([told["still_fps"] for told in report["stats"]] or [0.0]))


def _held(report: dict[str, Any]) -> bool:
    return bool(np.percentile(report["gaps"], 95) <= SMOOTH_MS)


def _rows(reports: list[dict[str, Any]]) -> Iterator[Row]:
    if len(reports) <= MOST_ROWS:
        for number, report in enumerate(reports, 1):
            yield Row.of(f"call {number}: time between pictures, ms", report["gaps"])
    yield Row.of("all calls: time between pictures, ms", [gap for report in reports for gap in report["gaps"]])
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
