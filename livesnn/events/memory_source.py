"""Events in memory, played as a camera would give them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count

import numpy as np

from livesnn.events.packet import Closing, Events, Packet, Resolution, SourceCounters

PACKET_US = 1000


class MemorySource(Closing):
    """Events in memory as a live `EventSource`, in packets of a millisecond.

    Parameters
    ----------
    events
        EVENTS_DTYPE [N], in order, within [0, duration_us).
    duration_us
        Until the last packet, or until they begin again.
    paced
        In real time. A late reader gets every packet, one after another. Otherwise all come at once.
    repeated
        Again and again, until `close`, the time going on; otherwise once.
    """

    live = True
    name = ""
    warnings = ()

    def __init__(
        self,
        events: Events,
        resolution: Resolution,
        *,
        duration_us: int,
        paced: bool = True,
        repeated: bool = False,
    ) -> None:
        self.resolution = resolution
        self.counters = SourceCounters()
        self._duration_us, self._paced = duration_us, paced
        ends = np.minimum(np.arange(PACKET_US, duration_us + PACKET_US, PACKET_US), duration_us)
        self._packets = np.split(events, np.searchsorted(events["t"], ends[:-1]))
        self._ends = ends.tolist()
        self._rounds = count() if repeated else range(1)
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets until the events end, or until `close`."""
        begun_s = time.perf_counter()
        for number in self._rounds:
            begun_us = number * self._duration_us
            for events, end_us in zip(self._packets, self._ends, strict=True):
                due_s = begun_s + (begun_us + end_us) / 1e6 if self._paced else 0.0
                if self._closed.wait(max(0.0, due_s - time.perf_counter())):
                    return
                self.counters.events += events.size
                if begun_us:
                    events = events.copy()
                    events["t"] += begun_us
                yield Packet(events, time.perf_counter())

    def close(self) -> None:
        """End the iteration, from any thread; safe to call twice."""
        self._closed.set()
