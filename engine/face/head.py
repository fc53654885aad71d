"""The 3D head: a mesh, what moves it, and where its landmarks are. Plain arrays in one shared copy: not to write to."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

PATH = Path(__file__).parent / "data" / "head.npz"


class Part(IntEnum):
    """What a triangle belongs to."""

    SKIN = 0
    EYE_LEFT = 1
    EYE_RIGHT = 2
    UPPER_TEETH = 3
    LOWER_TEETH = 4
    TONGUE = 5
    LASHES = 6


@dataclass(frozen=True)
class Head:
    """Lengths are inter-ocular distances; the origin lies between the eyes' centres.

    x points to the person's left (right in the picture), y up, z to the viewer.
    """

    vertices: Floats
    """[V, 3] the neutral head."""
    triangles: Integers
    """[F, 3] counter-clockwise from outside."""
    part: npt.NDArray[np.uint8]
    """[F] a `Part` each."""
    uv: Floats
    """[V, 2] texture coordinates, v up."""
    shapes: Floats
    """[63, V, 3] displacement where each of `coefficients.FACE` is 1."""
    identity: Floats
    """[D, V, 3] displacement of one standard deviation in each direction of identity."""
    landmark_triangle: Integers
    """[478] the triangle that carries each of MediaPipe's landmarks."""
    landmark_weights: Floats
    """[478, 3] its barycentric coordinates there."""
    rings: Mapping[str, Integers]
    """Vertices along a contour, from the person's right to the left: lips_upper and lips_lower (the edges that part),
    lips_outer_upper and lips_outer_lower (where the red ends), lid_upper_left, lid_lower_left, lid_upper_right and
    lid_lower_right (the lids' margins). An upper and its lower share their ends."""
    eye_centre: Floats
    """[2, 3] left, right."""
    eye_radius: float
    jaw_pivot: Floats
    """[3] the jaw's axis, between its joints."""
    skull_pivot: Floats
    """[3] the base of the skull, where the head turns."""

    def landmarks(self, vertices: Floats | None = None) -> Floats:
        """[478, 3] where the landmarks are on the neutral head, or on `vertices` [V, 3] of the same mesh."""
        corners = (self.vertices if vertices is None else vertices)[self.triangles[self.landmark_triangle]]
        points: Floats = np.einsum("lc,lcd->ld", self.landmark_weights, corners)
        return points


@functools.cache
def load() -> Head:
    """The head that ships with the package."""
    with np.load(PATH) as file:
        rings = {name[5:]: file[name] for name in file.files if name.startswith("ring_")}
        return Head(
            vertices=file["vertices"],
            triangles=file["triangles"].astype(np.int32),
            part=file["part"],
            uv=file["uv"].astype(np.float32),
            shapes=file["shapes"].astype(np.float32),
            identity=file["identity"].astype(np.float32),
            landmark_triangle=file["landmark_triangle"].astype(np.int32),
            landmark_weights=file["landmark_weights"],
            rings=MappingProxyType(rings),
            eye_centre=file["eye_centre"],
            eye_radius=float(file["eye_radius"]),
            jaw_pivot=file["jaw_pivot"],
            skull_pivot=file["skull_pivot"],
        )
