"""What comes in: events and their sources. Not here: opening one by name (sources.py), frames (frames.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError

if TYPE_CHECKING:
    from livesnn.video.frame_source import VideoSource

EVENTS_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
"""One event: t in µs (signed, so that differences can't wrap), x to the right, y down, p True = ON."""

Events = npt.NDArray[np.void]
"""A packet: a time-ordered array of EVENTS_DTYPE, maybe empty."""


DISORDER_US = 10_000
"""An event older than the newest by at most this is out of order and takes the newest's time; older than that, time
has jumped back. Far above what a camera's readout mixes up, far below a clip's length."""

TIME_LIMIT_US = 1 << 62
"""Times at or beyond ± this (146,000 years) are damage: below it no difference of two times wraps."""

LARGEST_SENSOR = 4096

_RANGES = {"t": (1 - TIME_LIMIT_US, TIME_LIMIT_US - 1), "x": (0, 0xFFFF), "y": (0, 0xFFFF), "p": (0, 1)}


class Resolution(NamedTuple):
    """Sensor size in pixels. Arrays are always [..., height, width]."""

    width: int
    height: int


def require_usual_size(resolution: Resolution) -> None:
    """Raise SourceError for a sensor larger than any: what is kept of each of its pixels would take all memory."""
    if max(resolution) > LARGEST_SENSOR:
        raise SourceError(
            f"a sensor of {resolution.width}×{resolution.height}: the window and the noise filters take up to "
            f"{LARGEST_SENSOR}×{LARGEST_SENSOR}: is the recording damaged? (livesnn run decides without them)"
        )


@dataclass
class SourceCounters:
    """What a source has let through and lost, in events, since it was opened."""

    events: int = 0
    dropped: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0


class Closing:
    """What is closed at the end of a `with` block."""

    def close(self) -> None:
        """Release what is held; safe to call twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EventSource(Closing):
    """Anything that yields packets; a camera never ends, a recording does.

    A source sets what it knows better than here, as an attribute or a property. What is said of "the packet" is
    of the one just yielded.
    """

    @cached_property
    def resolution(self) -> Resolution:
        """Sensor size in pixels, always the same."""
        raise NotImplementedError

    @cached_property
    def counters(self) -> SourceCounters:
        """Events let through and lost so far."""
        raise NotImplementedError

    @cached_property
    def live(self) -> bool:
        """Whether it goes on whoever reads it: it is read in real time, and what nobody takes is dropped."""
        return True

    @cached_property
    def camera(self) -> str:
        """What a person calls the camera; "" when unknown."""
        return ""

    @cached_property
    def serial(self) -> str:
        """The serial number of a camera that is plugged in; "" of anything else."""
        return ""

    @cached_property
    def now_us(self) -> int | None:
        """Stream time that has passed with the packet, as for `events.frames.Slicer.push`; None when unknown."""
        return None

    @cached_property
    def connection(self) -> int:
        """A number that changes where the packets follow on from nothing: a new stream, however short the gap."""
        return 0

    @property
    def arrived_s(self) -> float:
        """When the packet arrived, by `time.perf_counter()`; now, where nothing lies between; 0: nobody waits."""
        return time.perf_counter() if self.live else 0.0

    @cached_property
    def lost(self) -> str:
        """Why nothing comes, in one line that says what to do; "" while connected."""
        return ""

    @cached_property
    def video(self) -> VideoSource | None:
        """The source itself where it is a video, which yields frames and has no packets; None where it isn't."""
        return None

    @cached_property
    def warnings(self) -> Sequence[str]:
        """What was damaged, missing or assumed, as far as read; one line each."""
        return ()

    def __iter__(self) -> Iterator[Events]:
        """Yield packets in time order; empty packets are legal."""
        raise NotImplementedError


class Relay(EventSource):
    """Another source's packets, which it owns: whatever isn't overridden is the other's."""

    def __init__(self, source: EventSource) -> None:
        self._source = source

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        return self._source.resolution

    @property
    def counters(self) -> SourceCounters:
        """Events let through and lost so far."""
        return self._source.counters

    @property
    def live(self) -> bool:
        """Whether it goes on whoever reads it."""
        return self._source.live

    @property
    def camera(self) -> str:
        """What a person calls the camera."""
        return self._source.camera

    @property
    def serial(self) -> str:
        """The serial number of a camera that is plugged in."""
        return self._source.serial

    @property
    def now_us(self) -> int | None:
        """Stream time that has passed."""
        return self._source.now_us

    @property
    def connection(self) -> int:
        """A number that changes where the packets follow on from nothing."""
        return self._source.connection

    @property
    def arrived_s(self) -> float:
        """When the packet arrived."""
        return self._source.arrived_s

    @property
    def lost(self) -> str:
        """Why nothing comes."""
        return self._source.lost

    @property
    def video(self) -> VideoSource | None:
        """The video it is."""
        return self._source.video

    @property
    def warnings(self) -> Sequence[str]:
        """What was damaged, missing or assumed."""
        return self._source.warnings

    def __iter__(self) -> Iterator[Events]:
        return iter(self._source)

    def close(self) -> None:
        """Close the other."""
        self._source.close()


def as_events(packet: npt.NDArray[np.void]) -> Events:
    """Return a packet itself where it is EVENTS_DTYPE [N], otherwise its fields, by name, in a new one.

    Raises
    ------
    SourceError
        When it isn't a list with fields t, x, y, p of whole numbers (p: 0 and 1, or bool) that fit.
    """
    flat = isinstance(packet, np.ndarray) and packet.ndim == 1
    if flat and packet.dtype == EVENTS_DTYPE:
        return packet
    if not flat or not {*_RANGES} <= {*(packet.dtype.names or ())}:
        raise SourceError("a packet must be a 1-D array with fields t, x, y, p: give one of EVENTS_DTYPE")
    events = np.empty(packet.size, EVENTS_DTYPE)
    for name, (least, most) in _RANGES.items():
        column = packet[name]
        if column.ndim != 1 or column.dtype.kind not in "iub":
            raise SourceError(f"a packet's {name} must be whole numbers, not {column.dtype}: convert it")
        if column.size and not least <= int(column.min()) <= int(column.max()) <= most:
            raise SourceError(f"a packet's {name} must be within {least}..{most}: check its unit and origin")
        events[name] = column
    return events
