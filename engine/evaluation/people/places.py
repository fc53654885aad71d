"""Where things are on a person's skin: points of the face, where hair grows, where it reddens, shines and furrows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.evaluation.people.body import Body
from engine.evaluation.people.cast import Person
from engine.evaluation.people.noise import blob, fade, noise
from engine.face.source import Floats, Integers

USUAL_EYES_DM = 0.576  # between the eyes of the head that the lengths below were set on
NECKLINE_DM = 0.54  # below the chin


@dataclass(frozen=True)
class Points:
    """Of the resting face."""

    eyes: Floats
    """[2, 3] left, right."""
    radii: Floats
    nose: Floats
    mouth: Floats
    chin_y: float
    top_y: float

    @cached_property
    def eye(self) -> Floats:
        """Between the eyes."""
        middle: Floats = self.eyes.mean(0)
        return middle

    @property
    def apart(self) -> float:
        return float(self.eyes[0, 0] - self.eyes[1, 0])

    @property
    def size(self) -> float:
        """Of this face, 1 on the usual one."""
        return self.apart / USUAL_EYES_DM

    @cached_property
    def skull(self) -> Floats:
        """Middle of the skull."""
        return np.array([0, (self.eye[1] + self.top_y) / 2 - 0.05, self.eye[2] - 0.75])

    def neckline(self, points: Floats) -> Floats:
        """[N] how high cloth reaches there."""
        back = np.clip((0.80 - points[:, 2]) / 1.3, 0.0, 1.2)
        line: Floats = self.chin_y - NECKLINE_DM + 0.54 * back
        return line


def points_of(body: Body) -> Points:
    eyes, radii = body.eyes
    eye, vertices = eyes.mean(0), body.mesh.vertices
    skin = vertices[body.group("body")]
    front = skin[(abs(skin[:, 0]) < 0.02) & (skin[:, 2] > eye[2])]
    face = front[(front[:, 1] < eye[1]) & (front[:, 1] > eye[1] - 0.7)]
    nose = face[np.argmax(face[:, 2])]
    mouth = np.array([0, vertices[body.group("helper-upper-teeth"), 1].min() - 0.02, nose[2] - 0.14])
    below = (front[:, 1] < mouth[1] - 0.2) & (front[:, 1] > mouth[1] - 0.6) & (front[:, 2] > nose[2] - 0.45)
    return Points(eyes, radii, nose, mouth, float(front[below, 1].min()), float(skin[:, 1].max()))


def visible_quads(body: Body, points: Points) -> tuple[Integers, Integers]:
    """Numbers of the quads of skin above the shirt, and of all skin that the camera could see."""
    quads = body.mesh.quads
    middle = body.mesh.vertices[quads].mean(1)
    seen = (body.mesh.group == "body") & (middle[:, 1] > points.eye[1] - 4.2) & (abs(middle[:, 0]) < 3.2)
    hem = points.neckline(middle) - np.where(abs(middle[:, 0]) < 0.85, 0.30, -0.25)
    return np.flatnonzero(seen & (middle[:, 1] > hem)), np.flatnonzero(seen)


@dataclass(frozen=True)
class Skull:
    """Where hair grows, for each vertex of the fine skin."""

    inside: Floats
    """[S] height above the hairline, negative on the face."""
    ear: Floats
    """[S] 1 on the ears."""
    ear_top: float
    ear_bottom: float
    ear_z: float
    bald: Floats
    """[S] 1 where the top is bald."""


def skull_of(person: Person, points: Points, rest: Floats, ear: Floats) -> Skull:
    ears = rest[ear > 0.5]
    top, bottom, z = float(ears[:, 1].max()), float(ears[:, 1].min()), float(ears[:, 2].mean())
    azimuth = _azimuth(rest, points)
    at_ear = float(np.percentile(_azimuth(ears, points), 3))
    eye, woman = points.eye[1], person.female > 0.5
    front = eye + (0.73 if woman else 0.69) * points.size
    corner, whiskers = (0.0, eye - 0.20) if woman else (0.05, eye - 0.36)
    line = {
        0: front - 0.01, 12: front, 22: front - 0.01 + corner, 31: front - 0.11 + corner, 39: front - 0.27 + corner / 2,
        47: front - 0.42, 54: eye + 0.16 * points.size, at_ear - 20: eye + 0.10, at_ear - 11: eye - 0.06,
        at_ear - 7: whiskers, at_ear - 2: whiskers, at_ear + 6: top - 0.03,
        at_ear + 22: top - 0.05, at_ear + 40: bottom + 0.02, 150: bottom - 0.25, 180: bottom - 0.28,
    }  # fmt: skip
    hairline = np.interp(azimuth, list(line), list(line.values()))
    hairline += 0.05 * noise(rest, 2.5, 5) + 0.03 * noise(rest, 9, 6)
    receding = person.hair.receding
    temples = np.exp(-(((azimuth - 30) / 13) ** 2)) + 0.25 * np.exp(-((azimuth / 16) ** 2))
    hairline += receding * (0.34 * temples + 0.10 * noise(rest, 4, 7))
    crown = fade(rest[:, 1], top + 0.30, top + 0.62) * fade(rest[:, 2], points.skull[2] - 0.75, points.skull[2] - 0.2)
    return Skull(rest[:, 1] - hairline, ear, top, bottom, z, np.clip(receding * 1.25 * crown, 0, 1))


def _azimuth(rest: Floats, points: Points) -> Floats:
    """[N] degrees away from straight ahead about the skull's axis."""
    around: Floats = np.degrees(np.arctan2(abs(rest[:, 0]), rest[:, 2] - points.skull[2]))
    return around


def fields(person: Person, points: Points, skull: Skull, rest: Floats, inner: Floats) -> dict[str, Floats]:
    """[S] what the skin's material reads at each vertex of the fine skin, by name."""
    size, eye, nose, mouth = points.size, points.eye, points.nose, points.mouth
    apart = points.apart

    def both(x: float, y: float, z: float, spread: tuple[float, float, float]) -> Floats:
        return blob(rest, (x, y, z), spread) + blob(rest, (-x, y, z), spread)

    cheek = both(0.70 * apart, nose[1] - 0.06, nose[2] - 0.32, (0.24 * size, 0.20 * size, 0.35))
    flush = both(0.72 * apart, nose[1] - 0.04, nose[2] - 0.34, (0.34 * size, 0.26 * size, 0.40))
    chin = blob(rest, (0, points.chin_y + 0.16, mouth[2]), (0.18, 0.13, 0.2))
    red = 0.50 * flush + 0.60 * blob(rest, nose + [0, -0.03, 0], (0.14, 0.13, 0.16)) + 0.35 * chin + 0.50 * skull.ear
    red += 0.25 * blob(rest, mouth, (0.4, 0.22, 0.3)) + 0.25 * both(
        0.5 * apart, eye[1], eye[2] + 0.12, (0.22, 0.13, 0.2)
    )
    sallow = 0.8 * blob(rest, (0, eye[1] + 0.45 * size, nose[2] - 0.2), (0.5 * size, 0.3 * size, 0.5))
    sallow += 0.5 * blob(rest, mouth + [0, 0.02, 0], (0.34, 0.2, 0.3))
    tired = both(0.47 * apart, eye[1] - 0.13 * size, eye[2] + 0.15, (0.15 * size, 0.06 * size, 0.2))
    tired += both(0.36 * apart, eye[1] - 0.08 * size, eye[2] + 0.15, (0.08 * size, 0.07 * size, 0.2))
    dark = 0.40 * both(0.46 * apart, eye[1] - 0.10, eye[2] + 0.15, (0.17, 0.07, 0.2))
    dark += 0.25 * both(0.30 * apart, eye[1] + 0.03, eye[2] + 0.12, (0.09, 0.12, 0.2))
    dark += 0.08 * both(0.5 * apart, eye[1] + 0.10, eye[2] + 0.12, (0.2, 0.06, 0.2))
    oily = 0.8 * blob(rest, (0, eye[1] + 0.5, nose[2] - 0.25), (0.4, 0.3, 0.4)) + 0.9 * blob(
        rest, nose, (0.14, 0.25, 0.2)
    )
    oily += 0.4 * cheek + 0.5 * chin + 0.6 * both(0.5 * apart, eye[1] + 0.10, eye[2] + 0.12, (0.2, 0.06, 0.2))
    freckles = 0.9 * cheek + blob(rest, nose + [0, 0.15, 0], (0.3, 0.2, 0.4))
    furrow, phase = _furrows(points, rest)
    crop = person.hair.style in ("crop", "curls")
    scalp = fade(skull.inside, *((-0.05, 0.20) if crop else (-0.08, 0.10))) * (skull.ear < 0.3) * (1 - skull.bald)
    return {
        "red": np.clip(red + 0.12 * noise(rest, 1.5, person.seed), 0, 1.2),
        "dark": np.clip(dark, 0, 1),
        "sallow": np.clip(sallow, 0, 1),
        "tired": np.clip(tired, 0, 1),
        "scalp": scalp,
        "lips_near": (blob(rest, mouth, (0.5 * size, 0.28 * size, 0.45)) > 0.02).astype(float),
        "inner": inner,
        "wet": _wet(points, rest),
        "oily": np.clip(oily, 0, 1),
        "porous": np.clip(0.9 * cheek + blob(rest, nose, (0.3, 0.3, 0.3)) + 0.2, 0, 1),
        "beard": beard_area(points, rest),
        "freckled": np.clip(freckles + 0.15 * blob(rest, (0, eye[1] - 0.2, nose[2] - 0.1), (0.8, 0.9, 0.9)), 0, 1),
        "furrow": furrow,
        "phase": phase,
    }


def beard_area(points: Points, rest: Floats) -> Floats:
    """[S] 1 where a man's beard is full: jaw, chin, upper lip, up to the ears; free of the lips."""
    mouth, nose = points.mouth, points.nose
    low = fade(rest[:, 1], nose[1] - 0.16, mouth[1] + 0.03)
    whiskers = fade(rest[:, 2], points.skull[2] + 0.55, points.skull[2] + 0.30) * fade(
        rest[:, 1], points.eye[1] + 0.1, points.eye[1] - 0.15
    )
    far_back = fade(rest[:, 2], points.skull[2] - 0.05, points.skull[2] + 0.12)
    cheek_bare = sum(blob(rest, (s * 0.46, mouth[1] + 0.19, mouth[2] - 0.12), (0.20, 0.16, 0.3)) for s in (-1, 1))
    full = np.clip(low + whiskers, 0, 1) * far_back * (1 - 0.85 * np.clip(cheek_bare, 0, 1))
    full *= np.maximum(fade(rest[:, 1], nose[1] - 0.03, nose[1] - 0.13), whiskers)
    moustache = blob(rest, (0, mouth[1] + 0.13, mouth[2] + 0.02), (0.33, 0.085, 0.28))
    full = np.maximum(full, fade(moustache, 0.25, 0.6))
    lips = blob(rest, mouth - [0, 0.01, 0], (0.27 * points.size, 0.10 * points.size, 0.3))
    neck = fade(rest[:, 1], points.chin_y - 0.30, points.chin_y - 0.04)
    grown: Floats = np.clip(full, 0, 1) * fade(lips, 0.62, 0.38) * neck
    return grown


def _wet(points: Points, rest: Floats) -> Floats:
    """[S] 1 on the lids' margins."""
    wet = np.zeros(len(rest))
    for centre, radius in zip(points.eyes, points.radii, strict=True):
        away = np.linalg.norm(rest - centre, axis=1)
        wet = np.maximum(wet, 0.8 * fade(away, radius * 1.10, radius * 1.02) * (rest[:, 2] > centre[2] + 0.05))
    return wet


def _furrows(points: Points, rest: Floats) -> tuple[Floats, Floats]:
    """[S] how deep skin furrows with age, and [S] a phase that counts the furrows: lines lie where it is whole."""
    x, y, _ = rest.T
    eye, size = points.eye, points.size
    forehead = blob(rest, (0, eye[1] + 0.56 * size, points.nose[2] - 0.25), (0.42 * size, 0.19 * size, 0.4))
    weight, phase = [0.9 * forehead], [(y - eye[1]) * 8.5 / size + 0.25 * noise(rest, 1.6, 61)]
    frown = blob(rest, (0, eye[1] + 0.18 * size, points.nose[2] - 0.12), (0.10 * size, 0.12 * size, 0.3))
    weight, phase = [*weight, 0.8 * frown], [*phase, x * 11 / size + 0.5 + 0.1 * noise(rest, 3, 62)]
    throat = fade(y, points.chin_y - 0.02, points.chin_y - 0.14) * fade(abs(x), 0.5, 0.25) * (rest[:, 2] > 0)
    weight, phase = [*weight, 1.5 * throat], [*phase, (y - 0.35 * x**2) * 3.6 + 0.12 * noise(rest, 1.2, 65)]
    for side, centre in zip((1, -1), points.eyes, strict=True):
        corner = centre + [side * 0.19 * size, -0.015, 0.02]
        out, up = side * (x - corner[0]), y - corner[1]
        feet = blob(rest, corner + [side * 0.11 * size, 0.0, -0.04], (0.12 * size, 0.15 * size, 0.25))
        angle = np.arctan2(up, np.maximum(out + 0.10 * size, 0.02))
        weight, phase = [*weight, feet * fade(out, -0.04, 0.05)], [*phase, angle * 5.2 + 0.15 * noise(rest, 4, 63)]
        bag = blob(rest, centre + [0, -0.19 * size, 0.12], (0.17 * size, 0.09 * size, 0.2))
        arc = np.hypot(x - centre[0], (y - centre[1] - 0.1) * 1.1)
        weight, phase = [*weight, 0.55 * bag], [*phase, arc * 12 / size + 0.2 * noise(rest, 3, 64)]
    weights = np.stack(weight)
    second, first = np.sort(weights, 0)[-2:]  # none where two kinds meet: their phases do not fit together
    return first - second, np.stack(phase)[np.argmax(weights, 0), np.arange(len(rest))]
