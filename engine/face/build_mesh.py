"""Cuts the head out of the body: what a camera can see of it, and the rings around its openings."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face.head import Part
from engine.face.source import BaseMesh, Floats, Integers

BELOW_TOP_DM = 3.3  # of the head, down to the collar bones
GROUPS = {
    "body": Part.SKIN,
    "helper-l-eye": Part.EYE_LEFT,
    "helper-r-eye": Part.EYE_RIGHT,
    "helper-upper-teeth": Part.UPPER_TEETH,
    "helper-lower-teeth": Part.LOWER_TEETH,
    "helper-tongue": Part.TONGUE,
}
# Rings of vertices around a pole at the back of each socket and of the mouth, counted from the pole: the ring where the
# skin turns out into the open, and the first one worth keeping (what lies deeper is never seen).
EYE_MARGIN, EYE_KEEP = 14, 11
MOUTH_MARGIN, MOUTH_KEEP = 12, 9
LIPS_BORDER = 17  # where the red of the lips ends


@dataclass(frozen=True)
class Cut:
    """The head as arrays, and its way back to the body."""

    vertices: Floats
    triangles: Integers
    part: npt.NDArray[np.uint8]
    uv: Floats
    source: Integers
    """[V] each vertex's number in the body."""
    scale: float
    """Inter-ocular distances a decimetre."""
    eye_centre: Floats
    eye_radius: float
    eye_rings: tuple[list[Integers], list[Integers]]
    """Left, right: rings from EYE_KEEP outwards, numbers in the cut."""
    mouth_rings: list[Integers]
    """Rings from MOUTH_KEEP outwards, numbers in the cut."""


def cut_head(mesh: BaseMesh) -> Cut:
    """The visible head. Deep inside of the sockets and of the mouth is left out."""
    body = mesh.quads[mesh.group == "body"]
    neighbours = _neighbours(body)
    eyes = [_box(mesh, f"helper-{side}-eye") for side in "lr"]
    centre = np.array([(low + high) / 2 for low, high in eyes])
    eye_rings = [_rings_from(neighbours, _behind(mesh, body, c), EYE_MARGIN + 12) for c in centre]
    mouth_rings = _rings_from(neighbours, _throat(mesh, body), MOUTH_MARGIN + 12)
    hidden = {v for rings in eye_rings for ring in rings[:EYE_KEEP] for v in ring}
    hidden |= {v for ring in mouth_rings[:MOUTH_KEEP] for v in ring}
    quads, part = _kept(mesh, hidden)
    source = np.unique(quads)
    number = np.full(len(mesh.vertices), -1)
    number[source] = np.arange(len(source))
    scale = 1 / float(np.linalg.norm(centre[0] - centre[1]))
    triangles = np.concatenate([number[quads[:, [0, 1, 2]]], number[quads[:, [0, 2, 3]]]])
    return Cut(
        vertices=(mesh.vertices[source] - centre.mean(0)) * scale,
        triangles=triangles,
        part=np.tile(part, 2).astype(np.uint8),
        uv=mesh.uv[source],
        source=source,
        scale=scale,
        eye_centre=(centre - centre.mean(0)) * scale,
        eye_radius=float((eyes[0][1] - eyes[0][0])[0] / 2 * scale),
        eye_rings=(_renumber(eye_rings[0][EYE_KEEP:], number), _renumber(eye_rings[1][EYE_KEEP:], number)),
        mouth_rings=_renumber(mouth_rings[MOUTH_KEEP:], number),
    )


def eye_ring(cut: Cut, part: Part) -> Integers:
    """The lids' margin, unordered."""
    return cut.eye_rings[part == Part.EYE_RIGHT][EYE_MARGIN - EYE_KEEP]


def mouth_ring(cut: Cut) -> Integers:
    """The edges of the lips that touch, unordered."""
    return cut.mouth_rings[MOUTH_MARGIN - MOUTH_KEEP]


def contours(cut: Cut) -> dict[str, Integers]:
    """The vertices along each of `Head.rings`."""
    rings = dict(zip(("lips_upper", "lips_lower"), split_ring(cut, mouth_ring(cut)), strict=True))
    border = split_ring(cut, cut.mouth_rings[LIPS_BORDER - MOUTH_KEEP])
    rings |= dict(zip(("lips_outer_upper", "lips_outer_lower"), border, strict=True))
    for side, part in (("left", Part.EYE_LEFT), ("right", Part.EYE_RIGHT)):
        upper, lower = split_ring(cut, eye_ring(cut, part))
        rings |= {f"lid_upper_{side}": upper, f"lid_lower_{side}": lower}
    return rings


def split_ring(cut: Cut, ring: Integers) -> tuple[Integers, Integers]:
    """The upper and the lower way along a ring, from its right corner (least x) to its left; both hold the corners."""
    right, left = (int(ring[i(cut.vertices[ring, 0])]) for i in (np.argmin, np.argmax))
    beside = _ring_edges(cut, set(ring.tolist()))
    ways = [_walk(beside, right, first, left) for first in sorted(beside[right])]
    lower, upper = sorted(ways, key=lambda way: float(cut.vertices[way[1:-1], 1].mean()))
    return upper, lower


def _ring_edges(cut: Cut, ring: set[int]) -> dict[int, set[int]]:
    """Each vertex's two neighbours along the ring. An edge between two that have a third one is a chord: left out."""
    beside: dict[int, set[int]] = {v: set() for v in ring}
    for face in cut.triangles.tolist():
        on = ring.intersection(face)
        for v in on:
            beside[v] |= on - {v}
    crowded = {v for v, others in beside.items() if len(others) > 2}
    for v in crowded:
        beside[v] -= crowded
    if any(len(others) != 2 for others in beside.values()):
        raise ValueError("these vertices are no simple ring")
    return beside


def _walk(beside: dict[int, set[int]], start: int, first: int, end: int) -> Integers:
    way = [start, first]
    while way[-1] != end:
        way += beside[way[-1]] - {way[-2]}
    return np.array(way)


def _kept(mesh: BaseMesh, hidden: set[int]) -> tuple[Integers, Integers]:
    top = mesh.vertices[mesh.quads[mesh.group == "body"]][..., 1].max()
    part = np.full(len(mesh.quads), -1)
    for group, which in GROUPS.items():
        part[mesh.group == group] = which
    part[[g.startswith(("helper-l-eyelashes", "helper-r-eyelashes")) for g in mesh.group]] = Part.LASHES
    high = (mesh.vertices[mesh.quads][..., 1] > top - BELOW_TOP_DM).all(1)
    seen = ~np.isin(mesh.quads, list(hidden)).any(1)
    keep = (part >= 0) & high & (seen | (part != Part.SKIN))
    return mesh.quads[keep], part[keep]


def _neighbours(faces: Integers) -> dict[int, set[int]]:
    around: dict[int, set[int]] = defaultdict(set)
    for face in faces.tolist():
        for corner in face:
            around[corner].update(face)
    return around


def _rings_from(neighbours: dict[int, set[int]], poles: list[int], count: int) -> list[Integers]:
    """Ring 0 is the poles; every further ring is what touches the one before."""
    ring, seen = set(poles), set(poles)
    rings = [np.array(sorted(ring))]
    for _ in range(count):
        ring = set().union(*(neighbours[v] for v in ring)) - seen
        seen |= ring
        rings.append(np.array(sorted(ring)))
    return rings


def _renumber(rings: list[Integers], number: Integers) -> list[Integers]:
    return [kept[kept >= 0] for kept in (number[ring] for ring in rings)]


def _box(mesh: BaseMesh, group: str) -> tuple[Floats, Floats]:
    points = mesh.vertices[np.unique(mesh.quads[mesh.group == group])]
    return points.min(0), points.max(0)


def _behind(mesh: BaseMesh, body: Integers, eye: Floats) -> list[int]:
    """The socket's pole: the skin vertex nearest to the eye's axis behind the eyeball."""
    ids = np.unique(body)
    away = mesh.vertices[ids] - eye
    ids = ids[(np.linalg.norm(away + [0, 0, 0.15], axis=1) < 0.35) & (away[:, 2] < -0.05)]
    return [int(ids[np.argmin(np.linalg.norm((mesh.vertices[ids] - eye)[:, :2], axis=1))])]


def _throat(mesh: BaseMesh, body: Integers) -> list[int]:
    """The mouth's poles: the two vertices of the middle line furthest back inside."""
    ids = np.unique(body)
    lips = _box(mesh, "helper-upper-teeth")[0][1], _box(mesh, "helper-upper-teeth")[1]
    x, y, z = mesh.vertices[ids].T
    inside = (abs(x) < 1e-3) & (abs(y - lips[0]) < 0.15) & (z > lips[1][2] - 1.0) & (z < lips[1][2] - 0.5)
    return [int(v) for v in ids[inside][np.argsort(z[inside])][:2]]
