"""What the package leaves on a machine, and where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.places import cache_home, data_home

COMPILE = (
    "import sys; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
    "import numpy as np; import loops; print(loops.double(np.ones(3)).sum())"
)
LOOPS = "from engine.runtime.compiled import compiled\n\n@compiled\ndef double(a):\n    return a * 2\n"


class TestHomes:
    def test_are_the_users(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/ann")
        for relative in ("", "cache"):
            monkeypatch.setenv("XDG_CACHE_HOME", relative)
            assert cache_home() == Path("/home/ann/.cache/les-avatar")
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert data_home() == Path("/data/les-avatar")


class TestCompiledLoops:
    def double(self, source: Path, cache: Path, sum: float = 6.0) -> None:
        environment = os.environ | {"XDG_CACHE_HOME": str(cache), "NUMBA_CACHE_DIR": ""}
        told = subprocess.run(
            [sys.executable, "-c", COMPILE, str(source)], env=environment, check=True, capture_output=True, text=True
        )
        assert told.stdout == f"{sum}\n"

    def test_are_kept_in_the_users_cache_and_not_in_the_package(self, tmp_path: Path) -> None:
        source, cache = tmp_path / "source", tmp_path / "cache"
        source.mkdir()
        (source / "loops.py").write_text(LOOPS)
        self.double(source, cache)
        assert [file.name for file in source.rglob("*")] == ["loops.py"]
        assert list((cache / "les-avatar" / "compiled").rglob("*.nbc"))

    @pytest.mark.parametrize(
        ("loops", "once", "then"),
        [
            ("from other import TIMES\n\n@compiled\ndef double(a):\n    return a * TIMES\n", "TIMES = 2", "TIMES = 3"),
            (
                "from other import times\n\n@compiled\ndef double(a):\n    return times(a)\n",
                "from engine.runtime.compiled import compiled\n\n@compiled\ndef times(a):\n    return a * 2\n",
                "from engine.runtime.compiled import compiled\n\n@compiled\ndef times(a):\n    return a * 3\n",
            ),
        ],
        ids=["constant", "function"],
    )
    def test_know_when_another_file_changed_what_they_hold(
        self, tmp_path: Path, loops: str, once: str, then: str
    ) -> None:
        source, cache = tmp_path / "source", tmp_path / "cache"
        source.mkdir()
        (source / "loops.py").write_text("from engine.runtime.compiled import compiled\n" + loops)
        (source / "other.py").write_text(once)
        self.double(source, cache)
        (source / "other.py").write_text(then)
        self.double(source, cache, sum=9.0)

    def test_a_cache_is_not_needed(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.mkdir()
        (source / "loops.py").write_text(LOOPS)
        (tmp_path / "file").touch()
        self.double(source, tmp_path / "file")
