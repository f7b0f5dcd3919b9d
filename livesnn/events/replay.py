"""A recording at a chosen multiple of its own time. Not here: reading it (recording.py)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.events import Events, Relay
from livesnn.events.pace import Pace
from livesnn.events.recording import Recording

PACED_PACKET_US = 10_000
"""Longest packet of a paced replay, in event time at 1× or faster: a picture every 10 ms."""

_MIN_PACKET_US = 500


class Replay(Relay):
    """A recording paced by its own time, as an EventSource. Every method may be called from any thread.

    A packet comes when its last event is due, and none is ever dropped: a consumer that is late by more than
    250 ms shifts the rest. While paused an iteration waits, and `close` ends it at once.

    Parameters
    ----------
    recording
        Owned by the replay from now on.
    speed
        Multiple of real time; None or infinity: as fast as the packets are asked for.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        speed: float | None = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(recording)
        self.recording = recording
        self.pace = Pace(speed, clock)
        self._closed = False
        self._target_us: int | None = None  # sought, but not yet by the iteration

    @property
    def arrived_s(self) -> float:
        """Now, when it is due; 0 where packets come as fast as they are asked for."""
        return 0.0 if self.pace.speed is None else time.perf_counter()

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` (clipped to the recording), paused or not."""
        with self.pace.changed:
            self._target_us = min(max(t_us, self.recording.t_start), self.recording.t_end)
            self.pace.restart()

    def close(self) -> None:
        """End the iteration, wherever it waits; the file is released by then. Safe to call twice."""
        with self.pace.changed:
            self._closed = True
            self.pace.restart()
        self.recording.close()

    def __iter__(self) -> Iterator[Events]:
        """Yield packets, each when it is due, from the place last sought, otherwise from the start."""
        self.pace.restart()
        again = True
        while again:
            yield from self._once()
            with self.pace.changed:
                again = not self._closed and self._target_us is not None
                self.pace.restart()

    def _once(self) -> Iterator[Events]:
        """Play from the place last sought, or from the start, to the end."""
        packets = iter(self.recording)
        while (packet := self._next(packets)) is not None:
            first = 0
            while first < packet.size:
                last = self._cut(packet, first)
                if not self.pace.wait(int(packet["t"][last - 1]), int(packet["t"][first]), self._goes_on):
                    break
                yield packet[first:last]
                first = last

    def _goes_on(self) -> bool:
        return not self._closed and self._target_us is None

    def _next(self, packets: Iterator[Events]) -> Events | None:
        """Return the recording's next packet, from the place last sought; None at the end."""
        with self.pace.changed:
            target_us, self._target_us = self._target_us, None
            if self._closed:
                return None
        if target_us is not None:
            self.recording.seek(target_us)
        return next(packets, None)

    def _cut(self, packet: Events, first: int) -> int:
        """Return where the piece ends that starts at ``first``: short enough for a smooth view."""
        speed = self.pace.speed
        if speed is None:
            return packet.size
        longest_us = max(int(PACED_PACKET_US * min(speed, 1.0)), _MIN_PACKET_US)
        times = packet["t"][first:]
        return first + int(np.searchsorted(times, times[0] + longest_us))
