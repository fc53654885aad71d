"""The command line: every command does its work, and refuses in one line with exit status 2."""

import json
import math
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engine.audio import load_audio
from engine.face.coefficients import INDEX
from engine.portrait import Portrait, default_photo
from engine.tracks import read_coefficients
from engine.units import CHUNK
from server.cli import main
from server.commands import doctor
from server.settings import Settings

SIZE = "256"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo and a short sentence."""
    path = tmp_path_factory.mktemp("cli")
    (path / "anna.jpg").write_bytes(default_photo("anna"))
    subprocess.run(["flite", "-voice", "slt", "-t", "Papa, why? Mama!", "-o", str(path / "voice.wav")], check=True)
    return path


@pytest.fixture(scope="module")
def prepared(folder: Path) -> Path:
    assert main(["prepare", str(folder / "anna.jpg"), "-o", str(folder / "anna.les")]) == 0
    return folder / "anna.les"


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("les-avatar: ") and error.count("\n") == 1
    return error


class TestPrepare:
    def test_report_and_file(self, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert Portrait.load(prepared).thumbnail.startswith(b"\xff\xd8")
        main(["prepare", str(prepared.with_name("anna.jpg")), "-o", str(prepared.with_name("again.les"))])
        report = capsys.readouterr().out
        assert "face" in report and "sharpness" in report and "pose" in report

    def test_no_photo(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "can't read" in refusal(capsys, "prepare", str(folder / "nobody.jpg"), "-o", "x.les")
        assert "JPEG, PNG or WebP" in refusal(capsys, "prepare", str(folder / "voice.wav"), "-o", "x.les")


class TestRender:
    def test_from_a_voice(self, prepared: Path) -> None:
        out, csv = prepared.with_name("out.mp4"), prepared.with_name("c.csv")
        asked = ["--audio", str(prepared.with_name("voice.wav")), "--emotion", "happiness=0.6,AU4=0.2"]
        asked += ["-o", str(out), "--save-coefficients", str(csv), "--size", SIZE]
        assert main(["render", str(prepared), *asked]) == 0
        pictures, track = frames(out), read_coefficients(csv)
        samples = load_audio(prepared.with_name("voice.wav"))
        assert len(pictures) == len(track) == math.ceil(len(samples) / CHUNK) and pictures[0].shape == (256, 256, 3)
        assert track[:, INDEX["mouthSmileLeft"]].mean() > 0.2
        assert np.ptp(track[:, INDEX["jawOpen"]]) > 0.15

    def test_same_seed_same_film_other_seed_another(self, prepared: Path) -> None:
        voice = str(prepared.with_name("voice.wav"))

        def track(seed: str) -> np.ndarray:
            csv = prepared.with_name("seed.csv")
            given = ["--audio", voice, "--seed", seed, "-o", str(prepared.with_name("s.mp4")), "--size", SIZE]
            assert main(["render", str(prepared), *given, "--save-coefficients", str(csv)]) == 0
            return read_coefficients(csv)

        np.testing.assert_array_equal(track("1"), track("1"))
        assert not np.array_equal(track("1"), track("2"))

    def test_from_coefficients(self, prepared: Path) -> None:
        csv, out = prepared.with_name("given.csv"), prepared.with_name("given.mp4")
        csv.write_text("time,jawOpen\n0,0\n0.04,0\n0.08,0.7\n0.12,0.7\n")
        assert main(["render", str(prepared), "--coefficients", str(csv), "-o", str(out), "--size", SIZE]) == 0
        shut, same, wide, _ = [picture.astype(float) for picture in frames(out)]
        assert abs(shut - same).mean() < 0.5 and abs(wide - shut).mean() > 1

    def test_what_a_voice_drove_is_driven_again_by_its_track(self, prepared: Path) -> None:
        """As pictures, which keep every bit but what the track's five digits leave out; and with the voice as sound."""
        folder, voice = prepared.parent, ["--audio", str(prepared.with_name("voice.wav"))]
        size, track, units = ["--size", SIZE], str(folder / "again.csv"), folder / "units.csv"
        saved = ["--emotion", "AU4=0.25", "--save-coefficients", track, "--save-units", str(units)]
        assert main(["render", str(prepared), *voice, *saved, *size, "-o", str(folder / "first")]) == 0
        given = ["--coefficients", track]
        assert main(["render", str(prepared), *given, *size, "-o", str(folder / "second")]) == 0
        assert main(["render", str(prepared), *given, *voice, *size, "-o", str(folder / "heard.mp4")]) == 0
        first, second = (
            [np.asarray(Image.open(f)) for f in sorted((folder / o).iterdir())] for o in ("first", "second")
        )
        assert len(first) == len(second) == len(frames(folder / "heard.mp4")) == len(units.read_text().split()) - 1
        off = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
        assert off.max() <= 8 and off.mean() < 0.1
        assert units.read_text().splitlines()[5].split(",")[3] == "0.25"
        assert np.abs(load_audio(folder / "heard.mp4")).max() > 0.1

    def test_a_portrait_that_is_nowhere(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        given = ["--audio", str(folder / "voice.wav"), "-o", str(folder / "bob.mp4")]
        assert "default portraits are anna, marc" in refusal(capsys, "render", "bob", *given)

    def test_emotion_track(self, prepared: Path) -> None:
        track, csv = prepared.with_name("t.jsonl"), prepared.with_name("e.csv")
        track.write_text('{"time": 0.48, "emotion": {"surprise": 1}, "transition_ms": 0}\n')
        given = ["--audio", str(prepared.with_name("voice.wav")), "--emotion-track", str(track), "--no-motion"]
        out = ["-o", str(prepared.with_name("e.mp4")), "--save-coefficients", str(csv), "--size", SIZE]
        assert main(["render", str(prepared), *given, *out]) == 0
        brows = read_coefficients(csv)[:, INDEX["browOuterUpLeft"]]
        assert brows[:12].max() < 0.05 and brows[12:].min() > 0.5

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--audio", "{folder}/anna.les"], "sound"),
            (["--audio", "{folder}/none.wav"], "none.wav"),
            (["--audio", "{folder}/voice.wav", "--emotion", "joy=1"], "no emotion or unit 'joy'"),
            (["--audio", "{folder}/voice.wav", "--size", "300"], "multiple of 32"),
            (["--audio", "{folder}/voice.wav", "--save-coefficients", "{folder}/none/c.csv"], "can't write"),
            (["--audio", "{folder}/voice.wav", "--save-coefficients", "{folder}"], "can't write"),
            (["--audio", "{folder}/voice.wav", "-o", "{folder}/out.gif"], "must end in .mp4"),
            (["--audio", "{folder}/voice.wav", "-o", "{folder}/none/out.mp4"], "none/out.mp4: No such file"),
            (["--coefficients", "{folder}/voice.wav"], "voice.wav"),
            (["--coefficients", "{folder}/none.csv"], "none.csv"),
            (["--coefficients", "{folder}/none.csv", "--emotion", "anger=1"], "go with --audio alone"),
            (["--coefficients", "{folder}/none.csv", "--save-units", "{folder}/u.csv"], "go with --audio alone"),
            (["--audio", "{folder}/voice.wav", "--relative"], "goes with --coefficients"),
            (["--audio", "{folder}/voice.wav", "-o", "{folder}"], "is not empty"),
            ([], "give --audio"),
        ],
    )
    def test_refusals(
        self, prepared: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
    ) -> None:
        given = [argument.replace("{folder}", str(prepared.parent)) for argument in arguments]
        out = [] if "-o" in given else ["-o", str(prepared.with_name("refused.mp4"))]
        assert words in refusal(capsys, "render", str(prepared), *given, *out)
        assert not prepared.with_name("refused.mp4").exists()


class TestServe:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--turn", "turn:host:3478"], "needs $LES_TURN_SECRET"),
            (["--turn", "stun:host:3478"], "such as turn:host:3478"),
            (["--stun", "host"], "such as stun:host:3478"),
            (["--stun", "stun:host:99999"], "such as stun:host:3478"),
            (["--allow-origin", "example.org"], "such as https://example.org"),
            (["--allow-origin", "https://example.org/page"], "such as https://example.org"),
            (["--chat-url", "http://[::1", "--chat-model", "m"], "such as https://host/v1"),
            (["--portraits", "/proc/portraits"], "can't keep portraits in /proc/portraits: No such file"),
        ],
    )
    def test_refusals(self, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
        assert words in refusal(capsys, "serve", *arguments)

    @pytest.mark.parametrize("arguments", [["--port", "99999"], ["--port", "0"], ["--max-sessions", "0"]])
    def test_numbers_that_can_not_be(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["serve", *arguments])
        assert stopped.value.code == 2 and "must be 1" in capsys.readouterr().err

    def test_an_origin_is_what_browsers_tell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[Settings] = []
        monkeypatch.setattr("server.commands.serve.serve", lambda settings, factory: seen.append(settings))
        assert main(["serve", "--allow-origin", "https://Example.org:8443/"]) == 0
        assert seen[0].allowed_origins == ("https://example.org:8443",)


class TestDoctor:
    def test_every_needed_thing_is_found_here(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor"]) == 0
        lines = capsys.readouterr().out
        assert "MISSING" not in lines and "libx264" in lines and "ms a frame" in lines

    def test_tells_what_is_kept_where(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        (tmp_path / "data" / "les-avatar").mkdir(parents=True)
        (tmp_path / "data" / "les-avatar" / "a.portrait").write_bytes(bytes(2_000_000))
        (tmp_path / "file").touch()
        portraits, cache = doctor._files()
        assert portraits.fine and f"{tmp_path / 'data' / 'les-avatar'}, 2 MB" in portraits.words
        assert not cache.fine and not cache.needed and "can't be kept" in cache.words


class TestBench:
    def test_prints_percentiles(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["bench", "--seconds", "1", "--size", SIZE, "--json", str(tmp_path / "b.json")]) == 0
        lines = capsys.readouterr().out
        assert "p95" in lines and "engine a frame, talking" in lines
        report = json.loads((tmp_path / "b.json").read_text())
        assert len(report["rows"]) == 6 and report["silent / talking, in the mean"] > 0
        median = {row["name"]: row["p50"] for row in report["rows"]}  # a mean is anything on a crowded machine
        assert 0 < median["engine a frame, silent, ms"] < median["engine a frame, talking, ms"]

    @pytest.mark.parametrize(
        "arguments", [["--seconds", "nan"], ["--seconds", "0"], ["--churn", "-1"], ["--churn", "inf"]]
    )
    def test_times_that_can_not_be(self, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["bench", *arguments])
        assert stopped.value.code == 2 and "must be more than 0" in capsys.readouterr().err

    def test_refusals(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "can't read" in refusal(capsys, "bench", "--calls", "1", "--speech", str(tmp_path / "none.wav"))
        out = tmp_path / "none" / "bench.json"
        assert main(["bench", "--seconds", "0.1", "--size", "256", "--json", str(out)]) == 2
        assert f"can't write {out}" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--churn", "3"], "--churn goes with --calls"),
            (["--sessions", "2", "--silent"], "--silent goes with --calls"),
            (["--engines", "2"], "--engines goes with --calls"),
            (["--calls", "1", "--size", "288"], "--size must be one of 256, 384"),
            (["--sessions", "1", "--size", "5"], "--size must be a multiple of 32"),
            (["--runtime", "tensorrt"], "NVIDIA"),
        ],
    )
    def test_options_that_would_do_nothing(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
    ) -> None:
        assert words in refusal(capsys, "bench", *arguments)

    def test_measures_one_thing_at_a_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(["bench", "--calls", "2", "--portrait", "otto"])
        assert stopped.value.code == 2 and "not allowed with" in capsys.readouterr().err

    def test_calls_the_whole_server(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "server.cli", "bench", "--calls", "2", "--seconds", "16", "--churn", "8"]
        command += ["--size", "256"]
        subprocess.run([*command, "--json", str(tmp_path / "b.json")], check=True)
        report = json.loads((tmp_path / "b.json").read_text())
        assert len(report["frames a second"]) == 3 and min(report["frames a second"]) > 5
        assert {"emotion.set to applied, ms", "call 3: time between pictures, ms"} <= {
            r["name"] for r in report["rows"]
        }
        assert report["picture"] == "256 x 256"
        assert report["pictures looked at"] >= 3 and report["of them another session's"] == 0
        assert report["CPU, cores"].endswith("the callers")
