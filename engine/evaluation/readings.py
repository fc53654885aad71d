"""What a face does, read off MediaPipe's 478 landmarks: points [..., 478, 2], pixels, y down -> [...].

Lengths are in inter-ocular distances, so that a head that moves or leans does not count as a mouth that opens.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

PUPILS = (468, 473)
LIP_UPPER, LIP_LOWER = 13, 14  # inner edge, middle
CORNERS = (61, 291)
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))  # outer, inner, upper lid, lower lid


def distance(points: Floats, a: int, b: int) -> Floats:
    return np.asarray(np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1))


def unit(points: Floats) -> Floats:
    """The inter-ocular distance in pixels."""
    return distance(points, *PUPILS)


def between(points: Floats, a: int, b: int) -> Floats:
    return distance(points, a, b) / unit(points)


def up(points: Floats) -> Floats:
    """[..., 2] the head's own up, from the line of the eyes' outer corners."""
    right = points[..., 263, :] - points[..., 33, :]
    across = np.stack([right[..., 1], -right[..., 0]], -1)
    return np.asarray(across / np.linalg.norm(across, axis=-1, keepdims=True))


def height(points: Floats, of: Sequence[int], over: Sequence[int]) -> Floats:
    """How far the middle of some landmarks stands above that of others, along the head's up."""
    way = points[..., list(of), :].mean(-2) - points[..., list(over), :].mean(-2)
    return np.asarray((way * up(points)).sum(-1) / unit(points))


def aperture(points: Floats) -> Floats:
    """Between the lips' inner edges, along the head's up; lips that overlap are shut."""
    return np.maximum(height(points, (LIP_UPPER,), (LIP_LOWER,)), 0)


def width(points: Floats) -> Floats:
    """Between the corners of the mouth."""
    return between(points, *CORNERS)


def corners(points: Floats) -> Floats:
    """How high the corners stand against the middle of the lips; a smile lifts them."""
    return height(points, CORNERS, (LIP_UPPER, LIP_LOWER))


def lids(points: Floats) -> Floats:
    """Opening of the eyes against their width, mean of both."""
    opened = [distance(points, above, below) / distance(points, a, b) for a, b, above, below in EYES]
    return np.asarray(np.mean(opened, axis=0))
