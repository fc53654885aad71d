"""Cuts the person out: a soft matte, the background completed behind it, and the person's colours without its glow.

GrabCut (Rother, Kolmogorov & Blake 2004) at low resolution starts from where the fitted head lies; a guided filter (He,
Sun & Tang 2010) brings the hair's edge back.
A cut that can't be trusted is not made: the background then stays attached, and moves with the head.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head
from engine.portrait.fit import Geometry
from engine.portrait.frame import Frame, fill
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE
from engine.portrait.layers_mesh import extend
from engine.portrait.surround import face_width, outline, paint

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

_COARSE = 256  # texels: GrabCut's picture
_ROUNDS = 4
_CHIN = 152  # landmark
_ABOVE, _BESIDE = 0.28, 1.1  # face widths that hair may reach: above its likely outline, from the face's middle
_EDGE, _SMOOTH = 10, 3e-4  # the guided filter's radius in texels, and the variance that it takes for flat
_GLOW = 5  # texels about the matte's edge that the background may not be taken from
_LEAST_SHOWN = 0.8  # of the head and the hair above it, that the photo must hold
_LEAST_CONTRAST = 10.0  # levels between the two sides of the cut, below which it is a guess


@dataclass(frozen=True)
class Separated:
    """The person and the background of a frame, apart."""

    picture: Rgb
    """[1024, 1024, 3] the person's own colours, extended beyond the edge."""
    matte: Mask
    """[1024, 1024]"""
    background: Rgb
    """[1024, 1024, 3] completed."""
    sure: bool
    """Whether there was a clear edge; else the matte is 255 everywhere."""


def separate(frame: Frame, geometry: Geometry, head: Head) -> Separated:
    """The person of a frame, by the head fitted to it."""
    size = (_COARSE, _COARSE)
    small = np.asarray(cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    seeds = _seeds(geometry, head)
    rough = _person(small, seeds)
    if not (_has_room(frame, seeds) and _is_clear(small, rough, geometry)):
        full = np.full(frame.picture.shape[:2], 255, np.uint8)
        return Separated(frame.picture, full, frame.picture, False)
    alpha = _refined(frame.picture, rough)
    background = _behind(frame.picture, alpha)
    return Separated(
        _own_colours(frame.picture, alpha, background), np.round(alpha * 255).astype(np.uint8), background, True
    )


def _seeds(geometry: Geometry, head: Head) -> Mask:
    """[256, 256] GrabCut's labels: the face is sure, skull, hair and body are likely, what lies far off is not."""
    lines, width = outline(geometry, head), face_width(geometry)
    chin, middle = float(lines.face[:, 1].max()), float(lines.face[:, 0].mean())
    x, y = np.meshgrid(*[(np.arange(_COARSE) + 0.5) * SIDE / _COARSE] * 2)
    beside = (np.abs(x - middle) > _BESIDE * width) & (y < chin)
    above = y < lines.hair[:, 1].min() - _ABOVE * width
    labels = np.where(beside | above, cv2.GC_BGD, cv2.GC_PR_BGD).astype(np.uint8)
    paint(labels, lines.hair, cv2.GC_PR_FGD)
    paint(labels, lines.trunk, cv2.GC_PR_FGD)
    paint(labels, lines.face, cv2.GC_FGD)
    return labels


def _person(small: Rgb, seeds: Mask) -> Mask:
    """[256, 256] 1 on the person: all in one piece with the face, without pinholes."""
    labels = seeds.copy()
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # the same photo gives the same cut
    cv2.grabCut(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    mask = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) | (seeds == cv2.GC_FGD)
    _, pieces = cv2.connectedComponents(mask.astype(np.uint8))
    mask = (pieces == pieces[seeds == cv2.GC_FGD][0]).astype(np.uint8)
    _, holes, stats, _ = cv2.connectedComponentsWithStats(1 - mask)
    small_holes = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < 30)
    return np.asarray(mask | np.isin(holes, small_holes), np.uint8)


def _has_room(frame: Frame, seeds: Mask) -> bool:
    """Whether the photo shows what surrounds the head, so that there is a background to tell it from."""
    head = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))[: int(_COARSE * frame.landmarks[_CHIN, 1] / SIDE)]
    inside = cv2.resize(frame.inside.astype(np.uint8), seeds.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return bool(inside[: len(head)][head].mean() > _LEAST_SHOWN)


def _is_clear(small: Rgb, mask: Mask, geometry: Geometry) -> bool:
    """Whether the two sides of the head's edge differ, and the person fills a likely share of the frame."""
    shrunk, grown = (change(mask, np.ones((7, 7), np.uint8)) for change in (cv2.erode, cv2.dilate))
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    contrast = np.linalg.norm(_local_mean(lab, mask - shrunk) - _local_mean(lab, grown - mask), axis=2)
    chin = int(geometry.landmarks[_CHIN, 1] * _COARSE / SIDE)
    edge = contrast[:chin][(grown - shrunk)[:chin] > 0]
    return bool(edge.size and 0.1 < mask.mean() < 0.9 and np.percentile(edge, 25) > _LEAST_CONTRAST)


def _local_mean(picture: Floats, where: Mask) -> Floats:
    """[h, w, 3] of the pixels nearby that lie in `where`."""
    share = where.astype(np.float32)[..., None]
    total, count = cv2.blur(picture * share, (9, 9)), cv2.blur(share, (9, 9))
    return np.asarray(total / np.maximum(count, 1e-3)[..., None], np.float32)


def _refined(picture: Rgb, mask: Mask) -> Floats:
    """[1024, 1024] the matte at full resolution: the mask follows the picture's own edges."""
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    large = cv2.resize(mask.astype(np.float32), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    soft = np.asarray(cv2.GaussianBlur(large, (0, 0), 1.5), np.float32)
    guide_mean, soft_mean = _mean(guide), _mean(soft)
    slope = (_mean(guide * soft) - guide_mean * soft_mean) / (_mean(guide * guide) - guide_mean**2 + _SMOOTH)
    alpha = _mean(slope) * guide + _mean(soft_mean - slope * guide_mean)
    return np.asarray(np.clip((alpha - 0.05) / 0.9, 0, 1), np.float32)


def _mean(a: Floats) -> Floats:
    side = 2 * _EDGE + 1
    return np.asarray(cv2.blur(a, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)


def _behind(picture: Rgb, alpha: Floats) -> Rgb:
    """The background with the person filled in from around."""
    person = cv2.dilate((alpha > 0.02).astype(np.uint8), np.ones((2 * _GLOW + 1, 2 * _GLOW + 1), np.uint8))
    filled = fill(picture, person == 0)
    share = cv2.GaussianBlur(person.astype(np.float32), (0, 0), _GLOW / 2)[..., None]
    share = np.clip(2 * share, 0, 1)  # all of it where the person was
    mixed: Rgb = np.round(filled * share + picture * (1 - share)).clip(0, 255).astype(np.uint8)
    return mixed


def _own_colours(picture: Rgb, alpha: Floats, background: Rgb) -> Rgb:
    """The person's colours: the background taken out where the matte is half clear, extended where it is clear."""
    a = alpha[..., None]
    alone = (picture - (1 - a) * background) / np.maximum(a, 0.2)
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
    solid = cv2.resize(alpha, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) > 0.95
    beyond = cv2.resize(extend(half, solid, 4), picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    sure = np.clip((a - 0.2) / 0.5, 0, 1)
    mixed: Rgb = np.round(np.clip(alone, 0, 255) * sure + beyond * (1 - sure)).astype(np.uint8)
    return mixed
