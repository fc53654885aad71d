"""Directions in which heads differ: principal components of the source's own morphs, symmetric, without pose."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.face.build_mesh import Cut
from engine.face.source import RACES, SEXES, BaseMesh, Floats, data_dir, target

FOLDERS = ("head", "nose", "eyes", "mouth", "chin", "cheek", "eyebrows", "forehead", "ears", "neck")
PEOPLE = [f"{race}-{sex}-{age}" for race in RACES for sex in SEXES for age in ("child", "young", "old")]
DIRECTIONS = 40
DETAIL, PEOPLE_WEIGHT = 0.12, 0.6  # standard deviation of each detail's weight, all independent; share of the kinds'
ASKEW = ("head-angle", *(f"{part}-trans-{way}" for part in ("head", "nose", "mouth", "neck") for way in ("in", "out")))
CHIN, EARS = -2.0, -0.8  # y and z of the face's limits


def identity_directions(mesh: BaseMesh, cut: Cut) -> Floats:
    """[40, V, 3], each one standard deviation, the strongest first, in inter-ocular distances."""
    details = np.stack([_posed_back(morph, cut) for morph in _details(mesh, cut)])
    people = np.stack([_posed_back(morph, cut) for morph in _people(mesh, cut)])
    factors = np.concatenate([DETAIL * details, PEOPLE_WEIGHT / np.sqrt(len(people)) * people])
    # The factors' outer product is the covariance. What differs in the face decides; neck and shoulders come along.
    face = (cut.vertices[:, 1] > CHIN) & (cut.vertices[:, 2] > EARS)
    mixes, _, _ = np.linalg.svd(factors[:, face].reshape(len(factors), -1), full_matrices=False)
    directions: Floats = np.tensordot(mixes[:, :DIRECTIONS].T, factors, 1)
    return directions


def _details(mesh: BaseMesh, cut: Cut) -> Iterator[Floats]:
    for folder in FOLDERS:
        for path in sorted((data_dir() / f"mpfb2/targets/{folder}").glob("*.target.gz")):
            if path.name.startswith("r-") or path.name.startswith(ASKEW):
                continue  # a right side comes with its left twin
            morph = _load(path, mesh, cut)
            if path.name.startswith("l-"):
                morph = morph + _load(path.with_name("r-" + path.name[2:]), mesh, cut)
            yield morph


def _people(mesh: BaseMesh, cut: Cut) -> Iterator[Floats]:
    """How each kind of person differs from the mean of all kinds."""
    folder = data_dir() / "mpfb2/targets/macrodetails"
    people = np.stack([_load(folder / f"{name}.target.gz", mesh, cut) for name in PEOPLE])
    yield from people - people.mean(0)


def _load(path: Path, mesh: BaseMesh, cut: Cut) -> Floats:
    return target(path, len(mesh.vertices))[cut.source] * cut.scale


def _posed_back(morph: Floats, cut: Cut) -> Floats:
    """The morph without the part that a small move, turn or scaling of the head explains."""
    p = cut.vertices
    zero, one = np.zeros(len(p)), np.ones(len(p))
    x, y, z = p.T
    columns = [(one, zero, zero), (zero, one, zero), (zero, zero, one), (x, y, z)]
    columns += [(zero, -z, y), (z, zero, -x), (-y, x, zero)]
    a = np.stack([np.stack(column, 1).ravel() for column in columns], 1)
    face = np.repeat(z > -0.6, 3)
    x_best = np.linalg.lstsq(a[face], morph.ravel()[face], rcond=None)[0]
    left: Floats = (morph.ravel() - a @ x_best).reshape(p.shape)
    return left
