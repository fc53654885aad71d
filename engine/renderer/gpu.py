"""The whole renderer on a GPU: a batch of sessions in one launch, portraits resident."""

from collections.abc import Mapping, Sequence

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
    """A portrait before a background: what has a row on the device. Two are equal if both are the same objects."""

    def __init__(self, portrait: Layered, plate: Image | None) -> None:
        self._portrait, self._plate = portrait, plate

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self._portrait is other._portrait and self._plate is other._plate

    def __hash__(self) -> int:
        return hash((id(self._portrait), id(self._plate)))

    def tensors(self) -> Mapping[str, Array]:
        layers = {name: self._portrait.layers[name] for name in PORTRAIT}
        if self._plate is not None:
            layers["background"] = _texels(self._plate, layers["background"].shape[0])
        return layers


def _texels(plate: Image, side: int) -> npt.NDArray[np.uint8]:
    """The plate as the graph takes backgrounds; where it repeats pixels, the graph's area average gives them back."""
    how = cv2.INTER_NEAREST if side % len(plate) == 0 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plate, (side, side), interpolation=how), np.uint8)
