"""What the networks are tried on: real speech, feelings that come and go, portraits of several people."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from engine.audio.chunks import mono, to_network_rate
from engine.audio.file import load_audio
from engine.cdan import CDAN_GRAPH
from engine.face.coefficients import FACE
from engine.les import AXES
from engine.motion import Motion
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.renderer.cpu import Layered
from engine.renderer.names import MAPS, PICTURES
from engine.renderer.shot import Shot
from engine.runtime import Network, OpenVinoNetwork, initial_state, next_state
from engine.runtime.network import Array
from engine.tracks import rest
from engine.units import CHUNK, FPS

Floats = npt.NDArray[np.float32]
TEXTS = (
    "The quick brown fox jumps over the lazy dog, while five boxing wizards watch from the wall.",
    "Please call Stella. Ask her to bring these things with her from the store: six spoons of fresh snow peas.",
    "Who would have thought that a picture could speak? Bob, Peter and Mary would, but nobody asked them.",
)
LOOK_AHEADS = (0, 1, 2)
EASE = 25  # frames from one feeling to the next


def speech(seconds: float, recording: Path | None = None) -> Floats:
    """[frames, 640] of a recording, over and over, or of the built-in voice if there is none."""
    sound = load_audio(recording) if recording else _spoken()
    return np.resize(sound, (round(seconds * FPS), CHUNK)).astype(np.float32)


def _spoken() -> Floats:
    from hibari import Hibari, dsp

    voice = Hibari()
    samples = np.concatenate([np.append(voice(text), np.zeros(dsp.SR // 2)) for text in TEXTS])
    frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], "s16", "mono")
    frame.sample_rate = dsp.SR
    resampler = to_network_rate()
    return np.concatenate([mono(f) for given in (frame, None) for f in resampler.resample(given)])


def feelings(frames: int, seed: int = 0) -> Floats:
    """[frames, 41] three units at a time, another mixture every four seconds, eased."""
    random = np.random.default_rng(seed)
    stops = np.zeros((frames // (4 * FPS) + 2, len(AXES)), np.float32)
    for stop in stops:
        stop[random.choice(len(AXES), 3, replace=False)] = random.random(3)
    at = np.arange(frames) / (4 * FPS)
    share = np.clip((at % 1) * 4 * FPS / EASE, 0, 1)[:, None]
    before, after = stops[at.astype(int)], stops[at.astype(int) + 1]
    return np.asarray(before + share * (after - before), np.float32)


def listened(network: Network, sound: Floats, les: Floats) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """Inputs and outputs of every step of a stream that hears `sound`, one row a look-ahead, its state looped."""
    state = initial_state(network.signature, len(LOOK_AHEADS))
    ahead = np.array(LOOK_AHEADS, np.int32)
    for chunk, target in zip(sound, les, strict=True):
        rows = {"pcm": np.tile(chunk, (len(ahead), 1)), "les": np.tile(target, (len(ahead), 1)), "look_ahead": ahead}
        outputs = network({**rows, **state})
        yield {**rows, **state}, outputs
        state = next_state(outputs)


def moved(coefficients: Sequence[Floats], prosody: Sequence[Floats], seed: int = 0) -> Floats:
    """[frames, 69] what a network said [63], and the motion that goes with the voice [3]."""
    motion = Motion(seed)
    faces = np.stack([rest() + motion.step(tuple(p.tolist())) for p in prosody])
    faces[:, : len(FACE)] += np.stack(coefficients)
    faces[:, : len(FACE)] = faces[:, : len(FACE)].clip(0, 1)
    return faces


def portraits(count: int, photos: Sequence[Path] = ()) -> Iterator[Portrait]:
    """Of `photos` and the default people, then of their mirror images, nearer and farther."""
    for make in (_as_it_is, _mirrored, _far, _far_mirrored, _dim):
        for data in _photos(photos):
            if count == 0:
                return
            count -= 1
            yield prepare(make(data))


def _photos(photos: Sequence[Path]) -> Iterator[bytes]:
    yield from (photo.read_bytes() for photo in photos)
    yield from (default_photo(name) for name in default_names())


def _as_it_is(data: bytes) -> bytes:
    return data


def _mirrored(data: bytes) -> bytes:
    return _png(_decoded(data)[:, ::-1])


def _far(data: bytes) -> bytes:
    return _png(cv2.resize(_decoded(data), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))


def _far_mirrored(data: bytes) -> bytes:
    return _far(_mirrored(data))


def _dim(data: bytes) -> bytes:
    return _png((_decoded(data) * 0.5).astype(np.uint8))


def _decoded(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(picture))[1].tobytes()


def portrait_inputs(portrait: Layered, count: int = 1) -> dict[str, Array]:
    """The renderer's inputs but the coefficients, for `count` pictures of one portrait."""
    arrays = {name: np.asarray(portrait.layers[name], np.float32) for name in MAPS}
    arrays |= {name: portrait.layers[name] for name in PICTURES}
    return {name: np.repeat(value[None], count, 0) for name, value in arrays.items()}


def sample(name: str, frames: int = 2) -> dict[str, Array]:
    """Inputs of a network in the middle of things."""
    if name == "renderer":
        drawn = shots(frames)
        given = [portrait_inputs(shot.portrait) for shot in drawn]
        inputs = {key: np.concatenate([each[key] for each in given]) for key in given[0]}
        return {"coefficients": np.stack([shot.coefficients for shot in drawn]), **inputs}
    steps = _steps()
    picked = [inputs for inputs, _ in islice(steps, 30, None, len(steps) // frames)]
    return {key: np.concatenate([inputs[key] for inputs in picked]) for key in picked[0]}


def shots(frames: int = 2) -> list[Shot]:
    """Several people in the middle of things."""
    steps = _steps()
    faces = moved([out["coefficients"][1] for _, out in steps], [out["prosody"][1] for _, out in steps])
    picked = faces[30 :: len(faces) // frames][:frames]
    return [Shot(portrait, face) for portrait, face in zip(portraits(frames), picked, strict=True)]


def _steps() -> list[tuple[dict[str, Array], dict[str, Array]]]:
    return [*listened(OpenVinoNetwork(CDAN_GRAPH), speech(8), feelings(8 * FPS))]
