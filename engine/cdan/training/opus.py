"""Sound through a call: encoded by libopus, packets lost in bursts, decoded with its own concealment.

PyAV's decoder cannot be told that a packet is missing, so libopus itself is called: the copy in PyAV's wheel, or the
system's. A lost packet is decoded as in RFC 6716, section 4.4 (concealment), or from the redundancy in the next packet
(section 2.1.7, forward error correction) where the encoder sent some.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from engine.units import SAMPLE_RATE

Floats = npt.NDArray[np.float32]

FRAME = SAMPLE_RATE // 50  # samples of a packet of 20 ms
LARGEST_PACKET = 1500  # bytes
VOIP = 2048
SET_BITRATE, SET_COMPLEXITY, SET_INBAND_FEC, SET_PACKET_LOSS, GET_LOOKAHEAD = 4002, 4010, 4012, 4014, 4027


def through_opus(
    samples: Floats, bit_rate: int, lost: npt.NDArray[np.bool_] | None = None, fec: bool = False
) -> Floats:
    """[n] as the other side hears it, the codec's delay taken out. Packet i (20 ms) never arrives where `lost[i]`."""
    with _Codec(bit_rate, fec, 0.0 if lost is None else float(lost.mean())) as codec:
        count = len(samples)
        pcm = np.pad(samples, (0, -count % FRAME + FRAME)).clip(-1, 1).reshape(-1, FRAME)
        packets: list[bytes | None] = [codec.encode(frame) for frame in np.round(pcm * 32767).astype(np.int16)]
        for i in np.flatnonzero([] if lost is None else lost[: len(packets)]):
            packets[i] = None
        late = np.concatenate([codec.decode(p, after) for p, after in zip(packets, [*packets[1:], None], strict=True)])
        return np.asarray(late[codec.delay : codec.delay + count] / 32768, np.float32)


def losses(packets: int, share: float, burst: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """[packets] Gilbert's model: this share lost in the mean, in bursts of this mean length."""
    recover, fail = 1 / burst, share / (burst * (1 - share))
    draws, out, bad = rng.random(packets), np.zeros(packets, np.bool_), False
    for i, draw in enumerate(draws):
        bad = draw >= recover if bad else draw < fail
        out[i] = bad
    return out


class _Codec:
    """An encoder and a decoder at 16 kHz mono."""

    def __init__(self, bit_rate: int, fec: bool, loss: float) -> None:
        self._opus, error = _library(), ctypes.c_int()
        self._encoder = self._opus.opus_encoder_create(SAMPLE_RATE, 1, VOIP, ctypes.byref(error))
        self._decoder = self._opus.opus_decoder_create(SAMPLE_RATE, 1, ctypes.byref(error))
        self._fec = fec
        settings = {
            SET_BITRATE: bit_rate,
            SET_COMPLEXITY: 2,
            SET_INBAND_FEC: int(fec),
            SET_PACKET_LOSS: round(100 * loss),
        }
        for request, value in settings.items():
            self._opus.opus_encoder_ctl(self._encoder, request, ctypes.c_int(value))
        delay = ctypes.c_int()
        self._opus.opus_encoder_ctl(self._encoder, GET_LOOKAHEAD, ctypes.byref(delay))
        self.delay = delay.value

    def __enter__(self) -> "_Codec":
        return self

    def __exit__(self, *_: object) -> None:
        self._opus.opus_encoder_destroy(self._encoder)
        self._opus.opus_decoder_destroy(self._decoder)

    def encode(self, frame: npt.NDArray[np.int16]) -> bytes:
        packet = ctypes.create_string_buffer(LARGEST_PACKET)
        size = self._opus.opus_encode(self._encoder, frame.ctypes.data, FRAME, packet, LARGEST_PACKET)
        if size < 0:
            raise RuntimeError(f"libopus could not encode: error {size}")
        return packet.raw[:size]

    def decode(self, packet: bytes | None, following: bytes | None) -> npt.NDArray[np.int16]:
        """[FRAME]; a lost packet is made up, from the following one where that carries it."""
        out = np.zeros(FRAME, np.int16)
        redundant = packet is None and self._fec
        data = following if redundant else packet
        count = self._opus.opus_decode(
            self._decoder, data, len(data or b""), out.ctypes.data, FRAME, int(redundant and data is not None)
        )
        if count != FRAME:
            raise RuntimeError(f"libopus could not decode: {count}")
        return out


@cache
def _library() -> Any:
    bundled = sorted((Path(av.__file__).parent.parent / "av.libs").glob("libopus-*.so*"))
    opus = ctypes.CDLL(str(bundled[0]) if bundled else "libopus.so.0")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    opus.opus_encoder_create.restype = opus.opus_decoder_create.restype = pointer
    opus.opus_encoder_create.argtypes = [number, number, number, pointer]
    opus.opus_decoder_create.argtypes = [number, number, pointer]
    opus.opus_encoder_destroy.argtypes = opus.opus_decoder_destroy.argtypes = [pointer]
    opus.opus_encoder_ctl.argtypes = [pointer, number]
    opus.opus_encode.argtypes = [pointer, pointer, number, ctypes.c_char_p, number]
    opus.opus_decode.argtypes = [pointer, ctypes.c_char_p, number, pointer, number, number]
    return opus
