"""Person and background apart: a soft matte, an edge without the old background, and the background completed.

GrabCut (Rother, Kolmogorov and Blake 2004), told by the landmarks where head, hair and shoulders may be, decides at low
resolution; a guided filter (He, Sun and Tang 2010) draws the edge along the picture's own at full resolution.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.units import FRAME_SIZE

Rgb = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

CUT = 256  # pixels square where the cut is found
ROUNDS = 5
EDGE = 7  # radius of the guided filter, texels
SMOOTH = 2e-4  # its regulariser, of colours in 0..1
SHIFT = 24  # texels that the background is completed beyond the matte's edge: blurred strands end there
FOREHEAD, CHIN, TEMPLES = 10, 152, (234, 454)


@dataclass(frozen=True)
class Separated:
    """A portrait in two."""

    picture: Rgb
    """[S, S, 3] with the person's own colours where the matte is soft."""
    matte: Grey
    """[S, S] 255 where the person is."""
    background: Rgb
    """[S, S, 3] completed behind the person."""
    sure: bool
    """False where the cut failed: then the matte is 255 everywhere and the background moves with the person."""


def separate(picture: Rgb, landmarks: Floats) -> Separated:
    """`picture` [S, S, 3], `landmarks` [478, 2 or 3] in frame units."""
    side = len(picture)
    small = cv2.resize(picture, (CUT, CUT), interpolation=cv2.INTER_AREA)
    points = landmarks[:468, :2] * (CUT / FRAME_SIZE)
    person = _cut(small, points)
    if not _plausible(person, points):
        return Separated(picture, np.full((side, side), 255, np.uint8), _blurred(picture), False)
    alpha = _soft(picture, person)
    background = _completed(picture, alpha)
    clean = _decontaminated(picture, alpha, background)
    return Separated(clean, np.round(alpha * 255).astype(np.uint8), background, True)


def _cut(small: Rgb, points: Floats) -> Floats:
    """[CUT, CUT] 1 where the person is."""
    mask = _guess(points)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(small[..., ::-1])
    cv2.setRNGSeed(0)
    cv2.grabCut(bgr, mask, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return _one_piece(person, points).astype(np.float32)


def _guess(points: Floats) -> Grey:
    """What GrabCut starts from: face, neck and chest for sure, hair and shoulders probably, the rim not."""
    chin, top = points[CHIN], points[FOREHEAD]
    width = float(np.linalg.norm(points[TEMPLES[0]] - points[TEMPLES[1]]))
    up = (top - chin) / np.linalg.norm(top - chin)
    centre = (top + chin) / 2 + up * 0.2 * width
    mask = np.full((CUT, CUT), cv2.GC_PR_BGD, np.uint8)
    angle = float(np.degrees(np.arctan2(up[0], -up[1])))

    def ellipse(at: Floats, axes: tuple[float, float], value: int) -> None:
        cv2.ellipse(mask, (tuple(map(float, at)), (2 * axes[0], 2 * axes[1]), angle), value, -1)

    beside = mask[: max(int(chin[1]), 3)]  # the rim; below the chin it may be shoulders
    beside[:3] = beside[:, :2] = beside[:, -2:] = cv2.GC_BGD
    shoulders = chin - up * 0.55 * width
    body = [shoulders + [s * 0.5 * width, 0] for s in (-1, 1)]
    body += [np.array([chin[0] + s * 1.5 * width, CUT + 5]) for s in (1, -1)]
    cv2.fillConvexPoly(mask, np.round(body).astype(np.int32), cv2.GC_PR_FGD)
    ellipse(centre, (0.78 * width, 1.05 * width), cv2.GC_PR_FGD)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), cv2.GC_FGD)
    chest = [chin - up * 0.4 * width + [s * 0.3 * width, 0] for s in (-1, 1)]
    chest += [np.array([chin[0] + s * 0.8 * width, chin[1] + 0.75 * width]) for s in (1, -1)]
    if chest[0][1] < CUT:
        cv2.fillConvexPoly(mask, np.round(chest).astype(np.int32), cv2.GC_FGD)
    neck = chin - up * 0.2 * width
    cv2.line(
        mask, np.round(chin).astype(int).tolist(), np.round(neck).astype(int).tolist(), cv2.GC_FGD, int(0.3 * width)
    )
    return mask


def _one_piece(person: Grey, points: Floats) -> Grey:
    """The part that holds the face, its small holes filled."""
    _, labels = cv2.connectedComponents(person)
    x, y = np.clip(np.round(points[CHIN - 1]), 0, CUT - 1).astype(int)
    piece = (labels == labels[y, x]).astype(np.uint8)
    count, holes, stats, _ = cv2.connectedComponentsWithStats(1 - piece)
    for i in range(1, count):
        left, top, wide, high, area = stats[i]
        inside = left > 0 and top > 0 and left + wide < CUT and top + high < CUT
        if inside and area < 0.002 * CUT * CUT:
            piece[holes == i] = 1
    return np.asarray(piece, np.uint8)


def _plausible(person: Floats, points: Floats) -> bool:
    """Whether the cut holds the whole face, leaves some background, and does not run along the upper edge."""
    hull = np.zeros((CUT, CUT), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    face, share = person[hull > 0].mean(), person.mean()
    return bool(face > 0.98 and hull.mean() * 1.15 < share < 0.85 and person[4].mean() < 0.5)


def _soft(picture: Rgb, person: Floats) -> Floats:
    """[S, S] the matte at full resolution, 0 to 1."""
    side = len(picture)
    rough = cv2.resize(person, (side, side), interpolation=cv2.INTER_LINEAR)
    rough = cv2.GaussianBlur(rough, (0, 0), side / CUT / 2)
    guide = picture.astype(np.float32).mean(2) / 255
    fine = _guided(guide, rough, EDGE, SMOOTH)
    # Far from the edge the cut is right as it is; texture inside must not make holes.
    sure_in = cv2.erode(rough, np.ones((5, 5), np.uint8), iterations=SHIFT // 6) > 0.98
    sure_out = cv2.dilate(rough, np.ones((5, 5), np.uint8), iterations=SHIFT // 6) < 0.02
    fine = np.clip((fine - 0.06) / 0.88, 0, 1)
    return np.where(sure_in, 1, np.where(sure_out, 0, fine)).astype(np.float32)


def _guided(guide: Floats, values: Floats, radius: int, eps: float) -> Floats:
    """`values` smoothed where `guide` is smooth, sharp where it is sharp; both [S, S]."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(x: Floats) -> Floats:
        return np.asarray(cv2.blur(x, size), np.float32)

    mean_guide, mean_values = mean(guide), mean(values)
    slope = (mean(guide * values) - mean_guide * mean_values) / (mean(guide * guide) - mean_guide**2 + eps)
    offset = mean_values - slope * mean_guide
    return mean(slope) * guide + mean(offset)


def _completed(picture: Rgb, alpha: Floats) -> Rgb:
    """The background with the person's place filled from around it, with the picture's own grain."""
    reach = cv2.dilate(alpha, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * SHIFT + 1, 2 * SHIFT + 1)))
    hole = cv2.GaussianBlur(reach, (0, 0), SHIFT / 4)
    known = np.clip(1 - hole, 0, 1) ** 2
    colours = picture.astype(np.float32)
    filled = _fill(colours, known)
    seen = known > 0.9
    grain = float((colours - cv2.GaussianBlur(colours, (0, 0), 2))[seen].std()) if seen.any() else 0.0
    noise = np.random.default_rng(0).standard_normal(alpha.shape).astype(np.float32) * min(grain, 6.0)
    mixed = colours * known[..., None] + (filled + noise[..., None]) * (1 - known[..., None])
    return np.asarray(np.clip(np.round(mixed), 0, 255), np.uint8)


def _fill(colours: Floats, weight: Floats) -> Floats:
    """[S, S, 3] with unknown places (weight 0) taken smoothly from known ones: pull down a pyramid, push back up."""
    if len(weight) <= 2:
        total = max(float(weight.sum()), 1e-6)
        mean = (colours * weight[..., None]).sum((0, 1)) / total
        return np.broadcast_to(mean, colours.shape).astype(np.float32)
    half = (len(weight) // 2, len(weight) // 2)
    below = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    mean = (
        cv2.resize(colours * weight[..., None], half, interpolation=cv2.INTER_AREA) / np.maximum(below, 1e-6)[..., None]
    )
    coarse = _fill(mean, np.minimum(below * 4, 1))
    up = cv2.resize(coarse, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(colours * weight[..., None] + up * (1 - weight[..., None]), np.float32)


def _decontaminated(picture: Rgb, alpha: Floats, background: Rgb) -> Rgb:
    """Where the matte is soft, the colour that the person alone would have: C = aF + (1 - a)B, solved for F."""
    colours = picture.astype(np.float32)
    inner = _fill(colours, np.clip((alpha - 0.9) * 10, 0, 1) ** 2)
    a = alpha[..., None]
    solved = (colours - (1 - a) * background) / np.maximum(a, 0.2)
    own = np.clip(np.where(a > 0.5, solved, inner + (solved - inner) * np.clip((a - 0.2) / 0.3, 0, 1)), 0, 255)
    clean = np.where(a > 0.98, colours, own)
    return np.round(clean).astype(np.uint8)


def _blurred(picture: Rgb) -> Rgb:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 12), np.uint8)
