"""A Pipecat bot with a face. Without any key it is a parrot: it says back what you say, and stops when you speak again.

pip install "les-avatar[pipecat]" "pipecat-ai[runner,webrtc,silero]"
python docs/examples/pipecat_avatar.py        then open http://localhost:7860 and speak

For a bot of your own put your `stt, context.user(), llm, tts` where `Parrot()` stands; the avatar stays behind `tts`.
"""

from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.types import RunnerArguments, SmallWebRTCRunnerArguments
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from server.bridges.pipecat import AvatarEmotionFrame, AvatarVideoService

SIZE = 512
MOST = 10 * 16_000 * 2  # bytes of an utterance that the parrot keeps
BEFORE = 16_000  # and of the half second before it was noticed


class Parrot(FrameProcessor):
    """In the place of speech to text, language model and text to speech."""

    def __init__(self) -> None:
        super().__init__()
        self._heard, self._listening = b"", False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case InputAudioRawFrame():
                self._heard = (self._heard + frame.audio)[-(MOST if self._listening else BEFORE) :]
                return
            case VADUserStartedSpeakingFrame():
                self._listening = True
                await self.broadcast_interruption()
            case VADUserStoppedSpeakingFrame() if self._listening:
                self._listening = False
                await self.repeat()
        await self.push_frame(frame, direction)

    async def repeat(self) -> None:
        await self.push_frame(AvatarEmotionFrame("happiness=0.4"))
        await self.push_frame(TTSStartedFrame())
        await self.push_frame(TTSAudioRawFrame(audio=self._heard, sample_rate=16_000, num_channels=1))
        await self.push_frame(TTSStoppedFrame())
        self._heard = b""


async def bot(arguments: RunnerArguments) -> None:
    assert isinstance(arguments, SmallWebRTCRunnerArguments)
    transport = SmallWebRTCTransport(
        arguments.webrtc_connection,
        TransportParams(
            audio_in_enabled=True, audio_in_sample_rate=16_000,
            audio_out_enabled=True,
            video_out_enabled=True, video_out_width=SIZE, video_out_height=SIZE, video_out_framerate=25,
        ),
    )  # fmt: skip
    avatar = AvatarVideoService(portrait="anna", size=SIZE)
    vad = VADProcessor(vad_analyzer=SileroVADAnalyzer(sample_rate=16_000))
    worker = PipelineWorker(Pipeline([transport.input(), vad, Parrot(), avatar, transport.output()]))

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    from pipecat.runner.run import main

    main()
