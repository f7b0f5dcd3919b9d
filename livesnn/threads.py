"""All the concurrency there is: Latest (mailbox), Buffered (bounded input), Worker (a thread).

Not here: Qt, and the queue of packets (packet_queue.py).

Every thread is named, has a stop event and a bounded join; every queue has a bound and a stated drop policy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import Field, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from livesnn.errors import SourceError
from livesnn.packet_queue import Packet, PacketQueue, Policy, Queued

T = TypeVar("T")


class Latest(Generic[T]):
    """A one-slot mailbox: a newer value replaces one not yet taken, and the loss is counted.

    Errors travel through it as values: `Latest[Result | BaseException]`. None can't be a value.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Values that nobody took before a newer one came."""
        return self._replaced

    def put(self, value: T) -> None:
        """Leave the value; never waits."""
        with self._lock:
            self._replaced += self._value is not None
            self._value = value

    def take(self) -> T | None:
        """Return the newest value, once; None when there is none since the last call. Never waits."""
        with self._lock:
            value, self._value = self._value, None
            return value


class Worker:
    """A thread that runs ``target(stop)`` once and ends when ``target`` returns, soon after ``stop`` is set.

    Parameters
    ----------
    name
        The thread is called "livesnn-<name>".
    target
        Gets the stop event; must look at it.
    on_error
        Called in the thread with what ``target`` raised, e.g. a Latest's `put`; `error` keeps it as well.
    """

    def __init__(
        self,
        name: str,
        target: Callable[[threading.Event], None],
        *,
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self._target = target
        self._on_error = on_error
        # A daemon: a driver that never comes back must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"livesnn-{name}", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the thread has begun and not ended."""
        return self._thread.is_alive()

    def start(self) -> Worker:
        """Begin, unless it was begun or closed before."""
        if self._thread.ident is None and not self.stop.is_set():
            self._thread.start()
        return self

    def close(self, timeout_s: float = 2.0) -> bool:
        """Set `stop`, wait for the end at most so long; return whether it has ended. Safe to call twice."""
        self.stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self.running

    def _run(self) -> None:
        try:
            self._target(self.stop)
        except BaseException as error:  # drivers in Rust raise PanicException, which is no Exception
            self.error = error
            self._on_error(error)


class Counters(Protocol):
    """A dataclass of counts, events.SourceCounters."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    events: int
    dropped: int


R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
C = TypeVar("C", bound=Counters)
C_co = TypeVar("C_co", bound=Counters, covariant=True)


class PacketSource(Protocol[R_co, C_co]):
    """The shape of events.EventSource, which lies above this module."""

    @property
    def resolution(self) -> R_co:
        """Sensor size."""

    @property
    def counters(self) -> C_co:
        """Events let through and lost so far."""

    def __iter__(self) -> Iterator[Packet]: ...

    def close(self) -> None:
        """Release the file or device."""


class Buffered(Generic[R, C]):
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
    clock
        Seconds; stamps arrivals.
    """

    def __init__(
        self,
        source: PacketSource[R, C],
        *,
        policy: Policy,
        max_bytes: int = 16_000_000,
        max_age_s: float = 0.1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._source = source
        self._queue = PacketQueue(
            policy=policy,
            max_bytes=max_bytes,
            max_age_s=float("inf") if policy == "block" else max_age_s,
            clock=clock,
        )
        self._last: Queued | None = None
        self._worker = Worker("capture", self._capture, on_error=lambda error: self._queue.end())

    @property
    def resolution(self) -> R:
        """The source's."""
        return self._source.resolution

    @property
    def counters(self) -> C:
        """The source's, with `events` those yielded here, and `dropped` both the source's and ours."""
        counters, queue = self._source.counters, self._queue
        return replace(counters, events=queue.taken, dropped=counters.dropped + queue.dropped)

    @property
    def unread(self) -> int:
        """Events waiting in the queue; after `close`, events nobody will read."""
        return self._queue.unread

    @property
    def arrived_s(self) -> float:
        """When the packet just yielded came from the source, by ``clock``; 0 before the first."""
        return 0.0 if self._last is None else self._last.arrived_s

    @property
    def now_us(self) -> int | None:
        """The source's `now_us` (events.frames) after the packet just yielded; None if it has none."""
        return None if self._last is None else self._last.now_us

    @property
    def connection(self) -> int:
        """The source's `connection` (events.frames) at the packet just yielded; 0 if it has none."""
        return 0 if self._last is None else self._last.connection

    def __iter__(self) -> Generator[Packet, None, None]:
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
            self._queue.put(packet, getattr(source, "now_us", None), getattr(source, "connection", 0))
            if stop.is_set():
                break
        self._queue.end()
