"""Writes the graph that ships with the package and serves GPUs: `python -m engine.renderer.export [DIRECTORY]`."""

import sys
from pathlib import Path

import torch
from torch import Tensor

from engine.face.coefficients import EXTRA, NAMES
from engine.portrait.layers_eyes import IRIS_TEXELS
from engine.portrait.layers_layout import (
    EYE,
    EYE_COLUMNS,
    FACE,
    FRAME,
    MOUTH,
    MOUTH_COLUMNS,
    PLATE_COLS,
    PLATE_ROWS,
    SHADE,
    SHADE_RANK,
    SIDE,
    SPRITES,
    TEXELS,
    texture,
)
from engine.renderer.module import Renderer
from engine.renderer.names import MAPS, PICTURES
from engine.runtime.export import export

DATA = Path(__file__).parent / "data"
_K = 52 + len(EXTRA)


def map_shapes() -> dict[str, tuple[int, ...]]:
    """Of one portrait, by name."""
    lattice = {
        name: (w.rows, w.cols)
        for name, w in (("face", FACE), ("frame", FRAME), ("mouth", MOUTH), ("eye", EYE), ("shade", SHADE))
    }
    return {
        "source": (_K,),
        "iod": (1,),
        "pivot": (3,),
        "face_maps": (_K, 3, *lattice["face"]),
        "mouth_maps": (_K + MOUTH_COLUMNS, 3, *lattice["mouth"]),
        "eye_maps": (2, _K + EYE_COLUMNS, 3, *lattice["eye"]),
        "mouth_gap": (1 + _K, MOUTH_COLUMNS),
        "eye_gap": (2, 1 + _K, EYE_COLUMNS),
        "lash_turn": (2, 2, *lattice["eye"]),
        "frame_pose": (2, *lattice["frame"]),
        "mouth_pose": (2, *lattice["mouth"]),
        "eye_pose": (2, 2, *lattice["eye"]),
        "mouth_at": (2,),
        "eye_at": (2, 2),
        "mouth_hole": lattice["mouth"],
        "sprite_box": (SPRITES, 4),
        "sprite_depth": (SPRITES,),
        "sprite_moves": (SPRITES, _K, 3),
        "shade_mix": (_K + 3, SHADE_RANK),
        "shade_maps": (SHADE_RANK, *lattice["shade"]),
        "shade_tint": (3,),
    }


def picture_shapes() -> dict[str, tuple[int, ...]]:
    """The same."""
    mouth, eye = (((t := texture(w)).rows, t.cols) for w in (MOUTH, EYE))
    side = SIDE * TEXELS
    return {
        "person": (side, side, 4),
        "background": (side, side, 3),
        "lower": (*mouth, 4),
        "lids": (2, *eye, 4),
        "shut": (2, *eye, 3),
        "lashes": (2, *eye, 4),
        "mouth_pictures": (5, PLATE_ROWS, PLATE_COLS, 4),
        "whites": (2, *eye, 4),
        "irises": (4, IRIS_TEXELS, IRIS_TEXELS, 4),
    }


def example(batch: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Coefficients with maps, and pictures, to trace with."""
    maps = [torch.ones(batch, len(NAMES))]
    maps += [torch.rand(batch, *shape) for shape in map_shapes().values()]
    return maps, [torch.zeros(batch, *shape, dtype=torch.uint8) for shape in picture_shapes().values()]


def export_renderer(path: Path, size: int = SIDE) -> None:
    """For a batch of portraits."""
    maps, pictures = example()
    export(Renderer(size), maps + pictures, ("coefficients", *MAPS, *PICTURES), ("picture",), path)


if __name__ == "__main__":
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    directory.mkdir(parents=True, exist_ok=True)
    export_renderer(directory / "renderer.onnx")
