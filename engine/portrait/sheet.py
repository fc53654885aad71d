"""What preparation sees in photos, to be looked at: `python -m engine.portrait.sheet PHOTO... -o SHEET.jpg`.

A row for each photo: the fitted mesh, the same at rest, the person cut out, the background completed.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head, Part, load
from engine.portrait.fit import fit_head
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import Rgb, find_faces
from engine.portrait.layers_layout import TEXELS
from engine.portrait.matte import separate
from engine.portrait.photo import load_photo
from engine.portrait.surround import continued

TILE = 480  # pixels
GREEN, RED, SCREEN = (40, 220, 90), (255, 40, 40), (0, 177, 64)
_BITS = 4  # of a pixel's fraction, that cv2 draws with


def row(photo: Rgb, head: Head) -> Rgb:
    """[TILE, 4 TILE, 3]"""
    frame = make_frame(photo, find_faces(photo)[0])
    geometry = fit_head(frame, head)
    frame = continued(frame, geometry, head)
    parts = separate(frame, geometry, head)
    alpha = parts.matte[..., None] / 255
    person = (parts.picture * alpha + np.array(SCREEN) * (1 - alpha)).astype(np.uint8)
    pictures = [mesh(frame.picture, v, head) for v in (geometry.vertices, geometry.neutral)] + [
        person,
        parts.background,
    ]
    return np.concatenate([cv2.resize(p, (TILE, TILE), interpolation=cv2.INTER_AREA) for p in pictures], 1)


def mesh(picture: Rgb, vertices: npt.NDArray[np.float32], head: Head) -> Rgb:
    """The visible skin's edges over a picture, and the rings of lips and lids."""
    drawn = picture.copy()
    places = np.round((vertices[:, :2] * TEXELS - 0.5) * (1 << _BITS)).astype(np.int32)
    corners = places[head.triangles[head.part == Part.SKIN]].astype(np.int64)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    facing = first[:, 0] * second[:, 1] < first[:, 1] * second[:, 0]  # y points down
    cv2.polylines(drawn, list(corners[facing].astype(np.int32)), True, GREEN, 1, cv2.LINE_AA, _BITS)
    cv2.polylines(drawn, [places[ring] for ring in head.rings.values()], False, RED, 2, cv2.LINE_AA, _BITS)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    sheet = np.concatenate([row(load_photo(path.read_bytes()), load()) for path in arguments.photos])
    cv2.imwrite(str(arguments.output), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
