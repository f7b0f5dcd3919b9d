"""Pace: when a recording's own time is due by the clock. Not here: what is played then (replay.py)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from livesnn.errors import SourceError
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
