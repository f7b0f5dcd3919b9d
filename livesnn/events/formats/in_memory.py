"""A reader for recordings so small that they are read at once. Not here: the formats themselves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.tidy import tidy
from livesnn.events.packet import DISORDER_US, Events, Resolution, SourceCounters

PACKET_EVENTS = 1 << 14


class InMemoryReader:
    """One stream of events that is held in memory; see `Reader`.

    Parameters
    ----------
    events
        EVENTS_DTYPE [N] as read, maybe out of order; owned by the reader from now on.
    warnings
        What was assumed or lost while reading.
    """

    orientation = "x to the right, y down"

    def __init__(
        self, events: Events, resolution: Resolution, *, format_name: str, camera: str, warnings: list[str]
    ) -> None:
        self.format = format_name
        self.camera = camera
        self.resolution: Resolution | None = resolution
        self.streams = (EventStream("events", camera, resolution),)
        self._found = SourceCounters()
        # Of an event outside, such as one that can't be any, the time may be anything.
        t = events["t"][(events["x"] < resolution.width) & (events["y"] < resolution.height)]
        ordered = bool((t[1:] >= t[:-1]).all())
        back_us = 0 if ordered else int((np.maximum.accumulate(t) - t).max())
        if back_us > DISORDER_US:
            warnings = [*warnings, f"time goes back by up to {back_us:,} µs: all events are sorted by time"]
        self._events = tidy(events, resolution, None, self._found)
        self._warnings = warnings

    @property
    def warnings(self) -> list[str]:
        """What was assumed or lost while reading."""
        return list(self._warnings)

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most PACKET_EVENTS events; see `Reader.packets`."""
        first = 0 if start_us is None else int(np.searchsorted(self._events["t"], start_us))
        counters.out_of_order += self._found.out_of_order
        counters.out_of_bounds += self._found.out_of_bounds
        self._found = SourceCounters()  # counted once, however often the file is played
        for start in range(first, len(self._events), PACKET_EVENTS):
            yield self._events[start : start + PACKET_EVENTS].copy()

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the times of the first and the last event, µs; None when there is none."""
        t = self._events["t"]
        return (int(t[0]), int(t[-1])) if t.size else None

    def other_content(self) -> OtherContent:
        """Return zeros: these formats hold events alone."""
        return OtherContent()

    def close(self) -> None:
        """Nothing to release: the file is closed already."""
