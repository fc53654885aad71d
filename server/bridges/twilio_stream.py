"""The caller's end of a Twilio media stream (the WebSocket protocol of Twilio's Voice API, `<Connect><Stream>`).

An app made for telephone calls is given a face instead of a telephone: it hears the user and what it sends is spoken.
Sound has no end in this protocol, so an utterance ends when all of it was heard and no more came for a moment, or when
nothing but silence comes, as from apps that send all the time. When the user interrupts, the rest of what the app is
sending is dropped until it clears or falls silent; marks come back at once then, as they do after a `clear`. A mark
whose name is an emotion's tag (`[happy 0.6]`) shows it, too.
"""

import asyncio
import base64
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import numpy as np

from engine.les import Les
from server.assistants.emotion import TagReader
from server.backlog import Backlog
from server.conversation import Conversation, ConversationEvent, MarkHeard, SpeechInterrupted, SpeechRefused
from server.side_by_side import until_first
from server.sound_format import Encoding, SoundFormat

LINGER_S = 0.3  # without messages, after all was heard: the utterance is over
PAUSE_S = 2.0  # of silence that an app sends: likewise, and more of it is left out
QUIET = 64  # of 32768: the largest sample of silence
MESSAGE_MS = 20  # of the user's sound in a message, as Twilio has it
MAX_OUTBOX = 1000  # messages not yet sent; an app that reads no more is left
MULAW = SoundFormat("mulaw", 8_000)
ENCODINGS: Mapping[str, Encoding] = {"audio/x-mulaw": "mulaw", "audio/x-alaw": "alaw", "audio/l16": "pcm16"}
NAMES = {encoding: name for name, encoding in ENCODINGS.items()}

Message = Mapping[str, Any]


class Garbage(Exception):
    """A message that breaks the protocol; the words say how."""


class MediaStream:
    """No socket: messages of the app and events of the conversation go in, messages to the app come out."""

    def __init__(
        self,
        conversation: Conversation,
        backlog: Backlog,
        send: Callable[[Message], None],
        format: SoundFormat = MULAW,
    ) -> None:
        """`format`: of the user's sound; the app's is the same unless it says otherwise in a `start`."""
        self._conversation, self._backlog, self._send = conversation, backlog, send
        self._ours = self._theirs = format
        self._sid, self._call = f"MZ{secrets.token_hex(16)}", f"CA{secrets.token_hex(16)}"
        self._numbers, self._chunks, self._names = itertools.count(1), itertools.count(1), itertools.count(1)
        self._sent_ms = 0
        self._utterance: str | None = None
        self._marks: dict[str, str] = {}
        """What the app calls the marks that have not been heard."""
        self._cues: list[Les] = []
        """Emotions that wait for the next sound."""
        self._tail = f"{self._sid}:tail"
        """The name of our own mark, which tells that all was heard."""
        self._tailed, self._more = False, False
        """Whether it waits to be heard, and whether sound has come after it."""
        self._quiet_s = 0.0
        """How long it has sent silence."""
        self._deaf = False
        """The user has interrupted, and the app may not know yet."""
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "accountSid": f"AC{'0' * 32}", "streamSid": self._sid, "callSid": self._call, "tracks": ["inbound"],
            "customParameters": {},
            "mediaFormat": {"encoding": NAMES[self._ours.encoding], "sampleRate": self._ours.rate, "channels": 1},
        }  # fmt: skip
        self._tell("start", start=start)

    def hear(self, text: str | bytes | None) -> bool:
        """A message of the app; whether another one may follow. Raises `Garbage`."""
        message = parse(text)
        match message.get("event"):
            case "media":
                self._media(decoded(part(message, "media").get("payload")))
            case "mark":
                self._mark(part(message, "mark").get("name"))
            case "clear":
                self._clear()
            case "start":
                self._end()
                self._theirs = media_format(part(message, "start").get("mediaFormat"))
            case "stop":
                return False
            case str():
                pass
            case _:
                raise Garbage("a message has no event")
        return True

    def follow(self, event: ConversationEvent) -> None:
        match event:
            case MarkHeard(name=name) if name in self._marks:
                self._echo(name)
            case MarkHeard(utterance, name) if (utterance, name) == (self._utterance, self._tail):
                self._all_heard(utterance)
            case SpeechInterrupted(utterance) if utterance == self._utterance:
                self._forget()
                self._deaf = True
                self._wait(self._listen_again)

    def pass_on(self, pcm: bytes) -> None:
        """The user's sound, PCM16 at the format's rate."""
        sound = self._ours.encode(pcm)
        size = self._ours.bytes_per_second * MESSAGE_MS // 1000
        for start in range(0, len(sound), size):
            payload = base64.b64encode(sound[start : start + size]).decode("ascii")
            media = {"track": "inbound", "chunk": str(next(self._chunks)), "timestamp": str(self._sent_ms)}
            self._tell("media", media=media | {"payload": payload})
            self._sent_ms += MESSAGE_MS

    def stop(self) -> None:
        """The session has ended."""
        self._tell("stop", stop={"accountSid": f"AC{'0' * 32}", "callSid": self._call})

    def hang_up(self) -> None:
        """The app is gone: what the conversation has of its words is still heard."""
        self._wait(None)
        if self._utterance:
            self._conversation.end(self._utterance)

    # ---- what the app says

    def _media(self, sound: bytes) -> None:
        if self._deaf:
            self._wait(self._listen_again)
            return
        self._wait(None)
        pcm = self._theirs.decode(sound)
        quiet = bool((np.abs(np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.int32)) <= QUIET).all())
        self._quiet_s = self._quiet_s + len(pcm) / 2 / self._theirs.rate if quiet else 0.0
        if self._utterance is None and quiet:
            return
        self._say(pcm)
        if self._quiet_s >= PAUSE_S:
            self._end()

    def _say(self, pcm: bytes) -> None:
        if self._utterance is None:
            self._utterance = self._conversation.begin(rate=self._theirs.rate)
        for cue in self._cues:
            self._backlog.cue(self._utterance, cue)
        self._cues.clear()
        self._backlog.append(self._utterance, pcm)
        self._more = True
        if not self._tailed:
            self._add_tail(self._utterance)

    def _mark(self, name: Any) -> None:
        if not isinstance(name, str):
            raise Garbage("a mark has no name")
        self._cues += [found for found in TagReader().feed(name) if isinstance(found, Les)]
        ours = f"{self._sid}:{next(self._names)}"
        self._marks[ours] = name
        if self._utterance is None:
            self._echo(ours)
        else:
            self._backlog.mark(self._utterance, ours)

    def _clear(self) -> None:
        self._listen_again()
        if utterance := self._utterance:
            self._forget()
            self._conversation.interrupt(utterance)

    # ---- what becomes of it

    def _add_tail(self, utterance: str) -> None:
        self._backlog.mark(utterance, self._tail)
        self._tailed, self._more = True, False

    def _all_heard(self, utterance: str) -> None:
        self._tailed = False
        if self._more:
            self._add_tail(utterance)
        else:
            self._wait(self._end)

    def _end(self) -> None:
        if self._utterance:
            self._backlog.end(self._utterance)
        self._utterance, self._tailed = None, False

    def _forget(self) -> None:
        """The utterance is over before its end: its marks come back now."""
        if self._utterance:
            self._backlog.drop(self._utterance)
        self._utterance, self._tailed = None, False
        for name in list(self._marks):
            self._echo(name)

    def _listen_again(self) -> None:
        self._wait(None)
        self._deaf = False

    def _echo(self, name: str) -> None:
        self._tell("mark", mark={"name": self._marks.pop(name)})

    def _wait(self, then: Callable[[], None] | None) -> None:
        """Does it after a moment unless told something else before."""
        if self._pause:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(LINGER_S, then) if then else None

    def _tell(self, event: str, **fields: Any) -> None:
        self._send({"event": event, "sequenceNumber": str(next(self._numbers)), "streamSid": self._sid, **fields})


def parse(text: str | bytes | None) -> Message:
    try:
        message = json.loads(text or "")
    except (ValueError, RecursionError):
        raise Garbage("a message is not JSON") from None
    if not isinstance(message, dict):
        raise Garbage("a message is not an object")
    return message


def part(message: Message, key: str) -> Message:
    value = message.get(key)
    if not isinstance(value, dict):
        raise Garbage(f"{message['event']} has no {key!r}")
    return value


def decoded(payload: Any) -> bytes:
    try:
        return base64.b64decode(payload, validate=True)
    except (TypeError, ValueError):
        raise Garbage("media has no payload in base64") from None


def media_format(wanted: Any) -> SoundFormat:
    """Of `start`'s `mediaFormat`; what is not given is Twilio's default."""
    given = wanted if isinstance(wanted, dict) else {}
    encoding = ENCODINGS.get(str(given.get("encoding", "audio/x-mulaw")).lower())
    rate, channels = given.get("sampleRate", MULAW.rate), given.get("channels", 1)
    if encoding is None or not isinstance(rate, int) or channels != 1:
        raise Garbage(f"mediaFormat must be mono and one of {', '.join(ENCODINGS)}")
    return SoundFormat(encoding, rate)


# ---- over a socket


async def carry(
    conversation: Conversation,
    incoming: AsyncIterator[str | bytes | None],
    send: Callable[[str], Awaitable[None]],
    format: SoundFormat = MULAW,
) -> None:
    """Until the app stops or leaves, and what it said has found room, or the session ends. Raises `Garbage`."""
    backlog, outbox = Backlog(conversation), asyncio.Queue[Message](MAX_OUTBOX)
    stream = MediaStream(conversation, backlog, outbox.put_nowait, format)
    try:
        with conversation.subscribe() as events, conversation.listen(format.rate) as microphone:
            stream.open()
            hearing, telling = hear(incoming, stream), tell(outbox, send)
            following, speaking = follow(events, stream, outbox), speak(microphone, stream)
            await until_first(hearing, telling, following, speaking, backlog.run())
            await until_first(backlog.run(), backlog.drained())
    except SpeechRefused as refused:
        conversation.report(refused.code, str(refused))
    except asyncio.QueueFull:
        raise Garbage("it no longer reads what it is told") from None
    finally:
        stream.hang_up()


async def hear(incoming: AsyncIterator[str | bytes | None], stream: MediaStream) -> None:
    async for message in incoming:
        if not stream.hear(message):
            return


async def tell(outbox: asyncio.Queue[Message], send: Callable[[str], Awaitable[None]]) -> None:
    while True:
        await send(json.dumps(await outbox.get()))
        outbox.task_done()


async def follow(events: AsyncIterator[ConversationEvent], stream: MediaStream, outbox: asyncio.Queue[Message]) -> None:
    async for event in events:
        stream.follow(event)
    stream.stop()
    await outbox.join()


async def speak(microphone: AsyncIterator[bytes], stream: MediaStream) -> None:
    async for pcm in microphone:
        stream.pass_on(pcm)
    await asyncio.Future()  # the end of the session is `follow`'s to tell
