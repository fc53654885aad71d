"""The whole renderer on a GPU: a batch of sessions in one launch, portraits resident."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from engine.renderer.cpu import Layered
from engine.renderer.names import MAPS, PICTURES
from engine.runtime.gpu import GpuNetwork
from engine.runtime.network import Array

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
PORTRAIT = (*MAPS, *PICTURES)
"""The inputs that stay on the device as long as somebody shows the portrait."""


class GpuRenderer:
    """Draws prepared portraits at the size that its network was made for. Calls from one thread at a time."""

    def __init__(self, network: GpuNetwork) -> None:
        """`network` keeps PORTRAIT resident; its picture may be finished."""
        self._network = network

    def draw(self, work: Sequence[tuple[Layered, Floats]]) -> list[Image]:
        """Portraits with coefficients [69] each -> RGB [size, size, 3] each, or what the picture is finished as."""
        coefficients = np.stack([face for _, face in work])
        drawn = self._network.run({"coefficients": coefficients}, [portrait for portrait, _ in work], _tensors)
        return list(drawn["picture"])


def _tensors(portrait: Layered) -> Mapping[str, Array]:
    return {name: portrait.layers[name] for name in PORTRAIT}
