"""Packets on their way from one thread to another, in a bounded queue that counts what it drops.

Not here: the threads (threads.py).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Packet = npt.NDArray[np.void]
Policy = Literal["drop_oldest", "block"]

WAKE_S = 0.2  # a wait without end can't be interrupted by Ctrl-C on Windows
_PACKET_OVERHEAD_BYTES = 256  # so that a queue of empty packets is bounded too


@dataclass(frozen=True)
class Queued:
    """A packet and what was known when it came."""

    packet: Packet
    arrived_s: float
    now_us: int | None
    connection: int

    @property
    def cost(self) -> int:
        """Bytes it counts for against the bound."""
        return self.packet.nbytes + _PACKET_OVERHEAD_BYTES


class PacketQueue:
    """A queue for one thread that puts and one that takes: events put = taken + dropped + unread, exactly.

    Parameters
    ----------
    policy
        When it is full: "drop_oldest" makes room, "block" lets `put` wait for room.
    max_bytes
        One packet is always let in, however large.
    max_age_s
        A packet that waited longer is dropped instead of taken.
    clock
        Seconds; stamps arrivals.

    Attributes
    ----------
    taken, dropped
        Events so far.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        max_bytes: int,
        max_age_s: float = float("inf"),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.taken = self.dropped = 0
        self._blocks = policy == "block"
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._queue: deque[Queued] = deque()
        self._queued_bytes = 0
        self._changed = threading.Condition()
        self._ended = self._closed = False

    @property
    def unread(self) -> int:
        """Events waiting; after `close`, events nobody will take."""
        with self._changed:
            return sum(len(queued.packet) for queued in self._queue)

    def put(self, packet: Packet, now_us: int | None = None, connection: int = 0) -> None:
        """Leave a packet, after making room or waiting for it; once ended, it is neither kept nor counted."""
        queued = Queued(packet, self._clock(), now_us, connection)
        room = self._max_bytes - queued.cost
        with self._changed:
            while self._blocks and self._queue and self._queued_bytes > room and not self._closed:
                self._changed.wait(WAKE_S)
            if self._ended:
                return
            if not self._blocks:
                self._drop_while(lambda: self._queued_bytes > room)
            self._queue.append(queued)
            self._queued_bytes += queued.cost
            self._changed.notify_all()

    def take(self) -> Queued | None:
        """Wait for a packet; None when it has ended and is empty, or is closed."""
        with self._changed:
            while not self._closed:
                self._drop_while(lambda: self._clock() - self._queue[0].arrived_s > self._max_age_s)
                if self._queue:
                    taken = self._remove_oldest()
                    self.taken += len(taken.packet)
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
        """Let nothing more out, and nobody wait. Safe to call twice, from any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop_while(self, unwanted: Callable[[], bool]) -> None:
        while self._queue and unwanted():
            self.dropped += len(self._remove_oldest().packet)

    def _remove_oldest(self) -> Queued:
        self._changed.notify_all()
        self._queued_bytes -= self._queue[0].cost
        return self._queue.popleft()
