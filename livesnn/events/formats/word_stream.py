"""A reader for files that are words of one size, of which some are events: Prophesee's .raw and .dat, AEDAT 2.0.

It reads blocks, so memory stays bounded, and keeps where each block lies in time. Not here: what the words mean
(evt_decoders.py, dat.py, aedat2.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.tidy import Tidier
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, Events, Resolution, SourceCounters

BLOCK_BYTES = 1 << 18  # as much as WindowedFile reads at once
PACKET_EVENTS = 1 << 14
OUTSIDE, TRIGGERS, STRANGE, SAMPLES, IMU = range(5)
_NO_EVENTS = np.empty(0, EVENTS_DTYPE)
_LATEST = np.iinfo(np.int64).max

Words = npt.NDArray[np.unsignedinteger]
"""uint16, uint32 or uint64 [N], in the machine's byte order, aligned."""

State = npt.NDArray[np.int64]
"""What a decoder must know from the words before: int64 [S], its own meaning; slot 0 is always a time, µs."""

Counts = npt.NDArray[np.int64]
"""What a decoder leaves out, int64 [5]: events OUTSIDE the sensor, TRIGGERS, words of a STRANGE type, SAMPLES of
frames (one a pixel), samples of the IMU."""

Span = tuple[int, int, bool]
"""The least time of some events, their greatest, and whether they are in order."""


class Decode(Protocol):
    """Decode ``words`` from ``first`` on into ``events``, until it is full or time jumps back.

    Return (word to go on with, number of events, their least time, their greatest, whether they are in order).
    Events outside of width × height are left out. Where ``events`` is empty, nothing is written, only counted, and it
    is never full. ``state`` is brought up to date, ``counts`` is added to.
    """

    def __call__(  # noqa: D102
        self,
        words: Words,
        first: int,
        state: State,
        width: int,
        height: int,
        events: Events,
        counts: Counts,
    ) -> tuple[int, int, int, int, bool]: ...


class Layout(NamedTuple):
    """One coding of events: its short name and its full one, the size of its words, and how they are read.

    ``halves_swapped``: each word's more significant half comes first in the file; ``big_endian``: each octet does.
    ``word`` is what to call one where the file ends within it.
    """

    name: str
    title: str
    word_bytes: int
    decode: Decode
    halves_swapped: bool = False
    big_endian: bool = False
    word: str = "word"

    def words(self, octets: memoryview | bytes) -> Words:
        """Return a copy of the whole words in ``octets``, in the machine's order."""
        count = len(octets) // self.word_bytes
        if self.halves_swapped:
            halves = np.frombuffer(octets, f"<u{self.word_bytes // 2}", 2 * count).reshape(-1, 2)
            return halves[:, ::-1].copy().view(f"u{self.word_bytes}")[:, 0].copy()
        order = ">" if self.big_endian else "<"
        return np.frombuffer(octets, f"{order}u{self.word_bytes}", count).astype(f"u{self.word_bytes}")


class Body(NamedTuple):
    """The words of a file, from octet ``start`` on; ``state`` is the decoder's before the first of them."""

    start: int
    layout: Layout
    state: State


@njit(nogil=True, cache=True)
def unwrap(low_bits: int, last_us: int) -> int:
    """Return the time nearest to ``last_us`` whose lower 32 bits are ``low_bits``, µs."""
    return last_us + ((low_bits - last_us + 0x80000000 & 0xFFFFFFFF) - 0x80000000)


@njit(nogil=True, cache=True)
def stretch(t: int, alone: bool, span: Span) -> Span:
    """Return the span of the events so far and one more, or of that one alone."""
    earliest_us, newest_us, ordered = span
    if alone:
        return t, t, True
    if t < newest_us:
        return min(earliest_us, t), newest_us, False
    return earliest_us, t, ordered


class WordReader:
    """An open file of words; see `Reader`. The whole file is read once when it is opened, for its times.

    Parameters
    ----------
    file
        Owned by the reader from now on.
    stream
        The only one. Where its resolution isn't known, every event up to ``widest`` is one.
    warnings
        What was assumed or lost so far.

    Raises
    ------
    FormatError
        When most events are outside of the sensor.
    """

    def __init__(
        self,
        file: WindowedFile,
        body: Body,
        stream: EventStream,
        *,
        widest: Resolution,
        warnings: list[str],
        orientation: str = "x to the right, y down",
    ) -> None:
        self._file, self._body = file, body
        self._size = stream.resolution or widest
        self.format = body.layout.name
        self.orientation = orientation
        self.streams = (stream,)
        self.camera, self.resolution = stream.camera, stream.resolution
        self._warnings = list(warnings)
        self._counts = _no_counts()
        self._words, left = divmod(max(0, file.size - body.start), body.layout.word_bytes)
        if left:
            self._warnings.append(
                f"the last {left} bytes aren't a whole {body.layout.word}: the file is cut short"
            )
        blocks = -(-self._words // (BLOCK_BYTES // body.layout.word_bytes))
        self._states = np.zeros((blocks, body.state.size), np.int64)
        self._earliest = np.full(blocks, _LATEST)
        self._latest = np.full(blocks, -_LATEST)
        self._survey()

    def _survey(self) -> None:
        """Read all of the file, for the decoder's state at each block, and where each lies in time."""
        state = self._body.state.copy()
        newest_us: int | None = None
        events = jumps = 0
        for number in range(len(self._states)):
            self._file.passed(self._body.start + number * BLOCK_BYTES)
            self._states[number] = state
            for n, earliest_us, latest_us in self._count(number, state):
                events += n
                jumps += newest_us is not None and earliest_us < newest_us - DISORDER_US
                newest_us = latest_us
                self._earliest[number] = min(self._earliest[number], earliest_us)
                self._latest[number] = max(self._latest[number], latest_us)
        self._judge(events, jumps)

    def _count(self, number: int, state: State) -> Iterator[tuple[int, int, int]]:
        """Yield (number of events, least time, greatest) of a block: once, unless time jumps back."""
        words, first = self._read(number), 0
        while first < len(words):
            first, n, earliest_us, latest_us, _ = self._body.layout.decode(
                words, first, state, *self._size, _NO_EVENTS, self._counts
            )
            if n:
                yield n, earliest_us, latest_us

    def _judge(self, events: int, jumps: int) -> None:
        outside, strange = int(self._counts[OUTSIDE]), int(self._counts[STRANGE])
        if outside > events:
            raise FormatError(
                f"{self._file.path}: {outside:,} of {outside + events:,} events are outside of the sensor's "
                f"{self._size.width}×{self._size.height} pixels: the file or its header is damaged, or it is from "
                f"another camera"
            )
        if strange:
            self._warnings.append(
                f"{strange:,} words are of a type that {self._body.layout.title} doesn't have, and are left out: "
                f"the file is damaged, or from a newer camera"
            )
        if jumps:
            self._warnings.append(
                f"time jumps back {jumps:,} times, as when the camera's clock is set to zero"
            )

    def _read(self, number: int) -> Words:
        first = number * BLOCK_BYTES
        size = min(BLOCK_BYTES, self._words * self._body.layout.word_bytes - first)
        return self._body.layout.words(self._file.view(self._body.start + first, size))

    def _decode(self, number: int, counts: Counts) -> Iterator[tuple[Events, bool]]:
        """Yield (at most PACKET_EVENTS events as in the file, whether in order), cut where time jumps back."""
        state = self._states[number].copy()
        words, first = self._read(number), 0
        while first < len(words):
            events = np.empty(PACKET_EVENTS, EVENTS_DTYPE)
            first, n, _, _, ordered = self._body.layout.decode(
                words, first, state, *self._size, events, counts
            )
            if n:
                yield events[:n], ordered

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed."""
        return list(self._warnings)

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most PACKET_EVENTS events; see `Reader.packets`."""
        tidier = Tidier(self._size, start_us, counters)
        for number in range(0 if start_us is None else self._first_block(start_us), len(self._states)):
            counts = _no_counts()
            for packet, ordered in self._decode(number, counts):
                if (taken := tidier.take(packet, ordered=ordered)).size:
                    yield taken
            counters.out_of_bounds += int(counts[OUTSIDE])

    def _first_block(self, start_us: int) -> int:
        """Return the first block with an event at or after ``start_us``."""
        holds = np.flatnonzero(self._latest >= start_us)
        return int(holds[0]) if holds.size else len(self._states)

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time, µs; None when there is no event."""
        earliest = int(self._earliest.min(initial=_LATEST))
        return None if earliest == _LATEST else (earliest, int(self._latest.max()))

    def other_content(self) -> OtherContent:
        """Count frames (by their pixels: whole ones), inertial samples and triggers."""
        frames = int(self._counts[SAMPLES]) // (self._size.width * self._size.height)
        return OtherContent(frames, int(self._counts[IMU]), int(self._counts[TRIGGERS]))

    def close(self) -> None:
        """Release the file; packets stay valid."""
        self._file.close()


def _no_counts() -> Counts:
    return np.zeros(5, np.int64)
