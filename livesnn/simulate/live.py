"""A simulated person as a live source, at their own pace. Not here: how they look and move (gestures.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import Closing, Events, Resolution, SourceCounters
from livesnn.simulate.gestures import RESOLUTION, gesture_stream

PACKET_US = 10_000
PREFIX = "simulate:gestures"
_DEMO_SEED = 5  # somebody well lit


class SimulatedPerson(Closing):
    """One person performing one gesture after another for ever, in real time; an EventSource.

    A reader that is late gets the packets one after another, none is left out.

    Parameters
    ----------
    seed
        Of person, sensor and movements.
    clock
        Monotonic seconds.
    """

    def __init__(self, seed: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.resolution: Resolution = RESOLUTION
        self.counters = SourceCounters()
        self.now_us: int | None = None
        self.gesture = ""
        self._seed = seed
        self._clock = clock
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Events]:
        """Yield a packet every 10 ms, each when its time has come, until `close`."""
        begun_s = self._clock()
        for events, segment in gesture_stream(self._seed, use="show", segment_s=(3.0, 4.5)):
            first_us = self.now_us or 0
            times = np.arange(first_us, segment.end_us, PACKET_US)
            for packet, start_us in zip(
                np.split(events, np.searchsorted(events["t"], times[1:])), times, strict=True
            ):
                end_us = min(int(start_us) + PACKET_US, segment.end_us)
                if self._closed.wait(max(begun_s + end_us * 1e-6 - self._clock(), 0.0)):
                    return
                self.gesture = segment.gesture
                self.counters.events += packet.size
                self.now_us = end_us
                yield packet

    def close(self) -> None:
        """End the iteration, from any thread; safe to call twice."""
        self._closed.set()


def open_simulation(uri: str) -> SimulatedPerson:
    """Open "simulate:gestures" or "simulate:gestures:SEED".

    Raises
    ------
    SourceError
        It is something else.
    """
    seed = uri.removeprefix(PREFIX).removeprefix(":")
    if (
        not uri.startswith(PREFIX)
        or not (seed == "" or (seed.isascii() and seed.isdigit()))
        or uri == PREFIX + ":"
    ):
        raise SourceError(f"{uri}: give simulate:gestures, or simulate:gestures:SEED with a number from 0")
    return SimulatedPerson(int(seed) if seed else _DEMO_SEED)
