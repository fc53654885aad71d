"""The avatar: streams that share networks and nothing else, and frames that belong to their sound."""

import subprocess
from collections.abc import Callable
from copy import copy
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.audio import load_audio
from engine.avatar import Avatar, Picture, Stream
from engine.cdan import Cdan, Heard
from engine.face.coefficients import FACE, INDEX
from engine.les import EMOTIONS, Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait, default_photo, prepare
from engine.units import CHUNK, MAX_LOOK_AHEAD

STILL = MotionAmounts(head=0, gaze=0, blink=0)
SILENCE = np.zeros(CHUNK, np.float32)
SIZE = 256


@cache
def portrait(name: str = "anna") -> Portrait:
    return prepare(default_photo(name))


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return Avatar()


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("voice") / "v.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "Mama bought a paper map.", "-o", str(path)], check=True)
    samples = load_audio(path)
    return samples[: len(samples) // CHUNK * CHUNK].reshape(-1, CHUNK)


def run(avatar: Avatar, stream: Stream, chunks: np.ndarray) -> list[Picture]:
    return [avatar.step_one(stream, chunk) for chunk in chunks]


def still(avatar: Avatar, **options: int) -> Stream:
    stream = avatar.open(portrait(), size=SIZE, **options)
    stream.set_motion(STILL)
    stream.motion = type(stream.motion)(0, STILL)  # off from the first frame, not eased off
    return stream


class TestThrift:
    def test_a_network_at_rest_is_not_asked(self, avatar: Avatar, monkeypatch: pytest.MonkeyPatch) -> None:
        stream, other, silence = still(avatar), still(avatar), np.tile(SILENCE, (200, 1))
        run(avatar, stream, silence)
        listening: list[int] = []
        step = Cdan.step

        def counted(cdan: Cdan, pcm: np.ndarray, *rest: Any) -> Heard:
            listening.append(len(pcm))
            return step(cdan, pcm, *rest)

        monkeypatch.setattr(Cdan, "step", counted)
        run(avatar, stream, silence[:5])
        avatar.step([(stream, SILENCE), (other, SILENCE)])
        assert listening == [1]
        stream.unhear(2)
        stream.set_emotion(Les.of({"AU12": 0.5}), transition_s=0)
        smiling = avatar.step_one(stream, SILENCE)
        assert smiling.coefficients[INDEX["mouthSmileLeft"]] > 0.3

    def test_rest_changes_nothing_that_is_said_after_it(self, avatar: Avatar, voice: np.ndarray) -> None:
        rested, awake = still(avatar), still(avatar)
        for stream, rests in ((rested, True), (awake, False)):
            for chunk in np.tile(SILENCE, (200, 1)):
                stream.at_rest = stream.at_rest and rests
                avatar.step_one(stream, chunk)
        assert rested.at_rest
        first, second = (np.stack([p.coefficients for p in run(avatar, s, voice[:25])]) for s in (rested, awake))
        np.testing.assert_allclose(first, second, atol=1e-6)

    def test_a_picture_is_drawn_again_when_it_would_differ(self, voice: np.ndarray) -> None:
        thrifty, exact = Avatar(slack=0.25), Avatar()
        chunks = np.concatenate([np.tile(SILENCE, (75, 1)), voice[:25]])
        saved, full = (run(a, a.open(portrait(), seed=3, size=SIZE), chunks) for a in (thrifty, exact))
        again = [a.rgb is b.rgb for a, b in pairwise(saved)]
        assert 0.3 < np.mean(again[:74]) < 0.95 and not any(again[85:95])
        for a, b in zip(saved, full, strict=True):
            np.testing.assert_array_equal(a.coefficients, b.coefficients)
            assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 2  # grey levels; 0.4 from one exact frame to the next


class TestSilence:
    def test_without_motion_the_picture_never_changes(self, avatar: Avatar) -> None:
        pictures = run(avatar, still(avatar), np.tile(SILENCE, (30, 1)))
        assert all((picture.rgb == pictures[0].rgb).all() for picture in pictures)
        np.testing.assert_array_equal(pictures[-1].coefficients[:68], 0)

    def test_with_motion_it_lives(self, avatar: Avatar) -> None:
        pictures = run(avatar, avatar.open(portrait(), seed=3, size=SIZE), np.tile(SILENCE, (60, 1)))
        assert (pictures[-1].rgb != pictures[0].rgb).any()


class TestEmotion:
    def test_without_transition_the_named_frame_is_the_first_that_differs(self, avatar: Avatar) -> None:
        stream = still(avatar)
        before = run(avatar, stream, np.tile(SILENCE, (5, 1)))
        named = stream.set_emotion(Les.of(emotion={"happiness": 1}), transition_s=0)
        after = run(avatar, stream, np.tile(SILENCE, (2, 1)))
        assert named == after[0].frame == 5
        assert (before[-1].rgb == before[0].rgb).all() and (after[0].rgb != before[-1].rgb).any()
        assert after[0].coefficients[INDEX["mouthSmileLeft"]] == pytest.approx(EMOTIONS["happiness"]["AU12"], abs=0.01)

    def test_with_transition_the_named_frame_is_the_first_that_differs(self, avatar: Avatar) -> None:
        stream = still(avatar)
        before = run(avatar, stream, np.tile(SILENCE, (3, 1)))
        named = stream.set_emotion(Les.of(emotion={"surprise": 1}), transition_s=0.2)
        after = run(avatar, stream, np.tile(SILENCE, (8, 1)))
        differs = [picture.frame for picture in after if (picture.rgb != before[-1].rgb).any()]
        assert differs[0] == named
        assert after[-1].les == Les.of(emotion={"surprise": 1})

    def test_a_hold_ends_by_itself(self, avatar: Avatar) -> None:
        stream = still(avatar)
        stream.set_emotion(Les.of({"AU12": 1}), transition_s=0, hold_s=0.2)
        pictures = run(avatar, stream, np.tile(SILENCE, (12, 1)))
        assert pictures[3].les.units() == {"AU12": 1} and pictures[-1].les == Les()


class TestStreams:
    def test_a_batch_equals_its_streams_alone(self, avatar: Avatar, voice: np.ndarray) -> None:
        def open_both() -> list[Stream]:
            streams = [avatar.open(portrait(name), seed=seed, size=SIZE) for name, seed in (("anna", 1), ("zola", 2))]
            streams[1].set_emotion(Les.of(emotion={"anger": 0.8}), transition_s=0.2)
            return streams

        together = open_both()
        pairs = [avatar.step([(together[0], chunk), (together[1], SILENCE)]) for chunk in voice[:20]]
        for i, sound in enumerate((voice[:20], np.tile(SILENCE, (20, 1)))):
            alone = run(avatar, open_both()[i], sound)
            for both, one in zip(pairs, alone, strict=True):
                found = both[i]
                assert isinstance(found, Picture)
                np.testing.assert_allclose(found.coefficients, one.coefficients, atol=1e-4)
                assert abs(found.rgb.astype(int) - one.rgb).max() <= 3

    def test_same_seed_same_face(self, avatar: Avatar, voice: np.ndarray) -> None:
        first, second = (run(avatar, avatar.open(portrait(), seed=7, size=SIZE), voice[:15])[-1] for _ in range(2))
        np.testing.assert_array_equal(first.rgb, second.rgb)

    def test_no_work_is_no_step(self, avatar: Avatar) -> None:
        assert avatar.step([]) == []


class TestFailure:
    """Of one stream of three, in any part of a step: the others are as if it had never been there."""

    @staticmethod
    def cut_short(stream: Stream, patch: pytest.MonkeyPatch) -> np.ndarray:
        return np.zeros(CHUNK - 1, np.float32)

    @staticmethod
    def without_memory(stream: Stream, patch: pytest.MonkeyPatch) -> np.ndarray:
        stream.memory = {name: value[:, :-1] for name, value in stream.memory.items()}
        return np.full(CHUNK, 0.1, np.float32)

    @staticmethod
    def beyond_numbers(stream: Stream, patch: pytest.MonkeyPatch) -> np.ndarray:
        step, memory = Cdan.step, stream.memory

        def overflowing(self: Cdan, pcm: Any, les: Any, look_ahead: Any, states: Any) -> Heard:
            heard = step(self, pcm, les, look_ahead, states)
            coefficients = np.where([[state is memory] for state in states], np.nan, heard.coefficients)
            return heard._replace(coefficients=coefficients.astype(np.float32))

        patch.setattr(Cdan, "step", overflowing)
        return np.full(CHUNK, 0.1, np.float32)

    @staticmethod
    def without_motion(stream: Stream, patch: pytest.MonkeyPatch) -> np.ndarray:
        patch.delattr(stream, "motion")
        return SILENCE

    @staticmethod
    def without_layers(stream: Stream, patch: pytest.MonkeyPatch) -> np.ndarray:
        stream.portrait = copy(stream.portrait)
        object.__setattr__(stream.portrait, "layers", {})
        stream.resize(SIZE)
        return SILENCE

    @pytest.mark.parametrize("how", [cut_short, without_memory, beyond_numbers, without_motion, without_layers])
    def test_costs_the_others_nothing(
        self,
        avatar: Avatar,
        voice: np.ndarray,
        monkeypatch: pytest.MonkeyPatch,
        how: Callable[[Stream, pytest.MonkeyPatch], np.ndarray],
    ) -> None:
        def opened() -> list[Stream]:
            return [avatar.open(portrait("anna"), seed=seed, size=SIZE) for seed in range(3)]

        alone, streams = opened(), opened()
        for i, chunk in enumerate(voice[:12]):
            broken = how(streams[1], monkeypatch) if i == 6 else SILENCE
            here = streams if i <= 6 else [streams[0], streams[2]]
            pictures = avatar.step([(stream, broken if stream is streams[1] else chunk) for stream in here])
            failed = [
                stream.frame for stream, picture in zip(here, pictures, strict=True) if isinstance(picture, Exception)
            ]
            assert failed == ([6] if i == 6 else []) and streams[1].frame == min(i + 1, 6)
            for found, stream in ((pictures[0], alone[0]), (pictures[-1], alone[2])):
                wanted = avatar.step_one(stream, chunk)
                assert isinstance(found, Picture) and found.frame == wanted.frame == i
                np.testing.assert_allclose(found.coefficients, wanted.coefficients, atol=1e-4)
                assert abs(found.rgb.astype(int) - wanted.rgb).max() <= 3


class TestVoice:
    def test_lips_open_for_vowels_and_the_face_rests_afterwards(self, avatar: Avatar, voice: np.ndarray) -> None:
        stream = still(avatar)
        spoken = np.array([picture.coefficients for picture in run(avatar, stream, voice)])
        rest = np.array([picture.coefficients for picture in run(avatar, stream, np.tile(SILENCE, (15, 1)))])
        assert spoken[:, INDEX["jawOpen"]].max() > 0.15
        np.testing.assert_array_equal(rest[8:, :68], 0)

    @pytest.mark.parametrize("look_ahead", range(MAX_LOOK_AHEAD + 1))
    def test_a_frame_is_unmoved_by_sound_beyond_its_look_ahead(self, look_ahead: int, voice: np.ndarray) -> None:
        avatar, changed = Avatar(look_ahead=look_ahead), voice.copy()
        changed[12:] = changed[::-1][: len(changed) - 12]
        a, b = (run(avatar, still(avatar), chunks[:13]) for chunks in (voice, changed))
        for frame in range(12):  # frame n comes with chunk n
            np.testing.assert_array_equal(a[frame].rgb, b[frame].rgb)

    @pytest.mark.parametrize(("skipped", "seen"), [(0, (0.33, 0.66, 0.8, 0)), (1, (0.33, 0.8, 0.8, 0))])
    def test_lips_round_in_three_frames_or_more(self, avatar: Avatar, skipped: int, seen: tuple[float, ...]) -> None:
        stream, pucker = still(avatar), INDEX["mouthPucker"]
        rounded = np.zeros(len(FACE), np.float32)
        rounded[pucker] = 0.8
        levels = []
        for driven in (rounded, rounded, rounded, np.zeros_like(rounded)):
            levels.append(stream.speak(driven, Les())[pucker])
            stream.frame += 1
            stream.skip(skipped)
        assert levels == pytest.approx(seen)
        assert rounded[pucker] == np.float32(0.8)

    def test_a_look_ahead_that_no_network_has(self) -> None:
        with pytest.raises(ValueError, match="0 to 2"):
            Avatar(look_ahead=3)


def mouth(pictures: list[Picture]) -> np.ndarray:
    """[frames] how far each mouth is from rest; all are neutral."""
    return np.array([np.abs(picture.coefficients[:68]).max() for picture in pictures])


def voiced(avatar: Avatar, voice: np.ndarray, **options: int) -> tuple[Stream, float]:
    """A stream in mid-word, and how far its mouth is open."""
    stream = still(avatar, **options)
    return stream, mouth(run(avatar, stream, voice[:22]))[-1]


class TestHush:
    def test_shuts_the_mouth_within_three_frames_and_no_cut(self, avatar: Avatar, voice: np.ndarray) -> None:
        stream, before = voiced(avatar, voice)
        stream.hush()
        after = mouth(run(avatar, stream, np.tile(SILENCE, (6, 1))))
        assert before > after[0] > after[1] > after[2] == 0 and not after[3:].any()
        steps = -np.diff([before, *after[:3]])
        assert steps.max() < 0.6 * before

    def test_new_sound_opens_it_as_after_any_pause(self, avatar: Avatar, voice: np.ndarray) -> None:
        stream, _ = voiced(avatar, voice)
        stream.hush()
        again = mouth(run(avatar, stream, voice))
        fresh = mouth(run(avatar, still(avatar), voice))
        np.testing.assert_allclose(again[3:], fresh[3:], atol=1e-5)

    def test_keeps_the_emotion(self, avatar: Avatar, voice: np.ndarray) -> None:
        stream, _ = voiced(avatar, voice)
        stream.set_emotion(Les.of(emotion={"happiness": 1}), transition_s=0)
        run(avatar, stream, voice[22:24])
        stream.hush()
        last = run(avatar, stream, np.tile(SILENCE, (4, 1)))[-1]
        assert last.coefficients[INDEX["mouthSmileLeft"]] == pytest.approx(EMOTIONS["happiness"]["AU12"], abs=0.01)

    def test_in_silence_nothing_moves(self, avatar: Avatar) -> None:
        stream = still(avatar)
        run(avatar, stream, np.tile(SILENCE, (3, 1)))
        stream.hush()
        assert not mouth(run(avatar, stream, np.tile(SILENCE, (3, 1)))).any()


class TestHearingAhead:
    @pytest.mark.parametrize("look_ahead", range(MAX_LOOK_AHEAD + 1))
    def test_a_window_at_once_equals_chunk_by_chunk(self, avatar: Avatar, voice: np.ndarray, look_ahead: int) -> None:
        early, late = still(avatar, look_ahead=look_ahead), still(avatar, look_ahead=look_ahead)
        pictures = run(avatar, late, voice[:20])[look_ahead:]
        window = [avatar.step_one(early, voice[: look_ahead + 1])]
        window += run(avatar, early, voice[look_ahead + 1 : 20])
        for one, other in zip(window, pictures, strict=True):
            np.testing.assert_array_equal(one.coefficients[:68], other.coefficients[:68])

    def test_wrong_guesses_leave_no_trace(self, avatar: Avatar, voice: np.ndarray) -> None:
        straight, guessing = still(avatar, look_ahead=2), still(avatar, look_ahead=2)
        expected = run(avatar, straight, voice[:20])[2:]
        window = np.stack([voice[0], voice[5], voice[9]])
        found = [avatar.step_one(guessing, window)]
        guessing.unhear(2)
        found += [avatar.step_one(guessing, voice[1:4]), *run(avatar, guessing, voice[4:20])]
        for one, other in zip(found[1:], expected[1:], strict=True):
            np.testing.assert_array_equal(one.coefficients[:68], other.coefficients[:68])


class TestFaultySound:
    @pytest.mark.parametrize("value", [np.nan, np.inf, 50.0])
    def test_gives_a_finite_face(self, avatar: Avatar, value: float) -> None:
        stream = still(avatar)
        pictures = run(avatar, stream, np.full((5, CHUNK), value, np.float32))
        assert all(np.isfinite(picture.coefficients).all() for picture in pictures)
