"""A file of 2 GB plays and seeks in bounded memory: LIVESNN_BIG=1 pytest -rP tests/e2e/test_big_files.py (minutes).

The files are written to pytest's --basetemp, one at a time, and removed.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from livesnn.app.playing.session import Session
from livesnn.app.playing.values import Choices
from livesnn.bench.format_files import MADE_FILES, SENSOR, make_events
from livesnn.events import Events
from livesnn.events.recording import open_recording

GB = float(os.environ.get("LIVESNN_BIG") or 0) * 2
"""LIVESNN_BIG=1 is 2 GB, 0.1 a tenth of it."""

SEEKS = 20
MOST_SEEK_S, MOST_BYTES = 0.5, 300e6


def write_until(path: Path, size: float, write: Callable[[Path, Iterator[Events]], None]) -> int:
    """Write a file of this size, octets; return how many events it has."""
    block = list(make_events(5_000_000, SENSOR))
    period_us = int(block[-1]["t"][-1] - block[0]["t"][0]) + 1
    events = 0

    def packets() -> Iterator[Events]:
        nonlocal events
        for turn in itertools.count():
            for packet in block:
                if path.stat().st_size >= size:
                    return
                later = packet.copy()
                later["t"] += turn * period_us
                events += later.size
                yield later

    write(path, packets())
    return events


def play_and_seek(path: Path) -> dict[str, float]:
    """Open and read all of a file, play it by the window's session for 2 s, and seek; in a process of its own."""
    begun_s = time.perf_counter()
    with open_recording(path) as recording:
        opened_s, duration_us = time.perf_counter() - begun_s, recording.duration_us
        events = sum(packet.size for packet in recording)
    session = Session(path, "gestures", engine="onnx", choices=Choices(speed=1.0))
    session.start()
    wait_for_picture(session, 2_000_000)
    random = np.random.default_rng(1)
    seconds = []
    for place_us in random.integers(0, duration_us - 1_000_000, SEEKS).tolist():
        begun_s = time.perf_counter()
        session.control.seek(place_us)
        wait_for_picture(session, place_us)
        seconds.append(time.perf_counter() - begun_s)
    session.stop()
    return {"events": events, "opened_s": opened_s, "seek_s": max(seconds), "bytes": peak_bytes()}


def peak_bytes() -> int:
    """Return the most memory this program has had; getrusage would count that of the one that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def wait_for_picture(session: Session, at_us: int) -> None:
    """Wait until it shows the 0.5 s from this time on."""
    pause = threading.Event()
    for _ in range(60_000):
        picture = session.pictures.take()
        if picture is not None and at_us <= picture.t_us <= at_us + 500_000:
            return
        if session.error is not None:
            raise RuntimeError(session.error)
        pause.wait(0.001)
    raise TimeoutError(f"no picture at {at_us} µs")


@pytest.mark.skipif(not GB, reason="takes minutes and 2 GB of disk: LIVESNN_BIG=1 runs it")
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["aedat4 (LZ4)", "evt3", "dat"])
def test_two_gigabytes_play_and_seek_in_little_memory(tmp_path: Path, name: str) -> None:
    made = MADE_FILES[name]
    path = tmp_path / f"big{made.suffix}"
    try:
        events = write_until(path, GB * 1e9, made.write)
        size = path.stat().st_size
        done = subprocess.run(
            [sys.executable, __file__, str(path)], capture_output=True, text=True, check=False
        )
    finally:
        path.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(  # noqa: T201 (for pytest -rP)
        f"{name}: {size / 1e9:.2f} GB, {events:,} events; opened in {found['opened_s']:.2f} s; the slowest of "
        f"{SEEKS} seeks {found['seek_s']:.3f} s to the picture; {found['bytes'] / 1e6:.0f} MB at most"
    )
    assert found["events"] == events
    assert found["seek_s"] < MOST_SEEK_S
    assert found["bytes"] < MOST_BYTES


if __name__ == "__main__":
    print(json.dumps(play_and_seek(Path(sys.argv[1]))))  # noqa: T201
