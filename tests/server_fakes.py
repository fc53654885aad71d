"""A fake engine whose pictures say what it was given, and a real client that reads them.

A picture's rows of blocks, from the top: the frame's number in binary, the loudness of the sound that belongs to it,
the activation of every unit summed, the session's seed in binary. Blocks are large and grey, so they survive the
video codec.
"""

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
import cv2
import httpx
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from engine.background import Background
from engine.les import Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from engine.units import CHUNK

Samples = npt.NDArray[np.float32]
BITS = 16
LOUD = 0.25  # RMS that makes the loudness row white


@dataclass
class FakePicture:
    frame: int
    rgb: npt.NDArray[np.uint8]

    @cached_property
    def i420(self) -> npt.NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(self.rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)


@dataclass
class FakeStream:
    portrait: Portrait
    seed: int
    size: int
    look_ahead: int
    past: deque[float]
    """The loudness of chunks whose pictures have not come."""
    frame: int = 0
    les: float = 0.0
    motion: MotionAmounts | None = None
    activities: list[str] = field(default_factory=list)
    hushed: int = 0
    """How often the mouth was shut."""
    plate: npt.NDArray[np.uint8] | None = None

    def set_emotion(self, target: Les, *, transition_s: float, hold_s: float | None = None) -> int:
        self.les = float(np.sum(target.values))
        return self.frame

    def set_motion(self, amounts: MotionAmounts) -> None:
        self.motion = amounts

    def set_activity(self, activity: str, *, addressed: bool) -> None:
        self.activities.append(activity)

    def skip(self, frames: int) -> None:
        self.frame += frames

    def stand_before(self, background: Background) -> None:
        background.check(self.portrait)
        self.plate = background.plate(self.portrait, self.size)

    def hush(self) -> None:
        """Shuts the mouth at once, and forgets the sound whose pictures have not come."""
        self.hushed += 1
        self.past.clear()

    def unhear(self, chunks: int) -> None:
        for _ in range(chunks):
            self.past.pop()


class FakeEngine:
    """Emotions appear at once, in the next frame. `fault` may raise for a stream."""

    aligned = False

    def __init__(self, look_ahead: int = 1, fault: Callable[[FakeStream], None] | None = None) -> None:
        self.look_ahead, self.fault = look_ahead, fault
        self.streams: list[FakeStream] = []
        self.broken = ""
        """Why none of its steps succeeds any more."""

    def open(self, portrait: Portrait, *, seed: int = 0, size: int = 512, look_ahead: int | None = None) -> FakeStream:
        ahead = self.look_ahead if look_ahead is None else look_ahead
        stream = FakeStream(portrait, seed, size, ahead, deque([0.0] * ahead))
        self.streams.append(stream)
        return stream

    def resize(self, stream: FakeStream, size: int) -> None:
        stream.size = size

    def check(self) -> None:
        if self.broken:
            raise RuntimeError(self.broken)

    def close(self) -> None:
        self.streams.clear()

    def step(self, work: Sequence[tuple[FakeStream, Samples]]) -> list[FakePicture]:
        self.check()
        for stream, _ in work:
            if self.fault:
                self.fault(stream)
        return [self._advance(stream, chunk) for stream, chunk in work]

    def _advance(self, stream: FakeStream, chunks: Samples) -> FakePicture:
        stream.past.extend(np.sqrt(np.mean(chunks.reshape(-1, CHUNK) ** 2, axis=1)).tolist())
        loudness = 0.0
        while len(stream.past) > stream.look_ahead:
            loudness = stream.past.popleft()
        rows = [bits(stream.frame), [loudness / LOUD], [stream.les / 4], bits(stream.seed)]
        picture = FakePicture(stream.frame, draw(rows, stream.size))
        stream.frame += 1
        return picture


class StillEngine(FakeEngine):
    """Its pictures show the emotion and the seed, and are drawn again only when these change."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[int, float], FakePicture] = {}

    def _advance(self, stream: FakeStream, chunks: Samples) -> FakePicture:
        frame = super()._advance(stream, chunks).frame
        new = FakePicture(frame, draw([bits(0), [0.0], [stream.les / 4], bits(stream.seed)], stream.size))
        shown = self._shown.setdefault((stream.seed, stream.les), new)
        again = FakePicture(frame, shown.rgb)
        again.i420 = shown.i420
        return again


def bits(number: int) -> list[float]:
    return [float(number >> place & 1) for place in range(BITS)]


def draw(rows: Sequence[Sequence[float]], size: int) -> npt.NDArray[np.uint8]:
    """uint8[size,size,3]: rows of grey blocks."""
    height = size // len(rows)
    picture = np.zeros((size, size), np.uint8)
    for i, row in enumerate(rows):
        levels = np.repeat(np.clip(row, 0, 1), size // len(row)) * 220 + 16
        picture[i * height : (i + 1) * height] = levels.astype(np.uint8)
    return np.repeat(picture[:, :, None], 3, axis=2)


@dataclass(frozen=True)
class Seen:
    """What a received picture says, and its media time."""

    frame: int
    loudness: float
    les: float
    seed: int
    time_s: float
    size: int


def read_picture(frame: av.VideoFrame) -> Seen:
    grey = frame.to_ndarray(format="gray").astype(float)
    rows = [row.mean(axis=0) for row in np.array_split(grey, 4)]
    number, seed = (
        sum(int(block.mean() > 126) << i for i, block in enumerate(np.split(rows[k], BITS))) for k in (0, 3)
    )
    level = [(row[row.size // 4 : -row.size // 4].mean() - 16) / 220 for row in rows]
    assert frame.pts is not None and frame.time_base is not None
    return Seen(number, level[1] * LOUD, level[2] * 4, seed, float(frame.pts * frame.time_base), frame.width)


class Tone(MediaStreamTrack):
    """A microphone: a 440 Hz tone, gated by `loud(second)`, from a clock that runs `speed` times as fast as ours."""

    kind = "audio"

    def __init__(
        self, loud: Callable[[float], bool], rate: int = 48_000, layout: str = "mono", speed: float = 1.0
    ) -> None:
        super().__init__()
        self._loud, self._rate, self._layout, self._speed = loud, rate, layout, speed
        self._sent, self._begun = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        clock, count = asyncio.get_running_loop().time, self._rate // 50
        self._begun = self._begun or clock()
        await asyncio.sleep(self._begun + self._sent / self._rate / self._speed - clock())
        times = (self._sent + np.arange(count)) / self._rate
        gate = np.array([self._loud(second) for second in times])
        wave = (np.sin(2 * math.pi * 440 * times) * gate * 0.4 * 32767).astype(np.int16)
        channels = 2 if self._layout == "stereo" else 1
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, channels)[None], format="s16", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._sent, Fraction(1, self._rate)
        self._sent += count
        return frame


@dataclass
class Caller:
    """A client over real sockets: `async with Caller(url) as caller`, then `await caller.call()`."""

    url: str
    microphone: MediaStreamTrack | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    configuration: RTCConfiguration | None = None
    codec: str = "H264"
    audio_codec: str = "opus"
    trickle: bool = False
    pictures: list[Seen] = field(default_factory=list)
    sound: list[tuple[float, Samples]] = field(default_factory=list)
    """(media time in seconds, float32[n] at 48 kHz)"""

    async def __aenter__(self) -> "Caller":
        self.http = httpx.AsyncClient(base_url=self.url, timeout=60)
        self.connection: RTCPeerConnection | None = None
        self._readers: list[asyncio.Task[None]] = []
        self.first_picture = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()
        if hasattr(self, "session"):
            await self.http.delete(f"/v1/sessions/{self.session['id']}", headers=self.auth)
        await self.http.aclose()

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session['token']}"}

    @property
    def control_url(self) -> str:
        return f"{self.url.replace('http', 'ws')}{self.session['control']}?token={self.session['token']}"

    async def create(self) -> dict[str, Any]:
        body = {"portrait": "anna", "source": "microphone"} | self.fields
        response = await self.http.post("/v1/sessions", json=body)
        assert response.status_code == 201, response.text
        session: dict[str, Any] = response.json()
        self.session = session
        return session

    async def call(self) -> None:
        """Creates a session if need be, and connects media."""
        if not hasattr(self, "session"):
            await self.create()
        path, offer = f"/v1/sessions/{self.session['id']}/offer", await self.offer()
        candidates = [line for line in offer["sdp"].splitlines() if line.startswith("a=candidate")]
        if self.trickle:
            offer["sdp"] = re.sub(r"a=(candidate.*|end-of-candidates)\r\n", "", offer["sdp"])
        response = await self.http.post(path, json=offer, headers=self.auth)
        assert response.status_code == 200, response.text
        assert self.connection
        await self.connection.setRemoteDescription(RTCSessionDescription(**response.json()))
        if self.trickle:
            trickled = [{"candidate": line[2:], "sdpMid": "0", "sdpMLineIndex": 0} for line in candidates]
            body = {"candidates": [*trickled, {"candidate": "", "sdpMid": "0"}]}
            response = await self.http.patch(path, json=body, headers=self.auth)
            assert response.status_code == 204, response.text
        await asyncio.wait_for(self.first_picture.wait(), 60)

    async def offer(self) -> dict[str, str]:
        connection = self.connection = RTCPeerConnection(self.configuration)
        audio = connection.addTransceiver(self.microphone or "audio", "sendrecv" if self.microphone else "recvonly")
        voices = type(audio.sender).getCapabilities("audio").codecs
        audio.setCodecPreferences([codec for codec in voices if codec.name == self.audio_codec])
        video = connection.addTransceiver("video", direction="recvonly")
        codecs = type(video.sender).getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in codecs if codec.name in (self.codec, "rtx")])
        self.prepare()
        connection.on("track", self._on_track)
        await connection.setLocalDescription(await connection.createOffer())
        return {"sdp": connection.localDescription.sdp, "type": "offer"}

    def prepare(self) -> None:
        """For clients that offer more."""

    async def hang_up(self) -> None:
        if self.connection:
            await self.connection.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()

    def _on_track(self, track: MediaStreamTrack) -> None:
        read = self._read_video if track.kind == "video" else self._read_audio
        self._readers.append(asyncio.create_task(read(track)))

    async def _read_video(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.VideoFrame)
            self.pictures.append(read_picture(frame))
            self.first_picture.set()

    async def _read_audio(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame) and frame.pts is not None and frame.time_base is not None
            samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0] / 32768
            self.sound.append((float(frame.pts * frame.time_base), samples.astype(np.float32)))
