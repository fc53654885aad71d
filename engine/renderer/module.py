"""The renderer as one torch module: the definition that every other path is checked against."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.portrait.layers_layout import EYE, FRAME, MOUTH, SHADE, SHADE_ORIGIN, SIDE, Window
from engine.renderer.fields import FieldInputs, Fields, lattice, sample


class Pictures(NamedTuple):
    """A portrait's pictures, in the order of the graph's inputs after the maps; uint8 [batch, ..., rows, cols, C]."""

    person: Tensor  # RGBA, [1024, 1024]: the head and body with holes at mouth and eyes
    background: Tensor  # RGB, [1024, 1024]
    lower: Tensor  # RGBA over the mouth's window: lower lip and chin
    lids: Tensor  # [2], RGBA over the eyes' windows: upper lids
    shut: Tensor  # [2], RGB: the lids' skin when drawn down
    lashes: Tensor  # [2], RGBA: the lids' lashes
    mouth_pictures: Tensor  # [5], RGBA: cavity, tongue, lower teeth, upper teeth, tongue put out
    whites: Tensor  # [2], RGBA over the eyes' windows
    irises: Tensor  # [4], RGBA: the irises, and the catch-lights on them


class Patch(NamedTuple):
    """What lies in a window over the person."""

    colours: Tensor  # [B, 4, rows, cols]
    field: Tensor  # [B, 2, rows, cols]: the place in the window
    to: Tensor  # [B, 2]: the window's corner in the picture
    at: Tensor  # [B, 2]: and in the photo


class Renderer(nn.Module):
    """Coefficients and portraits, both with a batch, -> RGB uint8 [B, size, size, 3]."""

    def __init__(self, size: int = SIDE) -> None:
        super().__init__()
        self.size = size
        self.fields = Fields()

    def forward(self, coefficients: Tensor, *portrait: Tensor) -> Tensor:
        """`portrait`: `FieldInputs`, then `Pictures`."""
        count = len(FieldInputs._fields)
        maps = FieldInputs(*portrait[:count])
        fields = self.fields(coefficients, *maps)
        pictures = Pictures(*(_floats(p) for p in portrait[count:]))
        here = lattice(Window(self.size, self.size, SIDE / self.size), coefficients)
        whole = Window(SIDE, SIDE, 1)
        below = F.interpolate(pictures.background, size=(self.size, self.size), mode="area")
        offset = self._finer(fields.person)
        place = lattice(FRAME, coefficients) + fields.person - maps.mouth_at[:, :, None, None]
        hole = self._finer(sample(maps.mouth_hole[:, None], place, MOUTH, "zeros"))
        below = self._inside(below, here, fields.sprites, pictures, hole)
        person = sample(pictures.person, here + offset, whole)
        picture = over(below, _lit(person, here + offset, fields.shade), person[:, 3:])
        mouth = Patch(pictures.lower, fields.mouth, fields.mouth_to, maps.mouth_at)
        picture = self._patch(picture, here, mouth, MOUTH, fields.shade)
        picture = self._sprite(picture, here, pictures.mouth_pictures[:, 4], fields.sprites[:, -1])
        for i in (0, 1):
            colour = torch.lerp(pictures.lids[:, i, :3], pictures.shut[:, i], fields.shut[:, i, None, None, None])
            lid = torch.cat([colour, pictures.lids[:, i, 3:]], 1)
            for colours, field in ((lid, fields.eyes), (pictures.lashes[:, i], fields.lashes)):
                patch = Patch(colours, field[:, i], fields.eyes_to[:, i], maps.eye_at[:, i])
                picture = self._patch(picture, here, patch, EYE, fields.shade)
        return torch.round(picture.permute(0, 2, 3, 1).clamp(0, 255)).to(torch.uint8)

    def _finer(self, field: Tensor) -> Tensor:
        """A field over FRAME at the picture's pixels."""
        return F.interpolate(field, size=(self.size, self.size), mode="bilinear", align_corners=False)

    def _inside(self, below: Tensor, here: Tensor, places: Tensor, pictures: Pictures, hole: Tensor) -> Tensor:
        """The mouth's inside, where its `hole` [B, 1, size, size] may show it, and the eyeballs, over what is behind.

        The cavity goes on beyond its picture: nothing else may show through the mouth.
        """
        mouth = self._plate(here, pictures.mouth_pictures[:, 0], places[:, 0], "border")[:, :3]
        for i in range(1, 4):
            mouth = self._sprite(mouth, here, pictures.mouth_pictures[:, i], places[:, i])
        below = over(below, mouth, 255 * hole)
        order = [(pictures.whites, i, 4 + i) for i in (0, 1)] + [(pictures.irises, i, 6 + i) for i in range(4)]
        for stack, i, place in order:
            below = self._sprite(below, here, stack[:, i], places[:, place])
        return below

    def _sprite(self, below: Tensor, here: Tensor, sprite: Tensor, matrix: Tensor) -> Tensor:
        """A plate over the picture."""
        layer = self._plate(here, sprite, matrix)
        return over(below, layer[:, :3], layer[:, 3:])

    def _plate(self, here: Tensor, sprite: Tensor, matrix: Tensor, padding: str = "zeros") -> Tensor:
        """A plate where it lies in the picture; `matrix` [B, 2, 3] leads to -1..1 on it."""
        points = here.flatten(2).expand(matrix.shape[0], -1, -1)
        at = torch.matmul(matrix[:, :, :2], points) + matrix[:, :, 2:]
        grid = at.transpose(1, 2).unflatten(1, (self.size, self.size))
        return F.grid_sample(sprite, grid, padding_mode=padding, align_corners=False)

    def _patch(self, below: Tensor, here: Tensor, patch: Patch, window: Window, shade: Tensor) -> Tensor:
        """A patch over the picture, within its window only."""
        local = here - patch.to[:, :, None, None]
        inside = sample(patch.field, local, window)
        layer = sample(patch.colours, inside, window, "zeros")
        colours = _lit(layer, inside + patch.at[:, :, None, None], shade)
        size = torch.tensor([window.width, window.height], dtype=local.dtype, device=local.device)[:, None, None]
        mask = ((local > 0) & (local < size)).all(1, keepdim=True)
        return over(below, colours, layer[:, 3:] * mask)


def _lit(layer: Tensor, places: Tensor, shade: Tensor) -> Tensor:
    """The colours of RGBA in the light that `shade` tells of its `places` [B, 2, h, w] in the photo."""
    corner = torch.tensor(SHADE_ORIGIN, dtype=places.dtype, device=places.device)[:, None, None]
    gain = sample(shade, places - corner, SHADE)
    return (layer[:, :3] * gain).clamp(max=255)


def over(below: Tensor, colours: Tensor, alpha: Tensor) -> Tensor:
    """RGB [B, 3, h, w] with its alpha [B, 1, h, w] over RGB, all 0..255."""
    return below + (colours - below) * (alpha / 255)


def _floats(picture: Tensor) -> Tensor:
    """[..., rows, cols, C] bytes -> [..., C, rows, cols] floats. TensorRT takes bytes into a cast only."""
    last = picture.dim() - 1
    return picture.float().permute(*range(last - 2), last, last - 2, last - 1)
