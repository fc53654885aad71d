"""Feelings named in text become points of the Linear Emotion Space, wherever the text is cut."""

import itertools

import pytest

from engine.les import AXES, EMOTIONS, Les, LesError, parse
from server.assistants.emotion import LABELS, MAX_TAG, TagReader, emotion_of, read_tag


def read(*pieces: str) -> list[str | Les]:
    """With words that came in several pieces joined again."""
    reader = TagReader()
    found = [part for piece in pieces for part in reader.feed(piece)] + reader.flush()
    joined: list[str | Les] = []
    for words, group in itertools.groupby(found, lambda part: isinstance(part, str)):
        parts = list(group)
        joined += ["".join(map(str, parts))] if words else parts
    return joined


class TestLabels:
    @pytest.mark.parametrize("name", EMOTIONS)
    def test_our_own_emotions_are_themselves(self, name: str) -> None:
        assert emotion_of(name, 0.5) == parse(f"{name}=0.5")

    @pytest.mark.parametrize("axis", AXES)
    def test_units_are_labels(self, axis: str) -> None:
        assert emotion_of(axis, 0.3) == parse(f"{axis}=0.3")

    @pytest.mark.parametrize(
        ("label", "emotion"),
        [("joy", "happiness"), ("Happy", "happiness"), ("angry", "anger"), ("scared", "fear"), ("😢", "sadness")],
    )
    def test_labels_of_other_protocols(self, label: str, emotion: str) -> None:
        assert emotion_of(label) == parse(f"{emotion}=1")

    def test_levels_stay_linear(self) -> None:
        strong, weak = emotion_of("excited"), emotion_of("excited", 0.25)
        assert weak.values == pytest.approx([value / 4 for value in strong.values])

    def test_neutral_is_the_origin(self) -> None:
        assert {emotion_of(label) for label in ("neutral", "none", "😐")} == {Les()}

    @pytest.mark.parametrize("label", ["", "hungry", "AU99"])
    def test_an_unknown_label_is_refused(self, label: str) -> None:
        with pytest.raises(LesError, match="nobody knows"):
            emotion_of(label)

    @pytest.mark.parametrize("level", [-0.1, 1.1, float("nan")])
    def test_a_level_beyond_the_scale_is_refused(self, level: float) -> None:
        with pytest.raises(LesError, match="0 to 1"):
            emotion_of("happy", level)

    def test_no_emoji_hides_two_signs(self) -> None:
        assert all(len(label) == 1 for label in LABELS if not label.isascii())


class TestTag:
    @pytest.mark.parametrize(
        ("tag", "levels"),
        [
            ("happy 0.6", "happiness=0.6"),
            ("sad", "sadness=1"),
            ("AU4=0.3", "AU4=0.3"),
            ("joy=0.5, AU1=0.2", "happiness=0.5, AU1=0.2"),
            ("emotion: happy 60%", "happiness=0.6"),
            ('emotion value="angry"/', "anger=1"),
            ("emotion value='sad' level=0.4", "sadness=0.4"),
            ("/happy", ""),
            ("neutral", ""),
        ],
    )
    def test_is_read(self, tag: str, levels: str) -> None:
        emotion = read_tag(tag)
        assert emotion is not None
        assert emotion.values == pytest.approx(parse(levels).values)

    @pytest.mark.parametrize("tag", ["", "1", "waves hand", "happy 3", "happy and hungry", "emotion"])
    def test_what_nobody_knows(self, tag: str) -> None:
        assert read_tag(tag) is None


class TestReader:
    TEXT = 'Oh [sad 0.5]dear. <emotion value="joy"/>But [AU4=0.3] then 😊! [/joy]Well'
    PARTS = ["Oh ", emotion_of("sad", 0.5), "dear. ", emotion_of("joy"), "But ", emotion_of("AU4", 0.3), " then ",
             emotion_of("😊"), "! ", Les(), "Well"]  # fmt: skip

    def test_words_and_emotions_in_order(self) -> None:
        assert read(self.TEXT) == self.PARTS

    @pytest.mark.parametrize("cut", range(1, len(TEXT)))
    def test_a_tag_may_be_cut_anywhere(self, cut: int) -> None:
        assert read(self.TEXT[:cut], self.TEXT[cut:]) == self.PARTS

    def test_letter_by_letter(self) -> None:
        assert read(*self.TEXT) == self.PARTS

    def test_unknown_tags_are_not_spoken(self) -> None:
        assert read("As is known [1], he [waves] left.") == ["As is known , he  left."]

    def test_a_tag_that_was_cut_off_is_not_spoken(self) -> None:
        assert read("Good bye. [hap") == ["Good bye. "]

    @pytest.mark.parametrize("text", ["if a < b and c > d", "one [\ntwo", "x [" + "y" * MAX_TAG + " z", "5 <6"])
    def test_what_only_looks_like_a_tag_is_text(self, text: str) -> None:
        assert read(text) == [text]

    def test_signs_that_dress_an_emoji_go_with_it(self) -> None:
        assert read("Love \u2764\ufe0f it 👍🏽.") == ["Love ", emotion_of("love"), " it ", emotion_of("happy"), "."]
