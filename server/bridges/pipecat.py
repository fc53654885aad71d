"""Pipecat: a service that stands behind the text to speech of a pipeline and gives it a face.

    Pipeline([transport.input(), stt, user, llm, tts, AvatarVideoService(portrait="anna"), transport.output()])

Speech goes in as `TTSAudioRawFrame`, as fast as it likes. Out come, 25 times a second, an `OutputImageRawFrame` and the
40 ms of sound that belong to it, silence included. It runs in the bot's own process: nothing to start, no port, no
second encoding. `TTSStoppedFrame` follows when the last word has been heard, and so does the end of the pipeline.
Should the avatar fail, the sound passes on as if it were not there.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from pipecat.frames.frames import (
    CancelFrame,
    DataFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    SpeechOutputAudioRawFrame,
    StartFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessorSetup
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings

from engine.les import Les, parse
from engine.portrait import Portrait
from server.bridges.stage import Over, performed
from server.bridges.studio import Studio
from server.conversation import Conversation, SpeechEnded, SpeechRefused
from server.live import LiveSession
from server.media import Shown
from server.session_events import CueReached
from server.timeline import AUDIO_RATE

NS_PER_MS = 1_000_000


@dataclass
class AvatarEmotionFrame(DataFrame):
    """The face eases to an emotion when the speech that follows it in the pipeline is heard, or at once in silence."""

    emotion: str | Les = ""
    """`"happiness=0.6, AU4=0.2"`; empty is neutral."""
    transition_s: float = 0.3


class AvatarVideoService(AIService):
    def __init__(
        self,
        *,
        portrait: str | Portrait = "anna",
        size: int = 512,
        seed: int = 0,
        emotion: str | Les = "",
        studio: Studio | None = None,
        **kwargs: Any,
    ) -> None:
        """`portrait`: see `Studio.open`. Bots that share a process share the engine through one `studio`."""
        super().__init__(settings=ServiceSettings(model=None), **kwargs)
        self._portrait, self._size, self._seed, self._emotion = portrait, size, seed, to_les(emotion)
        self._studio, self._owns_studio = studio or Studio(), studio is None
        self._live: LiveSession | None = None
        self._showing: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._utterance: str | None = None
        self._rate = 0
        self._feeling: AvatarEmotionFrame | None = None
        """That of the utterance to come."""
        self._unheard: dict[str, TTSStoppedFrame | None] = {}
        """Utterances that are not over, with the frame that follows their last word."""
        self._heard_all = asyncio.Event()
        self._heard_all.set()

    async def setup(self, setup: FrameProcessorSetup) -> None:
        """Loads the networks and the portrait, which takes a second or two, before the pipeline starts."""
        await super().setup(setup)
        if self._owns_studio:
            await self._studio.__aenter__()
        self._live = await self._studio.open(self._portrait, size=self._size, seed=self._seed, emotion=self._emotion)
        self._showing = self.create_task(self._show(self._live))

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._started.set()

    async def stop(self, frame: EndFrame) -> None:
        """The bot says what it has to say."""
        await super().stop(frame)
        self._end(None)
        await self._heard_all.wait()
        await self._leave()

    async def cancel(self, frame: CancelFrame) -> None:
        await super().cancel(frame)
        await self._leave()

    async def cleanup(self) -> None:
        await super().cleanup()
        await self._leave()
        if self._owns_studio:
            await self._studio.__aexit__(None, None, None)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if self._live is None:
            await self.push_frame(frame, direction)
            return
        conversation = self._live.conversation
        match frame:
            case TTSAudioRawFrame():
                await self._say(conversation, frame)
                return  # it comes back in step with the picture
            case AvatarEmotionFrame():
                self._feel(self._live, frame)
                return
            case TTSStartedFrame():
                self._end(None)
            case TTSStoppedFrame():
                if self._utterance:
                    self._end(frame)
                    return  # it follows the last word
            case InterruptionFrame():
                self._utterance = self._feeling = None
                conversation.interrupt()
            case UserStartedSpeakingFrame():
                conversation.attend("listening")
            case UserStoppedSpeakingFrame():
                conversation.attend("thinking")
        await self.push_frame(frame, direction)

    async def _say(self, conversation: Conversation, frame: TTSAudioRawFrame) -> None:
        try:
            if self._utterance is None or frame.sample_rate != self._rate:
                self._end(None)
                self._begin(conversation, frame.sample_rate)
            assert self._utterance
            conversation.append(self._utterance, mono(frame.audio, frame.num_channels))
            await conversation.room(self._utterance)
        except SpeechRefused as refused:
            await self.push_error(f"the avatar can't say this: {refused}", refused)

    def _begin(self, conversation: Conversation, rate: int) -> None:
        self._utterance, self._rate = conversation.begin(rate=rate), rate
        self._unheard[self._utterance] = None
        self._heard_all.clear()
        feeling, self._feeling = self._feeling, None
        if feeling:
            conversation.cue(self._utterance, to_les(feeling.emotion), transition_s=feeling.transition_s)

    def _end(self, stopped: TTSStoppedFrame | None) -> None:
        if self._utterance and self._live:
            self._unheard[self._utterance] = stopped
            self._live.conversation.end(self._utterance)
        self._utterance = None

    def _feel(self, live: LiveSession, frame: AvatarEmotionFrame) -> None:
        emotion = to_les(frame.emotion)
        if self._utterance:
            live.conversation.cue(self._utterance, emotion, transition_s=frame.transition_s)
        elif self._unheard:
            self._feeling = frame
        else:
            live.feed(CueReached(emotion, frame.transition_s))

    async def _show(self, live: LiveSession) -> None:
        await self._started.wait()
        async with performed(live) as slots:
            async for slot in slots:
                if isinstance(slot, Shown):
                    await self._push(slot)
                else:
                    await self._over(slot)
        self._live = None
        self._heard_all.set()
        await self.push_error("the avatar's session has ended, see the log; speech goes on without a face")

    async def _over(self, event: Over) -> None:
        stopped = self._unheard.pop(event.utterance, None)
        if not self._unheard:
            self._heard_all.set()
        if stopped and isinstance(event, SpeechEnded):
            await self.push_frame(stopped)

    async def _push(self, shown: Shown) -> None:
        """The picture waits for the sound before it in the transport's queue, and is seen with its own."""
        height, width, _ = shown.picture.shape
        image = OutputImageRawFrame(image=shown.picture.tobytes(), size=(width, height), format="RGB")
        image.sync_with_audio = True
        pcm = (np.clip(shown.sound, -1, 1) * 32767).astype("<i2").tobytes()
        sound = SpeechOutputAudioRawFrame(audio=pcm, sample_rate=AUDIO_RATE, num_channels=1)
        for frame in (image, sound):
            frame.pts = shown.media_ms * NS_PER_MS
            await self.push_frame(frame)

    async def _leave(self) -> None:
        """May come several times: from `stop`, `cancel` and `cleanup`."""
        showing, self._showing = self._showing, None
        if showing:
            await self.cancel_task(showing)
        live, self._live = self._live, None
        if live:
            await live.end("deleted")


def to_les(emotion: str | Les) -> Les:
    return parse(emotion) if isinstance(emotion, str) else emotion


def mono(audio: bytes, channels: int) -> bytes:
    """PCM16 of one channel: the mean of all."""
    if channels == 1:
        return audio
    samples = np.frombuffer(audio, "<i2").reshape(-1, channels)
    return bytes(samples.mean(axis=1).round().astype("<i2").tobytes())
