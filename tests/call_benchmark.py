"""`python -m tests.call_benchmark URL`: real WebRTC calls to a running server, and what came of them.

Every caller speaks a sound file (or a tone), watches and listens. Emotions are set without transition ten times; the
time until `emotion.applied` is taken at the client. Latency, render and encode times are the server's own (`stats`).
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import av
import httpx
import numpy as np
import psutil
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import connect

from engine.units import FPS
from server.media import audio_frame
from server.microphone import Samples
from server.timeline import AUDIO_RATE, PACKET

ACKNOWLEDGEMENTS = 10


class Speech(MediaStreamTrack):
    """48 kHz mono samples, over and over, in packets of 20 ms."""

    kind = "audio"

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self._packets = samples[: len(samples) // PACKET * PACKET].reshape(-1, PACKET)
        self._sent, self._begun = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        self._begun = self._begun or time.monotonic()
        await asyncio.sleep(self._begun + self._sent * PACKET / AUDIO_RATE - time.monotonic())
        frame = audio_frame(self._packets[self._sent % len(self._packets)], self._sent * PACKET)
        self._sent += 1
        return frame


@dataclass
class Result:
    connect_ms: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    """When each picture was received, seconds."""
    stats: list[dict[str, Any]] = field(default_factory=list)
    applied_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        gaps = np.diff(self.arrivals) * 1000
        numbers = {key: [stats[key] for stats in self.stats[2:] if stats[key] is not None] for key in self.stats[-1]}
        rate = (len(self.arrivals) - 1) / np.ptp(self.arrivals)
        yield f"first picture after {self.connect_ms:.0f} ms; {rate:.2f} frames/s"
        yield f"gap between pictures p95 {np.percentile(gaps, 95):.1f} ms, worst {gaps.max():.0f} ms"
        for key in ("latency_ms", "latency_p95_ms", "render_ms", "encode_ms", "av_offset_ms", "bitrate_kbps"):
            if numbers[key]:
                yield f"{key:<16} mean {fmean(numbers[key]):7.2f}   worst {max(numbers[key], key=abs):7.2f}"
        yield f"late share {numbers['late_share'][-1]:.2%}"
        yield f"emotion.applied after {fmean(self.applied_ms):.0f} ms, worst {max(self.applied_ms):.0f} ms"


async def call(url: str, portrait: str, seed: int, samples: Samples, seconds: float) -> Result:
    """One call; everything about it is closed afterwards."""
    result, connection = Result(), RTCPeerConnection()
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        body = {"portrait": portrait, "source": "microphone", "seed": seed}
        session = (await http.post("/v1/sessions", json=body)).raise_for_status().json()
        auth = {"Authorization": f"Bearer {session['token']}"}
        try:
            await _connect(http, session, auth, connection, Speech(samples), result)
            async with connect(f"{url.replace('http', 'ws')}{session['control']}?token={session['token']}") as control:
                await _talk(control, result, seconds)
        finally:
            await connection.close()
            await http.delete(f"/v1/sessions/{session['id']}", headers=auth)
    return result


async def _connect(
    http: httpx.AsyncClient,
    session: dict[str, Any],
    auth: dict[str, str],
    connection: RTCPeerConnection,
    speech: Speech,
    result: Result,
) -> None:
    begun, seen = time.monotonic(), asyncio.Event()
    connection.addTrack(speech)
    video = connection.addTransceiver("video", direction="recvonly")
    video.setCodecPreferences([c for c in type(video.sender).getCapabilities("video").codecs if c.name != "VP8"])

    async def read(track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
                if track.kind == "video":
                    result.arrivals.append(time.monotonic())
                    seen.set()
        except MediaStreamError:
            return

    readers = []
    connection.on("track", lambda track: readers.append(asyncio.create_task(read(track))))
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"type": "offer", "sdp": connection.localDescription.sdp}
    answer = await http.post(f"/v1/sessions/{session['id']}/offer", json=offer, headers=auth)
    await connection.setRemoteDescription(RTCSessionDescription(**answer.raise_for_status().json()))
    await asyncio.wait_for(seen.wait(), 20)
    result.connect_ms = (time.monotonic() - begun) * 1000


async def _talk(control: Any, result: Result, seconds: float) -> None:
    begun, asked, every = time.monotonic(), 0.0, seconds / (ACKNOWLEDGEMENTS + 1)
    while time.monotonic() - begun < seconds:
        if time.monotonic() - begun > every * (len(result.applied_ms) + 1) and not asked:
            asked, level = time.monotonic(), len(result.applied_ms) % 2
            message = {"type": "emotion.set", "emotion": {"happiness": level}, "transition_ms": 0, "id": 1}
            await control.send(json.dumps(message))
        message = json.loads(await control.recv())
        if message["type"] == "emotion.applied":
            result.applied_ms.append((time.monotonic() - asked) * 1000)
            asked = 0.0
        elif message["type"] == "stats":
            result.stats.append(message)


def load(path: Path | None) -> Samples:
    """float32[n] at 48 kHz mono; without a file, a second of tone and a second of silence."""
    if path is None:
        tone = np.sin(2 * np.pi * 180 * np.arange(AUDIO_RATE) / AUDIO_RATE) * 0.3
        return np.concatenate([tone, np.zeros(AUDIO_RATE)]).astype(np.float32)
    resample = av.AudioResampler(format="flt", layout="mono", rate=AUDIO_RATE)
    with av.open(str(path)) as file:
        frames = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in resample.resample(frame)]
    return np.concatenate(frames)


async def main(options: argparse.Namespace) -> None:
    samples, portraits = load(options.speech), ("anna", "zola")
    calls = [
        asyncio.create_task(call(options.url, portraits[i % 2], i, samples, options.seconds))
        for i in range(options.sessions)
    ]
    server = psutil.Process(options.pid) if options.pid else None
    memory = []
    while not all(task.done() for task in calls):
        await asyncio.sleep(1)
        memory += [server.memory_info().rss / 1e6] if server else []
    for number, task in enumerate(calls, 1):
        print(f"call {number}:", *task.result().lines(), sep="\n  ")
    if server and memory:
        print(f"server memory {memory[len(memory) // 4]:.0f} MB early, {memory[-2]:.0f} MB at the end")
        print(f"server CPU time {sum(server.cpu_times()[:2]):.1f} s since its start; {FPS} frames/s are expected")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--speech", type=Path, help="any sound file")
    parser.add_argument("--pid", type=int, help="the server's process, for its memory and CPU time")
    asyncio.run(main(parser.parse_args()))
