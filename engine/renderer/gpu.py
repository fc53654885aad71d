"""The whole renderer on a GPU: a batch of sessions in one launch, portraits resident."""

from collections.abc import Mapping, Sequence
from operator import is_
from weakref import ref

import cv2
import numpy as np
import numpy.typing as npt

from engine.renderer.cpu import Layered
from engine.renderer.names import MAPS, PICTURES
from engine.renderer.shot import Image, Shot
from engine.runtime.gpu import GpuNetwork
from engine.runtime.network import Array

PORTRAIT = (*MAPS, *PICTURES)
"""The inputs that stay on the device as long as somebody shows the portrait."""


class GpuRenderer:
    """Draws at the size that its network was made for. Calls from one thread at a time."""

    def __init__(self, network: GpuNetwork) -> None:
        """`network` keeps PORTRAIT resident and its pictures apart; they may be finished."""
        self._network = network

    def draw(self, shots: Sequence[Shot]) -> list[Image]:
        """RGB [size, size, 3] each, or what the picture is finished as."""
        if any(shot.cut_out for shot in shots):
            raise ValueError("a GPU draws no cut-outs: draw them with engine.renderer.CpuRenderer")
        coefficients = np.stack([shot.coefficients for shot in shots])
        stages = [Stage(shot.portrait, shot.plate) for shot in shots]
        pieces = self._network.run({"coefficients": coefficients}, stages, Stage.tensors)["picture"]
        return [picture for piece in pieces for picture in piece]


class Stage:
    """A portrait before a background: what has a row on the device. Two are equal if both are the same objects.

    Neither is kept alive: rows outlive sessions, and a thousand uploads would stay in the host's memory with them.
    """

    def __init__(self, portrait: Layered, plate: Image | None) -> None:
        self._portrait = ref(portrait)
        self._plate = None if plate is None else ref(plate)
        self._hash = hash((id(portrait), id(plate)))

    def __eq__(self, other: object) -> bool:
        """Not even a new object at the address of one that is gone is the same."""
        if self is other or not isinstance(other, Stage):
            return self is other
        mine, others = self._objects(), other._objects()
        return bool(mine and others) and all(map(is_, mine, others))

    def __hash__(self) -> int:
        return self._hash

    def tensors(self) -> Mapping[str, Array]:
        """While its session shows it."""
        objects = self._objects()
        assert objects
        portrait, plate = objects
        layers = {name: portrait.layers[name] for name in PORTRAIT}
        if plate is not None:
            layers["background"] = _texels(plate, layers["background"].shape[0])
        return layers

    def _objects(self) -> tuple[Layered, Image | None] | tuple[()]:
        """Portrait and plate; nothing once either is gone."""
        portrait, plate = self._portrait(), None if self._plate is None else self._plate()
        if portrait is None or (plate is None and self._plate is not None):
            return ()
        return portrait, plate


def _texels(plate: Image, side: int) -> npt.NDArray[np.uint8]:
    """The plate as the graph takes backgrounds; where it repeats pixels, the graph's area average gives them back."""
    how = cv2.INTER_NEAREST if side % len(plate) == 0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plate, (side, side), interpolation=how), np.uint8)
