"""A recording at a chosen multiple of its own time. Not here: reading it (recording.py)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Events, Relay
from livesnn.events.recording import Recording

PACED_PACKET_US = 10_000
"""Longest packet of a paced replay, in event time at 1× or faster: a picture every 10 ms."""

_MIN_PACKET_US = 500
_MAX_WAIT_S = 60.0  # damaged times may be millennia away, more than a wait can take
_MAX_LAG_S = 0.25  # a replay that is later than this goes on from where it is, instead of catching up


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
        self._clock = clock
        self._changed = threading.Condition()
        self._speed = _checked_speed(speed)
        self._paused = False
        self._closed = False
        self._target_us: int | None = None  # sought, but not yet by the iteration
        self._anchor: tuple[float, int] | None = None  # clock and event time that belong together

    @property
    def speed(self) -> float | None:
        """Multiple of real time; None: as fast as possible."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._paused

    def set_speed(self, speed: float | None) -> None:
        """Play at another multiple of real time from now on; None or infinity: as fast as possible."""
        speed = _checked_speed(speed)
        with self._changed:
            self._speed = speed
            self._restart_clock()

    def pause(self) -> None:
        """Let no more packets come until `resume`."""
        with self._changed:
            self._paused = True
            self._restart_clock()

    def resume(self) -> None:
        """Go on from where it was paused."""
        with self._changed:
            self._paused = False
            self._restart_clock()

    def seek(self, t_us: int) -> None:
        """Go on at ``t_us`` (clipped to the recording), paused or not."""
        with self._changed:
            self._target_us = min(max(t_us, self.recording.t_start), self.recording.t_end)
            self._restart_clock()

    def close(self) -> None:
        """End the iteration, wherever it waits; the file is released by then. Safe to call twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.recording.close()

    def __iter__(self) -> Iterator[Events]:
        """Yield packets, each when it is due, from the place last sought, otherwise from the start."""
        with self._changed:
            self._anchor = None
        again = True
        while again:
            yield from self._once()
            with self._changed:
                again = not self._closed and self._target_us is not None
                self._anchor = None

    def _once(self) -> Iterator[Events]:
        """Play from the place last sought, or from the start, to the end."""
        packets = iter(self.recording)
        while (packet := self._next(packets)) is not None:
            first = 0
            while first < packet.size:
                last = self._cut(packet, first)
                if not self._wait_until_due(int(packet["t"][last - 1]), int(packet["t"][first])):
                    break
                yield packet[first:last]
                first = last

    def _next(self, packets: Iterator[Events]) -> Events | None:
        """Return the recording's next packet, from the place last sought; None at the end."""
        with self._changed:
            target_us, self._target_us = self._target_us, None
            if self._closed:
                return None
        if target_us is not None:
            self.recording.seek(target_us)
        return next(packets, None)

    def _cut(self, packet: Events, first: int) -> int:
        """Return where the piece ends that starts at ``first``: short enough for a smooth view."""
        speed = self._speed
        if speed is None:
            return packet.size
        longest_us = max(int(PACED_PACKET_US * min(speed, 1.0)), _MIN_PACKET_US)
        times = packet["t"][first:]
        return first + int(np.searchsorted(times, times[0] + longest_us))

    def _wait_until_due(self, t_us: int, first_us: int) -> bool:
        """Wait until the event time ``t_us`` has come; False when the packet isn't wanted any more."""
        with self._changed:
            while not self._closed and self._target_us is None:
                wait_s = self._seconds_left(t_us, first_us)
                if wait_s is not None and wait_s <= 0:
                    return True
                self._changed.wait(None if wait_s is None else min(wait_s, _MAX_WAIT_S))
            return False

    def _seconds_left(self, t_us: int, first_us: int) -> float | None:
        """Return how long to wait for an event time, at the current speed; None while paused."""
        if self._paused:
            return None
        if self._speed is None:
            return 0.0
        now = self._clock()
        if self._anchor is None:
            self._anchor = (now, first_us)
        start, start_us = self._anchor
        left_s = start + (t_us - start_us) / 1e6 / self._speed - now
        if left_s < -_MAX_LAG_S or t_us < start_us:
            self._anchor = (now, t_us)
            return 0.0
        return left_s

    def _restart_clock(self) -> None:
        self._anchor = None
        self._changed.notify_all()


def _checked_speed(speed: float | None) -> float | None:
    if speed is None or speed == math.inf:
        return None
    if not speed > 0:
        raise SourceError(f"a replay can't run at {speed} times real time: give a number above 0")
    return speed
