"""Packets of events, and what a source of them offers: `Packet`, `EventSource`, `EVENTS_DTYPE`, `Resolution`.

Every reader puts its events in order by `put_in_order`, unless it has checked that there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError

EVENTS_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
"""One event: t in µs (signed, so that differences can't wrap), x to the right, y down, p True = ON."""

Events = npt.NDArray[np.void]  # A time-ordered array of EVENTS_DTYPE [N], maybe empty

DISORDER_US = 10_000
"""An event older than the newest by at most this is out of order and takes the newest's time. An older one is a jump
back in time. The limit is far above what a camera's readout mixes up, and far below a clip's length."""

TIME_LIMIT_US = 1 << 62
"""Times at or beyond ± this (146,000 years) are damage. Below it, no difference of two times wraps."""

LARGEST_SENSOR = 4096

_RANGES = {"t": (1 - TIME_LIMIT_US, TIME_LIMIT_US - 1), "x": (0, 0xFFFF), "y": (0, 0xFFFF), "p": (0, 1)}


class Resolution(NamedTuple):
    """Sensor size in pixels. Arrays are always [..., height, width]."""

    width: int
    height: int

    @property
    def words(self) -> str:
        """What a person reads: "640×480"."""
        return f"{self.width}×{self.height}"


class Packet(NamedTuple):
    """Events as they arrive, with all that is known of them.

    Attributes
    ----------
    events
        EVENTS_DTYPE [N] in order of time, maybe empty. It is never changed after it was yielded.
    arrived_s
        When the packet reached the computer, by `time.perf_counter`, even if a busy computer took it later. 0 for a
        recording that is read as fast as possible.
    now_us
        Stream time that has passed with the packet: every event before it has been yielded. None when unknown. An
        empty packet of a quiet scene has one.
    epoch
        A number that changes where the packet doesn't follow on from the one before, as after a reconnection.
    to_utc_us
        What to add to a camera's times for Unix times by the computer's clock, as estimated so far. None where the
        times aren't a camera's, or two cameras share one clock.
    one_of
        k if only every k-th event is left, because they were late.
    """

    events: Events
    arrived_s: float = 0.0
    now_us: int | None = None
    epoch: int = 0
    to_utc_us: int | None = None
    one_of: int = 1

    def __repr__(self) -> str:
        count = self.events.size
        times = f", {self.events['t'][0]} to {self.events['t'][-1]} µs" if count else ""
        return f"Packet({count:,} events{times}, epoch {self.epoch})"


NO_EVENTS: Events = np.empty(0, EVENTS_DTYPE)


@dataclass
class SourceCounters:
    """Events that a source has yielded, lost and repaired since it was opened."""

    events: int = 0  # Yielded, noise included
    dropped: int = 0  # Lost, because the driver or the reader was too slow
    out_of_order: int = 0  # Yielded events that came out of order and took the newest event's time
    out_of_bounds: int = 0  # Left out because they lie outside the sensor


class PacketStream(Protocol):
    """Packets of one resolution: an `EventSource`, or the `Pipeline` of one."""

    @property
    def resolution(self) -> Resolution:
        """Size in pixels of the sensor, or of its upright picture; always the same."""

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets in order of time. Empty packets are legal; a live source yields one at least every 50 ms."""


@runtime_checkable
class EventSource(PacketStream, Protocol):
    """Anything that yields packets of events. A camera never ends, a recording does.

    A filter of events isn't a source: it is a generator function from packets to packets (filters.py).
    """

    @property
    def name(self) -> str:
        """What a person calls the camera. "" when unknown."""

    @property
    def live(self) -> bool:
        """Whether it runs in real time, so that packets nobody takes are lost."""

    @property
    def counters(self) -> SourceCounters:
        """Events yielded and lost so far."""

    @property
    def warnings(self) -> Sequence[str]:
        """What was damaged, missing or assumed so far, one line each."""

    def close(self) -> None:
        """Release what is held. Safe to call twice."""


class Closing:
    """A base class for what is closed at the end of a `with` block."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def require_usual_size(resolution: Resolution) -> None:
    """Raise SourceError for a sensor so large that an array with its pixels would fill the memory."""
    if max(resolution) > LARGEST_SENSOR:
        raise SourceError(
            f"a sensor of {resolution.words} is too large for the window and the noise filter, "
            f"which take up to {LARGEST_SENSOR}×{LARGEST_SENSOR}: if the recording isn't damaged, try livesnn run"
        )


def check_resolution(resolution: Resolution) -> None:
    """Raise SourceError where a source's resolution isn't a `Resolution` of whole numbers above 0."""
    sizes = isinstance(resolution, Resolution) and all(isinstance(size, int | np.integer) for size in resolution)
    if not (sizes and min(resolution) >= 1):
        raise SourceError(
            f"a source's resolution can't be {resolution!r}: give a Resolution of two whole numbers above 0"
        )


def checked_packets(packets: Iterable[Packet]) -> Iterator[Packet]:
    """Yield the packets of a source, which a user may have written, with EVENTS_DTYPE events.

    Raises SourceError for what isn't a `Packet`, and as `as_events` does.
    """
    for packet in packets:
        if not isinstance(packet, Packet):
            raise SourceError(f"a source must yield packets, not {type(packet).__name__}: yield Packet(events)")
        if not isinstance(packet.now_us, (int, np.integer, type(None))):
            raise SourceError(f"a packet's now_us can't be {packet.now_us!r}: give whole µs, or None")
        events = as_events(packet.events)
        yield packet if events is packet.events else packet._replace(events=events)


def as_events(events: npt.NDArray[np.void]) -> Events:
    """Return the array itself where it is EVENTS_DTYPE [N], otherwise a new one with its fields, by name.

    Raises SourceError when it isn't a 1-D array with fields t, x, y, p of whole numbers (p: 0 and 1, or bool) that
    fit.
    """
    flat = isinstance(events, np.ndarray) and events.ndim == 1
    if flat and events.dtype == EVENTS_DTYPE:
        return events
    if not flat or not {*_RANGES} <= {*(events.dtype.names or ())}:
        raise SourceError("a packet must be a 1-D array with fields t, x, y, p: give one of EVENTS_DTYPE")
    converted = np.empty(events.size, EVENTS_DTYPE)
    for name, (least, most) in _RANGES.items():
        column = events[name]
        if column.ndim != 1 or column.dtype.kind not in "iub":
            raise SourceError(f"a packet's {name} must be whole numbers, not {column.dtype}: convert it")
        if column.size and not least <= int(column.min()) <= int(column.max()) <= most:
            raise SourceError(f"a packet's {name} must be within {least}..{most}: check its unit and origin")
        converted[name] = column
    return converted


def put_in_order(packet: Events, resolution: Resolution, newest_us: int | None, counters: SourceCounters) -> Events:
    """Return the packet's events that lie inside the sensor, sorted by time.

    ``newest_us`` is the time of the last event before it. An event that is older by at most DISORDER_US gets this
    time. A packet that starts even earlier follows a jump in time and keeps its times. ``out_of_bounds`` and
    ``out_of_order`` of the ``counters`` are added to.
    """
    if not are_in_order(packet, resolution):
        inside = (packet["x"] < resolution.width) & (packet["y"] < resolution.height)
        inside &= packet["p"].view(np.uint8) <= 1  # in damaged files that store a whole byte
        counters.out_of_bounds += int(packet.size - np.count_nonzero(inside))
        packet = packet[inside]
        t = packet["t"]
        if late := int(np.count_nonzero(t < np.maximum.accumulate(t))):
            counters.out_of_order += late
            packet = packet[np.argsort(t, kind="stable")]
    if newest_us is None or not packet.size or not 0 < newest_us - int(packet["t"][0]) <= DISORDER_US:
        return packet
    older = packet["t"] < newest_us
    counters.out_of_order += int(np.count_nonzero(older))
    clamped = copied(packet)
    clamped["t"][older] = newest_us
    return clamped


def copied(events: Events, later_us: int = 0) -> Events:
    """Return a copy with later times. numpy's own copies event by event, which takes 20 times as long."""
    copy = np.empty(events.size, EVENTS_DTYPE)
    if events.flags.c_contiguous:
        copy.view(np.uint8)[:] = events.view(np.uint8)
    else:
        for name in EVENTS_DTYPE.names or ():
            copy[name] = events[name]
    if later_us:
        copy["t"] += later_us
    return copy


_STORED_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])


def are_in_order(packet: Events, resolution: Resolution) -> bool:
    """Return whether all events are inside the sensor, with p 0 or 1, and none is older than the one before it."""
    return bool(_in_order_kernel()(packet.view(_STORED_DTYPE), *resolution))


def _are_in_order(packet: npt.NDArray[np.void], width: int, height: int) -> bool:
    newest_us = -TIME_LIMIT_US
    good = True
    for index in range(packet.size):
        event = packet[index]
        good &= (event.t >= newest_us) & (event.x < width) & (event.y < height) & (event.p <= 1)
        newest_us = event.t
    return good


@cache
def _in_order_kernel() -> Callable[..., bool]:
    """Compile `_are_in_order` on first use, for any packet, strided or read-only too; it releases the GIL."""
    import numba  # 0.3 s, which `import livesnn` doesn't take

    from livesnn.compiled import njit

    packet = numba.types.Array(numba.from_dtype(_STORED_DTYPE), 1, "A", readonly=True)
    signature = numba.boolean(packet, numba.int64, numba.int64)
    return njit(signature, nogil=True, cache=True)(_are_in_order)


class PacketSorter:
    """Sorts the packets of one pass through a stream, one after the other, and cuts off what lies before the start.

    With ``start_us`` None nothing is cut off. ``jumps`` counts how often time jumps back.
    """

    def __init__(self, resolution: Resolution, start_us: int | None, counters: SourceCounters) -> None:
        self._resolution = resolution
        self._start_us = start_us
        self._counters = counters
        self._newest_us: int | None = None
        self.jumps = 0

    def restart(self) -> None:
        """Take the next packet as the first of a stream, because the camera's clock was reset."""
        self._newest_us = None

    def sort(self, packets: Iterable[tuple[Events, bool]]) -> Iterator[Events]:
        """Yield what is left of each packet, unless it is nothing.

        With each comes whether it is in order, which also means that all of it is inside the sensor.
        """
        for packet, ordered in packets:
            back_us = 0 if self._newest_us is None else self._newest_us - int(packet["t"][0])
            self.jumps += back_us > DISORDER_US
            if not ordered or back_us > 0:
                packet = put_in_order(packet, self._resolution, self._newest_us, self._counters)
            self._newest_us = int(packet["t"][-1])
            if self._start_us is not None:
                packet = packet[np.searchsorted(packet["t"], self._start_us) :]
                self._start_us = None if packet.size else self._start_us
            if packet.size:
                yield packet


def order_warnings(stream: str, counters: SourceCounters, before: SourceCounters) -> list[str]:
    """Return a line for events of a stream that were sorted since ``before``, and one for those left out, if any."""
    found = []
    if late := counters.out_of_order - before.out_of_order:
        found.append(f"{stream}: {late:,} events were out of order, and are sorted by time")
    if outside := counters.out_of_bounds - before.out_of_bounds:
        found.append(f"{stream}: {outside:,} events outside the sensor, or without a usable time, are left out")
    return found


def jump_warnings(jumps: Mapping[str, int]) -> list[str]:
    """Return a line for each stream whose time jumps back, by how often it does; "": the file's only stream."""
    told = "time jumps back {:,} times, as when the camera's clock is reset"
    return [f"{stream}: " * bool(stream) + told.format(count) for stream, count in jumps.items() if count]
