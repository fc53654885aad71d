"""Callers without a screen: real WebRTC calls that speak, and note when each picture comes, but decode hardly any.

`python -m server.commands.callers URL` makes them from a process of their own and prints what came of each as JSON.
With `--churn` they come and go, and each looks at a picture now and then: it must be of the portrait that was asked
for, before the colour that was asked for, which no other caller of the moment has.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiortc.rtcrtpreceiver
import av
import httpx
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.codecs.base import Decoder
from aiortc.codecs.opus import OpusEncoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpreceiver import TimestampMapper
from aiortc.rtp import RtpPacket
from av.video.codeccontext import VideoCodecContext
from websockets.asyncio.client import connect

from engine.audio import load_audio
from engine.units import FRAME_SIZE, SAMPLE_RATE
from server.commands.eye import COLOURS, Eye, face_of_jpeg
from server.hearing import JITTER_BUFFER
from server.media import audio_frame
from server.talk import talk
from server.timeline import AUDIO_RATE, PACKET, VIDEO_TICKS

CHANGES = 10  # of the emotion, whose way into the picture is timed
WARM_S = 3.0  # of every call, that do not count
FIRST_PICTURE_S = 20.0
LOOK_S = 4.0  # from one picture that is judged to the next
KEY_FRAME = b"\0\0\1\x65"

Samples = npt.NDArray[np.float32]


@dataclass
class Report:
    """What one caller saw."""

    refused: bool = False
    """Whether there was no place."""
    first_picture_ms: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    """When each picture came, on a monotonic clock in seconds."""
    slots: list[int] = field(default_factory=list)
    """Which 40 ms of the call each shows, by its timestamp."""
    applied_ms: list[float] = field(default_factory=list)
    """From asking for another emotion without transition to being told that it has left."""
    stats: list[dict[str, Any]] = field(default_factory=list)
    """The server's own, once a second."""
    degraded: list[dict[str, Any]] = field(default_factory=list)
    judged: int = 0
    """Pictures that were looked at, and"""
    strange: list[str] = field(default_factory=list)
    """what was wrong with those that were not the caller's."""


class Glimpse(JitterBuffer):
    """In the place of a receiver's jitter buffer: a picture's arrival will do, decoding costs more than drawing.

    Key frames go on to the decoder, if they are to be seen.
    """

    def __init__(self, report: Report, seen: asyncio.Event, seeing: bool) -> None:
        super().__init__(capacity=512, is_video=True)
        self._report, self._seen, self._seeing = report, seen, seeing
        self._pts = TimestampMapper()

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        incomplete, frame = super().add(packet)
        if frame is None:
            return incomplete, None
        self._report.arrivals.append(time.monotonic())
        self._report.slots.append(self._pts.map(frame.timestamp) // VIDEO_TICKS)
        self._seen.set()
        return incomplete, frame if self._seeing and KEY_FRAME in frame.data else None


class Deaf(JitterBuffer):
    """Takes sound for heard."""

    def __init__(self) -> None:
        super().__init__(capacity=16)

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        return False, None


class KeyFrames(Decoder):
    """Decodes pictures that need no others."""

    def decode(self, encoded_frame: Any) -> list[av.frame.Frame]:
        codec = av.CodecContext.create("h264", "r")
        assert isinstance(codec, VideoCodecContext)
        return [*codec.decode(av.Packet(encoded_frame.data)), *codec.decode(None)]


class Speech(MediaStreamTrack):
    """Packets of 20 ms, over and over, as they go over the line: many callers say what was encoded once."""

    kind = "audio"

    def __init__(self, packets: Sequence[bytes]) -> None:
        super().__init__()
        self._packets = packets
        self._sent, self._begun = 0, 0.0

    async def recv(self) -> "av.Packet[Any]":
        self._begun = self._begun or time.monotonic()
        await asyncio.sleep(self._begun + self._sent * PACKET / AUDIO_RATE - time.monotonic())
        packet = av.Packet(self._packets[self._sent % len(self._packets)])
        packet.pts, packet.time_base = self._sent * PACKET, Fraction(1, AUDIO_RATE)
        self._sent += 1
        return packet


def encoded(samples: Samples) -> list[bytes]:
    """48 kHz mono as Opus packets of 20 ms."""
    encoder, packets = OpusEncoder(), list[bytes]()
    for i, part in enumerate(samples[: len(samples) // PACKET * PACKET].reshape(-1, PACKET)):
        packets += encoder.encode(audio_frame(part, i * PACKET))[0]
    return packets


async def call(url: str, wish: dict[str, Any], eye: Eye | None, speech: Sequence[bytes], seconds: float) -> Report:
    """One call with a session as wished; everything about it is closed afterwards."""
    report, connection = Report(), RTCPeerConnection()
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        session = (await http.post("/v1/sessions", json=wish)).raise_for_status().json()
        auth = {"Authorization": f"Bearer {session['token']}"}
        try:
            await _connect(http, session, auth, connection, Speech(speech), report, eye)
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
    eye: Eye | None,
) -> None:
    begun, seen, looking = time.monotonic(), asyncio.Event(), set[asyncio.Task[None]]()
    connection.addTrack(speech)
    video = connection.addTransceiver("video", direction="recvonly")
    video.setCodecPreferences([c for c in type(video.sender).getCapabilities("video").codecs if c.name != "VP8"])
    for transceiver in connection.getTransceivers():
        fields = vars(transceiver.receiver)
        assert JITTER_BUFFER in fields, "aiortc has changed inside"
        fields[JITTER_BUFFER] = Glimpse(report, seen, eye is not None) if transceiver is video else Deaf()

    def begin(track: MediaStreamTrack) -> None:
        if track.kind == "video" and eye:
            looking.add(asyncio.create_task(_judge(track, eye, report)))
            looking.add(asyncio.create_task(_look_up(video.receiver, track)))

    connection.on("track", begin)
    await connection.setLocalDescription(await connection.createOffer())
    offer = {"type": "offer", "sdp": connection.localDescription.sdp}
    answer = await http.post(f"/v1/sessions/{session['id']}/offer", json=offer, headers=auth)
    await connection.setRemoteDescription(RTCSessionDescription(**answer.raise_for_status().json()))
    await asyncio.wait_for(seen.wait(), FIRST_PICTURE_S)
    report.first_picture_ms = (time.monotonic() - begun) * 1000


async def _judge(track: MediaStreamTrack, eye: Eye, report: Report) -> None:
    with suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.VideoFrame)
            report.judged += 1
            report.strange += eye.judge(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))


async def _look_up(receiver: RTCRtpReceiver, track: MediaStreamTrack) -> None:
    """Asks now and then for a picture that needs no others."""
    while track.readyState == "live":
        await asyncio.sleep(LOOK_S)
        for source in receiver.getSynchronizationSources():
            await receiver._send_rtcp_pli(source.source)


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
    """float32[n] at 48 kHz mono: a file's sound, a sentence over and over, or digital silence."""
    if silent:
        return np.zeros(AUDIO_RATE, np.float32)
    speech = load_audio(path) if path else talk(4).ravel()
    return np.repeat(speech, AUDIO_RATE // SAMPLE_RATE)


@dataclass(frozen=True)
class Plan:
    count: int
    """Callers at the same moment."""
    seconds: float
    churn_s: float = 0.0
    """From one who leaves, whom another follows at once, to the next; 0: all stay."""

    size: int = FRAME_SIZE
    """Of the pictures they ask for, pixels square."""

    def turns(self, place: int) -> Iterator[tuple[int, float]]:
        """(serial number, seconds) of the calls in one of `count` places, one after the other."""
        if not self.churn_s:
            yield place, self.seconds
            return
        begun, length, number = 0.0, self.churn_s * (place + 1), place
        while begun < self.seconds:
            yield number, min(length, self.seconds - begun)
            begun, length, number = begun + length, self.churn_s * self.count, number + self.count


async def calls(url: str, speech: Sequence[bytes], plan: Plan) -> list[Report]:
    """What each saw, of every default portrait in turn."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        listed = (await http.get("/v1/portraits")).raise_for_status().json()["portraits"]
        faces = {one["id"]: face_of_jpeg((await http.get(one["thumbnail"])).content) for one in listed}
    reports: dict[int, Report] = {}

    async def take(place: int) -> None:
        for number, seconds in plan.turns(place):
            rounds, colour = divmod(number, len(COLOURS))
            portrait = list(faces)[(number + rounds) % len(faces)]
            wish: dict[str, Any] = {"portrait": portrait, "source": "microphone", "size": plan.size, "seed": number}
            eye = Eye(portrait, COLOURS[colour], faces) if plan.churn_s else None
            if eye:
                wish["background"] = eye.colour
            try:
                reports[number] = await call(url, wish, eye, speech, seconds)
            except httpx.HTTPStatusError as refused:
                if refused.response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    raise
                reports[number] = Report(refused=True)
                await asyncio.sleep(seconds)

    await asyncio.gather(*(take(place) for place in range(plan.count)))
    return [report for _, report in sorted(reports.items())]


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The server's own, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--speech", type=Path, help="any sound file")
    parser.add_argument("--silent", action="store_true", help="say nothing")
    parser.add_argument("--churn", type=float, default=0, help="seconds from one caller's leaving to the next's")
    parser.add_argument("--size", type=int, default=FRAME_SIZE, help="of the pictures they ask for")
    options = parser.parse_args(arguments)
    vars(aiortc.rtcrtpreceiver)["get_decoder"] = lambda _: KeyFrames()
    speech = encoded(voice(options.speech, options.silent))
    plan = Plan(options.calls, options.seconds, options.churn, options.size)
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        print(json.dumps([asdict(report) for report in runner.run(calls(options.url, speech, plan))]))


if __name__ == "__main__":
    main()
