"""Compares our AEDAT 3.1 reader, and the files that our tests write, with evutils, an independent reader.

Not a test that pytest collects: evutils is GPL and never installed beside livesnn. By hand:

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install evutils
    LIVESNN_ORACLE_PYTHON=/tmp/oracle/bin/python .venv/bin/python -m tests.oracle_aedat3 [FILE.aedat …]

Its exit code is 0 when all events are equal, 1 when some are not, 77 when it was skipped. evutils leaves out
invalid events as we do, but neither sorts events nor checks their place: give files that need neither.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.events.recording import open_recording
from tests.aedat3_writer import RISING_EDGE, frames, header, polarity, special
from tests.fake_source import joined

_READ_BY_EVUTILS = """
import sys
import numpy as np
from evutils.io._aedat import EventDecoder_Aedat
from evutils.io._source import make_source
decoder, chunks = EventDecoder_Aedat(make_source(sys.argv[1])), []
while not decoder.is_eof():
    chunks.append(decoder.read_chunk())
np.savez(sys.argv[2], **{name: np.concatenate([chunk[name] for chunk in chunks]) for name in "txyp"})
"""
# Its decoder, packet by packet: EventReader (0.3.18) takes a packet of special events for the end of the file.
_SKIPPED = 77


def read_by_evutils(python: str, path: Path, folder: Path) -> Events:
    """Return all events of a file as evutils, in its own Python, reads them."""
    exchange = folder / "theirs.npz"
    subprocess.run([python, "-c", _READ_BY_EVUTILS, str(path), str(exchange)], check=True)
    with np.load(exchange) as columns:
        events = np.empty(columns["t"].size, EVENTS_DTYPE)
        for name in "txyp":
            events[name] = columns[name]
    return events


def read_by_us(path: Path) -> Events:
    with open_recording(path) as recording:
        return joined(recording)


def write_by_us(path: Path) -> Path:
    """Write what our tests write: packets of many sizes, a wrapped clock, invalid events, other packets between."""
    rng = np.random.default_rng(3)
    events = np.zeros(100_000, EVENTS_DTYPE)
    events["t"] = (1 << 31) - 900_000 + np.cumsum(rng.integers(0, 30, events.size))
    events["x"], events["y"] = rng.integers(0, 128, (2, events.size))
    events["p"] = rng.random(events.size) < 0.5
    invalid = rng.random(events.size) < 0.01
    parts, first = [header()], 0
    while first < events.size:
        last = first + int(rng.integers(1, 4096))
        parts.append(polarity(events[first:last], invalid=invalid[first:last]))
        parts.append(frames(1) if rng.random() < 0.2 else special([RISING_EDGE], int(events["t"][first])))
        first = last
    path.write_bytes(b"".join(parts))
    return path


def main() -> int:
    python = os.environ.get("LIVESNN_ORACLE_PYTHON")
    if not python:
        print("skipped: set LIVESNN_ORACLE_PYTHON to the Python of a venv that has evutils", file=sys.stderr)  # noqa: T201
        return _SKIPPED
    equal = True
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in [write_by_us(folder / "written.aedat"), *map(Path, sys.argv[1:])]:
            ours, theirs = read_by_us(path), read_by_evutils(python, path, folder)
            same = np.array_equal(ours, theirs)
            equal = equal and same
            print(f"{path}: ours {ours.size:,}, theirs {theirs.size:,}: {'equal' if same else 'NOT EQUAL'}")  # noqa: T201
    return not equal


if __name__ == "__main__":
    sys.exit(main())
