"""Eyeballs: a painted iris on a concave disc, veins on the white, and the cornea's clear shell before it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.evaluation.people import objects
from engine.evaluation.people.cast import IRIS, Colour, Person
from engine.evaluation.people.nodes import Nodes
from engine.evaluation.people.noise import fade, unit
from engine.face.source import Floats, Integers

PUPIL = 0.41  # of the iris
LIMBUS = float(np.arcsin(IRIS))
CORNEA = 0.66  # radius of its sphere, in eyeball radii
LID_SHADE = (0.09, 0.06, 0.05)
CARUNCLE = np.array([0.66, 0.40, 0.37])
"""The flesh in the inner corner, sRGB."""
SEGMENTS = 64
LAMP = tuple(unit(np.array([-3.0, 1.8, 9.8])).tolist())
"""Towards the lamp that the cornea mirrors."""


def eye_objects(person: Person, centre: Floats, radius: float, camera: Floats, side: int) -> list[tuple[Any, Floats]]:
    """The ball and the shell, looking into the camera, with their vertices. side: +1 left, -1 right."""
    forward = unit(camera - centre)
    right = unit(np.cross([0, 1, 0], forward))
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    made = []
    for build in (_ball, _shell):
        profile, faces = build()
        obj, points = _object(person, build is _ball, profile, faces, side), profile * radius @ axes.T + centre
        objects.place(obj, points)
        made.append((obj, points))
    return made


def _object(person: Person, ball: bool, points: Floats, faces: Integers, side: int) -> Any:
    if not ball:
        shell = objects.mesh("cornea", points, faces, _cornea_material())
        shell.visible_shadow = False
        return shell
    uv = points[:, :2] / 2 + 0.5
    picture = objects.picture("iris", eye_texture(person.iris, person.seed + side, side))
    eyeball = objects.mesh("eye", points, faces, _eye_material(picture), uv=uv[faces])
    objects.attribute(eyeball.data, "white", fade(np.hypot(*points.T[:2]) + (points[:, 2] < 0), IRIS, IRIS + 0.04))
    return eyeball


def _ball() -> tuple[Floats, Integers]:
    """A unit sphere that looks to +z, with a gently hollow disc for an iris."""
    polar = np.concatenate([np.linspace(0.001, LIMBUS, 14), np.linspace(LIMBUS * 1.04, 2.6, 40)])
    share = np.tan(polar[:14]) / np.tan(LIMBUS)
    disc = (np.cos(LIMBUS) - 0.045 * (1 - share**2) - 0.015) / np.cos(polar[:14])
    return _lathe(polar, np.concatenate([disc, np.ones(40)]))


def _shell() -> tuple[Floats, Integers]:
    """Tears over the white, and the cornea's bulge over the iris."""
    edge = LIMBUS * 1.15
    polar = np.concatenate([np.linspace(0.001, LIMBUS * 1.25, 26), np.linspace(LIMBUS * 1.35, 2.2, 30)])
    middle = np.cos(edge) - np.sqrt(CORNEA**2 - np.sin(edge) ** 2)
    cap = middle * np.cos(polar) + np.sqrt(np.maximum(CORNEA**2 - (middle * np.sin(polar)) ** 2, 0))
    bulge = np.where(polar < LIMBUS * 1.3, np.maximum(cap - 1, 0), 0)
    return _lathe(polar, 1.006 + bulge)


def _lathe(polar: Floats, radius: Floats) -> tuple[Floats, Integers]:
    """A profile turned about z: vertices, quads."""
    angle = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.concatenate(
        [np.c_[r * np.sin(p) * ring, np.full(SEGMENTS, r * np.cos(p))] for p, r in zip(polar, radius, strict=True)]
    )
    row, col = np.meshgrid(np.arange(len(polar) - 1) * SEGMENTS, np.arange(SEGMENTS), indexing="ij")
    here, beside = row + col, row + (col + 1) % SEGMENTS
    return points, np.stack([here, here + SEGMENTS, beside + SEGMENTS, beside], -1).reshape(-1, 4)


def _eye_material(picture: Any) -> Any:
    """Darker close to the lids, as lids and lashes shade it."""
    t = Nodes("eye")
    colour = t.image(picture, t.uv())
    clear = t.add("AmbientOcclusion", {"Distance": 0.12}, samples=8).outputs["AO"]
    colour = t.mix(t.ramp(clear, 0.15, 0.95, 0.8, 0.0), colour, LID_SHADE)
    return t.surface(
        t.add(
            "BsdfPrincipled",
            {
                "Base Color": colour,
                "Roughness": 0.45,
                "Specular IOR Level": 0.2,
                "Subsurface Weight": t.product(t.attribute("white"), 0.6),
                "Subsurface Radius": (1, 0.5, 0.35),
                "Subsurface Scale": 0.02,
            },
        )
    )


def _cornea_material() -> Any:
    """Clear, but for the image of one lamp, which is worked out: chance paths off so small a mirror rarely meet it."""
    t = Nodes("cornea")
    mirrored = t.add("TexCoord").outputs["Reflection"]
    to_lamp = t.add("VectorMath", {0: mirrored, 1: LAMP}, operation="DOT_PRODUCT").outputs["Value"]
    inside = t.ramp(to_lamp, np.cos(np.radians(8.5)), np.cos(np.radians(6.0)))
    lit = t.product(inside, t.less(1.0, t.add("LightPath").outputs["Is Shadow Ray"]), 1.6)
    glint = t.add("Emission", {0: (1, 0.98, 0.95), 1: lit}).outputs[0]
    material = t.surface(t.add("AddShader", {0: t.add("BsdfTransparent").outputs[0], 1: glint}))
    material.cycles.emission_sampling = "NONE"
    return material


def eye_texture(iris: Colour, seed: int, side: int, size: int = 1024) -> npt.NDArray[np.float64]:
    """[size, size, 3] sRGB, 0 to 1, of the ball from the front; the picture's half width is its radius."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(axis, -axis)
    away, angle = np.hypot(x, y), np.arctan2(y, x)
    white = np.ones((size, size, 3)) * [0.66, 0.625, 0.60]
    white *= 1 - fade(away, 0.42, 0.95)[..., None] * [0.12, 0.28, 0.28]
    white *= 1 - 0.45 * _veins(rng, size)[..., None] * [0.15, 0.75, 0.75]
    corner = fade(-side * x, 0.66, 0.80)[..., None]
    white += corner * (CARUNCLE - white)
    painted = _iris(rng, np.array(iris) ** (1 / 2.2), np.clip(away / IRIS, 0, 1), angle)
    painted *= (0.88 - 0.25 * np.clip(y / IRIS, -1, 1))[..., None]  # the lid shades it, and light gathers opposite
    edge = fade(away, IRIS * 0.88, IRIS * 1.11)[..., None]
    return np.clip(painted * (1 - edge) + white * edge, 0, 1)


def _iris(rng: np.random.Generator, colour: Floats, t: Floats, angle: Floats) -> Floats:
    """t is the distance from the middle, 1 at the rim."""
    fibres = np.zeros_like(t)
    for count, weight in ((23, 0.8), (41, 0.9), (67, 1.0), (103, 0.9), (151, 0.6)):
        start = rng.uniform(0, 2 * np.pi)
        sway = 0.6 * np.sin(angle * rng.integers(3, 9) + t * rng.uniform(4, 9))
        sway += 0.5 * np.sin(angle * rng.integers(9, 17) - t * rng.uniform(6, 12))
        fibres += weight * np.sin(count * angle + start + 1.3 * sway + 1.5 * np.sin(t * rng.uniform(5, 11) + start))
    fibres = fibres / 8.4 + 0.5
    warm = np.clip(colour * [1.22, 1.06, 0.84] + [0.02, 0.01, 0], 0, 1)
    outwards, rim = fade(t, 0.38, 0.62)[..., None], fade(t, 0.72, 1.0)[..., None]
    shade = (warm * (1 - outwards) + colour * outwards) * (1 - rim) + 0.62 * colour * rim
    shade = shade * (0.62 + 0.72 * fibres[..., None])
    ruff = 0.56 + sum(0.016 * np.sin(n * angle + rng.uniform(0, 6)) for n in (3, 7, 11, 17))
    shade *= (1 - 0.22 * np.exp(-(((t - ruff) / 0.09) ** 2)))[..., None]
    shade *= (1 - 0.66 * fade(t, 0.78, 0.99))[..., None]
    blotch = 0.5 + 0.5 * np.sin(angle * 2 + rng.uniform(0, 6)) * np.sin(angle * 5 + rng.uniform(0, 6))
    shade *= (0.88 + 0.24 * blotch)[..., None]
    return np.clip(shade * fade(t, PUPIL - 0.04, PUPIL + 0.08)[..., None], 0.008, 1)


def _veins(rng: np.random.Generator, size: int) -> Floats:
    """[size, size] thin lines that wander in from both corners of the eye."""
    drawn = np.zeros((size, size))
    for _ in range(70):
        angle, start = rng.choice([0, np.pi]) + rng.normal(0, 0.55), rng.uniform(0.8, 0.98)
        x, y, way = start * np.cos(angle), start * np.sin(angle), angle + np.pi + rng.normal(0, 0.3)
        for _ in range(int(rng.uniform(20, 110))):
            way += rng.normal(0, 0.16)
            x, y = x + 0.005 * np.cos(way), y + 0.005 * np.sin(way)
            row, col = int((1 - y) / 2 * size), int((x + 1) / 2 * size)
            if np.hypot(x, y) < 0.5 or not (1 < row < size - 2 and 1 < col < size - 2):
                break
            drawn[row - 1 : row + 1, col - 1 : col + 1] += 0.35
    drawn = np.clip(drawn, 0, 1)
    for _ in range(2):
        drawn = (drawn + sum(np.roll(drawn, way, axis) for way in (1, -1) for axis in (0, 1))) / 5
    return drawn
