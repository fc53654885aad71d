"""Draws the head in a plain clay, eyes and lips coloured, well enough for a landmark model and for a reader."""

import numpy as np
import numpy.typing as npt

from engine.face.head import Part
from engine.face.raster import Floats, normals, rasterise

COLOURS = {
    Part.SKIN: (0.80, 0.62, 0.53),
    Part.UPPER_TEETH: (0.90, 0.88, 0.82),
    Part.LOWER_TEETH: (0.86, 0.84, 0.78),
    Part.TONGUE: (0.75, 0.36, 0.36),
    Part.LASHES: (0.20, 0.14, 0.12),
}
LIGHT = np.array([-0.35, 0.45, 0.82])
IRIS, PUPIL = 0.093, 0.038  # radii in inter-ocular distances
BACKGROUND = 0.93


def draw(
    vertices: Floats,
    triangles: npt.NDArray[np.integer],
    part: npt.NDArray[np.uint8],
    tint: npt.NDArray[np.floating],
    eyes: Floats,
    *,
    size: int,
    centre: tuple[float, float] = (0.0, -0.55),
    zoom: float = 0.27,
) -> npt.NDArray[np.uint8]:
    """[size, size, 3] RGB from the front. `tint` [V, 3] multiplies the colour, `eyes` [2, 3] are the irises' centres.

    `zoom` is the share of the picture that one inter-ocular distance takes.
    """
    big = 2 * size
    xy = (vertices[:, :2] - centre) * [1, -1] * zoom * big + big / 2
    seen = rasterise(xy, vertices[:, 2], triangles, big)
    corners = triangles[seen.triangle]

    def spread(values: Floats) -> Floats:
        mixed: Floats = np.einsum("hwc,hwcd->hwd", seen.weights, values[corners])
        return mixed

    normal = spread(normals(vertices, triangles))
    shade = 0.42 + 0.58 * np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1) ** 0.9
    colour = np.ones((*shade.shape, 3))
    for which, rgb in COLOURS.items():
        colour[part[seen.triangle] == which] = rgb
    eye = np.isin(part[seen.triangle], (Part.EYE_LEFT, Part.EYE_RIGHT))
    colour[eye] = _eye_colour(spread(vertices)[eye], eyes)
    picture = colour * spread(tint.astype(np.float64)) * shade[..., None]
    picture[seen.triangle < 0] = BACKGROUND
    small = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
    return np.asarray(np.round(np.clip(small, 0, 1) * 255), np.uint8)


def _eye_colour(points: Floats, eyes: Floats) -> Floats:
    """White, iris or pupil by the distance from the nearer iris's centre."""
    away = np.minimum(*(np.linalg.norm(points - centre, axis=1) for centre in eyes))
    colour = np.full((len(points), 3), 0.93)
    colour[away < IRIS] = 0.36, 0.46, 0.40
    colour[away < PUPIL] = 0.05
    return colour
