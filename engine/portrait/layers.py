"""The renderer's inputs, made once from a fitted photo: pictures of the layers, and fields that move them."""

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.portrait import crown, layers_blur, layers_eyes, layers_lids, layers_lips, layers_mouth, layers_teeth
from engine.portrait.clothes import slack
from engine.portrait.fit import Fit
from engine.portrait.gaze import still_lids
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_fields import Places, Slits, fields, place, pose_maps
from engine.portrait.layers_layout import (
    EYE,
    LEFT,
    LOWER_TEETH,
    MOUTH,
    RIGHT,
    SIDE,
    TEXELS,
    UPPER_TEETH,
    Array,
    Window,
    texture,
)
from engine.portrait.layers_mesh import look
from engine.portrait.layers_plates import eyeball, find_plates
from engine.portrait.layers_slit import Slit, smoothstep, straight, trace
from engine.portrait.layers_snap import snap
from engine.portrait.shading import shading

# The landmark mesh's own numbering, from corner to corner.
_LIP_UPPER = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
_LIP_LOWER = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
_RIM_UPPER = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
_RIM_LOWER = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]
LID_UPPER = {
    LEFT: [362, 398, 384, 385, 386, 387, 388, 466, 263],
    RIGHT: [33, 246, 161, 160, 159, 158, 157, 173, 133],
}
LID_LOWER = {
    LEFT: [362, 382, 381, 380, 374, 373, 390, 249, 263],
    RIGHT: [33, 7, 163, 144, 145, 153, 154, 155, 133],
}
_BROW = {LEFT: [295, 282, 283], RIGHT: [65, 52, 53]}  # its lower edge
_CHIN = 152
_CHEEKS = [50, 205, 280, 425]
_EYE_WHITE, _CHEEK = 235, 0.95  # what eyes show of full light; teeth are as bright as this share of the brighter cheek
_HUE, _COARSE = 0.6, 8  # power of the eyes' hue; units over which a cheek's colour is a mean
_HALVES = ("face_maps", "mouth_maps", "eye_maps", "shade_maps")  # half precision is enough for these
_INNER = (-1, 1)  # u of each eye's corner at the nose
_SHADE = np.array([26, 10, 8], np.float32)  # the colour of shadows in the eyes
_LIP_TONE = np.array([66, 26, 22], np.float32)  # of shadows between the lips, in white light
_LIP_SHADE, _LIP_SHADOW = 0.4, 6  # the upper lip's: opacity, units
_SEAM, _SEAM_WIDTH = 0.45, 3.0  # the lower lip's, which falls on the upper where they meet
_PARTED = 6.0  # units between the photo's lips: their edges are then no seam, and need but a breath of it
_OPAQUE = 250  # of 255
_LID_SHADE, _LID_SHADOW = 0.45, 4  # the upper lid's
_NEAR, _ABOUT = 4, 8  # units about the mouth's hole in which its inside is drawn: anyhow, and below opaque skin


def build_layers(fit: Fit, head: Head) -> dict[str, npt.NDArray[Any]]:
    """Everything of a portrait that the renderer takes, by its inputs' names; the large maps at half precision."""
    landmarks = fit.landmarks
    cut_off = crown.cut_off(fit.matte)
    fit = replace(fit, matte=crown.rounded(fit.matte, cut_off))
    slits = find_slits(landmarks)
    left, right = (layers_eyes.on_lid(slit, fit.picture) for slit in slits.eyes)
    slits = replace(slits, eyes=(left, right))
    fit = replace(fit, iris=layers_eyes.measured(fit.picture, slits.eyes, fit.iris))
    eyeballs = _eyeballs(fit, slits)
    light = _light(eyeballs["whites"], fit)
    mouth = layers_mouth.below_teeth(slits.mouth, fit.picture, light)
    slits = replace(slits, mouth=layers_lips.on_seam(mouth, fit.picture))
    places = place(slits)
    lips = layers_lips.unseamed(fit.picture, slits.mouth, trace(landmarks, _RIM_UPPER, _RIM_LOWER, slits.mouth))
    skin = head.triangles[head.part == Part.SKIN]
    surface = look(snap(fit.vertices, head.rings, slits.mouth, slits.eyes), skin)
    eyes = float(np.hypot(*(fit.iris[LEFT, :2] - fit.iris[RIGHT, :2])))
    layers: dict[str, npt.NDArray[Any]] = {
        "source": fit.source.astype(np.float32),
        "iod": np.array([eyes], np.float32),
        "pivot": fit.pivot.astype(np.float32),
    }
    gaze = np.stack([eyeball(fit, head, side) for side in (LEFT, RIGHT)])
    layers |= fields(surface, still_lids(fit.shapes), landmarks, slits, fit.source, gaze, slack(fit))
    layers |= pose_maps(surface, fit.vertices[:, 2], landmarks, places, fit.pivot, cut_off)
    layers |= find_plates(fit, head, slits, places, layers)
    layers |= shading(surface, fit, head)
    blur = layers_blur.blur(fit.picture, landmarks)
    layers["mouth_hole"] = _seen(slits.mouth, places.mouth, fit.matte, blur)
    layers |= _pictures(fit, slits, places, lips, light, blur)
    layers |= _mouth_pictures(fit, slits.mouth, places.mouth, layers["sprite_box"], light, blur) | eyeballs
    return layers | {name: layers[name].astype(np.float16) for name in _HALVES}


def find_slits(landmarks: Array) -> Slits:
    """Mouth and eyes as the landmarks draw them."""
    chin = float(landmarks[_CHIN, 1] - landmarks[17, 1])
    mouth = straight(landmarks, (78, 308), 1, lip=0.5, fringe=0.5)
    mouth = trace(landmarks, _LIP_UPPER, _LIP_LOWER, replace(mouth, depth=0.9 * chin, reach=30), closed=3)
    left, right = (_eye(landmarks, side) for side in (LEFT, RIGHT))
    return Slits(mouth, (left, right))


def _eye(landmarks: Array, side: int) -> Slit:
    lower, upper = LID_LOWER[side], LID_UPPER[side]
    lid, brow = landmarks[upper, 1].min(), landmarks[_BROW[side], 1].max()
    depth, reach = 0.9 * max(float(lid - brow), 14), 3 * float(landmarks[lower, 1].max() - lid)
    eye = straight(landmarks, (lower[0], lower[-1]), -1, lip=0.2, fringe=0.8)
    return trace(landmarks, lower, upper, replace(eye, depth=depth, reach=reach, soft=1.3, sheet=True))


def _pictures(
    fit: Fit, slits: Slits, places: Places, lips: layers_lips.Lips, light: Array, blur: float
) -> dict[str, npt.NDArray[np.uint8]]:
    """The head with its holes, the patches over them, and what lies behind it all."""
    eyes = list(zip(slits.eyes, places.eyes, strict=True))
    lids = [
        layers_lids.lid(layers_eyes.cut(fit.picture, EYE, at), slit, inner, iris, texture(EYE).centres(at), blur)
        for (slit, at), inner, iris in zip(eyes, _INNER, fit.iris, strict=True)
    ]
    return {
        "person": _person(layers_lids.without_lashes(lips.upper, lids, places.eyes), fit.matte, slits, light, blur),
        "background": fit.background,
        "lower": _lower(lips.lower, slits.mouth, places.mouth, light, blur),
        "lids": np.stack([_lid(lid.bare, slit, at) for lid, (slit, at) in zip(lids, eyes, strict=True)]),
        "shut": np.stack([lid.shut for lid in lids]),
        "lashes": np.stack([lid.lashes for lid in lids]),
    }


def _eyeballs(fit: Fit, slits: Slits) -> dict[str, npt.NDArray[np.uint8]]:
    """The whites, over the eyes' windows, the irises and the catch-lights on them."""
    whites, irises = [], []
    for slit, iris, at in zip(slits.eyes, fit.iris, place(slits).eyes, strict=True):
        lattice = texture(EYE)
        eye = layers_eyes.lit(layers_eyes.cut(fit.picture, EYE, at), _lid_shade(slit, at), _SHADE)
        white = layers_eyes.white(eye, slit, iris, lattice.centres(at), slit.hole(lattice, at))
        whites.append(white)
        irises.append(layers_eyes.iris_disk(eye, white, slit, iris, at))
    return {"whites": np.stack(whites), "irises": np.stack([*(i for i, _ in irises), *(g for _, g in irises)])}


def _light(whites: npt.NDArray[np.uint8], fit: Fit) -> Array:
    """[3] the colour, 0..1, in which the photo shows white, as the eyes tell: with less of their hue, because skin
    shines into them and blur mixes it in, and no darker than the cheeks allow."""
    seen = np.percentile(whites[whites[..., 3] > 0, :3], 85, axis=0) / _EYE_WHITE
    small = cv2.resize(fit.picture, (SIDE // _COARSE, SIDE // _COARSE), interpolation=cv2.INTER_AREA)
    column, row = np.clip((fit.landmarks[_CHEEKS, :2] / _COARSE).astype(int), 0, SIDE // _COARSE - 1).T
    cheek = float(small[row, column].mean(-1).max()) / _EYE_WHITE
    level = float(seen.mean())
    return np.clip(max(level, _CHEEK * cheek) * (seen / level) ** _HUE, 0.3, 1).astype(np.float32)


def _mouth_pictures(
    fit: Fit, slit: Slit, at: tuple[float, float], boxes: Array, light: Array, blur: float
) -> dict[str, npt.NDArray[np.uint8]]:
    """The mouth's inside, toned to the light and as soft as the photo; `boxes` are the plates'."""
    mouth = layers_mouth.pictures(light, layers_mouth.sidelight(fit.picture, slit))
    mouth = layers_blur.softened(mouth, blur)
    rows = [UPPER_TEETH, LOWER_TEETH]
    upper, lower = mouth[rows]
    unshaded = _unshaded(fit.picture, slit, at, light)
    mouth[rows] = layers_teeth.with_own(upper, lower, unshaded, slit, boxes[rows], light)
    return {"mouth_pictures": mouth}


def _lower(picture: Rgb, slit: Slit, at: tuple[float, float], light: Array, blur: float) -> npt.NDArray[np.uint8]:
    """RGBA: lower lip and chin, and the shadow where the lip meets the upper."""
    cover = _soft(slit.cover(texture(MOUTH), at, 8), blur)
    met = 1 - 0.8 * smoothstep(0, _PARTED, (slit.patch - slit.base).max())
    shade = _SEAM * met * slit.shadow(texture(MOUTH), at, _SEAM_WIDTH, of_base=False)
    return _shaded(layers_eyes.cut(picture, MOUTH, at), cover, shade * (1 - cover), _LIP_TONE * light)


def _person(picture: Rgb, matte: npt.NDArray[np.uint8], slits: Slits, light: Array, blur: float) -> Rgb:
    """RGBA: the photo cut out of its background, with holes; the upper lip's shadow lies in the mouth's."""
    whole = texture(Window(SIDE, SIDE, 1))
    cut = _soft(slits.mouth.hole(whole, (0, 0)), blur)
    for slit in slits.eyes:
        np.maximum(cut, slit.hole(whole, (0, 0)), out=cut)
    shade = cut * _lip_shade(slits.mouth, whole, (0, 0))
    return _shaded(picture, (matte / 255 * (1 - cut)).astype(np.float32), shade, _LIP_TONE * light)


def _seen(slit: Slit, at: tuple[float, float], matte: npt.NDArray[np.uint8], blur: float) -> Array:
    """[*MOUTH] 1 where what lies in the mouth may be seen, because the head has its hole there or near.

    The fields are coarser than the hole: this is a cell wider, and two on the person's own skin. Beyond it a turned
    head would show the mouth's inside beside its cheek.
    """
    hole = (_soft(slit.hole(texture(MOUTH), at), blur) > 1 / 255).astype(np.uint8)
    skin = (layers_eyes.cut(matte, MOUTH, at) > _OPAQUE).astype(np.uint8)
    near, about = (cv2.dilate(hole, np.ones((2 * TEXELS * far + 1,) * 2, np.uint8)) for far in (_NEAR, _ABOUT))
    seen = near | (about & cv2.erode(skin, np.ones((2 * TEXELS * _NEAR + 1,) * 2, np.uint8)))
    step = round(MOUTH.cell * TEXELS)
    return np.asarray(seen[step // 2 :: step, step // 2 :: step], np.float32)


def _lip_shade(slit: Slit, window: Window, at: tuple[float, float]) -> Array:
    """[rows, cols] in 0..1: the shadow of the upper lip on what shows between them."""
    return _LIP_SHADE * slit.shadow(window, at, _LIP_SHADOW, of_base=True)


def _unshaded(picture: Rgb, slit: Slit, at: tuple[float, float], light: Array) -> Rgb:
    """The photo without the upper lip's shadow on its teeth: the lip casts it anew."""
    whole, lattice = picture.copy(), texture(MOUTH)
    x, y = (round(o * TEXELS) for o in at)
    part = whole[y : y + lattice.rows, x : x + lattice.cols]
    part[:] = layers_eyes.lit(part, _lip_shade(slit, lattice, at), _LIP_TONE * light)
    return whole


def _soft(mask: Array, blur: float) -> Array:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), blur), np.float32) if blur else mask


def _lid(bare: Rgb, slit: Slit, at: tuple[float, float]) -> Rgb:
    """RGBA: an upper lid without its lashes, and the shadow it casts on the eyeball."""
    cover = slit.cover(texture(EYE), at, 5)
    return _shaded(bare, cover, _lid_shade(slit, at) * (1 - cover), _SHADE)


def _lid_shade(slit: Slit, at: tuple[float, float]) -> Array:
    """[rows, cols] in 0..1: the shadow of an upper lid."""
    return _LID_SHADE * slit.shadow(texture(EYE), at, _LID_SHADOW, of_base=False)


def _shaded(picture: Rgb, opacity: Array, shade: Array, dark: Array) -> npt.NDArray[np.uint8]:
    """RGBA of a layer with `opacity` [h, w] and, where it is clear, of a `shade` of the colour `dark`."""
    alpha = opacity + shade * (1 - opacity)
    share = (opacity / np.maximum(alpha, 1e-3))[..., None]
    colour = np.where(shade[..., None] > 0, dark + (picture - dark) * share, picture)
    return np.round(np.dstack([colour, alpha * 255])).astype(np.uint8)
