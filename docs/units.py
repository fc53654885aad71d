"""`python -m docs.units` draws docs/units.png: each axis of the Linear Emotion Space at level 1, on the head itself."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import LES_TO_FACE, Head, load
from engine.face.draw import draw
from engine.les import AXES, DESCRIPTIONS

Picture = npt.NDArray[np.uint8]

TILE, LABEL, COLUMNS = 232, 40, 7
CENTRE, ZOOM = (0.0, -0.66), 0.39


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("units.png"))
    head = load()
    neutral = face(head, np.zeros(head.shapes.shape[0]))
    tiles = [labelled(neutral, "neutral", "")]
    for axis, coefficients in zip(AXES, LES_TO_FACE, strict=True):
        tiles.append(labelled(face(head, coefficients), axis, DESCRIPTIONS[axis]))
    rows = [np.concatenate(tiles[i : i + COLUMNS], 1) for i in range(0, len(tiles), COLUMNS)]
    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    cv2.imwrite(str(parser.parse_args().output), np.concatenate(rows)[..., ::-1], smallest)


def face(head: Head, coefficients: npt.NDArray[np.floating], size: int = TILE) -> Picture:
    """[size, size, 3] RGB of the head with the face's 63 coefficients."""
    rest = head.vertices.astype(np.float64)
    posed = rest + np.einsum("k,kvc->vc", coefficients, head.shapes)
    irises = head.eye_centre + [0, 0, head.eye_radius]
    return draw(
        posed, rest, head.triangles, head.part, head.rings, irises, size=size, centre=CENTRE, zoom=ZOOM
    )  # fmt: skip


def labelled(picture: Picture, name: str, words: str) -> Picture:
    """The picture with its name and words below."""
    tile = np.full((picture.shape[0] + LABEL, picture.shape[1], 3), 255, np.uint8)
    tile[: len(picture)] = picture
    for text, y, scale, grey in ((name, 16, 0.5, 20), (words, 32, 0.4, 90)):
        cv2.putText(tile, text, (8, len(picture) + y), cv2.FONT_HERSHEY_SIMPLEX, scale, (grey,) * 3, 1, cv2.LINE_AA)
    return tile


if __name__ == "__main__":
    main()
