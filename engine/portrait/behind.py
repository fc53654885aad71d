"""What lies behind the person: low frequencies drawn in smoothly from around, finer detail mirrored at the silhouette.

A head that turns uncovers a narrow rim. There the background goes on with its own texture; further in it fades to its
colours and grain.
"""

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.frame import fill
from engine.portrait.landmarks import Rgb

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

_GLOW = 5  # texels about the matte's edge that the background may not be taken from
_COARSE = 6.0  # texels: the blur that parts low frequencies from detail
_RIM = 90.0  # texels behind the edge at which mirrored detail has faded


def behind(picture: Rgb, alpha: Floats) -> Rgb:
    """[h, w, 3] the picture without the person, whose matte is `alpha` [h, w]."""
    person = cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((2 * _GLOW + 1, 2 * _GLOW + 1), np.uint8))
    filled = fill(picture, person == 0) + mirrored(picture, person)
    share = np.clip(2 * cv2.GaussianBlur(person.astype(np.float32), (0, 0), _GLOW / 2)[..., None], 0, 1)
    mixed: Rgb = np.round(filled * share + picture * (1 - share)).clip(0, 255).astype(np.uint8)
    return mixed


def mirrored(picture: Rgb, person: Mask, coarse: float = _COARSE, rim: float = _RIM) -> Floats:
    """[h, w, 3] the detail of the known part, reflected into the person at the nearest point of the edge.

    Detail is what is finer than `coarse` texels; `rim` texels behind the edge it has faded.
    """
    away, labels = cv2.distanceTransformWithLabels(person, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, cols = np.nonzero(person == 0)
    place = np.zeros((labels.max() + 1, 2), np.float32)
    place[labels[rows, cols]] = np.column_stack([cols, rows])
    nearest = place[labels]
    here = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in person.shape[::-1])), -1)
    source = cv2.GaussianBlur(2 * nearest - here, (0, 0), 2)
    found = cv2.remap(
        _detail(picture, person == 0, coarse), source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    fade = np.clip(1 - away / rim, 0, 1) * (person > 0)
    return np.asarray(found * fade[..., None], np.float32)


def _detail(picture: Rgb, known: npt.NDArray[np.bool_], coarse: float) -> Floats:
    """[h, w, 3] what the known part has beyond its low frequencies; 0 elsewhere."""
    weight = known.astype(np.float32)[..., None]
    total, share = (cv2.GaussianBlur(a, (0, 0), coarse) for a in (picture * weight, weight))
    return np.asarray((picture - total / np.maximum(share, 1e-3)[..., None]) * weight, np.float32)
