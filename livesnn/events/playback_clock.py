"""Pace: when a recording's own time is due by the clock. Not here: what is played then (replay.py)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Relay
from livesnn.events.recording import Recording
from livesnn.threads import WAKE_S

_MAX_LAG_S = 0.25  # what is later than this goes on from where it is, instead of catching up


class Pace:
    """A multiple of real time, or a pause. Every method may be called from any thread.

    Parameters
    ----------
    speed
        None or infinity: as fast as possible.
    clock
        Monotonic seconds.

    Attributes
    ----------
    changed
        Held while something changes; whoever waits looks again after `restart`.
    """

    def __init__(self, speed: float | None = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed = threading.Condition()
        self._clock = clock
        self._speed = _checked(speed)
        self._paused = False
        self._anchor: tuple[float, int] | None = None  # clock and stream time that belong together

    @property
    def speed(self) -> float | None:
        """Multiple of real time; None: as fast as possible."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._paused

    def set_speed(self, speed: float | None) -> None:
        """Go at another multiple of real time from now on; None or infinity: as fast as possible."""
        speed = _checked(speed)
        with self.changed:
            self._speed = speed
            self.restart()

    def pause(self) -> None:
        """Let nothing be due until `resume`."""
        with self.changed:
            self._paused = True
            self.restart()

    def resume(self) -> None:
        """Go on from where it was paused."""
        with self.changed:
            self._paused = False
            self.restart()

    def restart(self) -> None:
        """Take what comes next for due now, and make whoever waits look again."""
        with self.changed:
            self._anchor = None
            self.changed.notify_all()

    def wait(self, t_us: int, first_us: int, wanted: Callable[[], bool]) -> bool:
        """Wait until ``t_us`` is due; after a restart ``first_us`` is due at once. False: it isn't wanted any more.

        ``wanted`` is asked with `changed` held, whenever something may have changed.
        """
        with self.changed:
            while wanted():
                left_s = self._seconds_left(t_us, first_us)
                if left_s is not None and left_s <= 0:
                    return True
                self.changed.wait(None if left_s is None else min(left_s, WAKE_S))
            return False

    def _seconds_left(self, t_us: int, first_us: int) -> float | None:
        """Return how long to wait for a stream time, at the current speed; None while paused."""
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


def _checked(speed: float | None) -> float | None:
    if speed is None or speed == math.inf:
        return None
    if not speed > 0:
        raise SourceError(f"a replay can't run at {speed} times real time: give a number above 0")
    return speed


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
