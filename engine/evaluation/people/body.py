"""A person's whole mesh at rest and what each coefficient does to it: the source's people and details, mixed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.evaluation.people.cast import Person
from engine.evaluation.people.noise import fade
from engine.face.build_closing import with_lips_closed
from engine.face.build_mesh import Cut, contours, cut_head
from engine.face.build_shapes import shapes
from engine.face.coefficients import ARKIT, FACE
from engine.face.source import BaseMesh, Floats, Integers, average_adult, base_mesh, data_dir, target

SIDED = {"eyes": "eye", "cheek": "cheek", "ears": "ear"}  # folders whose details come as left and right
ASKEW = ("brown-1", "cheek-1", "eye-2", "eye-5", "jaw-1", "mouth-1", "nose-2", "ear-1", "temple-1")
VARIED = ("nose/nose-width1", "nose/nose-point-width", "mouth/mouth-cupidsbow", "chin/chin-height", "nose/nose-volume")
SHOULDERS_DM = (1.35, 2.1)  # below the eyes: hanging arms make them narrower and sloping from here to there


@dataclass(frozen=True)
class Body:
    """The rest pose is the person's resting face, lips together; coefficients add to it."""

    mesh: BaseMesh
    shapes: Floats
    """[63, V, 3] displacement where each of `coefficients.FACE` is 1."""
    scale: float
    """Inter-ocular distances a decimetre."""
    rings: Mapping[str, Integers]
    """`Head.rings`, numbered as the whole mesh is."""

    def posed(self, coefficients: Mapping[str, float]) -> Floats:
        """[V, 3]"""
        moved = self.mesh.vertices.copy()
        for name, value in coefficients.items():
            moved += value * self.shapes[FACE.index(name)]
        return moved

    def group(self, name: str) -> Integers:
        """The vertices of one of the source's groups, such as "helper-l-eye"."""
        return np.unique(self.mesh.quads[self.mesh.group == name])

    @cached_property
    def eyes(self) -> tuple[Floats, Floats]:
        """Centres [2, 3] and radii [2] of the left and the right eye."""
        found = [_sphere(self.mesh.vertices[self.group(f"helper-{side}-eye")]) for side in "lr"]
        return np.array([centre for centre, _ in found]), np.array([radius for _, radius in found])


def build(person: Person) -> Body:
    mesh = _identity(person)
    cut, rings = _cut_like_the_average(mesh)
    closed = with_lips_closed(cut, rings)
    vertices = mesh.vertices.copy()
    vertices[cut.source] += (closed.vertices - cut.vertices) / cut.scale
    moves = _all_shapes(replace(mesh, vertices=vertices), closed, rings)
    for name, value in person.resting.items():
        vertices += value * moves[FACE.index(name)]
    on_body = {name: cut.source[ring] for name, ring in rings.items()}
    return Body(replace(mesh, vertices=vertices), moves, cut.scale, on_body)


def _cut_like_the_average(mesh: BaseMesh) -> tuple[Cut, dict[str, Integers]]:
    """This person's head with the average head's vertices and rings: which are which does not depend on the person."""
    average = cut_head(average_adult())
    eyes = [_sphere(mesh.vertices[_of(mesh, f"helper-{side}-eye")]) for side in "lr"]
    centre = np.array([middle for middle, _ in eyes])
    scale = 1 / float(np.linalg.norm(centre[0] - centre[1]))
    origin = centre.mean(0)
    cut = replace(
        average,
        vertices=(mesh.vertices[average.source] - origin) * scale,
        scale=scale,
        eye_centre=(centre - origin) * scale,
        eye_radius=eyes[0][1] * scale,
    )
    return cut, contours(average)


def _all_shapes(mesh: BaseMesh, cut: Cut, rings: dict[str, Integers]) -> Floats:
    """[63, V, 3] the project's shapes on the head; what lies deeper in mouth and sockets moves as in the source."""
    out = np.zeros((len(FACE), *mesh.vertices.shape))
    for index, name in enumerate(ARKIT):
        out[index] = target(data_dir() / f"faceunits01/targets/faceunits/{name}.target", len(mesh.vertices))
    out[:, cut.source] = shapes(mesh, cut, rings) / cut.scale
    return out


def _identity(person: Person) -> BaseMesh:
    mesh = base_mesh()
    vertices = mesh.vertices.copy()
    for path, weight in [*_kinds(person), *_details(person)]:
        vertices += weight * target(data_dir() / f"mpfb2/targets/{path}.target.gz", len(vertices))
    eyes = vertices[_of(mesh, "helper-l-eye"), 1].mean()
    low, far = fade(eyes - vertices[:, 1], *SHOULDERS_DM), abs(vertices[:, 0])
    vertices[:, 1] -= 0.42 * low * fade(far, 0.55, 1.9)
    vertices[:, 0] *= 1 - 0.15 * low * fade(far, 0.4, 1.5)
    return replace(mesh, vertices=vertices)


def _kinds(person: Person) -> Iterator[tuple[str, float]]:
    """The source's kinds of people and how much of each."""
    for sex, sex_share in (("female", person.female), ("male", 1 - person.female)):
        for age, age_share in (("young", 1 - person.old), ("old", person.old)):
            share = sex_share * age_share
            if share == 0:
                continue
            yield f"macrodetails/universal-{sex}-{age}-averagemuscle-averageweight", share
            for race, weight in person.race.items():
                yield f"macrodetails/{race}-{sex}-{age}", share * weight


def _details(person: Person) -> Iterator[tuple[str, float]]:
    """What the person's row asks for, and a little of what makes every face askew."""
    for path, weight in person.details.items():
        folder, name = path.split("/")
        for side in ("l-", "r-") if folder in SIDED else ("",):
            yield f"{folder}/{side}{name}", weight
    rng = np.random.default_rng(person.seed)
    for name in ASKEW:
        yield f"asym/asym-{name}-{rng.choice(['l', 'r'])}", float(rng.uniform(0.06, 0.22))
    for name in VARIED:
        weight = float(rng.normal(0, 0.15))
        yield f"{name}-{'incr' if weight > 0 else 'decr'}", abs(weight)


def _of(mesh: BaseMesh, group: str) -> Integers:
    return np.unique(mesh.quads[mesh.group == group])


def _sphere(points: Floats) -> tuple[Floats, float]:
    """Centre [3] and radius of the sphere that lies nearest to the points [N, 3]."""
    a = np.concatenate([2 * points, np.ones((len(points), 1))], 1)
    x = np.linalg.lstsq(a, (points**2).sum(1), rcond=None)[0]
    return x[:3], float(np.sqrt(x[3] + (x[:3] ** 2).sum()))
