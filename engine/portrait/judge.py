"""Judges a photo as a portrait: size, sharpness, pose, light, what covers the face, an open mouth, and the cut."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE
from engine.portrait.fit import Fit
from engine.portrait.frame import EYES_APART, Frame
from engine.portrait.glasses import find_glasses
from engine.portrait.landmarks import Face, Rgb
from engine.portrait.layers_layout import TEXELS
from engine.portrait.report import Remark, Report

GOOD_FACE_PX = 200
SHARP = 0.012  # the finest detail of eyes and brows, of their brightness, in a photo in focus
TURNED, TILTED = 15.0, 20.0  # degrees that still go well
DARK, BRIGHT, UNEVEN = 45, 225, 2.2
STRANGE = 3.5  # units that landmarks may lie off the model
FOREIGN, DIM_EYES = 24.0, 0.6  # see _cover
OPEN = 0.06  # of the lips, inter-ocular distances
_UPPER_LIP, _LOWER_LIP, _CHIN = 13, 14, 152
_LEFT_CHEEK, _RIGHT_CHEEK = 425, 205
_SKIN = (151, 9, _LEFT_CHEEK, _RIGHT_CHEEK, 4, 164, 199)  # forehead, cheeks, nose, above the lips, chin
_OPENINGS = ((33, 160, 158, 133, 153, 144), (362, 385, 387, 263, 373, 380))


def judge(faces: Sequence[Face], frame: Frame, fit: Fit, cut: bool) -> Report:
    """The report on the first of a photo's faces; `cut` says whether person and background came apart."""
    yaw, pitch, roll = fit.pose
    size = round(float(np.ptp(faces[0].points[:468, 1])))
    remarks = (
        _size(size),
        *_choice(len(faces)),
        _sharpness(fit.picture, fit.landmarks, frame.zoom),
        _pose(yaw, pitch, roll),
        _light(fit.picture, fit.landmarks),
        _cover(fit),
        _mouth(fit),
        *_expression(fit),
        *_cut(frame, cut),
    )
    return Report(size, round(yaw, 1), round(pitch, 1), round(roll, 1), remarks)


def _size(pixels: int) -> Remark:
    if pixels >= GOOD_FACE_PX:
        return Remark("face", f"{pixels} pixels high")
    return Remark("face", f"only {pixels} pixels high: skin, teeth and lashes will look soft", True)


def _choice(faces: int) -> Iterator[Remark]:
    if faces > 1:
        yield Remark("choice", f"the largest of {faces} faces; for another one crop the photo")


def _sharpness(picture: Rgb, landmarks: npt.NDArray[np.float32], zoom: float) -> Remark:
    """Detail at the scale of the photo's own pixels, where the face has edges: eyes and brows."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sigma = max(1.0, zoom * TEXELS)
    fine = np.abs(cv2.GaussianBlur(grey, (0, 0), sigma * 0.7) - cv2.GaussianBlur(grey, (0, 0), sigma * 1.4))
    x0, y0, x1, y1 = _box(landmarks[[70, 300, 230, 450], :2] * TEXELS, len(grey))
    detail = float(fine[y0:y1, x0:x1].mean() / max(grey[y0:y1, x0:x1].mean(), 8))
    if detail >= SHARP:
        return Remark("sharpness", "in focus")
    return Remark("sharpness", "blurred or strongly compressed: eyes and lips will look soft", True)


def _box(points: npt.NDArray[np.float32], size: int) -> tuple[int, int, int, int]:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    left, top, right, bottom = (int(np.clip(v, 0, size)) for v in (x0, y0, x1, y1))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _pose(yaw: float, pitch: float, roll: float) -> Remark:
    words = f"yaw {yaw:.0f}, pitch {pitch:.0f}, roll {roll:.0f} degrees"
    if abs(yaw) > TURNED:
        return Remark("pose", f"{words}: turned away, the far cheek and ear will stretch", True)
    if abs(pitch) > TURNED or abs(roll) > TILTED:
        return Remark("pose", f"{words}: tilted, the head's movement will look stiff", True)
    return Remark("pose", words)


def _light(picture: Rgb, landmarks: npt.NDArray[np.float32]) -> Remark:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 8)
    left, right = (float(_at(grey, landmarks[cheek, :2])) for cheek in (_LEFT_CHEEK, _RIGHT_CHEEK))
    if max(left, right) / max(min(left, right), 1) > UNEVEN:
        return Remark("light", "from one side: shadows stay where they are when the head turns", True)
    if not DARK <= (left + right) / 2 <= BRIGHT:
        return Remark("light", "too dark or too bright: colours and folds are lost", True)
    return Remark("light", "even")


def _cover(fit: Fit) -> Remark:
    """A guess: by the shape, the skin's colour in places, the whites of the eyes, and rims about them."""
    if fit.residual > STRANGE or _patches(fit) > FOREIGN:
        return Remark("cover", "something may cover the face (mask, hand, hair): it will move with the skin", True)
    if _whites(fit) < DIM_EYES:
        return Remark("cover", "the eyes are in the dark or behind glasses: gaze and blinks will look false", True)
    if find_glasses(fit.picture, fit.landmarks):
        return Remark("cover", "glasses: brows and cheeks hardly move beneath them; a photo without is better", True)
    return Remark("cover", "the face looks free")


def _patches(fit: Fit) -> float:
    """How far the colour of a place that should be skin lies from the others', a and b of CIE L*a*b*."""
    lab = cv2.cvtColor(cv2.GaussianBlur(fit.picture, (0, 0), 8).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = np.array([_at(lab, fit.landmarks[i, :2]) for i in _SKIN])[:, 1:]
    return float(np.linalg.norm(colours - np.median(colours, axis=0), axis=1).max())


def _whites(fit: Fit) -> float:
    """Brightness of the brightest in the eyes' openings over the cheeks'."""
    grey = cv2.cvtColor(fit.picture, cv2.COLOR_RGB2GRAY)
    opening = np.zeros_like(grey)
    for lids in _OPENINGS:
        cv2.fillConvexPoly(opening, np.round(fit.landmarks[list(lids), :2] * TEXELS).astype(np.int32), 1)
    soft = cv2.GaussianBlur(grey, (0, 0), 8)
    cheeks = np.mean([_at(soft, fit.landmarks[i, :2]) for i in (_LEFT_CHEEK, _RIGHT_CHEEK)])
    return float(np.percentile(grey[opening > 0], 90) / max(cheeks, 1))


def _at(values: npt.NDArray[np.generic], place: npt.NDArray[np.float32]) -> npt.NDArray[np.generic]:
    """The texel at a place in units."""
    column, row = np.clip(place * TEXELS, 0, len(values) - 1).astype(int)
    return np.asarray(values[row, column])


def _mouth(fit: Fit) -> Remark:
    gap = float(fit.landmarks[_LOWER_LIP, 1] - fit.landmarks[_UPPER_LIP, 1]) / EYES_APART
    if gap <= OPEN:
        return Remark("mouth", "closed: teeth are drawn from a model")
    return Remark("mouth", "open: it is closed by force, lips may look thin; a photo with closed lips works best", True)


def _expression(fit: Fit) -> Iterator[Remark]:
    smile = float(fit.source[[FACE.index("mouthSmileLeft"), FACE.index("mouthSmileRight")]].mean())
    if smile > 0.35:
        yield Remark("expression", "smiling: the smile's folds stay when the smile goes", True)


def _cut(frame: Frame, cut: bool) -> Iterator[Remark]:
    if not cut:
        yield Remark("background", "could not be told from the person: it moves with the head", True)
    missing = 1 - float(frame.inside.mean())
    if missing > 0.15:
        yield Remark("framing", f"{missing:.0%} of the picture lies beyond the photo's edge and is made up", True)
