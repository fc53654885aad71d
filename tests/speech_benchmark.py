"""`python -m tests.speech_benchmark`: pushed speech on the real engine, over real sockets, by the clock.

A caller watches by WebRTC and records the sound; an assistant pushes speech of flite's through the speech socket. Times
are taken from the moment a message is handed to the socket until packets and pictures are handed to the encoders. A
picture is driven if a coefficient of its mouth is more than 0.02 off the emotion's resting face. The user's voices are
recordings (Debian's `pocketsphinx-testdata`), spoken into the caller's microphone while the portrait speaks.
"""

import argparse
import asyncio
import gc
import random
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from engine.audio import load_audio
from engine.avatar import Avatar, Picture, resting
from engine.face.coefficients import FACE
from engine.units import FRAME_MS, SAMPLE_RATE
from server.app import Server, create_app
from server.call import Call
from server.line import Packet
from server.media import Shot, audio_frame
from server.microphone import Samples
from server.settings import Settings
from server.timeline import AUDIO_RATE, PACKET
from tests.bargein_benchmark import onset_s, recordings
from tests.server_fakes import Caller
from tests.server_running import until
from tests.test_speech_socket import Client, pushing, recorded

MOUTH = [i for i, name in enumerate(FACE) if name.startswith(("jaw", "mouth", "tongue", "lip"))]
DRIVEN = 0.02
SAY = "All of us are aware of every hour, and only our own voices are allowed to go on and on in the room."
PIECE = SAMPLE_RATE * 2 * FRAME_MS // 1000  # bytes of 40 ms


def spoken(picture: Picture) -> float:
    """How far the mouth is from rest."""
    return float(np.abs(picture.coefficients[: len(FACE)] - resting(picture.les))[MOUTH].max())


@dataclass
class Watch:
    """A receiver that notes what leaves, and when."""

    sound: list[tuple[float, int, bool]] = field(default_factory=list)
    """(time, media milliseconds, whether it carries words)"""
    pictures: list[tuple[float, int, float]] = field(default_factory=list)
    """(time, media milliseconds, how far the mouth is from rest)"""

    def hear(self, number: int, packet: Packet) -> None:
        self.sound.append((time.monotonic(), number * 20, bool(packet.said)))

    def see(self, shot: Shot) -> None:
        assert isinstance(shot.picture, Picture)
        self.pictures.append((time.monotonic(), shot.slot * FRAME_MS, spoken(shot.picture)))

    def stop(self) -> None:
        pass

    def clear(self) -> None:
        self.sound.clear()
        self.pictures.clear()

    def words(self) -> list[float]:
        return [now for now, _, said in self.sound if said]

    def driven(self) -> list[float]:
        return [now for now, _, how_far in self.pictures if how_far > DRIVEN]


class User(MediaStreamTrack):
    """A microphone into which nobody speaks until told."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._rest = np.zeros(0, np.float32)
        self._sent, self._begun = 0, 0.0

    def speak(self, voice: Samples) -> float:
        """Returns when the first word leaves the microphone, about."""
        self._rest = voice
        return self._begun + self._sent * PACKET / AUDIO_RATE + onset_s(voice)

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._begun = self._begun or time.monotonic()
        await asyncio.sleep(self._begun + self._sent * PACKET / AUDIO_RATE - time.monotonic())
        packet, self._rest = self._rest[:PACKET], self._rest[PACKET:]
        self._sent += 1
        return audio_frame(np.pad(packet, (0, PACKET - len(packet))), (self._sent - 1) * PACKET)


@dataclass
class Bench:
    caller: Caller
    user: User
    client: Client
    watch: Watch
    voice: bytes
    """PCM16 at 16 kHz, from its first word on."""
    random: random.Random

    async def quiet(self) -> None:
        """Until the mouth has been at rest for a while, and a random moment more."""
        await asyncio.sleep(0.5 + self.random.random() * 0.3)
        self.watch.clear()

    async def pause(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self.random.uniform(least_s, most_s))


def words() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", SAY, "-o", str(path)], check=True)
        samples = load_audio(path)
    first = int(np.argmax(np.abs(samples) > 0.05))
    return (samples[first:] * 32767).astype("<i2").tobytes()


def vowel(seconds: float) -> bytes:
    """A steady sound, whose length can be told from a recording."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sum([np.sin(2 * np.pi * 180 * k * times) / k for k in range(1, 12)], axis=0)
    return bytes((wave * 0.2 * 32767).astype("<i2"))


@asynccontextmanager
async def bench(seed: int, size: int) -> AsyncIterator[Bench]:
    settings = Settings(port=0, max_sessions=4)  # with the portraits that a server has prepared before
    server = Server(app := create_app(settings, Avatar), settings)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started and (app.state.place.ready or bool(app.state.place.problem)), 300)
    assert app.state.place.ready, app.state.place.problem
    port = server.servers[0].sockets[0].getsockname()[1]
    fields = {"source": "push", "size": size}
    user = User()
    async with Caller(f"http://127.0.0.1:{port}", user, fields=fields) as caller:
        await caller.call()
        watch = Watch()
        watching(app.state.place.sessions.get(caller.session["id"])._call, watch)
        async with pushing(caller, f"&rate={SAMPLE_RATE}") as client:
            await asyncio.sleep(3)  # the hold settles
            yield Bench(caller, user, client, watch, words(), random.Random(seed))
    server.should_exit = True
    await serving


def watching(call: Call, watch: Watch) -> None:
    call._performer.receivers.append(watch)


@contextmanager
def told(client: Client) -> Iterator[Callable[[str], int]]:
    """Counts messages from here on."""
    before = len(client.told)
    yield lambda type: sum(message["type"] == type for message in client.told[before:])


async def first_frames(b: Bench, trials: int) -> tuple[list[float], list[float]]:
    """Seconds from the first 40 ms of a voice, pushed as it is spoken, to the first packet and driven frame."""
    sounds, frames = [], []
    for _ in range(trials):
        await b.quiet()
        begun = time.monotonic()
        for i in range(12):
            await asyncio.sleep(begun + i * FRAME_MS / 1000 - time.monotonic())
            await b.client.sound(b.voice[i * PIECE : (i + 1) * PIECE])
        await b.client.send("speech.end")
        await until(lambda: bool(b.watch.driven()))
        sounds.append(b.watch.words()[0] - begun)
        frames.append(b.watch.driven()[0] - begun)
        await b.client.send("speech.interrupt")
    return sounds, frames


async def interruptions(b: Bench, trials: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds from the message to the end of the last packet with words, the last driven frame, and the shut mouth."""
    sound, driven, shut = [], [], []
    for _ in range(trials):
        await b.quiet()
        with told(b.client) as count:
            await b.client.sound(b.voice + b.voice[: 2 * SAMPLE_RATE])
            await until(lambda: count("speech.started") > 0)  # noqa: B023
            await b.pause(0.4, 1.6)
            asked = time.monotonic()
            await b.client.send("speech.interrupt")
            await asyncio.sleep(0.5)
        sound.append(b.watch.words()[-1] + 0.010 - asked)
        driven.append(b.watch.driven()[-1] - asked)
        shut.append(next(now for now, _, far in b.watch.pictures if now > b.watch.driven()[-1] and far < 0.005) - asked)
    return sound, driven, shut


async def barge_ins(b: Bench) -> tuple[list[float], int]:
    """Seconds from a user's first word to the interruption, and how many did not interrupt."""
    seconds, missed = [], 0
    for voice in recordings():
        await b.quiet()
        with told(b.client) as count:
            await b.client.sound(b.voice + b.voice)
            await b.client.send("speech.end")
            await until(lambda: count("speech.started") > 0)  # noqa: B023
            await b.pause(0.8, 1.2)
            word = b.user.speak(voice)
            try:
                await until(lambda: count("speech.interrupted") > 0, 4)  # noqa: B023
                seconds.append(time.monotonic() - word)
            except TimeoutError:
                missed += 1
                await b.client.send("speech.interrupt")
            await asyncio.sleep(len(voice) / AUDIO_RATE)
    return seconds, missed


async def positions(b: Bench, trials: int) -> list[float]:
    """Milliseconds by which the position told after an interruption exceeds what the caller recorded."""
    errors = []
    for _ in range(trials):
        await b.quiet()
        b.caller.sound.clear()
        with told(b.client) as count:
            await b.client.sound(vowel(5))
            await until(lambda: count("speech.started") > 0)  # noqa: B023
            await b.pause(0.4, 1.6)
            await b.client.send("speech.interrupt")
            await asyncio.sleep(0.6)
        errors.append(b.client.all("speech.interrupted")[-1]["playback_ms"] - recorded_ms(b.caller))
    return errors


@dataclass
class Crowd:
    """What came of many utterances."""

    in_order: bool
    each_once: bool
    told_ms: float
    recorded_ms: float
    left_over: int
    memory_mb: tuple[float, float]


async def crowd(b: Bench, count: int) -> Crowd:
    """Utterances back to back, up to three queued; some are interrupted while queued or in the middle."""
    await b.quiet()
    b.caller.sound.clear()
    before, memory = len(b.client.told), psutil.Process().memory_info().rss / 1e6
    for number in range(count):
        name = f"u{number}"
        await b.client.send("speech.begin", utterance=name, rate=SAMPLE_RATE)
        await b.client.sound(vowel(b.random.uniform(0.3, 1.0)))
        await b.client.send("speech.end")
        if b.random.random() < 0.3:
            await b.pause(0, 0.6)
            await b.client.send("speech.interrupt", **({"utterance": name} if b.random.random() < 0.5 else {}))
        await until(lambda: number - finished(b.client, before) < 3)  # noqa: B023
    await until(lambda: finished(b.client, before) == count)
    await asyncio.sleep(0.6)
    gc.collect()
    events = [m for m in b.client.told[before:] if "utterance" in m]
    over = [m for m in events if m["type"] in ("speech.ended", "speech.interrupted")]
    started = [m["utterance"] for m in events if m["type"] == "speech.started"]
    return Crowd(
        in_order=started == sorted(started, key=lambda name: int(name[1:])),
        each_once=sorted(m["utterance"] for m in over) == sorted(f"u{i}" for i in range(count)),
        told_ms=sum(m["playback_ms"] for m in over),
        recorded_ms=recorded_ms(b.caller),
        left_over=sum(said for now, _, said in b.watch.sound if now > time.monotonic() - 0.5),
        memory_mb=(memory, psutil.Process().memory_info().rss / 1e6),
    )


def finished(client: Client, before: int) -> int:
    return sum(m["type"] in ("speech.ended", "speech.interrupted") for m in client.told[before:])


async def leads(b: Bench, trials: int) -> list[float]:
    """Seconds of media time by which the lips move before the first sound of an utterance."""
    found = []
    for _ in range(trials):
        await b.quiet()
        with told(b.client) as count:
            await b.client.sound(b.voice[:SAMPLE_RATE])
            await b.client.send("speech.end")
            await until(lambda: count("speech.ended") > 0)  # noqa: B023
        sound = next(at for _, at, said in b.watch.sound if said)
        found.append((sound - next(at for _, at, far in b.watch.pictures if far > DRIVEN)) / 1000)
    return found


def recorded_ms(caller: Caller) -> float:
    """How long the caller heard the steady sound, whose period is less than 6 ms."""
    peaks = np.abs(recorded(caller))
    loud = peaks[: len(peaks) // 48 * 48].reshape(-1, 48).max(1) > 0.05
    wide = np.logical_or.reduce([np.roll(loud, shift) for shift in range(-3, 4)])
    return float(np.logical_and.reduce([np.roll(wide, shift) for shift in range(-3, 4)]).sum())


def row(name: str, values: Sequence[float], promise: str) -> str:
    ms = np.array(values) * 1000
    return f"{name:<44}{median(ms):8.0f}{np.percentile(ms, 95):8.0f}{max(ms):8.0f}   {promise}"


async def main(options: argparse.Namespace) -> None:
    async with bench(options.seed, options.size) as b:
        print(f"{'milliseconds':<44}{'median':>8}{'p95':>8}{'worst':>8}   promised")
        sounds, frames = await first_frames(b, options.trials)
        print(row("first 40 ms pushed -> sound leaves", sounds, ""))
        print(row("first 40 ms pushed -> first driven frame", frames, "at most 150"))
        silence, driven, shut = await interruptions(b, options.trials)
        print(row("interrupt -> silence, 5 s queued", silence, "p95 at most 150"))
        print(row("interrupt -> last driven frame", driven, "p95 at most 150"))
        print(row("interrupt -> mouth at rest", shut, "at most 200"))
        if not options.no_user:
            voices, missed = await barge_ins(b)
            print(
                row("user's first word -> interruption", voices, f"at most 300; {missed} of {missed + len(voices)} not")
            )
        errors = np.array(await positions(b, options.trials))
        print(row("told position - recorded", list(errors / 1000), f"within 20; least {errors.min():.0f}"))
        before = await leads(b, 10)
        many = await crowd(b, options.utterances)
        print(row("lips before their sound, at first", before, "-40 to 40"))
        print(row("the same after all utterances", await leads(b, 10), ""))
        print(f"{options.utterances} utterances: {many}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--utterances", type=int, default=100)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-user", action="store_true", help="leave the recordings out")
    asyncio.run(main(parser.parse_args()))
