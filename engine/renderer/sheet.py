"""Contact sheets of a photo's avatar, to be looked at: `python -m engine.renderer.sheet PHOTO -o DIRECTORY`."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import LES_TO_FACE
from engine.face.coefficients import FACE, HEAD, INDEX, NAMES
from engine.les import AXES, EMOTIONS, Les
from engine.portrait import prepare
from engine.renderer.cpu import CpuRenderer, Layered

Image = npt.NDArray[np.uint8]
Coefficients = npt.NDArray[np.float32]
Shot = tuple[str, Coefficients]

LEVELS = (0.25, 0.5, 0.75, 1.0)
VISEMES: Mapping[str, Mapping[str, float]] = {
    "rest": {},
    "p b m": {"mouthPress": 0.4, "mouthRollLower": 0.2, "mouthRollUpper": 0.2},
    "f v": {"mouthRollLower": 0.5, "mouthUpperUp": 0.2, "jawOpen": 0.06},
    "th": {"jawOpen": 0.12, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "t d n": {"jawOpen": 0.1, "mouthStretch": 0.15, "mouthLowerDown": 0.2},
    "k g": {"jawOpen": 0.15, "mouthLowerDown": 0.15},
    "s z": {"jawOpen": 0.04, "mouthStretch": 0.3, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2},
    "sh": {"jawOpen": 0.06, "mouthFunnel": 0.6, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2},
    "r": {"jawOpen": 0.1, "mouthFunnel": 0.4},
    "aa": {"jawOpen": 0.6, "mouthLowerDown": 0.2},
    "eh": {"jawOpen": 0.35, "mouthStretch": 0.3},
    "ee": {"jawOpen": 0.12, "mouthStretch": 0.4, "mouthSmile": 0.3},
    "oh": {"jawOpen": 0.35, "mouthFunnel": 0.5, "mouthPucker": 0.3},
    "oo": {"jawOpen": 0.12, "mouthPucker": 0.8, "mouthFunnel": 0.2},
    "w": {"mouthPucker": 1.0},
}
"""Mouth shapes of English sounds, as coefficients; a name without a side means both."""


def face(levels: Mapping[str, float] = MappingProxyType({}), head: Sequence[float] = ()) -> Coefficients:
    """Coefficients by name, both sides where the name has none, and yaw, pitch and roll."""
    values = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    for name, level in levels.items():
        values[[INDEX[n] for n in ((name,) if name in INDEX else (name + "Left", name + "Right"))]] = level
    values[len(FACE) : len(FACE) + len(head)] = head
    return values


def of_les(les: Les) -> Coefficients:
    """A vector of the Linear Emotion Space through the unit table alone."""
    values = face()
    values[: len(FACE)] = np.clip(les.array() @ LES_TO_FACE, 0, 1)
    return values


def units() -> Iterator[Shot]:
    for axis in AXES:
        yield axis, of_les(Les.of(units={axis: 1}))


def emotions() -> Iterator[Shot]:
    for emotion, level in product(EMOTIONS, LEVELS):
        yield f"{emotion} {level}", of_les(Les.of(emotion={emotion: level}))


def heads() -> Iterator[Shot]:
    for pitch, yaw in product((15, 0, -15), (-20, -10, 0, 10, 20)):
        yield f"yaw {yaw} pitch {pitch}", face(head=(yaw, pitch))
    yield "roll -20", face(head=(0, 0, -20))
    yield "roll 20", face(head=(0, 0, 20))
    yield "yaw 20, jaw", face(dict(jawOpen=0.6), (20, 0))
    yield "yaw -20 pitch -15, jaw", face(dict(jawOpen=0.6), (-20, -15))
    yield "yaw 20 pitch 15, smile", face(dict(mouthSmile=0.8, cheekSquint=0.6), (20, 15, 6))


def visemes() -> Iterator[Shot]:
    for name, levels in VISEMES.items():
        yield name, face(levels)


def eyes() -> Iterator[Shot]:
    for level in (0, *LEVELS):
        yield f"blink {level}", face(dict(eyeBlink=level))
    yield "wide", face(dict(eyeWide=1))
    yield "squint", face(dict(eyeSquint=1))
    yield "up", face(dict(eyeLookUp=1))
    yield "down", face(dict(eyeLookDown=1))
    yield "left", face(dict(eyeLookOutLeft=1, eyeLookInRight=1))
    yield "right", face(dict(eyeLookInLeft=1, eyeLookOutRight=1))
    yield "left, half", face(dict(eyeLookOutLeft=0.5, eyeLookInRight=0.5))


def coefficients() -> Iterator[Shot]:
    for name in FACE:
        yield name, face({name: 1.0})
    for name in HEAD[3:]:
        yield name, face({name: 1.08 if name == "headScale" else 0.25})


SHEETS = {
    "units": (units, 7),
    "emotions": (emotions, 4),
    "heads": (heads, 5),
    "visemes": (visemes, 5),
    "eyes": (eyes, 4),
    "coefficients": (coefficients, 11),
}
"""Name -> its shots, and how many stand in a row."""


def draw(renderer: CpuRenderer, portrait: Layered, shots: Iterator[Shot], across: int, crop: "Crop") -> Image:
    """A sheet of labelled crops."""
    tiles = []
    for label, values in shots:
        tile = crop.of(renderer.render(portrait, values))
        cv2.putText(tile, label, (6, tile.shape[0] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    rows = [np.concatenate(tiles[i : i + across], 1) for i in range(0, len(tiles), across)]
    return np.concatenate(rows)


class Crop:
    """A square of the picture, `side` pixels in the sheet."""

    def __init__(self, left: float, top: float, width: float, height: float, side: int) -> None:
        """Fractions of the picture."""
        self._box = left, top, width, height
        self._side = side

    def of(self, picture: Image) -> Image:
        size = picture.shape[0]
        left, top, width, height = (round(v * size) for v in self._box)
        part = picture[top : top + height, left : left + width]
        shape = (self._side, round(self._side * height / width))
        return np.asarray(cv2.resize(part, shape, interpolation=cv2.INTER_AREA), np.uint8)


FACE_CROP = Crop(0.2, 0.17, 0.6, 0.7, 180)
CROPS = {
    "heads": Crop(0, 0, 1, 1, 240),
    "eyes": Crop(0.25, 0.32, 0.5, 0.2, 320),
    "emotions": Crop(0.2, 0.17, 0.6, 0.7, 240),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    portrait, renderer = prepare(arguments.photo.read_bytes()), CpuRenderer(1024)
    for name, (shots, across) in SHEETS.items():
        sheet = draw(renderer, portrait, shots(), across, CROPS.get(name, FACE_CROP))
        path = arguments.output / f"{arguments.photo.stem}_{name}.jpg"
        cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        print(path)


if __name__ == "__main__":
    main()
