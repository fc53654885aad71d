"""How lips, jaw and tongue move for a row of phones: phones -> coefficient tracks at the picture rate.

Dominance functions after Cohen & Massaro (1993): every phone has a target for every channel and pulls towards it with
a strength that falls off exponentially with the distance in time; a track is the pulls' weighted mean. Jaw and lips are
separate groups with their own strengths, as the axes of JALI (Edwards et al. 2016) are. The bilabials' closure is no
such compromise: it is a track of its own, `seal`, which wins over everything (see composition).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from engine.cdan.training import phones
from engine.cdan.training.phones import BILABIAL, PAUSE, Phone
from engine.face.coefficients import FACE
from engine.units import HOPS_PER_FRAME

Floats = npt.NDArray[np.float32]
RATE = 100  # Hz, of the tracks before they are brought to the picture rate

JAW = ("jawOpen", "jawForward")
LIPS = (
    "mouthStretch",
    "mouthSmile",
    "mouthLowerDown",
    "mouthUpperUp",
    "mouthRollLower",
    "mouthShrugLower",
    "tongueOut",
)
ROUND = ("mouthFunnel", "mouthPucker")
CHANNELS = (*JAW, *LIPS, *ROUND)


@dataclass(frozen=True)
class Gesture:
    """What one phone asks for."""

    targets: dict[str, float]
    """Channel -> coefficient; what is absent is 0."""
    jaw: float = 1.0
    lips: float = 1.0
    round: float = 1.0
    """Strength of the pull on each group of channels."""


def _vowel(**targets: float) -> Gesture:
    names = {"jaw": "jawOpen", "down": "mouthLowerDown", "up": "mouthUpperUp", "wide": "mouthStretch"}
    names |= {"smile": "mouthSmile", "funnel": "mouthFunnel", "pucker": "mouthPucker"}
    return Gesture({names[key]: value for key, value in targets.items()})


_AA = _vowel(jaw=0.40, down=0.28, up=0.10)
_IH = _vowel(jaw=0.15, wide=0.2, down=0.2, up=0.1)
_IY = _vowel(jaw=0.10, wide=0.45, smile=0.15, down=0.25, up=0.12)
_EH = _vowel(jaw=0.25, wide=0.2, down=0.28, up=0.12)
_AO = _vowel(jaw=0.32, funnel=0.45, pucker=0.2, down=0.1)
_UW = _vowel(jaw=0.09, funnel=0.3, pucker=0.9)

VOWELS: dict[str, tuple[Gesture, ...]] = {
    "aa": (_AA,), "ae": (_vowel(jaw=0.34, wide=0.25, down=0.35, up=0.2),), "ao": (_AO,),
    "ah": (_vowel(jaw=0.27, down=0.22, up=0.08),), "ax": (_vowel(jaw=0.16, down=0.14, up=0.05),),
    "eh": (_EH,), "ih": (_IH,), "iy": (_IY,), "uw": (_UW,),
    "er": (_vowel(jaw=0.16, funnel=0.3, pucker=0.3, down=0.1),), "uh": (_vowel(jaw=0.14, funnel=0.3, pucker=0.35),),
    "aw": (_AA, _UW), "ay": (_AA, _IH), "ey": (_EH, _IY), "oy": (_AO, _IY),
    "ow": (_vowel(jaw=0.24, funnel=0.4, pucker=0.3), _vowel(jaw=0.12, funnel=0.35, pucker=0.8)),
}  # fmt: skip
"""A diphthong is two gestures, each half of its time."""

_LABIAL = Gesture({"jawOpen": 0.10}, jaw=0.6, lips=1.0, round=0.2)
_DENTAL = {"jawOpen": 0.06, "mouthRollLower": 0.9, "mouthUpperUp": 0.3}
_TIP = Gesture({"jawOpen": 0.09, "mouthLowerDown": 0.16, "mouthUpperUp": 0.06}, jaw=0.6, lips=0.4, round=0.15)
_BACK = Gesture({"jawOpen": 0.14, "mouthLowerDown": 0.12}, jaw=0.5, lips=0.15, round=0.1)
_HISS = Gesture(
    {"jawOpen": 0.04, "jawForward": 0.08, "mouthStretch": 0.2, "mouthLowerDown": 0.3, "mouthUpperUp": 0.15},
    jaw=1.3, lips=0.8, round=0.5,
)  # fmt: skip
_HUSH = Gesture(
    {"jawOpen": 0.06, "jawForward": 0.12, "mouthFunnel": 0.6, "mouthPucker": 0.3, "mouthLowerDown": 0.15}
    | {"mouthUpperUp": 0.1},
    jaw=1.2, lips=1.0, round=1.3,
)  # fmt: skip


def _tongue(out: float) -> Gesture:
    return Gesture(
        {"jawOpen": 0.12, "tongueOut": out, "mouthLowerDown": 0.2, "mouthUpperUp": 0.08}, jaw=0.9, lips=1.0, round=0.3
    )


CONSONANTS: dict[str, tuple[Gesture, ...]] = {
    **{p: (_LABIAL,) for p in ("p", "b", "m")}, **{p: (Gesture(_DENTAL, jaw=0.9, lips=1.8, round=0.4),) for p in "fv"},
    **{p: (_TIP,) for p in ("t", "d", "n", "l")}, **{p: (_BACK,) for p in ("k", "g", "ng")},
    **{p: (_HISS,) for p in "sz"}, **{p: (_HUSH,) for p in ("sh", "zh", "ch", "jh")},
    "th": (_tongue(0.25),), "dh": (_tongue(0.15),), "hh": (Gesture({"jawOpen": 0.15}, jaw=0.1, lips=0.1, round=0.1),),
    "r": (Gesture({"jawOpen": 0.10, "mouthFunnel": 0.35, "mouthPucker": 0.4}, jaw=0.7, lips=0.5, round=1.0),),
    "w": (Gesture({"jawOpen": 0.07, "mouthFunnel": 0.25, "mouthPucker": 1.0}, jaw=0.8, lips=1.2, round=2.0),),
    "y": (Gesture({"jawOpen": 0.08, "mouthStretch": 0.25, "mouthSmile": 0.08}, jaw=0.6, lips=0.6, round=0.4),),
}  # fmt: skip
GESTURES = {PAUSE: (Gesture({}, jaw=0.7, lips=0.7, round=0.7),), **VOWELS, **CONSONANTS}

FALL = {JAW: (18.0, 22.0), LIPS: (20.0, 24.0), ROUND: (11.0, 16.0)}
"""1/s: how fast a pull fades before (anticipation) and after (carry-over) a phone's core; rounding starts early."""
CORE = 0.25  # of a phone's length to each side of its middle: full pull
ONSET_S, RELEASE_S = 0.06, 0.12  # of the mouth's activity around speech
BRIDGED_S = 0.15  # a shorter pause does not rest the mouth
SEAL_END = {"p": 0.65, "b": 0.8, "m": 0.95}  # of the phone: then the lips part
SEAL_RISE_S, SEAL_FALL_S, SEAL_MIN_S = 0.04, 0.03, 0.05


@dataclass(frozen=True)
class Tracks:
    """What the mouth does in [T] frames of 1/25 s."""

    speech: Floats
    """[T, 63] coefficients of open articulation, before closures."""
    seal: Floats
    """[T] 1 where the lips are shut for p, b or m."""
    activity: Floats
    """[T] 1 where speech owns the mouth, 0 at rest."""
    phone: npt.NDArray[np.uint8]
    """[T] index in PHONES at the middle of the frame."""


def tracks(spoken: Sequence[Phone], loudness: Floats) -> Tracks:
    """`loudness` is [T * 4] in [0, 1], 100 a second: loud speech opens wider; fast speech moves less."""
    t = (np.arange(len(loudness)) + 0.5) / RATE
    activity = _activity(spoken, t)
    effort = 0.75 + 0.45 * gaussian_filter1d(loudness, 5.0)
    size = (activity * effort * _haste(spoken, t))[:, None]
    speech = spread(_pulled(spoken, t) * size)
    middle = t.reshape(-1, HOPS_PER_FRAME).mean(1)
    by_frame = (-1, HOPS_PER_FRAME)
    return Tracks(
        speech.reshape(*by_frame, len(FACE)).mean(1),
        _seal(spoken, t).reshape(by_frame).max(1),
        activity.reshape(by_frame).mean(1),
        phone_at(spoken, middle),
    )


def spread(channels: Floats) -> Floats:
    """[T, channels] -> [T, 63]: what is named without a side moves both."""
    out = np.zeros((len(channels), len(FACE)), np.float32)
    for i, name in enumerate(CHANNELS):
        for side in ("", "Left", "Right"):
            if name + side in FACE:
                out[:, FACE.index(name + side)] = channels[:, i]
    return out


def phone_at(spoken: Sequence[Phone], times: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """[T] index in PHONES of the phone sounding at each time."""
    out = np.zeros(len(times), np.uint8)
    for phone in spoken:
        out[(times >= phone.start_s) & (times < phone.end_s)] = phones.INDEX[phone.name]
    return out


def _pulled(spoken: Sequence[Phone], t: npt.NDArray[np.float64]) -> Floats:
    """[T, channels]: the weighted mean of all pulls."""
    pieces = [piece for phone in spoken for piece in _pieces(phone)]
    if not pieces:
        return np.zeros((len(t), len(CHANNELS)), np.float32)
    middle = np.array([0.5 * (a + b) for _, a, b in pieces])
    core = np.array([CORE * (b - a) for _, a, b in pieces])
    before, after = middle - core - t[:, None], t[:, None] - middle - core  # [T, P] seconds outside the core
    out = []
    for group, name in ((JAW, "jaw"), (LIPS, "lips"), (ROUND, "round")):
        rise, fall = FALL[group]
        strength = np.array([getattr(gesture, name) for gesture, _, _ in pieces])
        pull = strength * np.exp(-rise * np.maximum(before, 0) - fall * np.maximum(after, 0))
        pull /= pull.sum(1, keepdims=True) + 1e-6
        out.append(pull @ np.array([[gesture.targets.get(c, 0.0) for c in group] for gesture, _, _ in pieces]))
    return np.concatenate(out, axis=1).astype(np.float32)


def _pieces(phone: Phone) -> list[tuple[Gesture, float, float]]:
    gestures = GESTURES[phone.name]
    edges = np.linspace(phone.start_s, phone.end_s, len(gestures) + 1)
    return [(g, float(a), float(b)) for g, a, b in zip(gestures, edges, edges[1:], strict=False)]


def _activity(spoken: Sequence[Phone], t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[T] smooth: rises ahead of speech, falls after it, stays up through short pauses."""
    out = np.zeros(len(t))
    for phone in spoken:
        if phone.name != PAUSE or phone.end_s - phone.start_s < BRIDGED_S:
            early, late = (phone.start_s - t) / ONSET_S, (t - phone.end_s) / RELEASE_S
            out = np.maximum(out, 1 - np.clip(np.maximum(early, late), 0, 1))
    return out * out * (3 - 2 * out)


def _haste(spoken: Sequence[Phone], t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[T] factor: 1 at 12 phones a second, less when faster."""
    onsets = np.zeros(len(t))
    for phone in spoken:
        if phone.name != PAUSE and 0 <= phone.start_s * RATE < len(t):
            onsets[int(phone.start_s * RATE)] += RATE
    return np.clip(1 - 0.025 * (gaussian_filter1d(onsets, 30.0) - 12), 0.75, 1.15)


def _seal(spoken: Sequence[Phone], t: npt.NDArray[np.float64]) -> Floats:
    """[T] trapezoids: shut from the phone's start until its release."""
    out = np.zeros(len(t))
    for phone in spoken:
        if phone.name in BILABIAL:
            end = phone.start_s + max(SEAL_END[phone.name] * (phone.end_s - phone.start_s), SEAL_MIN_S)
            rise, fall = (phone.start_s - t) / SEAL_RISE_S, (t - end) / SEAL_FALL_S
            out = np.maximum(out, 1 - np.clip(np.maximum(rise, fall), 0, 1))
    return out.astype(np.float32)
