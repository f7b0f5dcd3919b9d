"""AEDAT 2.0 (.aedat) of jAER: DVS128 and DAVIS.

Lines of text that start with #, then words of eight octets, most significant first: address and time, int32 each,
µs. The address is the chip's: which pixel it means, and whether it is an event at all, depends on the camera, which
the header's AEChip line names. Source: jAER's DVS128 and DavisBaseCamera, and recordings of four cameras.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.errors import FormatError
from livesnn.events import DISORDER_US, EVENTS_DTYPE, Events, Resolution, SourceCounters
from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.aedat4_index import WindowedFile
from livesnn.events.formats.tidy import Tidier

MAGIC = b"#!AER-DAT2.0"
WORD_BYTES = 8
CHUNK_WORDS = 1 << 14
MAX_HEADER_BYTES = 8 << 20  # jAER writes all its preferences, 175 kB of XML, into it
_DAVIS_SIZES = {"128": (128, 128), "208": (208, 192), "240": (240, 180), "346": (346, 260), "640": (640, 480)}
_OUTSIDE, _TRIGGERS, _SAMPLES, _IMU = range(4)


class Chip(NamedTuple):
    """Which camera: its name, its sensor, and which of the two layouts its addresses have."""

    name: str
    resolution: Resolution
    davis: bool

    @property
    def orientation(self) -> str:
        """How the file's coordinates lie, in words."""
        if self.davis:
            return "x to the left, y up (x and y as in the address)"
        return "x to the right, y up (x = 127 - address, y = address)"


_DVS128 = Chip("DVS128", Resolution(128, 128), davis=False)


class _Chunk(NamedTuple):
    """``anchor_us`` is the time of the event before the chunk, from which its 32 bits are counted on.

    ``t_min`` and ``t_max`` are None where there is no event.
    """

    anchor_us: int
    t_min: int | None
    t_max: int | None


@njit(nogil=True, cache=True)
def _pixel(address: int, davis: bool, width: int, height: int) -> tuple[int, int, bool]:
    """Return (x, y, whether ON) of an event's address, upright; x or y is negative outside the sensor."""
    if davis:
        return width - 1 - (address >> 12 & 0x3FF), height - 1 - (address >> 22 & 0x1FF), address & 0x800 != 0
    x = width - 1 - (address >> 1 & 0x7F)
    return -1 if address >> 16 else x, height - 1 - (address >> 8 & 0x7F), address & 1 == 0


@njit(nogil=True, cache=True)
def _decode(
    words: npt.NDArray[np.int64],
    first: int,
    davis: bool,
    width: int,
    height: int,
    anchor_us: int,
    events: Events,
    counts: npt.NDArray[np.int64],
) -> tuple[int, int, bool]:
    """Decode words [N, 2] from ``first`` on into ``events``, until time jumps back.

    Return (word to go on with, number of events, whether they are in order). ``counts`` [4] is added to: words
    outside the sensor, triggers, samples of frames, samples of the IMU.
    """
    n = 0
    newest_us = anchor_us
    ordered = True
    for i in range(first, words.shape[0]):
        address = int(words[i, 0])
        if davis and address & 0x80000000:
            kind = address >> 10 & 3
            counts[_SAMPLES] += kind == 1  # 0 is a pixel's reset level, 1 its signal
            counts[_IMU] += kind == 3 and address >> 28 & 7 == 0  # the first of a sample's seven words
            continue
        if address & (0x400 if davis else 0x8000):
            counts[_TRIGGERS] += 1
            continue
        x, y, on = _pixel(address, davis, width, height)
        if x < 0 or y < 0:
            counts[_OUTSIDE] += 1
            continue
        elapsed_us = ((int(words[i, 1]) - anchor_us + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        t = anchor_us + elapsed_us
        if n and t < newest_us - DISORDER_US:
            return i, n, ordered
        ordered = ordered and (n == 0 or t >= newest_us)
        newest_us = t if n == 0 or t > newest_us else newest_us
        anchor_us = t
        events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, on
        n += 1
    return words.shape[0], n, ordered


class Aedat2Reader:
    """An open AEDAT 2.0 file; see `Reader`. The whole file is read once when it is opened, for its times.

    Raises
    ------
    FormatError
        When the header has no end, the camera isn't known, or most events are outside of its sensor.
    """

    format = "aedat2"

    def __init__(self, path: Path) -> None:
        self._file = WindowedFile(path)
        try:
            chip, self._start, self._warnings = _read_header(self._file)
            self._chip = chip
            self.orientation = chip.orientation
            self.camera = chip.name
            self.resolution: Resolution | None = chip.resolution
            self.streams = (EventStream("events", chip.name, chip.resolution, (chip.davis, True)),)
            self._words, left = divmod(self._file.size - self._start, WORD_BYTES)
            if left:
                self._warnings.append(f"the last {left} bytes aren't a whole event: the file is cut short")
            self._counts = np.zeros(4, np.int64)
            self._chunks = self._survey()
        except BaseException:
            self._file.close()
            raise

    def _survey(self) -> list[_Chunk]:
        """Read all of the file, for where each chunk lies in time."""
        chunks = []
        newest_us: int | None = None
        events = jumps = 0
        anchor_us = self._first_time()
        for number in range(-(-self._words // CHUNK_WORDS)):
            before_us, times = anchor_us, []
            for packet, _ in self._decode_chunk(number, before_us, self._counts):
                anchor_us = int(packet["t"][-1])
                events += packet.size
                times += [int(packet["t"].min()), int(packet["t"].max())]
                jumps += newest_us is not None and times[-2] < newest_us - DISORDER_US
                newest_us = times[-1]
            chunks.append(_Chunk(before_us, min(times, default=None), max(times, default=None)))
        self._judge(events, jumps)
        return chunks

    def _judge(self, events: int, jumps: int) -> None:
        outside = int(self._counts[_OUTSIDE])
        if outside > events:
            raise FormatError(
                f"{self._file.path}: {outside:,} of {outside + events:,} events are outside of a "
                f"{self._chip.name}'s sensor: the file or its header is damaged, or it is from another camera"
            )
        if jumps:
            self._warnings.append(
                f"time jumps back {jumps:,} times, as when the camera's clock is set to zero"
            )

    def _first_time(self) -> int:
        if not self._words:
            return 0
        return int(np.frombuffer(self._file.view(self._start, WORD_BYTES), ">i4")[1])

    def _decode_chunk(
        self, number: int, anchor_us: int, counts: npt.NDArray[np.int64]
    ) -> Iterator[tuple[Events, bool]]:
        """Yield (events as they lie in the file, whether they are in order): once, unless time jumps back."""
        size = min(CHUNK_WORDS, self._words - number * CHUNK_WORDS) * WORD_BYTES
        octets = self._file.view(self._start + number * CHUNK_WORDS * WORD_BYTES, size)
        words = np.frombuffer(octets, ">u4", len(octets) // WORD_BYTES * 2).astype(np.int64).reshape(-1, 2)
        width, height = self._chip.resolution
        events = np.empty(len(words), EVENTS_DTYPE)
        first = 0
        while first < len(words):
            first, n, ordered = _decode(
                words, first, self._chip.davis, width, height, anchor_us, events, counts
            )
            if n:
                anchor_us = int(events["t"][n - 1])
                yield events[:n], ordered
            events = events[n:]

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed."""
        return list(self._warnings)

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most CHUNK_WORDS events; see `Reader.packets`."""
        tidier = Tidier(self._chip.resolution, start_us, counters)
        for number in range(0 if start_us is None else self._first_chunk(start_us), len(self._chunks)):
            counts = np.zeros(4, np.int64)
            for packet, ordered in self._decode_chunk(number, self._chunks[number].anchor_us, counts):
                if (taken := tidier.take(packet, ordered=ordered)).size:
                    yield taken
            counters.out_of_bounds += int(counts[_OUTSIDE])

    def _first_chunk(self, start_us: int) -> int:
        """Return the first chunk with an event at or after ``start_us``."""
        holds = (
            number
            for number, chunk in enumerate(self._chunks)
            if chunk.t_max is not None and chunk.t_max >= start_us
        )
        return next(holds, len(self._chunks))

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time, µs; None when there is no event."""
        earliest = [chunk.t_min for chunk in self._chunks if chunk.t_min is not None]
        latest = [chunk.t_max for chunk in self._chunks if chunk.t_max is not None]
        return (min(earliest), max(latest)) if earliest else None

    def other_content(self) -> OtherContent:
        """Count frames (by their pixels: whole ones), inertial samples and triggers."""
        pixels = self._chip.resolution.width * self._chip.resolution.height
        counts = self._counts.tolist()
        return OtherContent(counts[_SAMPLES] // pixels, counts[_IMU], counts[_TRIGGERS])

    def close(self) -> None:
        """Release the file; packets stay valid."""
        self._file.close()


def _read_header(file: WindowedFile) -> tuple[Chip, int, list[str]]:
    """Return (the camera, where the first word starts, what was assumed)."""
    head = bytes(file.view(0, min(MAX_HEADER_BYTES, file.size)))
    line_end = b"\r\n" if head[len(MAGIC) :].startswith(b"\r\n") else b"\n"
    line = re.compile(rb"#[^\x00-\x08\x0b\x0c\x0e-\x1f]*?" + line_end)
    start = 0
    while (found := line.match(head, start)) is not None:
        start = found.end()
        if b"End Of ASCII Header" in found.group():
            break
    if not start:
        raise FormatError(f"{file.path}: the header's first line has no end: nothing can be read")
    chip = re.search(rb"^# AEChip: (\S+)", head[:start], re.MULTILINE)
    if chip is None:
        assumed = f"the file doesn't say which camera recorded it: {_DVS128.name} assumed"
        return _DVS128, start, [assumed]
    name = chip.group(1).decode("ascii", errors="replace").rpartition(".")[2]
    return _find_chip(file.path, name), start, []


def _find_chip(path: Path, name: str) -> Chip:
    if "DVS128" in name.upper():
        return _DVS128._replace(name=name)
    davis = re.match(r"DAVIS(\d{3})", name, re.IGNORECASE)
    if davis is None or davis.group(1) not in _DAVIS_SIZES:
        raise FormatError(
            f"{path}: recorded by {name[:40]}, which isn't supported: give a recording of a DVS128 or a DAVIS"
        )
    return Chip(name, Resolution(*_DAVIS_SIZES[davis.group(1)]), davis=True)
