"""The bridges to Pipecat and LiveKit, each tested where its framework is installed: the two need different protobufs.

`make frameworks` builds both environments; they see this one's packages and add what they lack.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "framework, tests",
    [("pipecat", "pipecat"), ("pipecat", "pipecat_twilio"), ("livekit", "livekit"), ("livekit", "liveavatar")],
)
def test_bridge(framework: str, tests: str) -> None:
    python = ROOT / f".venv-{framework}" / "bin" / "python"
    assert python.exists(), f"{framework} is not installed; run `make frameworks`"
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "-q", "-W", "ignore"]
    done = subprocess.run(
        [*command, f"tests/frameworks/in_{tests}.py"],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
