"""Tap: a source as its buffer reads it: what is heard of it, without noise, upright, and seen on its way.

Not here: what is heard, and whether noise is filtered (playback.py); who sees it (session.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from livesnn.events.denoise import Denoised, DenoiseState
from livesnn.events.filters import Orientation, orient
from livesnn.events.packet import Events, EventSource, Relay, Resolution


class Seen(NamedTuple):
    """A packet on its way: its events, upright and without noise, and how many came for it; µs that have passed.

    ``arrived_s``: when it came from the source, by `time.perf_counter`.
    """

    events: Events
    came: int
    now_us: int | None
    arrived_s: float


See = Callable[[Seen], None]


class Tapped(Protocol):
    """Who says what is heard of a source, and how it is shown: an open one, see `playback.Playback`."""

    resolution: Resolution
    orientation: Orientation
    breaks: list[str]
    denoise: bool
    noise: DenoiseState

    @property
    def live(self) -> bool:
        """Whether it is anything but a recording."""

    def heard(self, packets: EventSource) -> Iterator[Events]:
        """Yield those packets that somebody wants."""


class _Heard(Relay):
    """What is heard of the source."""

    def __init__(self, source: EventSource, playback: Tapped) -> None:
        super().__init__(source)
        self._playback = playback
        self._arrived_s = 0.0

    @property
    def connection(self) -> int:
        return len(self._playback.breaks)

    @property
    def arrived_s(self) -> float:
        return self._arrived_s

    def __iter__(self) -> Iterator[Events]:
        for packet in self._playback.heard(self._source):
            self._arrived_s = time.perf_counter()  # before it is filtered, turned and painted
            yield packet


class Tap(Relay):
    """The source as its buffer reads it: what is heard of it, without noise, upright, and seen on its way."""

    def __init__(self, source: EventSource, playback: Tapped, see: See) -> None:
        heard = _Heard(source, playback)
        self._denoised = Denoised(heard, state=playback.noise, wanted=lambda: playback.denoise)
        super().__init__(self._denoised)
        self._playback = playback
        self._see = see

    @property
    def resolution(self) -> Resolution:
        """Upright."""
        return self._playback.resolution

    def __iter__(self) -> Iterator[Events]:
        for packet in self._denoised:
            upright = orient(packet, self._source.resolution, self._playback.orientation)
            self._see(Seen(upright, self._denoised.came, self.now_us, self.arrived_s))
            yield upright

    def close(self) -> None:
        """Release a live source, which may end its reading; a recording is still needed."""
        if self._playback.live:
            self._source.close()
