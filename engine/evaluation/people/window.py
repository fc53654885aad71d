"""Parts of a picture: what alone can change is rendered alone and pasted."""

from PIL import Image, ImageFilter

Window = tuple[float, float, float, float]
"""Left, right, bottom, top, as shares of the picture's sides; y counts from below."""
WHOLE: Window = (0, 1, 0, 1)
FACE: Window = (0.25, 0.75, 0.16, 0.86)
"""All that an expression can change."""


def pasted(neutral: Image.Image, part: Image.Image, window: Window) -> Image.Image:
    """The neutral picture with a window of another, its edges softened."""
    size = neutral.width
    feather = size // 40
    mask = Image.new("L", part.size, 0)
    mask.paste(255, (feather, feather, part.width - feather, part.height - feather))
    whole = neutral.copy()
    at = round(window[0] * size), size - round(window[3] * size)
    whole.paste(part, at, mask.filter(ImageFilter.BoxBlur(feather // 2)))
    return whole
