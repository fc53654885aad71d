"""Engines in processes of their own: the same as here, and nothing that happens to one happens to another."""

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.avatar import Avatar
from engine.background import Background
from engine.les import Les, parse
from engine.motion import MotionAmounts
from engine.portrait import Portrait, PortraitError, default_photo, prepare
from engine.portrait.report import Remark, Report
from engine.units import CHUNK
from server.engine_thread import EngineLost
from server.remote import MEMORY, RemoteEngine, parts
from server.worker import Host, Request
from tests.server_fakes import FakeEngine, FakeStream, StillEngine, bits, draw
from tests.server_running import FakePortrait

ANYONE: Any = FakePortrait()
SILENCE = np.zeros(CHUNK, np.float32)
SIZE = 256
NOT_CUT_OUT = Report(400, 0, 0, 0, (Remark("background", "not told from the person"),))


def faulty(stream: FakeStream) -> None:
    """Seeds have meanings: 13 fails, 99 takes the whole process along."""
    if stream.seed == 13:
        raise ArithmeticError("no face for thirteen")
    if stream.seed == 99:
        os._exit(7)


def sleepy(stream: FakeStream) -> None:
    """From its second picture on."""
    if stream.frame:
        time.sleep(60)


def dozy(stream: FakeStream) -> None:
    time.sleep(0.5)


def unlucky() -> FakeEngine:
    raise MemoryError("no room for an engine")


@pytest.fixture
def engine() -> Iterator[RemoteEngine]:
    with_faults = RemoteEngine(partial(FakeEngine, 1, faulty))
    yield with_faults
    with_faults.close()


def shown(engine: RemoteEngine, *streams: Any) -> list[Any]:
    return list(engine.step([(stream, SILENCE) for stream in streams]))


class TestStreams:
    def test_each_gets_its_own_pictures(self, engine: RemoteEngine) -> None:
        streams = [engine.open(ANYONE, seed=seed, size=SIZE) for seed in range(5)]
        for frame in range(3):
            for seed, picture in enumerate(shown(engine, *streams)):
                expected = draw([bits(frame), [0], [0], bits(seed)], SIZE)
                assert picture.frame == frame and np.abs(picture.rgb.astype(int) - expected).max() <= 2

    def test_a_picture_that_is_not_drawn_again_is_the_same_array(self) -> None:
        engine = RemoteEngine(StillEngine)
        try:
            streams = [engine.open(ANYONE, seed=seed, size=SIZE) for seed in range(2)]
            first, second = shown(engine, *streams), shown(engine, *streams)
            streams[0].set_emotion(parse("AU1=1"), transition_s=0.0)
            third = shown(engine, *streams)
        finally:
            engine.close()
        assert [picture.frame for picture in third] == [2, 2]
        assert all(after.i420 is before.i420 for before, after in zip(first, second, strict=True))
        assert third[0].i420 is not second[0].i420 and third[1].i420 is second[1].i420
        assert [read(picture.rgb)[3] for picture in third] == [bits(0), bits(1)]

    def test_what_a_stream_is_told_comes_before_its_next_picture(self, engine: RemoteEngine) -> None:
        stream = engine.open(ANYONE, seed=1, size=SIZE)
        assert stream.set_emotion(parse("AU1=1"), transition_s=0.0) == 0
        stream.skip(4)
        assert shown(engine, stream)[0].frame == 4
        assert stream.set_emotion(Les(), transition_s=0.0) == 5

    def test_what_is_skipped_costs_no_request(self, engine: RemoteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        stream, asked = engine.open(ANYONE, size=SIZE), list[str]()
        ask = stream.worker.ask

        def counted(name: str, *arguments: Any) -> Any:
            asked.append(name)
            return ask(name, *arguments)

        monkeypatch.setattr(stream.worker, "ask", counted)
        stream.unhear(1)
        stream.skip(4)
        assert [shown(engine, stream)[0].frame for _ in range(2)] == [4, 5]
        assert asked == ["step", "step"]

    def test_one_that_can_not_be_brought_up_fails_alone(self, engine: RemoteEngine) -> None:
        streams = [engine.open(ANYONE, seed=seed, size=SIZE) for seed in range(3)]
        streams[1].unhear(2)  # it heard one
        pictures = shown(engine, *streams)
        assert isinstance(pictures[1], IndexError)
        assert [read(picture.rgb)[3] for picture in pictures[::2]] == [bits(0), bits(2)]

    def test_sizes_change(self, engine: RemoteEngine) -> None:
        stream = engine.open(ANYONE, size=512)
        engine.resize(stream, 320)
        assert shown(engine, stream)[0].rgb.shape == (320, 320, 3)

    def test_more_pictures_than_the_memory_holds(self, engine: RemoteEngine) -> None:
        streams = [engine.open(ANYONE, seed=seed, size=1024) for seed in range(8)]
        work = [(stream, SILENCE) for stream in streams]
        assert 1024 * 1536 * len(streams) > MEMORY and [len(part) for part in parts(work)] == [5, 3]
        seeds = [read(picture.rgb)[3] for picture in shown(engine, *streams)]
        assert seeds == [bits(stream.number) for stream in streams]

    def test_a_portrait_is_loaded_once_for_all_its_streams(self, tmp_path: Path) -> None:
        opened = Opened(tmp_path)
        for _ in range(3):
            opened.show("anna")
        assert len({id(portrait()) for portrait in opened.portraits}) == 1 and opened.portraits[0]()

    def test_the_last_ones_stay_for_who_comes_back(self, tmp_path: Path) -> None:
        opened = Opened(tmp_path)
        for name in ("anna", *"bcd", "anna", "e"):
            opened.show(name)
            opened.leave()
        anna, b, *others = opened.portraits
        assert anna() and anna() is opened.portraits[4]() and not b() and all(other() for other in others)

    def test_one_that_was_deleted_does_not(self, tmp_path: Path) -> None:
        opened = Opened(tmp_path)
        opened.show("anna")
        (tmp_path / "anna").unlink()
        opened.show("otto")
        anna, otto = opened.portraits
        assert anna() and otto()
        opened.leave()
        assert not anna() and otto()


class Opened:
    """A worker's side, and the portraits it was asked to show."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._engine = folder, FakeEngine()
        self._host = Host(self._engine, memoryview(bytearray(1)))
        self.portraits: list[weakref.ref[Portrait]] = []

    def show(self, name: str) -> None:
        file = self._folder / name
        if not file.exists():
            Portrait({}, NOT_CUT_OUT, b"").save(file)
        self._host.answer(Request((), "open", (len(self.portraits), file, {})))
        self.portraits.append(weakref.ref(self._engine.streams[-1].portrait))

    def leave(self) -> None:
        """All its streams end."""
        self._engine.streams.clear()
        self._host.answer(Request(tuple(range(len(self.portraits))), "look_ahead", ()))


class TestFailures:
    def test_a_stream_that_fails_costs_the_others_nothing(self, engine: RemoteEngine) -> None:
        good, bad, also = (engine.open(ANYONE, seed=seed, size=SIZE) for seed in (1, 13, 2))
        assert [picture.frame for picture in shown(engine, good, also)] == [0, 0]
        with pytest.raises(ArithmeticError, match="thirteen") as raised:
            shown(engine, good, bad, also)
        assert any("in faulty" in note for note in raised.value.__notes__)
        assert [picture.frame for picture in shown(engine, good, also)] == [1, 1]

    def test_what_a_user_did_wrong_stays_known_as_that(self, engine: RemoteEngine) -> None:
        stream = engine.open(Portrait({}, NOT_CUT_OUT, b""), size=SIZE)
        with pytest.raises(PortraitError) as refused:
            stream.stand_before(Background.parse("#00ff00"))
        assert refused.value.code == "not_cut_out" and shown(engine, stream)[0].frame == 0

    def test_a_dead_process_ends_its_streams_and_a_new_one_serves(
        self, engine: RemoteEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        before, doomed = (engine.open(ANYONE, seed=seed, size=SIZE) for seed in (1, 99))
        pid = engine.pid
        lost = shown(engine, before, doomed)
        assert all(isinstance(each, EngineLost) and "status 7" in str(each) for each in lost)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        after = engine.open(ANYONE, seed=2, size=SIZE)
        pictures = shown(engine, before, after)
        assert isinstance(pictures[0], EngineLost) and read(pictures[1].rgb)[3] == bits(2)
        assert engine.pid != pid
        with pytest.raises(EngineLost):
            before.hush()

    def test_a_process_that_was_killed_is_noticed(self, engine: RemoteEngine) -> None:
        stream = engine.open(ANYONE, size=SIZE)
        os.kill(engine.pid, signal.SIGKILL)
        assert isinstance(shown(engine, stream)[0], EngineLost)

    def test_one_killed_while_nobody_called_costs_the_next_caller_nothing(
        self, engine: RemoteEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        os.kill(engine.pid, signal.SIGKILL)
        assert shown(engine, engine.open(ANYONE, seed=3, size=SIZE))[0].frame == 0
        assert "status -9" in caplog.text

    def test_a_process_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.remote.PATIENCE_S", 0.2)
        engine = RemoteEngine(partial(FakeEngine, 1, sleepy))
        stream = engine.open(ANYONE, size=SIZE)
        assert shown(engine, stream)[0].frame == 0
        assert "no answer" in str(shown(engine, stream)[0])
        engine.close()

    def test_the_first_picture_may_take_as_long_as_a_start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.remote.PATIENCE_S", 0.0)
        engine = RemoteEngine(partial(FakeEngine, 1, dozy))
        assert shown(engine, engine.open(ANYONE, size=SIZE))[0].frame == 0
        engine.close()

    def test_an_engine_that_can_not_be_made_says_why(self) -> None:
        with pytest.raises(MemoryError, match="no room"):
            RemoteEngine(unlucky)

    def test_no_process_outlives_its_parent(self) -> None:
        code = (
            "import os, server.remote, tests.server_fakes as fakes\n"
            "print(server.remote.RemoteEngine(fakes.FakeEngine).pid, flush=True)\nos._exit(1)"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        deadline = time.monotonic() + 20
        while alive(int(ended.stdout)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(int(ended.stdout))


class TestRealEngine:
    def test_draws_what_it_draws_here(self) -> None:
        remote, here = RemoteEngine(Avatar), Avatar()
        voice = np.random.default_rng(0).normal(0, 0.1, (8, CHUNK)).astype(np.float32)
        streams = here.open(prepared(), seed=3, size=SIZE), remote.open(prepared(), seed=3, size=SIZE)
        for stream in streams:
            stream.set_motion(MotionAmounts(head=0.5))
            stream.set_emotion(parse("happiness=1"), transition_s=0.1)
        for chunk in voice:
            other = remote.step([(streams[1], chunk)])[0]
            assert not isinstance(other, Exception)
            np.testing.assert_array_equal(here.step_one(streams[0], chunk).i420, other.i420)
        remote.close()


@cache
def prepared() -> Portrait:
    return prepare(default_photo("anna"))


def read(rgb: np.ndarray) -> list[list[float]]:
    """A fake picture's rows of blocks: what of them is white."""
    side = len(rgb)
    return [
        (rgb[row * side // 4 + side // 8, side // 32 :: side // 16, 0] > 128).astype(float).tolist() for row in range(4)
    ]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
