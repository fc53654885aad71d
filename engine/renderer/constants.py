"""The numbers of the fields, for both paths that compute them: `fields` with torch, `cpu_fields` without."""

from engine.face.coefficients import INDEX
from engine.portrait.layers_layout import SPRITES

STEPS = 9  # Newton's, for each set of fields
STRIDE = 16.0  # units the first may go; the others half, or they leap to and fro where a lid is drawn out
STEEPEST = 0.15  # determinants are kept above: where a field is about to fold, it is squeezed instead
SAFE, UNFOLD, SPREAD = 0.4, 2, 12.0  # determinants below are smoothed away, so many times over, about themselves
UNFOLD_ABOUT, UNFOLD_MEAN = 28, 20  # sides, in units, of the squares that are smoothed about and averaged over
BARE = 0.15, 0.7  # of a lid's way: between these its lashes leave its skin
LASH_TURN, LASH_LENGTH, LASH_LEAST = 1.75, (-0.8, 1.2), 0.18  # lashes on a shut lid point down, a little shorter
EYE_RADIUS = 0.195  # inter-ocular distances
NARROWEST = 0.6  # the squared sine of an eye's turn, at most
JAW, CLOSE = INDEX["jawOpen"], INDEX["mouthClose"]
TONGUE_OUT, LEAST = INDEX["tongueOut"], 0.04
TURNS, DEEPEST = 3, 0.6  # of the head that change the light; log of how much it may change
BRIGHTEST = 255 / 128  # as much brighter light makes any colour
FIRST_WHITE, FIRST_IRIS, FIRST_GLINT = 4, 6, 8  # of the sprites: whites, irises, catch-lights
OUT = SPRITES - 1  # the tongue put out


def squared(units: float, cell: float) -> int:
    """The side, in cells, of a square about a cell: as large on every lattice, or layers that meet would part."""
    return int(units / cell) | 1
