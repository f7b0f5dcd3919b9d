"""A source that ends after some seconds, or when told to. Not here: who tells it (signals.ending_sets)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import TIME_LIMIT_US, Events, EventSource, Relay, SourceCounters

if TYPE_CHECKING:  # OpenCV, for those who watch videos
    from livesnn.events.video_source import VideoSource


class Limited(Relay):
    """The first seconds of a source: by the clock of a live one, from its first packet on; otherwise of its own time.

    Parameters
    ----------
    source
        Owned from now on. A live one yields empty packets when there is nothing: only at a packet can it end.
    seconds
        Above 0; None: to its end.
    stop
        Ends it after the packet just yielded.
    clock
        Seconds.

    Raises
    ------
    SourceError
        When ``seconds`` aren't above 0; the source is closed then.
    """

    def __init__(
        self,
        source: EventSource,
        seconds: float | None,
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(source)
        if seconds is not None and not seconds > 0:
            source.close()
            raise SourceError(
                f"a source can't be read for {seconds:g} s: give more than 0, or none to go on until it ends"
            )
        self._seconds = math.inf if seconds is None or seconds > TIME_LIMIT_US / 1e6 else seconds
        self._stop = stop
        self._clock = clock
        self._cut = 0  # events of the last packet that lie behind the end

    @property
    def counters(self) -> SourceCounters:
        """Events let through and lost so far, without those behind the end."""
        counted = self._source.counters
        return replace(counted, events=counted.events - self._cut)

    @property
    def video(self) -> VideoSource | None:
        """The video's first seconds."""
        video = self._source.video
        return None if video is None else video.limited(self._seconds, self._stop)

    def __iter__(self) -> Iterator[Events]:
        """Yield the packets, the last one maybe cut."""
        end_s = end_us = math.inf
        timed = not self.live and self._seconds < math.inf
        for packet in self._source:
            if self.live and end_s == math.inf:  # what gets ready until then isn't counted
                end_s = self._clock() + self._seconds
            if timed and packet.size and end_us == math.inf:
                end_us = int(packet["t"][0]) + round(self._seconds * 1e6)
            if packet.size and int(packet["t"][-1]) >= end_us:
                kept = int(np.searchsorted(packet["t"], end_us))
                self._cut = packet.size - kept
                yield packet[:kept]
                return
            yield packet
            if self._stop.is_set() or (self.live and self._clock() >= end_s):
                return
