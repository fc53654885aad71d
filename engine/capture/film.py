"""A film's face as a coefficient track, 25 rows a second, whatever the film's own rate."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from engine.capture.smoothing import smooth
from engine.capture.tracker import Tracker
from engine.face import load
from engine.portrait.fit import Geometry, fit_head
from engine.portrait.frame import Frame, make_frame
from engine.portrait.landmarks import Face, Rgb, blendshapes, find_faces
from engine.units import FPS

Floats = npt.NDArray[np.float32]

_PUPILS = (468, 473)
_CALM = ("jawOpen", "mouth", "eyeBlink", "brow", "eyeSquint", "cheek", "nose")
"""Names of the detector's scores that are low on a face at rest begin with these."""
_TRIED = 24  # faces that are compared for the one at rest


class CaptureError(ValueError):
    """A film that can't be followed; the message says why."""


@dataclass(frozen=True, eq=False)
class Captured:
    """A film's face."""

    coefficients: Floats
    """[T, 69] 25 a second; the head's pose is relative to `picture`."""
    picture: Rgb
    """[h, w, 3] the frame that the face was fitted in: the portrait to show the track on."""
    missed: int
    """Frames of the film without a face, bridged by their neighbours."""


def capture(path: Path) -> Captured:
    """Follows the largest face of a film. CaptureError if there is none, or the file is no film."""
    found = [(next(iter(find_faces(picture)), None), time) for picture, time in read_film(path)]
    faces, times = [face for face, _ in found], np.array([time for _, time in found])
    calm = calmest(faces)
    reference = faces[calm]
    if reference is None:
        raise CaptureError(f"{path.name}: no face was found: use a film that shows one from the front, well lit")
    picture, _ = next(itertools.islice(read_film(path), calm, None))  # read twice rather than held whole
    track = follow(make_frame(picture, reference), reference, faces)
    seen = np.array([face is not None for face in faces])
    return Captured(smooth(resampled(track, times[seen])), picture, int((~seen).sum()))


def read_film(path: Path) -> Iterator[tuple[Rgb, float]]:
    """RGB pictures and when each is shown, seconds. CaptureError for a file that is no film."""
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise CaptureError(f"{path.name} has no pictures: give a film")
            for frame in film.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), frame.time or 0.0
    except av.error.FFmpegError as error:
        raise CaptureError(f"{path.name} can't be read as a film: {error.strerror}") from None


def calmest(faces: Sequence[Face | None]) -> int:
    """Which frame shows the face most at rest and most from the front, by the detector's own scores."""
    some = [i for i, face in enumerate(faces) if face is not None]
    tried = some[:: max(1, len(some) // _TRIED)]
    return min(tried, key=lambda i: _unrest(faces[i]), default=0)


def _unrest(face: Face | None) -> float:
    if face is None:
        return np.inf
    scores = blendshapes(face.points)
    moved = sum(score for name, score in scores.items() if name.startswith(_CALM))
    moved += 2 * scores["jawOpen"]  # an open mouth is the hardest to undo
    right, left, nose = (face.points[i, 0] for i in (234, 454, 1))
    return moved + 4 * abs(float((nose - right) / (left - right)) - 0.5)


def follow(frame: Frame, reference: Face, faces: Sequence[Face | None], geometry: Geometry | None = None) -> Floats:
    """[n, 69] of the frames that have a face; `frame` is the canonical one of the picture with `reference`."""
    fitted = geometry or fit_head(frame, load())
    apart = float(np.hypot(*(frame.landmarks[_PUPILS[0], :2] - frame.landmarks[_PUPILS[1], :2])))
    tracker = Tracker(fitted, load(), apart)
    return np.stack([tracker.follow(points) for points in in_frame(frame, reference, faces)])


def in_frame(frame: Frame, reference: Face, faces: Sequence[Face | None]) -> Iterator[Floats]:
    """Landmarks [478, 3] of every face in the canonical frame of `reference`'s picture: one camera, one frame."""
    matrix = to_frame(frame, reference)
    for face in faces:
        if face is not None:
            xy = face.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            yield np.column_stack([xy, -frame.zoom * face.points[:, 2]]).astype(np.float32)


def to_frame(frame: Frame, face: Face) -> npt.NDArray[np.float64]:
    """[2, 3] from the photo's pixels to the frame's units."""
    pixels = np.column_stack([face.points[:, :2], np.ones(len(face.points))]).astype(np.float64)
    return np.asarray(np.linalg.lstsq(pixels, frame.landmarks[:, :2].astype(np.float64), rcond=None)[0].T)


def resampled(track: Floats, times: npt.NDArray[np.float64]) -> Floats:
    """[T, 69] at 25 rows a second of rows at `times`."""
    at = times[0] + np.arange(round((times[-1] - times[0]) * FPS) + 1) / FPS
    return np.stack([np.interp(at, times, column) for column in track.T], 1).astype(np.float32)
