"""How many calls this machine carries: measured in a second at the start, and remembered for the next one.

What is measured is the work itself: every engine thread draws a talking portrait and encodes it, all at the same time.
The rest of a call (sound, encryption, Python) is known only by experience.
"""

import json
import logging
import os
import platform
import time
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from av.video.frame import PictureType

from engine.portrait import Portrait
from engine.units import FPS, FRAME_SIZE
from server.encoder import START_BITRATE, open_x264
from server.engine_thread import Engine
from server.engines import Engines
from server.media import video_frame
from server.talk import talk

log = logging.getLogger(__name__)

TRIAL_S = 1.0
TALK_S = 4.0  # of a voice, repeated as often as it takes
WARM_FRAMES = 5
REMEMBERED_S = 24 * 3600  # or a start while the machine was busy with other things would count for ever
BUSY = 0.8  # of its time that an engine may draw
USABLE = 0.6  # of the cores: portraits that are drawn in turns find the caches cold, and nobody waits gladly
REST = 0.1  # of a core that sound, encryption and network take for a call


@dataclass(frozen=True)
class Capacity:
    frames_per_second: float
    """That all engine threads together draw and encode, talking, at 512 x 512."""
    engines: int
    cores: int
    machine: str

    @property
    def sessions(self) -> int:
        """Talking at 25 frames a second; one is always tried. Cheaper pictures make nothing else cheaper."""
        drawing = self.engines * FPS / self.frames_per_second  # of a core, a call
        return max(1, int(min(self.engines * BUSY / drawing, self.cores * USABLE / (drawing + REST))))


async def capacity(engines: Engines, portrait: Portrait, memory: Path) -> Capacity:
    """What was measured before on this machine with as many engines, else what is measured now."""
    known = _recall(memory)
    if known and (known.machine, known.cores, known.engines) == (machine(), cores(), len(engines)):
        return known
    rates = await engines.run_on_each(partial(trial, portrait=portrait))
    found = Capacity(round(sum(rates), 1), len(engines), cores(), machine())
    _remember(found, memory)
    return found


def trial(engine: Engine, portrait: Portrait) -> float:
    """Frames a second of one talking portrait, in the present thread."""
    stream, encoder = engine.open(portrait, size=FRAME_SIZE), open_x264(FRAME_SIZE, FRAME_SIZE, START_BITRATE)
    chunks, begun, frames = talk(TALK_S), 0.0, -WARM_FRAMES
    while frames <= 0 or time.perf_counter() - begun < TRIAL_S:
        if frames == 0:
            begun = time.perf_counter()
        picture = engine.step([(stream, chunks[frames % len(chunks)])])[0]
        if isinstance(picture, Exception):
            raise picture
        frame = video_frame(picture.i420, frames + WARM_FRAMES)
        frame.pict_type = PictureType.NONE
        encoder.encode(frame)
        frames += 1
    return frames / (time.perf_counter() - begun)


def machine() -> str:
    """What a measurement is good for: another processor or another version has to be measured anew."""
    return f"{processor()}, {os.cpu_count()} CPUs, les-avatar {version('les-avatar')}, numba {version('numba')}"


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Its name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _recall(memory: Path) -> Capacity | None:
    try:
        if time.time() - memory.stat().st_mtime > REMEMBERED_S:
            return None
        return Capacity(**json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError):  # none yet, or not one of ours
        return None


def _remember(found: Capacity, memory: Path) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(asdict(found)))
    except OSError as error:
        log.warning("the measured capacity can't be kept, so every start measures: %s", error)
