"""The promises of a call, one function a subject, each a list of rows for the report."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.units import FRAME_MS
from tests.browser import speech
from tests.browser.alignment import Curve, NotFound
from tests.browser.harness import SLOT_TICKS, ProbedPage, Shot
from tests.browser.landmarks import Reading, read
from tests.browser.report import Row
from tests.browser.watch import (
    Watched,
    behind,
    closed_share,
    lips_after_vowels,
    silence_apertures,
    vowel_aperture,
    watch,
)

LATE_MS = 20.0  # later than a frame's own time that the eye can see
TRIALS = 6  # of emotion.set
CLOSED_SHARE = 0.15  # of an open vowel's aperture
STILL = 0.02  # inter-ocular distances
DIFFERS = 1.5  # grey levels, mean: a full expression makes 3, a still face and the codec under 0.8


def steadiness(probed: ProbedPage, since: float, name: str = "") -> list[Row]:
    """Frames shown since a moment of the page's clock, and what the server said meanwhile. A frame that is the one
    before again may not have been sent: the frames' own times tell how long each is to be seen."""
    frames = probed.frames()
    shown = frames.shown[frames.shown >= since]
    count = frames.presented[-1] - frames.presented[-len(shown)]
    meant = np.diff(frames.rtp[frames.shown >= since]) / SLOT_TICKS * FRAME_MS
    late = 100 * float(np.mean(np.diff(shown) - meant > LATE_MS))
    stats = [message for at, message in probed.control("in", "stats") if at >= since]
    seen = 1000 * count / (shown[-1] - shown[0]) + float(np.mean([message["still_fps"] for message in stats]))
    delays = [message["latency_p95_ms"] for message in stats if message["latency_p95_ms"] is not None]
    return [
        Row(f"{name}frames shown, and stills not sent", seen, "a second", 24.9, at_least=True),
        Row(f"{name}frames shown late (by over {LATE_MS:g} ms)", late, "%", 1),
        Row(f"{name}frames that left the server late", 100 * late_share(stats), "%", 1),
        Row(f"{name}engine (CDAN and renderer), a frame, median", _median(m["render_ms"] for m in stats), "ms", 20),
        Row(f"{name}encoder, a frame, median", _median(m["encode_ms"] for m in stats), "ms"),
        Row(f"{name}microphone packet to encoder, 95th percentile", _median(delays), "ms", 140),
        Row(f"{name}the same in the worst ten seconds", max(delays, default=None), "ms"),
    ]


def late_share(stats: Sequence[dict[str, Any]]) -> float:
    """Of the frames between the first and the last of these messages; each tells the share since media began."""
    (begun, before), (now, after) = ((m["media_ms"], m["late_share"] * m["media_ms"]) for m in (stats[0], stats[-1]))
    return float((after - before) / (now - begun))


def lip_sync(
    probed: ProbedPage, clip: speech.Clip, truth: tuple[Curve, Curve], when: str
) -> tuple[Watched | None, list[Row]]:
    """Sound against lips, as received. `truth`: what the engine alone does with the clip."""
    late, opened, seen = None, None, None
    try:
        seen = watch(probed, clip)
        late = behind(seen, *truth)
        opened = _median(lips_after_vowels(seen))
    except NotFound as error:
        print(f"{when}: {error}", file=sys.stderr)
    return seen, [
        Row(f"lips behind sound, whole clip, {when}", late, "ms", 40),
        Row(f"mouth half open after vowel onset, median, {when}", opened, "ms", 40),
    ]


def articulation(seen: Watched) -> list[Row]:
    """What a landmark detector finds on the received frames."""
    wide, rest = vowel_aperture(seen), silence_apertures(seen)
    still = float(np.median(rest))
    closed = 100 * closed_share(seen, still + CLOSED_SHARE * (wide - still))
    return [
        Row("aperture in open vowels (inter-ocular distances)", wide, "", still + 0.05, at_least=True),
        Row("aperture in silence, median", still),
        Row("aperture in silence, spread (5th to 95th percentile)", _spread(rest), "", STILL),
        Row("p b m closed (within 15 % of open)", closed, "%", 80, at_least=True),
    ]


def emotion_changes(probed: ProbedPage) -> list[Row]:
    """`emotion.set` at once, with the microphone muted and the face told to hold still."""
    page = probed.page
    page.get_by_role("button", name="Mute", exact=True).click()
    for part in ("Head", "Gaze", "Blinks"):
        page.get_by_role("slider", name=f"{part}: how much of it").fill("0")
    page.get_by_label("Transition").select_option("0")
    page.wait_for_timeout(1500)
    waits, misses = zip(*(_change(probed, level) for level in ("100", "0") * (TRIALS // 2)), strict=True)
    seen = [miss for miss in misses if miss is not None]
    return [
        Row("emotion.set to applied, worst", max(waits), "ms", 120),
        Row(f"named frame to first that differs, worst of {len(seen)}", max(seen, key=abs, default=None), "frames", 0),
    ]


def _change(probed: ProbedPage, level: str) -> tuple[float, int | None]:
    """ms until `applied`, and by how many frames the first that differs comes after the one that it names."""
    probed.start_shooting(1.2)
    probed.page.wait_for_timeout(300)
    probed.page.get_by_role("slider", name="Surprise", exact=True).fill(level)
    probed.page.wait_for_timeout(1300)
    at, applied = probed.control("in", "emotion.applied")[-1]
    sent = probed.control("out", "emotion.set") + probed.control("out", "emotion.reset")
    wait = at - next(when for when, message in sent if message["id"] == applied["id"])
    frame = first_difference(probed.shots())
    if frame is None or frame.rtp is None:
        return wait, None
    return wait, probed.frames().slot(frame.rtp) - int(applied["frame"])


def first_difference(shots: Sequence[Shot]) -> Shot | None:
    """The first shot unlike the one before it; a step of a third of the largest is part of the change itself."""
    steps = [float(np.abs(b.rgb.astype(np.int16) - a.rgb).mean()) for a, b in zip(shots, shots[1:], strict=False)]
    if max(steps, default=0.0) < DIFFERS:
        return None
    return shots[1 + int(np.argmax(np.array(steps) > max(steps) / 3))]


def expressions(probed: ProbedPage) -> list[Row]:
    """A smile and a blink, as the detector sees them. Follows `emotion_changes`: muted, still, at once."""
    happiness = probed.page.get_by_role("slider", name="Happiness", exact=True)
    rest = _settled(probed)
    happiness.fill("100")
    smile = _settled(probed)
    happiness.fill("0")
    probed.page.get_by_role("slider", name="Blinks: how much of it").fill("100")
    lids = np.array([face.lids for face in _settled(probed, seconds=12.0)])
    raised = _mean(face.corners for face in smile) - _mean(face.corners for face in rest)
    widened = _mean(face.width for face in smile) - _mean(face.width for face in rest)
    return [
        Row("corners of the mouth raised by happiness", raised, "", STILL, at_least=True),
        Row("mouth widened by happiness", widened, "", STILL, at_least=True),
        Row("lids at their lowest in 12 s, share of open", float(lids.min() / np.median(lids)), "", 0.4),
    ]


def _settled(probed: ProbedPage, seconds: float = 0.5) -> list[Reading]:
    """Faces once the last change has arrived."""
    probed.page.wait_for_timeout(600)
    return read([shot.rgb for shot in probed.shoot(seconds)])


def isolation(silent: ProbedPage) -> list[Row]:
    """A session whose caller is silent, while another one talks: neither lips nor sound may show it."""
    silent.listen()
    apertures = np.array([face.aperture for face in _settled(silent, seconds=4.0)])
    heard = silent.heard().samples
    units = silent.control("in", "state")[-1][1]["units"]
    return [
        Row("second session: aperture's spread in its own silence", _spread(apertures), "", STILL),
        Row("second session: sound heard in its own silence, RMS", float(np.sqrt(np.mean(heard**2))), "", 0.002),
        Row("second session: units that only the first was given", float(len(units)), "", 0),
    ]


def _spread(values: npt.NDArray[np.float64]) -> float:
    low, high = np.percentile(values, (5, 95))
    return float(high - low)


def _median(values: Iterable[float | None]) -> float | None:
    kept = [value for value in values if value is not None]
    return float(np.median(kept)) if kept else None


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
