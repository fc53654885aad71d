"""Reads a sound file of any kind that ffmpeg knows."""

from pathlib import Path

import av
import numpy as np

from engine.audio.chunks import Samples, mono, to_network_rate


class AudioError(Exception):
    """A file that cannot be heard; the message is one line that tells the user what to do."""


def load_audio(path: Path) -> Samples:
    """The first audio stream of a file (video is fine) as float32 [n], 16 kHz mono, in [-1, 1]."""
    if not path.is_file():
        raise AudioError(f"{path}: no such file; give the path of a sound file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: has no sound; give a file with an audio track")
            resampler = to_network_rate()
            frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
            pieces = [mono(f) for f in (*frames, *resampler.resample(None))]
    except (av.FFmpegError, OSError) as error:
        raise AudioError(f"{path}: cannot be read as sound ({error}); convert it to WAV, MP3, Ogg or MP4") from error
    if not pieces:
        raise AudioError(f"{path}: holds no sound; give a longer recording")
    sound = np.nan_to_num(np.concatenate(pieces), posinf=0.0, neginf=0.0)
    return np.asarray(np.clip(sound, -1, 1), np.float32)
