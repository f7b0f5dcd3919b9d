"""The one chain from a source to the network, for the window, run, serve, record and teach: `open_pipeline`.

source → playback clock → time limit → orient → record → gate → thin what is late → denoise → show → thin → buffer
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from livesnn.errors import SourceError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.filters import Orientation, check_seconds, orient_packets, take_seconds
from livesnn.events.packet import (
    NO_EVENTS,
    Closing,
    EventSource,
    Packet,
    Resolution,
    SourceCounters,
    checked_packets,
    copied,
)
from livesnn.events.playback_clock import PlaybackClock, paced
from livesnn.threads import BoundedQueue, Policy, Worker

Stage = Callable[[Iterable[Packet]], Iterator[Packet]]  # A generator function from packets to packets

See = Callable[[Packet], None]
"""Looks at a packet on its way, in the thread that reads the source. It must be quick."""

LIVE_BUFFER_BYTES = 64_000_000  # As much as comes in `LIVE_MAX_AGE_S` at 50 million events a second.

LIVE_MAX_AGE_S = 0.1
"""A live packet that waited longer, in a camera's driver or for the network, is dropped. A late decision is worse
than a missing event."""

THINNED = ((0.6, 1), (0.7, 2), (0.8, 4), (0.9, 8), (1.0, 32))
"""Up to this share of the greatest age, one of so many events is kept."""


def packet_bytes(packet: Packet) -> int:
    """Return the memory that a packet takes, in bytes; more than 0, so that a queue of empty ones is bounded too."""
    return packet.events.nbytes + 256


def packet_queue(policy: Policy, max_bytes: int, max_age_s: float = math.inf) -> BoundedQueue[Packet]:
    """Return a queue of packets that counts their events."""
    return BoundedQueue(
        policy=policy,
        max_bytes=max_bytes,
        max_age_s=max_age_s,
        size=packet_bytes,
        count=lambda packet: packet.events.size,
        arrived_s=lambda packet: packet.arrived_s,
    )


def open_pipeline(
    source: EventSource,
    *,
    clock: PlaybackClock | None = None,  # of a recording; None: as fast as it is read
    seconds: float | None = None,
    stop: threading.Event | None = None,  # ends it; see `take_seconds`
    orientation: Orientation = Orientation(),  # noqa: B008 (frozen)
    record: See | None = None,  # sees each upright packet, noise included
    gate: Stage | None = None,  # lets packets through or not, as for a pause
    arrived: See | None = None,  # sees each packet that the gate lets through, noise included
    noise: DenoiseState | None = None,  # of the upright picture's size; None: noise stays
    denoise: Callable[[], bool] = lambda: True,  # whether the filter is on; called once a packet
    show: See | None = None,  # sees each packet that is left for the network
    # A thread of its own reads the source ahead into a bounded queue: "drop_oldest" for a live source, "block" for a
    # recording that is played in its own time. None: no thread; packets are read when they are needed.
    policy: Policy | None = "drop_oldest",
    max_bytes: int = LIVE_BUFFER_BYTES,
    max_age_s: float = LIVE_MAX_AGE_S,  # what waited longer is dropped unless policy is "block", and before thinned
    owns_source: bool = True,  # whether closing the pipeline closes the source
) -> Pipeline:
    """Return the packets of a source as the network gets them.

    Raises SourceError if ``seconds`` isn't above 0. The source is closed then, if it is owned.
    """
    try:
        check_seconds(seconds)
    except SourceError:
        if owns_source:
            source.close()
        raise
    arrivals = SourceCounters()

    def count(packet: Packet) -> None:
        arrivals.events += packet.events.size

    packets: Iterable[Packet] = checked_packets(source)
    if clock is not None:
        packets = paced(packets, clock)
    if seconds is not None or stop is not None:
        packets = take_seconds(packets, seconds, live=source.live, stop=stop)
    if orientation != Orientation():
        packets = orient_packets(packets, source.resolution, orientation)
    if record is not None:
        packets = seen(packets, record)
    if gate is not None:
        packets = gate(packets)
    packets = seen(packets, count)
    if arrived is not None:
        packets = seen(packets, arrived)
    if policy == "drop_oldest":
        packets = on_time(packets, max_age_s, arrivals)
    if noise is not None:
        packets = denoise_packets(packets, noise, enabled=denoise)
    if show is not None:
        packets = seen(packets, show)
    queue = policy and packet_queue(policy, max_bytes, math.inf if policy == "block" else max_age_s)
    if queue is not None and policy == "drop_oldest":
        packets = as_fast_as(queue, packets, max_age_s, arrivals)
    resolution = orientation.resolution(source.resolution)
    return Pipeline(packets, source, arrivals, queue, resolution, noise, owns_source=owns_source)


def seen(packets: Iterable[Packet], see: See) -> Iterator[Packet]:
    for packet in packets:
        see(packet)
        yield packet


def on_time(
    packets: Iterable[Packet],
    max_age_s: float,
    counters: SourceCounters,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Packet]:
    """Yield packets, thinned so that what follows keeps up with them; ``counters.dropped`` counts what is left out.

    A packet that arrived longer ago than ``max_age_s`` loses all of its events.
    """
    for packet in packets:
        late_s = clock() - packet.arrived_s if packet.arrived_s else 0.0
        yield _thinned(packet, thinning(late_s, max_age_s), counters)


def as_fast_as(
    queue: BoundedQueue[Packet], packets: Iterable[Packet], max_age_s: float, counters: SourceCounters
) -> Iterator[Packet]:
    """Yield packets, thinned by how long those in the queue have waited; it drops by itself what waits too long."""
    for packet in packets:
        yield _thinned(packet, thinning(queue.waited_s(), max_age_s) or THINNED[-1][1], counters)


def _thinned(packet: Packet, one_of: int, counters: SourceCounters) -> Packet:
    if one_of == 1:
        return packet
    # A view would keep all of them in memory, where a queue counts only its own.
    kept = copied(packet.events[::one_of]) if one_of else NO_EVENTS
    counters.dropped += packet.events.size - kept.size
    now_us = packet.now_us if one_of else None
    return packet._replace(events=kept, now_us=now_us, one_of=packet.one_of * max(one_of, 1))


def thinning(late_s: float, max_age_s: float) -> int:
    """Return of how many events one is kept, 1 or more, in a packet that is this late; 0: none of them.

    Every k-th event is a fair sample of a slice. Whole packets left out one after the other would be gaps in it.
    """
    return next((one_of for share, one_of in THINNED if late_s <= share * max_age_s), 0)


class Pipeline(Closing):
    """The packets of a source as the network gets them; `open_pipeline` makes it.

    One iteration, from one thread. An error of the source is raised after the packets before it, at this pull and
    every later one: timing must not decide what a damaged file gives. The thread, where there is one, starts with the
    iteration.
    """

    def __init__(
        self,
        packets: Iterable[Packet],
        source: EventSource,
        arrivals: SourceCounters,
        queue: BoundedQueue[Packet] | None,
        resolution: Resolution,
        noise: DenoiseState | None,
        *,
        owns_source: bool,
    ) -> None:
        self.source = source
        self.resolution = resolution
        self.noise = noise
        self._packets = packets
        self._arrivals = arrivals  # through the gate, noise included, and dropped because they were late
        self._queue = queue
        self._owns_source = owns_source
        self._worker = Worker("capture", self._capture, on_error=lambda error: self._end())

    @property
    def counters(self) -> SourceCounters:
        """Events that came and weren't lost, noise included; and those lost, in the source or on the way here."""
        counters = self.source.counters
        lost = self._arrivals.dropped + (0 if self._queue is None else self._queue.dropped)
        events = self._arrivals.events - lost - self.unread
        return replace(counters, events=events, dropped=counters.dropped + lost)

    @property
    def unread(self) -> int:
        """Events waiting for the network; after `close`, events that nobody will read."""
        return 0 if self._queue is None else self._queue.unread

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets until the source ends or `close` is called. Raises what the source raised."""
        if self._queue is None:
            yield from self._packets
            return
        self._worker.start()
        while (packet := self._queue.take()) is not None:
            yield packet
        if self._worker.error is not None and not self._worker.stop.is_set():
            raise self._worker.error

    def interrupt(self) -> None:
        """End the iteration soon, without waiting. Whoever iterates then closes the pipeline."""
        self._worker.stop.set()
        if self._queue is not None:
            self._queue.close()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop reading, and close the source if it is owned. Safe to call twice, and from any thread.

        Raises SourceError when the source doesn't stop in time; its thread is left behind.
        """
        self.interrupt()
        ended = self._worker.close(timeout_s / 2)  # first: a driver closed while it reads may crash
        if self._owns_source:
            self.source.close()
        if not ended and not self._worker.close(timeout_s / 2):
            raise SourceError(f"the source didn't stop within {timeout_s:g} s: unplug it and start again")

    def _capture(self, stop: threading.Event) -> None:
        assert self._queue is not None
        for packet in self._packets:
            known = packet.arrived_s > 0
            self._queue.put(packet if known else packet._replace(arrived_s=time.perf_counter()))
            if stop.is_set():
                break
        self._end()

    def _end(self) -> None:
        if self._queue is not None:
            self._queue.end()
