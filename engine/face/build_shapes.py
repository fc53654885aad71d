"""The 63 shapes: ARKit's 52 as the source has them, with lids that truly close, and eleven for what ARKit lacks."""

import numpy as np

from engine.face.build_mesh import EYE_KEEP, EYE_MARGIN, Cut
from engine.face.coefficients import ARKIT, FACE
from engine.face.head import Part
from engine.face.source import BaseMesh, Floats, Integers, data_dir, target

SIDE_WIDTH = 0.16  # inter-ocular distances over which a one-sided shape fades across the middle
LID_DEPTH = 6  # rings of skin above the margin that a closing lid takes along


def shapes(mesh: BaseMesh, cut: Cut, rings: dict[str, Integers]) -> Floats:
    """[63, V, 3] in the order of `coefficients.FACE`, inter-ocular distances."""
    made = {name: _arkit(name, mesh, cut) for name in ARKIT}
    for side, part in (("Left", Part.EYE_LEFT), ("Right", Part.EYE_RIGHT)):
        made[f"eyeBlink{side}"] = _closing(made[f"eyeBlink{side}"], cut, rings, side.lower(), part)
    made |= _extra(mesh, cut, made)
    return np.stack([made[name] for name in FACE])


def _arkit(name: str, mesh: BaseMesh, cut: Cut) -> Floats:
    return _cut(target(data_dir() / f"faceunits01/targets/faceunits/{name}.target", len(mesh.vertices)), cut)


def _muscle(name: str, mesh: BaseMesh, cut: Cut) -> Floats:
    path = data_dir() / f"mpfb2/targets/expression/units/caucasian/{name}.target.gz"
    return _cut(target(path, len(mesh.vertices)), cut)


def _cut(displacement: Floats, cut: Cut) -> Floats:
    return displacement[cut.source] * cut.scale


def _extra(mesh: BaseMesh, cut: Cut, made: dict[str, Floats]) -> dict[str, Floats]:
    left = 1 / (1 + np.exp(-cut.vertices[:, :1] / (SIDE_WIDTH / 4)))
    sides = {"Left": left, "Right": 1 - left}
    whole = {
        "browInnerUp": made["browInnerUp"],
        "nasolabialDeepener": _muscle("mouth-upward-retraction", mesh, cut),
        "sharpLipPuller": _muscle("mouth-corner-puller", mesh, cut),
    }
    out = {f"{name}{side}": shape * mask for name, shape in whole.items() for side, mask in sides.items()}
    out |= {f"nostrilDilator{side}": _muscle(f"nose-{side.lower()}-dilatation", mesh, cut) for side in sides}
    out["lipTightener"] = _muscle("mouth-compression", mesh, cut)
    out["nostrilCompressor"] = _muscle("nose-compression", mesh, cut)
    upper = made["mouthUpperUpLeft"] + made["mouthUpperUpRight"]
    out["lipBite"] = made["mouthRollLower"] + 0.5 * upper - 0.5 * made["jawForward"]
    return out


def _closing(blink: Floats, cut: Cut, rings: dict[str, Integers], side: str, part: Part) -> Floats:
    """The shape with the upper margin brought exactly onto the lower one, the skin above following ring by ring."""
    out = blink.copy()
    closed = cut.vertices + blink
    lower, upper = closed[rings[f"lid_lower_{side}"]], rings[f"lid_upper_{side}"]
    gap_at = upper[1:-1], np.interp(closed[upper[1:-1], 0], lower[:, 0], lower[:, 1]) - closed[upper[1:-1], 1]
    margin_x, gap = cut.vertices[gap_at[0], 0], gap_at[1]
    order = np.argsort(margin_x)
    middle = cut.eye_centre[int(part == Part.EYE_RIGHT)][1]
    for depth, ring in enumerate(cut.eye_rings[part == Part.EYE_RIGHT]):
        above = depth - (EYE_MARGIN - EYE_KEEP)
        share = 1.0 if above <= 0 else max(0.0, 1 - above / LID_DEPTH)
        lid = np.isin(ring, upper) if above == 0 else cut.vertices[ring, 1] > middle
        out[ring[lid], 1] += share * np.interp(cut.vertices[ring[lid], 0], margin_x[order], gap[order], 0, 0)
    return out
