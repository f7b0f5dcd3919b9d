"""A recording of any format: open it, read it from any place on, and describe what is in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from livesnn.errors import DataError, LivesnnError, SourceError
from livesnn.events.formats.reader import EventStream, OtherContent, Parts, Reader
from livesnn.events.formats.registry import open_reader, parse_recording_path
from livesnn.events.labels import Label, read_labels
from livesnn.events.packet import Closing, Events, Packet, Resolution, SourceCounters, order_warnings
from livesnn.files import closed_on_error
from livesnn.progress import Progress, no_progress, resting, share_of_time
from livesnn.threads import Worker

MAX_PACKET_EVENTS = 1 << 16
INDEXING_SHARE = 0.5  # Of a core, while a recording is played: 20 million HD events a second need the rest.
NOTHING = "no events were found in it: if it should have some, it is damaged or incomplete"
"""The warning about a recording without events."""


def open_recording(
    path: str | Path, *, stream: str | None = None, progress: Progress = no_progress, at_once: bool = False
) -> Recording:
    """Open a recording: its first event stream, or the one that ``stream`` or ``FILE?stream=NAME`` names.

    ``stream`` may also name the camera of one. Raises SourceError when the file can't be opened, or holds no such
    event stream, and FormatError when its format isn't known, or it is damaged beyond use.

    ``progress`` reports how much has been read, where all of it must be read first; what it raises ends the opening.
    ``at_once`` doesn't wait until a file without an index has been read: until then, `Recording.t_end` is that of the
    part read so far.
    """
    path = Path(path)
    reader = open_reader(path, progress, at_once=at_once)
    stream = parse_recording_path(path).stream if stream is None else stream
    with closed_on_error(reader):
        return Recording(path, reader, _require_stream(path, reader, stream), progress)


def _require_stream(path: Path, reader: Reader, name: str | None) -> EventStream:
    chosen = choose_stream(reader, name)
    if chosen is None:
        raise SourceError(f"{path}: {_what_is_missing(reader, name)}")
    return chosen


def choose_stream(reader: Reader, name: str | None) -> EventStream | None:
    """Return the first stream, or the one called so, or the only one of the camera called so."""
    named = [stream for stream in reader.streams if name in (None, stream.name)]
    of_camera = [stream for stream in reader.streams if name and name == stream.camera]
    return named[0] if named else of_camera[0] if len(of_camera) == 1 else None


def _what_is_missing(reader: Reader, stream: str | None) -> str:
    if several := " and ".join(known.name for known in reader.streams if stream and known.camera == stream):
        return f"the camera {stream} has the event streams {several}: name one of these"
    if names := [known.name for known in reader.streams]:
        return f"no event stream called {stream!r}; it has {', '.join(names)}: choose one of these"
    other = reader.other_content()
    return f"it has no event stream (frames {other.frames:,}, IMU {other.imu:,}): choose another recording"


class Recording(Closing):
    """One event stream of a file, an `EventSource` and context manager; `open_recording` makes it.

    An iteration yields packets of at most MAX_PACKET_EVENTS events, as fast as they are read, and ends.
    `seek` and `close` may be called from any thread; the rest from one at a time. Times are µs. One that
    is ``empty`` has no event, and all its times are 0.
    """

    live = False

    def __init__(self, path: Path, reader: Reader, stream: EventStream, progress: Progress = no_progress) -> None:
        self.path = path
        self.stream = stream.name
        self.name = stream.camera
        self.format = reader.format
        self._reader = reader
        self._counters = SourceCounters()
        self._sought_us: int | None = None
        self._closed = False
        self._reading = threading.Lock()
        self._assumed: list[str] = []
        self._repairs: list[str] = []
        if stream.resolution is None:
            reader.index(progress)  # all of it is read in any case
        self.resolution = stream.resolution or extent(reader, stream.name, progress)
        if stream.resolution is None:
            self._assumed.append(
                f"the file doesn't give the sensor's size: {self.resolution.words} assumed, which holds all events"
            )
        times = reader.time_range(stream.name)
        self.empty = times is None
        self.t_start, self.t_end = times or (0, 0)
        self._assumed += [NOTHING] * self.empty
        self._indexing = None if reader.indexed else Worker("index", self._index).start()

    def _index(self, stop: threading.Event) -> None:
        rest = resting(stop, INDEXING_SHARE)

        def note(share: float) -> None:
            rest(share)
            if stop.is_set():
                raise SourceError(f"{self.path}: closed")
            _, self.t_end = self._reader.time_range(self.stream) or (0, self.t_end)

        try:
            self._reader.index(note)
            _, self.t_end = self._reader.time_range(self.stream) or (0, self.t_end)
        except LivesnnError as error:
            if not stop.is_set():
                self._assumed.append(str(error))

    def __repr__(self) -> str:
        return f"Recording({str(self.path)!r}, {self.resolution.words}, {self.duration_us / 1e6:.3f} s)"

    @property
    def counters(self) -> SourceCounters:
        return replace(self._counters)

    @property
    def duration_us(self) -> int:
        return self.t_end - self.t_start

    @property
    def labels_start(self) -> int:
        """Time that labels count from: of the first event of the file's first stream, whichever stream this is."""
        first = self._reader.streams[0].name
        return self.t_start if first == self.stream else (self._reader.time_range(first) or (0, 0))[0]

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed, as far as read; repairs, once read from start to end."""
        return [*self._reader.warnings, *self._assumed, *self._repairs]

    @property
    def other_streams(self) -> list[str]:
        return [known.name for known in self._reader.streams if known.name != self.stream]

    @property
    def indexed(self) -> bool:
        """Whether the times of the whole recording are known."""
        return self._reader.indexed

    def parts(self) -> Parts | None:
        """Return how many events it has when, as far as it is indexed; None where it must be read for that."""
        return self._reader.parts(self.stream)

    def other_content(self) -> OtherContent:
        """Count what isn't events; reads all of it. Raises SourceError once closed."""
        with self._reading:
            if self._closed:
                raise SourceError(f"{self.path}: the recording is closed: open it again")
            return self._reader.other_content()

    def streams_left_out(self) -> list[str]:
        file = parse_recording_path(self.path).file
        return [
            f"the event stream {name} is left out: to read it, give {file}?stream={name}"
            for name in self.other_streams
        ]

    def seek(self, t_us: int) -> None:
        """Go on, or begin, with the first event at or after ``t_us`` (clipped to the recording)."""
        self._sought_us = min(max(t_us, self.t_start), self.t_end)

    def __iter__(self) -> Iterator[Packet]:
        """Yield packets from the place last sought, otherwise from the start, to the end.

        Raises SourceError once closed.
        """
        if self._closed:
            raise SourceError(f"{self.path}: the recording is closed: open it again")
        more, whole, before = True, False, self.counters
        while more:
            start, self._sought_us = self._sought_us, None
            whole, before = start is None or start <= self.t_start, self.counters
            pieces = self._pieces(start)
            while (events := self._next(pieces)) is not None:
                self._counters.events += events.size
                yield Packet(events)
                if self._interrupted():
                    break
            more = self._interrupted() and not self._closed
        if whole and not self._closed:
            self._repairs = order_warnings(self.stream, self._counters, before)

    def _next(self, pieces: Iterator[Events]) -> Events | None:
        with self._reading:
            return None if self._closed else next(pieces, None)

    def _interrupted(self) -> bool:
        return self._closed or self._sought_us is not None

    def _pieces(self, start_us: int | None) -> Iterator[Events]:
        if start_us is not None and start_us <= self.t_start:
            start_us = None  # all of it, wherever time jumps back to
        for events in self._reader.packets(self.stream, start_us, self._counters):
            for first in range(0, events.size, MAX_PACKET_EVENTS):
                yield events[first : first + MAX_PACKET_EVENTS]

    def close(self) -> None:
        if self._indexing is not None:
            self._indexing.close()
        with self._reading:  # not under a read in another thread
            self._closed = True
            self._reader.close()


@dataclass(frozen=True)
class StreamSummary:
    """One event stream. Times in µs; times and extents are None where there is no event.

    Of the ``n`` events, ``out_of_order`` were put in order of time; ``out_of_bounds`` others lie outside the sensor.
    """

    n: int
    on: int
    sumx: int
    sumy: int
    t0: int | None
    t1: int | None
    xmin: int | None
    xmax: int | None
    ymin: int | None
    ymax: int | None
    out_of_order: int
    out_of_bounds: int
    type: Literal["events"] = "events"


@dataclass(frozen=True)
class RecordingInfo:
    """What is in a recording: the fields of ``livesnn info --json``.

    ``resolution`` is [width, height], or None where the file doesn't say; ``duration_us`` is from the first
    event of any stream to the last; sums are in the file's own orientation, which ``orientation`` describes;
    ``labels`` are those beside the file.
    """

    format: str
    camera: str
    resolution: tuple[int, int] | None
    duration_us: int
    streams: dict[str, StreamSummary]
    orientation: str
    frames: int
    imu: int
    triggers: int
    labels: tuple[Label, ...]
    warnings: list[str]


def describe(path: str | Path, progress: Progress = no_progress) -> RecordingInfo:
    """Read a whole recording and return what is in it; of ``FILE?stream=NAME``, that stream.

    Raises as `open_recording` does, and as ``progress``.
    """
    path = Path(path)
    named = parse_recording_path(path).stream
    with contextlib.closing(open_reader(path, progress)) as reader:
        notes: list[str] = []
        chosen = reader.streams if named is None else [_require_stream(path, reader, named)]
        streams = {stream.name: _summarise(reader, stream, notes, progress) for stream in chosen}
        other = reader.other_content()
        if not any((*other, *(stream.n for stream in streams.values()))):
            notes.append(NOTHING)
        starts = [summary.t0 for summary in streams.values() if summary.t0 is not None]
        ends = [summary.t1 for summary in streams.values() if summary.t1 is not None]
        return RecordingInfo(
            format=reader.format,
            camera=reader.camera,
            resolution=reader.resolution,
            duration_us=max(ends) - min(starts) if ends else 0,
            streams=streams,
            orientation=reader.orientation,
            frames=other.frames,
            imu=other.imu,
            triggers=other.triggers,
            labels=_labels(path, notes),
            warnings=[*reader.warnings, *notes],
        )


def _labels(recording: Path, notes: list[str]) -> tuple[Label, ...]:
    try:
        return read_labels(recording)
    except DataError as error:
        notes.append(str(error))
        return ()


def _summarise(reader: Reader, stream: EventStream, notes: list[str], progress: Progress) -> StreamSummary:
    counters = SourceCounters()
    n = on = 0
    sums = np.zeros(2, np.int64)
    low = np.full(3, np.iinfo(np.int64).max)
    high = np.full(3, np.iinfo(np.int64).min)
    for packet in _packets(reader, stream.name, counters, progress):
        n += packet.size
        on += int(np.count_nonzero(packet["p"]))
        sums += (packet["x"].sum(dtype=np.int64), packet["y"].sum(dtype=np.int64))
        low = np.minimum(low, [packet[axis].min() for axis in ("t", "x", "y")])
        high = np.maximum(high, [packet[axis].max() for axis in ("t", "x", "y")])
    notes.extend(order_warnings(stream.name, counters, SourceCounters()))
    for axis, mirrored in enumerate(stream.mirrored):
        if n and mirrored and stream.resolution is not None:  # back to the file's own orientation
            last = stream.resolution[axis] - 1
            sums[axis] = last * n - sums[axis]
            low[axis + 1], high[axis + 1] = last - high[axis + 1], last - low[axis + 1]
    (t0, xmin, ymin), (t1, xmax, ymax) = ((int(v) if n else None for v in ends) for ends in (low, high))
    return StreamSummary(
        n=n, on=on, sumx=int(sums[0]), sumy=int(sums[1]),
        t0=t0, t1=t1, xmin=xmin, xmax=xmax, ymin=ymin, ymax=ymax,
        out_of_order=counters.out_of_order, out_of_bounds=counters.out_of_bounds,
    )  # fmt: skip


def _packets(reader: Reader, stream: str, counters: SourceCounters, progress: Progress) -> Iterator[Events]:
    """Yield a stream's packets, and tell how much of its time has passed."""
    start_us, end_us = reader.time_range(stream) or (0, 0)
    for packet in reader.packets(stream, None, counters):
        progress(share_of_time(int(packet["t"][-1]), start_us, end_us))
        yield packet


def extent(reader: Reader, stream: str, progress: Progress = no_progress) -> Resolution:
    """Return the smallest sensor that holds a stream's events; reads all of it."""
    width = height = 1
    for packet in _packets(reader, stream, SourceCounters(), progress):
        width = max(width, int(packet["x"].max()) + 1)
        height = max(height, int(packet["y"].max()) + 1)
    return Resolution(width, height)
