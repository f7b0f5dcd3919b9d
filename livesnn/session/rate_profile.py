"""The event rate over a whole recording, for the timeline: `profile`, and a thread that makes one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.errors import LivesnnError
from livesnn.events.formats.reader import Parts
from livesnn.events.formats.registry import open_reader, parse_recording_path
from livesnn.events.packet import Closing
from livesnn.events.recording import Recording, choose_stream
from livesnn.progress import WORK_S, Progress, Stopped, resting
from livesnn.threads import Latest, Worker

BINS = 2048  # at most; more than a timeline has pixels

_MIN_BIN_US = 1000  # shorter bins hold so few events that they show chance
_CPU_SHARE = 0.25
_REFINEMENTS = 64
_LOOK_S = 0.25  # between two looks at what is indexed


@dataclass(frozen=True)
class RateProfile:
    """How many events are in each of the equal parts of a recording, as far as it has been read."""

    bin_us: int  # Length of a part, from 1. The first part begins with the recording's first event.
    counts: npt.NDArray[np.int64]  # int64 [N], for the parts that have been read; never changed


def profile(
    path: str | Path,
    *,
    stop: threading.Event | None = None,
    cpu_share: float = _CPU_SHARE,
    work_s: float = WORK_S,
) -> Iterator[RateProfile]:
    """Yield the rate profile of a file's event stream, of more and more of it and finally of all.

    A file whose parts are known is not read (`Reader.parts`). Any other file is read by a reader of its own, beside
    the playback, with at most ``cpu_share`` of a core. A file that can't be read has no profile, and a damaged one
    has the profile of what is left. No error is raised, because playing the file reports it.

    ``path`` may name a stream, otherwise the first one is taken. Once ``stop`` is set, nothing more is read.
    ``work_s``: seconds of computing between two rests.
    """
    stop = stop or threading.Event()
    rest = resting(stop, cpu_share, work_s)

    def go_on(share: float) -> None:
        rest(share)
        if stop.is_set():
            raise Stopped

    try:
        with closing(open_reader(Path(path), go_on)) as reader:
            stream = choose_stream(reader, parse_recording_path(Path(path)).stream)
            if stream is None:
                return
            parts = reader.parts(stream.name)
            if parts is None:
                yield from _read(Recording(Path(path), reader, stream, go_on), go_on)
            elif parts.items.size:
                yield _of_parts(parts)
    except (LivesnnError, Stopped):
        return


def profile_as_indexed(recording: Recording, stop: threading.Event) -> Iterator[RateProfile]:
    """Yield the profile of an open recording that knows its parts, while it is indexed; nothing for any other."""
    indexed = False
    while not (indexed or stop.wait(_LOOK_S)):
        indexed = recording.indexed
        parts = recording.parts()
        if parts is None:
            return
        if parts.items.size:
            yield _of_parts(parts)


class ProfileReader(Closing):
    """A thread that makes the profile of a recording; ``latest`` holds the newest one until `close`.

    ``played`` is the recording where it is open: what it knows needs no reading.
    """

    def __init__(self, path: str | Path, played: Recording | None = None) -> None:
        self.latest: Latest[RateProfile] = Latest()
        self._path, self._played = path, played
        self._worker = Worker("profile", self._work).start()

    def _work(self, stop: threading.Event) -> None:
        if self._played is not None and self._played.parts() is not None:
            found = profile_as_indexed(self._played, stop)
        else:
            found = profile(self._path, stop=stop)
        for known in found:
            self.latest.put(known)

    def close(self, timeout_s: float = 2.0) -> None:
        self._worker.close(timeout_s)


def _bin_us(duration_us: int) -> int:
    return max(duration_us // BINS + 1, _MIN_BIN_US)


def _of_parts(rows: Parts) -> RateProfile:
    """Return the profile of all parts; the events of each are spread evenly over its time."""
    start_us = int(rows.t_first.min())
    duration_us = int(rows.t_last.max()) - start_us
    bin_us = _bin_us(duration_us)
    order = np.argsort(rows.t_first, kind="stable")
    ends = np.stack([rows.t_first[order], rows.t_last[order]], axis=1).ravel() - start_us
    sums = np.cumsum(rows.items[order])
    before_and_after = np.stack([sums - rows.items[order], sums], axis=1).ravel()
    edges_us = np.arange(duration_us // bin_us + 2) * float(bin_us) - 0.5  # real: a sum can't wrap
    below = np.interp(edges_us, np.maximum.accumulate(ends), before_and_after, left=0.0)
    return RateProfile(bin_us, np.diff(np.rint(below).astype(np.int64)))


def _read(recording: Recording, go_on: Progress) -> Iterator[RateProfile]:
    """Count the events of a recording packet by packet."""
    start_us, bin_us = recording.t_start, _bin_us(recording.duration_us)
    counts = np.zeros(recording.duration_us // bin_us + 1, np.int64)
    known = shown = 0
    for packet in recording:
        t = packet.events["t"]
        # Of its first and last event; times that jump may lie outside.
        first_bin, last_bin = np.clip((t[[0, -1]] - start_us) // bin_us, 0, len(counts) - 1).tolist()
        parts = np.searchsorted(t, start_us + bin_us * np.arange(first_bin + 1, last_bin + 1))
        counts[first_bin : last_bin + 1] += np.diff(parts, prepend=0, append=t.size)
        known = max(known, last_bin)
        if known - shown > len(counts) / _REFINEMENTS:
            shown = known
            yield RateProfile(bin_us, counts[:known].copy())
        go_on(known / len(counts))
    yield RateProfile(bin_us, counts)
