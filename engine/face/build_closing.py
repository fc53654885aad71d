"""Edges that should touch, touch: lips at rest and where mouthClose undoes jawOpen, lids where eyeBlink is 1."""

from dataclasses import replace

import numpy as np

from engine.face.build_mesh import EYE_KEEP, EYE_MARGIN, MOUTH_KEEP, MOUTH_MARGIN, Cut
from engine.face.head import Part
from engine.face.source import Floats, Integers

LIP_REACH, LID_REACH, BITE_REACH = 5, 6, 7  # rings of skin beyond the margin that share a correction, less and less


def with_lips_closed(cut: Cut, rings: dict[str, Integers]) -> Cut:
    """The source's lips part by a thirtieth of an inter-ocular distance: each comes half the way."""
    return replace(cut, vertices=cut.vertices + lips_together(cut, rings, cut.vertices))


def lips_together(cut: Cut, rings: dict[str, Integers], posed: Floats) -> Floats:
    """[V, 3] what brings the lips' edges together halfway where the head is `posed` [V, 3]."""
    upper, lower = rings["lips_upper"], rings["lips_lower"]
    inner = cut.mouth_rings[: MOUTH_MARGIN - MOUTH_KEEP + LIP_REACH]
    edges = np.concatenate([upper, lower[1:-1]])
    moves = np.concatenate([_gap(cut, posed, upper, lower), _gap(cut, posed, lower, upper)[1:-1]]) / 2
    return _spread(cut, inner, MOUTH_MARGIN - MOUTH_KEEP, LIP_REACH, edges, moves)


def spread_from_lips(cut: Cut, rings: dict[str, Integers], lower_moves: Floats) -> Floats:
    """[V, 3] the lower lip taken along where its edge moves [N, 3], the upper lip's edge held."""
    upper, lower = rings["lips_upper"], rings["lips_lower"]
    edges = np.concatenate([upper, lower[1:-1]])
    moves = np.concatenate([np.zeros((len(upper), 3)), lower_moves[1:-1]])
    skin = cut.mouth_rings[: MOUTH_MARGIN - MOUTH_KEEP + BITE_REACH]
    return _spread(cut, skin, MOUTH_MARGIN - MOUTH_KEEP, BITE_REACH, edges, moves)


def lids_closing(blink: Floats, cut: Cut, rings: dict[str, Integers], part: Part) -> Floats:
    """[V, 3] the shape, scaled to close this head's eye, its upper margin brought exactly onto the lower one."""
    side = "right" if part == Part.EYE_RIGHT else "left"
    upper, lower = rings[f"lid_upper_{side}"], rings[f"lid_lower_{side}"]
    opening, still_open = _gap(cut, cut.vertices, upper, lower), _gap(cut, cut.vertices + blink, upper, lower)
    closes = (opening - still_open)[:, 1]
    scaled = blink * (closes @ opening[:, 1]) / (closes @ closes)
    edges = np.concatenate([upper, lower[1:-1]])
    moves = _gap(cut, cut.vertices + scaled, upper, lower)
    moves = np.concatenate([moves, np.zeros((len(lower) - 2, 3))])
    skin = cut.eye_rings[part == Part.EYE_RIGHT][: EYE_MARGIN - EYE_KEEP + LID_REACH]
    return scaled + _spread(cut, skin, EYE_MARGIN - EYE_KEEP, LID_REACH, edges, moves)


def shares(line: Floats) -> Floats:
    """How far along a polyline [N, D] each of its points lies, 0 to 1."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    share: Floats = length / length[-1]
    return share


def _gap(cut: Cut, posed: Floats, edge: Integers, other: Integers) -> Floats:
    """[N, 3] from each vertex of an edge to the point of the other edge at the same share of its length at rest."""
    at, along = shares(cut.vertices[edge]), shares(cut.vertices[other])
    opposite = np.stack([np.interp(at, along, posed[other, axis]) for axis in range(3)], 1)
    gap: Floats = opposite - posed[edge]
    return gap


def _spread(cut: Cut, skin: list[Integers], margin: int, reach: int, edges: Integers, moves: Floats) -> Floats:
    """The edges' `moves` [N, 3], taken along by the rings of `skin`: fully inside of the margin, fading outside."""
    out = np.zeros_like(cut.vertices)
    for depth, ring in enumerate(skin):
        away = np.linalg.norm(cut.vertices[ring, None] - cut.vertices[None, edges], axis=2)
        weight = 1 / (away**3 + 1e-9)
        fade = np.clip(1 - (depth - margin) / reach, 0, 1)
        out[ring] = fade * (weight / weight.sum(1, keepdims=True)) @ moves
    out[edges] = moves
    return out
