"""Which pictures need not be sent: those that are the last one again, as three of four are in silence.

A receiver goes on showing what it has, so leaving them out saves their encoding. The same picture is sent again after
`REPEATED` slots all the same: its quality rises, a lost packet is noticed, and no browser takes the pause for a freeze
(Chromium does when a picture stays 150 ms longer than usual). One that differs is never left out. Pure: reads no clock.
"""

import numpy as np
import numpy.typing as npt

REPEATED = 3  # slots, 8 times a second

Image = npt.NDArray[np.uint8]


class Stills:
    def __init__(self) -> None:
        self._last: tuple[int, Image] | None = None

    def spare(self, slot: int, image: Image) -> bool:
        """Whether the receiver has this very array, and had it not long ago."""
        return self._last is not None and image is self._last[1] and slot - self._last[0] < REPEATED

    def sent(self, slot: int, image: Image) -> None:
        self._last = slot, image

    def renew(self) -> None:
        """The receiver has lost what it had: whatever comes next is to be sent."""
        self._last = None
