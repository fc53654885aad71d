"""From text that still comes to sentences, and from sound back to the words that were heard."""

import random
import re
from datetime import datetime

import pytest

from engine.les import Les, parse
from server.assistants.emotion import TagReader, emotion_of
from server.assistants.phrases import grammar, pattern, words_of
from server.assistants.replier import ASK_TO_REPEAT, HELLO, JOKES, LOOKS, MOODS, RULES, answer, untagged
from server.assistants.sentences import MAX_SENTENCE, Sentence, Sentences
from server.assistants.slots import Message
from server.assistants.spoken import PACE_MS, Spoken

SAD = parse("sadness=1")


def cut(*parts: str | Les) -> list[Sentence]:
    sentences = Sentences()
    found = [sentence for part in parts for sentence in sentences.feed(part)]
    return found + sentences.flush()


def texts(*parts: str | Les) -> list[str]:
    return [sentence.text for sentence in cut(*parts)]


class TestSentences:
    TEXT = 'Good morning! Is it 3.5 degrees, Dr. Smith? "Yes." Well … then we stay in.'
    CUT = ["Good morning!", "Is it 3.5 degrees, Dr. Smith?", '"Yes."', "Well …", "then we stay in."]

    def test_end_where_a_reader_would_breathe(self) -> None:
        assert texts(self.TEXT) == self.CUT

    @pytest.mark.parametrize("seed", range(20))
    def test_pieces_do_not_matter(self, seed: int) -> None:
        rng, parts, left = random.Random(seed), [], self.TEXT
        while left:
            size = rng.randint(1, 7)
            parts.append(left[:size])
            left = left[size:]
        assert texts(*parts) == self.CUT

    def test_the_first_is_there_before_the_second(self) -> None:
        sentences = Sentences()
        assert [s.text for s in sentences.feed("One. ")] == ["One."]
        assert sentences.feed("Tw") == []

    def test_markup_and_lists_are_not_spoken(self) -> None:
        assert texts("**Bold** and `code`:\n- one\n- two\n\n### Three\n") == ["Bold and code:", "one", "two", "Three"]

    def test_nothing_to_say_is_no_sentence(self) -> None:
        assert texts("... \n - \n") == []

    def test_one_without_an_end_is_cut_at_a_comma(self) -> None:
        long = "word " * 30 + "comma, " + "word " * 40
        found = texts(long)
        assert found[0].endswith("comma,")
        assert " ".join(found) == long.strip()
        assert max(map(len, found)) <= MAX_SENTENCE

    def test_even_one_without_a_space_is_cut(self) -> None:
        assert max(map(len, texts("x" * 1000))) <= MAX_SENTENCE


class TestCues:
    def test_stand_before_their_words(self) -> None:
        happy = parse("happiness=0.5")
        assert cut(happy, "Hello. ", SAD, "Bye, ", happy, "you.") == [
            Sentence("Hello.", ((0, happy),)),
            Sentence("Bye, you.", ((0, SAD), (4, happy))),
        ]

    def test_after_the_last_word_belong_to_the_next_sentence(self) -> None:
        assert cut("Hello.", SAD, " Bye.") == [Sentence("Hello."), Sentence("Bye.", ((0, SAD),))]

    def test_of_a_wordless_sentence_are_not_lost(self) -> None:
        assert cut(SAD, "… ", "Bye.") == [Sentence("Bye.", ((0, SAD),))]

    def test_without_any_words_come_alone(self) -> None:
        assert cut(SAD) == [Sentence("", ((0, SAD),))]


class TestHeardWords:
    @pytest.fixture
    def spoken(self) -> Spoken:
        spoken = Spoken()
        for text, ms in (("Four words stand here.", 2000), ("And two.", 1000)):
            spoken.begin(text)
            spoken.extend(ms / 2)
            spoken.extend(ms / 2)
            spoken.finish()
        return spoken

    @pytest.mark.parametrize(
        ("ms", "words"),
        [
            (0, ""),
            (100, ""),
            (1000, "Four words"),
            (2000, "Four words stand here."),
            (2100, "Four words stand here."),
            (2700, "Four words stand here. And"),
            (3000, "Four words stand here. And two."),
            (9000, "Four words stand here. And two."),
        ],
    )
    def test_grow_with_the_playback_position(self, spoken: Spoken, ms: float, words: str) -> None:
        assert spoken.heard(ms) == words

    def test_of_a_sentence_that_still_comes_are_judged_by_an_usual_pace(self) -> None:
        spoken = Spoken()
        spoken.begin("Four words stand here.")
        spoken.extend(0.5 * PACE_MS * 23)
        assert spoken.heard(spoken.length_ms) == "Four words"

    def test_silence_after_the_end_stretches_nothing(self, spoken: Spoken) -> None:
        spoken.extend(5000)
        assert spoken.heard(2700) == "Four words stand here. And"


class TestPhrases:
    def test_alternatives_and_options(self) -> None:
        said = pattern("say (it | that) [again] sadly")
        assert all(said.search(f"please say {how} sadly ") for how in ("it", "that", "that again"))
        assert not said.search("say sadly ")

    def test_only_whole_words_count(self) -> None:
        assert not pattern("(hi | hey)").search(words_of("This is white") + " ")

    def test_text_becomes_words(self) -> None:
        assert words_of("What’s the time, Anna?!") == "what is the time anna"

    @pytest.mark.parametrize("phrase", ["Hello", "a & b"])
    def test_other_signs_are_refused(self, phrase: str) -> None:
        with pytest.raises(ValueError, match="small letters"):
            pattern(phrase)

    def test_a_grammar_holds_every_phrase(self) -> None:
        assert grammar(["a b", "c"]).splitlines()[-1] == "public <said> = ( a b ) | ( c );"


NOON = datetime(2026, 3, 22, 12, 5)


def reply(*said: str, now: datetime = NOON) -> str:
    """To the last of these; the user begins, and both take turns."""
    history = [Message("assistant" if i % 2 else "user", untagged(text)) for i, text in enumerate(said)]
    return answer(history, now)


class TestReplier:
    def test_greets_first(self) -> None:
        assert answer([], NOON) == HELLO

    @pytest.mark.parametrize(
        ("now", "words"),
        [
            (NOON, "It is 12:05 in the afternoon."),
            (datetime(2026, 1, 1, 0, 0), "It is 12 o'clock at night."),
            (datetime(2026, 1, 1, 9, 30), "It is 9:30 in the morning."),
            (datetime(2026, 1, 1, 21, 7), "It is 9:07 in the evening."),
        ],
    )
    def test_tells_the_time(self, now: datetime, words: str) -> None:
        assert reply("Hey Anna, what time is it?", now=now) == words

    @pytest.mark.parametrize(("day", "ending"), [(1, "1st"), (2, "2nd"), (11, "11th"), (22, "22nd"), (23, "23rd")])
    def test_tells_the_date(self, day: int, ending: str) -> None:
        assert f"March {ending}, 2026" in reply("What's the date today?", now=datetime(2026, 3, day))

    def test_never_tells_the_same_joke_twice_in_a_row(self) -> None:
        said = ["tell me a joke"]
        for _ in JOKES:
            said += [reply(*said), "another joke"]
        assert said[1:-1:2] == list(JOKES)

    def test_repeats_after_the_user(self) -> None:
        assert reply("Repeat after me: apples are red.") == "apples are red."
        assert reply("repeat after me") == ASK_TO_REPEAT
        assert reply("repeat after me", ASK_TO_REPEAT, "What time is it") == "What time is it"

    def test_says_it_again_with_feeling(self) -> None:
        assert reply("what time is it", "It is 12:05.", "say it sadly") == "[sadly]It is 12:05."
        assert reply("what time is it", "It is 12:05.", "say that again") == "[neutral]It is 12:05."

    def test_says_anything_with_feeling(self) -> None:
        assert reply("Say apples are red angrily.") == "[angrily]apples are red"

    @pytest.mark.parametrize(
        ("wish", "look"), [("Look surprised!", "surprised"), ("be scared", "afraid"), ("smile", "happy")]
    )
    def test_makes_faces(self, wish: str, look: str) -> None:
        assert reply(wish) == LOOKS[look]

    def test_stops_without_a_word(self) -> None:
        assert reply("Stop!") == ""

    def test_says_what_it_has_not_understood(self) -> None:
        first = reply("Where do bananas grow?")
        assert "Where do bananas grow" in first
        assert reply("Where do bananas grow?", first, "And now?") != first.replace("Where do bananas grow", "And now")

    def test_every_phrase_finds_its_own_rule_first(self) -> None:
        """An example of each: the first alternative, without what may be left out."""
        shadowed = []
        for rule in RULES:
            example = first_of(rule.phrase)
            found = next(other for other in RULES if pattern(other.phrase).search(example + " "))
            shadowed += [] if found is rule else [(example, found.phrase)]
        assert shadowed == []

    def test_every_mood_has_a_face(self) -> None:
        assert all(emotion_of(mood) for mood in re.findall("[a-z]+ly", MOODS))

    def test_every_tag_in_every_answer_is_known(self) -> None:
        answers = [HELLO, ASK_TO_REPEAT, *JOKES, *LOOKS.values(), *(reply(first_of(rule.phrase)) for rule in RULES)]
        for said in answers:
            parts = TagReader().feed(said)
            assert sum(isinstance(part, Les) for part in parts) == said.count("["), said
            assert "".join(part for part in parts if isinstance(part, str)).split() == untagged(said).split()


def first_of(phrase: str) -> str:
    plain = re.sub(r"\[[^\]]*\]", "", phrase)
    while "(" in plain:
        plain = re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)", r"\1", plain)
    return " ".join(plain.split())
