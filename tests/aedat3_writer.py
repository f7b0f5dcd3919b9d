"""Writes AEDAT 3.1 as cAER does, and as the files of DVS-Gesture are: header of text, packets of events.

From the specification and independent of the reader. Pieces of octets, so that a test can damage and reorder them.
"""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import Events

SPECIAL, POLARITY, FRAME, IMU6, IMU9 = range(5)
RESET, RISING_EDGE = 1, 2
_LAST_TIME = 0x7FFFFFFF


def header(*sources: str, form: str = "RAW") -> bytes:
    """Return the header of text; each source is "1: DVS128", which is also what is written when none is given."""
    lines = [
        "#!AER-DAT3.1",
        f"#Format: {form}",
        *(f"#Source {source}" for source in sources or ("1: DVS128",)),
        "#Start-Time: 2016-05-12 15:04:32 (TZ-0700)",
        "#!END-HEADER",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def packet(
    kind: int,
    body: bytes,
    events: int,
    *,
    event_bytes: int,
    time_offset: int = 4,
    source: int = 1,
    overflow: int = 0,
    valid: int | None = None,
    capacity: int | None = None,
) -> bytes:
    """Return a packet of any kind, with its header."""
    valid = events if valid is None else valid
    capacity = events if capacity is None else capacity
    fields = (kind, source, event_bytes, time_offset, overflow, capacity, events, valid)
    return struct.pack("<hhiiiiii", *fields) + body


def polarity(events: Events, *, source: int = 1, invalid: npt.NDArray[np.bool_] | None = None) -> bytes:
    """Return events (upright) as packets: one, and one more where the upper bits of time change."""
    valid = np.ones(events.size, bool) if invalid is None else ~invalid
    words = np.zeros((events.size, 2), "<u4")
    words[:, 0] = valid | events["p"].astype("<u4") << 1
    words[:, 0] |= events["y"].astype("<u4") << 2 | events["x"].astype("<u4") << 17
    words[:, 1] = events["t"] & _LAST_TIME
    overflows = events["t"] >> 31
    cuts = [0, *(np.flatnonzero(np.diff(overflows)) + 1).tolist(), events.size]
    return b"".join(
        packet(
            POLARITY,
            words[first:last].tobytes(),
            last - first,
            event_bytes=8,
            source=source,
            overflow=int(overflows[first]) if events.size else 0,
            valid=int(valid[first:last].sum()),
        )
        for first, last in itertools.pairwise(cuts)
    )


def special(kinds: list[int], t_us: int = _LAST_TIME, *, valid: bool = True) -> bytes:
    """Return a packet of special events at one time, which cAER gives a reset as the last of all."""
    words = b"".join(struct.pack("<II", kind << 1 | valid, t_us & _LAST_TIME) for kind in kinds)
    return packet(SPECIAL, words, len(kinds), event_bytes=8, overflow=t_us >> 31)


def frames(count: int, width: int = 240, height: int = 180) -> bytes:
    """Return a packet of grey frames: 36 octets, then 16 bits a pixel."""
    one = struct.pack("<IIIIIIIII", 1 | 1 << 1, 1, 2, 1, 2, width, height, 0, 0) + bytes(2 * width * height)
    return packet(FRAME, one * count, count, event_bytes=len(one), time_offset=8)


def imu(kind: int, count: int) -> bytes:
    """Return a packet of inertial samples, IMU6 or IMU9."""
    axes = 7 if kind == IMU6 else 10
    one = struct.pack(f"<II{axes}f", 1, 5, *range(axes))
    return packet(kind, one * count, count, event_bytes=len(one))


def write_recording(path: Path, events: Events, packet_events: int = 4096, *sources: str) -> Path:
    """Write events as cAER would, packets of ``packet_events``; return the path."""
    parts = (polarity(events[first : first + packet_events]) for first in range(0, events.size, packet_events))
    path.write_bytes(header(*sources) + b"".join(parts))
    return path
