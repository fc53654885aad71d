"""Frames and their sound as a film file, or frames alone as a folder of pictures."""

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.units import FPS

Rgb = npt.NDArray[np.uint8]

SOUND_RATE = 48_000
CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "aac"),
    ".webm": ("libvpx", "libopus"),
}
WITH_ALPHA = {
    ".webm": ("libvpx-vp9", "libopus"),
    ".mov": ("prores_ks", "aac"),
}
OPTIONS: dict[str, dict[str, object]] = {
    "libx264": {"crf": "17", "preset": "veryfast"},
    "libvpx": {"crf": "10", "b": "4M"},
    # With alternate reference frames the alpha's stream would lose step with the picture's.
    "libvpx-vp9": {"crf": "18", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"},
    "prores_ks": {"profile": "4444"},
}
PIXELS = {"libvpx-vp9": "yuva420p", "prores_ks": "yuva444p10le"}
"""Of codecs with alpha; the others' are yuv420p."""


def i420(rgb: Rgb) -> VideoFrame:
    """[H, W, 3] -> a new yuv420p frame, BT.601, limited range. OpenCV converts 30 times faster than libswscale."""
    return VideoFrame.from_ndarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), format="yuv420p")


def rgba(pixels: Rgb) -> VideoFrame:
    """[H, W, 4], straight alpha -> a new frame."""
    return VideoFrame.from_ndarray(pixels, format="rgba")


class Film:
    """A file that takes frames one by one and, at last, the sound that goes with them. A context manager.

    The file appears under its name only when it is whole.
    """

    def __init__(self, path: Path, size: int, sound: Path | None, *, alpha: bool = False) -> None:
        """`alpha`: frames are RGBA. ValueError for a file ending that is none of `CODECS`, or of `WITH_ALPHA`."""
        codecs = WITH_ALPHA if alpha else CODECS
        if path.suffix.lower() not in codecs:
            kind = "a film with alpha" if alpha else "the output"
            endings = f"{', '.join(codecs)}, or in nothing: a folder of PNG files"
            raise ValueError(f"{path.name}: {kind} must end in {endings}")
        video, audio = codecs[path.suffix.lower()]
        self._picture = rgba if alpha else i420
        self._path, self._part = path, path.with_name(f".{path.stem}.part{path.suffix}")
        self._container = av.open(str(self._part), "w")
        self._video = cast(VideoStream, self._container.add_stream(video, rate=FPS))
        self._video.width = self._video.height = size
        self._video.pix_fmt = PIXELS.get(video, "yuv420p")
        self._video.options = OPTIONS[video]
        self._frames = 0
        self._audio = cast(AudioStream, self._container.add_stream(audio, rate=SOUND_RATE)) if sound else None
        self._pieces = _resampled(sound, self._audio) if sound and self._audio else iter(())

    def __enter__(self) -> Self:
        return self

    def add(self, rgb: Rgb) -> None:
        """[size, size, 3 or with alpha 4] the next frame."""
        frame = self._picture(rgb)
        frame.pts, frame.time_base = self._frames, Fraction(1, FPS)
        self._frames += 1
        self._container.mux(self._video.encode(frame))
        self._mux_sound(until=frame.pts * frame.time_base)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._container.mux(self._video.encode(None))
            self._mux_sound(until=math.inf)
            if self._audio:
                self._container.mux(self._audio.encode(None))
        self._container.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def _mux_sound(self, until: Fraction | float) -> None:
        """Keeps the sound beside the picture in the file, so that it can be played while it loads."""
        for piece in self._pieces:
            if self._audio:
                self._container.mux(self._audio.encode(piece))
            if piece.pts is not None and Fraction(piece.pts, SOUND_RATE) >= until:
                return


class Stills:
    """A folder of PNG files, 00000.png and so on, RGB or RGBA: every frame to the last bit. A context manager."""

    def __init__(self, folder: Path) -> None:
        """ValueError for a folder that has something in it: what is there is neither mixed with nor replaced."""
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty: name a new folder for the pictures")
        self._folder = folder
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def add(self, rgb: Rgb) -> None:
        """[size, size, 3 or with alpha 4] the next frame."""
        code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
        _, png = cv2.imencode(".png", cv2.cvtColor(rgb, code))
        (self._folder / f"{self._frames:05d}.png").write_bytes(png.tobytes())
        self._frames += 1

    def __exit__(self, *_: object) -> None:
        if not self._frames:
            self._folder.rmdir()  # refused before the first one


def _resampled(sound: Path, target: AudioStream) -> Iterator[av.AudioFrame]:
    """The sound's frames in the form that `target` encodes, time-stamped without gaps."""
    layout, sample_format = target.codec_context.layout, target.codec_context.format
    resampler = AudioResampler(sample_format, layout, SOUND_RATE, frame_size=target.codec_context.frame_size or 960)
    pts = 0
    with av.open(str(sound)) as source:
        for frame in itertools.chain(source.decode(audio=0), [None]):
            for piece in resampler.resample(frame):
                piece.pts, piece.time_base = pts, Fraction(1, SOUND_RATE)
                pts += piece.samples
                yield piece
