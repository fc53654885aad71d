"""Photo files to upright RGB: JPEG, PNG or WebP of any orientation, colour model or depth, within bounded memory."""

import io
import re
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from engine.portrait.errors import PortraitError

Rgb = npt.NDArray[np.uint8]

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 80_000_000  # a full decode of this needs 240 MB
ENOUGH = 4096  # longer edge that is kept: the picture made of it has 1024 pixels
OTHERS = (  # what photos and documents come in besides, by how their files begin
    (rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)", "an HEIC photo, as iPhones keep them"),
    (rb"....ftypavi[fs]", "an AVIF picture"),
    (rb"GIF8", "a GIF picture"),
    (rb"II\*\0|MM\0\*", "a TIFF picture or a camera's raw file"),
    (rb"BM", "a BMP picture"),
    (rb"%PDF", "a PDF document"),
    (rb"\s*<(\?xml|svg|!DOCTYPE svg)", "an SVG drawing"),
    (rb"\Z", "an empty file"),
)
GROUND = (128, 128, 128)  # behind transparent pixels

# A truncated file is an error, never a half-grey picture.
ImageFile.LOAD_TRUNCATED_IMAGES = False


def load_photo(data: bytes, most: int = MAX_PIXELS) -> Rgb:
    """[H, W, 3], at most ENOUGH pixels long; PortraitError for what is no whole picture, or has over `most` pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is judged below, odd metadata does not matter
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _pixels(image, most)
    except UnidentifiedImageError:
        raise PortraitError("not_an_image", f"this is {_kind(data)}: save the photo as JPEG, PNG or WebP") from None
    except Image.DecompressionBombError:
        raise _too_many_pixels(most) from None
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        if isinstance(error, PortraitError):
            raise
        raise PortraitError("broken_image", "the picture is cut off or damaged: export it again") from error


def _kind(data: bytes) -> str:
    return next((words for start, words in OTHERS if re.match(start, data, re.DOTALL)), "no picture")


def _too_many_pixels(most: int) -> PortraitError:
    return PortraitError("too_many_pixels", f"the picture has over {most // 10**6} megapixels: scale it down")


def _pixels(image: Image.Image, most: int) -> Rgb:
    if image.width * image.height > most:
        raise _too_many_pixels(most)
    image.draft(image.mode, (ENOUGH, ENOUGH))  # a JPEG decodes at 1/2, 1/4 or 1/8 straight away
    image.load()
    image.thumbnail((ENOUGH, ENOUGH), Image.Resampling.LANCZOS, reducing_gap=2.0)
    upright = ImageOps.exif_transpose(image)
    return np.array(_rgb(upright))


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit sRGB; transparency over grey."""
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image, np.float64)
        scale = 65535 if deep.max() > 255 else 255
        return Image.fromarray(np.clip(deep / scale * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        alpha = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", alpha.size, (*GROUND, 255)), alpha).convert("RGB")
    return _profiled(image)


def _profiled(image: Image.Image) -> Image.Image:
    """By the embedded profile where there is one that fits (CMYK needs it for true colours), else by the plain rule."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            return image.convert("RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")
