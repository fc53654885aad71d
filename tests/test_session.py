"""A session's rules with literal times: no clock, no socket, no task."""

import json
from typing import Any

import pytest

from engine.les import Les
from server.bargein import Verdict
from server.conversation import (
    Activity,
    Attended,
    SessionEnded,
    SpeechEnded,
    SpeechStarted,
    Troubled,
    UserSpoke,
)
from server.floor import LISTENING_S, THINKING_S
from server.live import MAX_OUTBOX
from server.protocol import Applied, Error, Message, Pong, State, to_json
from server.session import CONNECT_S, FIRST_OFFER_S, GRACE_S, LOST_S, MAX_PENDING, Session
from server.session_actions import (
    Action,
    Announce,
    Assist,
    Behave,
    Close,
    Ease,
    Interrupt,
    Move,
    Pause,
    Resume,
    Send,
)
from server.session_events import (
    AttendTo,
    Connected,
    ControlClosed,
    ControlOpened,
    CueReached,
    Ended,
    Heard,
    Lost,
    Offered,
    PictureLeft,
    Received,
    Reported,
    Said,
    Scheduled,
    Stuck,
    TimePassed,
    UserHeard,
)


def new() -> Session:
    return Session("anna", 512, created=100.0)


def live(now: float = 101.0) -> Session:
    session = new()
    for event in (ControlOpened(), Offered(), Connected()):
        session.handle(event, now)
    return session


def say(session: Session, now: float = 102.0, **message: Any) -> list[Action]:
    return session.handle(Received(json.dumps(message)), now)


def change(session: Session, now: float = 102.0, **message: Any) -> list[Action]:
    """As `say`, and the engine tells at once from which frame on it shows that."""
    actions = say(session, now, **message)
    for action in actions:
        if isinstance(action, Ease) and action.key is not None:
            session.handle(Scheduled(action.key, frame=40), now)
    return actions


def sent(actions: list[Action]) -> list[Message]:
    return [action.message for action in actions if isinstance(action, Send)]


def only_error(actions: list[Action]) -> Error:
    [message] = sent(actions)
    assert isinstance(message, Error)
    return message


class TestEmotion:
    def test_replace_sums_emotion_and_units(self) -> None:
        [ease] = say(live(), type="emotion.set", emotion={"happiness": 0.5}, units={"AU4": 0.2, "AU12": 0.9})
        assert isinstance(ease, Ease)
        assert ease.target.units() == {"AU4": 0.2, "AU6": 0.5, "AU10": 0.2, "AU12": 1.0, "AU25": 0.5, "AU26": 0.2}
        assert ease.transition_s == 0.3

    def test_add_moves_on_from_the_target(self) -> None:
        session = live()
        change(session, type="emotion.set", units={"AU4": 0.5})
        [ease] = change(session, type="emotion.set", mode="add", units={"AU4": -0.2, "AU1": 0.1}, transition_ms=0)
        assert isinstance(ease, Ease) and ease.target == Les.of({"AU4": 0.3, "AU1": 0.1}) and ease.transition_s == 0

    def test_reset_leads_to_neutral(self) -> None:
        session = live()
        change(session, type="emotion.set", emotion={"fear": 1})
        [ease] = change(session, type="emotion.reset", transition_ms=1000)
        assert isinstance(ease, Ease) and ease.target == Les() and ease.transition_s == 1.0

    def test_hold_returns_to_what_was_before(self) -> None:
        session = live()
        change(session, now=110.0, type="emotion.set", units={"AU4": 0.5})
        change(session, now=111.0, type="emotion.set", units={"AU1": 1}, transition_ms=200, hold_ms=2000)
        assert session.deadline == pytest.approx(113.2)
        assert session.handle(TimePassed(), 113.1) == []
        ease, state = session.handle(TimePassed(), 113.2)
        assert isinstance(ease, Ease) and ease.target == Les.of({"AU4": 0.5}) and ease.key is None
        assert session.deadline is None and session.target == Les.of({"AU4": 0.5})

    def test_hold_within_a_hold_returns_to_the_first_rest(self) -> None:
        session = live()
        change(session, now=111.0, type="emotion.set", units={"AU1": 1}, hold_ms=2000)
        change(session, now=112.0, type="emotion.set", units={"AU2": 1}, hold_ms=2000)
        ease, _ = session.handle(TimePassed(), 114.3)
        assert isinstance(ease, Ease) and ease.target == Les()


class TestAcknowledgement:
    def test_names_the_slot_of_the_first_frame_that_shows_it(self) -> None:
        session = live()
        [ease] = say(session, type="emotion.set", id=7, units={"AU4": 1})
        assert isinstance(ease, Ease) and ease.key is not None
        session.handle(Scheduled(ease.key, frame=40), 102.01)
        assert session.handle(PictureLeft(frame=39, slot=9), 102.03) == []
        assert sent(session.handle(PictureLeft(frame=40, slot=10), 102.07)) == [Applied(id=7, media_ms=400, frame=10)]
        assert session.handle(PictureLeft(frame=41, slot=11), 102.11) == []

    def test_a_dropped_first_frame_is_not_named(self) -> None:
        session = live()
        [ease] = say(session, type="emotion.set", id="x", units={"AU4": 1})
        assert isinstance(ease, Ease) and ease.key is not None
        session.handle(Scheduled(ease.key, frame=40), 102.01)
        assert sent(session.handle(PictureLeft(frame=42, slot=12), 102.1)) == [Applied(id="x", media_ms=480, frame=12)]

    def test_every_request_is_acknowledged_once_and_in_order(self) -> None:
        session = live()
        for id in (1, 2):
            [ease] = say(session, type="emotion.set", id=id, units={"AU4": 1})
            assert isinstance(ease, Ease) and ease.key is not None
            session.handle(Scheduled(ease.key, frame=40), 102.01)
        messages = sent(session.handle(PictureLeft(frame=40, slot=0), 102.1))
        assert messages == [Applied(id=1, media_ms=0, frame=0), Applied(id=2, media_ms=0, frame=0)]

    def test_of_changes_that_come_before_the_engine_has_answered_it_gets_the_newest(self) -> None:
        session = live()
        [first] = say(session, type="emotion.set", id=0, units={"AU4": 0.1})
        assert isinstance(first, Ease) and first.key is not None
        for id in range(1, 40):
            assert say(session, type="emotion.set", id=id, mode="add", units={"AU4": 0.01}, transition_ms=id) == []
        [newest] = session.handle(Scheduled(first.key, frame=40), 102.04)
        assert isinstance(newest, Ease) and newest.key is not None and newest.transition_s == 0.039
        assert newest.target.units() == {"AU4": pytest.approx(0.49)}
        assert session.handle(Scheduled(newest.key, frame=41), 102.08) == []
        assert [m.id for m in sent(session.handle(PictureLeft(40, 0), 102.1)) if isinstance(m, Applied)] == [0]
        told = sent(session.handle(PictureLeft(41, 1), 102.14))
        assert told == [Applied(id=id, media_ms=40, frame=1) for id in range(1, 40)]
        assert isinstance(say(session, type="emotion.reset")[0], Ease)

    def test_what_the_session_changes_itself_comes_after_what_was_asked_before(self) -> None:
        session = live()
        [first] = say(session, type="emotion.set", id=1, units={"AU4": 1})
        assert isinstance(first, Ease) and first.key is not None
        say(session, type="emotion.set", id=2, units={"AU1": 1})
        assert sent(session.handle(CueReached(Les.of({"AU2": 1}), 0.3), 102.01))
        [newest] = session.handle(Scheduled(first.key, frame=40), 102.04)
        assert isinstance(newest, Ease) and newest.target == session.target == Les.of({"AU2": 1})

    def test_the_newest_of_any_number_counts_and_what_is_owed_does_not_grow(self) -> None:
        session = live()
        for id in range(MAX_PENDING):
            assert not sent(say(session, type="emotion.set", id=id, units={"AU4": 1}))
        error = only_error(say(session, type="emotion.set", id="newest", units={"AU1": 1}))
        assert (error.code, error.id) == ("busy", 0)
        [newest] = session.handle(Scheduled(0, frame=40), 102.04)
        assert isinstance(newest, Ease) and newest.key is not None and newest.target == Les.of({"AU1": 1})
        session.handle(Scheduled(newest.key, frame=41), 102.08)
        assert len(sent(session.handle(PictureLeft(41, 1), 102.1))) == MAX_PENDING < MAX_OUTBOX


class TestOtherMessages:
    def test_motion_keeps_what_is_not_named(self) -> None:
        session = live()
        say(session, type="motion.set", head=0.5)
        move, state = say(session, type="motion.set", blink=0)
        assert move == Move({"head": 0.5, "gaze": 1.0, "blink": 0})
        assert isinstance(state, Send) and isinstance(state.message, State)

    def test_ping(self) -> None:
        assert sent(say(live(), type="ping", id="a")) == [Pong(id="a")]

    def test_state_tells_everything(self) -> None:
        session = live()
        say(session, type="emotion.set", units={"AU4": 0.5})
        session.handle(Heard("live"), 103.0)
        [state] = sent(say(session, type="state.get", id=1))
        assert state == State(
            id=1, status="live", portrait="anna", size=512, microphone="live",
            units={"AU4": 0.5}, motion={"head": 1.0, "gaze": 1.0, "blink": 1.0},
        )  # fmt: skip

    def test_microphone_is_reported_on_change_only(self) -> None:
        session = live()
        assert len(sent(session.handle(Heard("live"), 103.0))) == 1
        assert session.handle(Heard("live"), 104.0) == []

    def test_speech(self) -> None:
        assert live().handle(UserHeard(Verdict.CONFIRMED, 40), 103.0) == [Announce(UserSpoke(True, 40))]


BAD_MESSAGES = [
    ("", "malformed"),
    ("{", "malformed"),
    ("[]", "malformed"),
    ("7", "malformed"),
    ("[" * 60_000, "malformed"),
    ('{"type": "emotion.set", "units": {"AU4": NaN}}', "malformed"),
    ('{"type": "emotion.set", "units": {"AU4": Infinity}}', "malformed"),
    ('{"type": "emotion.set", "units": {"AU4": 1e999}}', "invalid"),
    ("{}", "unknown_type"),
    ('{"type": "emotion"}', "unknown_type"),
    ('{"type": ["ping"]}', "unknown_type"),
    ('{"type": "ping", "extra": 1}', "invalid"),
    ('{"type": "ping", "id": true}', "invalid"),
    ('{"type": "ping", "id": "%s"}' % ("x" * 65), "invalid"),
    ('{"type": "emotion.set"}', "invalid"),
    ('{"type": "emotion.set", "emotion": {"joy": 1}}', "unknown_emotion"),
    ('{"type": "emotion.set", "units": {"AU99": 1}}', "unknown_unit"),
    ('{"type": "emotion.set", "units": {"AU4": 1.01}}', "invalid"),
    ('{"type": "emotion.set", "units": {"AU4": -0.1}}', "invalid"),
    ('{"type": "emotion.set", "units": {"AU4": "1"}}', "invalid"),
    ('{"type": "emotion.set", "units": {"AU4": true}}', "invalid"),
    ('{"type": "emotion.set", "emotion": {"fear": 1}, "transition_ms": -1}', "invalid"),
    ('{"type": "emotion.set", "emotion": {"fear": 1}, "mode": "mix"}', "invalid"),
    ('{"type": "motion.set", "head": 2}', "invalid"),
    ('{"type": "ping", "id": "%s"}' % ("x" * 1_000_000), "too_large"),
]


class TestBadMessages:
    @pytest.mark.parametrize(("text", "code"), BAD_MESSAGES, ids=[text[:48] for text, _ in BAD_MESSAGES])
    def test_is_answered_and_the_session_goes_on(self, text: str, code: str) -> None:
        session = live()
        before = session.target
        error = only_error(session.handle(Received(text), 103.0))
        assert error.code == code and "\n" not in error.message and len(error.message) < 300
        assert json.loads(to_json(error))["type"] == "error"
        assert session.target == before and sent(say(session, type="ping")) == [Pong()]

    def test_binary(self) -> None:
        assert only_error(live().handle(Received(None), 103.0)).code == "malformed"

    def test_the_error_carries_the_id(self) -> None:
        assert only_error(say(live(), type="emotion.set", id=9, units={"AU99": 1})).id == 9


class TestGivingUp:
    def test_no_offer(self) -> None:
        session = new()
        assert session.deadline == 100.0 + FIRST_OFFER_S
        assert session.handle(TimePassed(), 129.9) == []
        assert session.handle(TimePassed(), 130.0)[-1] == Close("no_offer")

    def test_no_connection(self) -> None:
        session = new()
        session.handle(Offered(), 110.0)
        assert session.deadline == 110.0 + CONNECT_S
        assert session.handle(TimePassed(), 140.0)[-1] == Close("not_connected")

    def test_a_live_call_has_no_deadline_even_without_control(self) -> None:
        session = live()
        session.handle(ControlClosed(), 102.0)
        assert session.deadline is None

    def test_lost_media_with_control_waits_for_a_new_offer(self) -> None:
        session = live()
        session.handle(Lost(), 200.0)
        assert session.deadline == 200.0 + LOST_S
        session.handle(Offered(), 250.0)
        session.handle(Connected(), 251.0)
        assert session.status == "live" and session.deadline is None

    def test_both_gone_is_gone(self) -> None:
        session = live()
        session.handle(Lost(), 200.0)
        session.handle(ControlClosed(), 201.0)
        assert session.deadline == 201.0 + GRACE_S
        assert session.handle(TimePassed(), 216.0)[-1] == Close("gone")

    def test_control_that_returns_saves_it(self) -> None:
        session = live()
        session.handle(ControlClosed(), 199.0)
        session.handle(Lost(), 200.0)
        session.handle(ControlOpened(), 210.0)
        assert session.handle(TimePassed(), 216.0) == []

    def test_the_last_words(self) -> None:
        actions = live().handle(Ended("failed"), 103.0)
        [error] = sent(actions)
        assert isinstance(error, Error) and error.code == "failed"
        assert actions[-2:] == [Announce(SessionEnded("failed")), Close("failed")]

    def test_nothing_happens_after_the_end(self) -> None:
        session = live()
        session.handle(Ended("deleted"), 103.0)
        assert say(session, type="ping") == [] and session.handle(TimePassed(), 999.0) == []


def pushed(barge_in: bool = True) -> Session:
    """A push session that is connected, from 101.0 s on."""
    session = Session("anna", 512, created=100.0, source="push", barge_in=barge_in)
    session.handle(Connected(), 101.0)
    return session


def speaking(barge_in: bool = True) -> Session:
    session = pushed(barge_in)
    session.handle(Said(SpeechStarted("a", 0)), 102.0)
    return session


def attended(actions: list[Action]) -> list[Activity]:
    return [a.event.activity for a in actions if isinstance(a, Announce) and isinstance(a.event, Attended)]


class TestTheUsersVoice:
    def heard(self, session: Session, verdict: Verdict, now: float = 103.0) -> list[Action]:
        return session.handle(UserHeard(verdict, 40), now)

    def test_that_may_be_one_pauses_and_that_is_one_interrupts(self) -> None:
        session = speaking()
        assert self.heard(session, Verdict.STARTED) == [Pause()]
        actions = self.heard(session, Verdict.CONFIRMED)
        assert actions[:2] == [Interrupt(None), Announce(UserSpoke(True, 40))]

    def test_that_was_none_lets_the_speech_go_on(self) -> None:
        session = speaking()
        self.heard(session, Verdict.STARTED)
        assert self.heard(session, Verdict.DISMISSED) == [Resume()]
        assert self.heard(session, Verdict.DISMISSED) == []

    def test_interrupts_nothing_where_nothing_is_said(self) -> None:
        session = pushed()
        assert self.heard(session, Verdict.STARTED) == []
        assert self.heard(session, Verdict.CONFIRMED) == [Announce(UserSpoke(True, 40)), Behave("listening", True)]

    def test_interrupts_nothing_where_it_may_not(self) -> None:
        session = speaking(barge_in=False)
        assert self.heard(session, Verdict.STARTED) == []
        assert self.heard(session, Verdict.CONFIRMED)[0] == Announce(UserSpoke(True, 40))

    def test_that_hangs_up_in_a_pause_leaves_no_pause(self) -> None:
        session = speaking()
        self.heard(session, Verdict.STARTED)
        assert session.handle(Lost(), 104.0)[0] == Resume()

    def test_that_drives_the_portrait_only_tells(self) -> None:
        assert self.heard(live(), Verdict.STARTED) == []
        assert self.heard(live(), Verdict.CONFIRMED) == [Announce(UserSpoke(True, 40))]


class TestActivity:
    def test_speaks_then_listens_then_is_idle(self) -> None:
        session = pushed()
        assert attended(session.handle(Said(SpeechStarted("a", 0)), 110.0)) == ["speaking"]
        assert attended(session.handle(Said(SpeechEnded("a", 1000, 1000)), 111.0)) == ["listening"]
        assert session.deadline == 111.0 + LISTENING_S
        assert attended(session.handle(TimePassed(), 111.0 + LISTENING_S)) == ["idle"]
        assert session.deadline is None

    def test_turns_to_whoever_comes(self) -> None:
        session = Session("anna", 512, created=100.0, source="push")
        actions = session.handle(Connected(), 101.0)
        assert attended(actions) == ["listening"] and Behave("listening", addressed=False) in actions

    def test_thinks_until_it_speaks(self) -> None:
        session = pushed()
        assert attended(session.handle(AttendTo("thinking"), 102.0)) == ["thinking"]
        assert attended(session.handle(Said(SpeechStarted("a", 0)), 103.0)) == ["speaking"]
        assert attended(session.handle(Said(SpeechEnded("a", 9, 9)), 104.0)) == ["listening"]

    def test_thinks_no_longer_than_a_backend_that_hangs(self) -> None:
        session = pushed()
        session.handle(AttendTo("thinking"), 102.0)
        assert attended(session.handle(TimePassed(), 102.0 + THINKING_S)) == ["idle"]

    def test_listens_to_the_user_whatever_was_set(self) -> None:
        session = pushed()
        session.handle(AttendTo("thinking"), 102.0)
        assert attended(session.handle(UserHeard(Verdict.CONFIRMED, 40), 103.0)) == ["listening"]

    def test_does_not_speak_while_sound_is_late(self) -> None:
        session = speaking()
        assert attended(session.handle(Stuck(True), 103.0)) == ["listening"]
        assert attended(session.handle(Stuck(False), 104.0)) == ["speaking"]

    def test_knows_who_is_spoken_to(self) -> None:
        session = pushed()
        assert Behave("listening", addressed=True) in session.handle(UserHeard(Verdict.CONFIRMED, 40), 102.0)
        assert Behave("listening", addressed=False) in session.handle(UserHeard(Verdict.ENDED, 40), 103.0)

    def test_by_message(self) -> None:
        assert attended(say(pushed(), type="activity.set", activity="thinking")) == ["thinking"]
        assert say(pushed(), type="speech.interrupt", utterance="a") == [Interrupt("a")]

    def test_of_one_with_a_voice_of_its_own_is_nobodys_to_set(self) -> None:
        assert only_error(say(live(), type="activity.set", activity="idle")).code == "wrong_source"


class TestAssistant:
    def test_comes_once_when_somebody_is_there(self) -> None:
        session = Session("anna", 512, created=100.0, source="assistant")
        assert Assist() in session.handle(Connected(), 101.0)
        session.handle(Lost(), 102.0)
        assert Assist() not in session.handle(Connected(), 103.0)

    def test_its_troubles_are_everybodys_to_know(self) -> None:
        assert pushed().handle(Reported("x", "y"), 102.0) == [Announce(Troubled("x", "y"))]

    def test_its_cues_move_the_face(self) -> None:
        session = pushed()
        ease, state = session.handle(CueReached(Les.of({"AU4": 1}), 0.2), 102.0)
        assert isinstance(ease, Ease) and ease.key is None and session.target == Les.of({"AU4": 1})
        assert isinstance(state, Send)

    def test_a_neutral_cue_gives_the_face_back_to_what_was_set(self) -> None:
        session, smile = pushed(), Les.of({"AU12": 0.5})
        change(session, type="emotion.set", units={"AU12": 0.5})
        change(session, type="emotion.set", units={"AU1": 1}, hold_ms=60_000)
        for cue in (Les.of({"AU4": 1}), Les()):
            session.handle(CueReached(cue, 0.2), 103.0)
        session.handle(TimePassed(), 200.0)
        assert session.target == smile
        change(session, type="emotion.reset")
        session.handle(CueReached(Les(), 0.2), 104.0)
        assert session.target == Les()
