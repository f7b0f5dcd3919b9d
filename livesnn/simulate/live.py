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
        begun_us = 0
        for take in gesture_stream(self._seed, use="show", segment_s=(3.0, 4.5)):
            ends = np.arange(begun_us, take.end_us, PACKET_US) + PACKET_US
            packets = np.split(take.events, np.searchsorted(take.events["t"], ends[:-1]))
            for packet, end_us in zip(packets, ends, strict=True):
                if self._closed.wait(max(begun_s + end_us * 1e-6 - self._clock(), 0.0)):
                    return
                self.gesture = take.segment.gesture
                self.counters.events += packet.size
                self.now_us = min(int(end_us), take.end_us)
                yield packet
            begun_us = take.end_us

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
