"""The teeth of an adult: sizes of crowns (averages after Wheeler's Dental Anatomy), and the arches they stand along."""

from typing import NamedTuple


class Crown(NamedTuple):
    """A tooth's crown, mm."""

    width: float
    height: float
    short: float
    """How far its edge ends before the middle tooth's."""
    point: float
    """How much its edge tapers: 0 straight, 1 to a point."""


class Arch(NamedTuple):
    """A row of teeth, from the middle outward; the other side mirrors it."""

    crowns: tuple[Crown, ...]
    half_width: float
    depth: float
    neck: float
    """Where the middle crown leaves the gum, from the picture's middle towards its edge."""
    shade: float
    """Share of the light that the crowns lose from their edges to the gum, behind the lip they stand in."""
    gap: float
    """The same in the crevices between them."""


UPPER = Arch(
    (
        Crown(8.6, 10.3, 0.0, 0.10),
        Crown(6.7, 9.2, 0.7, 0.18),
        Crown(7.6, 10.0, 0.1, 0.62),
        Crown(7.1, 8.4, 1.0, 0.45),
        Crown(6.8, 7.8, 1.5, 0.40),
        Crown(9.8, 7.2, 2.0, 0.25),
    ),
    29.5,
    42.0,
    -1.5,
    0.0,
    0.15,
)
LOWER = Arch(
    (
        Crown(5.4, 8.7, 0.0, 0.06),
        Crown(5.9, 8.8, 0.1, 0.08),
        Crown(6.9, 9.3, -0.2, 0.50),
        Crown(7.0, 8.4, 0.5, 0.40),
        Crown(7.1, 7.8, 0.9, 0.35),
        Crown(10.6, 7.2, 1.2, 0.20),
    ),
    25.5,
    36.0,
    0.0,
    0.3,
    0.3,
)
TEETH_MM = 64.0, 24.0  # width and height of the teeth's pictures
UPPER_EDGE = UPPER.neck + UPPER.crowns[0].height  # mm below the picture's middle, where the incisors end
