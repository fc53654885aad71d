"""Results that are kept between runs: each by a digest of the code and data that it came from."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ENGINE = Path(__file__).parents[1]
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Kept:
    """A folder of results."""

    folder: Path

    def of(self, name: str, sources: Sequence[str], make: Callable[[], Arrays]) -> dict[str, npt.NDArray[Any]]:
        """What `make` gives, or gave: `sources` are the parts of `engine` that it depends on, folders or files."""
        path = self.folder / f"{hashlib.sha256((name + digest(tuple(sources))).encode()).hexdigest()[:32]}.npz"
        if not path.is_file():
            self._write(path, make())
        with np.load(path) as file:
            return {key: file[key] for key in file.files}

    def _write(self, path: Path, arrays: Arrays) -> None:
        """Whole or not at all, so that a run may be broken off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        Path(file.name).replace(path)


@cache
def digest(sources: tuple[str, ...]) -> str:
    """Of everything that those parts of the engine consist of."""
    total = hashlib.sha256()
    for source in sources:
        root = ENGINE / source
        for path in sorted(root.rglob("*.*")) if root.is_dir() else [root]:
            if path.is_file() and path.suffix != ".pyc":
                total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()
