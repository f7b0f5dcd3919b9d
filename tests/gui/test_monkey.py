"""Random actions, keys and clicks: nothing raises, nothing is left, the window answers at once.

On a machine that does nothing else no small thing blocks the window for 50 ms: LIVESNN_MONKEY_STRICT=1 asks for that.
Elsewhere other programs take the processor away (measured beside a training on two cores: 50 to 90 ms in 5 of
100, 500 ms at worst), so that it is the work of the GUI thread which must stay below 50 ms; the time may be longer.
Opening another source waits at most 0.7 s for the one before; a theme is 60 ms of work.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STRICT = "LIVESNN_MONKEY_STRICT" in os.environ
AT_ONCE_MS = 50.0
LONGEST_OPENING_MS = 1000.0


@pytest.mark.parametrize("actions", [120, pytest.param(1000, marks=pytest.mark.release)])
def test_a_monkey_breaks_nothing_and_never_blocks_the_window(
    model_folder: Path, recording: Path, actions: int
) -> None:
    seed = os.environ.get("LIVESNN_MONKEY_SEED", "1")
    program = Path(__file__).with_name("monkey.py")
    repository = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, str(program), str(model_folder), str(recording), str(actions), seed],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": repository},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    measured = json.loads(done.stdout)
    assert measured["done"] == actions
    assert measured["threads"] == []
    assert measured["shown"] > 0
    if actions < 1000:  # too few to measure
        return
    blocked_ms, worked_ms = measured["blocked_ms"], measured["worked_ms"]
    assert min(len(blocked_ms["small"]), len(blocked_ms["large"])) > actions / 20
    assert np.percentile(worked_ms["small"], 100 if STRICT else 99.5) < AT_ONCE_MS  # measured: 20 at most
    assert np.percentile(blocked_ms["small"], 100 if STRICT else 75) < AT_ONCE_MS
    assert np.percentile(blocked_ms["large"], 100 if STRICT else 95) < LONGEST_OPENING_MS
