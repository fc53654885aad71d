"""The 63 shapes: ARKit's 52 as the source has them, with lids that truly close, and eleven for what ARKit lacks."""

import numpy as np

from engine.face.build_closing import lids_closing, lips_together
from engine.face.build_mesh import Cut
from engine.face.build_sculpt import dimple, lip_bite, lip_tightener, nasolabial_deepener, rounded
from engine.face.coefficients import ARKIT, FACE, GAZE_DEGREES
from engine.face.head import Part
from engine.face.source import BaseMesh, Floats, Integers, data_dir, target

SIDE_WIDTH = 0.16  # inter-ocular distances over which a one-sided shape fades across the middle
BOLDER = {"browInnerUp": 1.5, "noseSneerLeft": 1.5, "noseSneerRight": 1.5}  # times what the source does: too faint at 1
ROUNDER = {"mouthPucker": 1.0, "mouthFunnel": 0.6}  # of our own rounding, on top of the source's
LEFT_OPEN = 0.16  # of a funnel in a pucker: gathered lips leave a hole
NOSTRILS, NARROWED = 2.2, 0.55  # likewise; and the share of it, inwards, that a compressor makes
LOOK = {"Up": (0, 1), "Down": (0, -1), "Left": (1, 0), "Right": (-1, 0)}
LIDS_FOLLOW = {"Up": 1.4}  # times what the source does: its eyes turn up less than ours


def shapes(mesh: BaseMesh, cut: Cut, rings: dict[str, Integers]) -> Floats:
    """[63, V, 3] in the order of `coefficients.FACE`, inter-ocular distances."""
    made = {name: BOLDER.get(name, 1) * _arkit(name, mesh, cut) for name in ARKIT}
    for side, part in (("Left", Part.EYE_LEFT), ("Right", Part.EYE_RIGHT)):
        made[f"eyeBlink{side}"] = lids_closing(made[f"eyeBlink{side}"], cut, rings, part)
        made |= _gaze(made, cut, side, part)
        made[f"mouthDimple{side}"] += dimple(cut, 1 if part == Part.EYE_LEFT else -1)
    made["mouthPucker"] += LEFT_OPEN * made["mouthFunnel"]
    for name, share in ROUNDER.items():
        made[name] += share * rounded(cut)
    opened = made["jawOpen"] + made["mouthClose"]
    made["mouthClose"] += lips_together(cut, rings, cut.vertices + opened)
    made |= _extra(mesh, cut, rings, made)
    return _lashes_follow(np.stack([made[name] for name in FACE]), cut)


def _arkit(name: str, mesh: BaseMesh, cut: Cut) -> Floats:
    return _cut(target(data_dir() / f"faceunits01/targets/faceunits/{name}.target", len(mesh.vertices)), cut)


def _muscle(name: str, mesh: BaseMesh, cut: Cut) -> Floats:
    path = data_dir() / f"mpfb2/targets/expression/units/caucasian/{name}.target.gz"
    return _cut(target(path, len(mesh.vertices)), cut)


def _cut(displacement: Floats, cut: Cut) -> Floats:
    return displacement[cut.source] * cut.scale


def _extra(mesh: BaseMesh, cut: Cut, rings: dict[str, Integers], made: dict[str, Floats]) -> dict[str, Floats]:
    whole = {
        "browInnerUp": made["browInnerUp"],
        "nasolabialDeepener": nasolabial_deepener(cut),
        "sharpLipPuller": _muscle("mouth-corner-puller", mesh, cut),
    }
    left = 1 / (1 + np.exp(-cut.vertices[:, :1] / (SIDE_WIDTH / 4)))
    out = {
        f"{name}{side}": shape * mask
        for name, shape in whole.items()
        for side, mask in (("Left", left), ("Right", 1 - left))
    }
    for side in ("Left", "Right"):
        out[f"nostrilDilator{side}"] = NOSTRILS * _muscle(f"nose-{side.lower()}-dilatation", mesh, cut)
    out["nostrilCompressor"] = -NARROWED * (out["nostrilDilatorLeft"] + out["nostrilDilatorRight"])
    out["lipTightener"] = lip_tightener(cut, made["mouthRollLower"] + made["mouthRollUpper"])
    bared = made["mouthUpperUpLeft"] + made["mouthUpperUpRight"]
    out["lipBite"] = lip_bite(cut, rings, bared) + 0.35 * made["mouthRollLower"]
    return out


def _gaze(made: dict[str, Floats], cut: Cut, side: str, part: Part) -> dict[str, Floats]:
    """One eye's four looks: the lids as the source has them, the eyeball as a true turn."""
    other = "Right" if side == "Left" else "Left"
    looks = {"Up": "Up", "Down": "Down", "Out": side, "In": other}
    eye, centre = np.unique(cut.triangles[cut.part == part]), cut.eye_centre[int(part == Part.EYE_RIGHT)]
    out = {}
    for look, direction in looks.items():
        shape = made[f"eyeLook{look}{side}"] * LIDS_FOLLOW.get(look, 1)
        arm = cut.vertices[eye] - centre
        shape[eye] = arm @ _turn(*LOOK[direction]).T - arm
        out[f"eyeLook{look}{side}"] = shape
    return out


def _turn(left: float, up: float) -> Floats:
    """The rotation [3, 3] that carries z towards (left, up) by its share of GAZE_DEGREES."""
    angle = np.radians(GAZE_DEGREES[up != 0])
    c, s = np.cos(angle), np.sin(angle)
    to = np.array([left, up, 0.0])
    k = np.array([[0, 0, left], [0, 0, up], [-left, -up, 0.0]])
    turn: Floats = np.eye(3) + s * k + (c - 1) * (np.outer(to, to) + np.diag([0, 0, 1.0]))
    return turn


def _lashes_follow(shapes: Floats, cut: Cut) -> Floats:
    """The source leaves the lashes behind: each goes with the skin nearest to its root."""
    lashes = np.unique(cut.triangles[cut.part == Part.LASHES])
    lids = np.unique(np.concatenate([v for rings in cut.eye_rings for v in rings[:4]]))
    away = np.linalg.norm(cut.vertices[lashes, None] - cut.vertices[None, lids], axis=2)
    weight = 1 / (away**4 + 1e-9)
    shapes[:, lashes] = np.einsum("lm,kmc->klc", weight / weight.sum(1, keepdims=True), shapes[:, lids])
    return shapes
