"""Kill −9 at any moment of a recording: the file opens, and at most the last 100 ms are missing.

LIVESNN_KILLS=50 kills so often, and pytest -rP tells the loss of each.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from livesnn.events.labels import read_labels
from livesnn.events.recording import describe, open_recording

from .clocked_recording import SENSOR

KILLS = int(os.environ.get("LIVESNN_KILLS", "2"))
LOST_US = 100_000 if "LIVESNN_KILLS" in os.environ else 5_000_000  # a machine that does other things may stand still
PROGRAM = Path(__file__).with_name("clocked_recording.py")
REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="this system has no kill -9")


def killed(arguments: list[str], out: Path, after_s: float) -> int:
    """Start a recording, kill it so long after its first packets; return when, µs."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (out.exists() and out.stat().st_size > 2_000):
            assert still_runs(process, 0.02)
        assert still_runs(process, after_s)
    finally:
        killed_us = time.monotonic_ns() // 1000
        process.kill()
        process.communicate()
    return killed_us


def still_runs(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    assert process.stderr is not None
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("number", range(KILLS))
def test_a_recording_that_is_killed_opens_and_lacks_the_last_100_ms_at_most(
    tmp_path: Path, model_folder: Path, number: int
) -> None:
    how = ("record", "window")[number % 2]
    per_packet = (300, 1)[number // 2 % 2]  # a scene with 300,000 events a second, and one in which little happens
    out = tmp_path / "a.aedat4"
    after_s = random.Random(number).uniform(0.0, 1.0)
    killed_us = killed([how, str(out), str(per_packet), str(model_folder)], out, after_s)
    with open_recording(out) as recording:
        events = np.concatenate([packet.events for packet in recording])
    first_us, last_us = int(events["t"][0]), int(events["t"][-1])
    print(f"{how}, {per_packet} events a packet: {(killed_us - last_us) / 1000:.1f} ms lost")  # noqa: T201
    assert killed_us - last_us <= LOST_US
    given = events["y"].astype(int) * SENSOR.width + events["x"]
    np.testing.assert_array_equal(given, given[0] + np.arange(events.size) // per_packet)
    if how == "window":
        (label,) = read_labels(out)
        assert label.label == "something"
        assert killed_us - (first_us + round(label.end * 1e6)) <= LOST_US
        assert describe(out).labels == (label,)
