"""How many events a second a stream has: `EventRate`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from livesnn.events.packet import Packet

RATE_S = 2.0  # Rates are means over so long
_CLOCKS_APART_US = 100_000  # between packets, the computer's and a source's: no jump back


class EventRate:
    """Events a second of stream time, over the last `RATE_S`. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._packets: deque[tuple[int, int]] = deque()  # end of the packet µs, events
        self._events = 0  # of these packets
        self._epoch, self._arrived_s = 0, 0.0  # of the last one
        self._lock = threading.Lock()  # held for microseconds
        self.total = 0  # events added so far
        self.last_s = clock()  # when an event was added last

    def add(self, packet: Packet) -> None:
        """Add a packet; an empty one says that time goes by.

        An empty packet without a time counts by the clock. Another epoch starts the rate again.
        """
        events, t_us = packet.events, packet.now_us
        if events.size:
            t_us = int(events["t"][-1])
            self.total += events.size
            self.last_s = self._clock()
        with self._lock:
            if packet.epoch != self._epoch:
                self._forget()
                self._epoch = packet.epoch
            if self._packets:
                newest_us = self._packets[-1][0]
                if t_us is None:
                    t_us = newest_us + max(round((packet.arrived_s - self._arrived_s) * 1e6), 0)
                elif newest_us - _CLOCKS_APART_US < t_us:
                    t_us = max(t_us, newest_us)
                else:  # a jump back
                    self._forget()
            if t_us is None:
                return
            self._arrived_s = packet.arrived_s
            self._packets.append((t_us, events.size))
            self._events += events.size
            while self._packets[0][0] < t_us - RATE_S * 1e6:
                self._events -= self._packets.popleft()[1]

    @property
    def per_s(self) -> float:
        with self._lock:
            if len(self._packets) < 2 or self._packets[-1][0] <= self._packets[0][0]:
                return float("nan")
            begun_us, first = self._packets[0]
            # The first packet's events lie before its end, where the time begins.
            return (self._events - first) * 1e6 / (self._packets[-1][0] - begun_us)

    def _forget(self) -> None:
        self._packets.clear()
        self._events = 0
