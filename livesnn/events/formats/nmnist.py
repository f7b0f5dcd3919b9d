"""N-MNIST and N-Caltech101 .bin files: five bytes per event, no header.

The bytes are x, y, and a big-endian number with p in the highest bit and the time in µs in the other 23. In
N-Caltech101 y = 240 isn't an event: it adds 2^13 µs to all later times. Source: the data sets' read_dataset (Orchard
2015).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError
from livesnn.events.formats.shared_readers import BlockReader, reader_in_memory
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.files import file_head
from livesnn.untrusted import PIECE_BYTES

EVENT_BYTES = 5
NMNIST_RESOLUTION = Resolution(34, 34)
NCALTECH_RESOLUTION = Resolution(240, 180)
_OVERFLOW_Y = 240
_OVERFLOW_US = 1 << 13


def looks_like_nmnist(path: Path, head: bytes) -> bool:
    """Return whether a .bin's first events are plausible: inside the sensor, with rising times."""
    records = _records(head)
    if path.suffix.lower() != ".bin" or not len(records):
        return False
    resolution = _smallest_sensor(records)
    steps = np.diff(_times(records)[records[:, 1] != _OVERFLOW_Y])
    return resolution is not None and bool(np.count_nonzero(steps >= 0) >= 0.8 * steps.size)


def open_nmnist(path: Path) -> BlockReader:
    """Open an N-MNIST or N-Caltech101 recording; raises FormatError when it can't be one."""
    events, resolution, warnings = _read(path)
    return reader_in_memory(events, resolution, format_name="nmnist", camera="ATIS", warnings=warnings)


def read_nmnist(path: Path) -> Events:
    """Return a recording's events as they lie in the file, EVENTS_DTYPE [N]; raises as `open_reader` does."""
    return _read(path)[0]


def _read(path: Path) -> tuple[Events, Resolution, list[str]]:
    octets = file_head(path, PIECE_BYTES + 1)
    if len(octets) > PIECE_BYTES:
        size = path.stat().st_size
        raise FormatError(f"{path}: {size:,} bytes are too many for an N-MNIST file: check the path")
    records = _records(octets)
    resolution = _smallest_sensor(records)
    if resolution is None:
        raise FormatError(f"{path}: events outside N-MNIST's and N-Caltech101's sensors: it isn't such a file")
    left = len(octets) % EVENT_BYTES
    warnings = [f"the last {left} bytes aren't a whole event: the file is cut short"] if left else []
    return _decode(records), resolution, warnings


def _records(octets: bytes) -> npt.NDArray[np.uint8]:
    whole = len(octets) // EVENT_BYTES * EVENT_BYTES
    return np.frombuffer(octets, np.uint8, whole).reshape(-1, EVENT_BYTES)


def _smallest_sensor(records: npt.NDArray[np.uint8]) -> Resolution | None:
    events = records[records[:, 1] != _OVERFLOW_Y]
    right, bottom = (int(events[:, axis].max(initial=0)) for axis in (0, 1))
    for resolution in (NMNIST_RESOLUTION, NCALTECH_RESOLUTION):
        if right < resolution.width and bottom < resolution.height:
            return resolution
    return None


def _times(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    high, middle, low = (records[:, column].astype(np.int64) for column in (2, 3, 4))
    overflows = np.cumsum(records[:, 1] == _OVERFLOW_Y)
    return ((high & 0x7F) << 16 | middle << 8 | low) + overflows * _OVERFLOW_US


def _decode(records: npt.NDArray[np.uint8]) -> Events:
    kept = records[:, 1] != _OVERFLOW_Y
    events = np.empty(np.count_nonzero(kept), EVENTS_DTYPE)
    events["t"] = _times(records)[kept]
    events["x"] = records[kept, 0]
    events["y"] = records[kept, 1]
    events["p"] = records[kept, 2] >> 7
    return events
