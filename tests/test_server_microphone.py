"""The caller's sound on its way to the engine: scripted arrivals, no sleep."""

from collections.abc import Callable

import numpy as np
import pytest

from server.dialogue import Listener
from server.microphone import LEAD_S, STALE_S, Decimator, Microphone, Samples
from server.timeline import AUDIO_RATE, FRAME_S, SLOT

RATE = 48_000


def tone(position: int, count: int, level: float = 0.3) -> Samples:
    return (level * np.sin(2 * np.pi * 440 * (position + np.arange(count)) / RATE)).astype(np.float32)


def run(
    seconds: float,
    *,
    speed: float = 1.0,
    delay: Callable[[int], float] = lambda number: 0.0,
    lost: Callable[[int], bool] = lambda number: False,
    level: float = 0.3,
    packet: int = 960,
    fixed: bool = False,
) -> tuple[Samples, list[float]]:
    """A microphone clock `speed` times ours sends packets that take `delay`; returns what was taken, and how long
    each packet waited for the slot it begins in."""
    microphone, taken, waits, number, now = Microphone(fixed=fixed), [], [], 0, 0.0123
    for _ in range(round(seconds / FRAME_S)):
        while (arrival := number * packet / RATE / speed + delay(number)) <= now:
            if not lost(number):
                microphone.push(number * packet, tone(number * packet, packet, level), arrival, now)
            number += 1
        samples, arrivals = microphone.take(now)
        taken.append(samples)
        waits += [now - arrival for arrival in arrivals]
        now += FRAME_S + microphone.slew()
    return np.concatenate(taken), waits


def holes(samples: Samples) -> int:
    """Stretches of 5 ms and more of silence."""
    silent = np.abs(samples).reshape(-1, 240).max(axis=1) < 1e-4
    return int(np.count_nonzero(np.diff(silent.astype(int)) == 1))


class TestWholeSound:
    def test_slots_have_exactly_one_size_before_any_packet(self) -> None:
        samples, arrivals = Microphone().take(1.0)
        assert samples.shape == (SLOT,) and samples.dtype == np.float32 and not samples.any() and arrivals == []

    def test_steady_packets_come_out_as_they_went_in(self) -> None:
        samples, _ = run(4)
        begun = samples[np.argmax(np.abs(samples) > 1e-3) :][SLOT : 3 * RATE]
        power = np.abs(np.fft.rfft(begun * np.hanning(len(begun)))) ** 2
        peak = int(power.argmax())
        assert holes(samples[SLOT * 3 :]) == 0
        assert power[peak - 3 : peak + 4].sum() / power.sum() > 0.9999  # one pure tone: nothing cut, nothing repeated

    @pytest.mark.parametrize("packet", [480, 960, 1920, 2880])
    def test_any_packet_size(self, packet: int) -> None:
        samples, waits = run(6, packet=packet)
        assert holes(samples[SLOT * 3 :]) == 0
        assert max(waits) < FRAME_S + 0.075

    def test_delay_is_a_slot_and_the_lead_once_settled(self) -> None:
        _, waits = run(10)
        assert max(waits) <= FRAME_S + 0.022 + LEAD_S
        assert max(waits[-100:]) <= FRAME_S + LEAD_S + 0.001


class TestImperfectNetworks:
    def test_a_lost_packet_is_20_ms_of_silence(self) -> None:
        whole, _ = run(4)
        holed, _ = run(4, lost=lambda number: number == 60)
        assert holes(holed[SLOT * 3 :]) == 1
        assert len(whole) == len(holed)
        assert np.flatnonzero(np.abs(holed - whole) > 1e-3).size <= 960 + 240  # the hole and the fade after it

    def test_jitter_costs_delay_once_and_then_no_more_holes(self) -> None:
        samples, _ = run(20, delay=lambda number: 0.03 if number % 7 == 0 else 0.0)
        assert holes(samples[5 * RATE :]) == 0

    def test_delay_after_a_stall_is_given_back_in_silence(self) -> None:
        _, waits = run(
            20, delay=lambda number: max(0.0, 0.15 - 0.02 * max(0, number - 100)) if number >= 100 else 0.0, level=0
        )
        assert np.mean(waits[-50:]) < np.mean(waits[50:100]) + 0.015

    def test_delay_after_a_stall_is_given_back_while_speaking_too(self) -> None:
        _, waits = run(60, delay=lambda number: max(0.0, 0.15 - 0.02 * max(0, number - 100)) if number >= 100 else 0.0)
        assert np.mean(waits[-50:]) < np.mean(waits[50:100]) + 0.015

    def test_a_microphone_that_comes_back_is_heard_at_once(self) -> None:
        samples, waits = run(10, lost=lambda number: 100 <= number < 300)
        assert not samples[round(3.2 * RATE) : round(5.8 * RATE)].any()
        assert np.abs(samples[round(6.2 * RATE) :]).max() > 0.25
        assert max(waits[-50:]) < 0.080

    def test_repeated_packets_are_ignored(self) -> None:
        microphone = Microphone()
        for position in (0, 960, 960, 0, 1920, 2880):
            microphone.push(position, tone(position, 960), 0.0, 0.0)
        first, _ = microphone.take(0.04)
        second, _ = microphone.take(0.04)
        heard = np.concatenate([first, second])
        assert np.allclose(heard[1920:], tone(960, 1920), atol=1e-6)


class TestClockDrift:
    @pytest.mark.parametrize("speed", [0.9998, 1.0002])
    def test_five_minutes_neither_starve_nor_pile_up(self, speed: float) -> None:
        samples, waits = run(300, speed=speed)
        assert holes(samples[SLOT * 3 :]) <= 2
        assert abs(np.mean(waits[-100:]) - np.mean(waits[100:200])) < 0.015

    @pytest.mark.parametrize("speed", [0.9998, 1.0, 1.0002])
    def test_slots_that_may_not_move_starve_no_more(self, speed: float) -> None:
        samples, waits = run(300, speed=speed, fixed=True)
        assert Microphone(fixed=True).slew() == 0
        assert holes(samples[SLOT * 3 :]) == 0
        assert max(waits[-1000:]) <= FRAME_S + STALE_S + 0.022

    def test_stretched_sound_keeps_its_pitch(self) -> None:
        samples, _ = run(60, speed=0.9998, fixed=True)
        power = np.abs(np.fft.rfft(samples[-10 * RATE :] * np.hanning(10 * RATE)))
        assert power.argmax() / 10 == pytest.approx(440, rel=0.001)


class TestDecimator:
    @pytest.mark.parametrize("ratio", [AUDIO_RATE // rate for rate in Listener.RATES])
    def test_chunks_equal_offline(self, ratio: int) -> None:
        rng = np.random.default_rng(1)
        signal = rng.standard_normal(SLOT * 9).astype(np.float32)
        decimate = Decimator(ratio)
        pieces = np.concatenate([decimate(piece) for piece in signal.reshape(-1, SLOT)])
        taps = Decimator.TAPS * ratio
        kernel = np.sinc((np.arange(taps) - (taps - 1) / 2) * 0.92 / ratio) * np.blackman(taps)
        padded = np.concatenate([np.zeros(taps - 1, np.float32), signal])
        offline = np.convolve(padded, kernel / kernel.sum(), "valid")[::ratio]
        assert pieces.shape == offline.shape and np.allclose(pieces, offline, atol=1e-6)

    @pytest.mark.parametrize(
        ("hertz", "low", "high"), [(300, 0.98, 1.02), (5000, 0.9, 1.02), (10_000, 0, 0.02), (15_000, 0, 0.02)]
    )
    def test_passes_speech_and_stops_what_would_alias(self, hertz: float, low: float, high: float) -> None:
        decimate = Decimator()
        wave = np.sin(2 * np.pi * hertz * np.arange(SLOT * 10) / RATE).astype(np.float32)
        out = np.concatenate([decimate(piece) for piece in wave.reshape(-1, SLOT)])[640:]
        assert low <= np.sqrt(np.mean(out**2)) * np.sqrt(2) <= high
