"""Event Stream 2 (.es) of neuromorphic-paris: DVS events, and the DVS events among an ATIS's.

The first byte of an event gives the µs since the event before, and other bytes between events let more time pass. The
file counts y from the bottom; packets count it from the top.
Source: github.com/neuromorphic-paris/event_stream, version 2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream
from livesnn.events.formats.shared_readers import WIDEST, BlockReader
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, no_progress

MAGIC = b"Event Stream"
BLOCK_BYTES = 1 << 17
EVENT_BYTES = 5
_HEADER_BYTES = 20  # with the sensor's size
_KINDS = ("generic", "DVS", "ATIS", "display", "color")
_DVS, _ATIS = 1, 2
_SKIPPED, _CROSSINGS, _EVENTS = range(3)

Octets = npt.NDArray[np.int16]  # widened: numba makes a float of unsigned and signed together


@njit(nogil=True, cache=True)
def _pause_us(octet: int, atis: bool) -> int:
    """Return the µs that a byte between events lets pass: 0 for a reset, -1 for an event's first byte."""
    if atis:
        return -1 if octet < 0xFC else (octet & 3) * 63
    return -1 if octet < 0xFE else (octet & 1) * 127


@njit(nogil=True, cache=True)
def _decode(
    octets: Octets,
    stop: int,
    atis: bool,
    width: int,
    height: int,
    t_us: int,
    events: Events,
    counts: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Decode the events that start before ``stop`` into ``events``; return (next byte, time then).

    A byte that begins an event outside the sensor is skipped, which finds the next whole event soon. ``counts`` [3]
    is added to: bytes skipped so, threshold crossings, events.
    """
    n, i = counts[_EVENTS], 0
    while i < stop:
        passed_us, first = _pause_us(octets[i], atis), octets[i]
        if passed_us >= 0:
            t_us += passed_us
            i += 1
            continue
        if i + EVENT_BYTES > octets.size:
            break
        x, y = octets[i + 1] | octets[i + 2] << 8, octets[i + 3] | octets[i + 4] << 8
        if x >= width or y >= height:
            counts[_SKIPPED] += 1
            i += 1
            continue
        t_us += first >> 2 if atis else first >> 1
        i += EVENT_BYTES
        if atis and first & 1:
            counts[_CROSSINGS] += 1
            continue
        events[n].t, events[n].x, events[n].y = t_us, x, height - 1 - y
        events[n].p = first & (2 if atis else 1) != 0
        n += 1
    counts[_EVENTS] = n
    return i, t_us


class EventStreamBlocks:
    """The events of an Event Stream file; see `Blocks`. The whole file is read once to find where blocks begin.

    Raises FormatError when most of it is damaged, or outside the sensor that the header names.
    """

    def __init__(self, file: BufferedFile) -> None:
        self._file = file
        self._atis, self.resolution = _read_header(file)
        self._counts = np.zeros(3, np.int64)
        self._blocks: list[tuple[int, int]] = []  # the first byte of each, and the time then
        self._left = self._survey()
        self._judge()
        self.count = len(self._blocks)

    def _survey(self) -> int:
        """Find where each block begins; return how many bytes at the end aren't a whole event."""
        start, t_us = _HEADER_BYTES, 0
        while start < self._file.size:
            self._file.passed(start)
            counts = np.zeros(3, np.int64)
            following, later_us, _ = self._decode(start, t_us, counts)
            self._counts += counts
            if following == start:
                return self._file.size - start
            self._blocks.append((start, t_us))
            start, t_us = following, later_us
        return 0

    def _judge(self) -> None:
        skipped, octets = int(self._counts[_SKIPPED]), self._file.size - _HEADER_BYTES
        if skipped > octets // 2:
            raise FormatError(
                f"{self._file.path}: {skipped:,} of {octets:,} bytes can't be events within the header's "
                f"{self.resolution.words} pixels: the file or its header is damaged"
            )

    def _decode(self, start: int, t_us: int, counts: npt.NDArray[np.int64]) -> tuple[int, int, Events]:
        """Return (where the next block begins, the time then, events)."""
        window = self._file.view(start, BLOCK_BYTES + EVENT_BYTES)  # the last event may reach beyond
        octets = np.frombuffer(window, np.uint8).astype(np.int16)
        events = np.empty(BLOCK_BYTES // EVENT_BYTES + 1, EVENTS_DTYPE)
        stop = min(BLOCK_BYTES, octets.size)
        position, t_us = _decode(octets, stop, self._atis, *self.resolution, t_us, events, counts)
        return start + position, t_us, events[: counts[_EVENTS]]

    @property
    def warnings(self) -> list[str]:
        skipped, crossings = self._counts[_SKIPPED], self._counts[_CROSSINGS]
        lines = []
        if crossings:
            lines.append(f"{crossings:,} threshold crossings (an ATIS's light levels) aren't read")
        if skipped:
            lines.append(f"{skipped:,} bytes lost: they can't be events; times after them may be too early")
        if self._left:
            lines.append(f"the last {self._left} bytes aren't a whole event: the file is cut short")
        return lines

    def read(self, number: int) -> Events:
        return self._decode(*self._blocks[number], np.zeros(3, np.int64))[2]


def open_event_stream(path: Path, progress: Progress = no_progress) -> BlockReader:
    """Open an Event Stream file; raises FormatError when it has no DVS events, or is too damaged to use."""
    with closed_on_error(BufferedFile(path, progress)) as file:
        blocks = EventStreamBlocks(file)
    stream = EventStream("events", "", blocks.resolution)
    return BlockReader([(stream, blocks)], format_name="es", release=file.close)


def _read_header(file: BufferedFile) -> tuple[bool, Resolution]:
    """Return (whether the camera is an ATIS, the sensor's size)."""
    head = bytes(file.view(0, _HEADER_BYTES))
    if len(head) < len(MAGIC) + 4:
        raise FormatError(f"{file.path}: the file ends within its header: copy it again, or record it again")
    major, minor, patch, kind = head[len(MAGIC) : len(MAGIC) + 4]
    if major != 2:
        raise FormatError(
            f"{file.path}: Event Stream {major}.{minor}.{patch} isn't supported: give a file of version 2"
        )
    if kind not in (_DVS, _ATIS):
        name = f"{_KINDS[kind]} events" if kind < len(_KINDS) else f"events of an unknown kind ({kind})"
        raise FormatError(f"{file.path}: it has {name}, no DVS events: give a DVS or ATIS recording")
    size = Resolution(*np.frombuffer(head.ljust(_HEADER_BYTES, b"\0"), "<u2")[8:].tolist())
    if not (0 < size.width <= WIDEST.width and 0 < size.height <= WIDEST.height):
        raise FormatError(f"{file.path}: the header claims {size.words} pixels: it is damaged or cut short")
    return kind == _ATIS, size
