"""The network's sizes and fixed numbers, for both that compute it: `network` with torch, `cpu` without."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE
from engine.units import CHUNK

Floats = npt.NDArray[np.float32]

FINE_WINDOW = 2 * CHUNK  # samples, 80 ms: resolves the harmonics of any voice
FINE_FIRST, FINE_BINS = 4, 96  # bins of SAMPLE_RATE / FINE_WINDOW = 12.5 Hz: 50 to 1237 Hz
PAST = FINE_WINDOW - CHUNK  # samples that the next windows begin with
FALL = 0.25  # of a noise floor's way down, each frame
RISE = 0.024  # units a frame: 12 dB a second, little over the length of a vowel
SEAL_HALF = 0.38  # posterior of a closure that brings the lips half-way together
SEAL_SLOPE = 1.5  # of the logit
ACTIVITY_LOW, ACTIVITY_HIGH = 0.7, 0.9  # posterior of speech: below is exact rest
CONTRAST_BANDS = slice(21, 49)  # of the mel scale, 1 to 4 kHz: where noise masks consonants
CONTRAST_HOPS = 64  # that speech stands out of its noise in: 0.64 s
CONTRAST_LOW, CONTRAST_HIGH = 0.7, 1.1  # units, 14 and 22 dB: 4 to 13 at 10 dB SNR, in quiet 25 and more
EASE = 4  # frames in which units give way to a beginning speech, and come back: in one, a stretched mouth leapt


@dataclass(frozen=True)
class Config:
    """Sizes of the network."""

    stem: int = 128
    """Channels of the convolutions at 100 Hz."""
    stems: int = 2
    """Residual convolutions at 100 Hz."""
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    """Hops between the taps of each wide convolution that follows them."""
    width: int = 224
    """Channels of the context at 25 Hz."""
    heads: int = 4
    layers: int = 4
    window: int = 24
    """Frames that one layer's attention looks back on, the present one included."""
    token: int = 48
    """Channels of the feature and structure tokens."""
    glance: int = 96
    """Channels of what the second opinion on closures comes to."""
    crossings: int = 2
    """Rounds of feature and structure attention."""
    phones: int = 41
    """Classes of the auxiliary phone head; 0 is the pause."""
    feature: bool = True
    """The face's regions ask the facial units."""
    structure: bool = True
    """Regions ask one another, and frames the frames before them."""


REGIONS: tuple[tuple[str, ...], ...] = (
    ("brow",),
    ("eye",),
    ("cheek", "nose", "nasolabial", "nostril"),
    ("jaw", "mouthClose"),
    ("mouthUpper", "mouthShrugUpper", "mouthRollUpper"),
    ("mouthLower", "mouthShrugLower", "mouthRollLower", "lip"),
    ("mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight", "mouthPress"),
    ("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch", "sharp"),
    ("tongue",),
)
"""Parts of the face, each by how its coefficients' names begin."""


def speaks() -> Floats:
    """[R, 63] 1 where a region moves a coefficient. Only the seal shuts lips: else the network hedges, a little of
    mouthClose all the time."""
    region = [next(r for r, starts in enumerate(REGIONS) if name.startswith(starts)) for name in FACE]
    moved = [[region[j] == r and name != "mouthClose" for j, name in enumerate(FACE)] for r in range(len(REGIONS))]
    return np.array(moved, np.float32)


_KEPT = {"jawOpen": 0.5, "mouthFunnel": 0.1, "mouthSmile": 0.8, "mouthStretch": 0.6, "tongueOut": 0.0}
_KEPT |= {
    "mouthLowerDown": 0.0,
    "mouthUpperUp": 0.5,
    "mouthShrugUpper": 0.0,
    "mouthClose": 0.0,
    "mouthRollLower": 0.3,
    "lipBite": 0.0,
}
_MEETING = {"mouthClose": 0.06, "mouthShrugLower": 0.25}  # for a mouthUpperUp of 1, by the head's inner lips
_PRESSED = {"mouthPress": 0.08, "mouthRollLower": 0.25, "mouthRollUpper": 0.25}


def lip_seal() -> tuple[Floats, Floats]:
    """Shut lips: what a face [63] becomes while p, b or m closes is itself times the first [63, 63], plus the second.

    On this head mouthClose takes back exactly what jawOpen parts; the jaw itself comes half-way up; what else parts the
    lips goes. A raised upper lip comes half-way down and the lower lip meets it: all the way would be a leap as speech
    never makes in a frame.
    """
    plain = [name.removesuffix("Left").removesuffix("Right") for name in FACE]
    keep = np.diag(np.array([_KEPT.get(name, 1.0) for name in plain], np.float32))
    keep[FACE.index("jawOpen"), FACE.index("mouthClose")] = _KEPT["jawOpen"]
    for name, share in _MEETING.items():
        for i in (FACE.index("mouthUpperUpLeft"), FACE.index("mouthUpperUpRight")):
            keep[i, FACE.index(name)] = share / 2
    return keep, np.array([_PRESSED.get(name, 0.0) for name in plain], np.float32)
