"""What the engine alone does with a clip: the lips' curve against the sound, without server or browser."""

import numpy as np
from scipy.signal import resample_poly

from engine.avatar import Avatar
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from engine.units import CHUNK, FRAME_MS, SAMPLE_RATE, exact_div
from tests.browser.alignment import Curve
from tests.browser.landmarks import read
from tests.browser.speech import MICROPHONE_RATE, Clip


def engine_lips(portrait: Portrait, clip: Clip) -> tuple[Curve, Curve]:
    """(ms from the clip's start, aperture), one value a frame."""
    avatar = Avatar()
    stream = avatar.open(portrait)
    stream.set_motion(MotionAmounts(0.0, 0.0, 0.0))
    sound = resample_poly(clip.samples, 1, exact_div(MICROPHONE_RATE, SAMPLE_RATE)).astype(np.float32)
    frames = len(sound) // CHUNK
    chunks = np.zeros((frames + avatar.look_ahead, CHUNK), np.float32)
    chunks[:frames] = sound[: frames * CHUNK].reshape(-1, CHUNK)
    pictures = [avatar.step_one(stream, chunk).rgb for chunk in chunks][avatar.look_ahead :]
    return np.arange(frames, dtype=np.float64) * FRAME_MS, np.array([face.aperture for face in read(pictures)])
