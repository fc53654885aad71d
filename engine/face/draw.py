"""Draws the head in clay with painted brows, lips and irises: well enough for a landmark model and for a reader."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from engine.face.head import Part
from engine.face.raster import Floats, normals, rasterise

COLOURS = {
    Part.SKIN: (0.86, 0.67, 0.57),
    Part.UPPER_TEETH: (0.93, 0.91, 0.86),
    Part.LOWER_TEETH: (0.90, 0.88, 0.82),
    Part.TONGUE: (0.78, 0.40, 0.40),
}
INSIDE = (Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE)
LIGHT, AMBIENT = np.array([-0.30, 0.45, 0.84]), 0.40
IRIS, PUPIL = 0.093, 0.038  # radii in inter-ocular distances
BACKGROUND, CAVITY = 0.95, (0.16, 0.06, 0.06)
FADE = 0.4  # how deep in the mouth a third of the light is left
LIPS_TINT, BROWS_TINT, HAIR_TINT = np.array([(0.84, 0.58, 0.58), (0.33, 0.26, 0.24), (0.30, 0.24, 0.22)])
# The brows' middle line and half thickness over the distance from the face's middle.
BROW_X, BROW_Y = (0.17, 0.25, 0.35, 0.55, 0.72, 0.90), (0.270, 0.290, 0.313, 0.345, 0.335, 0.245)
BROW_HALF = (0.004, 0.038, 0.046, 0.040, 0.030, 0.004)


def draw(
    posed: Floats,
    rest: Floats,
    triangles: npt.NDArray[np.integer],
    part: npt.NDArray[np.uint8],
    rings: Mapping[str, npt.NDArray[np.integer]],
    irises: Floats,
    *,
    size: int,
    centre: tuple[float, float] = (0.0, -0.55),
    zoom: float = 0.27,
    hair: bool = False,
) -> npt.NDArray[np.uint8]:
    """[size, size, 3] RGB from the front of the vertices `posed` [V, 3]; paint sticks to where they are at `rest`.

    `irises` [2, 3] are their centres; `zoom` is the share of the picture that one inter-ocular distance takes.
    """
    kept = part != Part.LASHES  # single hairs as broad bands: they hide more than they show
    triangles, part = triangles[kept], part[kept]
    big = 2 * size
    xy = (posed[:, :2] - centre) * [1, -1] * zoom * big + big / 2
    seen = rasterise(xy, posed[:, 2], triangles, big)
    hit = seen.triangle >= 0
    corners, weights, shown = triangles[seen.triangle[hit]], seen.weights[hit], part[seen.triangle[hit]]

    def spread(values: Floats) -> Floats:
        mixed: Floats = np.einsum("nc,ncd->nd", weights, values[corners])
        return mixed

    points = spread(posed)
    colour = np.ones((len(points), 3))
    for which, rgb in COLOURS.items():
        colour[shown == which] = rgb
    skin = shown == Part.SKIN
    colour[skin] *= _paint(spread(rest)[skin], rest, rings, hair)
    eye = np.isin(shown, (Part.EYE_LEFT, Part.EYE_RIGHT))
    colour[eye] = _eye_colour(points[eye], irises)
    colour *= _shade(spread(normals(posed, triangles)))[:, None]
    inside, depth = np.isin(shown, INSIDE), points[:, 2] - posed[rings["lips_lower"], 2].max()
    light = np.exp(np.minimum(depth[inside] + 0.05, 0) / FADE)[:, None]
    colour[inside] = light * colour[inside] + (1 - light) * CAVITY
    picture = np.full((big, big, 3), BACKGROUND)
    picture[hit] = colour
    small = picture.reshape(size, 2, size, 2, 3).mean((1, 3))
    levels: npt.NDArray[np.uint8] = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return levels


def _shade(normal: Floats) -> Floats:
    """[N] a soft key light, wrapped a little around the form so that its far side keeps its shape."""
    towards = normal @ (LIGHT / np.linalg.norm(LIGHT))
    shade: Floats = AMBIENT + (1 - AMBIENT) * np.clip((towards + 0.12) / 1.12, 0, 1) ** 1.1
    return shade


def _paint(at: Floats, rest: Floats, rings: Mapping[str, npt.NDArray[np.integer]], hair: bool) -> Floats:
    """[N, 3] factors for skin whose places at rest are `at` [N, 3]."""
    x, y, z = at.T
    upper, lower = rest[rings["lips_outer_upper"]], rest[rings["lips_outer_lower"]]
    within = np.minimum(np.interp(x, upper[:, 0], upper[:, 1]) - y, y - np.interp(x, lower[:, 0], lower[:, 1]))
    ends = upper[-1, 0] - abs(x)
    brow = np.interp(abs(x), BROW_X, BROW_HALF) - abs(y - np.interp(abs(x), BROW_X, BROW_Y))
    brow = np.minimum(brow, np.minimum(abs(x) - BROW_X[0], BROW_X[-1] - abs(x)))
    masks = [(_soft(np.minimum(within, ends), 0.02), LIPS_TINT), (_soft(brow, 0.04) * (z > 0), BROWS_TINT)]
    if hair:
        masks.append((_soft(np.maximum(y - 1.05, np.minimum(-0.5 - z, y - 0.15)), 0.1), HAIR_TINT))
    out = np.ones((len(at), 3))
    for mask, tint in masks:
        out *= 1 - mask[:, None] * (1 - tint)
    return out


def _soft(inside: Floats, width: float) -> Floats:
    """0 outside to 1 inside, over `width` around the edge."""
    mask: Floats = np.clip(inside / width + 0.5, 0, 1)
    return mask


def _eye_colour(points: Floats, irises: Floats) -> Floats:
    """White, iris or pupil by the distance from the nearer iris's centre."""
    away = np.minimum(*(np.linalg.norm(points - centre, axis=1) for centre in irises))
    iris, pupil = _soft(IRIS - away, 0.012)[:, None], _soft(PUPIL - away, 0.01)[:, None]
    colour = 0.96 * (1 - iris) + iris * np.array([0.40, 0.50, 0.44])
    eye: Floats = colour * (1 - pupil) + pupil * 0.05
    return eye
