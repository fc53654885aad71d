"""What only exists in torch: the articulation model that the network learned from, and the network all at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from engine.audio import as_chunks
from engine.cdan.network import LipSeal
from engine.cdan.training.articulation import tracks
from engine.cdan.training.composition import Mouth, compose, table
from engine.cdan.training.corpus import prosody
from engine.cdan.training.voices import Utterance
from engine.les import Les

Floats = npt.NDArray[np.float32]


class Teacher:
    """The articulation model, told which phone sounds when: the best that a network taught by it can do."""

    def drive(self, said: Sequence[Utterance], les: Les) -> list[Floats]:
        return [self._face(one, les) for one in said]

    def _face(self, said: Utterance, les: Les) -> Floats:
        whole = Utterance(as_chunks(said.samples).ravel(), said.rate, said.phones)
        told = tracks(said.phones, prosody(whole)[0])
        mouth = Mouth(*(torch.from_numpy(track) for track in (told.speech, told.seal, told.activity)))
        asked = torch.from_numpy(les.array()).expand(len(told.seal), -1)
        return np.asarray(compose(asked, mouth, table(), LipSeal()).numpy(), np.float32)
