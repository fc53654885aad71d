"""`les-avatar doctor`: what this machine can do and what it lacks, in plain words."""

import argparse
import ctypes
import importlib
import os
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import av
import numpy as np

from engine.avatar import Avatar
from engine.places import cache_home, data_home
from engine.units import FRAME_MS
from server.assistants import hibari_voice, sphinx
from server.assistants.slots import HEARING_RATE
from server.commands.sources import open_portrait
from server.talk import talk

PORT = 8080
PACKAGES = ("aiortc", "av", "fastapi", "numba", "numpy", "openvino", "opencv-python-headless", "uvicorn", "websockets")
OPTIONAL = {
    "uvloop": "a faster event loop",
    "tensorrt": "rendering on an NVIDIA GPU",
    "torch": "training, checking graphs",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    words: str
    needed: bool = True
    """Whether a call is impossible without it."""
    fine: bool = True

    def __str__(self) -> str:
        mark = "ok" if self.fine else ("MISSING" if self.needed else "-")
        return f"{mark:<9}{self.subject:<24}{self.words}"


def run(options: argparse.Namespace) -> int:
    del options
    findings = []
    for finding in examine():
        findings.append(finding)
        print(finding, flush=True)
    stopped = [finding.subject for finding in findings if finding.needed and not finding.fine]
    print()
    print(f"This machine can't serve yet: see {', '.join(stopped)}." if stopped else "This machine can serve calls.")
    return 1 if stopped else 0


def examine() -> Iterator[Finding]:
    """Every finding, the quick ones first."""
    yield _python()
    yield from map(_package, PACKAGES)
    yield from (_optional(name, use) for name, use in OPTIONAL.items())
    yield from _codecs()
    yield _port()
    yield _processor()
    yield _memory()
    yield _gpu()
    yield from _files()
    yield _engine()
    yield _assistant()


def _python() -> Finding:
    fine = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return Finding("Python", platform.python_version() + ("" if fine else ": 3.11 or 3.12 is needed"), fine=fine)


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, f"not installed: pip install {name}", fine=False)


def _optional(name: str, use: str) -> Finding:
    try:
        importlib.import_module(name)
    except (ImportError, OSError):
        return Finding(name, f"not installed; only needed for {use}", needed=False, fine=False)
    return Finding(name, f"{version(name)}: {use}", needed=False)


def _codecs() -> Iterator[Finding]:
    for codec, use in (("libx264", "video, preferred"), ("libvpx", "video, fallback"), ("libopus", "sound")):
        fine = codec in av.codecs_available
        yield Finding(codec, use if fine else f"{use}: this build of av lacks it, install av from its wheel", fine=fine)


def _port() -> Finding:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        free = probe.connect_ex(("127.0.0.1", PORT)) != 0
    return Finding(f"port {PORT}", "free" if free else "in use: serve with --port", needed=False, fine=free)


def _processor() -> Finding:
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    fast = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return Finding("CPU", f"{os.cpu_count()} cores, {platform.machine()}, {' '.join(fast) or 'no wide vectors known'}")


def _memory() -> Finding:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    fine = gib >= 1.5
    return Finding("memory", f"{gib:.1f} GiB" + ("" if fine else ": a call needs about 1.2"), fine=fine)


def _gpu() -> Finding:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Finding("NVIDIA GPU", "no driver found: the CPU renders", needed=False, fine=False)
    return Finding("NVIDIA GPU", "driver found", needed=False)


def _files() -> Iterator[Finding]:
    """What is kept where, and stays when the package goes."""
    for subject, where, use in (
        ("portraits", data_home, "the defaults and your own"),
        ("cache", cache_home, "may be deleted; the next start takes longer"),
    ):
        try:
            folder = where()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except (OSError, RuntimeError) as error:
            yield Finding(subject, f"can't be kept: {error}", needed=False, fine=False)
        else:
            megabytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
            yield Finding(subject, f"{folder}, {megabytes:.0f} MB: {use}", needed=False)


def _assistant() -> Finding:
    """The built-in one says something to itself."""
    question = "what time is it"
    try:
        samples = hibari_voice.voice()(question)
        at = np.arange(0, len(samples), hibari_voice.RATE / HEARING_RATE)
        heard = sphinx.recogniser().transcribe(hibari_voice.pcm16(np.interp(at, np.arange(len(samples)), samples)))
    except ImportError as missing:
        words = f"can't talk offline: pip install hibari-tts pocketsphinx ({missing})"
        return Finding("built-in assistant", words, needed=False, fine=False)
    fine = heard == question
    return Finding("built-in assistant", f"asked itself {question!r}, heard {heard!r}", needed=False, fine=fine)


def _engine() -> Finding:
    """Two seconds of a talking face, in CPU time: what else the machine does now is not the question."""
    avatar = Avatar()
    stream = avatar.open(open_portrait("anna"))
    times = []
    for chunk in talk(2):
        start = time.process_time()
        avatar.step_one(stream, chunk)
        times.append(time.process_time() - start)
    ms = float(np.median(times)) * 1000
    fine = ms < FRAME_MS
    words = f"{ms:.1f} ms a frame on one core" + (
        "" if fine else f": too slow for {FRAME_MS} ms, serve a smaller picture"
    )
    return Finding("engine", words, fine=fine)
