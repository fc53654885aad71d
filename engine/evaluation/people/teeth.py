"""Rows of modelled teeth in their gums, and the tongue. Within a row lengths are millimetres, y up, z to the lips."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.evaluation.people import objects
from engine.evaluation.people.body import Body
from engine.evaluation.people.nodes import Nodes
from engine.face.source import Floats, Integers

INCISOR, CANINE, MOLAR = "incisor", "canine", "molar"
# From the middle outwards: kind, width, height of the crown; usual sizes of a textbook of dental anatomy.
UPPER = (
    (INCISOR, 8.6, 10.3), (INCISOR, 6.7, 9.0), (CANINE, 7.6, 9.5), (MOLAR, 7.1, 8.3), (MOLAR, 6.8, 7.8),
    (MOLAR, 9.8, 7.2), (MOLAR, 9.2, 6.6),
)  # fmt: skip
LOWER = (
    (INCISOR, 5.4, 8.6), (INCISOR, 5.9, 8.9), (CANINE, 6.8, 9.1), (MOLAR, 7.0, 8.2), (MOLAR, 7.1, 7.8),
    (MOLAR, 10.6, 7.0), (MOLAR, 10.0, 6.4),
)  # fmt: skip
DEEP = {INCISOR: 6.2, CANINE: 7.4, MOLAR: 8.8}
ENAMEL = (0.60, 0.50, 0.37), (0.70, 0.655, 0.57)  # at the gum, at the edge
GUM = (0.40, 0.135, 0.13), (0.50, 0.22, 0.20)
TONGUE = (0.42, 0.13, 0.12), (0.55, 0.22, 0.19)


@dataclass(frozen=True)
class Arch:
    """An ellipse that the row follows."""

    wide: float
    deep: float

    def at(self, angle: float) -> tuple[Floats, Floats, Floats]:
        """Point, tangent and outward normal, `angle` from the middle."""
        s, c = np.sin(angle), np.cos(angle)
        tangent = np.array([self.wide * c, 0, -self.deep * s])
        tangent /= np.linalg.norm(tangent)
        return np.array([self.wide * s, 0, self.deep * (c - 1)]), tangent, np.array([-tangent[2], 0, tangent[0]])

    def angle_at(self, length: float) -> float:
        """Where one is after `length` along it from the middle."""
        angles = np.linspace(0, np.pi / 2, 2000)
        steps = np.hypot(self.wide * np.diff(np.sin(angles)), self.deep * np.diff(np.cos(angles)))
        return float(np.interp(length, np.r_[0, np.cumsum(steps)], angles))


UPPER_ARCH, LOWER_ARCH = Arch(29.5, 42.0), Arch(25.5, 36.0)


def teeth_objects(body: Body, seed: int) -> list[tuple[Any, Floats, Integers]]:
    """Teeth and gums where the source has its coarse ones: object, points [N, 3], the vertices it goes with."""
    enamel = _material("enamel", ENAMEL, 0.16, 0.55, (1, 0.8, 0.62), 0.012)
    gum = _material("gum", GUM, 0.28, 0.8, (1, 0.4, 0.3), 0.016)
    made = []
    for lower in (False, True):
        group = body.group(f"helper-{'lower' if lower else 'upper'}-teeth")
        rng = np.random.default_rng(seed + lower)
        origin, scale = _socket(body.mesh.vertices[group], lower)
        for points, faces, edge in _row(lower, rng):
            at = points * scale + origin
            obj = objects.mesh("teeth", at, faces, gum if edge is None else enamel)
            objects.attribute(obj.data, "edge", np.zeros(len(at)) if edge is None else edge)
            made.append((obj, at, group))
    return made


def tongue_object(body: Body) -> tuple[Any, Integers]:
    """The source's tongue, and its vertices."""
    quads = body.mesh.quads[body.mesh.group == "helper-tongue"]
    used, faces = np.unique(quads, return_inverse=True)
    t = Nodes("tongue")
    at = t.place()
    material = _soft(t, t.mix(t.noise(at, 10), *TONGUE), 0.32, 0.8, (1, 0.4, 0.3), 0.03, t.bump(t.noise(at, 40), 0.006))
    tongue = objects.mesh("tongue", body.mesh.vertices[used], faces.reshape(quads.shape), material)
    objects.subdivide(tongue, 2)
    return tongue, used


def _socket(coarse: Floats, lower: bool) -> tuple[Floats, float]:
    """Where the row's origin goes and how many decimetres its millimetre is, to replace coarse teeth [N, 3]."""
    wide = coarse[:, 0].max() - coarse[:, 0].min()
    scale = wide / (54.0 if lower else 60.5)
    if lower:
        return np.array([0, coarse[:, 1].max() - 0.045 - 8.0 * scale, coarse[:, 2].max() - 0.058]), scale
    return np.array([0, coarse[:, 1].min() - 0.022 + 9.3 * scale, coarse[:, 2].max() - 0.062]), scale


def _row(lower: bool, rng: np.random.Generator) -> list[tuple[Floats, Integers, Floats | None]]:
    """Every tooth as points, quads and its share of the way to the biting edge; last the gum, without one."""
    arch, up = (LOWER_ARCH, -1) if lower else (UPPER_ARCH, 1)
    out: list[tuple[Floats, Integers, Floats | None]] = []
    necks = []
    for side in (-1, 1):
        length = 0.0
        for index, (kind, width, height) in enumerate(LOWER if lower else UPPER):
            angle = arch.angle_at(length + width / 2)
            length += width + 0.05
            at, tangent, normal = arch.at(angle)
            points, faces, edge = _tooth(kind, width * 1.02, height + 1.0)
            tilt = rng.normal(0, 0.018)
            turn = np.array([[np.cos(tilt), np.sin(tilt), 0], [-np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
            points = points @ turn @ np.stack([tangent, [0, 1, 0], normal]) + at
            points += [0, 1.0 + 0.35 * (index == 1) + rng.normal(0, 0.12), rng.normal(0, 0.12)]
            points *= [side, up, 1]
            out.append((points, faces if side * up > 0 else faces[:, ::-1], edge**1.2))
            necks.append(side * angle)
    gum, faces = _gum(arch, np.sort(necks))
    return [*out, (gum * [1, up, 1], faces if up > 0 else faces[:, ::-1], None)]


def _tooth(kind: str, width: float, height: float) -> tuple[Floats, Integers, Floats]:
    """A crown that hangs from y = 0, its front towards z."""
    t, v = np.meshgrid(np.linspace(0, 1, 26), np.arange(40) / 40, indexing="ij")
    c, s = np.cos(2 * np.pi * v), np.sin(2 * np.pi * v)
    if kind == INCISOR:
        wide, deep, square = 0.74 + 0.26 * np.sin(np.minimum(t * 1.9, np.pi / 2)), 1 - 0.78 * t**1.25, 2.8 + 1.6 * t
    elif kind == CANINE:
        wide = 0.78 + 0.22 * np.sin(np.minimum(t * 2.4, np.pi / 2))
        wide *= 1 - 0.5 * np.maximum(0, (t - 0.62) / 0.38) ** 1.3
        deep, square = 1 - 0.7 * t**1.6, 2.5 + 0 * t
    else:
        wide = 0.85 + 0.15 * np.sin(np.minimum(t * 2.2, np.pi / 2))
        wide *= 1 - 0.22 * np.maximum(0, (t - 0.75) / 0.25) ** 2
        deep, square = 1 - 0.3 * t**2, 2.9 + 0 * t
    round_edge = (1 - 0.16 * np.maximum(0, (t - 0.93) / 0.07) ** 2) * np.where(t > 0.999, 0.03, 1)
    outline = (abs(c) ** square + abs(s) ** square) ** (-1 / square) * round_edge
    depth = DEEP[kind]
    x, y, z = outline * c * width / 2 * wide, -height * t, outline * s * depth / 2 * deep
    if kind == INCISOR:
        z += 0.10 * depth * np.sin(2.4 * t)
        y += np.where(t > 0.9, 0.03 * height * (2 * x / width) ** 4, 0)
    return np.stack([x, y, z], -1).reshape(-1, 3), _tube(26, 40), t.ravel()


def _gum(arch: Arch, necks: Floats) -> tuple[Floats, Integers]:
    """A ridge before the roots whose edge is high at each tooth's middle and reaches down between two."""
    rows, columns = 500, 40
    points = []
    for angle in np.linspace(-1.42, 1.42, rows):
        nearest = int(np.argmin(abs(necks - angle)))
        half = np.diff(necks)[min(nearest, len(necks) - 2)] / 2
        high = 1 - min(1.0, abs(necks[nearest] - angle) / half) ** 2
        at, _, normal = arch.at(angle)
        v = np.linspace(0, 1, columns)
        up = -1.9 + 2.1 * high + 9.5 * np.where(v > 0.12, v, 0.12 * (v / 0.12) ** 0.6)
        out = 2.2 + 1.55 * np.sin(np.minimum(1, v / 0.18) * np.pi / 2) + 0.35 * high * np.exp(-(((v - 0.4) / 0.3) ** 2))
        out = (out - 2.2 * np.maximum(0, v - 0.55)) * (1 + 0.12 * abs(np.sin(angle)))
        points.append(at + normal * out[:, None] + np.array([0, 1, 0]) * up[:, None])
    row, col = np.meshgrid(np.arange(rows - 1) * columns, np.arange(columns - 1), indexing="ij")
    a = row + col
    return np.concatenate(points), np.stack([a, a + columns, a + columns + 1, a + 1], -1).reshape(-1, 4)


def _tube(rows: int, columns: int) -> Integers:
    row, col = np.meshgrid(np.arange(rows - 1) * columns, np.arange(columns), indexing="ij")
    a, b = row + col, row + (col + 1) % columns
    return np.stack([a, a + columns, b + columns, b], -1).reshape(-1, 4)


def _material(name: str, colours: Any, rough: float, deep: float, radius: Any, scale: float) -> Any:
    t = Nodes(name)
    at = t.place()
    share = t.attribute("edge") if name == "enamel" else t.noise(at, 90, 4)
    return _soft(t, t.mix(share, *colours), rough, deep, radius, scale, t.bump(t.noise(at, 100, 4), 0.0005))


def _soft(t: Nodes, colour: Any, rough: float, deep: float, radius: Any, scale: float, normal: Any) -> Any:
    inputs = {"Base Color": colour, "Roughness": rough, "Subsurface Weight": deep, "Normal": normal}
    inputs |= {"Subsurface Radius": radius, "Subsurface Scale": scale}
    return t.surface(t.add("BsdfPrincipled", inputs))
