"""`python -m tests.whip_publisher URL KEY`: FFmpeg's own WHIP client, by PyAV, says a tone until it is terminated.

A process of its own: PyAV holds Python's lock while FFmpeg waits for the server's answer.
"""

import datetime
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RATE, PACKET = 48_000, 960


def certificate(folder: Path) -> dict[str, str]:
    """FFmpeg's DTLS works with one on the P-256 curve only, and makes none itself that does."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whip")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=now.year + 1, day=1)
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return {"cert_file": str(folder / "cert.pem"), "key_file": str(folder / "key.pem")}


def publish(url: str, key: str) -> None:
    options = certificate(Path(tempfile.mkdtemp())) | {"authorization": key}
    with av.open(url, "w", format="whip", options=options) as out:
        stream = out.add_stream("libopus", rate=RATE, layout="stereo")
        begun, number = time.monotonic(), 0
        while True:
            out.mux(stream.encode(tone(number * PACKET)))
            number += 1
            time.sleep(max(0.0, begun + number * PACKET / RATE - time.monotonic()))


def tone(first: int) -> av.AudioFrame:
    wave = np.sin(2 * np.pi * 440 * (first + np.arange(PACKET)) / RATE) * 0.4 * 32767
    frame = av.AudioFrame.from_ndarray(np.repeat(wave.astype(np.int16), 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
    return frame


if __name__ == "__main__":
    publish(*sys.argv[1:])
