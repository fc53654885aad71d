"""Utterances through playout and line, slot by slot: no clock, no socket."""

import numpy as np
import pytest

from engine.les import Les
from server.conversation import MarkHeard, SpeechEnded, SpeechInterrupted, SpeechRefused, SpeechStarted
from server.line import FADE_OUT, SoundLine
from server.microphone import Samples
from server.playout import FULL, MOST_GATHERED, MOST_NOTES, MOST_UTTERANCES, OVERFULL, Playout, Slot
from server.timeline import AUDIO_RATE, PACKET, SLOT

RATE = AUDIO_RATE


def pcm(samples: int, level: float = 0.5) -> bytes:
    return np.full(samples, level * 32768).astype("<i2").tobytes()


def ramp(samples: int) -> bytes:
    """Sound in which every place is told by its level."""
    return np.arange(1, samples + 1).astype("<i2").tobytes()


class Stage:
    """A playout with its line, of which `delay` slots are always taken and not yet sent."""

    def __init__(self, delay: int = 1) -> None:
        self.playout, self.line, self._delay = Playout(), SoundLine(), delay
        self.heard: list[Samples] = []
        self.slots: list[Slot] = []
        self.media_ms = 0

    def step(self, slots: int = 1) -> None:
        for _ in range(slots):
            self.slots.append(self.playout.take())
            self.line.put(self.slots[-1].sound, self.slots[-1].said)
            while len(self.line) > 2 * self._delay:
                self.leave()

    def leave(self) -> None:
        packet = self.line.pop()
        self.heard.append(packet.sound)
        self.playout.left(packet, self.media_ms)
        self.media_ms += 20

    def interrupt(self, id: str | None = None) -> None:
        chosen = self.playout.chosen(id)
        self.line.cut(chosen)
        self.playout.drop(chosen, self.line.pending())

    def pause(self) -> None:
        self.playout.paused = True
        self.line.cut(self.playout.ids())
        self.playout.rewind(self.line.pending())

    def sound(self) -> Samples:
        return np.concatenate(self.heard)

    def say(self, id: str, sound: bytes, *, end: bool = True) -> None:
        self.playout.begin(id, RATE)
        self.playout.append(id, sound)
        if end:
            self.playout.end(id)


class TestOrder:
    def test_one_after_the_other_without_a_gap(self) -> None:
        stage = Stage()
        stage.say("a", pcm(3000, 0.25))
        stage.say("b", pcm(3000, 0.5))
        stage.step(5)
        sound = stage.sound()
        assert (sound[:3000] == 0.25).all() and (sound[3000:6000] == 0.5).all() and not sound[6000:].any()

    def test_a_later_one_waits_until_the_first_has_ended(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT), end=False)
        stage.say("b", pcm(SLOT))
        stage.step(10)
        assert [event.utterance for event in stage.playout.events() if isinstance(event, SpeechStarted)] == ["a"]
        stage.playout.end("a")
        stage.step(4)
        assert [type(event) for event in stage.playout.events()] == [SpeechEnded, SpeechStarted, SpeechEnded]

    def test_positions_count_what_left(self) -> None:
        stage = Stage(delay=2)
        stage.say("a", pcm(10 * SLOT))
        stage.step(5)
        assert stage.playout.events() == [SpeechStarted("a", 0)]
        stage.step(20)
        assert stage.playout.events() == [SpeechEnded("a", 400, 400)]

    def test_one_without_sound_ends_in_its_turn(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT))
        stage.say("b", b"")
        stage.step(4)
        assert stage.playout.events()[1:] == [SpeechEnded("a", 40, 40), SpeechEnded("b", 0, 40)]

    def test_what_is_over_takes_no_memory(self) -> None:
        stage = Stage()
        stage.say("a", b"".join([pcm(SLOT)] * 50), end=False)
        stage.step(40)
        [utterance] = stage.playout._queue
        assert sum(map(len, utterance._blocks)) == 50 * SLOT
        stage.playout.append("a", pcm(SLOT))
        stage.step(20)
        assert sum(map(len, utterance._blocks)) <= SLOT


class TestLateSound:
    def test_is_bridged_by_silence_with_soft_edges(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT + SLOT // 2), end=False)
        stage.step(4)
        stage.playout.append("a", pcm(4 * SLOT))
        stage.playout.end("a")
        stage.step(8)
        sound = np.trim_zeros(stage.sound())
        assert len(sound) > 6 * SLOT and np.abs(np.diff(sound)).max() < 0.5 / 100
        assert stage.playout.events()[-1] == SpeechEnded("a", 220, 320)

    def test_nothing_of_it_is_lost(self) -> None:
        stage = Stage()
        stage.say("a", b"", end=False)
        for piece in np.split(np.frombuffer(ramp(20 * SLOT), "<i2"), 40):
            stage.playout.append("a", piece.tobytes())
            stage.step()
        stage.playout.end("a")
        stage.step(30)
        spans = [span for slot in stage.slots for span in slot.said]
        assert spans[0].begin == 0 and spans[-1].end == 20 * SLOT
        assert all(before.end == after.begin for before, after in zip(spans, spans[1:], strict=False))

    def test_more_is_gathered_every_time(self) -> None:
        stage = Stage()
        stage.say("a", b"", end=False)
        gathered = []
        for _ in range(6):
            stage.playout.append("a", pcm(SLOT + 1))
            stage.step(12)
            gathered.append(stage.playout._queue[0].gather)
        assert gathered == sorted(gathered) and gathered[-1] == MOST_GATHERED

    def test_what_is_gathered_is_not_waited_for_in_vain(self) -> None:
        stage = Stage()
        stage.say("a", pcm(100), end=False)
        stage.step(4)
        assert np.count_nonzero(stage.sound()) > 90

    def test_starving_is_told(self) -> None:
        stage = Stage()
        assert stage.playout.starving is None
        stage.say("a", pcm(2 * SLOT), end=False)
        assert stage.playout.starving is None
        stage.step(2)
        assert stage.playout.starving == "a"
        stage.playout.end("a")
        assert stage.playout.starving is None


class TestInterruption:
    def test_fades_within_ten_milliseconds_and_tells_where(self) -> None:
        stage = Stage(delay=2)
        stage.say("a", pcm(100 * SLOT))
        stage.step(10)
        left = sum(map(len, stage.heard))
        stage.interrupt()
        told = stage.playout.events()[-1]
        stage.step(10)
        sound = stage.sound()
        assert np.count_nonzero(sound) == left + FADE_OUT - 1
        assert (np.diff(sound[left : left + FADE_OUT]) < 0).all()
        assert isinstance(told, SpeechInterrupted) and told.playback_ms == (left + FADE_OUT) * 1000 // RATE
        assert stage.playout.events() == []

    def test_before_a_word_is_heard_nothing_is_heard(self) -> None:
        stage = Stage(delay=3)
        stage.say("a", pcm(SLOT * 10))
        stage.step(2)
        stage.interrupt("a")
        stage.step(10)
        assert not stage.sound().any() and stage.playout.events() == [SpeechInterrupted("a", 0, 0)]

    def test_of_the_second_leaves_the_first_alone(self) -> None:
        stage = Stage(delay=3)
        stage.say("a", pcm(SLOT + 500, 0.25))
        stage.say("b", pcm(5 * SLOT, 0.5))
        stage.step(2)
        stage.interrupt("b")
        stage.step(6)
        assert np.count_nonzero(stage.sound() == 0.25) == SLOT + 500 and not (stage.sound() == 0.5).any()

    def test_of_the_first_takes_nothing_from_the_second(self) -> None:
        stage = Stage(delay=3)
        stage.say("a", pcm(SLOT + 500, 0.25))
        stage.say("b", pcm(5 * SLOT, 0.5))
        stage.step(4)
        stage.interrupt("a")
        stage.step(12)
        assert np.count_nonzero(stage.sound() == 0.5) == 5 * SLOT
        assert stage.playout.events()[-1] == SpeechEnded("b", 200, stage.playout.media_ms - 160)

    def test_late_sound_of_it_is_dropped(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT), end=False)
        stage.interrupt()
        stage.playout.append("a", pcm(SLOT))
        stage.playout.mark("a", "late")
        stage.playout.end("a")
        stage.step(3)
        assert not stage.sound().any() and len(stage.playout.events()) == 1

    def test_nothing_stays_in_memory(self) -> None:
        stage = Stage()
        for i in range(50):
            stage.say(f"u{i}", pcm(20 * SLOT))
            stage.step(2)
            stage.interrupt()
        stage.step(3)
        assert stage.playout.waiting == 0 and stage.playout.ids() == [] and stage.line.pending() == {}


class TestPause:
    @pytest.mark.parametrize("delay", [1, 2, 3])
    def test_goes_on_at_the_very_sample(self, delay: int) -> None:
        stage = Stage(delay)
        stage.say("a", ramp(10 * SLOT))
        stage.step(5)
        stage.pause()
        stage.step(5)
        stage.playout.paused = False
        stage.step(15)
        sound = stage.sound()
        said = np.round(sound[np.nonzero(sound)] * 32768).astype(int)
        assert np.isin(np.arange(1, 10 * SLOT + 1), said).sum() >= 10 * SLOT - FADE_OUT - PACKET
        assert said[-1] == 10 * SLOT
        assert isinstance(stage.playout.events()[-1], SpeechEnded)


class TestMarksAndCues:
    def test_a_mark_is_heard_when_its_sound_has_left(self) -> None:
        stage = Stage()
        stage.say("a", pcm(PACKET * 3), end=False)
        stage.playout.mark("a", "m")
        stage.playout.append("a", pcm(PACKET * 10))
        stage.step(2)
        assert [type(event) for event in stage.playout.events()] == [SpeechStarted]
        stage.step(2)
        assert stage.playout.events() == [MarkHeard("a", "m", 60, 60)]

    def test_one_at_the_end_comes_before_the_end(self) -> None:
        stage = Stage()
        stage.say("a", pcm(1000), end=False)
        stage.playout.mark("a", "m")
        stage.playout.end("a")
        stage.step(4)
        assert [type(event) for event in stage.playout.events()] == [SpeechStarted, MarkHeard, SpeechEnded]

    def test_one_of_a_dropped_rest_never_comes(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT * 10), end=False)
        stage.playout.mark("a", "m")
        stage.step(3)
        stage.interrupt()
        stage.step(20)
        assert not any(isinstance(event, MarkHeard) for event in stage.playout.events())

    def test_a_cue_comes_with_the_slot_of_its_words(self) -> None:
        stage = Stage()
        stage.say("a", pcm(SLOT * 2 + 5), end=False)
        stage.playout.cue("a", Les(), 0.3)
        stage.playout.append("a", pcm(SLOT * 2))
        stage.playout.end("a")
        stage.step(5)
        assert [len(slot.cues) for slot in stage.slots] == [0, 0, 1, 0, 0]


class TestForesight:
    def test_is_what_will_be_taken(self) -> None:
        stage = Stage()
        stage.say("a", ramp(SLOT * 3 + 700))
        stage.say("b", pcm(SLOT))
        windows = [stage.playout.take(2) for _ in range(6)]
        for now, later in zip(windows, windows[1:], strict=False):
            np.testing.assert_array_equal(now.ahead[0], later.sound)
            np.testing.assert_array_equal(now.ahead[1], later.ahead[0])

    def test_takes_nothing(self) -> None:
        playouts = Playout(), Playout()
        for playout in playouts:
            playout.begin("a", RATE)
            playout.append("a", ramp(SLOT * 3))
        for _ in range(5):
            np.testing.assert_array_equal(playouts[0].take(2).sound, playouts[1].take().sound)


class TestLimits:
    def test_full_asks_to_wait_and_overfull_refuses(self) -> None:
        playout = Playout()
        playout.begin("a", RATE)
        playout.append("a", pcm(FULL))
        assert playout.full
        for _ in range(3):
            playout.append("a", pcm(FULL))
        assert playout.waiting == OVERFULL
        with pytest.raises(SpeechRefused, match="wait for room"):
            playout.append("a", pcm(2))

    @pytest.mark.parametrize(
        ("act", "code"),
        [
            (lambda playout: playout.begin("b", 7_999), "unsupported_rate"),
            (lambda playout: playout.begin("b", 48_001), "unsupported_rate"),
            (lambda playout: playout.begin("a", RATE), "utterance_in_use"),
            (lambda playout: playout.append("x", b""), "unknown_utterance"),
            (lambda playout: playout.mark("x", "m"), "unknown_utterance"),
            (lambda playout: playout.chosen("x"), "unknown_utterance"),
            (lambda playout: playout.append("ended", b""), "utterance_ended"),
            (lambda playout: playout.cue("ended", Les(), 0), "utterance_ended"),
        ],
    )
    def test_refusals_have_codes(self, act: object, code: str) -> None:
        playout = Playout()
        playout.begin("a", RATE)
        playout.append("a", pcm(SLOT))
        playout.begin("ended", RATE)
        playout.end("ended")
        assert callable(act)
        with pytest.raises(SpeechRefused) as refused:
            act(playout)
        assert refused.value.code == code

    def test_floods_are_refused(self) -> None:
        playout = Playout()
        for i in range(MOST_UTTERANCES):
            playout.begin(f"u{i}", RATE)
        with pytest.raises(SpeechRefused, match="utterances wait"):
            playout.begin("more", RATE)
        playout.append("u5", pcm(10))
        for _ in range(MOST_NOTES):
            playout.mark("u5", "m")
        with pytest.raises(SpeechRefused, match="marks and cues"):
            playout.cue("u5", Les(), 0)

    @pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100])
    def test_every_rate_comes_out_at_its_pitch_and_length(self, rate: int) -> None:
        playout, times = Playout(), np.arange(rate) / rate
        wave = (np.sin(2 * np.pi * 500 * times) * 16000).astype("<i2").tobytes()
        playout.begin("a", rate)
        for start in range(0, len(wave), 777):
            playout.append("a", wave[start : start + 777])
        playout.end("a")
        sound = np.concatenate([playout.take().sound for _ in range(26)])
        assert np.argmax(np.abs(np.fft.rfft(sound[:AUDIO_RATE]))) == 500
        assert np.flatnonzero(np.abs(sound) > 0.01)[-1] == pytest.approx(AUDIO_RATE, abs=200)

    @pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000])
    def test_forty_milliseconds_fill_a_slot_at_once(self, rate: int) -> None:
        playout = Playout()
        playout.begin("a", rate)
        playout.append("a", pcm(rate // 25))
        assert playout.waiting >= SLOT - 2 and playout.take().said
