"""Chunks fed ahead of time: whatever was guessed, the engine ends up having heard what was said."""

import numpy as np
import pytest

from engine.units import CHUNK
from server.foresight import Foresight
from server.microphone import Decimator, Samples
from server.timeline import SLOT

AHEAD = 2
SILENCE: Samples = np.zeros(SLOT, np.float32)


def voice(slots: int) -> list[Samples]:
    noise = np.random.default_rng(0).standard_normal((slots, SLOT)) * 0.1
    return list(noise.astype(np.float32))


class Ear:
    """An engine that remembers every chunk."""

    def __init__(self) -> None:
        self.foresight = Foresight()
        self.heard: list[Samples] = []
        self.forgotten = 0

    def step(self, window: list[Samples]) -> None:
        fed = self.foresight.feed(window)
        assert fed.forget <= AHEAD and fed.chunks.shape[1:] == (CHUNK,)
        self.forgotten += fed.forget
        self.heard = self.heard[: len(self.heard) - fed.forget] + list(fed.chunks)


def known(said: list[Samples], now: int, until: int) -> list[Samples]:
    """The slot that is said now and those after it, of which the ones up to `until` are known."""
    return [said[i] if i < min(until, len(said)) else SILENCE for i in range(now, now + AHEAD + 1)]


def straight(said: list[Samples]) -> list[Samples]:
    decimate = Decimator()
    return [decimate(slot) for slot in said]


class TestForesight:
    @pytest.mark.parametrize("lead", [0, 1, 2, 7])
    def test_hears_what_is_said_however_late_it_is_known(self, lead: int) -> None:
        ear, said = Ear(), [SILENCE] * 3 + voice(20) + [SILENCE] * AHEAD
        for now in range(len(said) - AHEAD):
            ear.step(known(said, now, now + 1 + lead))
        np.testing.assert_allclose(ear.heard, straight(said), atol=1e-7)

    def test_hears_each_chunk_once_where_all_is_known(self) -> None:
        ear, said = Ear(), voice(20)
        for now in range(len(said) - AHEAD):
            ear.step(known(said, now, len(said)))
        assert ear.forgotten == 0 and len(ear.heard) == len(said)

    def test_forgets_what_was_taken_back(self) -> None:
        ear, said = Ear(), voice(10)
        for now in range(5):
            ear.step(known(said, now, len(said)))
        for _ in range(4):
            ear.step([SILENCE] * (AHEAD + 1))
        np.testing.assert_allclose(ear.heard[:5], straight(said)[:5], atol=1e-7)
        assert not np.any(ear.heard[-5:]) and ear.forgotten == AHEAD

    def test_after_a_new_beginning_all_that_is_known_is_heard_again(self) -> None:
        ear, said = Ear(), voice(10)
        ear.step(known(said, 0, 10))
        ear.foresight.start_over()
        fed = ear.foresight.feed(known(said, 1, 10))
        assert fed.forget == 0
        np.testing.assert_allclose(fed.chunks, straight(said)[1:4], atol=1e-7)

    def test_catches_up_after_slots_without_a_picture(self) -> None:
        ear, said = Ear(), voice(20)
        for now in range(len(said) - AHEAD):
            if now in (4, 5, 9):
                ear.foresight.skip(said[now])
            else:
                ear.step(known(said, now, len(said)))
        np.testing.assert_allclose(ear.heard, straight(said), atol=1e-7)

    def test_without_look_ahead_what_was_skipped_comes_with_the_next(self) -> None:
        foresight, said = Foresight(), voice(6)
        heard = [foresight.feed([said[0]]).chunks]
        foresight.skip(said[1])
        foresight.skip(said[2])
        heard += [foresight.feed([slot]).chunks for slot in said[3:]]
        assert [len(chunks) for chunks in heard] == [1, 3, 1, 1]
        np.testing.assert_allclose(np.concatenate(heard), straight(said), atol=1e-7)

    def test_without_look_ahead_it_hears_slot_by_slot(self) -> None:
        foresight, said = Foresight(), voice(5)
        fed = [foresight.feed([slot]) for slot in said]
        assert [chunks.forget for chunks in fed] == [0] * 5
        np.testing.assert_allclose([chunks.chunks[0] for chunks in fed], straight(said), atol=1e-7)
