"""Every rate and size of the product, each derived exactly from the one before it."""

SAMPLE_RATE = 16_000  # Hz, mono, what the networks hear
FPS = 25  # pictures a second
HOP_S_DENOMINATOR = 100  # a log-mel frame every 1/100 s


def exact_div(a: int, b: int) -> int:
    """`a / b` as an integer; a ValueError where it does not come out even."""
    quotient, rest = divmod(a, b)
    if rest:
        raise ValueError(f"{a} is no multiple of {b}")
    return quotient


HOP = exact_div(SAMPLE_RATE, HOP_S_DENOMINATOR)  # 160 samples
CHUNK = exact_div(SAMPLE_RATE, FPS)  # 640 samples: one picture's worth of sound
HOPS_PER_FRAME = exact_div(CHUNK, HOP)  # 4
FRAME_MS = exact_div(1000, FPS)  # 40

MAX_LOOK_AHEAD = 2  # frames of future sound the network may ask for
DEFAULT_LOOK_AHEAD = 1

FRAME_SIZE = 512  # default picture, pixels square; also the unit of a portrait's geometry
MIN_SIZE, MAX_SIZE = 256, 1024
SIZE_STEP = 32  # sizes are multiples of it: a layer's window then begins on a whole pixel
