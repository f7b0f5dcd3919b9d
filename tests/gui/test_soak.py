"""Twenty thousand frames on show: no crash while painting (DESIGN, trap 1), and memory stays flat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FRAMES = 50_000


@pytest.mark.slow
def test_50000_frames_are_shown_without_a_crash_and_memory_stays_flat(model_folder: Path) -> None:
    program = Path(__file__).with_name("soak.py")
    command = [sys.executable, str(program), str(model_folder), str(FRAMES)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=_environment(), check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)
    assert measured["frames"] >= FRAMES
    assert measured["painted"] == measured["frames"]
    assert measured["decisions"] > 0
    assert measured["rss_at_end"] < 1.05 * measured["rss_after_first"]


def _environment() -> dict[str, str]:
    repository = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": repository}
