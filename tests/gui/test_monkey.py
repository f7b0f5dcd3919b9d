"""A thousand random actions, keys and clicks: nothing raises, nothing is left, the window answers within a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ACTIONS = 1000
LONGEST_BLOCK_MS = 1000.0


@pytest.mark.slow
def test_a_monkey_breaks_nothing_and_never_blocks_the_window(model_folder: Path, recording: Path) -> None:
    seed = os.environ.get("LIVESNN_MONKEY_SEED", "1")
    program = Path(__file__).with_name("monkey.py")
    repository = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, str(program), str(model_folder), str(recording), str(ACTIONS), seed],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": repository},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    measured = json.loads(done.stdout)
    assert measured["done"] == ACTIONS
    assert measured["threads"] == []
    assert measured["shown"] > 0
    assert measured["blocked_ms_max"] < LONGEST_BLOCK_MS
