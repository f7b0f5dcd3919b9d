"""Buffered: a source read ahead by a thread of its own. Not here: the queue and the thread (threads.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from dataclasses import replace

from livesnn.errors import SourceError
from livesnn.events.packet import Events, EventSource, Relay, SourceCounters
from livesnn.threads import PacketQueue, Policy, Queued, Worker


class Buffered(Relay):
    """An event source read ahead by its own thread into a bounded queue; itself an event source.

    Events put = yielded + dropped + unread, exactly, and in order. An error of the source is raised after the
    packets before it, at this pull and every later one: timing must not decide what a damaged file gives.
    One consumer at a time; the thread starts with the first iteration.

    Parameters
    ----------
    source
        Iterated in the thread; closed by `close`.
    policy
        "drop_oldest" for what can't wait: cameras, streams. "block" for recordings: the source waits, nothing
        is dropped, ``max_age_s`` doesn't apply.
    max_bytes
        Of the queue; one packet is always let in, however large.
    max_age_s
        A packet that waited longer is dropped instead of yielded.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        policy: Policy,
        max_bytes: int = 16_000_000,
        max_age_s: float = 0.1,
    ) -> None:
        super().__init__(source)
        self._queue = PacketQueue(
            policy=policy,
            max_bytes=max_bytes,
            max_age_s=float("inf") if policy == "block" else max_age_s,
        )
        self._last: Queued | None = None
        self._worker = Worker("capture", self._capture, on_error=lambda error: self._queue.end())

    @property
    def counters(self) -> SourceCounters:
        """The source's, with `events` those yielded here, and `dropped` both the source's and ours."""
        counters, queue = self._source.counters, self._queue
        return replace(counters, events=queue.taken, dropped=counters.dropped + queue.dropped)

    @property
    def unread(self) -> int:
        """Events waiting in the queue; after `close`, events nobody will read."""
        return self._queue.unread

    @property
    def arrived_s(self) -> float:
        """When the packet just yielded came from the source, by `time.perf_counter`; 0 before the first."""
        return 0.0 if self._last is None else self._last.arrived_s

    @property
    def now_us(self) -> int | None:
        """The source's after the packet just yielded; None before the first."""
        return None if self._last is None else self._last.now_us

    @property
    def connection(self) -> int:
        """The source's at the packet just yielded; 0 before the first."""
        return 0 if self._last is None else self._last.connection

    def __iter__(self) -> Generator[Events, None, None]:
        """Yield packets until the source ends or `close` is called. Raises what the source raised."""
        self._worker.start()
        while (queued := self._queue.take()) is not None:
            self._last = queued
            yield queued.packet
        if self._worker.error is not None and not self._worker.stop.is_set():
            raise self._worker.error

    def interrupt(self) -> None:
        """End the iteration soon, without waiting; whoever iterates then closes it."""
        self._worker.stop.set()
        self._queue.close()

    def close(self, timeout_s: float = 2.0) -> None:
        """Stop reading and close the source; safe to call twice, and from any thread.

        Raises SourceError when the source doesn't let go in time; its thread is left behind.
        """
        self.interrupt()
        ended = self._worker.close(timeout_s / 2)  # first: a driver closed while it reads may crash
        self._source.close()
        if not ended and not self._worker.close(timeout_s / 2):
            raise SourceError(f"the source didn't stop within {timeout_s:g} s: unplug it and start again")

    def _capture(self, stop: threading.Event) -> None:
        """Run in the thread: read the source to its end."""
        source = self._source
        for packet in source:
            arrived_s = source.arrived_s or time.perf_counter()
            self._queue.put_queued(Queued(packet, arrived_s, source.now_us, source.connection))
            if stop.is_set():
                break
        self._queue.end()
