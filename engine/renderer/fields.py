"""Coefficients and a portrait's maps -> where every point of the picture comes from.

Expression and pose are summed into one forward displacement, `x -> x + e + w (pose(x + e) - (x + e))`, and each set of
fields is inverted once, by Newton steps on its lattice. Everything is in units of the frame (512 a side).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.portrait.layers_layout import EYE, EYE_COLUMNS, FACE, FACE_ORIGIN, FRAME, MOUTH, SNAP, Window
from engine.renderer.constants import (
    BARE,
    BRIGHTEST,
    CLOSE,
    DEEPEST,
    EYE_RADIUS,
    FIRST_GLINT,
    FIRST_IRIS,
    JAW,
    LASH_LEAST,
    LASH_LENGTH,
    LASH_TURN,
    LEAST,
    NARROWEST,
    OUT,
    SAFE,
    SPREAD,
    STEEPEST,
    STEPS,
    STRIDE,
    TONGUE_OUT,
    TURNS,
    UNFOLD,
    UNFOLD_ABOUT,
    UNFOLD_MEAN,
    squared,
)


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
    lash_turn: Tensor  # [2, 2, *EYE]: from the lid's edge to each cell, across the slit
    frame_pose: Tensor  # [2, *FRAME]: depth, and the weight of the pose
    mouth_pose: Tensor  # [2, *MOUTH]
    eye_pose: Tensor  # [2, 2, *EYE]
    mouth_at: Tensor  # [2]: the window's corner
    eye_at: Tensor  # [2, 2]
    mouth_hole: Tensor  # [*MOUTH]: where in the photo, 0..1, what lies in the mouth may be seen
    sprite_box: Tensor  # [SPRITES, 4]: middle and size
    sprite_depth: Tensor  # [SPRITES]
    sprite_moves: Tensor  # [SPRITES, 63, 3]
    shade_mix: (
        Tensor  # [63 + 3, SHADE_RANK]: shares of the maps by coefficient, and by a degree of each of the head's turns
    )
    shade_maps: Tensor  # [SHADE_RANK, *SHADE]: of the log of the light on the photo's skin
    shade_tint: Tensor  # [3]: what of it red, green and blue take


class FieldOutputs(NamedTuple):
    person: Tensor  # [B, 2, *FRAME]: from a point of the picture to its place in the photo, a difference
    mouth: Tensor  # [B, 2, *MOUTH]: the place in the mouth's window
    mouth_to: Tensor  # [B, 2]: where the window lies in the picture
    eyes: Tensor  # [B, 2, 2, *EYE]
    eyes_to: Tensor  # [B, 2, 2]
    lashes: Tensor  # [B, 2, 2, *EYE]: the place of the lids' lashes in the eyes' windows
    sprites: Tensor  # [B, SPRITES, 2, 3]: from a point of the picture to -1..1 over the sprite
    shut: Tensor  # [B, 2]: how much of the lids' other picture shows
    shade: Tensor  # [B, 3, *SHADE]: the factors by which the photo's skin is brighter, in red, green and blue


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
    fields = torch.cat([forward, torch.stack(_jacobian(forward, window), 1)], 1)
    at = start
    for i in range(STEPS):
        far = STRIDE / 2 if i else STRIDE
        value = sample(fields, at, window)
        rest = at + value[:, :2] - target
        a, c, b, d = value[:, 2], value[:, 3], value[:, 4], value[:, 5]
        steep = (a * d - b * c).clamp(min=STEEPEST)
        step = torch.stack([(d * rest[:, 0] - b * rest[:, 1]) / steep, (a * rest[:, 1] - c * rest[:, 0]) / steep], 1)
        at = at - step.clamp(-far, far)
    return at


def unfold(forward: Tensor, window: Window) -> Tensor:
    """The field blurred where it folds or is about to, as mixtures of strong coefficients may."""
    about, mean = squared(UNFOLD_ABOUT, window.cell), squared(UNFOLD_MEAN, window.cell)
    for _ in range(UNFOLD):
        a, c, b, d = _jacobian(forward, window)
        need = ((SAFE - (a * d - b * c)) / SAFE).clamp(0, 1)[:, None]
        need = (SPREAD * _mean(need, about, about // 2)).clamp(max=1)
        smooth = _mean(F.pad(forward, 4 * [mean // 2], mode="replicate"), mean)
        forward = forward + need * (smooth - forward)
    return forward


def _mean(field: Tensor, side: int, margin: int = 0) -> Tensor:
    """Over squares, by columns and then by rows, with zeros in the margin: one pool over both takes longer."""
    return F.avg_pool2d(F.avg_pool2d(field, (side, 1), 1, (margin, 0)), (1, side), 1, (0, margin))


def _jacobian(forward: Tensor, window: Window) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of x + forward(x): dx/dx, dy/dx, dx/dy, dy/dy, each [B, h, w]."""
    across = F.pad(forward, (1, 1, 0, 0), mode="replicate")
    along = F.pad(forward, (0, 0, 1, 1), mode="replicate")
    dx = (across[..., 2:] - across[..., :-2]) / (2 * window.cell)
    dy = (along[..., 2:, :] - along[..., :-2, :]) / (2 * window.cell)
    return 1 + dx[:, 0], dx[:, 1], dy[:, 0], 1 + dy[:, 1]


class Fields(nn.Module):
    """The part of the renderer that works on lattices; small enough for any CPU."""

    def forward(self, coefficients: Tensor, *maps: Tensor) -> FieldOutputs:
        """`coefficients` [B, 69] as `engine.face.coefficients.NAMES`; `maps` as `FieldInputs`."""
        p = FieldInputs(*maps)
        delta = _sensible(coefficients[:, : p.source.shape[1]]) - p.source
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
        sprites, closed = self._sprites(delta, head, p), self._closed(delta, p.eye_gap)
        lashes = self._lashes(closed, places, p.lash_turn)
        shade = self._shade(torch.cat([delta, coefficients[:, p.source.shape[1] :][:, :TURNS]], 1), p)
        t = ((closed - BARE[0]) / (BARE[1] - BARE[0])).clamp(0, 1)
        return FieldOutputs(person, mouth, mouth_to, places, corners, lashes, sprites, t * t * (3 - 2 * t), shade)

    def _shade(self, change: Tensor, p: FieldInputs) -> Tensor:
        """[B, 3, rows, cols]: within DEEPEST of what it was, however many folds meet."""
        log = _mix(torch.matmul(change[:, None], p.shade_mix)[:, 0], p.shade_maps[:, :, None])
        bounded = DEEPEST * torch.tanh(log / DEEPEST)
        return torch.exp(p.shade_tint[:, :, None, None] * bounded).clamp(max=BRIGHTEST)

    def _closed(self, delta: Tensor, gap: Tensor) -> Tensor:
        """[B, 2]: 0 for eyes as in the photo, 1 where the lids meet, negative where they are wider."""
        middle = gap[..., EYE_COLUMNS // 2]
        nearer: Tensor = -torch.matmul(middle[..., 1:], delta[..., None])[..., 0]
        return nearer / (middle[..., 0] + 1e-3)

    def _lashes(self, closed: Tensor, places: Tensor, turn: Tensor) -> Tensor:
        """The lids' places, drawn out from the lid's edge as its lashes shrink, and turned over as they point down."""
        length = (1 - LASH_TURN * closed).clamp(*LASH_LENGTH)
        up = (length > 0).to(length.dtype) * 2 - 1
        length = up * length.abs().clamp(min=LASH_LEAST)
        here = places.flatten(0, 1)
        away = sample(turn.flatten(0, 1), here, EYE).unflatten(0, (-1, 2))
        lashes: Tensor = places + (1 / length - 1)[..., None, None, None] * away
        return lashes

    def _touch(self, delta: Tensor, gap: Tensor) -> Tensor:
        """The coefficients, and after them how far the slit's edges would pass through each other."""
        apart = gap[:, 0] + torch.matmul(delta[:, None], gap[:, 1:])[:, 0]
        return torch.cat([delta, F.relu(-apart)], 1)

    def _forward(self, expression: Tensor, head: Pose, maps: Tensor, at: Tensor) -> Tensor:
        """Displacement [B, 2, h, w] of points `at` by expression [B, 3, h, w] and pose."""
        depth, weight = maps[:, :1], maps[:, 1:]
        moved = torch.cat([at.expand(maps.shape[0], -1, -1, -1), depth], 1) + expression
        turned = head.move(moved.flatten(2)).reshape(-1, 2, *moved.shape[2:])
        forward: Tensor = expression[:, :2] + weight * (turned - moved[:, :2])
        return forward

    def _person(self, delta: Tensor, head: Pose, p: FieldInputs) -> Tensor:
        left, top = (int(o / FACE.cell) for o in FACE_ORIGIN)
        sides = (left, FRAME.cols - FACE.cols - left, top, FRAME.rows - FACE.rows - top)
        expression = F.pad(_mix(delta, p.face_maps), sides)
        here = lattice(FRAME, delta)
        forward = self._forward(expression, head, p.frame_pose, here)
        forward = unfold(forward, FRAME)
        return invert(forward, here, here - forward, FRAME) - here

    def _window(
        self, delta: Tensor, head: Pose, maps: Tensor, posed: Tensor, corner: Tensor, window: Window
    ) -> tuple[Tensor, Tensor]:
        here = lattice(window, delta)
        at = corner[:, :, None, None]
        forward = self._forward(_mix(delta, maps), head, posed, here + at)
        forward = unfold(forward, window)
        middle = corner + torch.tensor([window.width / 2, window.height / 2], dtype=corner.dtype, device=corner.device)
        depth = posed[:, :1, window.rows // 2, window.cols // 2]
        shift = head.move(torch.cat([middle, depth], 1)[:, :, None])[:, :, 0] - middle
        to = torch.round((corner + shift) / SNAP) * SNAP
        target = here + (to - corner)[:, :, None, None]
        return invert(forward, target, here.expand_as(target), window), to

    def _sprites(self, delta: Tensor, head: Pose, p: FieldInputs) -> Tensor:
        moved = torch.matmul(delta[:, None, None], p.sprite_moves)[:, :, 0]
        driven = delta + p.source
        lip = torch.matmul(driven[:, None], p.sprite_moves[:, OUT])[:, 0]
        tongue, length = self._tongue(lip, driven[:, TONGUE_OUT : TONGUE_OUT + 1], p.sprite_box[:, OUT, 3:])
        moved = torch.cat([moved[:, :OUT], tongue[:, None]], 1)
        anchor = torch.cat([p.sprite_box[..., :2], p.sprite_depth[..., None]], 2) + moved
        to = head.move(anchor.transpose(1, 2)).transpose(1, 2)
        plane = torch.matmul(head.turn[:, None, :2, :2], self._foreshortening(moved, p.iod))
        a, b, c, d = plane[..., 0, 0], plane[..., 0, 1], plane[..., 1, 0], plane[..., 1, 1]
        rows = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], -2)
        tall = torch.cat([p.sprite_box[:, :OUT, 3], length], 1)
        size = torch.stack([p.sprite_box[..., 2], tall], -1)
        inverse = rows / (a * d - b * c)[..., None, None] * (2 / size[..., None])
        return torch.cat([inverse, -torch.matmul(inverse, to[..., None])], -1)

    def _tongue(self, lip: Tensor, out: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """How far the middle of the tongue that is put out has moved [B, 3], and how long it is [B, 1].

        It hangs from the slit over the lower lip; one that is hardly put out is put aside.
        """
        shown = lip[:, 1:2].clamp(min=0) + length * out.clamp(min=LEAST)
        aside = (out < LEAST).to(out.dtype) * 1e4
        return torch.cat([lip[:, :1] + aside, (shown - length) / 2, lip[:, 2:]], 1), shown

    def _foreshortening(self, moved: Tensor, iod: Tensor) -> Tensor:
        """[B, SPRITES, 2, 2]: an iris that turns away grows narrow; nothing else does."""
        way = moved[:, FIRST_IRIS:FIRST_GLINT, :2]
        far = (way * way).sum(-1, keepdim=True)
        cosine = torch.sqrt(1 - (far / (EYE_RADIUS * iod[:, None]) ** 2).clamp(max=NARROWEST))
        direction = way / torch.sqrt(far + 1e-6)
        squeeze = ((1 - cosine) * direction)[..., None] * direction[..., None, :]
        none = (0, 0, 0, 0, FIRST_IRIS, moved.shape[1] - FIRST_GLINT)
        return torch.eye(2, dtype=moved.dtype, device=moved.device) - F.pad(squeeze, none)


def _sensible(face: Tensor) -> Tensor:
    """Lips close only what the jaw has opened."""
    close = torch.minimum(face[:, CLOSE : CLOSE + 1], face[:, JAW : JAW + 1])
    return torch.cat([face[:, :CLOSE], close, face[:, CLOSE + 1 :]], 1)


def _mix(weights: Tensor, maps: Tensor) -> Tensor:
    """[B, K] x [B, K, C, h, w] -> [B, C, h, w]."""
    mixed: Tensor = torch.matmul(weights[:, None], maps.flatten(2))[:, 0].reshape(-1, *maps.shape[2:])
    return mixed
