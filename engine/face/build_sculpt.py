"""Shapes of our own, for units whose muscle the source has no target for: smooth fields over the face at rest."""

import numpy as np

from engine.face.build_closing import spread_from_lips
from engine.face.build_mesh import Cut
from engine.face.source import Floats, Integers

# The left nasolabial fold in the picture's plane: from the nose's wing to beside the mouth's corner.
FOLD_TOP, FOLD_END = np.array([0.29, -0.64]), np.array([0.53, -1.16])
DIMPLE = np.array([0.49, -1.17])
MOUTH = np.array([0.0, -1.17])
TEETH_EDGE = np.array([-1.115, 0.375])  # y, z where a bitten lower lip lies under the upper teeth


def nasolabial_deepener(cut: Cut) -> Floats:
    """AU 11, zygomaticus minor: the fold's middle deepens, cheek bulges above it, the lip below is drawn up and out."""
    x, y, z = cut.vertices.T
    at = np.stack([abs(x), y], 1) - FOLD_TOP
    way = FOLD_END - FOLD_TOP
    along = at @ way / (way @ way)
    across = (at @ np.array([-way[1], way[0]])) / np.linalg.norm(way)  # positive on the cheek's side
    middle = np.exp(-(((along - 0.5) / 0.42) ** 2)) * (z > -0.2)
    fold, cheek, lip = (np.exp(-(((across - centre) / width) ** 2)) * middle for centre, width in _BANDS)
    side = np.sign(x)
    return np.stack([side * (0.035 * lip - 0.02 * cheek), 0.06 * lip + 0.05 * cheek, 0.09 * cheek - 0.07 * fold], 1)


_BANDS = ((0.0, 0.05), (0.11, 0.09), (-0.13, 0.10))  # the fold, the cheek, the lip: where across the fold, how wide


def dimple(cut: Cut, side: int) -> Floats:
    """AU 14, buccinator: the dent beside the mouth's corner that the source's shape lacks. `side` is 1 or -1."""
    x, y, z = cut.vertices.T
    away = np.hypot(side * x - DIMPLE[0], y - DIMPLE[1])
    dent = np.exp(-((away / 0.08) ** 2)) - 0.35 * np.exp(-(((away - 0.17) / 0.07) ** 2))
    dent *= (z > -0.3) & (side * x > 0)
    return np.stack([np.zeros_like(x), np.zeros_like(x), -0.06 * dent], 1)


def lip_tightener(cut: Cut, roll: Floats) -> Floats:
    """AU 23, orbicularis oris: the red of both lips turns in and the mouth narrows, its corners staying level."""
    x, y, z = cut.vertices.T
    near = np.exp(-(((x / 0.62) ** 2 + ((y - MOUTH[1]) / 0.34) ** 2) ** 2)) * (z > 0)
    narrow = np.stack([-0.20 * x * near, np.zeros_like(x), 0.03 * near], 1)
    tightened: Floats = 0.55 * roll + narrow
    return tightened


def rounded(cut: Cut) -> Floats:
    """Orbicularis oris as it gathers: the corners come in, the lips swell and turn out. The source only brings them
    forward."""
    x, y, z = cut.vertices.T
    down = y - MOUTH[1]
    near = np.exp(-(((x / 0.66) ** 2 + (down / 0.46) ** 2) ** 2)) * (z > -0.1)
    red = np.exp(-(((x / 0.36) ** 2 + (down / 0.2) ** 2) ** 2)) * (z > 0)
    return np.stack([-0.2 * x * near, 0.22 * down * red, 0.05 * red], 1)


def lip_bite(cut: Cut, rings: dict[str, Integers], upper_up: Floats) -> Floats:
    """AU 32: the lower lip's edge goes back under the upper teeth, which the upper lip bares."""
    lower = rings["lips_lower"]
    edge = cut.vertices[lower]
    share = np.clip(1 - (edge[:, 0] / edge[-1, 0]) ** 4, 0, 1)[:, None]
    moves = share * (np.column_stack([edge[:, 0], np.tile(TEETH_EDGE, (len(edge), 1))]) - edge)
    return spread_from_lips(cut, rings, moves) + upper_up
