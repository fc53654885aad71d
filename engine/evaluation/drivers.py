"""What makes the face move: the network as it serves, and the rivals it is compared with.

A driver hears utterances at 16 kHz and gives faces [T, 63], or [T, 69] with the head's motion; frame t belongs to the
sound from t / 25 s on.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from engine.audio import as_chunks
from engine.avatar import QUIET, Avatar
from engine.cdan import CDAN_GRAPH, Cdan
from engine.cdan.training.voices import Utterance
from engine.face import LES_TO_FACE
from engine.face.coefficients import FACE
from engine.les import Les
from engine.portrait import Portrait
from engine.runtime import OpenVinoNetwork
from engine.units import CHUNK, DEFAULT_LOOK_AHEAD, FPS, HOP, HOPS_PER_FRAME, MIN_SIZE

Floats = npt.NDArray[np.float32]


class Driver(Protocol):
    """Anything that turns voices into faces."""

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        """[T, 63] for each utterance under a constant emotion."""
        ...


class NetworkDriver:
    """The network as it serves, or a graph of another, chunk by chunk as the avatar steps it; all sounds together."""

    def __init__(self, graph: Path = CDAN_GRAPH, look_ahead: int = DEFAULT_LOOK_AHEAD) -> None:
        self._cdan = Cdan(None if graph == CDAN_GRAPH else OpenVinoNetwork(graph))
        self._ahead = look_ahead

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        return [face for face, _ in self.heard(said, les)]

    def heard(self, said: Sequence[Utterance], les: Les) -> list[tuple[Floats, Floats]]:
        """Coefficients [T, 63] and prosody [T, 3] of each."""
        return self._run([one.samples for one in said], [les] * len(said))

    def levels(self, said: Utterance, axis: str, levels: Iterable[float]) -> Floats:
        """[levels, T, 63] of one utterance under one axis."""
        moods = [Les.of(units={axis: float(level)}) for level in levels]
        return np.stack([face for face, _ in self._run([said.samples] * len(moods), moods)])

    def _run(self, sounds: Sequence[Floats], moods: Sequence[Les]) -> list[tuple[Floats, Floats]]:
        lengths = [len(as_chunks(sound)) for sound in sounds]
        before = QUIET + self._ahead  # a stream is opened with the memory of some silence
        pcm = np.zeros((len(sounds), max(lengths) + before, CHUNK), np.float32)
        for row, sound in zip(pcm[:, QUIET:], sounds, strict=True):
            row.reshape(-1)[: len(sound)] = sound
        states, values = [self._cdan.open() for _ in sounds], np.stack([les.array() for les in moods])
        faces, voices = [], []
        for t in range(pcm.shape[1]):
            heard = self._cdan.step(pcm[:, t], values, [self._ahead] * len(sounds), states)
            states = heard.states
            faces.append(heard.coefficients)
            voices.append(heard.prosody)
        face, voice = (np.stack(rows, 1)[:, before:] for rows in (faces, voices))
        return [(face[i, :n], voice[i, :n]) for i, n in enumerate(lengths)]


class AvatarDriver:
    """The whole avatar as a call drives it, its own head, gaze and blinks included: faces [T, 69]."""

    def __init__(self, portrait: Portrait) -> None:
        self._avatar, self._portrait = Avatar(), portrait

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        return [self._faces(one.samples, les, seed) for seed, one in enumerate(said)]

    def _faces(self, sound: Floats, les: Les, seed: int) -> Floats:
        stream = self._avatar.open(self._portrait, seed=seed, size=MIN_SIZE)  # the judge draws them large
        stream.set_emotion(les, transition_s=0)
        chunks = as_chunks(np.pad(sound, (0, self._avatar.look_ahead * CHUNK)))
        faces = [self._avatar.step_one(stream, chunk).coefficients for chunk in chunks]
        return np.stack(faces[self._avatar.look_ahead :])


class LinearDriver:
    """The linear path alone: the emotion through the table. It does not hear."""

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        face = np.clip(les.array() @ LES_TO_FACE, 0, 1).astype(np.float32)
        return [np.tile(face, (len(as_chunks(one.samples)), 1)) for one in said]


class LoudnessJaw:
    """The usual cheap trick, done with care: a jaw that follows the loudness, the emotion through the table on top.

    The envelope is causal, hears one frame ahead as the network does, follows the speaker's own level (a peak that
    decays slowly), and opens only above the noise's slowly rising floor.
    """

    RANGE_DB = 25.0  # below the speaker's peak the jaw is shut
    PEAK_FALL_DB, FLOOR_RISE_DB = 4.0, 2.0  # a second
    QUIETEST_DB = -55.0
    ABOVE_FLOOR_DB = 8.0
    ATTACK_S, RELEASE_S = 0.015, 0.05

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        """jawOpen at the speaker's peak."""

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        emotion = np.clip(les.array() @ LES_TO_FACE, 0, 1)
        return [self._face(one.samples, emotion) for one in said]

    def _face(self, sound: Floats, emotion: Floats) -> Floats:
        opened = self.gain * self.envelope(sound)
        face = np.tile(emotion, (len(opened), 1)).astype(np.float32)
        jaw = FACE.index("jawOpen")
        face[:, jaw] = np.clip(face[:, jaw] + opened, 0, 1)
        return face

    def envelope(self, sound: Floats) -> Floats:
        """[T] 0 to 1: the value at the end of each frame's look-ahead."""
        chunks = as_chunks(np.concatenate([sound, np.zeros(CHUNK, np.float32)]))
        power = np.mean(np.square(chunks.reshape(-1, HOP)), axis=1, dtype=np.float64)
        level = 10 * np.log10(lfilter([0.4], [1, -0.6], power) + 1e-10)
        opened, state = np.zeros(len(level)), 0.0
        peak, floor = self.QUIETEST_DB + self.RANGE_DB, float(level[0])
        hop_s = HOP / CHUNK / FPS
        for i, db in enumerate(level):
            peak = max(db, peak - self.PEAK_FALL_DB * hop_s, self.QUIETEST_DB + self.RANGE_DB)
            floor = min(db, floor + self.FLOOR_RISE_DB * hop_s)
            wanted = np.clip(1 + (db - peak) / self.RANGE_DB, 0, 1) * (db > floor + self.ABOVE_FLOOR_DB)
            state += (wanted - state) * (1 - np.exp(-hop_s / (self.ATTACK_S if wanted > state else self.RELEASE_S)))
            opened[i] = state
        return opened.reshape(-1, HOPS_PER_FRAME)[1:, -1].astype(np.float32)
