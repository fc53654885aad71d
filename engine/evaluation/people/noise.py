"""Smooth steps and smooth randomness over points in space."""

import numpy as np

from engine.face.source import Floats


def fade(x: Floats, start: float, end: float) -> Floats:
    """Smoothly from 0 at `start` to 1 at `end`, which may lie below it."""
    t = np.clip((x - start) / (end - start), 0, 1)
    eased: Floats = t * t * (3 - 2 * t)
    return eased


def blob(points: Floats, centre: Floats | tuple[float, ...], size: float | tuple[float, ...]) -> Floats:
    """[N] a Gaussian of the distance of points [N, 3], 1 at the centre."""
    bell: Floats = np.exp(-(((points - np.asarray(centre)) / np.asarray(size)) ** 2).sum(1))
    return bell


def noise(points: Floats, per_dm: float, seed: int, octaves: int = 3) -> Floats:
    """[N] a sum of waves in random directions, about -1 to 1."""
    rng = np.random.default_rng(seed)
    out, weight, total = np.zeros(len(points)), 1.0, 0.0
    for _ in range(octaves):
        for _ in range(6):
            wave = rng.normal(size=3)
            wave *= per_dm * rng.uniform(0.6, 1.4) / np.linalg.norm(wave)
            out += weight * np.sin(points @ wave * 2 * np.pi + rng.uniform(0, 2 * np.pi)) / 2.5
        total, weight, per_dm = total + weight, weight / 2, per_dm * 2.1
    return out / total


def unit(vectors: Floats) -> Floats:
    """[..., 3] scaled to length 1."""
    scaled: Floats = vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)
    return scaled


def along(vectors: Floats, normals: Floats) -> Floats:
    """[N, 3] unit vectors: what of each lies in the surface with these normals."""
    return unit(vectors - normals * (vectors * normals).sum(-1, keepdims=True))
