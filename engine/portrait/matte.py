"""Cuts the person out: a soft matte, the background completed behind it, and the person's colours without its glow.

A segmentation network says where the person is, GrabCut (Rother, Kolmogorov & Blake 2004) decides by colour what it
doubts, and a guided filter (He, Sun & Tang 2010) brings the hair's edge back. What the network takes for no person, a
few lines for instance, GrabCut cuts out alone, from where the fitted head lies.
A cut that can't be trusted is not made: the background then stays attached, and moves with the head.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head
from engine.portrait.behind import behind
from engine.portrait.fit import Geometry
from engine.portrait.frame import Frame
from engine.portrait.guided import guided
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE
from engine.portrait.layers_mesh import extend
from engine.portrait.segment import people
from engine.portrait.surround import face_width, outline, paint

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

_COARSE = 256  # texels: GrabCut's picture
_ROUNDS = 4
_CHIN = 152  # landmark
_ABOVE, _BESIDE = 0.28, 1.1  # face widths that hair may reach: above its likely outline, from the face's middle
_EDGE, _SMOOTH = 7, 2e-4  # the guided filter's radius at half size, and the variance that it takes for flat
_KNOWN, _LEAST, _DOUBT = 0.8, 0.05, 0.1  # of the face; of the frame, for either side; likelihood that is no certainty
_TORN = 0.1  # of the frame in doubt: of photos it is 0.01 to 0.03, of drawings up to 0.3
_SQUINT = 10  # texels: the blur through which drawings are looked at
_BAND, _MARGIN = 2, 5  # coarse texels on both sides of its edge in which colour decides; by which landmarks may err
_CREVICE = 15  # coarse texels: background narrower than this may be hair in the shadow above a shoulder
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
    rough = _seen(frame, geometry)
    if rough is None:
        rough = _guessed(frame, geometry, head)
    if rough is None:
        full = np.full(frame.picture.shape[:2], 255, np.uint8)
        return Separated(frame.picture, full, frame.picture, False)
    alpha = _refined(frame.picture, rough)
    background = behind(frame.picture, alpha)
    return Separated(
        _own_colours(frame.picture, alpha, background), np.round(alpha * 255).astype(np.uint8), background, True
    )


def _seen(frame: Frame, geometry: Geometry) -> Floats | None:
    """[256, 256] the person as the segmenter sees them; None where it does not know the face for one, or no edge.

    What it doubts goes by colour, and so does what it takes for background in a crevice.
    """
    face = np.zeros((_COARSE, _COARSE), np.uint8)
    paint(face, geometry.landmarks[:468, :2], 1)
    face = _shrunk(face, _MARGIN)
    likely = people(frame.picture)
    doubted = ((likely > _DOUBT) & (likely < 1 - _DOUBT)).mean()
    if likely[face > 0].mean() < _KNOWN or doubted > _TORN:
        # of drawings it sees lines and flat paint; out of focus they are people
        likely = people(np.asarray(cv2.GaussianBlur(frame.picture, (0, 0), _SQUINT), np.uint8))
    if likely[face > 0].mean() < _KNOWN or not _LEAST < (likely > 0.5).mean() < 1 - _LEAST:
        return None
    inside, outside = (_shrunk(side, _BAND) for side in (likely > 1 - _DOUBT, _without_crevices(likely < _DOUBT)))
    labels = np.select(
        [(inside | face) > 0, outside > 0, likely > 0.5], [cv2.GC_FGD, cv2.GC_BGD, cv2.GC_PR_FGD], cv2.GC_PR_BGD
    ).astype(np.uint8)
    return _in_one_piece(_by_colour(_small(frame), labels, 2), face).astype(np.float32)


def _guessed(frame: Frame, geometry: Geometry, head: Head) -> Floats | None:
    """[256, 256] the person as the fitted head suggests and the colours allow: for drawings, say; None if unclear."""
    seeds, small = _seeds(geometry, head), _small(frame)
    mask = _in_one_piece(_by_colour(small, seeds, _ROUNDS), (seeds == cv2.GC_FGD).astype(np.uint8))
    if not (_has_room(frame, seeds) and _is_clear(small, mask, geometry)):
        return None
    return mask.astype(np.float32)


def _shrunk(mask: npt.NDArray[np.generic], by: int) -> Mask:
    """By so many texels on every side."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1), np.uint8)), np.uint8)


def _without_crevices(mask: npt.NDArray[np.bool_]) -> Mask:
    """Where a disk as wide as a crevice fits."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_CREVICE, _CREVICE))
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disk), np.uint8)


def _small(frame: Frame) -> Rgb:
    return np.asarray(cv2.resize(frame.picture, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA), np.uint8)


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


def _by_colour(small: Rgb, labels: Mask, rounds: int) -> Mask:
    """[256, 256] 1 on the person, by GrabCut from the labels of what is sure and what is likely."""
    labels, models = labels.copy(), (np.zeros((1, 65)), np.zeros((1, 65)))
    if not np.isin(labels, (cv2.GC_PR_FGD, cv2.GC_PR_BGD)).any():
        return np.asarray(labels == cv2.GC_FGD, np.uint8)
    cv2.setRNGSeed(0)  # the same photo gives the same cut
    cv2.grabCut(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return np.asarray(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)), np.uint8)


def _in_one_piece(mask: Mask, face: Mask) -> Mask:
    """What hangs together with the face, without pinholes."""
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) | face, np.uint8)
    _, pieces = cv2.connectedComponents(mask)
    mask = (pieces == pieces[face > 0][0]).astype(np.uint8)
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


def _refined(picture: Rgb, rough: Floats) -> Floats:
    """[1024, 1024] the matte at full resolution: it follows the picture's own edges, in all three colours."""
    size = (rough.shape[1] * 2, rough.shape[0] * 2)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    soft = cv2.GaussianBlur(cv2.resize(rough, size, interpolation=cv2.INTER_LINEAR), (0, 0), 1)
    slope, base = guided(small, np.asarray(soft, np.float32), _EDGE, _SMOOTH)
    full = picture.shape[1::-1]
    slope, base = (cv2.resize(a, full, interpolation=cv2.INTER_LINEAR) for a in (slope, base))
    alpha = np.einsum("hwc,hwc->hw", slope, picture.astype(np.float32) / 255) + base
    return np.asarray(np.clip((alpha - 0.05) / 0.9, 0, 1), np.float32)


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
