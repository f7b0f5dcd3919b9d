"""Writing .aedat4 in such a way that a killed process leaves a readable file."""

from __future__ import annotations

import contextlib
import os
import re
from array import array
from pathlib import Path
from typing import Literal

import numpy as np

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.aedat4_layout import (
    PACKET_HEADER,
    ROW_DTYPE,
    Compression,
    PacketRow,
    build_events,
    build_header,
    build_table,
    compress,
)
from livesnn.events.packet import TIME_LIMIT_US, Closing, Events, Resolution, as_events, copied
from livesnn.files import cannot_write, writing

PACKET_EVENTS = 10_000
PACKET_US = 10_000
"""A packet is written when it has this many events or spans this much time, so a kill loses at most this."""

_CAMERA_CHARACTERS = 200
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COMPRESSIONS = {"lz4": Compression.LZ4, "zstd": Compression.ZSTD, None: Compression.NONE}


class Aedat4Writer(Closing):
    """Writes one event stream to a new .aedat4 file; a context manager.

    Whole packets are handed to the system at once, so a killed process loses at most PACKET_US of events. What `sync`
    has put on the disk outlives a power failure. `close` writes the table, which only seeking needs, and syncs. If
    the disk is full, the file ends with the last whole packet. Packets and table have checksums; without
    ``compression``, packets have none. ``written`` is how many events the file's whole packets hold.

    Raises FormatError when the sensor is too large for the format. Raises SourceError, here and in every method, when
    the file has another suffix, exists already, or can't be written.
    """

    def __init__(
        self,
        path: str | Path,
        resolution: Resolution,
        camera: str = "livesnn",
        compression: Literal["lz4", "zstd"] | None = "lz4",
    ) -> None:
        self.path = Path(path)
        self.resolution = resolution
        self.written = 0
        if self.path.suffix.lower() != ".aedat4":
            raise SourceError(f"{self.path}: recordings are .aedat4 files: choose a name that ends in .aedat4")
        if not 0 < min(resolution) <= max(resolution) <= 1 << 15:
            raise FormatError(f"{self.path}: .aedat4 can't hold a sensor of {resolution.words}")
        self._compression = _COMPRESSIONS[compression]
        header, self._table_position_at = build_header(self._compression, resolution, storable(camera))
        self._end = 0
        self._pending: list[Events] = []
        self._pending_events = 0
        self._pending_since_us = 0
        self._rows = array("q")  # a day's are 0.5 GB
        with writing(self.path):
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 (closed by close)
        try:
            self._append(header)
        except SourceError:
            self._file.close()
            with contextlib.suppress(OSError):
                self.path.unlink()
            raise

    def write(self, packet: Events) -> None:
        """Add a packet, EVENTS_DTYPE [N] in order of time; N may be 0.

        Raises FormatError, and writes nothing of it, when it isn't in order, or has an event outside the sensor or a
        time beyond TIME_LIMIT_US. Raises SourceError when `as_events` does, or the writer is closed.
        """
        if self._file.closed:
            raise SourceError(f"{self.path}: this recording is closed: write to a new one")
        packet = as_events(packet)
        if not packet.size:
            return
        self._check(packet)
        packet = copied(packet)
        first_us, last_us = int(packet["t"][0]), int(packet["t"][-1])
        if self._pending and not 0 <= first_us - self._pending_since_us < PACKET_US:
            self.flush()
        if not self._pending:
            self._pending_since_us = first_us
        self._pending.append(packet)
        self._pending_events += packet.size
        if self._pending_events >= PACKET_EVENTS or last_us - self._pending_since_us >= PACKET_US:
            self.flush()

    @property
    def table_bytes(self) -> int:
        """About how much disk space the table needs so far, before compression."""
        return 8 * (len(self._rows) + 100)

    def flush(self) -> None:
        """Write the events held back, so that a kill can't lose them, in packets of bounded size and duration."""
        if not self._pending:
            return
        events = np.concatenate(self._pending)
        self._pending, self._pending_events = [], 0
        times = np.ascontiguousarray(events["t"])
        first = 0
        while first < events.size:
            in_time = int(np.searchsorted(times, times[first] + 10 * PACKET_US))
            last = min(first + PACKET_EVENTS, max(in_time, first + 1))
            self._write_packet(events[first:last])
            first = last

    def sync(self) -> None:
        """Wait until the disk has what is written; may run in another thread, but not during `close`."""
        with writing(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write what is left and the table, and wait until the disk has all; safe to call twice."""
        if self._file.closed:
            return
        with contextlib.closing(self._file), writing(self.path):
            self.flush()
            position = self._end
            table = np.array(self._rows, np.int64).view(ROW_DTYPE)
            self._append(compress(build_table(table), self._compression))
            self._file.seek(self._table_position_at)
            self._file.write(position.to_bytes(8, "little"))
            os.fsync(self._file.fileno())

    def _check(self, packet: Events) -> None:
        t = packet["t"]
        if (t[1:] < t[:-1]).any():
            raise FormatError(f"{self.path}: the events of a packet aren't in order of time: sort them first")
        if t[0] <= -TIME_LIMIT_US or t[-1] >= TIME_LIMIT_US:
            raise FormatError(f"{self.path}: event times of {t[0]}..{t[-1]} µs are out of range: check their source")
        right, bottom = int(packet["x"].max()), int(packet["y"].max())
        if right >= self.resolution.width or bottom >= self.resolution.height:
            raise FormatError(
                f"{self.path}: an event at x {right} or y {bottom} is outside the sensor of {self.resolution.words}: "
                "give the writer the right resolution"
            )

    def _write_packet(self, events: Events) -> None:
        packed = compress(build_events(events), self._compression)
        offset = self._end + PACKET_HEADER.size
        self._append(PACKET_HEADER.pack(0, len(packed)) + packed)
        first_us, last_us = int(events["t"][0]), int(events["t"][-1])
        self._rows.extend(PacketRow(0, offset, len(packed), events.size, first_us, last_us))
        self.written += events.size

    def _append(self, octets: bytes) -> None:
        """Write all of it at the end of the file, or none."""
        try:
            written = 0
            while written < len(octets):
                written += self._file.write(octets[written:])
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
                self._file.seek(self._end)
            raise cannot_write(self.path, error) from error
        self._end += len(octets)


def storable(camera: str) -> str:
    """Return a name cut to 200 characters, without those that XML can't hold."""
    return " ".join(_NOT_IN_XML.sub("", camera).split())[:_CAMERA_CHARACTERS]
