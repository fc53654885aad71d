"""Whether the user speaks, perhaps while the avatar does: tells a voice from noise and from the avatar's own echo.

The microphone hears the room: the user, noise, and, where the browser does not cancel it, what the loudspeaker plays.
In twelve bands and steps of 10 ms the louder of two explanations is held against what is heard: the noise floor, and
the sound sent, delayed and scaled as it was in the last seconds. What neither explains, and WebRTC's detector and a
pitch call a voice, is the user. One such slot may be a knock: `started` asks for two, `confirmed` for 120 ms of 280.
Pure: reads no clock; one `hear` is one slot.
"""

from collections import deque
from enum import Enum

import numpy as np
import numpy.typing as npt
import webrtcvad

from engine.units import exact_div
from server.microphone import Samples
from server.timeline import AUDIO_RATE, FRAME_S, SLOT

Decibels = npt.NDArray[np.float32]

HOP = exact_div(AUDIO_RATE, 100)  # samples of 10 ms
HOPS = exact_div(SLOT, HOP)
EDGES_HZ = (200, 300, 400, 500, 700, 900, 1100, 1400, 1700, 2100, 2600, 3200, 4000)
BANDS = len(EDGES_HZ) - 1
MEMORY = 400  # hops from which floor and echo are learnt
MAX_DELAY = 50  # hops from a slot's leaving to its echo: network, the receiver's buffers, air, and the way back
DECAY_DB = 1.5  # a hop: how fast a room's tail falls
LEARN_EVERY = 10  # slots
QUIETEST_DB = -65.0  # of full scale, in a band: what is softer is nobody
FIRST_FLOOR_DB = -60.0
ACTIVE_DB = -60.0  # of the sent sound in a band: below, its echo tells nothing
FIRST_GAIN_DB = -3.0  # of the echo, until it is known
MIN_LEARNT = 40  # hops of sent sound from which an echo is known
FLOOR_SHARE, ECHO_SHARE = 0.2, 0.9  # quantiles
FLOOR_MARGIN_DB, ECHO_MARGIN_DB = 9.0, 6.0
BANDS_SHARE = 0.25  # of bands that must exceed both explanations
VOICED = 0.4  # normalized autocorrelation of a voice
PITCH_HZ = (60, 400)
DECIMATION = 4

WINDOW = 7  # slots
TO_START, TO_CONFIRM, TO_DISMISS = 2, 3, 4  # slots with a voice of the last WINDOW; slots without
VOICED_SLOTS = 2  # of those: noise has none
HANG = round(0.4 / FRAME_S)  # slots without a voice until the user's turn has ended


class Verdict(Enum):
    STARTED = "started"
    """Probably the user: pause the avatar."""
    CONFIRMED = "confirmed"
    """The user: interrupt the avatar. The user's turn begins."""
    DISMISSED = "dismissed"
    """After STARTED: it was nobody. Go on."""
    ENDED = "ended"
    """After CONFIRMED: the user's turn is over."""


class BargeIn:
    """One session's ear."""

    def __init__(self) -> None:
        self.speaking = False
        """Whether it is the user's turn."""
        self._room = Room()
        self._detector = webrtcvad.Vad(3)
        self._recent: deque[tuple[bool, bool]] = deque(maxlen=WINDOW)  # (a voice, with a pitch) of each slot
        self._started = False
        self._without = 0

    def hear(self, slot: Samples, sent: Samples) -> Verdict | None:
        """A slot of the microphone, float32[1920], and the slot that leaves the server at the same time."""
        new = self._room.unexplained(slot, sent)
        voice = new and self._voice(slot)
        self._recent.append((voice, voice and pitched(slot)))
        self._without = 0 if voice else self._without + 1
        return self._judge(sum(v for v, _ in self._recent), sum(p for _, p in self._recent))

    def _judge(self, voices: int, pitches: int) -> Verdict | None:
        if self.speaking:
            if self._without < HANG:
                return None
            self.speaking = self._started = False
            return Verdict.ENDED
        if voices >= TO_CONFIRM and pitches >= VOICED_SLOTS:
            self.speaking = True
            return Verdict.CONFIRMED
        if self._started and self._without >= TO_DISMISS:
            self._started = False
            return Verdict.DISMISSED
        if not self._started and voices >= TO_START and pitches:
            self._started = True
            return Verdict.STARTED
        return None

    def _voice(self, slot: Samples) -> bool:
        pieces = (np.clip(slot, -1, 1) * 32767).astype(np.int16).reshape(2, -1)
        return any(self._detector.is_speech(piece.tobytes(), AUDIO_RATE) for piece in pieces)


class Room:
    """What the microphone hears without the user: noise, and the echo of what was sent."""

    def __init__(self) -> None:
        self._heard = np.full((MEMORY, BANDS), FIRST_FLOOR_DB, np.float32)
        self._sent = np.full((MEMORY + MAX_DELAY, BANDS), -100, np.float32)  # with the room's tail
        self._new = np.zeros(MEMORY, bool)  # hops that neither noise nor echo explained
        self._floor = np.full(BANDS, FIRST_FLOOR_DB, np.float32)
        self._gain = np.full(BANDS, FIRST_GAIN_DB, np.float32)
        self._delay: int | None = None
        self._slots = 0

    def unexplained(self, slot: Samples, sent: Samples) -> bool:
        """Whether half of the slot is louder than noise and echo can be."""
        self._remember(levels(slot), levels(sent))
        self._slots += 1
        if self._slots % LEARN_EVERY == 0:
            self._learn()
        explained = np.maximum(self._floor + FLOOR_MARGIN_DB, self._echo() + ECHO_MARGIN_DB)
        louder = self._heard[-HOPS:] > np.maximum(explained, QUIETEST_DB)
        self._new[-HOPS:] = louder.mean(1) >= BANDS_SHARE
        return bool(self._new[-HOPS:].sum() >= HOPS // 2)

    def _remember(self, heard: Decibels, sent: Decibels) -> None:
        self._heard = np.concatenate([self._heard[HOPS:], heard])
        self._new = np.concatenate([self._new[HOPS:], np.zeros(HOPS, bool)])
        tail = self._sent[-1]
        with_tail = []
        for level in sent:
            tail = np.maximum(level, tail - DECAY_DB)
            with_tail.append(tail)
        self._sent = np.concatenate([self._sent[HOPS:], with_tail])

    def _echo(self) -> Decibels:
        """[BANDS] at most, in the newest hops. Before the delay is known, any is possible."""
        end = len(self._sent) - (self._delay or 0)
        hops = HOPS + (MAX_DELAY if self._delay is None else 1)  # a hop more: delays are no whole hops
        echo: Decibels = self._gain + self._sent[end - hops : end].max(0)
        return echo

    def _learn(self) -> None:
        self._floor = np.quantile(self._heard, FLOOR_SHARE, axis=0).astype(np.float32)
        delay = self._likeliest_delay()
        came = self._sent[MAX_DELAY - delay : len(self._sent) - delay]
        active = came > ACTIVE_DB
        if active.any(1).sum() < MIN_LEARNT:
            return
        self._delay = delay
        others = active & ~self._new[:, None]
        known = others if others.any(1).sum() >= MIN_LEARNT else active  # all are new: the echo has grown
        ratio = np.where(known, self._heard - came, np.nan)
        enough = known.sum(0) >= MIN_LEARNT // 2
        self._gain[enough] = np.nanquantile(ratio[:, enough], ECHO_SHARE, axis=0)

    def _likeliest_delay(self) -> int:
        """Hops: where the courses of all bands, heard and sent, agree best."""
        size = 2 * len(self._sent)
        heard = np.fft.rfft(self._heard - self._heard.mean(0), size, axis=0)
        sent = np.fft.rfft(self._sent - self._sent.mean(0), size, axis=0)
        agreement = np.fft.irfft((heard.conj() * sent).sum(1), size)[: MAX_DELAY + 1]  # at hop n: delay MAX_DELAY - n
        return MAX_DELAY - int(np.argmax(agreement))


_BINS_HZ = np.fft.rfftfreq(HOP, 1 / AUDIO_RATE)
_IN_BAND = np.stack([(low <= _BINS_HZ) & (high > _BINS_HZ) for low, high in zip(EDGES_HZ, EDGES_HZ[1:], strict=False)])
_HANN = np.hanning(HOP).astype(np.float32)


def levels(slot: Samples) -> Decibels:
    """[HOPS, BANDS] dB of full scale."""
    spectrum = np.fft.rfft(slot.reshape(HOPS, HOP) * _HANN)
    power = np.abs(spectrum) ** 2 @ _IN_BAND.T.astype(np.float32) / HOP**2
    decibels: Decibels = (10 * np.log10(power + 1e-10)).astype(np.float32)
    return decibels


def pitched(slot: Samples) -> bool:
    """Whether the slot has a period of a voice's pitch."""
    samples = slot.reshape(-1, DECIMATION).mean(1)
    samples = samples - samples.mean()
    rate = exact_div(AUDIO_RATE, DECIMATION)
    correlation = np.fft.irfft(np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2)
    low, high = rate // PITCH_HZ[1], rate // PITCH_HZ[0]
    overlap = 1 - np.arange(low, high) / len(samples)
    return bool(np.max(correlation[low:high] / overlap) > VOICED * correlation[0] + 1e-12)
