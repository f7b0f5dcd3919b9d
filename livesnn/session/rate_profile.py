"""The event rate over a whole recording, for a time line: from the file's table, else read beside the playback.

Not here: painting it (widgets/timeline_strip.py), rates of what is playing (statistics.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.errors import LivesnnError
from livesnn.events.formats.aedat4_layout import PacketTable
from livesnn.events.formats.aedat4_reader import Aedat4Reader
from livesnn.events.formats.registry import open_reader, parse_recording_path
from livesnn.events.packet import Closing, Events
from livesnn.events.recording import Recording, choose_stream
from livesnn.progress import Progress
from livesnn.threads import Latest, Worker

BINS = 2048
"""More than a time line has pixels."""

_MIN_BIN_US = 1000  # shorter bins hold so few events that they show chance
_CPU_SHARE = 0.25
_REFINEMENTS = 64
_WORK_S = 0.01  # of computing between two rests


class _Stopped(Exception):  # noqa: N818 (nothing is wrong)
    """Nobody wants the profile any more."""


@dataclass(frozen=True)
class RateProfile:
    """Events in equal parts of a recording, as far as it has been read.

    Attributes
    ----------
    bin_us
        Length of a part, from 1. The first begins with the recording's first event.
    counts
        int64 [N]; after them comes what hasn't been read yet. Nobody changes them.
    """

    bin_us: int
    counts: npt.NDArray[np.int64]


def profile(
    path: str | Path,
    *,
    bins: int = BINS,
    stop: threading.Event | None = None,
    cpu_share: float = _CPU_SHARE,
) -> Iterator[RateProfile]:
    """Yield the rate of a file's event stream, the first or the one asked for: of more and more, then all of it.

    Opens a reader of its own. A file that can't be read has no profile, a damaged one that of what is left:
    whoever plays the file says what is wrong with it.

    Parameters
    ----------
    bins
        Most parts, from 1.
    stop
        Once it is set, nothing more is read.
    cpu_share
        0..1: most of a core's time that reading takes; a file with a table isn't read.
    """
    go_on = _pace(stop or threading.Event(), cpu_share)
    try:
        with closing(open_reader(Path(path), go_on)) as reader:
            stream = choose_stream(reader, parse_recording_path(Path(path)).stream)
            if stream is None:
                return
            rows = reader.filled(stream.name) if isinstance(reader, Aedat4Reader) else None
            if rows is None:
                yield from _read(Recording(Path(path), reader, stream, go_on), bins, go_on)
            elif rows.items.size:
                yield _from_table(rows, bins)
    except (LivesnnError, _Stopped):
        return


def _pace(stop: threading.Event, cpu_share: float) -> Progress:
    """Return what is called again and again while a file is opened and read: it rests, and ends it once stopped."""
    rested_at_s = time.thread_time()

    def go_on(_: float) -> None:
        nonlocal rested_at_s
        busy_s = time.thread_time() - rested_at_s
        if busy_s >= _WORK_S and cpu_share < 1:
            stop.wait(busy_s * (1 / cpu_share - 1))
            rested_at_s = time.thread_time()
        if stop.is_set():
            raise _Stopped

    return go_on


class ProfileReader(Closing):
    """A thread that profiles one recording; ``latest`` holds the newest RateProfile until `close`."""

    def __init__(self, path: str | Path) -> None:
        self.latest: Latest[RateProfile] = Latest()
        self._path = path
        self._worker = Worker("profile", self._work).start()

    def _work(self, stop: threading.Event) -> None:
        for known in profile(self._path, stop=stop):
            self.latest.put(known)

    def close(self, timeout_s: float = 2.0) -> None:
        """End the thread, waiting at most so long for it; safe to call twice."""
        self._worker.close(timeout_s)


def _bin_us(duration_us: int, bins: int) -> int:
    return max(duration_us // bins + 1, _MIN_BIN_US)


def _from_table(rows: PacketTable, bins: int) -> RateProfile:
    """Return the whole profile, with each packet's events spread evenly over its time."""
    start_us = int(rows.t_first.min())
    duration_us = int(rows.t_last.max()) - start_us
    bin_us = _bin_us(duration_us, bins)
    order = np.argsort(rows.t_first, kind="stable")
    ends = np.stack([rows.t_first[order], rows.t_last[order]], axis=1).ravel() - start_us
    sums = np.cumsum(rows.items[order])
    before_and_after = np.stack([sums - rows.items[order], sums], axis=1).ravel()
    edges_us = np.arange(duration_us // bin_us + 2) * float(bin_us) - 0.5  # real: a sum can't wrap
    below = np.interp(edges_us, np.maximum.accumulate(ends), before_and_after, left=0.0)
    return RateProfile(bin_us, np.diff(np.rint(below).astype(np.int64)))


def _read(recording: Recording, bins: int, go_on: Progress) -> Iterator[RateProfile]:
    """Count a recording's events packet by packet."""
    start_us, bin_us = recording.t_start, _bin_us(recording.duration_us, bins)
    counts = np.zeros(recording.duration_us // bin_us + 1, np.int64)
    known = shown = 0
    for packet in recording:
        known = max(known, _count(packet.events, start_us, bin_us, counts))
        if known - shown > len(counts) / _REFINEMENTS:
            shown = known
            yield RateProfile(bin_us, counts[:known].copy())
        go_on(known / len(counts))
    yield RateProfile(bin_us, counts)


def _count(packet: Events, start_us: int, bin_us: int, counts: npt.NDArray[np.int64]) -> int:
    """Add a packet, in order of time and not empty, to ``counts``; return the first bin after those it fills."""
    t = packet["t"]
    last = len(counts) - 1
    first_bin = min(max((int(t[0]) - start_us) // bin_us, 0), last)  # times that jump may lie outside
    last_bin = min(max((int(t[-1]) - start_us) // bin_us, 0), last)
    edges = start_us + bin_us * np.arange(first_bin + 1, last_bin + 1)
    parts = np.searchsorted(t, edges)
    counts[first_bin : last_bin + 1] += np.diff(parts, prepend=0, append=packet.size)
    return last_bin
