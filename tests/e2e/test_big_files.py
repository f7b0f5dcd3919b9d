"""A file of 2 GB plays and seeks in bounded memory: LIVESNN_BIG=1 pytest -rP tests/e2e/test_big_files.py (minutes).

The files are written to pytest's --basetemp, one at a time, and removed.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from livesnn.bench.throughput import SENSOR, make_events
from livesnn.events.packet import Events
from tests.format_files import MADE_FILES

GB = float(os.environ.get("LIVESNN_BIG") or 0) * 2
"""LIVESNN_BIG=1 is 2 GB, 0.1 a tenth of it."""

SMALL = 200e6
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


def play(path: Path) -> dict[str, float]:
    """Play it in a program of its own."""
    command = [sys.executable, str(Path(__file__).with_name("play_big_file.py")), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


@pytest.mark.release
@pytest.mark.skipif(not GB, reason="takes minutes and 2 GB of disk: LIVESNN_BIG=1 runs it")
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["aedat4 (LZ4)", "evt3", "dat"])
def test_two_gigabytes_play_and_seek_in_little_memory(tmp_path: Path, name: str) -> None:
    made = MADE_FILES[name]
    path = tmp_path / f"big{made.suffix}"
    write_until(path, SMALL, made.write)
    play(path)  # its machine code is compiled once, with 20 MB more
    path.unlink()
    try:
        events = write_until(path, GB * 1e9, made.write)
        size = path.stat().st_size
        found = play(path)
    finally:
        path.unlink(missing_ok=True)
    print(  # noqa: T201 (for pytest -rP)
        f"{name}: {size / 1e9:.2f} GB, {events:,} events; opened in {found['opened_s']:.2f} s; the slowest seek "
        f"{found['seek_s']:.3f} s to the picture; {found['bytes'] / 1e6:.0f} MB at most, "
        f"{found['own_bytes'] / 1e6:.0f} MB of it its own, the rest pages of programs' files"
    )
    assert found["events"] == events
    assert found["seek_s"] < MOST_SEEK_S
    assert found["bytes"] < MOST_BYTES
