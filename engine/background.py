"""What stands behind the person: the photo's own background, sharp or blurred, a colour, a picture, or nothing."""

import re
from dataclasses import dataclass
from typing import Literal, Self

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait import Portrait, PortraitError
from engine.portrait.photo import MAX_PIXELS, load_photo

Rgb = npt.NDArray[np.uint8]
Kind = Literal["photo", "blur", "colour", "picture", "transparent"]

KEY = (0, 177, 64)  # chroma green, which no skin comes near: behind the person where a picture has no alpha
NAMED: tuple[Kind, ...] = ("photo", "blur", "transparent")
BLUR = 1 / 40  # standard deviation, of the picture's edge: shapes are guessed at, texts can't be read
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})")


@dataclass(frozen=True, eq=False)
class Background:
    """A choice that fits every portrait."""

    kind: Kind = "photo"
    colour: tuple[int, int, int] = KEY
    picture: Rgb | None = None
    """[h, w, 3] of any size; its middle is shown."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`photo`, `blur`, `transparent` or `#rrggbb`; ValueError for anything else."""
        for kind in NAMED:
            if text == kind:
                return cls(kind)
        if found := _COLOUR.fullmatch(text):
            red, green, blue = bytes.fromhex(found[1])
            return cls("colour", (red, green, blue))
        raise ValueError(f"a background is {', '.join(NAMED)}, a colour as #rrggbb or a picture, not {text[:40]!r}")

    @classmethod
    def of_picture(cls, data: bytes, most: int = MAX_PIXELS) -> Self:
        """A JPEG, PNG or WebP file of at most `most` pixels; PortraitError for what is none."""
        return cls("picture", picture=load_photo(data, most))

    @property
    def clear(self) -> bool:
        """Whether films show nothing there; what has no alpha shows KEY."""
        return self.kind == "transparent"

    def check(self, portrait: Portrait) -> None:
        """PortraitError for a portrait whose person was not cut out: there is nothing that could be taken away."""
        if self.kind != "photo" and any(remark.subject == "background" for remark in portrait.report.remarks):
            raise PortraitError(
                "not_cut_out", "this photo's background can't be changed: it was not told from the person"
            )

    def plate(self, portrait: Portrait, size: int) -> Rgb | None:
        """[size, size, 3] what the renderer draws the person on; None for the photo's own background."""
        if self.kind == "photo":
            return None
        if self.kind == "blur":
            return blurred(portrait.layers["background"], size)
        if self.picture is not None:
            return covering(self.picture, size)
        return np.full((size, size, 3), self.colour, np.uint8)


def blurred(picture: Rgb, size: int) -> Rgb:
    """[size, size, 3], out of focus. A quarter of the size holds all that such a blur leaves."""
    small = cv2.resize(picture, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small.astype(np.float32), (0, 0), BLUR * size / 4, borderType=cv2.BORDER_REPLICATE)
    large = cv2.resize(soft, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.round(large).clip(0, 255), np.uint8)


def covering(picture: Rgb, size: int) -> Rgb:
    """[size, size, 3]: the largest square in the picture's middle."""
    rows, cols = picture.shape[:2]
    side = min(rows, cols)
    top, left = (rows - side) // 2, (cols - side) // 2
    square = picture[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)
