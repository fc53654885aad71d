"""`python -m tests.bargein_benchmark`: how soon a user's voice interrupts, and how often something else does.

The users are recordings (Debian's `pocketsphinx-testdata`), the avatar speaks with flite's voice slt (`--develop` takes
other synthetic voices for the users: thresholds are chosen on those). The echo passes real Opus, a loudspeaker that
clips a little, a room and a delay. Times are from the user's onset, by level, to the end of the slot that decides.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame
from scipy.signal import butter, fftconvolve, sosfilt

from engine.audio import load_audio
from engine.units import SAMPLE_RATE
from server.bargein import BargeIn, Verdict
from server.media import audio_frame
from server.microphone import Samples
from server.timeline import AUDIO_RATE, FRAME_S, PACKET, SLOT

RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
VOICE_LEVEL = 0.05  # RMS of the user at the microphone
SENT_LEVEL = 0.1  # of the avatar's sound
LEAD_S, TAIL_S = 12.0, 1.5  # of the avatar alone before the user speaks, and after
SENTENCES = (
    "Of course I can help you with that, it only takes a moment. Let me first tell you what I have found so far.",
    "The weather will be mild and mostly sunny today, with a light breeze from the west in the late afternoon.",
    "People often ask me how this works. A photograph is turned into layers, and every sound moves them a little.",
    "Your appointment is on Monday at ten, and the second one on Thursday at half past three, in the same building.",
)


@dataclass(frozen=True)
class Scene:
    """What the microphone hears besides the user, against the user's level or full scale."""

    name: str
    speaks: bool = True
    """Whether the avatar does."""
    echo_db: float | None = None
    """Of the echo against the user's voice; None: cancelled by the browser."""
    noise: str = ""
    snr_db: float = 0.0
    delay_s: float = 0.18


QUIET = Scene("avatar silent, clean", speaks=False)
ONSETS = (
    QUIET,
    Scene("avatar silent, pink 20 dB", speaks=False, noise="pink", snr_db=20),
    Scene("avatar silent, pink 10 dB", speaks=False, noise="pink", snr_db=10),
    Scene("avatar speaks, echo cancelled"),
    Scene("avatar speaks, echo cancelled, pink 20 dB", noise="pink", snr_db=20),
    Scene("avatar speaks, echo -20 dB", echo_db=-20),
    Scene("avatar speaks, echo -12 dB, 350 ms", echo_db=-12, delay_s=0.35),
    Scene("avatar speaks, echo -6 dB", echo_db=-6),
    Scene("avatar speaks, echo 0 dB", echo_db=0, delay_s=0.09),
)
NOTHING = (
    Scene("echo -20 dB", echo_db=-20),
    Scene("echo -12 dB, 350 ms", echo_db=-12, delay_s=0.35),
    Scene("echo -6 dB", echo_db=-6),
    Scene("echo 0 dB, 90 ms", echo_db=0, delay_s=0.09),
    Scene("echo 0 dB, pink 20 dB", echo_db=0, noise="pink", snr_db=20),
    Scene("pink noise, -40 dBFS, from the middle on", speaks=False, noise="pink", snr_db=14),
    Scene("pink noise while the avatar speaks", noise="pink", snr_db=14),
    Scene("keyboard", noise="keys", snr_db=0),
    Scene("hum", noise="hum", snr_db=6),
    Scene("babble of four, -12 dB", noise="babble", snr_db=12),
)


def recordings() -> list[Samples]:
    """At 48 kHz, each at VOICE_LEVEL; the raw ones are 16 kHz, 16 bit."""
    waves = [load_audio(path) for path in sorted(RECORDINGS.rglob("*.wav"))]
    raws = [np.fromfile(path, "<i2") / np.float32(32768) for path in sorted(RECORDINGS.glob("*.raw"))]
    return [at_level(upsampled(samples.astype(np.float32)), VOICE_LEVEL) for samples in waves + raws]


def spoken(voice: str, texts: tuple[str, ...] = SENTENCES) -> list[Samples]:
    """flite at 48 kHz."""
    out = []
    with tempfile.TemporaryDirectory() as folder:
        for text in texts:
            path = Path(folder) / "said.wav"
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(path)], check=True)
            out.append(upsampled(load_audio(path)))
    return out


def upsampled(samples: Samples) -> Samples:
    ratio = AUDIO_RATE // SAMPLE_RATE
    at = np.arange(len(samples) * ratio) / ratio
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def active_level(samples: Samples) -> float:
    """RMS of the 20 ms pieces within 30 dB of the loudest."""
    power = (samples[: len(samples) // PACKET * PACKET].reshape(-1, PACKET) ** 2).mean(1)
    return float(np.sqrt(power[power > power.max() / 1000].mean()))


def at_level(samples: Samples, level: float) -> Samples:
    return samples * np.float32(level / active_level(samples))


def onset_s(samples: Samples) -> float:
    """The first of three 10 ms pieces in a row within 16 dB of the active level: flite's voices begin with a click."""
    size = AUDIO_RATE // 100
    loud = (samples[: len(samples) // size * size].reshape(-1, size) ** 2).mean(1) > active_level(samples) ** 2 / 40
    return int(np.argmax(loud[:-2] & loud[1:-1] & loud[2:])) / 100


class Loudspeaker:
    """What comes back of the sent sound: Opus, a small speaker, a room with a tail of 0.3 s."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        t = np.arange(int(0.3 * AUDIO_RATE)) / AUDIO_RATE
        room = rng.standard_normal(len(t)) * 10 ** (-60 / 20 * t / 0.3) * 0.3
        room[0] = 8.0
        self._room = room.astype(np.float32)
        self._band = butter(2, (250, 7000), "bandpass", fs=AUDIO_RATE, output="sos")

    def __call__(self, sent: Samples, until: npt.NDArray[np.bool_] | None = None) -> Samples:
        played = sosfilt(self._band, through_opus(sent)) * (1 if until is None else until)
        clipped = np.tanh(played / active_level(sent) / 4)
        echo: Samples = fftconvolve(clipped, self._room)[: len(sent)].astype(np.float32)
        return echo


def through_opus(samples: Samples) -> Samples:
    encoder, decoder, out = OpusEncoder(), OpusDecoder(), []
    for number, piece in enumerate(samples[: len(samples) // PACKET * PACKET].reshape(-1, PACKET)):
        payloads, timestamp = encoder.encode(audio_frame(piece, number * PACKET))
        for payload in payloads:
            frames = decoder.decode(JitterFrame(payload, timestamp))
            out += [
                cast(av.AudioFrame, frame).to_ndarray().reshape(-1, 2)[:, 0] / np.float32(32768) for frame in frames
            ]
    decoded = np.concatenate(out)
    return np.pad(decoded, (0, max(0, len(samples) - len(decoded))))[: len(samples)].astype(np.float32)


def noise(kind: str, count: int, rng: np.random.Generator) -> Samples:
    """At level 1."""
    white = rng.standard_normal(count)
    if kind == "pink":
        spectrum = np.fft.rfft(white)
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), count * 20 / AUDIO_RATE))
        sound = np.fft.irfft(spectrum, count)
    elif kind == "keys":
        clicks = np.zeros(count)
        clicks[rng.integers(0, count, count // AUDIO_RATE * 6)] = rng.uniform(0.3, 1, count // AUDIO_RATE * 6)
        sound = fftconvolve(clicks, white[:1500] * np.exp(-np.arange(1500) / 200))[:count]
    elif kind == "hum":
        t = np.arange(count) / AUDIO_RATE
        sound = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 9)) + 0.05 * white
    else:
        talkers = [np.resize(rng.permutation(np.array(spoken(v), object))[0], count) for v in ("kal", "kal16", "slt")]
        sound = sum((np.roll(talker, rng.integers(count)) for talker in talkers), np.zeros(count))
    at_one: Samples = (sound / np.sqrt(np.mean(sound**2))).astype(np.float32)
    return at_one


def microphone(
    scene: Scene, user: Samples, sent: Samples, rng: np.random.Generator, until: npt.NDArray[np.bool_] | None = None
) -> Samples:
    """`until` masks what is sent, at the level it has without the mask."""
    heard = user + 1e-4 * rng.standard_normal(len(user)).astype(np.float32)
    if scene.echo_db is not None:
        room = Loudspeaker(int(rng.integers(100)))
        gain = VOICE_LEVEL * 10 ** (scene.echo_db / 20) / active_level(room(sent))
        echo = np.float32(gain) * room(sent, until)
        late = int(scene.delay_s * AUDIO_RATE)
        heard[late:] += echo[: len(echo) - late]
    if scene.noise:
        level = VOICE_LEVEL * 10 ** (-scene.snr_db / 20)
        around = level * noise(scene.noise, len(user), rng)
        heard += np.where(np.arange(len(user)) > len(user) / 2, around, 0) if "middle" in scene.name else around
    return heard


def verdicts(heard: Samples, sent: Samples) -> Iterator[tuple[float, Verdict]]:
    ear = BargeIn()
    for number in range(len(heard) // SLOT):
        span = slice(number * SLOT, (number + 1) * SLOT)
        if verdict := ear.hear(heard[span], sent[span]):
            yield (number + 1) * FRAME_S, verdict


def in_closed_loop(scene: Scene, user: Samples, sent: Samples, onset: float, seed: int) -> list[tuple[float, Verdict]]:
    """The avatar pauses for good when, after the onset, the user has probably begun: then its echo ends too."""
    found = list(verdicts(microphone(scene, user, sent, np.random.default_rng(seed)), sent))
    pause = next((at for at, verdict in found if verdict is Verdict.STARTED and at >= onset), None)
    if pause is None or not scene.speaks:
        return found
    until = np.arange(len(sent)) < pause * AUDIO_RATE
    return list(verdicts(microphone(scene, user, sent, np.random.default_rng(seed), until), np.where(until, sent, 0)))


def avatar(count: int, rng: np.random.Generator, sentences: list[Samples]) -> Samples:
    """Sentences with short pauses, at SENT_LEVEL, until `count` samples are full."""
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < count:
        said = sentences[rng.integers(len(sentences))]
        pieces += [at_level(said, SENT_LEVEL), np.zeros(int(rng.uniform(0.2, 0.8) * AUDIO_RATE), np.float32)]
    return np.concatenate(pieces)[:count]


def onset_row(scene: Scene, users: list[Samples], sentences: list[Samples]) -> str:
    delays, paused, missed, early = [], [], 0, 0
    for seed, said in enumerate(users):
        rng = np.random.default_rng(seed)
        lead = np.zeros(int((LEAD_S + rng.uniform(0, FRAME_S)) * AUDIO_RATE), np.float32)
        user = np.concatenate([lead, said, np.zeros(int(TAIL_S * AUDIO_RATE), np.float32)])
        sent = avatar(len(user), rng, sentences) if scene.speaks else np.zeros(len(user), np.float32)
        onset = len(lead) / AUDIO_RATE + onset_s(said)
        found = in_closed_loop(scene, user, sent, onset, seed)
        early += sum(verdict is Verdict.CONFIRMED and at < onset for at, verdict in found)
        confirmed = [at - onset for at, verdict in found if verdict is Verdict.CONFIRMED and at >= onset]
        started = [at - onset for at, verdict in found if verdict is Verdict.STARTED and at >= onset]
        missed += not confirmed
        delays += confirmed[:1]
        paused += started[:1]
    return f"| {scene.name} | {len(users)} | {quantiles(paused)} | {quantiles(delays)} | {missed} | {early} |"


def quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    return " / ".join(f"{1000 * q:.0f}" for q in (*np.quantile(seconds, (0.5, 0.9)), max(seconds)))


def false_row(scene: Scene, sentences: list[Samples], minutes: float) -> str:
    rng = np.random.default_rng(1)
    count = int(minutes * 60 * AUDIO_RATE) // SLOT * SLOT
    sent = avatar(count, rng, sentences) if scene.speaks else np.zeros(count, np.float32)
    found = [v for _, v in verdicts(microphone(scene, np.zeros(count, np.float32), sent, rng), sent)]
    pauses, interruptions = found.count(Verdict.STARTED), found.count(Verdict.CONFIRMED)
    return f"| {scene.name} | {minutes:g} | {pauses / minutes:.1f} | {interruptions / minutes:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and count interruptions by voice.")
    parser.add_argument("--develop", action="store_true", help="synthetic users instead of the recordings")
    parser.add_argument("--minutes", type=float, default=4, help="of each scene in which nobody speaks")
    options = parser.parse_args()
    users = [at_level(s, VOICE_LEVEL) for v in ("kal", "kal16") for s in spoken(v)] if options.develop else recordings()
    sentences = spoken("slt")
    print("| the user begins to speak | n | pause ms, median / 90 % / worst | interruption ms | missed | before |")
    print("|---|---|---|---|---|---|")
    for scene in ONSETS:
        print(onset_row(scene, users, sentences), flush=True)
    print("\n| nobody speaks | minutes | pauses a minute | interruptions a minute |\n|---|---|---|---|")
    for scene in NOTHING:
        print(false_row(scene, sentences, options.minutes), flush=True)


if __name__ == "__main__":
    main()
