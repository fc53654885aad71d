"""A batch is its members one by one, whatever runs it; nothing of one stream reaches another."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine.avatar import Avatar, Picture, Stream
from engine.backend import RENDERER_GRAPH, module, on_device
from engine.cdan import CDAN_GRAPH, Cdan, on_cpu
from engine.face.coefficients import NAMES
from engine.les import Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait, default_photo, prepare
from engine.runtime import Network, OpenVinoNetwork, initial_state, next_state
from engine.runtime.gpu import GpuNetwork
from engine.runtime.gpu_device import Host
from engine.runtime.network import Array
from engine.tracks import rest
from engine.units import CHUNK
from trt_build.material import portrait_inputs

SIZE = 256
PEOPLE = ("anna", "otto", "zola")
FEELINGS = ("happiness", "anger", "surprise")


@cache
def portrait(name: str) -> Portrait:
    return prepare(default_photo(name))


def on_host(graph: Path) -> Network:
    return GpuNetwork(module(graph, SIZE, "cpu"), Host(), batches=(1, 2, 4))


NETWORKS: dict[str, Callable[[Path], Network]] = {"openvino": OpenVinoNetwork, "torch": on_host}


def assert_batch_is_singles(network: Network, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Numbers to 1e-4, bytes to one level."""
    together = network(inputs)
    for i in range(len(next(iter(inputs.values())))):
        alone = network({name: np.ascontiguousarray(value[i : i + 1]) for name, value in inputs.items()})
        for name, value in alone.items():
            most = 1 if value.dtype == np.uint8 else 1e-4
            np.testing.assert_allclose(together[name][i : i + 1].astype(np.float64), value, atol=most, err_msg=name)
    return together


def talk(frames: int, seed: int) -> Array:
    """[frames, 640] noise in syllables: something else for everyone."""
    random = np.random.default_rng(seed)
    loudness = 0.2 * np.abs(np.sin(0.7 * seed + 0.5 * np.arange(frames)))[:, None]
    return np.asarray((loudness * random.standard_normal((frames, CHUNK))).clip(-1, 1), np.float32)


class TestNetworks:
    @pytest.mark.parametrize("made", [*NETWORKS.values(), lambda graph: on_cpu()], ids=[*NETWORKS, "as it serves"])
    def test_cdan_over_a_stream(self, made: Callable[[Path], Network]) -> None:
        network = made(CDAN_GRAPH)
        state = initial_state(network.signature, 3)
        sounds = np.stack([talk(12, seed) for seed in range(3)])
        les = np.stack([Les.of(emotion={feeling: 0.8}).array() for feeling in FEELINGS])
        for step in range(12):
            inputs = {"pcm": sounds[:, step], "les": les, "look_ahead": np.array([0, 1, 2], np.int32), **state}
            state = next_state(assert_batch_is_singles(network, inputs))

    def test_a_memory_that_is_kept_does_not_keep_its_batch(self) -> None:
        cdan = Cdan()
        states = cdan.step(talk(2, 0), np.zeros((2, 41), np.float32), [1, 1], [cdan.open(), cdan.open()]).states
        assert all(value.base is None for state in states for value in state.values())

    @pytest.mark.parametrize("backend", NETWORKS)
    def test_renderer_with_three_portraits(self, backend: str, tmp_path: Path) -> None:
        faces = np.stack([rest() for _ in PEOPLE])
        faces[np.arange(3), [NAMES.index(name) for name in ("jawOpen", "mouthSmileLeft", "headYaw")]] = 0.5, 0.9, 8
        given = [portrait_inputs(portrait(name)) for name in PEOPLE]
        inputs = {name: np.concatenate([each[name] for each in given]) for name in given[0]}
        network = NETWORKS[backend](RENDERER_GRAPH)
        pictures = assert_batch_is_singles(network, {"coefficients": faces, **inputs})["picture"]
        assert min(np.abs(a.astype(int) - b).mean() for a, b in ((pictures[0], pictures[1]), pictures[1:])) > 10


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return Avatar(backend=on_device("host", lambda graph, size: module(graph, size, "cpu"), Host(), SIZE, 4))


class TestAvatar:
    """The whole way of a GPU, on the host: residents, gathered rows, I420."""

    @staticmethod
    def opened(avatar: Avatar) -> list[Stream]:
        streams = [avatar.open(portrait(name), seed=i, size=SIZE, look_ahead=i) for i, name in enumerate(PEOPLE)]
        for stream, feeling in zip(streams, FEELINGS, strict=True):
            stream.set_motion(MotionAmounts())
            stream.set_emotion(Les.of(emotion={feeling: 0.8}), transition_s=0.08)
        return streams

    def test_no_stream_sees_anything_of_another(self, avatar: Avatar) -> None:
        assert avatar.aligned
        together, alone, sounds = self.opened(avatar), self.opened(avatar), [talk(5, seed) for seed in range(3)]
        for step in range(5):
            here = [i for i in (2, 0, 1) if (step, i) != (2, 0)]  # in another order; one leaves out a tick
            pictures = avatar.step([(together[i], sounds[i][step]) for i in here])
            for i, picture in zip(here, pictures, strict=True):
                single = avatar.step_one(alone[i], sounds[i][step])
                assert isinstance(picture, Picture) and picture.frame == single.frame
                np.testing.assert_allclose(picture.coefficients, single.coefficients, atol=1e-4)
                assert picture.i420.shape == (SIZE * 3 // 2, SIZE)
                assert np.abs(picture.i420.astype(int) - single.i420).max() <= 1

    def test_it_draws_what_a_cpu_draws(self, avatar: Avatar) -> None:
        cpu, sound = Avatar(), talk(3, 7)
        here, there = self.opened(avatar)[1], self.opened(cpu)[1]
        for chunk in sound:
            a, b = avatar.step_one(here, chunk), cpu.step_one(there, chunk)
            np.testing.assert_allclose(a.coefficients, b.coefficients, atol=1e-3)
            assert np.mean((a.rgb.astype(float) - b.rgb) ** 2) < 20  # 35 dB: I420 halves the chroma of one
            assert np.mean((a.i420.astype(float) - b.i420) ** 2) < 6.5  # 40 dB
