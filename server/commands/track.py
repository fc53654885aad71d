"""`les-avatar track`: a film's face becomes a coefficient track, to drive any portrait or to be looked into."""

import argparse

import cv2

from engine.capture import Captured, CaptureError, capture
from engine.tracks import write_coefficients
from server.commands import Refusal


def run(options: argparse.Namespace) -> int:
    try:
        found = capture(options.film)
        _write(options, found)
    except CaptureError as error:
        raise Refusal(str(error)) from None
    except OSError as error:
        raise Refusal(f"can't use {error.filename}: {error.strerror}") from None
    print(f"{len(found.coefficients)} rows, 25 a second; {found.missed} frames showed no face")
    return 0


def _write(options: argparse.Namespace, found: Captured) -> None:
    with options.output.open("w", newline="") as file:
        write_coefficients(file, found.coefficients)
    if options.save_portrait:
        options.save_portrait.write_bytes(cv2.imencode(".png", found.picture[..., ::-1])[1].tobytes())
