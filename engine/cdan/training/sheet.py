"""What the articulation model asks for, to be looked at: `python -m engine.cdan.training.sheet -o DIRECTORY`.

For every class of phones a sentence full of them is spoken by the default portraits: each frame's mouth in a strip,
and a film with its sound. One compact sheet puts the first phone of every class beside what comes before and after it.
"""

import argparse
import tempfile
import wave
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.audio import as_chunks
from engine.cdan.training import augment
from engine.cdan.training.articulation import tracks
from engine.cdan.training.composition import spoken
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.prosody import prosody
from engine.cdan.training.studio import LEVEL
from engine.cdan.training.voices import Flite, Utterance
from engine.face.coefficients import FACE
from engine.film import Film
from engine.les import Les, parse
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.renderer import CpuRenderer
from engine.tracks import rest
from engine.units import FPS, SAMPLE_RATE

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SENTENCES: Mapping[str, str] = {
    "p b m": "Bob may buy a pumpkin pie at the pump.",
    "f v": "Five brave foxes have very fine fur.",
    "th dh": "These three brothers think the path is smooth.",
    "t d n l": "Tell Dan that ten little lions ran.",
    "k g ng": "Keep the king a good cake to go.",
    "s z": "Six busy zebras see the sun rise.",
    "sh zh ch jh": "She chose a shiny treasure and a cheap jeep.",
    "w r": "We were worried where the red rose went.",
    "iy ey y": "He sees three great green leaves each day.",
    "aa ae": "Father has a black hat and a hot pot.",
    "uw ow ao": "You know who saw those two blue boats move.",
}
"""Class of phones -> a sentence full of them."""
VOICE, SEED = "slt", 1414  # a middling speed and pitch
MOUTH = (0.30, 0.52, 0.40, 0.26)  # of the picture: left, top, width, height
LIPS = (0.32, 0.545, 0.36, 0.18)
LOWER_HALF = (0.0, 0.45, 1.0, 0.5)
ACROSS, TILE = 14, 140  # of a strip: frames in a row, pixels
AROUND_S = 0.08  # of the compact sheet: before and after the phone's middle


@dataclass(frozen=True)
class Spoken:
    """One sentence, and the faces that go with it."""

    said: Utterance
    """At 16 kHz, whole chunks."""
    faces: Floats
    """[T, 69]"""

    def frame_at(self, second: float) -> int:
        """The frame whose middle is nearest."""
        return int(np.clip(round(second * FPS - 0.5), 0, len(self.faces) - 1))

    def phone(self, frame: int) -> str:
        middle = (frame + 0.5) / FPS
        return next((p.name for p in self.said.phones if p.start_s <= middle < p.end_s), "")

    def longest(self, name: str) -> Phone:
        """The longest phone of a kind amid speech."""
        row = self.said.phones
        amid = [
            p for before, p, after in zip(row, row[1:], row[2:], strict=False) if PAUSE not in (before.name, after.name)
        ]
        return max((p for p in amid if p.name == name), key=lambda p: p.end_s - p.start_s)


def speak(text: str, les: Les) -> Spoken:
    """The model's own face while flite speaks."""
    raw = Flite(VOICE).speak(text, np.random.default_rng(SEED))
    sound = augment.to_network_rate(raw.samples, raw.rate)
    said = Utterance(as_chunks(sound * (LEVEL / augment.level(sound))).ravel(), SAMPLE_RATE, raw.phones)
    driven = spoken(tracks(said.phones, prosody(said)[0]), les.array())
    faces = np.tile(rest(), (len(driven), 1))
    faces[:, : len(FACE)] = driven
    return Spoken(said, faces)


class Stage:
    """The default portraits at one size."""

    def __init__(self, size: int = 512) -> None:
        self._portraits: list[Portrait] = [prepare(default_photo(name)) for name in default_names()]
        self._renderer = CpuRenderer(size)

    def pictures(self, face: Floats) -> list[Image]:
        """Of every portrait."""
        return [self._renderer.render(portrait, face) for portrait in self._portraits]


def crop(picture: Image, box: tuple[float, float, float, float], across: int) -> Image:
    """A part of the picture, `across` pixels wide."""
    left, top, width, height = (round(share * len(picture)) for share in box)
    part = picture[top : top + height, left : left + width]
    size = (across, round(across * height / width))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def labelled(tile: Image, words: str) -> Image:
    out = np.ascontiguousarray(tile)
    cv2.putText(out, words, (4, len(out) - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def grid(tiles: Sequence[Image], across: int) -> Image:
    """Rows of `across` tiles, the last one filled up."""
    filled = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % across)]
    rows = [np.concatenate(filled[i : i + across], axis=1) for i in range(0, len(filled), across)]
    return np.concatenate(rows)


def strip(scene: Spoken, shown: Sequence[Sequence[Image]]) -> Image:
    """Every frame's mouth, one portrait after the other; `shown` [T][portraits]."""
    tiles = [
        [
            labelled(crop(picture, MOUTH, TILE), f"{frame} {scene.phone(frame)}")
            for frame, picture in enumerate(of_portrait)
        ]
        for of_portrait in zip(*shown, strict=True)
    ]
    return np.concatenate([grid(row, ACROSS) for row in tiles])


def around(scene: Spoken, stage: Stage, name: str) -> Iterator[Image]:
    """A phone of this name, with the moments before and after it, by every portrait."""
    phone = scene.longest(name)
    middle = 0.5 * (phone.start_s + phone.end_s)
    frames = [scene.frame_at(middle + late) for late in (-AROUND_S, 0.0, AROUND_S)]
    for row in zip(*(stage.pictures(scene.faces[frame]) for frame in frames), strict=True):
        for frame, picture in zip(frames, row, strict=True):
            yield labelled(crop(picture, LIPS, TILE), scene.phone(frame))


def film(path: Path, scene: Spoken, shown: Sequence[Sequence[Image]]) -> None:
    """The lower halves of the portraits, one above the other, and the voice."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "voice.wav"
        with wave.open(str(sound), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
            file.writeframes(np.round(np.clip(scene.said.samples, -1, 1) * 32767).astype("<i2").tobytes())
        size = len(shown[0][0])
        with Film(path, size, sound) as out:
            for pictures in shown:
                halves = [crop(picture, LOWER_HALF, size)[: size // 2] for picture in pictures]
                out.add(np.concatenate(halves[:2]))


def save(path: Path, picture: Image) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw how each class of phones is spoken.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--emotion", type=parse, default=Les(), help='such as "happiness=0.6, AU4=0.2"')
    parser.add_argument("--only-sheet", action="store_true", help="leave strips and films out")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    stage = Stage()
    sheet: list[Image] = []
    for names, text in SENTENCES.items():
        scene = speak(text, options.emotion)
        sheet += around(scene, stage, names.split()[0])
        if not options.only_sheet:
            shown = [stage.pictures(face) for face in scene.faces]
            save(options.output / f"{names.replace(' ', '-')}.png", strip(scene, shown))
            film(options.output / f"{names.replace(' ', '-')}.mp4", scene, shown)
    save(options.output / "articulation.png", grid(sheet, len(sheet) // len(SENTENCES)) & np.uint8(0xFC))


if __name__ == "__main__":
    main()
