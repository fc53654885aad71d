"""A knitted shirt: the skin below the neckline, moved outwards, and a collar along its edge."""

from collections import defaultdict
from typing import Any

import numpy as np

from engine.evaluation.people import objects
from engine.evaluation.people.body import Body
from engine.evaluation.people.cast import Person
from engine.evaluation.people.nodes import Nodes
from engine.evaluation.people.noise import unit
from engine.evaluation.people.places import Points
from engine.evaluation.people.strands import Skin
from engine.face.source import Floats, Integers

AROUND = 12  # vertices around the collar's tube


def cloth_objects(person: Person, body: Body, points: Points, quads: Integers, skin: Skin) -> list[Any]:
    """`quads` [Q, 4] is all skin in view; the neckline lies on the fine skin."""
    vertices = body.mesh.vertices
    middle = vertices[quads].mean(1)
    covered = quads[middle[:, 1] < points.neckline(middle)]
    used, faces = np.unique(covered, return_inverse=True)
    faces = faces.reshape(covered.shape)
    worn = vertices[used].copy()
    edge = _neckline(faces, worn, points.chin_y)
    worn[edge] = _even(worn[edge], points)
    hem, normals = skin.nearest(worn[edge])
    outwards = unit(normals * [1, 0, 1])
    worn[edge] = hem
    worn = _smoothed(worn, faces, edge)
    worn += 0.06 * _normals(worn, faces)
    worn[edge] = hem + 0.04 * outwards
    material = _knit(person)
    shirt = objects.mesh("shirt", worn, faces, material)
    thick = shirt.modifiers.new("thick", "SOLIDIFY")
    thick.thickness, thick.offset = 0.02, 1
    objects.subdivide(shirt, 3)
    collar = objects.mesh("collar", *_collar(worn[edge], outwards), material)
    objects.subdivide(collar, 2)
    return [shirt, collar]


def _neckline(faces: Integers, worn: Floats, chin_y: float) -> Integers:
    """The shirt's open edge around the neck, in order."""
    edges = np.sort(np.concatenate([faces[:, [i, (i + 1) % 4]] for i in range(4)]), 1)
    once, count = np.unique(edges, axis=0, return_counts=True)
    beside: dict[int, list[int]] = defaultdict(list)
    for a, b in once[count == 1].tolist():
        if worn[a, 1] > chin_y - 1.6 and abs(worn[a, 0]) < 1.2:
            beside[a].append(b)
            beside[b].append(a)
    loop = [next(iter(beside))]
    while further := [v for v in beside[loop[-1]] if v not in loop]:
        loop.append(further[0])
    return np.array(loop)


def _even(loop: Floats, points: Points) -> Floats:
    """The loop [N, 3], smoothed and brought to the neckline's height."""
    for _ in range(12):
        loop = 0.5 * loop + 0.25 * (np.roll(loop, 1, 0) + np.roll(loop, -1, 0))
        loop[:, 1] += 0.6 * (points.neckline(loop) - loop[:, 1])
    return loop


def _smoothed(worn: Floats, faces: Integers, edge: Integers) -> Floats:
    """Cloth bridges what skin follows: vertices go towards their neighbours' middle, the edge held, and most in depth:
    shoulders keep their outline."""
    share = np.array([0.15, 0.15, 0.5])
    a, b = faces.ravel(), np.roll(faces, -1, 1).ravel()
    one, other = np.concatenate([a, b]), np.concatenate([b, a])
    free = np.ones(len(worn), bool)
    free[edge] = False
    count = np.bincount(one, minlength=len(worn))[:, None]
    for _ in range(20):
        total = np.zeros_like(worn)
        np.add.at(total, one, worn[other])
        worn = np.where(free[:, None], worn + share * (total / count - worn), worn)
    return worn


def _normals(vertices: Floats, faces: Integers) -> Floats:
    corners = vertices[faces]
    of_face = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    total = np.zeros_like(vertices)
    for corner in range(4):
        np.add.at(total, faces[:, corner], of_face)
    return unit(total)


def _collar(loop: Floats, outwards: Floats) -> tuple[Floats, Integers]:
    """A flattened tube along the loop."""
    angle = np.arange(AROUND)[:, None, None] * 2 * np.pi / AROUND
    out = 0.030 * np.cos(angle) + 0.012 - 0.045 * np.sin(angle)
    points = loop + outwards * out + np.array([0, 1, 0]) * (0.085 * np.sin(angle) + 0.02)
    count = len(loop)
    row, col = np.meshgrid(np.arange(AROUND), np.arange(count), indexing="ij")
    here, beside = row * count, (row + 1) % AROUND * count
    after = (col + 1) % count
    return points.reshape(-1, 3), np.stack([here + col, here + after, beside + after, beside + col], -1).reshape(-1, 4)


def _knit(person: Person) -> Any:
    t = Nodes("knit")
    at = t.place()
    yarn = [t.add("TexWave", {"Vector": at, "Scale": s, "Distortion": d, "Detail": 2.0}, bands_direction=way).outputs[1]
            for way, s, d in (("X", 38.0, 1.5), ("Y", 46.0, 2.0))]  # fmt: skip
    weave = t.product(*yarn)
    folds = t.noise(
        t.add("Mapping", {"Vector": at, "Rotation": (0, 0, 0.5), "Scale": (1.5, 0.5, 1.0)}).outputs[0], 1.1, 2
    )
    # Seen along the cloth, threads are finer than pixels: their relief would glitter.
    seen = t.ramp(t.add("LayerWeight", {"Blend": 0.5}).outputs["Facing"], 0.35, 0.75, 1.0, 0.0)
    height = t.total(t.product(weave, seen, 0.08), t.product(folds, 9.0))
    r, g, b = person.cloth
    colour = t.mix(t.product(t.noise(at, 60), 0.5), person.cloth, (1.6 * r, 1.6 * g, 1.6 * b))
    inputs = {"Base Color": colour, "Roughness": 0.9, "Sheen Weight": 0.1, "Sheen Roughness": 0.4}
    return t.surface(t.add("BsdfPrincipled", inputs | {"Normal": t.bump(height, 0.03, 0.6)}))
