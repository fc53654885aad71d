"""What some processes take while something goes on: their share of the cores, and memory that should not grow."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

EVERY_S = 1.0
WARM, LAST = 0.2, 0.2  # shares of the time: what is held after the first is held against the last


class Usage(NamedTuple):
    cpu_s: float
    memory_mb: float
    """Resident; what processes share counts in each."""


def usage(pid: int) -> Usage:
    """See proc(5): the fields of /proc/PID/stat after the name, of which the first is number 3."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20)


class Watch:
    def __init__(self, server: int, drawing: Sequence[int], callers: int) -> None:
        """Process ids. What the callers hold grows with what they note, and is not told."""
        self._processes = [server, *drawing, callers]
        self._seen: list[tuple[float, list[Usage]]] = []

    async def run(self) -> None:
        """Until it is cancelled, or one of the processes has ended."""
        with suppress(FileNotFoundError):
            while True:
                self._seen.append((time.monotonic(), [usage(pid) for pid in self._processes]))
                await asyncio.sleep(EVERY_S)

    def facts(self) -> dict[str, Any]:
        if len(self._seen) < 2:
            return {}
        (begun, first), (ended, last) = self._seen[0], self._seen[-1]
        cores = [round((b.cpu_s - a.cpu_s) / (ended - begun), 2) for a, b in zip(first, last, strict=True)]
        memory = np.array([[each.memory_mb for each in all_[:-1]] for _, all_ in self._seen])
        warm, late = round(WARM * len(memory)), round((1 - LAST) * len(memory))
        before, after = (np.median(part, axis=0) for part in (memory[warm : 2 * warm + 1], memory[late:]))
        return {
            "CPU, cores": f"{cores[0]} the server, {cores[1:-1]} drawing, {cores[-1]} the callers",
            "memory, MB": f"{after[0]:.0f} the server, {after[1:].round().tolist()} drawing",
            "memory's growth after the first fifth": f"{100 * (after.sum() / before.sum() - 1):.2f} %",
        }
