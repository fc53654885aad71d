"""Coefficients and a portrait's maps -> where every point of the picture comes from.

Expression and pose are summed into one forward displacement, `x -> x + e + w (pose(x + e) - (x + e))`, and each set of
fields is inverted once, by Newton steps on its lattice. Everything is in units of the frame (512 a side).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.portrait.layers_layout import EYE, FACE, FACE_ORIGIN, FRAME, MOUTH, SNAP, Window

_STEPS = 5  # Newton's, for each set of fields
_STRIDE = 16.0  # units a step may go at most
_STEEPEST = 0.15  # determinants are kept above: where a field is about to fold, it is squeezed instead
_EYE_RADIUS = 0.195  # inter-ocular distances
_FIRST_IRIS = 6  # of the 8 sprites


class FieldInputs(NamedTuple):
    """A portrait's maps, in the order of the graph's inputs; [batch, ...] each."""

    source: Tensor  # [63]: the photo's own expression
    iod: Tensor  # [1]: inter-ocular distance
    pivot: Tensor  # [3]: the base of the skull
    face_maps: Tensor  # [63, 3, *FACE]
    mouth_maps: Tensor  # [63 + MOUTH_COLUMNS, 3, *MOUTH]
    eye_maps: Tensor  # [2, 63 + EYE_COLUMNS, 3, *EYE]
    mouth_gap: Tensor  # [1 + 63, MOUTH_COLUMNS]
    eye_gap: Tensor  # [2, 1 + 63, EYE_COLUMNS]
    frame_pose: Tensor  # [2, *FRAME]: depth, and the weight of the pose
    mouth_pose: Tensor  # [2, *MOUTH]
    eye_pose: Tensor  # [2, 2, *EYE]
    mouth_at: Tensor  # [2]: the window's corner
    eye_at: Tensor  # [2, 2]
    sprite_box: Tensor  # [8, 4]: middle and size
    sprite_depth: Tensor  # [8]
    sprite_moves: Tensor  # [8, 63, 3]


class FieldOutputs(NamedTuple):
    person: Tensor  # [B, 2, *FRAME]: from a point of the picture to its place in the photo, a difference
    mouth: Tensor  # [B, 2, *MOUTH]: the place in the mouth's window
    mouth_to: Tensor  # [B, 2]: where the window lies in the picture
    eyes: Tensor  # [B, 2, 2, *EYE]
    eyes_to: Tensor  # [B, 2, 2]
    sprites: Tensor  # [B, 8, 2, 3]: from a point of the picture to -1..1 over the sprite


class Pose(NamedTuple):
    """A similarity about `pivot`: turn [B, 3, 3] includes the scale; shift [B, 2] in units."""

    turn: Tensor
    shift: Tensor
    pivot: Tensor

    def move(self, points: Tensor) -> Tensor:
        """[B, 3, N] -> [B, 2, N]."""
        away = points - self.pivot[:, :, None]
        return torch.matmul(self.turn[:, :2], away) + self.pivot[:, :2, None] + self.shift[:, :, None]


def pose(head: Tensor, pivot: Tensor, iod: Tensor) -> Pose:
    """Yaw, pitch, roll (degrees), x, y (inter-ocular distances) and scale, [B, 6], as a similarity."""
    angle = head[:, :3] * (torch.pi / 180)
    (ca, cb, cc), (sa, sb, sc) = torch.cos(angle).unbind(1), torch.sin(angle).unbind(1)
    # x right, y down, z to the viewer: yaw brings the nose right, pitch up, roll the crown right.
    rows = [
        [cc * ca - sc * sb * sa, -sc * cb, cc * sa + sc * sb * ca],
        [sc * ca + cc * sb * sa, cc * cb, sc * sa - cc * sb * ca],
        [-cb * sa, sb, cb * ca],
    ]
    turn = torch.stack([torch.stack(row, 1) for row in rows], 1) * head[:, 5, None, None]
    return Pose(turn, head[:, 3:5] * iod, pivot)


def lattice(window: Window, like: Tensor) -> Tensor:
    """[1, 2, rows, cols]: the cells' centres from the window's corner."""
    zero = like.flatten()[:1] * 0  # ties the lattice to an input, or the exporter would write all of it into the file
    x = (torch.arange(window.cols, dtype=like.dtype, device=like.device) + 0.5) * window.cell + zero
    y = (torch.arange(window.rows, dtype=like.dtype, device=like.device) + 0.5) * window.cell + zero
    return torch.stack([x.expand(window.rows, -1), y[:, None].expand(-1, window.cols)])[None]


def sample(field: Tensor, at: Tensor, window: Window, padding: str = "border") -> Tensor:
    """Bilinear values [B, C, ...] at points [B, 2, h, w] from the window's corner."""
    size = torch.tensor([window.width, window.height], dtype=at.dtype, device=at.device)
    grid = at.permute(0, 2, 3, 1) * (2 / size) - 1
    return F.grid_sample(field, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def invert(forward: Tensor, target: Tensor, start: Tensor, window: Window) -> Tensor:
    """The points x [B, 2, h, w] with x + forward(x) = target, by Newton's steps from `start`."""
    across = F.pad(forward, (1, 1, 0, 0), mode="replicate")
    along = F.pad(forward, (0, 0, 1, 1), mode="replicate")
    dx = (across[..., 2:] - across[..., :-2]) / (2 * window.cell)
    dy = (along[..., 2:, :] - along[..., :-2, :]) / (2 * window.cell)
    fields = torch.cat([forward, dx, dy], 1)
    at = start
    for _ in range(_STEPS):
        value = sample(fields, at, window)
        rest = at + value[:, :2] - target
        a, c, b, d = 1 + value[:, 2], value[:, 3], value[:, 4], 1 + value[:, 5]
        steep = (a * d - b * c).clamp(min=_STEEPEST)
        step = torch.stack([(d * rest[:, 0] - b * rest[:, 1]) / steep, (a * rest[:, 1] - c * rest[:, 0]) / steep], 1)
        at = at - step.clamp(-_STRIDE, _STRIDE)
    return at


class Fields(nn.Module):
    """The part of the renderer that works on lattices; small enough for any CPU."""

    def forward(self, coefficients: Tensor, *maps: Tensor) -> FieldOutputs:
        """`coefficients` [B, 69] as `engine.face.coefficients.NAMES`; `maps` as `FieldInputs`."""
        p = FieldInputs(*maps)
        delta = coefficients[:, : p.source.shape[1]] - p.source
        head = pose(coefficients[:, p.source.shape[1] :], p.pivot, p.iod)
        person = self._person(delta, head, p)
        mouth, mouth_to = self._window(
            self._touch(delta, p.mouth_gap), head, p.mouth_maps, p.mouth_pose, p.mouth_at, MOUTH
        )
        eyes = [
            self._window(
                self._touch(delta, p.eye_gap[:, i]), head, p.eye_maps[:, i], p.eye_pose[:, i], p.eye_at[:, i], EYE
            )
            for i in (0, 1)
        ]
        places, corners = (torch.stack(pair, 1) for pair in zip(*eyes, strict=True))
        return FieldOutputs(person, mouth, mouth_to, places, corners, self._sprites(delta, head, p))

    def _touch(self, delta: Tensor, gap: Tensor) -> Tensor:
        """The coefficients, and after them how far the slit's edges would pass through each other."""
        apart = gap[:, 0] + torch.matmul(delta[:, None], gap[:, 1:])[:, 0]
        return torch.cat([delta, F.relu(-apart)], 1)

    def _forward(self, expression: Tensor, head: Pose, maps: Tensor, at: Tensor) -> Tensor:
        """Displacement [B, 2, h, w] of points `at` by expression [B, 3, h, w] and pose."""
        depth, weight = maps[:, :1], maps[:, 1:]
        moved = torch.cat([at.expand(maps.shape[0], -1, -1, -1), depth], 1) + expression
        turned = head.move(moved.flatten(2)).unflatten(2, moved.shape[2:])
        return expression[:, :2] + weight * (turned - moved[:, :2])

    def _person(self, delta: Tensor, head: Pose, p: FieldInputs) -> Tensor:
        left, top = (int(o / FACE.cell) for o in FACE_ORIGIN)
        sides = (left, FRAME.cols - FACE.cols - left, top, FRAME.rows - FACE.rows - top)
        expression = F.pad(_mix(delta, p.face_maps), sides)
        here = lattice(FRAME, delta)
        forward = self._forward(expression, head, p.frame_pose, here)
        return invert(forward, here, here - forward, FRAME) - here

    def _window(
        self, delta: Tensor, head: Pose, maps: Tensor, posed: Tensor, corner: Tensor, window: Window
    ) -> tuple[Tensor, Tensor]:
        here = lattice(window, delta)
        at = corner[:, :, None, None]
        forward = self._forward(_mix(delta, maps), head, posed, here + at)
        middle = forward[:, :, window.rows // 2, window.cols // 2]
        shift = torch.round(middle / SNAP) * SNAP
        to = torch.round(corner / SNAP) * SNAP + shift
        target = here + (to - corner)[:, :, None, None]
        return invert(forward, target, here.expand_as(target), window), to

    def _sprites(self, delta: Tensor, head: Pose, p: FieldInputs) -> Tensor:
        moved = torch.matmul(delta[:, None, None], p.sprite_moves)[:, :, 0]
        anchor = torch.cat([p.sprite_box[..., :2], p.sprite_depth[..., None]], 2) + moved
        to = head.move(anchor.transpose(1, 2)).transpose(1, 2)
        plane = head.turn[:, None, :2, :2] * self._foreshortening(moved, p.iod)
        a, b, c, d = plane[..., 0, 0], plane[..., 0, 1], plane[..., 1, 0], plane[..., 1, 1]
        rows = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
        inverse = rows / (a * d - b * c)[..., None, None] * (2 / p.sprite_box[..., 2:, None])
        return torch.cat([inverse, -torch.matmul(inverse, to[..., None])], -1)

    def _foreshortening(self, moved: Tensor, iod: Tensor) -> Tensor:
        """[B, 8, 2, 2]: an iris that turns away grows narrow; nothing else does."""
        way = moved[:, _FIRST_IRIS:, :2]
        far = (way * way).sum(-1, keepdim=True)
        cosine = torch.sqrt(1 - (far / (_EYE_RADIUS * iod[:, None]) ** 2).clamp(max=0.6))
        direction = way / torch.sqrt(far + 1e-6)
        squeeze = ((1 - cosine) * direction)[..., None] * direction[..., None, :]
        return torch.eye(2, dtype=moved.dtype, device=moved.device) - F.pad(squeeze, (0, 0, 0, 0, _FIRST_IRIS, 0))


def _mix(weights: Tensor, maps: Tensor) -> Tensor:
    """[B, K] x [B, K, C, h, w] -> [B, C, h, w]."""
    return torch.matmul(weights[:, None], maps.flatten(2))[:, 0].unflatten(1, maps.shape[2:])
