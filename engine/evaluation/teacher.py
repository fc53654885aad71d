"""What only exists in torch: the articulation model that the network learned from, and the network all at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from engine.audio import as_chunks
from engine.avatar import QUIET
from engine.cdan.training.articulation import tracks
from engine.cdan.training.composition import spoken
from engine.cdan.training.export import load
from engine.cdan.training.prosody import prosody
from engine.cdan.training.voices import Utterance
from engine.les import Les
from engine.units import CHUNK, MAX_LOOK_AHEAD

Floats = npt.NDArray[np.float32]


class Teacher:
    """The articulation model, told which phone sounds when: the best that a network taught by it can do."""

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        return [self._face(one, les) for one in said]

    def _face(self, said: Utterance, les: Les) -> Floats:
        whole = Utterance(as_chunks(said.samples).ravel(), said.rate, said.phones)
        return spoken(tracks(said.phones, prosody(whole)[0]), les.array())


class Offline:
    """The shipped weights on a whole utterance at once, in double precision, with all the look-ahead there is."""

    def __init__(self) -> None:
        self._net = load().double()

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        return [self._face(one.samples, les) for one in said]

    def _face(self, sound: Floats, les: Les) -> Floats:
        around = (QUIET * CHUNK, MAX_LOOK_AHEAD * CHUNK)
        pcm = torch.from_numpy(as_chunks(np.pad(sound, around)).reshape(1, -1)).double()
        mood = torch.from_numpy(les.array()).double().expand(1, pcm.shape[1] // CHUNK, -1)
        with torch.no_grad():
            out = self._net(pcm, mood, torch.tensor([MAX_LOOK_AHEAD], dtype=torch.int32))
        return np.asarray(out.coefficients[0, QUIET + MAX_LOOK_AHEAD :].numpy(), np.float32)
