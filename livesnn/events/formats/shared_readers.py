"""The readers that formats share, so that a format only has to decode.

`BlockReader` is for blocks that can be read in any order (npz, text, hdf5, event_stream, aedat3), `reader_in_memory`
for small files (nmnist, npz). Words of one size (evt, dat, aedat2) are read by word_reader.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.events.formats.reader import EventStream, OtherContent, Reader
from livesnn.events.formats.table_columns import MAX_COORDINATE
from livesnn.events.packet import (
    DISORDER_US,
    TIME_LIMIT_US,
    Events,
    PacketSorter,
    Resolution,
    SourceCounters,
    are_in_order,
    jump_warnings,
)

WIDEST = Resolution(MAX_COORDINATE + 1, MAX_COORDINATE + 1)
PACKET_EVENTS = 1 << 14
_MAX_JUMPS = 64  # in one block: with more, the clock wasn't reset, the events were never in order


class Blocks(Protocol):
    """One stream's events, in ``count`` blocks of bounded size."""

    count: int

    def read(self, number: int) -> Events:
        """Return a block's events as they lie in the file, EVENTS_DTYPE [N]; the caller owns them, N may be 0.

        Damaged parts are skipped and named in `warnings`. Times are within ± TIME_LIMIT_US. The caller drops and
        counts events that lie outside the sensor or can't be events.
        """

    @property
    def warnings(self) -> list[str]:
        """What was lost so far, one line each."""
        return []


class LossyBlocks:
    """A base of `Blocks` that may lose ``unit``s; reading a block again doesn't count its loss twice."""

    def __init__(self, count: int, unit: str) -> None:
        self.count = count
        self._unit = unit
        self._lost: dict[int, tuple[int, str]] = {}

    def note_loss(self, block: int, amount: int, reason: str) -> None:
        """Note that ``amount`` of the unit are lost in a block."""
        self._lost[block] = amount, reason

    @property
    def warnings(self) -> list[str]:
        """One line for all losses, with the first reason; none if nothing is lost."""
        if not self._lost:
            return []
        amount = sum(amount for amount, _ in self._lost.values())
        return [f"{amount:,} {self._unit} lost: {self._lost[min(self._lost)][1]}"]


class BlockReader(Reader):
    """An open file of blocks; see `Reader`.

    Blocks are assumed to follow one another in time. Where time jumps back, a warning says so, and seeking finds one
    of the places.

    There is at least one stream. ``warnings`` say what was assumed or missing when the file was opened. `close` calls
    ``release``, which must be safe to call twice.
    """

    def __init__(
        self,
        streams: Sequence[tuple[EventStream, Blocks]],
        *,
        format_name: str,
        other: OtherContent = OtherContent(),  # noqa: B008 (a value)
        warnings: Sequence[str] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.format = format_name
        self.streams = tuple(stream for stream, _ in streams)
        self.camera, self.resolution = self.streams[0].camera, self.streams[0].resolution
        self._blocks = {stream.name: blocks for stream, blocks in streams}
        self._sizes = {stream.name: stream.resolution or WIDEST for stream in self.streams}
        self._other = other
        self._warnings = list(warnings)
        self._release = release
        self._spans: dict[tuple[str, int], tuple[int, int] | None] = {}
        self._jumps: dict[str, int] = {}

    @property
    def warnings(self) -> list[str]:
        lost = [line for blocks in self._blocks.values() for line in blocks.warnings]
        return [*self._warnings, *lost, *jump_warnings(self._jumps)]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        blocks, first = self._blocks[stream], 0
        if start_us is not None:
            first = first_block(blocks.count, partial(self._span, stream), start_us)
        found = (blocks.read(number) for number in range(first, blocks.count))
        jumps = yield from sorted_packets(found, self._sizes[stream], start_us, counters)
        if start_us is None:
            self._jumps[stream] = jumps

    def _span(self, stream: str, number: int) -> tuple[int, int] | None:
        if (stream, number) not in self._spans:
            events = inside(self._blocks[stream].read(number), self._sizes[stream], SourceCounters())
            t = events["t"]
            self._spans[stream, number] = (int(t.min()), int(t.max())) if t.size else None
        return self._spans[stream, number]

    def time_range(self, stream: str) -> tuple[int, int] | None:
        return time_range_of(self._blocks[stream].count, partial(self._span, stream))

    def other_content(self) -> OtherContent:
        return self._other

    def close(self) -> None:
        self._release()


SpanOf = Callable[[int], tuple[int, int] | None]
"""Returns the least and the greatest time of a numbered part of a file, µs; None if it has no events."""


def time_range_of(count: int, span: SpanOf) -> tuple[int, int] | None:
    """Return the least and the greatest time of the first and the last of so many parts that have events, µs."""
    first, last = (next(filter(None, map(span, order)), None) for order in (range(count), reversed(range(count))))
    return (min(first[0], last[0]), max(first[1], last[1])) if first and last else None


def first_block(count: int, span: SpanOf, start_us: int) -> int:
    """Return the first of so many parts, one after the other in time, that may have an event at or after a time."""

    def latest_us(number: int) -> int:  # or of the last part before it that has events
        found = next(filter(None, map(span, range(number, -1, -1))), None)
        return -TIME_LIMIT_US if found is None else found[1]

    return bisect_left(range(count), start_us, key=latest_us)


def sorted_packets(
    blocks: Iterable[Events], size: Resolution, start_us: int | None, counters: SourceCounters
) -> Generator[Events, None, int]:
    """Yield the events of blocks as `Reader.packets` must; return how often time jumps back."""
    sorter = PacketSorter(size, start_us, counters)
    for block in blocks:
        yield from sorter.sort(ordered_parts(block, size, counters))
    return sorter.jumps


def inside(events: Events, size: Resolution, counters: SourceCounters) -> Events:
    """Return the events that lie inside the sensor; ``counters`` counts the others."""
    fits = (events["x"] < size.width) & (events["y"] < size.height)
    if fits.all():
        return events
    counters.out_of_bounds += int(fits.size - np.count_nonzero(fits))
    return events[fits]


@njit(nogil=True, cache=True)
def _find_jumps(t: npt.NDArray[np.int64], jumps: npt.NDArray[np.int64]) -> int:
    """Write where time jumps back and return how often; stop at one more than there is room for."""
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


def ordered_parts(events: Events, size: Resolution, counters: SourceCounters) -> list[tuple[Events, bool]]:
    """Return the events inside the sensor in parts, cut where time jumps back, and whether each part is in order.

    If time jumps back too often, they are one part.
    """
    if events.size and are_in_order(events, size):
        return [(events, True)]
    events = inside(events, size, counters)
    if not events.size:
        return []
    jumps = np.empty(_MAX_JUMPS, np.int64)
    n = _find_jumps(np.ascontiguousarray(events["t"]), jumps)
    parts = np.split(events, jumps[:n]) if 0 < n <= _MAX_JUMPS else [events]
    return [(part, bool((part["t"][1:] >= part["t"][:-1]).all())) for part in parts]


class _HeldBlocks(Blocks):
    """Events in memory."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.count = -(-events.size // PACKET_EVENTS)

    def read(self, number: int) -> Events:
        return self._events[number * PACKET_EVENTS : (number + 1) * PACKET_EVENTS].copy()


def reader_in_memory(
    events: Events, resolution: Resolution, *, format_name: str, camera: str, warnings: list[str]
) -> BlockReader:
    """Return the reader of one stream of events held in memory, which are sorted by time where they are far from it.

    ``warnings`` say what was assumed or lost.
    """
    t = inside(events, resolution, SourceCounters())["t"]  # an event outside the sensor may have any time
    back_us = int((np.maximum.accumulate(t) - t).max(initial=0))
    if back_us > DISORDER_US:
        events = events[np.argsort(events["t"], kind="stable")]
        warnings = [*warnings, f"time goes back by up to {back_us:,} µs: all events are sorted by time"]
    stream = EventStream("events", camera, resolution)
    return BlockReader([(stream, _HeldBlocks(events))], format_name=format_name, warnings=warnings)
