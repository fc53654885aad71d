"""The programs of docs/examples and docs/films.md, run as they stand; those for a server with the fake engine."""

import asyncio
import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import av
import numpy as np

from engine.les import AXES, DESCRIPTIONS, EMOTIONS
from engine.portrait import default_photo
from tests.server_running import Running, running

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
FILMS = EXAMPLES.parent / "films.md"


async def run(name: str, server: Running, *arguments: str | Path) -> str:
    """What it prints; it must end well."""
    status, printed = await finish(name, server, *arguments)
    assert status == 0, printed
    return printed


async def finish(name: str, server: Running, *arguments: str | Path) -> tuple[int | None, str]:
    """Its exit status, and what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / name, *arguments, "--server", server.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(90):
        printed, _ = await process.communicate()
    return process.returncode, printed.decode()


def film_holds_sound_and_pictures(path: Path) -> bool:
    with av.open(path) as film:
        pictures = sum(1 for _ in film.decode(video=0))
    with av.open(path) as film:
        loudest = max(float(np.abs(frame.to_ndarray()).max()) for frame in film.decode(audio=0))
    return pictures > 5 and loudest > 0.1


def write_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        times = np.arange(16_000) / 16_000
        sound.writeframes((np.sin(2 * np.pi * 440 * times) * 12_000).astype("<i2").tobytes())


class TestFilms:
    def test_the_program_runs(self, tmp_path: Path) -> None:
        (program,) = re.findall("```python\n(.*?)```", FILMS.read_text(), re.DOTALL)
        (tmp_path / "me.jpg").write_bytes(default_photo("zola"))
        write_tone(tmp_path / "voice.wav")
        printed = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        lines = printed.stdout.splitlines()
        assert len(lines) == 25 and lines[-1].startswith("24 (512, 512, 3) (69,) {'AU4': 0.2, 'AU6': 0.6")

    def test_its_tables_are_the_engines(self) -> None:
        page = FILMS.read_text()
        cells = re.findall(r"\b(AU\d+) \| ([a-z ]+) \|", page) + re.findall(r"\b(AU[LR]\d+)\s([a-z\s]+)[,.]", page)
        described = {axis: " ".join(words.split()) for axis, words in cells}  # a line may end between them
        assert described == DESCRIPTIONS and len(cells) == len(AXES)
        for emotion, peaks in EMOTIONS.items():
            assert f"| {emotion} | {', '.join(f'{axis} {peak:g}' for axis, peak in peaks.items())} |" in page


async def test_push_wav(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav")
    async with running(tmp_path / "portraits") as server:
        printed = await run("push_wav.py", server, tmp_path / "tone.wav", tmp_path / "talk.mp4")
    ended = json.loads(printed.splitlines()[-1])
    assert ended["type"] == "speech.ended" and abs(ended["playback_ms"] - 1000) <= 40
    assert film_holds_sound_and_pictures(tmp_path / "talk.mp4")


async def test_push_wav_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    tone, broken, film = (tmp_path / name for name in ("tone.wav", "broken.wav", "talk.mp4"))
    write_tone(tone)
    broken.write_bytes(tone.read_bytes()[:20])
    async with running(tmp_path / "portraits") as server:
        for arguments, words in (
            ((broken, film), "the WAV file ends too early"),
            ((Path(__file__), film), "file does not start with RIFF id"),
            ((tmp_path / "none.wav",), "No such file"),
            ((tone, tmp_path / "no folder" / "talk.mp4"), "No such file"),
            ((tone, film, "--portrait", "nobody"), "nobody"),
        ):
            status, printed = await finish("push_wav.py", server, *arguments)
            assert status == 1 and words in printed and printed.count("\n") == 1, printed
    status, printed = await finish("push_wav.py", server, tone, film)  # it has stopped
    assert status == 1 and "les-avatar serve" in printed and printed.count("\n") == 1, printed


async def test_openai_realtime(tmp_path: Path) -> None:
    async with running(tmp_path / "portraits") as server:
        printed = await run("openai_realtime.py", server, "Hello there.", tmp_path / "talk.mp4")
    assert "completed" in printed and "'emotion': 'happiness=0.5'" in printed
    assert film_holds_sound_and_pictures(tmp_path / "talk.mp4")
