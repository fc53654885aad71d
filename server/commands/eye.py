"""Whether a received picture is the caller's own: the portrait asked for, before the colour asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]

# So far apart that no video codec mistakes one for another.
COLOURS = ("#c00000", "#00a000", "#2020ff", "#c0c000", "#00c0c0", "#c000c0", "#ffffff", "#000000")
CORNER = 1 / 16  # of the picture's side: nobody's hair reaches it
# Hair to chin of every default portrait, and little of what stands behind: others differ 1.6 times as much at least, of
# 496 pictures of speech and smiles before all colours; by the face within its hair two were taken for another's.
TOP, BOTTOM, LEFT, RIGHT = 0.15, 0.70, 0.25, 0.75
SIDE = 32  # pixels are enough to know someone again


def face_of(picture: Rgb) -> npt.NDArray[np.float32]:
    """[SIDE, SIDE, 3] what is to be known again of a whole picture."""
    top, bottom, left, right = (round(share * len(picture)) for share in (TOP, BOTTOM, LEFT, RIGHT))
    small = cv2.resize(picture[top:bottom, left:right], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def face_of_jpeg(data: bytes) -> npt.NDArray[np.float32]:
    """Of a portrait's thumbnail."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return face_of(np.ascontiguousarray(bgr[..., ::-1]))


@dataclass(frozen=True)
class Eye:
    portrait: str
    colour: str
    """One of COLOURS."""
    faces: Mapping[str, npt.NDArray[np.float32]]
    """Of every portrait that it might be."""

    def judge(self, picture: Rgb) -> list[str]:
        """What is wrong with a picture [size, size, 3]."""
        seen = face_of(picture)
        face = min(self.faces, key=lambda name: float(np.abs(self.faces[name] - seen).mean()))
        side = round(CORNER * len(picture))
        corners = [picture[:side, :side], picture[:side, -side:]]
        colours = [nearest(corner.mean((0, 1))) for corner in corners]
        wrong = [f"{face} in place of {self.portrait}"] if face != self.portrait else []
        return wrong + [f"{colour} in place of {self.colour}" for colour in colours if colour != self.colour]


def nearest(rgb: npt.NDArray[np.floating]) -> str:
    """Of COLOURS."""
    return min(COLOURS, key=lambda name: float(np.abs(np.frombuffer(bytes.fromhex(name[1:]), np.uint8) - rgb).max()))
