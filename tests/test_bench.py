"""The bench's own rules: who calls when, whose picture it is, and what a process takes."""

import asyncio
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from engine.avatar import Avatar
from engine.background import Background
from engine.les import Les
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.units import CHUNK
from server.commands.callers import Plan
from server.commands.eye import COLOURS, Eye, face_of_jpeg, nearest
from server.commands.watch import Watch, usage


class TestPlan:
    def test_without_churn_all_stay(self) -> None:
        assert [[*Plan(2, 60).turns(place)] for place in (0, 1)] == [[(0, 60)], [(1, 60)]]

    def test_with_churn_one_leaves_at_a_time_and_another_comes(self) -> None:
        plan = Plan(4, 100, 5)
        begun: list[float] = []
        for place in range(plan.count):
            now = 0.0
            for _, seconds in plan.turns(place):
                begun.append(now)
                now += seconds
            assert now == pytest.approx(100)
        assert sorted(begun) == [0, 0, 0, 0, *np.arange(5, 100, 5)]

    @pytest.mark.parametrize("count", [1, 2, 4, 8])
    def test_no_two_of_the_moment_have_a_colour(self, count: int) -> None:
        plan = Plan(count, 200, 3)
        there = np.zeros((count, 200), int)
        for place in range(count):
            now = 0
            for number, seconds in plan.turns(place):
                there[place, now : now + round(seconds)] = number % len(COLOURS)
                now += round(seconds)
        assert all(len({*moment.tolist()}) == count for moment in there.T)


@pytest.fixture(scope="module")
def people() -> dict[str, Portrait]:
    return {name: prepare(default_photo(name)) for name in default_names()}


@pytest.fixture(scope="module")
def film(people: dict[str, Portrait]) -> dict[tuple[str, str, float], np.ndarray]:
    """A picture of each portrait before each of two colours, at rest and as it smiles, as a call shows it."""
    avatar, pictures = Avatar(), {}
    for name, portrait in people.items():
        for colour in COLOURS[-2:]:
            stream = avatar.open(portrait, size=256)
            stream.stand_before(Background.parse(colour))
            for level in (0.0, 1.0):
                stream.set_emotion(Les.of(emotion={"happiness": level}), transition_s=0.0)
                pictures[name, colour, level] = avatar.step_one(stream, np.zeros(CHUNK, np.float32)).rgb
    return pictures


class TestEye:
    def test_knows_its_own_from_all_others(
        self, people: dict[str, Portrait], film: dict[tuple[str, str, float], np.ndarray]
    ) -> None:
        faces = {name: face_of_jpeg(portrait.thumbnail) for name, portrait in people.items()}
        for own in film:
            for seen, picture in film.items():
                wrong = Eye(*own[:2], faces).judge(picture)
                assert len(wrong) == (seen[0] != own[0]) + 2 * (seen[1] != own[1])

    def test_knows_colours_after_a_video_codec(self) -> None:
        for colour in COLOURS:
            flat = np.full((64, 64, 3), [*bytes.fromhex(colour[1:])], np.uint8)
            back = cv2.cvtColor(cv2.cvtColor(flat, cv2.COLOR_RGB2YUV_I420), cv2.COLOR_YUV2RGB_I420)
            assert nearest(back.mean((0, 1))) == colour


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="reads /proc")
class TestWatch:
    def test_what_a_process_takes(self) -> None:
        code = "hold = bytearray(b'x') * (64 << 20)\nfor _ in range(10**7): pass\nprint(flush=True); input()"
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
            assert process.stdin and process.stdout
            process.stdout.readline()
            taken = usage(process.pid)
            process.stdin.close()
        assert 64 < taken.memory_mb < 200 and taken.cpu_s > 0.05

    async def test_growth_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.commands.watch.EVERY_S", 0.02)
        # A process of its own: this one may have freed enough before to grow without a page more.
        code = "import time\nheld = []\nfor _ in range(100): held.append(bytes(1) * (4 << 20)); time.sleep(0.02)"
        with subprocess.Popen([sys.executable, "-c", code]) as growing:
            watch = Watch(growing.pid, [], os.getpid())
            watching = asyncio.create_task(watch.run())
            await asyncio.sleep(1)
            watching.cancel()
            growing.kill()
        growth = watch.facts()["memory's growth after the first fifth"]
        assert float(growth.split()[0]) > 5
