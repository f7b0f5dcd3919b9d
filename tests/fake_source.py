"""The one fake source of the tests: an `EventSource` that yields what it is given, and whatever happens then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Literal

import numpy as np

from livesnn.events.packet import EVENTS_DTYPE, NO_EVENTS, Closing, Events, Packet, Resolution, SourceCounters

SMALL = Resolution(34, 34)
PATIENCE_S = 20.0
"""Of waits that end soon unless something is broken."""

Then = Literal["end", "silence", "wait"] | BaseException
"""What a source does after its packets: it ends; yields empty packets until it is closed; waits as a driver in the
dark does, until it is closed; or raises an error."""

_TICK_S = 0.002


class FakeSource(Closing):
    """A source of given packets.

    Parameters
    ----------
    packets
        Arrays of events become packets, which a live source stamps with the time. A `Packet` is yielded as it is. It
        may be a generator without end, or one that waits for something. It is iterated anew with the source.
    resolution, name, live, warnings
        As of an `EventSource`.
    counters
        At the start; the events yielded are added.
    then
        What happens after the packets.
    after
        Called with the number of the packet, from 1, when the next one is asked for.
    on_demand
        Each packet waits for `give`; meanwhile a live source yields empty ones.
    deaf
        Closing doesn't end the iteration, as a driver that never comes back. `release` does.

    Attributes
    ----------
    closed
        Set by `close`.
    closings
        How often it was closed.
    exhausted
        Set when all packets have been taken.
    """

    def __init__(
        self,
        packets: Iterable[Packet | Events] = (),
        *,
        resolution: Resolution = SMALL,
        name: str = "",
        live: bool = True,
        counters: SourceCounters | None = None,
        warnings: Iterable[str] = (),
        then: Then = "end",
        after: Callable[[int], None] = lambda number: None,
        on_demand: bool = False,
        deaf: bool = False,
    ) -> None:
        self.resolution = resolution
        self.name = name
        self.live = live
        self.counters = SourceCounters() if counters is None else counters
        self.warnings = list(warnings)
        self.closed = threading.Event()
        self.exhausted = threading.Event()
        self.closings = 0
        self._packets = packets
        self._then = then
        self._after = after
        self._wanted = threading.Semaphore(0) if on_demand else None
        self._deaf = deaf
        self._over = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        for number, item in enumerate(self._packets, 1):
            yield from self._wait_for_demand()
            if self._over.is_set():
                return
            packet = item if isinstance(item, Packet) else self._packet(item)
            self.counters.events += packet.events.size
            yield packet
            self._after(number)
        self.exhausted.set()
        yield from self._end()

    def give(self, packets: int = 1) -> None:
        """Let so many more packets come, of a source that is ``on_demand``."""
        assert self._wanted is not None
        self._wanted.release(packets)

    def release(self) -> None:
        """End the iteration, of one that is ``deaf`` too."""
        self._over.set()

    def close(self) -> None:
        """Note that it was closed; the iteration ends soon."""
        self.closings += 1
        self.closed.set()
        if not self._deaf:
            self._over.set()

    def _packet(self, events: Events) -> Packet:
        return Packet(events, time.perf_counter() if self.live else 0.0)

    def _wait_for_demand(self) -> Iterator[Packet]:
        while self._wanted is not None and not self._over.is_set():
            if self._wanted.acquire(timeout=_TICK_S):
                return
            if self.live:
                yield self._packet(NO_EVENTS)

    def _end(self) -> Iterator[Packet]:
        if isinstance(self._then, BaseException):
            raise self._then
        if self._then == "wait":
            self._over.wait(PATIENCE_S)
        while self._then == "silence" and not self._over.wait(_TICK_S):
            yield self._packet(NO_EVENTS)


def at(*times_us: int, x: int = 0, y: int = 0, p: bool = True) -> Events:
    """Return events at these times, of one pixel."""
    events = np.zeros(len(times_us), EVENTS_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = times_us, x, y, p
    return events


def cut(events: Events, duration_us: int, packet_us: int = 10_000) -> list[Events]:
    """Return events of [0, duration_us) in packets of that time."""
    return np.split(events, np.searchsorted(events["t"], np.arange(packet_us, duration_us, packet_us)))


def endless(events: Events, duration_us: int, packet_us: int = 10_000) -> Iterator[Events]:
    """Yield events of [0, duration_us) in packets of that time, again and again, the time going on."""
    packets = cut(events, duration_us, packet_us)
    for lap in count():
        for packet in packets:
            later = packet.copy()
            later["t"] += lap * duration_us
            yield later


def joined(packets: Iterable[Packet]) -> Events:
    """Return the events of all packets."""
    return np.concatenate([NO_EVENTS, *(packet.events for packet in packets)])
