"""A reader for formats whose events lie in blocks that can be read in any order: tables, text, HDF5, Event Stream.

A format gives its blocks; the order of time, the sensor's edge, seeking and what is told of it are here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.columns import MAX_COORDINATE
from livesnn.events.formats.tidy import Tidier, note_on_jumps
from livesnn.events.packet import DISORDER_US, TIME_LIMIT_US, Events, Resolution, SourceCounters

WIDEST = Resolution(MAX_COORDINATE + 1, MAX_COORDINATE + 1)
_MAX_JUMPS = 64  # in one block; more, and it is no clock that was set but events that were never in order


class Blocks(Protocol):
    """One stream's events, in blocks of bounded size."""

    @property
    def count(self) -> int:
        """How many blocks there are."""
        ...

    def read(self, number: int) -> Events:
        """Return a block's events, EVENTS_DTYPE [N], the caller's own, as they lie in the file; maybe none.

        What is damaged is left out, and noted for `warnings`. Times are within ± TIME_LIMIT_US; an event that lies
        outside of the sensor, or can't be one, is dropped and counted by who reads.
        """
        ...

    @property
    def warnings(self) -> list[str]:
        """What is damaged, as far as read; one line each."""
        ...


class BlockStream(NamedTuple):
    """A stream and where its events come from."""

    stream: EventStream
    blocks: Blocks


class Losses:
    """What couldn't be read of each block; a block that is read again isn't counted twice."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._lost: dict[int, tuple[int, str]] = {}

    def note(self, block: int, amount: int, reason: str) -> None:
        """Note that ``amount`` of the unit are lost in a block."""
        self._lost[block] = amount, reason

    @property
    def warnings(self) -> list[str]:
        """One line for all of them, with the first reason; none when nothing is lost."""
        if not self._lost:
            return []
        amount = sum(amount for amount, _ in self._lost.values())
        return [f"{amount:,} {self._unit} lost: {self._lost[min(self._lost)][1]}"]


class BlockReader:
    """An open file of blocks; see `Reader`. What is read to open it are its first and its last block.

    Blocks are taken to follow each other in time: where time jumps back, and a warning says so, seeking is to one of
    the places.

    Parameters
    ----------
    streams
        In the file's order, at least one.
    warnings
        What was assumed or found missing while opening.
    release
        Called by `close`; must be safe to call twice.
    """

    orientation = "x to the right, y down"

    def __init__(
        self,
        streams: Sequence[BlockStream],
        *,
        format_name: str,
        other: OtherContent = OtherContent(),  # noqa: B008 (a value)
        warnings: Sequence[str] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.format = format_name
        self.streams = tuple(one.stream for one in streams)
        self.camera, self.resolution = self.streams[0].camera, self.streams[0].resolution
        self._blocks = {one.stream.name: one.blocks for one in streams}
        self._sizes = {one.stream.name: one.stream.resolution or WIDEST for one in streams}
        self._other = other
        self._warnings = list(warnings)
        self._release = release
        self._spans: dict[tuple[str, int], tuple[int, int] | None] = {}
        self._jumps: dict[str, int] = {}

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed, as far as read."""
        lost = [line for blocks in self._blocks.values() for line in blocks.warnings]
        jumped = [line for name, jumps in self._jumps.items() for line in note_on_jumps(name, jumps)]
        return [*self._warnings, *lost, *jumped]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield a packet a block, more where time jumps back; see `Reader.packets`."""
        blocks, size = self._blocks[stream], self._sizes[stream]
        tidier = Tidier(size, start_us, counters)
        newest_us, jumps = None, 0
        for number in range(0 if start_us is None else self._first_block(stream, start_us), blocks.count):
            for part, ordered in _parts(blocks.read(number), size, counters):
                jumps += newest_us is not None and int(part["t"][0]) < newest_us - DISORDER_US
                newest_us = int(part["t"][-1] if ordered else part["t"].max())
                if (taken := tidier.take(part, ordered=ordered)).size:
                    yield taken
        if start_us is None:
            self._jumps[stream] = jumps

    def _first_block(self, stream: str, start_us: int) -> int:
        """Return the first block with an event at or after ``start_us``."""
        return bisect_left(
            range(self._blocks[stream].count), start_us, key=lambda number: self._latest(stream, number)
        )

    def _latest(self, stream: str, number: int) -> int:
        """Return the greatest time of a block, or of the last one before it that has events."""
        spans = (self._span(stream, before) for before in range(number, -1, -1))
        return next((span[1] for span in spans if span is not None), -TIME_LIMIT_US)

    def _span(self, stream: str, number: int) -> tuple[int, int] | None:
        if (stream, number) not in self._spans:
            events = _inside(self._blocks[stream].read(number), self._sizes[stream], SourceCounters())
            t = events["t"]
            self._spans[stream, number] = (int(t.min()), int(t.max())) if t.size else None
        return self._spans[stream, number]

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time of the first and the last block that have events, µs."""
        numbers = range(self._blocks[stream].count)
        ends = [
            next((span for n in order if (span := self._span(stream, n)) is not None), None)
            for order in (numbers, reversed(numbers))
        ]
        known = [span for span in ends if span is not None]
        return (min(t for t, _ in known), max(t for _, t in known)) if known else None

    def other_content(self) -> OtherContent:
        """Count what isn't events."""
        return self._other

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._release()


def _inside(events: Events, size: Resolution, counters: SourceCounters) -> Events:
    inside = (events["x"] < size.width) & (events["y"] < size.height)
    if inside.all():
        return events
    counters.out_of_bounds += int(inside.size - np.count_nonzero(inside))
    return events[inside]


@njit(nogil=True, cache=True)
def _find_jumps(t: npt.NDArray[np.int64], jumps: npt.NDArray[np.int64]) -> int:
    """Write where time jumps back, and return how often: one more than there is room for, when that is too little."""
    n = 0
    newest_us = t[0]
    for i in range(1, t.size):
        if t[i] >= newest_us - DISORDER_US:
            newest_us = max(newest_us, t[i])
            continue
        if n == jumps.size:
            return n + 1
        jumps[n] = i
        n += 1
        newest_us = t[i]
    return n


@njit(nogil=True, cache=True)
def _is_plain(events: Events, width: int, height: int) -> bool:
    """Say whether all events are inside the sensor and in order, as nearly always."""
    strays, newest_us = False, events[0].t
    for i in range(events.size):
        strays |= (events[i].t < newest_us) | (events[i].x >= width) | (events[i].y >= height)
        newest_us = events[i].t
    return not strays


def _parts(events: Events, size: Resolution, counters: SourceCounters) -> list[tuple[Events, bool]]:
    """Return the events inside the sensor, cut where time jumps back by more than a disorder, and which are in order.

    All in one when that is too often.
    """
    if events.size and _is_plain(events, *size):
        return [(events, True)]
    events = _inside(events, size, counters)
    if not events.size:
        return []
    jumps = np.empty(_MAX_JUMPS, np.int64)
    n = _find_jumps(np.ascontiguousarray(events["t"]), jumps)
    parts = np.split(events, jumps[:n]) if 0 < n <= _MAX_JUMPS else [events]
    return [(part, bool((part["t"][1:] >= part["t"][:-1]).all())) for part in parts]
