"""Playing a recording at a multiple of its own time: `PlaybackClock`, `paced`.

A live source is paused in session/playback.py.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Packet
from livesnn.threads import WAKE_S

_MAX_LAG_S = 0.25  # what is later than this goes on from where it is, instead of catching up


class PlaybackClock:
    """Real time at first, then any multiple of it, None for as fast as possible, or a pause.

    Every method may be called from any thread; only `play` sets `speed` and `paused`. ``clock``: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._changed = threading.Condition()
        self._clock = clock
        self.speed: float | None = 1.0
        self.paused = False
        self._anchor: tuple[float, int] | None = None  # clock and stream time that belong together

    def play(self, speed: float | None, *, paused: bool = False) -> None:
        """Go at this multiple of real time from now on, or pause; None or infinity: as fast as possible.

        Raises SourceError if it isn't above 0.
        """
        if speed is not None and not speed > 0:
            raise SourceError(f"a replay can't run at {speed} times real time: give a number above 0")
        with self._changed:
            self.speed, self.paused = None if speed == math.inf else speed, paused
            self.restart()

    def restart(self) -> None:
        """Treat what comes next as due now, and wake a waiting thread."""
        with self._changed:
            self._anchor = None
            self._changed.notify_all()

    def wait(self, t_us: int, first_us: int, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Wait until ``t_us`` is due; after a restart ``first_us`` is due at once.

        Returns False once ``go_on``, called when something may have changed, returns False.
        """
        with self._changed:
            while go_on():
                left_s = self._seconds_left(t_us, first_us)
                if left_s is not None and left_s <= 0:
                    return True
                self._changed.wait(None if left_s is None else min(left_s, WAKE_S))
            return False

    def _seconds_left(self, t_us: int, first_us: int) -> float | None:
        """Return how long to wait for a stream time, at the current speed; None while paused."""
        if self.paused:
            return None
        if self.speed is None:
            return 0.0
        now = self._clock()
        if self._anchor is None:
            self._anchor = (now, first_us)
        start, start_us = self._anchor
        left_s = start + (t_us - start_us) / 1e6 / self.speed - now
        if left_s < -_MAX_LAG_S or t_us < start_us:
            self._anchor = (now, t_us)
            return 0.0
        return left_s


PACED_PACKET_US = 10_000
"""Longest packet of a paced recording, in event time at 1× or faster: a picture every 10 ms."""

_MIN_PACKET_US = 500


def paced(packets: Iterable[Packet], clock: PlaybackClock) -> Iterator[Packet]:
    """Yield packets when their last event is due, cut so short that pictures come smoothly.

    None is ever dropped: a consumer that is late by more than 250 ms shifts the rest. While paused, the iteration
    waits. `Packet.arrived_s` is when the packet was due; it stays 0 where packets come as fast as they are asked for.
    """
    for packet in packets:
        events, first = packet.events, 0
        if not events.size:
            yield packet
        while first < events.size:
            last = _piece_end(events, first, clock.speed)
            clock.wait(int(events["t"][last - 1]), int(events["t"][first]))
            arrived_s = 0.0 if clock.speed is None else time.perf_counter()
            yield packet._replace(events=events[first:last], arrived_s=arrived_s)
            first = last


def _piece_end(events: Events, first: int, speed: float | None) -> int:
    if speed is None:
        return events.size
    longest_us = max(int(PACED_PACKET_US * min(speed, 1.0)), _MIN_PACKET_US)
    times = events["t"][first:]
    if times[-1] < times[0] + longest_us:  # numpy would copy them all to search in them
        return events.size
    return first + int(np.searchsorted(times, times[0] + longest_us))
