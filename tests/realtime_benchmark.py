"""How fast the Realtime protocol stops the portrait, both ways round: `python -m tests.realtime_benchmark [voice]`.

With `voice` recordings (Debian's `pocketsphinx-testdata`) interrupt a backend that does not listen itself: from their
onset in the microphone, by level, to `conversation.item.truncate` at the backend.

The server with the fake engine, its clients and a real WebRTC receiver share one process and one core, so all figures
hold their work too. A receiver counts as silent once its last loud packet has come out of its jitter buffer.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack

from engine.audio import load_audio
from engine.units import SAMPLE_RATE
from server.media import audio_frame
from server.microphone import Samples
from server.settings import AssistantSettings, Endpoint
from server.timeline import AUDIO_RATE, PACKET
from tests.realtime_backend import KEY, Backend
from tests.realtime_client import speaking
from tests.server_fakes import Caller
from tests.server_running import running

ROUNDS = 10
SPEECH_MS = 5000
HEARD_S = 0.8  # before it is stopped
LOUD = 0.02
LEVEL = 0.05  # RMS of the user's voice at the microphone
RECORDINGS = Path("/usr/share/pocketsphinx/test/data")


def tone(ms: int) -> bytes:
    """PCM16 at 24 kHz, loud from the first sample to the last."""
    return (np.cos(2 * np.pi * 440 * np.arange(24 * ms) / 24_000) * 12_000).astype("<i2").tobytes()


@dataclass
class Receiver(Caller):
    """Notes when sound comes."""

    loud: list[tuple[float, float]] = field(default_factory=list)
    """(when, seconds of loud samples in the packet)"""

    async def _read_audio(self, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            assert isinstance(frame, av.AudioFrame)
            samples = np.abs(frame.to_ndarray().reshape(-1, 2)[:, 0] / 32768)
            if np.max(samples) > LOUD:
                loud = np.flatnonzero(samples > LOUD)
                self.loud.append((monotonic(), float(loud[-1] - loud[0] + 1) / 48_000))

    def since(self, begun: float) -> list[tuple[float, float]]:
        return [packet for packet in self.loud if packet[0] >= begun]


class Microphone(MediaStreamTrack):
    """Silence, and a recording whenever `speak` says so."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._left, self._sent, self._begun = np.zeros(0, np.float32), 0, 0.0
        self.onset = 0.0
        """When the last recording's first loud packet left."""

    def speak(self, samples: Samples) -> None:
        self._left, self.onset = samples, 0.0

    async def recv(self) -> av.AudioFrame:
        self._begun = self._begun or monotonic()
        await asyncio.sleep(self._begun + self._sent / AUDIO_RATE - monotonic())
        packet = np.zeros(PACKET, np.float32)
        packet[: len(self._left[:PACKET])], self._left = self._left[:PACKET], self._left[PACKET:]
        if not self.onset and np.sqrt(np.mean(packet**2)) > LOUD:
            self.onset = monotonic()
        frame = audio_frame(packet, self._sent)
        self._sent += PACKET
        return frame


@asynccontextmanager
async def receiving(
    source: str, microphone: MediaStreamTrack | None = None, **settings: Any
) -> AsyncIterator[Receiver]:
    with tempfile.TemporaryDirectory() as directory:
        async with running(Path(directory), **settings) as server:
            fields = {"source": source, "size": 256, "barge_in": microphone is not None}
            receiver = Receiver(server.url, microphone, fields)
            async with receiver:
                await receiver.call()
                await asyncio.sleep(1)  # until the jitter buffer has settled
                yield receiver


async def as_backend() -> dict[str, list[float]]:
    """`response.cancel` of the official client."""
    found: dict[str, list[float]] = {name: [] for name in ("first sound", "answer", "silence", "position")}
    async with receiving("push") as receiver:
        async with speaking(receiver.url, receiver.session["id"], receiver.session["token"]) as client:
            for round in range(1, ROUNDS + 1):
                begun = monotonic()
                await client.say(tone(SPEECH_MS))
                await client.until("output_audio_buffer.started", round)
                await asyncio.sleep(HEARD_S)
                stopped = monotonic()
                await client.connection.response.cancel()
                truncated = await client.until("conversation.item.truncated", round)
                found["answer"].append(monotonic() - stopped)
                await asyncio.sleep(0.6)
                loud = receiver.since(begun)
                found["first sound"].append(loud[0][0] - begun)
                found["silence"].append(max(0.0, loud[-1][0] - stopped))
                found["position"].append(truncated.audio_end_ms / 1000 - sum(seconds for _, seconds in loud))
    return found


async def as_client() -> dict[str, list[float]]:
    """`speech_started` of a backend whose answer is still coming."""
    found: dict[str, list[float]] = {name: [] for name in ("first sound", "answer", "silence", "position")}
    async with Backend().serving() as backend:
        assistant = AssistantSettings(realtime=Endpoint(backend.url, "gpt-realtime", KEY))
        async with receiving("assistant", assistant=assistant) as receiver:
            for round in range(1, ROUNDS + 1):
                begun = monotonic()
                await backend.say(tone(SPEECH_MS), f"resp_{round}", f"item_{round}", done=False)
                while not receiver.since(begun):
                    await asyncio.sleep(0.005)
                await asyncio.sleep(HEARD_S)
                stopped = monotonic()
                await backend.user_speaks()
                truncate = await backend.until("conversation.item.truncate", round)
                found["answer"].append(monotonic() - stopped)
                await asyncio.sleep(0.6)
                loud = receiver.since(begun)
                found["first sound"].append(loud[0][0] - begun)
                found["silence"].append(max(0.0, loud[-1][0] - stopped))
                found["position"].append(truncate.audio_end_ms / 1000 - sum(seconds for _, seconds in loud))
    return found


async def by_voice() -> dict[str, list[float]]:
    """The server's own ear tells; recordings one after the other."""
    found: dict[str, list[float]] = {name: [] for name in ("answer", "silence")}
    voices = [load_audio(path) for path in sorted(RECORDINGS.rglob("*.wav"))]
    microphone = Microphone()
    async with Backend().serving() as backend:
        assistant = AssistantSettings(realtime=Endpoint(backend.url, "gpt-realtime", KEY))
        async with receiving("assistant", microphone, assistant=assistant) as receiver:
            for round, voice in enumerate(voices[:ROUNDS], 1):
                begun = monotonic()
                await backend.say(tone(SPEECH_MS), f"resp_{round}", f"item_{round}", done=False)
                while not receiver.since(begun):
                    await asyncio.sleep(0.005)
                await asyncio.sleep(HEARD_S)
                spoken = np.repeat(voice[:SAMPLE_RATE], 3)  # the first second, at 48 kHz
                microphone.speak((spoken * LEVEL / np.sqrt(np.mean(spoken**2))).astype(np.float32))
                await backend.until("conversation.item.truncate", round)
                found["answer"].append(monotonic() - microphone.onset)
                await asyncio.sleep(1.5)
                found["silence"].append(receiver.since(begun)[-1][0] - microphone.onset)
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    print(f"{title}: milliseconds, median [lowest, highest] of {len(next(iter(found.values())))}")
    for name, seconds in found.items():
        ms = np.array(seconds) * 1000
        print(f"  {name:12} {np.median(ms):7.1f} [{ms.min():.1f}, {ms.max():.1f}]")


if __name__ == "__main__":
    if sys.argv[1:] == ["voice"]:
        show("onset of the user's voice -> truncate, silence", asyncio.run(by_voice()))
        sys.exit()
    show("response.cancel -> truncated, silence; position told minus sound received", asyncio.run(as_backend()))
    show("speech_started -> truncate, silence; position told minus sound received", asyncio.run(as_client()))
