"""Hairs as curves that grow out of the skin: where they root, how they bend, how far they reach."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from engine.evaluation.people.noise import along, noise, unit
from engine.face.source import Floats, Integers


@dataclass(frozen=True)
class Strands:
    points: Floats
    """[N, K, 3] from the root to the tip."""
    radii: Floats
    """[N, K]"""
    shade: Floats | None = None
    """[N] about -1 to 1: how much lighter or darker than the rest."""

    @property
    def roots(self) -> Floats:
        roots: Floats = self.points[:, 0]
        return roots


@dataclass(frozen=True)
class Skin:
    """The fine skin at rest, as what hair grows on."""

    points: Floats
    """[S, 3]"""
    normals: Floats
    triangles: Integers
    tree: cKDTree

    def sample(self, density: Floats, count: int, rng: np.random.Generator) -> tuple[Integers, Floats]:
        """Triangles [count] picked by area and by the density [S] at their corners, and a place in each [count, 3]."""
        corners = self.points[self.triangles]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        weight = area * density[self.triangles].mean(1)
        picked = rng.choice(len(self.triangles), count, p=weight / weight.sum())
        return self.triangles[picked], rng.dirichlet((1, 1, 1), count)

    def nearest(self, points: Floats) -> tuple[Floats, Floats]:
        """The skin's points and normals, each a mean of six, nearest to points [N, 3]."""
        away, which = self.tree.query(points, k=6)
        weight = 1 / (away + 0.01)
        weight = (weight / weight.sum(1, keepdims=True))[..., None]
        return (self.points[which] * weight).sum(1), unit((self.normals[which] * weight).sum(1))

    def part(self, where: npt.NDArray[np.bool_]) -> "Skin":
        """What of it to keep away from: some points [S] without their triangles."""
        return Skin(self.points[where], self.normals[where], self.triangles[:0], cKDTree(self.points[where]))


@dataclass(frozen=True)
class Roots:
    at: Floats
    """[N, 3]"""
    normals: Floats
    corners: Integers
    """[N, 3] of the triangle it stands on."""
    weights: Floats

    def some(self, which: Integers) -> "Roots":
        return Roots(self.at[which], self.normals[which], self.corners[which], self.weights[which])

    def value(self, field: Floats) -> Floats:
        """[N] a field of the skin [S] at the roots."""
        held: Floats = (field[self.corners] * self.weights).sum(1)
        return held


def roots_on(skin: Skin, density: Floats, count: int, rng: np.random.Generator) -> Roots:
    corners, weights = skin.sample(density, count, rng)
    at = (skin.points[corners] * weights[..., None]).sum(1)
    normals = unit((skin.normals[corners] * weights[..., None]).sum(1))
    return Roots(at, normals, corners, weights)


def bent(roots: Roots, start: Floats, end: Floats, length: Floats, knots: int) -> Floats:
    """[N, knots, 3] hairs that leave in direction `start` and turn towards `end`, both unit vectors [N, 3]."""
    t = np.linspace(0, 1, knots)[None, :, None]
    steps = unit(start[:, None] * (1 - t[:, 1:]) + end[:, None] * t[:, 1:]) * (length / (knots - 1))[:, None, None]
    hairs: Floats = roots.at[:, None] + np.concatenate([np.zeros((len(length), 1, 3)), np.cumsum(steps, 1)], 1)
    return hairs


def clumped(points: Floats, guides: int, share: float, rng: np.random.Generator) -> Floats:
    """Tips drawn towards the nearest of some hairs, roots left where they are."""
    picked = rng.choice(len(points), guides, replace=False)
    guide = picked[cKDTree(points[picked, 0]).query(points[:, 0])[1]]
    shape = points[guide] - points[guide][:, :1] + 0.4 * points[:, :1] + 0.6 * points[guide][:, :1]
    t = share * np.linspace(0, 1, points.shape[1])[None, :, None] ** 1.3
    drawn: Floats = points * (1 - t) + shape * t
    return drawn


def curled(points: Floats, radius: float, turns: float, rng: np.random.Generator, guides: int) -> Floats:
    """Each hair wound about its own way; neighbours of one guide turn together."""
    count, knots = points.shape[:2]
    picked = rng.choice(count, guides, replace=False)
    lock = cKDTree(points[picked, 0]).query(points[:, 0])[1]
    start = rng.uniform(0, 2 * np.pi, guides)[lock] + rng.normal(0, 0.35, count)
    way = rng.uniform(0.7, 1.3, guides) * rng.choice([-1, 1], guides)
    speed = turns * way[lock] * rng.uniform(0.93, 1.07, count)
    t = np.linspace(0, 1, knots)
    angle = start[:, None] + 2 * np.pi * speed[:, None] * t
    axis = unit(points[:, -1] - points[:, 0])
    one = along(np.broadcast_to([0.3, 1.0, 0.2], axis.shape), axis)
    other = np.cross(axis, one)
    wide = radius * np.minimum(1, 4 * t) * rng.uniform(0.7, 1.3, guides)[lock][:, None]
    offset = wide[..., None] * (np.cos(angle)[..., None] * one[:, None] + np.sin(angle)[..., None] * other[:, None])
    wound: Floats = points + offset - offset[:, :1]
    return wound


def wandering(points: Floats, step: float, rng: np.random.Generator) -> Floats:
    """Each hair strays a little, more towards its tip."""
    growing = np.linspace(0, 1, points.shape[1])[:, None]
    strayed: Floats = points + np.cumsum(rng.normal(0, step, points.shape), 1) * growing
    return strayed


def tapered(points: Floats, radius: Floats | float, tip: float) -> Strands:
    """With a radius, one or each hair's own [N], that falls to `tip` of it at the tips."""
    count, knots = points.shape[:2]
    return Strands(points, np.full(count, radius)[:, None] * np.linspace(1, tip, knots))


def waves(points: Floats, seed: int) -> Floats:
    """[N, 3] three smooth noises, coarse to fine, about -1 to 1."""
    return np.stack([noise(points, scale, seed + i) for i, scale in enumerate((1.2, 3.5, 8.0))], 1)
