"""Callers without a screen: real WebRTC calls that speak, and note when each picture comes, but decode none.

`python -m server.commands.callers URL` makes them from a process of their own and prints what came of each as JSON.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
import av
import httpx
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.codecs.base import Decoder
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import connect

from engine.audio import load_audio
from engine.units import SAMPLE_RATE
from server.capacity import babble
from server.media import audio_frame
from server.timeline import AUDIO_RATE, PACKET

CHANGES = 10  # of the emotion, whose way into the picture is timed
WARM_S = 3.0  # of every call, that do not count
FIRST_PICTURE_S = 20.0

Samples = npt.NDArray[np.float32]


@dataclass
class Report:
    """What one caller saw."""

    first_picture_ms: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    """When each picture came, seconds after the first."""
    applied_ms: list[float] = field(default_factory=list)
    """From asking for another emotion without transition to being told that it has left."""
    stats: list[dict[str, Any]] = field(default_factory=list)
    """The server's own, once a second."""
    degraded: list[dict[str, Any]] = field(default_factory=list)


class Blind(Decoder):
    """Takes a picture's arrival for the picture: decoding costs more than drawing."""

    def decode(self, encoded_frame: Any) -> list[av.frame.Frame]:
        frame = av.VideoFrame(16, 16)
        frame.pts = encoded_frame.timestamp
        return [frame]


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


async def call(url: str, portrait: str, seed: int, samples: Samples, seconds: float) -> Report:
    """One call; everything about it is closed afterwards."""
    report, connection = Report(), RTCPeerConnection()
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        body = {"portrait": portrait, "source": "microphone", "seed": seed}
        session = (await http.post("/v1/sessions", json=body)).raise_for_status().json()
        auth = {"Authorization": f"Bearer {session['token']}"}
        try:
            await _connect(http, session, auth, connection, Speech(samples), report)
            async with connect(f"{url.replace('http', 'ws')}{session['control']}?token={session['token']}") as control:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await _talk(control, report, seconds)
        finally:
            await connection.close()
            await http.delete(f"/v1/sessions/{session['id']}", headers=auth)
    return report


async def _connect(
    http: httpx.AsyncClient,
    session: dict[str, Any],
    auth: dict[str, str],
    connection: RTCPeerConnection,
    speech: Speech,
    report: Report,
) -> None:
    begun, seen, readers = time.monotonic(), asyncio.Event(), set[asyncio.Task[None]]()
    connection.addTrack(speech)
    video = connection.addTransceiver("video", direction="recvonly")
    video.setCodecPreferences([c for c in type(video.sender).getCapabilities("video").codecs if c.name != "VP8"])

    async def read(track: MediaStreamTrack) -> None:
        with suppress(MediaStreamError):
            while True:
                await track.recv()
                report.arrivals.append(time.monotonic())
                seen.set()

    def begin(track: MediaStreamTrack) -> None:
        if track.kind == "video":
            readers.add(asyncio.create_task(read(track)))

    connection.on("track", begin)
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"type": "offer", "sdp": connection.localDescription.sdp}
    answer = await http.post(f"/v1/sessions/{session['id']}/offer", json=offer, headers=auth)
    await connection.setRemoteDescription(RTCSessionDescription(**answer.raise_for_status().json()))
    await asyncio.wait_for(seen.wait(), FIRST_PICTURE_S)
    report.first_picture_ms = (time.monotonic() - begun) * 1000


async def _talk(control: Any, report: Report, seconds: float) -> None:
    begun, asked, every = time.monotonic(), 0.0, seconds / (CHANGES + 1)
    async for text in control:
        message, now = json.loads(text), time.monotonic()
        if message["type"] == "emotion.applied":
            report.applied_ms.append((now - asked) * 1000)
            asked = 0.0
        elif message["type"] in ("stats", "degraded"):
            (report.stats if message["type"] == "stats" else report.degraded).append(message)
        if not asked and now - begun > every * (len(report.applied_ms) + 1):
            asked, level = now, len(report.applied_ms) % 2
            wish = {"type": "emotion.set", "emotion": {"happiness": level}, "transition_ms": 0, "id": 1}
            await control.send(json.dumps(wish))


def voice(path: Path | None, silent: bool) -> Samples:
    """float32[n] at 48 kHz mono: a file's sound, a buzzing vowel, or digital silence."""
    if silent:
        return np.zeros(AUDIO_RATE, np.float32)
    speech = load_audio(path) if path else babble(4).ravel()
    return np.repeat(speech, AUDIO_RATE // SAMPLE_RATE)


async def calls(url: str, samples: Samples, count: int, seconds: float) -> list[Report]:
    """So many at once, of every default portrait in turn."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        listed = (await http.get("/v1/portraits")).raise_for_status().json()["portraits"]
    ids = [portrait["id"] for portrait in listed]
    return await asyncio.gather(*(call(url, ids[i % len(ids)], i, samples, seconds) for i in range(count)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--speech", type=Path, help="any sound file")
    parser.add_argument("--silent", action="store_true", help="say nothing")
    options = parser.parse_args(arguments)
    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda codec: Blind()
    samples = voice(options.speech, options.silent)
    print(json.dumps([asdict(r) for r in asyncio.run(calls(options.url, samples, options.calls, options.seconds))]))


if __name__ == "__main__":
    main()
