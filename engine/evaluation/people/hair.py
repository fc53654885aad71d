"""The hair of a head, a beard and the brows, for each style that `cast.Hair` names."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from engine.evaluation.people.cast import Person
from engine.evaluation.people.noise import along, fade, noise, unit
from engine.evaluation.people.places import Points, Skull, beard_area
from engine.evaluation.people.strands import (
    Roots,
    Skin,
    Strands,
    bent,
    clumped,
    curled,
    roots_on,
    tapered,
    wandering,
    waves,
)
from engine.face.source import Floats

ASKEW = 0.009  # how much higher the left brow begins than the right
HAIR_RADIUS = 0.00085  # twice a real one's: half as many hairs cover


def head_hair(person: Person, points: Points, skull: Skull, skin: Skin) -> list[Strands]:
    rng = np.random.default_rng(10 * person.seed + 1)
    grow = {"long": _long, "tied": _tied, "crop": _crop, "curls": _curls}[person.hair.style]
    return grow(person, points, skull, skin, rng)


def _density(points: Points, skull: Skull, skin: Skin, soft: float) -> Floats:
    """[S] of the hair of the head, thinner over the last `soft` decimetres before the hairline."""
    grown = fade(skull.inside, -0.015, soft) * (skull.ear < 0.2) * (1 - skull.bald)
    dense: Floats = grown * (skin.points[:, 1] > points.eye[1] - 1.4)
    return dense


def _fineness(roots: Roots, skull: Skull) -> Floats:
    """[N] of the full thickness: hair is finer at the hairline."""
    fine: Floats = 0.4 + 0.6 * fade(roots.value(skull.inside), -0.02, 0.18)
    return fine


def _crop(person: Person, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> list[Strands]:
    """Short all over, shorter at the sides and the hairline, combed forwards on top and down elsewhere."""
    dense = _density(points, skull, skin, 0.18 + 0.25 * person.hair.receding)
    roots = roots_on(skin, dense, 70_000, rng)
    x, y, z = (roots.at - [0, points.eye[1], points.skull[2]]).T
    top = fade(y, 0.58, 1.04)
    swirl = waves(roots.at, 41)
    length = person.hair.length_dm * (0.28 + 0.72 * top) * fade(roots.value(skull.inside), -0.12, 0.14)
    length *= 1 + 0.18 * swirl[:, 1] + rng.uniform(-0.2, 0.2, len(x))
    forwards = np.stack([0.35 - 0.5 * x, 0.1 + 0 * y, 0.9 + 0 * z], 1)
    down = np.stack([0 * x, -1 + 0 * y, -0.35 + 0 * z], 1)
    way = along(forwards * top[:, None] + down * (1 - top)[:, None] + 0.22 * swirl, roots.normals)
    lift = (0.35 + 0.75 * top)[:, None]
    start = unit(roots.normals * lift + way * 0.75 + rng.normal(0, 0.10, way.shape))
    end = unit(way + 0.15 * roots.normals * lift + rng.normal(0, 0.12, way.shape))
    hairs = bent(roots, start, end, np.maximum(length, 0.012), 6)
    hairs = wandering(clumped(hairs, 1800, 0.32, rng), 0.0012, rng)
    return [tapered(hairs, HAIR_RADIUS * 0.85 * _fineness(roots, skull), 0.35)]


def _curls(person: Person, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> list[Strands]:
    """Tight curls that stand away from the skull."""
    roots = roots_on(skin, _density(points, skull, skin, 0.16), 44_000, rng)
    swirl = waves(roots.at, 51)
    edge = fade(roots.value(skull.inside), 0.0, 0.45)
    up = fade(roots.at[:, 1], skull.ear_bottom, points.top_y - 0.3)
    length = person.hair.length_dm * (0.20 + 0.80 * edge) * (0.6 + 0.4 * up) * (1 + 0.15 * swirl[:, 1])
    length *= rng.uniform(0.75, 1.1, len(length))
    out = unit(roots.at - points.skull)
    start = unit(roots.normals + 0.25 * swirl)
    hairs = bent(roots, start, unit(out + [0, 0.15, 0] + 0.2 * swirl), length, 26)
    hairs = clumped(hairs, 2600, 0.55, rng)
    hairs = curled(hairs, 0.020, 6.0 * person.hair.length_dm / 0.35, rng, 2600)
    return [tapered(wandering(hairs, 0.0016, rng), HAIR_RADIUS * 0.9 * _fineness(roots, skull), 0.5)]


def _long(person: Person, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> list[Strands]:
    """Parted, over temples and ears, and down behind the shoulders."""
    part = person.hair.part_dm
    dense = _density(points, skull, skin, 0.10) * (1 + 2 * np.exp(-(((skin.points[:, 0] - part) / 0.05) ** 2)))
    dense *= 1 + 0.8 * fade(skull.inside, 0.2, 0.05)  # no other hair covers the scalp there
    roots = roots_on(skin, dense, 72_000, rng)
    guides = roots.some(rng.choice(len(roots.at), 3600, replace=False))
    falls = _falls(guides, part, points, skull, skin, rng)
    far = np.array([100.0, 0, 0])  # a guide of the other side of the parting is no neighbour
    tree = cKDTree(guides.at + _parted(guides.at, part)[:, None] * far)
    near = tree.query(roots.at + _parted(roots.at, part)[:, None] * far, k=5)[1]
    guide = near[np.arange(len(near)), rng.choice(5, len(near), p=[0.44, 0.26, 0.15, 0.1, 0.05])]
    t = np.linspace(0, 1, falls.shape[1])[None, :, None]
    apart = (roots.at - guides.at[guide])[:, None] * (1 - 0.6 * np.minimum(1, 1.6 * t))
    spread = rng.normal(0, 0.012, (len(guide), 1, 3)) * np.minimum(1, 2 * t)
    hairs = _drawn_together(falls[guide] + apart + spread, 420, 0.3, rng)
    hairs = wandering(hairs, 0.0016, rng)
    stray = wandering(hairs[rng.choice(len(hairs), 1500)], 0.013, rng)
    shade = rng.normal(0, 1, len(guides.at))[guide]
    return [
        replace(tapered(hairs, 0.0010 * _fineness(roots, skull), 0.6), shade=shade),
        tapered(stray, 0.0006, 0.6),
        _down(part, points, skull, skin, rng),
    ]


def _parted(at: Floats, part: float) -> Floats:
    """[N] 1 where hair falls to the person's left, -1 to the right; the parting wavers, and single hairs cross it."""
    _, middling, fine = waves(at, 41).T
    single = noise(at, 60, 44, 1)
    side: Floats = np.where(at[:, 0] + 0.012 * middling + 0.006 * fine + 0.022 * single > part, 1.0, -1.0)
    return side


def _falls(roots: Roots, part: float, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> Floats:
    """[N, 38, 3] hairs grown knot by knot: along the head from the parting to below the ears, from there on hanging."""
    stride, knots, count = 0.11, 38, len(roots.at)
    side, (coarse, middling, _) = _parted(roots.at, part), waves(roots.at, 41).T
    eye, layer, head = points.eye[1], rng.uniform(0, 1, count), skin.part(skull.ear < 0.1)
    root_at = _around(roots.at, side, points)
    goal = np.interp(root_at, [0, 40, 70, 100, 180], [70, 74, 94, 114, 176]) + 4 * coarse + rng.normal(0, 3, count)
    framing = 34 * rng.uniform(0, 1, count) + 10 * middling  # degrees that the front's hair falls nearer to the face
    goal -= framing * fade(root_at, 80, 40)
    lift = (0.03 + 0.12 * layer) * (1 + 0.3 * middling)
    at, grown = roots.at, [roots.at]
    for knot in range(1, knots):
        y = at[:, 1] - eye
        way = _combed(_around(at, side, points), side, goal)
        near, normal = head.nearest(at + along(way, head.nearest(at)[1]) * stride)
        above = lift * fade(np.full(count, knot), 0, 5) * (0.7 + 0.3 * fade(y, 0.8, 0.3)) + 0.08 * fade(y, 0.2, -0.1)
        lying = near + normal * above[:, None]
        aim = 0.22 * (_curtain(y, side, goal, layer, points) - at)
        hanging = at + aim * [1, 0, 1] - [0, stride, 0]
        free = fade(y, -0.2, -0.6)[:, None]
        at = lying * (1 - free) + hanging * free
        grown.append(at)
    falls = np.stack(grown, 1)
    for _ in range(6):
        falls[:, 2:-1] += 0.5 * (0.5 * (falls[:, 1:-2] + falls[:, 3:]) - falls[:, 2:-1])
    low = fade(falls[..., 1], eye + 0.1, eye - 0.9)
    phase = 5.2 * (falls[..., 1] - eye) + (2.4 * coarse + 0.7 * middling)[:, None]
    wavy: Floats = np.stack([side[:, None] * np.sin(phase), 0 * phase, np.cos(phase)], 2)
    return falls + 0.085 * low[..., None] * wavy


def _around(at: Floats, side: Floats, points: Points) -> Floats:
    """[N] degrees from straight ahead, towards the side to which the hair falls."""
    around: Floats = np.degrees(np.arctan2(np.maximum(at[:, 0] * side, 0), at[:, 2] - points.skull[2]))
    return around


def _combed(around: Floats, side: Floats, goal: Floats) -> Floats:
    """[N, 3] which way hair lies: outwards in front, down at the sides, always towards the degrees of its goal."""
    out = 0.75 * side * (1 - 0.8 * fade(around, 90, 130))
    back = 0.1 + 0.6 * np.clip((goal - around) / 25, -1, 1.6)
    return np.stack([out, -0.05 - 1.1 * fade(around, 20, 70), -back], 1)


def _curtain(y: Floats, side: Floats, goal: Floats, layer: Floats, points: Points) -> Floats:
    """[N, 3] where hair hangs at heights [N] over the eyes: the lower the further back, behind the shoulders."""
    half_width, half_depth, back = (
        np.interp(y, [-1.9, -1.2, -0.8, -0.3], values)
        for values in ((0.60, 0.66, 0.74, 0.80), (0.30, 0.34, 0.50, 0.68), (1.20, 0.95, 0.50, 0.0))
    )
    angle = np.radians(goal)
    x = side * (half_width + 0.24 * (layer - 0.5)) * np.sin(angle)
    z = points.skull[2] - back + (half_depth + 0.2 * layer) * np.cos(angle)
    return np.stack([x, y + points.eye[1], z], 1)


def _drawn_together(hairs: Floats, guides: int, share: float, rng: np.random.Generator) -> Floats:
    """Locks: unlike `clumped` each hair goes to where its guide is, since it falls freely."""
    picked = rng.choice(len(hairs), guides, replace=False)
    guide = picked[cKDTree(hairs[picked, 0]).query(hairs[:, 0])[1]]
    t = share * np.linspace(0, 1, hairs.shape[1])[None, :, None]
    drawn: Floats = hairs * (1 - t) + hairs[guide] * t
    return drawn


def _down(part: float, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> Strands:
    """Fine short hairs that soften the hairline."""
    edge = np.exp(-(((skull.inside - 0.01) / 0.04) ** 2)) * (skull.ear < 0.2)
    roots = roots_on(skin, edge * (skin.points[:, 2] > points.skull[2] + 0.1), 2200, rng)
    count = len(roots.at)
    way = np.stack([np.sign(roots.at[:, 0] - part) * 0.8, np.full(count, 0.35), np.full(count, -0.6)], 1)
    way = along(way + rng.normal(0, 0.22, way.shape), roots.normals)
    length = rng.uniform(0.05, 0.22, count)
    hairs = bent(roots, unit(way + 0.12 * roots.normals), unit(way + 0.06 * roots.normals), length, 6)
    return tapered(wandering(hairs, 0.003, rng), 0.0004, 0.25)


def _tied(person: Person, points: Points, skull: Skull, skin: Skin, rng: np.random.Generator) -> list[Strands]:
    """Combed back to a knot behind the head."""
    roots = roots_on(skin, _density(points, skull, skin, 0.10), 50_000, rng)
    knots, count = 16, len(roots.at)
    swirl = waves(roots.at, 41)
    part = person.hair.part_dm
    knot_at = np.array([0, points.eye[1] + 0.05, points.skull[2] - 1.05])
    layer = rng.uniform(0, 1, count) ** 0.7
    lift = (0.02 + 0.10 * layer) * (0.35 + 0.65 * fade(roots.value(skull.inside), 0, 0.35))
    lift += 0.07 * fade(roots.at[:, 1], points.eye[1] + 0.55, points.top_y)
    stride = np.clip(np.linalg.norm(roots.at - knot_at, axis=1) * 1.25, 0.5, 3.2) / (knots - 1)
    at, grown = roots.at, [roots.at]
    for knot in range(1, knots):
        t = knot / (knots - 1)
        in_front = (np.clip((at[:, 2] - (points.skull[2] - 0.2)) / 1.0, 0, 1) * (1 - 0.45 * t))[:, None]
        across = np.tanh((roots.at[:, 0] - part) / 0.16) * (0.62 + 0.1 * swirl[:, 0])
        combed = np.stack([across, np.full(count, -0.30), np.full(count, -0.80)], 1)
        way = combed * in_front + unit(knot_at - at) * (1 - in_front) + 0.10 * swirl[:, [1, 2, 0]] * (1 - t)
        at = at + along(way, skin.nearest(at)[1]) * stride[:, None]
        near, normal = skin.nearest(at)
        at = near + normal * (lift * fade(np.full(count, t), 0, 0.18))[:, None]
        grown.append(at)
    hairs = wandering(_drawn_together(np.stack(grown, 1), 260, 0.35, rng), 0.0030, rng)
    stray = wandering(hairs[rng.choice(count, 500)], 0.009, rng)
    return [tapered(hairs, 0.0011, 0.8), tapered(stray, 0.0005, 0.7), _down(part, points, skull, skin, rng)]


def beard_hair(person: Person, points: Points, skin: Skin) -> list[Strands]:
    """Short hairs that lie downwards on the cheeks and forwards on the chin."""
    if person.beard is None:
        return []
    rng = np.random.default_rng(10 * person.seed + 4)
    area = beard_area(points, skin.points)
    roots = roots_on(skin, area**1.2, int(34_000 * person.beard.density), rng)
    swirl = waves(roots.at, 71)
    count = len(roots.at)
    aside = np.sign(roots.at[:, 0]) * fade(abs(roots.at[:, 0]), 0.0, 0.12)
    way = np.stack([0.35 * aside, np.full(count, -1.0), np.full(count, 0.15)], 1) + 0.25 * swirl
    way = along(way, roots.normals)
    length = person.beard.length_dm * rng.uniform(0.5, 1.2, count) * (0.45 + 0.55 * roots.value(area))
    start = unit(0.9 * roots.normals + way + rng.normal(0, 0.22, way.shape))
    hairs = bent(roots, start, unit(way + 0.35 * roots.normals + rng.normal(0, 0.18, way.shape)), length, 5)
    return [tapered(wandering(hairs, 0.0010, rng), HAIR_RADIUS * 0.6, 0.4)]


def brow_hair(person: Person, points: Points, skin: Skin) -> list[Strands]:
    """Along an arch over each eye: upright near the nose, lying outwards from there on."""
    rng = np.random.default_rng(10 * person.seed + 2)
    return [_brow(person, points, skin, side, rng) for side in (1, -1)]


def _brow(person: Person, points: Points, skin: Skin, side: int, rng: np.random.Generator) -> Strands:
    size, woman = points.size, person.female > 0.5
    count = int((600 if woman else 560) * min(person.brow, 1.2))
    t = rng.beta(1.1, 1.15, count)
    across = np.clip(rng.normal(0, 0.55, count), -1.3, 1.3)
    width = (0.034 if woman else 0.042) * person.brow * np.interp(t, [0, 0.15, 0.5, 0.8, 1], [0.85, 1.1, 1, 0.62, 0.22])
    arch = np.interp(t, [0, 0.3, 0.65, 0.85, 1], [0.170, 0.203, 0.232, 0.212, 0.155])
    eye = points.eyes[0 if side > 0 else 1]
    arch += ASKEW * side * (1 - 1.6 * t) - (0.0 if woman else 0.022)
    high = arch + across * width + 0.006 * rng.normal(size=count)
    over = np.stack([eye[0] + side * size * (0.455 * t - 0.175), eye[1] + size * high, np.zeros(count)], 1)
    root = _onto_skin(over, skin, points)
    _, normal = skin.nearest(root)
    lean = np.interp(t, [0, 0.12, 0.4, 0.75, 1], [80, 58, 26, 2, -16])
    tilt = np.radians(lean - across * np.interp(t, [0, 0.5, 1], [12, 24, 14]) + rng.normal(0, 13, count))
    way = along(np.stack([side * np.cos(tilt), np.sin(tilt), np.zeros(count)], 1), normal)
    over_the_arch = along(np.stack([side * np.ones(count), -0.55 * np.ones(count), np.zeros(count)], 1), normal)
    length = rng.uniform(0.050, 0.115, count) * np.interp(t, [0, 0.2, 0.7, 1], [0.75, 1, 0.9, 0.6]) * size
    q = np.linspace(0, 1, 6)[None, :, None]
    hairs = root[:, None] + length[:, None, None] * (way[:, None] * q + 0.28 * over_the_arch[:, None] * q**2)
    hairs += normal[:, None] * (0.010 * np.sin(np.minimum(2.2 * q, 2.6)) - 0.003)
    thick = 0.00042 if woman else 0.00060
    radii = thick * np.array([0.8, 1, 0.95, 0.8, 0.55, 0.2]) * rng.uniform(0.5, 1.15, (count, 1))
    return Strands(wandering(hairs, 0.0012, rng), radii)


def _onto_skin(over: Floats, skin: Skin, points: Points) -> Floats:
    """Points moved along z onto the skin's front."""
    front = skin.points[(skin.points[:, 2] > points.eye[2] - 0.2) & (skin.normals[:, 2] > 0.15)]
    near = cKDTree(front[:, :2]).query(over[:, :2], k=4)[1]
    moved: Floats = np.c_[over[:, :2], front[near, 2].mean(1)]
    return moved


def lash_hair(person: Person, points: Points, rings: dict[str, Floats]) -> list[tuple[Strands, Floats]]:
    """Of each eye, upper and lower, with the eye's centre; `rings` holds the lids' margins [N, 3] at rest."""
    rng = np.random.default_rng(10 * person.seed + 3)
    made = []
    for side, name, centre in ((1, "left", points.eyes[0]), (-1, "right", points.eyes[1])):
        for upper in (True, False):
            margin = rings[f"lid_{'upper' if upper else 'lower'}_{name}"]
            made.append((_lashes(person, margin, side, upper, rng), centre))
    return made


def _lashes(person: Person, margin: Floats, side: int, upper: bool, rng: np.random.Generator) -> Strands:
    """Rows along a lid's margin [N, 3], longest towards the outer corner, in small clumps."""
    woman = person.female > 0.5
    count = int(((180 if woman else 120) if upper else 70) * person.lash)
    outwards = margin if side > 0 else margin[::-1]  # rings run from the person's right: inner to outer corner
    t = np.sort(rng.uniform(0.24, 0.97, count))
    share = np.linspace(0, 1, len(margin))
    root = np.stack([np.interp(t, share, outwards[:, axis]) for axis in range(3)], 1) + [0, 0.0, 0.006]
    root += rng.normal(0, 0.0022, root.shape)
    way = np.stack([side * (-0.20 + 0.95 * t), np.full(count, 0.30 if upper else -0.5), np.full(count, 0.85)], 1)
    way = unit(way + rng.normal(0, 0.13, way.shape))
    rise = np.sin(np.clip(1.15 * t, 0, 1) * np.pi * 0.62 + 0.25)
    if upper:
        length = rng.uniform(0.038, 0.070, count) * (0.55 + 0.5 * rise) * (1.0 if woman else 0.72)
    else:
        length = rng.uniform(0.020, 0.042, count) * (0.6 + 0.5 * t) * (1.0 if woman else 0.8)
    q = np.linspace(0, 1, 7)[None, :, None]
    curl = np.array([0, 0.6 if upper else -0.25, 0])
    hairs = root[:, None] + length[:, None, None] * (way[:, None] * q + 0.55 * curl * q**2)
    if upper:
        hairs = _in_clumps(hairs, rng)
    thick = (0.00070 if upper else 0.00042) * (1.0 if woman else 0.9)
    radii = thick * np.array([0.85, 1, 0.95, 0.8, 0.6, 0.4, 0.15]) * rng.uniform(0.7, 1.1, (count, 1))
    return Strands(hairs, radii)


def _in_clumps(hairs: Floats, rng: np.random.Generator) -> Floats:
    """Tips of neighbours drawn together, two to four at a time."""
    ends = np.cumsum(rng.integers(1, 5, len(hairs)))
    group = np.searchsorted(ends, np.arange(len(hairs)), side="right")
    leader = np.array([np.flatnonzero(group == g)[0] for g in group])
    pull = 0.35 * np.linspace(0, 1, hairs.shape[1])[None, :, None] ** 2
    drawn: Floats = hairs * (1 - pull) + hairs[leader] * pull
    return drawn
