"""Events in memory as a live source, for what is measured without a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import count

import numpy as np

from livesnn.events.packet import Closing, Events, Packet, Resolution, SourceCounters, copied

MEMORY_PACKET_US = 1000


class MemorySource(Closing):
    """EVENTS_DTYPE [N] within [0, duration_us) as a live `EventSource`, a packet a millisecond.

    They come once, or ``repeated`` until `close`; ``paced`` in real time, with no packet lost, or all at once.
    """

    live = True
    name = ""
    warnings = ()

    def __init__(
        self, events: Events, resolution: Resolution, *, duration_us: int, paced: bool = True, repeated: bool = False
    ) -> None:
        self.resolution = resolution
        self.counters = SourceCounters()
        self._duration_us, self._paced = duration_us, paced
        ends = np.minimum(np.arange(MEMORY_PACKET_US, duration_us + MEMORY_PACKET_US, MEMORY_PACKET_US), duration_us)
        self._packets = np.split(events, np.searchsorted(events["t"], ends[:-1]))
        self._ends = ends.tolist()
        self._rounds = count() if repeated else range(1)
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        begun_s = time.perf_counter()
        for number in self._rounds:
            begun_us = number * self._duration_us
            for events, end_us in zip(self._packets, self._ends, strict=True):
                due_s = begun_s + (begun_us + end_us) / 1e6 if self._paced else 0.0
                if self._closed.wait(max(0.0, due_s - time.perf_counter())):
                    return
                self.counters.events += events.size
                yield Packet(copied(events, begun_us) if begun_us else events, time.perf_counter())

    def close(self) -> None:
        self._closed.set()
