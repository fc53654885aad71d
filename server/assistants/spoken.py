"""The words of an utterance against its sound: which of them were heard at a playback position."""

from dataclasses import dataclass, field

PACE_MS = 65.0  # a letter, in unhurried English: for a sentence whose sound has not come to its end


@dataclass
class Passage:
    """A sentence and where its sound lies, in milliseconds of the utterance."""

    text: str
    start_ms: float
    end_ms: float
    whole: bool = False
    """Whether all of its sound has come."""

    @property
    def length_ms(self) -> float:
        came = self.end_ms - self.start_ms
        return came if self.whole else max(came, PACE_MS * len(self.text))

    def heard(self, playback_ms: float) -> str:
        """The words of which at least half was heard, if they are spoken at an even pace."""
        letters = (len(self.text) + 1) * (playback_ms - self.start_ms) / max(self.length_ms, 1.0)
        words, at = [], 0
        for word in self.text.split():
            if at + (len(word) + 1) / 2 > letters:
                break
            at += len(word) + 1
            words.append(word)
        return " ".join(words)


@dataclass
class Spoken:
    """One utterance's text. Its sound grows while it is spoken."""

    passages: list[Passage] = field(default_factory=list)
    length_ms: float = 0.0

    def begin(self, text: str) -> None:
        """A sentence whose sound is what `extend` adds from now on."""
        self.passages.append(Passage(text, self.length_ms, self.length_ms))

    def extend(self, ms: float) -> None:
        self.length_ms += ms
        if self.passages and not self.passages[-1].whole:
            self.passages[-1].end_ms = self.length_ms

    def finish(self) -> None:
        """All sound of the sentence has come; what follows is silence, or another one's."""
        self.passages[-1].whole = True

    def begun(self, count: int) -> str:
        """The first `count` sentences."""
        return " ".join(passage.text for passage in self.passages[:count])

    def heard(self, playback_ms: float) -> str:
        return " ".join(filter(None, (p.heard(playback_ms) for p in self.passages if p.start_ms < playback_ms)))
