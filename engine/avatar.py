"""The avatar: a voice, a trajectory of the Linear Emotion Space and a seed become pictures of a portrait.

The networks are loaded once and step every stream together. A `Stream` holds all that belongs to one session, so that
streams join, leave and fail without the others. Nothing here knows of clocks, threads or the network.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from engine.backend import Backend, Renderer, choose
from engine.background import Background
from engine.cdan import Cdan, StreamState
from engine.face.coefficients import FACE, INDEX
from engine.face.les_map import LES_TO_FACE
from engine.les import Les, Trajectory
from engine.motion import Activity, Motion, MotionAmounts
from engine.portrait import Portrait
from engine.renderer.shot import Shot
from engine.thrift import Drawn
from engine.tracks import rest
from engine.units import CHUNK, DEFAULT_LOOK_AHEAD, FPS, FRAME_SIZE, MAX_LOOK_AHEAD

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

QUIET = 10  # chunks of silence after which a voice is met as after any pause
# What is left of the spoken pose in the frames after a hush: gone in 120 ms, with soft ends.
HUSH = tuple(1 - t * t * (3 - 2 * t) for t in (1 / 3, 2 / 3))
PUCKER, ROUNDING = INDEX["mouthPucker"], 0.33
"""Lips round by so much a frame at most, as in the speech that the network learned from; it may leap by 0.7."""


@dataclass(frozen=True)
class Picture:
    """One frame of one stream."""

    frame: int
    """Counted from 0 at the stream's opening. Its sound is the chunk fed `look_ahead` chunks before."""
    drawn: Drawn
    """Several frames show the same where nothing has moved."""
    coefficients: Floats
    """[69] in the order of `engine.face.coefficients.NAMES`"""
    les: Les

    @property
    def rgb(self) -> Pixels:
        """[size, size, 3], with alpha 4"""
        return self.drawn.rgb

    @property
    def i420(self) -> Pixels:
        """[size * 3 / 2, size] as video encoders take it, in BT.601."""
        return self.drawn.i420


class Stream:
    """One session's state. Whoever steps the avatar owns it; it has no locks."""

    def __init__(self, portrait: Portrait, quiet: StreamState, seed: int, size: int, look_ahead: int) -> None:
        """`quiet` is the memory of a stream that has heard some silence."""
        self.portrait = portrait
        self.size = size
        self.look_ahead = look_ahead
        self.background = Background()
        self.plate: Pixels | None = None
        """The background at the pictures' size; None is the photo's own."""
        self.cut_out = False
        """Whether pictures are of the person alone, RGBA."""
        self.frame = 0
        """The number of the frame that comes next."""
        self.memory = self._quiet = quiet
        self.at_rest = False
        """Whether one more chunk of digital silence would leave the memory as it is, to the last bit."""
        self.drawn: Drawn | None = None
        self.motion = Motion(seed)
        self._before: deque[StreamState] = deque(maxlen=MAX_LOOK_AHEAD)
        self._emotion = Trajectory()
        self._spoken = np.zeros(len(FACE), np.float32)
        self._spoke = -1  # the frame of that
        self._fading: list[Floats] = []
        self._prosody = (0.0, 0.0, 0.0)

    def set_emotion(self, target: Les, *, transition_s: float, hold_s: float | None = None) -> int:
        """Eases to `target` from the next frame on; returns the number of the first frame that shows it."""
        # With a transition, the next frame is where the way begins; the one after it is the first that differs.
        self._emotion.set(target, self._now, transition_s=transition_s, hold_s=hold_s)
        return self.frame + (1 if transition_s else 0)

    def set_motion(self, amounts: MotionAmounts) -> None:
        """How much the portrait moves of its own accord from the next frame on."""
        self.motion.amounts = amounts

    def stand_before(self, background: Background, *, cut_out: bool = False) -> None:
        """From the next frame on; `cut_out`: pictures have alpha. PortraitError where it can't be changed."""
        background.check(self.portrait)
        self.background, self.cut_out = background, cut_out
        self.resize(self.size)

    def resize(self, size: int) -> None:
        """Pictures are `size` x `size` from the next one on."""
        self.size, self.drawn = size, None
        self.plate = self.background.plate(self.portrait, size)

    def set_activity(self, activity: Activity, *, addressed: bool = False) -> None:
        """How it moves while it does not speak, and whether somebody speaks to it."""
        self.motion.activity, self.motion.addressed = activity, addressed

    def show(self, face: Floats, emotion: Les) -> Picture:
        """What was drawn last as this frame's picture; the next frame is the next one's."""
        assert self.drawn
        self.frame += 1
        return Picture(self.frame - 1, self.drawn, face, emotion)

    def hush(self) -> None:
        """The mouth eases shut, within three frames and whatever it was about to say; new sound opens it again.

        The networks forget what they heard: of sound that will not be heard, nothing may be seen.
        """
        self.memory, self.at_rest = self._quiet, False
        self._before.clear()
        self._fading = [share * self._spoken for share in HUSH]

    def hear(self, memory: StreamState, *, silence: bool) -> None:
        """`memory` is what one more chunk, perhaps of digital silence, makes of the present one."""
        self._before.append(self.memory)
        same = memory is self.memory  # or as good as
        self.at_rest = silence and (same or all(np.array_equal(memory[name], v) for name, v in self.memory.items()))
        self.memory = memory

    def unhear(self, chunks: int) -> None:
        """Forgets the last chunks, as many as the look-ahead at most: they were guessed, and other sound came."""
        for _ in range(chunks):
            self.memory, self.at_rest = self._before.pop(), False

    def skip(self, frames: int) -> None:
        """Time goes on by some frames that nobody will see."""
        for _ in range(frames):
            self.motion.step(self._prosody)
            self.frame += 1
        del self._fading[:frames]

    def speak(self, driven: Floats, emotion: Les) -> Floats:
        """[63] the coefficients that the voice and the emotion ask for in this frame, and what fades of the last."""
        if self._fading:
            driven = driven + self._fading.pop(0)
        most = resting(emotion)[PUCKER] + self._spoken[PUCKER] + ROUNDING * (self.frame - self._spoke)
        if driven[PUCKER] > most:
            driven = driven.copy()
            driven[PUCKER] = most
        self._spoken, self._spoke = driven - resting(emotion), self.frame
        return driven

    def live(self, prosody: Floats) -> Floats:
        """[69] the portrait's own motion in this frame, nudged by the voice's prosody [3]."""
        activity, loudness, pitch = prosody.tolist()
        self._prosody = activity, loudness, pitch
        return self.motion.step(self._prosody)

    def emotion(self) -> Les:
        """Where the trajectory is at the next frame."""
        return self._emotion.value(self._now)

    @property
    def _now(self) -> float:
        return self.frame / FPS


class Avatar:
    """The networks, for any number of streams. For one thread."""

    def __init__(
        self,
        *,
        look_ahead: int = DEFAULT_LOOK_AHEAD,
        slack: float = 0.0,
        backend: Backend | None = None,
    ) -> None:
        """`backend` is the CPU unless one is given.

        A silent portrait's own motion may lag by `slack` pixels of a 512 x 512 picture before it is drawn again.
        """
        self.look_ahead = _checked(look_ahead)
        self._slack = slack
        self._backend = backend or choose("cpu")
        self._cdan = Cdan(self._backend.cdan)
        self._renderers: dict[int, Renderer] = {}
        self._quiet: dict[int, StreamState] = {}
        """By look-ahead."""

    @property
    def aligned(self) -> bool:
        """Whether streams are best stepped all at once."""
        return self._backend.aligned

    def check(self) -> None:
        """After a step has failed: raises if all that follow would, as they do on a GPU once its context is corrupt."""
        self._backend.check()

    def close(self) -> None:
        """Lets go of the renderers and their pictures; no stream can step any more."""
        self._renderers.clear()

    def open(
        self, portrait: Portrait, *, seed: int = 0, size: int = FRAME_SIZE, look_ahead: int | None = None
    ) -> Stream:
        """A new stream of `size` x `size` pictures, in silence and neutral; its look-ahead is the avatar's if None."""
        ahead = _checked(self.look_ahead if look_ahead is None else look_ahead)
        self._ensure_renderer(size)
        return Stream(portrait, self._quiet_memory(ahead), seed, size, ahead)

    def resize(self, stream: Stream, size: int) -> None:
        """The stream's pictures are `size` x `size` from the next one on."""
        self._ensure_renderer(size)
        stream.resize(size)

    def _ensure_renderer(self, size: int) -> None:
        if size not in self._renderers:
            self._renderers[size] = self._backend.renderer(size)

    def _quiet_memory(self, look_ahead: int) -> StreamState:
        if look_ahead not in self._quiet:
            memory, silence, neutral = self._cdan.open(), np.zeros((1, CHUNK), np.float32), Les().array()[None]
            for _ in range(QUIET):
                memory = self._cdan.step(silence, neutral, [look_ahead], [memory]).states[0]
            self._quiet[look_ahead] = memory
        return self._quiet[look_ahead]

    def step_one(self, stream: Stream, chunks: Floats) -> Picture:
        """A stream by itself, see `step`; raises what it fails with."""
        [picture] = self.step([(stream, chunks)])
        if isinstance(picture, Exception):
            raise picture
        return picture

    def step(self, work: Sequence[tuple[Stream, Floats]]) -> list[Picture | Exception]:
        """Feeds each stream its next chunk, float32 [640] of 16 kHz sound in [-1, 1]; one picture of each in turn.

        The picture belongs to the chunk fed `look_ahead` chunks before. More than one, [n, 640], may be fed at once. A
        stream that fails has the reason in its picture's place, and the others have moved by one frame all the same.
        """
        turns = [Turn(stream, chunks) for stream, chunks in work]
        for turn in turns:
            together([turn], _begin)
        for left in range(max((len(turn.chunks) for turn in turns), default=0), 0, -1):
            together([turn for turn in turns if len(turn.chunks) >= left], partial(self._hear, left=left))
        for turn in turns:
            together([turn], _live)
        for size in {turn.stream.size for turn in turns}:
            together([turn for turn in turns if turn.stream.size == size], self._draw)
        return [turn.error or turn.stream.show(turn.face, turn.emotion) for turn in turns]

    def _hear(self, turns: Sequence["Turn"], left: int) -> None:
        """One chunk each, `left` from the end. In silence a network at rest has nothing to do."""
        awake = [turn for turn in turns if turn.chunks[-left].any() or not turn.stream.at_rest]
        heard = dict(zip(awake, self._listen(awake, left), strict=True)) if awake else {}
        for turn in turns:
            quiet = resting(turn.emotion), np.zeros(3, np.float32), turn.stream.memory
            turn.driven, turn.prosody, memory = heard.get(turn, quiet)
            turn.stream.hear(memory, silence=not turn.chunks[-left].any())

    def _listen(self, turns: Sequence["Turn"], left: int) -> Iterable[tuple[Floats, Floats, StreamState]]:
        """Of each what drives the face [63], prosody [3] and memory."""
        heard = self._cdan.step(
            np.stack([turn.chunks[-left] for turn in turns]),
            np.stack([turn.emotion.array() for turn in turns]),
            [turn.stream.look_ahead for turn in turns],
            [turn.stream.memory for turn in turns],
        )
        if not np.isfinite(heard.coefficients).all():
            raise ValueError("the network gave what is no number")
        return zip(heard.coefficients, heard.prosody, heard.states, strict=True)

    def _draw(self, turns: Sequence["Turn"]) -> None:
        """Of pictures of one size, those that the last will not do for."""
        stale = [turn for turn in turns if not turn.still_drawn(self._slack)]
        if not stale:
            return
        shots = [Shot(turn.stream.portrait, turn.face, turn.stream.plate, turn.stream.cut_out) for turn in stale]
        for turn, image in zip(stale, self._renderers[stale[0].stream.size].draw(shots), strict=True):
            turn.stream.drawn = Drawn(turn.driven, turn.face, image)


@dataclass(eq=False)
class Turn:
    """One stream's part of a step."""

    stream: Stream
    chunks: Floats
    """[n, 640]"""
    emotion: Les = field(init=False)
    driven: Floats = field(init=False)
    """[63] what the voice and the emotion ask for."""
    prosody: Floats = field(init=False)
    """[3]"""
    face: Floats = field(init=False)
    """[69] all that the picture shows."""
    error: Exception | None = None
    """Why there is no picture."""

    def still_drawn(self, slack: float) -> bool:
        drawn = self.stream.drawn
        return drawn is not None and drawn.will_do(self.driven, self.face, slack)


def together(turns: Sequence[Turn], work: Callable[[Sequence[Turn]], None]) -> None:
    """`work` on all that have not failed. If it raises it did nothing: one by one then, so that one fails alone."""
    sound = [turn for turn in turns if turn.error is None]
    try:
        if sound:
            work(sound)
    except Exception as error:  # the root of every stream in it
        for turn in sound:
            if len(sound) > 1:
                together([turn], work)
            else:
                turn.error = error


def _begin(turns: Sequence[Turn]) -> None:
    for turn in turns:
        turn.chunks, turn.emotion = turn.chunks.reshape(-1, CHUNK), turn.stream.emotion()


def _live(turns: Sequence[Turn]) -> None:
    for turn in turns:
        turn.driven = turn.stream.speak(turn.driven, turn.emotion)
        turn.face = _face(turn.driven, turn.stream.live(turn.prosody))


def _checked(look_ahead: int) -> int:
    if not 0 <= look_ahead <= MAX_LOOK_AHEAD:
        raise ValueError(f"the look-ahead must be 0 to {MAX_LOOK_AHEAD} frames, not {look_ahead}")
    return look_ahead


@lru_cache(maxsize=64)
def resting(emotion: Les) -> Floats:
    """[63] the face of an emotion in silence: what CDAN's linear path says. Kept, so not to be written to."""
    face: Floats = np.clip(emotion.array() @ LES_TO_FACE, 0, 1).astype(np.float32)
    face.flags.writeable = False
    return face


def _face(driven: Floats, motion: Floats) -> Floats:
    """[69] what the voice and the emotion [63] ask for, and the motion [69] on top."""
    face = rest() + motion
    face[: len(FACE)] += driven
    np.clip(face[: len(FACE)], 0, 1, out=face[: len(FACE)])
    for side in ("Left", "Right"):  # a lid that closes takes back what else moves it: shapes add, lids can't pass
        open_share = 1 - face[INDEX[f"eyeBlink{side}"]]
        for other in ("eyeWide", "eyeSquint", "eyeLookDown", "eyeLookUp"):
            face[INDEX[other + side]] *= open_share
    return face
