"""The rule by which emotion and speech share a face: the specification that the attention learns.

Happy and angry speech moves the lower face more than neutral speech, sad speech less, while brows and lids are free to
show (Busso & Narayanan 2007); lips take an emotion as an offset of their targets, a smile costing protrusion (Magno
Caldognetto et al. 2004).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.cdan.network import LipSeal
from engine.cdan.training.articulation import Tracks
from engine.face.coefficients import FACE
from engine.face.les_map import LES_TO_FACE
from engine.les import AXES

Floats = npt.NDArray[np.float32]

YIELDING = ("AU16", "AU17", "AU18", "AU19", "AU20", "AU22", "AU23", "AU24", "AU25", "AU26", "AU27", "AU32")
"""Units of the mouth that give way while speech owns it; AU12 and AU15 stay as offsets of the corners."""
YIELD = 0.85  # of such a unit's level
AROUSAL = {"AU5": 0.25, "AU12": 0.15, "AU26": 0.15, "AU27": 0.2, "AU38": 0.15}
AROUSAL |= {"AU15": -0.35, "AU17": -0.1, "AU24": -0.1, "AU14": -0.1, "AUL14": -0.1, "AUR14": -0.1}
"""What a unit at level 1 adds to the range of jaw and lips: surprise, fear, joy and anger widen it, sadness and disgust
narrow it."""


class Mouth(NamedTuple):
    """What speech does, as tensors; see `articulation.Tracks`."""

    speech: Tensor
    """[..., 63]"""
    seal: Tensor
    """[...]"""
    activity: Tensor
    """[...]"""


def _units(*names: str) -> Tensor:
    return _weighted({name: 1.0 for name in names})


def _weighted(units: Mapping[str, float]) -> Tensor:
    """[41]"""
    return torch.tensor([units.get(axis, 0.0) for axis in AXES])


def _coefficients(*starts: str) -> Tensor:
    return torch.tensor([float(name.startswith(starts)) for name in FACE])


MOUTH_UNITS = _units(*YIELDING)
SMILE_UNITS = _weighted({"AU12": 1.0, "AUL12": 0.5, "AUR12": 0.5})
AROUSAL_UNITS = _weighted(AROUSAL)
ROUND, SMILE = _coefficients("mouthFunnel", "mouthPucker"), _coefficients("mouthSmile")
UPPER_LIP, OPENING = _coefficients("mouthUpperUp"), _coefficients("jawOpen", "mouthLowerDown", "mouthUpperUp")
JAW = FACE.index("jawOpen")


def compose(les: Tensor, mouth: Mouth, table: Tensor, seal_lips: LipSeal) -> Tensor:
    """The face [..., 63] that shows `les` [..., 41] while speaking.

    1. Mouth units yield to speech. 2. An aroused face opens wider, a sad or pressed one less. 3. Rounding and
    smiling pull the corners opposite ways: each gives up a part. 4. Speech opens a smile: the upper lip bares the
    teeth, more as the jaw falls. 5. All is summed and clipped. 6. p, b and m shut the lips over everything.
    """
    owned = mouth.activity[..., None]
    shown = les * (1 - YIELD * owned * MOUTH_UNITS)
    said = mouth.speech * (1 + (les @ AROUSAL_UNITS)[..., None] * OPENING)
    smiling = (les @ SMILE_UNITS)[..., None].clamp(0, 1)
    rounding = (mouth.speech @ ROUND)[..., None].clamp(0, 1)
    bared = smiling * (0.8 * mouth.speech[..., JAW, None] + 0.25 * owned)
    said = said * (1 - 0.4 * smiling * ROUND) + bared * UPPER_LIP
    held = (shown @ table) * (1 - 0.5 * rounding * SMILE)
    return seal_lips((held + said).clamp(0, 1), mouth.seal)


def spoken(moves: Tracks, les: Floats) -> Floats:
    """[T, 63] the face that the network is to make of `moves` under an emotion [41], or a course of it [T, 41]."""
    mouth = Mouth(*(torch.from_numpy(track) for track in (moves.speech, moves.seal, moves.activity)))
    return np.asarray(compose(torch.from_numpy(les), mouth, table(), LipSeal()).numpy())


def table() -> Tensor:
    """[41, 63]"""
    return torch.from_numpy(LES_TO_FACE.copy())
