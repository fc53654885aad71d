"""Who tells where the landmarks are: MediaPipe on the rendered picture, or the face model itself (quick)."""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
import numpy.typing as npt

import engine.renderer
from engine.face import load
from engine.face.coefficients import FACE
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.portrait.landmarks import BLENDSHAPES
from engine.renderer import CpuRenderer
from engine.units import FRAME_SIZE

if TYPE_CHECKING:
    from engine.evaluation.landmarker import Landmarker

Floats = npt.NDArray[np.float32]

CACHE = Path(tempfile.gettempdir()) / "les-avatar-evaluation"
STEP = 1e-4  # coefficients closer than this look the same


@dataclass(frozen=True, eq=False)
class Watched:
    """A face over T frames."""

    points: Floats
    """[T, 478, 2] landmarks, y down."""
    blendshapes: Floats
    """[T, 52]; nan where the judge has none."""


class Judge(Protocol):
    """Looks at faces [T, 69] of one of the portraits."""

    @property
    def portraits(self) -> Sequence[str]: ...

    def watch(self, portrait: str, faces: Floats) -> Watched: ...


class ModelJudge:
    """The landmarks of the 3D head, unseen by any camera: what the coefficients mean, at no cost."""

    portraits = ("model",)

    def __init__(self) -> None:
        head = load()
        rest = head.landmarks()
        self._rest = rest[:, :2] * (1, -1)
        moved = [head.landmarks(head.vertices + shape) - rest for shape in head.shapes]
        self._shapes = np.stack(moved)[..., :2] * (1, -1)  # [63, 478, 2]

    def watch(self, portrait: str, faces: Floats) -> Watched:
        points = self._rest + np.einsum("tc,cld->tld", faces[:, : len(FACE)], self._shapes)
        return Watched(points.astype(np.float32), np.full((len(faces), len(BLENDSHAPES)), np.nan, np.float32))


class PictureJudge:
    """Renders every frame at 512 x 512 and has MediaPipe look at it. What was seen once is read from `cache`.

    A context: MediaPipe wants to be closed.
    """

    portraits = default_names()

    def __init__(self, cache: Path = CACHE) -> None:
        self._cache = cache
        self._portraits: dict[str, Portrait] = {}
        self._eye: Landmarker | None = None

    def watch(self, portrait: str, faces: Floats) -> Watched:
        steps = np.round(faces / STEP).astype(np.int32)
        path = self._cache / f"{self._key(portrait, steps)}.npz"
        if not path.is_file():
            seen = self._look(portrait, faces, steps)
            _keep(path, seen)
        with np.load(path) as file:
            return Watched(file["points"], file["blendshapes"])

    def _look(self, portrait: str, faces: Floats, steps: npt.NDArray[np.int32]) -> Watched:
        """Frames that are equal are drawn once."""
        known: dict[bytes, int] = {}
        which = [known.setdefault(row.tobytes(), len(known)) for row in steps]
        first = [which.index(i) for i in range(len(known))]
        seen = [self._landmarker.see(self.draw(portrait, faces[i])) for i in first]
        return Watched(
            np.stack([seen[i].points for i in which]), np.stack([seen[i].blendshapes for i in which])
        )  # fmt: skip

    def draw(self, portrait: str, face: Floats) -> npt.NDArray[np.uint8]:
        """RGB [512, 512, 3] of coefficients [69]."""
        return self._renderer.render(self.portrait(portrait), face)

    def portrait(self, name: str) -> Portrait:
        if name not in self._portraits:
            self._portraits[name] = prepare(default_photo(name))
        return self._portraits[name]

    @cached_property
    def _renderer(self) -> CpuRenderer:
        return CpuRenderer(FRAME_SIZE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._eye:
            self._eye.close()

    @property
    def _landmarker(self) -> "Landmarker":
        from engine.evaluation.landmarker import Landmarker  # so that the model's judge needs no mediapipe

        self._eye = self._eye or Landmarker()
        return self._eye

    def _key(self, portrait: str, steps: npt.NDArray[np.int32]) -> str:
        return hashlib.sha256(self._version + portrait.encode() + steps.tobytes()).hexdigest()[:32]

    @cached_property
    def _version(self) -> bytes:
        """Everything that draws: code and data of the renderer and of the portraits' preparation."""
        engine_parts = Path(engine.renderer.__file__).parents[1]
        files = [
            p for part in ("renderer", "portrait", "face/data") for p in sorted((engine_parts / part).rglob("*.*"))
        ]
        digest = hashlib.sha256()
        for path in files:
            if path.is_file() and path.suffix != ".pyc":
                digest.update(path.read_bytes())
        return digest.digest()


def _keep(path: Path, seen: Watched) -> None:
    """Whole or not at all, so that a run may be broken off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez(file, points=seen.points, blendshapes=seen.blendshapes)
    Path(file.name).replace(path)
