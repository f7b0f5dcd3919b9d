"""Read all of a recording, play it by the window's session and seek in it: play_big_file.py RECORDING.

Prints JSON. A program of its own, so that the memory it counts is that of playing, not of a test.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from livesnn.events.recording import open_recording
from livesnn.session.control import Choices
from livesnn.session.session import Session

SEEKS = 20


def play_and_seek(path: Path) -> dict[str, float]:
    """Open and read all of a file, play it for 2 s, and seek."""
    begun_s = time.perf_counter()
    with open_recording(path) as recording:
        opened_s, duration_us = time.perf_counter() - begun_s, recording.duration_us
        events = sum(packet.events.size for packet in recording)
    session = Session(path, choices=Choices(speed=1.0))
    session.start()
    session.go_on("gestures")
    wait_for_picture(session, 2_000_000)
    random = np.random.default_rng(1)
    seconds = []
    for place_us in random.integers(0, duration_us - 1_000_000, SEEKS).tolist():
        begun_s = time.perf_counter()
        session.control.seek(place_us)
        wait_for_picture(session, place_us)
        seconds.append(time.perf_counter() - begun_s)
    session.stop()
    return {
        "events": events,
        "opened_s": opened_s,
        "seek_s": max(seconds),
        "own_bytes": bytes_of("RssAnon"),
        "bytes": bytes_of("VmHWM"),
    }


def bytes_of(name: str) -> int:
    """Return what Linux says of this program; getrusage would count that of the one that started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{name}:"))


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


if __name__ == "__main__":
    print(json.dumps(play_and_seek(Path(sys.argv[1]))))  # noqa: T201
