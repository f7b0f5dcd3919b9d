"""Threads, and what they share: a worker, a mailbox (`Latest`), a bounded queue, pools.

Every thread is named, has a stop event and a bounded join (a pool's threads end with the process). Which packets are
dropped when the network is late is decided in events/pipeline.py.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Policy = Literal["drop_oldest", "block"]

WAKE_S = 0.2  # a wait without end can't be interrupted by Ctrl-C on Windows


def usable_processors() -> int:
    """Return how many logical processors this process may run on, 1 or more."""
    known = hasattr(os, "sched_getaffinity")  # nowhere but on Linux
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


@cache
def pool(name: str, threads: int) -> ThreadPoolExecutor:
    """Return so many threads, the same ones for each who asks, for work of milliseconds that its caller waits for."""
    return ThreadPoolExecutor(threads, f"pool-{name}")


class Latest(Generic[T]):
    """A one-slot mailbox: a newer value replaces one not yet taken.

    Errors travel through it as values: `Latest[Result | BaseException]`. None can't be a value.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None

    def put(self, value: T) -> None:
        """Leave the value; never waits."""
        with self._lock:
            self._value = value

    def take(self) -> T | None:
        """Return the newest value, once; None when there is none since the last call. Never waits."""
        with self._lock:
            value, self._value = self._value, None
            return value


class Worker:
    """A thread, "livesnn-NAME", that runs ``target(stop)`` once, which must end soon after the event ``stop`` is set.

    ``on_error`` is called in the thread with what ``target`` raised, e.g. a Latest's `put`; `error` keeps it as well.
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
        return self.wait(timeout_s)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end at most so long; return whether it has ended or was never begun."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self.running

    def _run(self) -> None:
        try:
            self._target(self.stop)
        except BaseException as error:  # drivers in Rust raise PanicException, which is no Exception
            self.error = error
            self._on_error(error)


def in_background(name: str, work: Callable[[], T]) -> Future[T]:
    """Do work in a thread of its own, "livesnn-NAME", however long it takes; the future gets what comes of it."""
    future: Future[T] = Future()

    def run(stop: threading.Event) -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # as a `Worker`'s
            future.set_exception(error)

    Worker(name, run).start()
    return future


class BoundedQueue(Generic[T]):
    """A queue for one thread that puts and one that takes: what was put = taken + dropped + unread, exactly.

    Parameters
    ----------
    policy
        When it is full: "drop_oldest" makes room, "block" lets `put` wait for room.
    max_bytes
        One item is always let in, however large.
    size
        Returns an item's size in bytes.
    count
        Returns how much an item adds to `taken`, `dropped` and `unread`, such as its events.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        max_bytes: int,
        size: Callable[[T], int],
        count: Callable[[T], int] = lambda item: 1,
    ) -> None:
        self.taken = self.dropped = 0
        self._blocks = policy == "block"
        self._max_bytes = max_bytes
        self._size, self._count = size, count
        self._queue: deque[T] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._ended = self._closed = False

    @property
    def unread(self) -> int:
        """What waits; after `close`, what nobody will take."""
        with self._changed:
            return sum(map(self._count, self._queue))

    @property
    def oldest(self) -> T | None:
        """What was put first of what waits and counts; None: nothing."""
        with self._changed:
            return next((item for item in self._queue if self._count(item)), None)

    @property
    def ended(self) -> bool:
        """Whether nothing waits, and nothing will come."""
        with self._changed:
            return self._ended and not self._queue

    def put(self, item: T) -> None:
        """Leave an item, after making room or waiting for it. Once ended, it is neither kept nor counted."""
        size = self._size(item)
        room = self._max_bytes - size
        with self._changed:
            while self._queue and self._queued_bytes > room and not self._ended:
                if not self._blocks:
                    self.dropped += self._count(self._remove_oldest())
                elif self._closed:
                    break
                else:
                    self._changed.wait(WAKE_S)
            if self._ended:
                return
            self._queue.append(item)
            self._queued_bytes += size
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most so long until `take` returns at once; return whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._queue) or self._ended or self._closed, timeout_s)

    def has_room(self, item: T) -> bool:
        """Return whether an item fits without dropping another."""
        with self._changed:
            return not self._queue or self._queued_bytes + self._size(item) <= self._max_bytes

    def take(self) -> T | None:
        """Wait for an item; None when the queue has ended and is empty, or is closed."""
        with self._changed:
            while not self._closed:
                if self._queue:
                    taken = self._remove_oldest()
                    self.taken += self._count(taken)
                    return taken
                if self._ended:
                    break
                self._changed.wait(WAKE_S)
        return None

    def end(self) -> None:
        """Let nothing more in; what is there can still be taken. Safe to call twice, from any thread."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Let nothing more out, and end every wait. Safe to call twice, from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _remove_oldest(self) -> T:
        self._changed.notify_all()
        self._queued_bytes -= self._size(self._queue[0])
        return self._queue.popleft()
