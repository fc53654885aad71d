"""Whether a portrait stays whole: no fold, tear, hole, spill or seam whatever the coefficients; stillness.

Folds and tears are read off the fields (the determinant of every map from the picture to the photo), holes off a
picture whose background is green, spills off one that is green inside the mouth, seams off the distance between what
two layers show where one fades into the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE, HEAD, INDEX, NAMES
from engine.portrait import Portrait
from engine.portrait.landmarks import find_faces
from engine.portrait.layers_layout import EYE, FRAME, LEFT, MOUTH, RIGHT, SIDE, TEXELS, TONGUE_OUT, Window
from engine.renderer import CpuRenderer
from engine.tracks import rest

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GREEN = np.array([0, 255, 0], np.uint8)
LIMITS = (20.0, 15.0, 20.0)  # degrees of yaw, pitch and roll in mixtures
AT_ONCE = 8  # coefficients of a mixture
MIXTURES = 200
LEVELS = (0.25, 0.5, 0.75, 1.0)
TEAR = 12.0  # times its area that a place of the photo may be drawn out to
SEAM = 4.0  # units between what two layers show where one fades into the other; 3.8 could not be seen on sheets
_OUTLINE = 33  # texels: twice what the face's outline, where hair and matte are soft, takes
_FADING = (8, 247)  # of 255: where a layer fades


def everything(mixtures: int, seed: int = 7, levels: tuple[float, ...] = LEVELS) -> Iterator[tuple[str, Floats]]:
    """Each coefficient alone, then random mixtures with the head within its limits: a name and [69]."""
    for name in FACE:
        for level in levels:
            yield f"{name} {level}", _with({name: level})
    random = np.random.default_rng(seed)
    for i in range(mixtures):
        some = random.choice(len(FACE), AT_ONCE, replace=False)
        pose = dict(zip(HEAD[:3], random.uniform(-1, 1, 3) * LIMITS, strict=True))
        yield f"mixture {i}", _with({FACE[k]: v for k, v in zip(some, random.random(AT_ONCE), strict=True)} | pose)


def _with(levels: Mapping[str, float]) -> Floats:
    values = rest()
    for name, level in levels.items():
        values[INDEX[name]] = level
    return values


@dataclass(frozen=True)
class Wholeness:
    """What one face does to the maps and the picture."""

    least: float
    """Smallest determinant of any map: at 0 it folds."""
    most: float
    """Largest: at TEAR the photo is drawn out to nothing."""
    hole: int
    """Pixels through which the background shows inside the face."""
    spill: int
    """Pixels of the mouth's inside that show beyond the face."""
    seam: float
    """Units between layers where one fades into the other; the 99th percentile."""

    @property
    def faults(self) -> list[str]:
        found = {
            "fold": self.least <= 0, "tear": self.most >= TEAR, "hole": self.hole > 0, "spill": self.spill > 0,
            "seam": self.seam > SEAM,
        }  # fmt: skip
        return [name for name, true in found.items() if true]


class Inspector:
    """Looks at one portrait."""

    def __init__(self, portrait: Portrait, renderer: CpuRenderer) -> None:
        self._portrait, self._renderer = portrait, renderer
        self._closed = closed(portrait)
        self._inked = _inked(portrait), _inked(self._closed)

    def look(self, values: Floats) -> Wholeness:
        """`values` [69]."""
        fields = self._renderer.fields(self._portrait, values)
        layers = self._portrait.layers
        maps = [(FRAME.centres() + _last(fields["person"][0]), FRAME, layers["person"])]
        maps += [(_last(fields["mouth"][0]), MOUTH, layers["lower"])]
        maps += [(_last(eye), EYE, lid) for eye, lid in zip(fields["eyes"][0], layers["lids"], strict=True)]
        areas = [determinant(places, window.cell)[shown(places, picture)] for places, window, picture in maps]
        return Wholeness(
            least=float(np.concatenate(areas).min()),
            most=float(np.concatenate(areas).max()),
            hole=green(self._renderer.render(self._closed, values)),
            spill=max(self._inside(values), 0),
            seam=max(self._seams(fields)),
        )

    def _inside(self, values: Floats) -> int:
        """Pixels in which more of the mouth's inside shows if there is nothing beyond the face to cover it."""
        bare, solid = (green(self._renderer.render(inked, values)) for inked in self._inked)
        return bare - solid

    def _seams(self, fields: Mapping[str, Floats]) -> Iterator[float]:
        """Of the lower lip's rim at the chin, and of the lids' at the brows; their slits' edges part by right."""
        layers, head = self._portrait.layers, FRAME.centres() + _last(fields["person"][0])
        yield _seam(head, fields["mouth"][0], fields["mouth_to"][0], layers["mouth_at"], layers["lower"], MOUTH, 1)
        for side in (LEFT, RIGHT):
            at, to = layers["eye_at"][side], fields["eyes_to"][0, side]
            yield _seam(head, fields["eyes"][0, side], to, at, layers["lids"][side], EYE, -1)


def _last(field: Floats) -> Floats:
    """[2, h, w] -> [h, w, 2]"""
    return field.transpose(1, 2, 0)


def determinant(places: Floats, cell: float) -> Floats:
    """Of a map [h, w, 2] on a lattice; its edges, where nothing is shown, are left out."""
    dy, dx = (np.gradient(places, axis=axis)[2:-2, 2:-2] / cell for axis in (0, 1))
    return np.asarray(dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0], np.float32)


def shown(places: Floats, picture: Rgb) -> npt.NDArray[np.bool_]:
    """[h - 4, w - 4] where a map [h, w, 2] leads to something of a layer RGBA: what is clear may fold."""
    alpha = cv2.remap(picture[..., 3], places * TEXELS - np.float32(0.5), None, cv2.INTER_LINEAR)
    return np.asarray(alpha > _FADING[0])[2:-2, 2:-2]


def _seam(head: Floats, field: Floats, to: Floats, at: Floats, patch: Rgb, window: Window, below: int) -> float:
    """Between the head's map [128, 128, 2] and a patch's [2, h, w] on the far side of its slit."""
    own = _last(field)
    alpha = cv2.remap(patch[..., 3], own * TEXELS - np.float32(0.5), None, cv2.INTER_LINEAR)
    beyond = below * (own[..., 1] - window.height / 2) > 0.1 * window.height
    rim = (alpha > _FADING[0]) & (alpha < _FADING[1]) & beyond
    picture = ((window.centres() + to) / FRAME.cell - 0.5).astype(np.float32)
    under = cv2.remap(head, picture, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = np.linalg.norm(own + at - under, axis=-1)[rim]
    return float(np.percentile(apart, 99)) if apart.size else 0.0


def closed(portrait: Portrait) -> Portrait:
    """The portrait before green, its person solid but for what is clear within the face: there nothing may shine."""
    thumbnail = cv2.imdecode(np.frombuffer(portrait.thumbnail, np.uint8), cv2.IMREAD_COLOR_RGB)
    points = find_faces(np.asarray(thumbnail, np.uint8))[0].points[:468, :2] * TEXELS
    face = np.zeros((SIDE * TEXELS, SIDE * TEXELS), np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(points.round().astype(np.int32)), 1)
    face = cv2.erode(face, np.ones((_OUTLINE, _OUTLINE), np.uint8))
    person = portrait.layers["person"].copy()
    person[face == 0] = (128, 128, 128, 255)
    background = np.broadcast_to(GREEN, portrait.layers["background"].shape).copy()
    return replace(portrait, layers={**portrait.layers, "person": person, "background": background})


def _inked(portrait: Portrait) -> Portrait:
    """The portrait grey, and green inside the mouth."""
    layers = dict(portrait.layers)
    for name, colour in (("person", (128, 128, 128)), ("background", (128, 128, 128)), ("mouth_pictures", GREEN)):
        layers[name] = layers[name].copy()
        layers[name][..., :3] = colour
    layers["mouth_pictures"][TONGUE_OUT, ..., 3] = 0  # which leaves the mouth by right
    return replace(portrait, layers=layers)


def green(picture: Rgb) -> int:
    """Pixels in which pure green shows."""
    rgb = picture.astype(np.int32)
    return int((rgb[..., 1] - np.maximum(rgb[..., 0], rgb[..., 2]) > 100).sum())


def lids(portrait: Portrait, renderer: CpuRenderer, level: float = 1.0) -> float:
    """Share of the eyeballs still seen at a blink of `level`."""
    painted = {}
    for name in ("whites", "irises"):
        painted[name] = portrait.layers[name].copy()
        painted[name][..., :3] = GREEN
    eyes = replace(portrait, layers={**portrait.layers, **painted})
    shut = _with({"eyeBlinkLeft": level, "eyeBlinkRight": level})
    return green(renderer.render(eyes, shut)) / max(green(renderer.render(eyes, rest())), 1)


def still(portrait: Portrait, renderer: CpuRenderer, values: Floats) -> bool:
    """Whether the same coefficients give the same pixels, another picture between them."""
    first = renderer.render(portrait, values)
    renderer.render(portrait, rest())
    return np.array_equal(first, renderer.render(portrait, values))


def sweep(frames: int = 50) -> Floats:
    """[T, 69] a slow and perfectly smooth change: mouth, brows and head, each on its own sine."""
    t = np.linspace(0, 2 * np.pi, frames)
    track = np.tile(rest(), (frames, 1))
    for name, slow, high in (("jawOpen", 1, 0.5), ("mouthSmileLeft", 2, 0.6), ("mouthSmileRight", 2, 0.6)):
        track[:, NAMES.index(name)] = high * (1 - np.cos(slow * t)) / 2
    track[:, NAMES.index("browInnerUp")] = (1 - np.cos(t)) / 2
    track[:, NAMES.index("headYaw")] = 8 * np.sin(t)
    return track.astype(np.float32)
