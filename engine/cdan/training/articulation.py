"""How lips, jaw and tongue move for a row of phones: phones -> coefficient tracks at the picture rate.

Dominance functions after Cohen & Massaro (1993): every phone has a target for every channel and pulls towards it with
a strength that falls off exponentially with the distance in time; a track is the pulls' weighted mean, so that a phone
is anticipated, carried over, and undershot where it is short (Lindblom 1963). Six groups of channels are pulled apart
from one another: what the tongue says alone (t, k, n) leaves the lips to its neighbours, as in
JALI (Edwards et al. 2016).

- Jaw heights follow Keating et al. (1994): highest for s, sh and t, lower for n, l and k.
- Rounding starts well ahead of its sound (Bell-Berti & Harris 1982; Perkell & Matthies 1992): the slowest group.
- Loud speech opens wider, by the jaw more than by the lips (Schulman 1989); stressed vowels too (de Jong 1995).
- Lips shut for p, b, m in some 70 ms and part as fast (Löfqvist & Gracco 1997), faster between short phones. A
  closure is no compromise of pulls but a track of its own, `seal`, which wins over everything (see composition).

Sizes were set on the rendered default portraits, whose lips count as shut below 0.03 inter-ocular distances.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, median_filter

from engine.cdan.training import phones
from engine.cdan.training.phones import BILABIAL, PAUSE, Phone
from engine.face.coefficients import FACE
from engine.units import HOPS_PER_FRAME

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
RATE = 100  # Hz, of the tracks before they are brought to the picture rate


class Group(NamedTuple):
    """Channels that move together."""

    channels: tuple[str, ...]
    rise: float
    """1/s: how fast a pull fades before a phone's core; slow is early anticipation."""
    fall: float
    """1/s: how fast it fades after; slow is long carry-over."""
    effort: float
    """Share of effort, stress and haste that reaches it. Contacts are made or not."""


GROUPS: Mapping[str, Group] = {
    "jaw": Group(("jawOpen", "jawForward"), 18, 22, 1.0),
    "height": Group(("mouthLowerDown", "mouthUpperUp"), 20, 24, 0.7),
    "width": Group(("mouthStretch", "mouthSmile"), 16, 20, 0.4),
    "round": Group(("mouthFunnel", "mouthPucker"), 11, 16, 0.3),
    "bite": Group(("lipBite", "mouthRollLower"), 26, 30, 0.0),
    "tongue": Group(("tongueOut",), 30, 34, 0.0),
}
CHANNELS: tuple[str, ...] = tuple(channel for group in GROUPS.values() for channel in group.channels)


class Pull(NamedTuple):
    """How strongly a phone pulls on each of `GROUPS`."""

    jaw: float = 1.0
    height: float = 1.0
    width: float = 1.0
    round: float = 1.0
    bite: float = 1.0
    tongue: float = 1.0


@dataclass(frozen=True)
class Gesture:
    """What one phone asks for."""

    targets: Mapping[str, float]
    """Channel -> coefficient; what is absent is 0."""
    pull: Pull = Pull()


def _gesture(pull: Pull = Pull(), /, **targets: float) -> Gesture:  # noqa: B008  (immutable)
    return Gesture({_SHORT[name]: value for name, value in targets.items()}, pull)


_SHORT = {
    "jaw": "jawOpen", "forward": "jawForward", "down": "mouthLowerDown", "up": "mouthUpperUp", "wide": "mouthStretch",
    "smile": "mouthSmile", "funnel": "mouthFunnel", "pucker": "mouthPucker", "bite": "lipBite",
    "roll": "mouthRollLower", "tongue": "tongueOut",
}  # fmt: skip

_AA = _gesture(jaw=0.46, down=0.28, up=0.10)
_IH = _gesture(jaw=0.14, wide=0.2, down=0.22, up=0.12)
_IY = _gesture(jaw=0.08, wide=0.4, smile=0.2, down=0.28, up=0.2)
_EH = _gesture(jaw=0.27, wide=0.2, down=0.28, up=0.14)
_AO = _gesture(jaw=0.36, funnel=0.45, pucker=0.25, down=0.1)
_UW = _gesture(Pull(height=1.2, round=1.6), jaw=0.06, funnel=0.12, pucker=0.95)

VOWELS: Mapping[str, tuple[Gesture, ...]] = {
    "aa": (_AA,), "ae": (_gesture(jaw=0.40, wide=0.25, down=0.35, up=0.2),), "ao": (_AO,), "eh": (_EH,), "ih": (_IH,),
    "iy": (_IY,), "uw": (_UW,), "ah": (_gesture(jaw=0.30, down=0.22, up=0.08),),
    "ax": (_gesture(Pull(0.7, 0.6, 0.5, 0.5), jaw=0.16, down=0.16, up=0.06),),
    "er": (_gesture(jaw=0.14, funnel=0.25, pucker=0.35, down=0.1),),
    "uh": (_gesture(jaw=0.13, funnel=0.25, pucker=0.4),), "aw": (_AA, _UW), "ay": (_AA, _IH), "ey": (_EH, _IY),
    "oy": (_AO, _IY), "ow": (_gesture(jaw=0.24, funnel=0.4, pucker=0.35), _gesture(jaw=0.1, funnel=0.2, pucker=0.9)),
}  # fmt: skip
"""A diphthong is two gestures, each half of its time."""

_LIPS = _gesture(Pull(0.5, 0.3, 0.2, 0.2), jaw=0.10, down=0.1)
_TEETH = _gesture(Pull(2.0, 3.0, 0.4, 0.4, bite=4.0), jaw=0.03, bite=0.35, roll=0.3, up=0.38)
_HISS = _gesture(Pull(2.2, 1.2, 0.8, 0.5), jaw=0.03, forward=0.08, wide=0.25, down=0.35, up=0.22)
_HUSH = _gesture(
    Pull(2.0, 1.0, 1.0, 1.4), jaw=0.03, forward=0.12, funnel=0.45, pucker=0.4, down=0.1, up=0.05
)  # fmt: skip
_TIP, _BACK = Pull(0.7, 0.4, 0.15, 0.15), Pull(0.5, 0.15, 0.1, 0.1)


def _tongue(out: float) -> Gesture:
    return _gesture(Pull(0.9, 1.0, 0.3, 0.3, tongue=2.0), jaw=0.12, tongue=out, down=0.2, up=0.12)


CONSONANTS: Mapping[str, tuple[Gesture, ...]] = {
    **{p: (_LIPS,) for p in ("p", "b", "m")}, **{p: (_TEETH,) for p in ("f", "v")},
    **{p: (_HISS,) for p in ("s", "z")}, **{p: (_HUSH,) for p in ("sh", "zh", "ch", "jh")},
    "t": (_gesture(_TIP, jaw=0.09, down=0.22, up=0.08),), "d": (_gesture(_TIP, jaw=0.10, down=0.22, up=0.08),),
    "n": (_gesture(_TIP, jaw=0.11, down=0.20, up=0.06),), "l": (_gesture(_TIP, jaw=0.13, down=0.18, up=0.06),),
    **{p: (_gesture(_BACK, jaw=0.15, down=0.16),) for p in ("k", "g", "ng")},
    "th": (_tongue(0.12),), "dh": (_tongue(0.09),), "hh": (_gesture(Pull(0.1, 0.1, 0.1, 0.1), jaw=0.15),),
    "r": (_gesture(Pull(0.7, 0.5, 0.5, 1.0), jaw=0.08, funnel=0.25, pucker=0.4),),
    "w": (_gesture(Pull(1.0, 1.5, 1.2, 3.0), jaw=0.04, funnel=0.08, pucker=1.0),),
    "y": (_gesture(Pull(0.7, 0.5, 0.6, 0.4), jaw=0.07, wide=0.25, smile=0.1, down=0.2, up=0.12),),
}  # fmt: skip
GESTURES: Mapping[str, tuple[Gesture, ...]] = {PAUSE: (_gesture(Pull(0.7, 0.7, 0.7, 0.7)),), **VOWELS, **CONSONANTS}

CORE = 0.25  # of a phone's length to each side of its middle: full pull
ONSET_S, RELEASE_S = 0.10, 0.12  # of the mouth's activity around speech
BRIDGED_S = 0.15  # a shorter pause does not rest the mouth
SEAL_END = {"p": 0.65, "b": 0.8, "m": 0.95}  # of the phone: then the lips part
SEAL_FLANK_S, SEAL_FASTEST_S = 0.07, 0.03  # of the way to a closure and back
SEAL_SHARE = 0.45  # of the phone before or after, at most, is spent on that way
SEAL_MIN_S = 0.05  # longer than a frame: one at least shows shut lips
NEIGHBOURS = 9  # vowels against which one is stressed


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
    middle = t.reshape(-1, HOPS_PER_FRAME).mean(1)
    active = _activity(spoken, t)
    size = _effort(loudness, active) * _haste(spoken, t)
    speech = active[:, None] * _pulled(spoken, _stress(spoken, loudness), t) * _sized(size)
    return Tracks(
        spread(speech).reshape(-1, HOPS_PER_FRAME, len(FACE)).mean(1),
        _seal(spoken, middle).astype(np.float32),
        active.reshape(-1, HOPS_PER_FRAME).mean(1).astype(np.float32),
        phone_at(spoken, middle),
    )


def spread(channels: Doubles) -> Floats:
    """[T, channels] -> [T, 63]: what is named without a side moves both."""
    out = np.zeros((len(channels), len(FACE)), np.float32)
    for i, name in enumerate(CHANNELS):
        for side in ("", "Left", "Right"):
            if name + side in FACE:
                out[:, FACE.index(name + side)] = channels[:, i]
    return out


def phone_at(spoken: Sequence[Phone], times: Doubles) -> npt.NDArray[np.uint8]:
    """[T] index in PHONES of the phone sounding at each time."""
    out = np.zeros(len(times), np.uint8)
    for phone in spoken:
        out[(times >= phone.start_s) & (times < phone.end_s)] = phones.INDEX[phone.name]
    return out


def _pulled(spoken: Sequence[Phone], stress: Sequence[float], t: Doubles) -> Doubles:
    """[T, channels]: the weighted mean of all pulls."""
    pieces = [piece for phone, weight in zip(spoken, stress, strict=True) for piece in _pieces(phone, weight)]
    if not pieces:
        return np.zeros((len(t), len(CHANNELS)))
    middle = np.array([0.5 * (piece.start_s + piece.end_s) for piece in pieces])
    core = np.array([CORE * (piece.end_s - piece.start_s) for piece in pieces])
    before, after = middle - core - t[:, None], t[:, None] - middle - core  # [T, P] seconds outside the core
    out = []
    for name, group in GROUPS.items():
        strength = np.array([getattr(piece.gesture.pull, name) for piece in pieces])
        pull = strength * np.exp(-group.rise * np.maximum(before, 0) - group.fall * np.maximum(after, 0))
        pull /= pull.sum(1, keepdims=True) + 1e-6
        stressed = np.array([1 + group.effort * (piece.stress - 1) for piece in pieces])
        targets = np.array([[piece.gesture.targets.get(c, 0.0) for c in group.channels] for piece in pieces])
        out.append(pull @ (stressed[:, None] * targets))
    return np.concatenate(out, axis=1)


class _Piece(NamedTuple):
    gesture: Gesture
    start_s: float
    end_s: float
    stress: float


def _pieces(phone: Phone, stress: float) -> list[_Piece]:
    gestures = GESTURES[phone.name]
    edges = np.linspace(phone.start_s, phone.end_s, len(gestures) + 1).tolist()
    return [_Piece(g, a, b, stress) for g, a, b in zip(gestures, edges, edges[1:], strict=False)]


def _sized(size: Doubles) -> Doubles:
    """[T] -> [T, channels]: what effort does to each channel."""
    shares = np.array([group.effort for group in GROUPS.values() for _ in group.channels])
    return np.asarray(1 + shares * (size[:, None] - 1))


def _stress(spoken: Sequence[Phone], loudness: Floats) -> list[float]:
    """A factor for each phone: a vowel longer and louder than those around it reaches further, a short one less."""
    vowels = [i for i, phone in enumerate(spoken) if phone.name in VOWELS]
    out = [1.0] * len(spoken)
    if vowels:
        lengths = np.log2([max(_length(spoken[i]), 1 / RATE) for i in vowels])
        loud = np.array([_mean(loudness, spoken[i]) for i in vowels])
        more = 0.15 * _above_others(lengths) + 0.5 * _above_others(loud)
        for i, factor in zip(vowels, np.clip(1 + more, 0.8, 1.25).tolist(), strict=True):
            out[i] = factor
    return out


def _mean(loudness: Floats, phone: Phone) -> float:
    first, last = int(phone.start_s * RATE), max(int(phone.end_s * RATE), int(phone.start_s * RATE) + 1)
    return float(loudness[first:last].mean()) if first < len(loudness) else 0.0


def _above_others(values: Doubles) -> Doubles:
    return np.asarray(values - median_filter(values, NEIGHBOURS, mode="nearest"))


def _effort(loudness: Floats, active: Doubles) -> Doubles:
    """[T] factor by the loudness of speech around, 1 at a middling one."""
    around = gaussian_filter1d(loudness * active, 15.0) / (gaussian_filter1d(active, 15.0) + 1e-3)
    return np.asarray(0.72 + 0.5 * around)


def _haste(spoken: Sequence[Phone], t: Doubles) -> Doubles:
    """[T] factor: 1 at 12 phones a second, less when faster."""
    onsets = np.zeros(len(t))
    for phone in spoken:
        if phone.name != PAUSE and 0 <= phone.start_s * RATE < len(t):
            onsets[int(phone.start_s * RATE)] += RATE
    return np.clip(1 - 0.025 * (gaussian_filter1d(onsets, 30.0) - 12), 0.75, 1.15)


def _activity(spoken: Sequence[Phone], t: Doubles) -> Doubles:
    """[T] smooth: rises ahead of speech, falls after it, stays up through short pauses."""
    out = np.zeros(len(t))
    for phone in spoken:
        if phone.name != PAUSE or phone.end_s - phone.start_s < BRIDGED_S:
            out = np.maximum(out, _hump(t, phone.start_s, phone.end_s, ONSET_S, RELEASE_S))
    return out


def _seal(spoken: Sequence[Phone], t: Doubles) -> Doubles:
    """[T] shut from the phone's start until its release; an m that ends speech stays shut into the rest."""
    out = np.zeros(len(t))
    around = [None, *spoken, None]
    for before, phone, after in zip(around, spoken, around[2:], strict=False):
        if phone.name in BILABIAL:
            held = SEAL_END[phone.name] * _length(phone)
            early = 0.5 * max(SEAL_MIN_S - held, 0.0)
            end = phone.start_s + held + early
            if phone.name == "m" and after and after.name == PAUSE and _length(after) >= BRIDGED_S:
                end = phone.end_s + RELEASE_S
            rise, fall = (
                float(np.clip(SEAL_SHARE * _length(phone), SEAL_FASTEST_S, SEAL_FLANK_S)) for phone in (before, after)
            )
            out = np.maximum(out, _hump(t, phone.start_s - early, end, rise, fall))
    return out


def _length(phone: Phone | None) -> float:
    return phone.end_s - phone.start_s if phone else 0.0


def _hump(t: Doubles, start_s: float, end_s: float, rise_s: float, fall_s: float) -> Doubles:
    """1 from start to end, with smooth flanks outside."""
    flank = 1 - np.clip(np.maximum((start_s - t) / rise_s, (t - end_s) / fall_s), 0, 1)
    return np.asarray(flank * flank * (3 - 2 * flank))
