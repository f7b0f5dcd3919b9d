"""Recording a source to .aedat4: record, and what is being written, Capture.

Not here: a source that plays meanwhile (tape.py), the file (recorder.py), progress on a screen (cli.py).
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from livesnn.errors import SourceError
from livesnn.events import DISORDER_US, Closing, Events, EventSource, Resolution
from livesnn.events.recorder import Aedat4Writer
from livesnn.events.recording import Recording
from livesnn.threads import Buffered

BUFFER_BYTES = 256_000_000
"""20 million events, a second of the fastest camera."""

_PROGRESS_S = 0.25


@dataclass(frozen=True)
class Recorded:
    """What has been written so far: ``dropped`` were lost before, ``seconds`` is from its first event to its last."""

    path: Path
    events: int
    dropped: int
    seconds: float


def record(
    source: EventSource,
    out: Path,
    *,
    seconds: float | None = None,
    stop: threading.Event | None = None,
    on_progress: Callable[[Recorded], None] = lambda so_far: None,
    buffer_bytes: int = BUFFER_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> Recorded:
    """Write a source to a new .aedat4 file until it ends, or is told to stop; the file is then complete.

    A live source is recorded at its own pace: what the disk can't take in time is dropped and counted. A
    recording is copied as fast as possible, and nothing of it is dropped. Called in the main thread, the
    first Ctrl-C (SIGINT) only stops; a second one is as usual.

    Parameters
    ----------
    source
        Read in a thread of its own, and closed.
    out
        A new file, of suffix .aedat4.
    seconds
        Of a live source, by the clock; of a recording, of its time.
    stop
        Ends the recording from another thread, at the next packet.
    on_progress
        Called a few times a second, in this thread.
    buffer_bytes
        What may wait for the disk, as packets in memory.
    clock
        Seconds.

    Raises
    ------
    SourceError
        When the file exists or can't be written, or the source fails; what was written until then is kept.
    """
    recording = isinstance(source, Recording)
    buffered = Buffered(
        source, policy="block" if recording else "drop_oldest", max_bytes=buffer_bytes, max_age_s=math.inf
    )
    stop = threading.Event() if stop is None else stop
    try:
        _check_seconds(seconds)
        with _interrupt_stops(stop), Capture(out, source.resolution, camera_of(source)) as capture:
            packets, told_s = _cut(buffered, seconds, None if recording else clock), clock()
            for packet in packets:
                capture.write(packet, None if recording else buffered.arrived_s)
                if clock() - told_s >= _PROGRESS_S:
                    told_s = clock()
                    on_progress(capture.so_far(buffered.counters.dropped))
                if stop.is_set():
                    break
    finally:
        buffered.close()
    return capture.so_far(buffered.counters.dropped)


def camera_of(source: EventSource) -> str:
    """Return what the file says it was recorded with."""
    return getattr(source, "camera", "") or "livesnn"


class Capture(Closing):
    """A new .aedat4 file, what of a source has been written to it, and a live source's times, going on.

    A camera that comes back, or a stream that begins anew, may count from another zero than before: where time
    jumps back, all times from there on are moved, so that they go on after the last event as the clock did.

    Raises
    ------
    SourceError
        When the name doesn't end in .aedat4, and what `Aedat4Writer` raises, here and in every method.
    """

    def __init__(self, path: Path, resolution: Resolution, camera: str) -> None:
        if path.suffix != ".aedat4":
            raise SourceError(f"{path}: recordings are .aedat4 files: choose a name that ends in .aedat4")
        self._writer = Aedat4Writer(path, resolution, camera)
        self._events = 0
        self._moved_us = 0
        self._first_us: int | None = None
        self._last_us = 0
        self._last_arrived_s = 0.0

    def write(self, packet: Events, arrived_s: float | None) -> None:
        """Add a packet, EVENTS_DTYPE [N] in order of time, that arrived then (monotonic s); None: keep its times."""
        if not packet.size:
            return
        first_us = int(packet["t"][0])
        if self._first_us is None:
            self._first_us = self._last_us = first_us
        elif arrived_s is not None and first_us + self._moved_us < self._last_us - DISORDER_US:
            gap_us = round((arrived_s - self._last_arrived_s) * 1e6)
            self._moved_us = self._last_us + gap_us - first_us
        if self._moved_us:
            packet = packet.copy()
            packet["t"] += self._moved_us
        self._writer.write(packet)
        self._events += packet.size
        self._last_us = max(self._last_us, int(packet["t"][-1]))
        self._last_arrived_s = arrived_s or 0.0

    def so_far(self, dropped: int) -> Recorded:
        """Return what has been written, given what was lost."""
        first_us = self._last_us if self._first_us is None else self._first_us
        return Recorded(self._writer.path, self._events, dropped, (self._last_us - first_us) / 1e6)

    def close(self) -> None:
        """Finish the file; safe to call twice."""
        self._writer.close()


def _check_seconds(seconds: float | None) -> None:
    if seconds is not None and not seconds > 0:
        raise SourceError(
            f"{seconds:g} s can't be recorded: give more than 0, or none to go on until stopped"
        )


def _cut(
    packets: Iterable[Events], seconds: float | None, clock: Callable[[], float] | None
) -> Iterator[Events]:
    """Yield the first seconds: of the packets' own time without a clock, otherwise whatever comes meanwhile."""
    if seconds is None:
        yield from packets
    elif clock is None:
        yield from _cut_time(packets, round(seconds * 1e6))
    else:
        end_s = clock() + seconds
        for packet in packets:  # a live source yields empty ones when there is nothing
            yield packet
            if clock() >= end_s:
                return


def _cut_time(packets: Iterable[Events], duration_us: int) -> Iterator[Events]:
    end_us: int | None = None
    for packet in packets:
        if end_us is None and packet.size:
            end_us = int(packet["t"][0]) + duration_us
        if end_us is not None and packet.size and packet["t"][-1] >= end_us:
            yield packet[: np.searchsorted(packet["t"], end_us)]
            return
        yield packet


@contextlib.contextmanager
def _interrupt_stops(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT set ``stop``: raised within a write, it would leave half a packet."""
    if threading.current_thread() is not threading.main_thread():  # no other can handle signals
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, usual)
        stop.set()

    usual = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
