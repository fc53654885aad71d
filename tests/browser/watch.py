"""What a face did over a stretch of received video and sound, on one clock."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.browser.alignment import Curve, Timing, lag, locate, rise
from tests.browser.harness import ProbedPage, Shot, Sound
from tests.browser.landmarks import Reading, read
from tests.browser.speech import Clip, Phone

SETTLE_MS = 300  # for lips to come to rest after speech
ANTICIPATE_MS = 150  # in which they may leave it before the next sound
OPEN = ("aa", "ae", "ao", "ah", "ay", "aw")
CLOSED = ("p", "b", "m")


@dataclass(frozen=True)
class Watched:
    """Frames with their faces, and when the clip's moments were heard. Times in ms of the page's clock."""

    times: Curve
    faces: Sequence[Reading]
    clip: Clip
    heard: Timing

    @property
    def aperture(self) -> Curve:
        return np.array([face.aperture for face in self.faces])

    def during(self, phone: Phone, before: float = 0.0, after: float = 0.0) -> Curve:
        """Apertures of the frames on show while the phone sounded."""
        start, end = self.heard.at(phone.start) + before, self.heard.at(phone.end) + after
        return self.aperture[(self.times >= start) & (self.times <= end)]


def watch(probed: ProbedPage, clip: Clip) -> Watched:
    """One and a half rounds of the microphone's loop, so that the whole clip is in it."""
    probed.listen()
    shots = probed.shoot(2 * clip.seconds)
    return watched(shots, probed.heard(), clip)


def watched(shots: Sequence[Shot], heard: Sound, clip: Clip) -> Watched:
    timing = locate(heard, clip)
    begin, end = timing.at(0.0) - 500, timing.at(clip.seconds) + 500
    inside = [shot for shot in shots if begin <= shot.shown <= end]
    return Watched(np.array([shot.shown for shot in inside]), read([s.rgb for s in inside]), clip, timing)


def lips_after_vowels(seen: Watched) -> list[float]:
    """For each vowel after a silence and a lip closure: ms from its onset to the half-open mouth. Late: positive."""
    found = []
    for onset in vowel_onsets(seen.clip):
        at = seen.heard.at(onset)
        opened = rise(seen.times, seen.aperture, at - 250, at + 350)
        found += [] if opened is None else [opened - at]
    return found


def vowel_onsets(clip: Clip) -> list[float]:
    """Seconds, as flite tells them."""
    triples = zip(clip.phones, clip.phones[1:], clip.phones[2:], strict=False)
    return [v.start for gap, stop, v in triples if gap.name == "pau" and stop.name in CLOSED and v.name in OPEN]


def behind(seen: Watched, known_times: Curve, known_aperture: Curve) -> float:
    """By how many ms the lips come after where the engine puts them against the sound."""
    return lag(seen.heard.within(seen.times), seen.aperture, known_times, known_aperture)


def vowel_aperture(seen: Watched) -> float:
    """Median over open vowels of the widest aperture in each."""
    frames = [seen.during(phone, 0, 60) for phone in seen.clip.phones if phone.name in OPEN]
    return float(np.median([np.max(f) for f in frames if len(f)]))


def closed_share(seen: Watched, limit: float) -> float:
    """Share of p, b, m inside speech in which some frame's aperture is under `limit`."""
    frames = [seen.during(phone, -20, 60) for phone in seen.clip.phones if phone.name in CLOSED]
    return float(np.mean([np.min(f) < limit for f in frames if len(f)]))


def silence_apertures(seen: Watched) -> Curve:
    """Of all frames in pauses of half a second and more, once the lips had time to rest."""
    pauses = [phone for phone in seen.clip.phones if phone.name == "pau" and phone.end - phone.start >= 0.5]
    return np.concatenate([seen.during(phone, SETTLE_MS, -ANTICIPATE_MS) for phone in pauses])
