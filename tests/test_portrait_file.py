"""The prepared file: what goes in comes out, and what is no such file is refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from engine.portrait.errors import PortraitError
from engine.portrait.file import MAGIC, VERSION, Portrait
from engine.portrait.report import Remark, Report

REPORT = Report(212, -3.5, 1.0, 0.25, (Remark("face", "large enough"), Remark("sharpness", "blurred: skin", True)))


@pytest.fixture
def portrait() -> Portrait:
    random = np.random.default_rng(0)
    layers: dict[str, np.ndarray] = {
        "source": random.random(63).astype(np.float32),
        "maps": random.random((3, 5, 7)).astype(np.float16),
        "picture": random.integers(0, 255, (9, 9, 4), np.uint8),
        "empty": np.zeros((0, 2), np.int32),
    }
    return Portrait(layers, REPORT, b"\xff\xd8 jpeg")


class TestRoundTrip:
    def test_everything_comes_back(self, portrait: Portrait) -> None:
        again = Portrait.from_bytes(portrait.to_bytes())
        assert (again.report, again.thumbnail) == (REPORT, portrait.thumbnail)
        assert list(again.layers) == list(portrait.layers)
        for name, array in portrait.layers.items():
            np.testing.assert_array_equal(again.layers[name], array)
            assert again.layers[name].dtype == array.dtype

    def test_through_a_file(self, portrait: Portrait, tmp_path: Path) -> None:
        portrait.save(tmp_path / "anna.les")
        np.testing.assert_array_equal(Portrait.load(tmp_path / "anna.les").source, portrait.source)
        assert [path.name for path in tmp_path.iterdir()] == ["anna.les"]

    def test_is_known_by_its_first_bytes(self, portrait: Portrait) -> None:
        assert Portrait.is_prepared(portrait.to_bytes()) and not Portrait.is_prepared(b"\xff\xd8\xff")

    def test_loaded_layers_are_read_only(self, portrait: Portrait) -> None:
        with pytest.raises(ValueError, match="read-only"):
            Portrait.from_bytes(portrait.to_bytes()).layers["source"][0] = 1


class TestRefusals:
    def refused(self, data: bytes) -> str:
        with pytest.raises(PortraitError) as refusal:
            Portrait.from_bytes(data)
        assert "\n" not in str(refusal.value) and "prepare" in str(refusal.value)
        return refusal.value.code

    def test_something_else(self) -> None:
        assert self.refused(b"\x89PNG....") == "not_prepared"

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
    def test_cut_off(self, portrait: Portrait, share: float) -> None:
        data = portrait.to_bytes()
        assert self.refused(data[: int(len(data) * share)]) == "broken_file"

    def test_scrambled_header(self, portrait: Portrait) -> None:
        data = bytearray(portrait.to_bytes())
        data[20:40] = b"\x00" * 20
        assert self.refused(bytes(data)) == "broken_file"

    def test_another_version(self, portrait: Portrait) -> None:
        data = portrait.to_bytes().replace(b'"version": %d' % VERSION, b'"version": 9', 1)
        assert self.refused(data) == "other_version"

    def test_magic_alone(self) -> None:
        assert self.refused(MAGIC) == "broken_file"


class TestReport:
    def test_warnings_and_lines(self) -> None:
        assert REPORT.warnings == ["blurred: skin"]
        assert REPORT.lines() == ["ok       face        large enough", "warning  sharpness   blurred: skin"]

    def test_json(self) -> None:
        data = REPORT.to_json()
        assert data["warnings"] == ["blurred: skin"] and data["face_px"] == 212
        assert Report.from_json(data) == REPORT
