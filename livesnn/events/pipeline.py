"""The one chain from a source to the network, `open_pipeline`.

source → playback clock → time limit → orient → record → gate → on time → denoise → show → buffer

The drop policy is here: `on_time` thins what comes late, and the buffer is filled with less the longer others wait.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

from livesnn.errors import SourceError
from livesnn.events.denoise import DenoiseState, denoise_packets
from livesnn.events.event_rate import EventRate
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
from livesnn.files import closed_on_error
from livesnn.threads import BoundedQueue, Policy, Worker

Stage = Callable[[Iterable[Packet]], Iterator[Packet]]  # A generator function from packets to packets

See = Callable[[Packet], None]
"""Looks at a packet on its way, in the thread that reads the source. It must be quick."""

LIVE_BUFFER_BYTES = 64_000_000  # As much as comes in `MAX_AGE_S` at 50 million events a second.

MAX_AGE_S = 0.1
"""The drop policy: a live packet that waited longer, in a camera's driver or for the network, loses all its events. A
late decision is worse than a missing event."""

THINNED = ((0.6, 1), (0.7, 2), (0.8, 4), (0.9, 8), (1.0, 32))
"""Up to this share of the greatest age, one of so many events is kept."""


def packet_bytes(packet: Packet) -> int:
    """Return a packet's memory in bytes; more than 0, so that a queue of empty ones is bounded too."""
    return packet.events.nbytes + 256


def packet_queue(policy: Policy, max_bytes: int) -> BoundedQueue[Packet]:
    """Return a queue of packets that counts their events."""
    return BoundedQueue(
        policy=policy, max_bytes=max_bytes, size=packet_bytes, count=lambda packet: packet.events.size
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
    noise: DenoiseState | None = None,  # of the upright picture's size; None: noise stays
    denoise: Callable[[], bool] = lambda: True,  # whether the filter is on; called once a packet
    show: See | None = None,  # sees each packet that is left for the network
    # A thread of its own reads the source ahead into a bounded queue: "drop_oldest" for a live source, "block" for a
    # recording that is played in its own time. None: no thread; packets are read when they are needed.
    policy: Policy | None = "drop_oldest",
    max_bytes: int = LIVE_BUFFER_BYTES,
    max_age_s: float = MAX_AGE_S,  # with "drop_oldest": see `on_time`
    now_s: Callable[[], float] = time.perf_counter,  # the clock of `Packet.arrived_s`
    owns_source: bool = True,  # whether closing the pipeline closes the source
) -> Pipeline:
    """Return the packets of a source as the network gets them.

    Raises SourceError if ``seconds`` isn't above 0. The source is closed then, if it is owned.
    """
    with closed_on_error(source) if owns_source else nullcontext():
        check_seconds(seconds)
    before_queue, arrived, filtered = SourceCounters(), EventRate(now_s), EventRate(now_s)
    packets: Iterable[Packet] = checked_packets(source)
    if clock is not None:
        packets = paced(packets, clock)
    if seconds is not None or stop is not None:
        packets = take_seconds(packets, seconds, live=source.live, stop=stop, clock=now_s)
    if orientation != Orientation():
        packets = orient_packets(packets, source.resolution, orientation)
    if record is not None:
        packets = seen(packets, record)
    if gate is not None:
        packets = gate(packets)
    packets = seen(packets, arrived.add)
    if policy != "drop_oldest":
        max_age_s = math.inf
    packets = on_time(packets, max_age_s, before_queue, now_s)
    if noise is not None:
        packets = denoise_packets(packets, noise, enabled=denoise)
    packets = seen(packets, filtered.add)
    if show is not None:
        packets = seen(packets, show)
    queue = None if policy is None else packet_queue(policy, max_bytes)
    resolution = orientation.resolution(source.resolution)
    return Pipeline(
        packets, source, resolution, arrived, filtered, before_queue, noise, queue, max_age_s, now_s, owns_source
    )


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

    The later a packet is, the fewer of its events are kept, and none if it arrived longer ago than ``max_age_s``.
    Every k-th event is a fair sample of a slice. Whole packets left out one after the other would be gaps in it.
    """
    for packet in packets:
        late_s = clock() - packet.arrived_s if packet.arrived_s else 0.0
        yield _thinned(packet, late_s / max_age_s, counters)


def _thinned(packet: Packet, late: float, counters: SourceCounters) -> Packet:
    """Return a packet with the events that are kept at this share of the greatest age."""
    one_of = next((each for share, each in THINNED if late <= share), 0)
    if one_of == 1:
        return packet
    # A view would keep all of them in memory, where a queue counts only its own.
    kept = copied(packet.events[::one_of]) if one_of else NO_EVENTS
    counters.dropped += packet.events.size - kept.size
    now_us = packet.now_us if one_of else None
    return packet._replace(events=kept, now_us=now_us, one_of=packet.one_of * max(one_of, 1))


@dataclass(eq=False)
class Pipeline(Closing):
    """The packets of a source as the network gets them; `open_pipeline` makes it.

    One iteration, from one thread. An error of the source is raised after the packets before it, at this pull and
    every later one: timing must not decide what a damaged file gives. The thread, where there is one, starts with the
    iteration.
    """

    packets: Iterable[Packet]  # up to the queue
    source: EventSource
    resolution: Resolution
    arrived: EventRate  # through the gate, noise included
    filtered: EventRate  # left for the network
    before_queue: SourceCounters  # what was dropped there, because the source was late
    noise: DenoiseState | None
    queue: BoundedQueue[Packet] | None
    max_age_s: float
    now_s: Callable[[], float]
    owns_source: bool

    def __post_init__(self) -> None:
        self._behind_queue = SourceCounters()  # because the network was late
        self._worker = Worker("capture", self._capture, on_error=lambda error: self._end())

    @property
    def counters(self) -> SourceCounters:
        """Events that came and weren't lost, noise included; and those lost, in the source or on the way here."""
        counters = self.source.counters
        lost = self.before_queue.dropped + self._behind_queue.dropped
        lost += 0 if self.queue is None else self.queue.dropped
        events = self.arrived.total - lost - self.unread
        return replace(counters, events=events, dropped=counters.dropped + lost)

    @property
    def unread(self) -> int:
        """Events waiting for the network; after `close`, events that nobody will read."""
        return 0 if self.queue is None else self.queue.unread

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets until the source ends or `close` is called. Raises what the source raised."""
        if self.queue is None:
            yield from self.packets
            return
        self._worker.start()
        for packet in iter(self.queue.take, None):
            if self.now_s() - packet.arrived_s <= self.max_age_s:
                yield packet
            else:
                self._behind_queue.dropped += packet.events.size
                yield packet._replace(events=NO_EVENTS, now_us=None)
        if self._worker.error is not None and not self._worker.stop.is_set():
            raise self._worker.error

    def interrupt(self) -> None:
        """End the iteration soon, without waiting. Whoever iterates then closes the pipeline."""
        self._worker.stop.set()
        if self.queue is not None:
            self.queue.close()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop reading, and close the source if it is owned. Safe to call twice, and from any thread.

        Raises SourceError when the source doesn't stop in time; its thread is left behind.
        """
        self.interrupt()
        ended = self._worker.close(timeout_s / 2)  # first: a driver closed while it reads may crash
        if self.owns_source:
            self.source.close()
        if not ended and not self._worker.close(timeout_s / 2):
            raise SourceError(f"the source didn't stop within {timeout_s:g} s: unplug it and start again")

    def _capture(self, stop: threading.Event) -> None:
        assert self.queue is not None
        for packet in self.packets:
            now_s, oldest = self.now_s(), self.queue.oldest
            # By how long others wait, so that a burst stays whole if the network catches up with it
            waited = 0.0 if oldest is None else (now_s - oldest.arrived_s) / self.max_age_s
            kept = _thinned(packet, min(waited, 1.0), self.before_queue)
            self.queue.put(kept if kept.arrived_s > 0 else kept._replace(arrived_s=now_s))
            if stop.is_set():
                break
        self._end()

    def _end(self) -> None:
        if self.queue is not None:
            self.queue.end()
