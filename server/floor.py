"""Who has the floor: what the portrait is about while it, the user or nobody speaks. Pure: the time is an argument."""

from dataclasses import dataclass, field

from server.conversation import Activity, ConversationEvent, SpeechEnded, SpeechInterrupted, SpeechStarted
from server.session_actions import Behave

LISTENING_S = 20.0  # after the last word of either side; then the portrait is idle
THINKING_S = 30.0  # an assistant that thinks for longer has hung


@dataclass
class Floor:
    """Who speaks, and what the portrait is about: it speaks, listens, thinks, or nobody has said a word for long."""

    sounding: set[str] = field(default_factory=set)
    """Utterances of which some sound has left and some has not."""
    waits: bool = False
    """Whether the sound of such an utterance is late."""
    held: bool = False
    """Whether the speech is held because the user may have begun to speak."""
    _user: bool = False
    _set: Activity | None = None
    _ends: float | None = None
    """When listening or thinking ends by itself."""

    @property
    def deadline(self) -> float | None:
        return self._ends

    def said(self, event: ConversationEvent, now: float) -> None:
        match event:
            case SpeechStarted(utterance):
                self.sounding.add(utterance)
                self._set, self.waits = None, False
            case SpeechEnded(utterance) | SpeechInterrupted(utterance):
                self.sounding.discard(utterance)
                self._ends = now + LISTENING_S

    def arrived(self, now: float) -> None:
        self._ends = now + LISTENING_S

    def left(self) -> None:
        """Nobody is there whose voice might end."""
        self._user = False

    def user(self, active: bool, now: float) -> None:
        self._user, self._ends = active, now + LISTENING_S
        if active:
            self._set = None

    def attend(self, activity: Activity | None, now: float) -> None:
        """Until the next utterance or word of the user's."""
        self._set, self._ends = activity, now + THINKING_S

    def turn(self, now: float) -> Behave:
        if self._ends is not None and now >= self._ends:
            self._ends = None
            self._set = None if self._set == "thinking" else self._set
        return Behave(self._now(), self._user)

    def _now(self) -> Activity:
        if self.sounding and not self.waits:
            return "speaking"
        if self._set:
            return self._set
        return "listening" if self._user or self._ends is not None or self.sounding else "idle"
