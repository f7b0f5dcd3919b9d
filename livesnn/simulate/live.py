"""A simulated person as a live source, at their own pace. Not here: how they look and move (gestures.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from livesnn.events.packet import Closing, Packet, Resolution, SourceCounters
from livesnn.simulate.gestures import RESOLUTION, Segment, Use, gesture_stream
from livesnn.simulate.motions import GESTURES
from livesnn.simulate.scene import LAMP_SHARE

PACKET_US = 10_000


class SimulatedPerson(Closing):
    """A live `EventSource`: one person performing one gesture after another.

    Parameters
    ----------
    seed
        Of person, sensor and movements.
    use
        What the person is for.
    gestures
        Which they perform.
    duration_us
        When they stop; None: never.
    paced
        In real time: a reader that is late gets the packets one after another, none is left out. Otherwise as fast
        as they are made.
    lamp_share
        How probable it is that a lamp flickers.
    clock
        Monotonic seconds.

    Attributes
    ----------
    segments
        What has been performed when so far, and what is now.
    """

    live = True
    name = ""
    warnings = ()

    def __init__(
        self,
        seed: int,
        *,
        use: Use = "show",
        gestures: tuple[str, ...] = GESTURES,
        duration_us: int | None = None,
        paced: bool = True,
        lamp_share: float = LAMP_SHARE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.segments: list[Segment] = []
        self._events = 0
        self._stream = gesture_stream(seed, use=use, gestures=gestures, lamp_share=lamp_share)
        self._duration_us = duration_us
        self._paced = paced
        self._clock = clock
        self._closed = threading.Event()

    @property
    def resolution(self) -> Resolution:
        """Sensor size in pixels."""
        return RESOLUTION

    @property
    def counters(self) -> SourceCounters:
        """Events so far; none is ever lost."""
        return SourceCounters(events=self._events)

    def __iter__(self) -> Iterator[Packet]:
        """Yield a packet every 10 ms of their time, until `close`; once."""
        begun_s: float | None = None
        begun_us = 0
        for take in self._stream:
            if begun_s is None:  # not before: compiling takes seconds, and would be caught up with
                begun_s = self._clock()
            if self.segments[-1:] != [take.segment]:
                self.segments.append(take.segment)
            ends = np.arange(begun_us, take.end_us, PACKET_US) + PACKET_US
            packets = np.split(take.events, np.searchsorted(take.events["t"], ends[:-1]))
            for packet, end_us in zip(packets, ends, strict=True):
                left_s = begun_s + end_us * 1e-6 - self._clock() if self._paced else 0.0
                if self._closed.wait(max(left_s, 0.0)):
                    return
                self._events += packet.size
                yield Packet(packet, time.perf_counter(), min(int(end_us), take.end_us))
            begun_us = take.end_us
            if self._duration_us is not None and begun_us >= self._duration_us:
                return

    def close(self) -> None:
        """End the iteration, from any thread; safe to call twice."""
        self._closed.set()
