"""A recording of any format as a source of events: open it, seek in it.

Not here: replay at a chosen speed (replay.py), what is in a file (describe.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from livesnn.errors import SourceError
from livesnn.events import Events, EventSource, Resolution, SourceCounters
from livesnn.events.describe import extent
from livesnn.events.formats import EventStream, OtherContent, Reader, asked, open_reader
from livesnn.events.formats.tidy import notes_on
from livesnn.progress import Progress, untold

MAX_PACKET_EVENTS = 1 << 16


def open_recording(path: str | Path, *, stream: str | None = None, progress: Progress = untold) -> Recording:
    """Open a recording; its first event stream, unless ``stream`` names another, or the camera of one.

    So does the path: ``FILE?stream=NAME``.

    Parameters
    ----------
    progress
        Told how much has been read where all of it must be read first: for the times, the sensor's size, or both. The
        recording isn't open, and its file closed, after what this raises.

    Raises
    ------
    SourceError
        When the file can't be opened, or holds no such event stream.
    FormatError
        When its format isn't known, or it is damaged beyond use.
    """
    path = Path(path)
    reader = open_reader(path, progress)
    stream = asked(path).stream if stream is None else stream
    chosen = choose_stream(reader, stream)
    if chosen is None:
        try:
            raise SourceError(f"{path}: {_what_is_missing(reader, stream)}")
        finally:
            reader.close()
    try:
        return Recording(path, reader, chosen, progress)
    except BaseException:
        reader.close()
        raise


def choose_stream(reader: Reader, name: str | None) -> EventStream | None:
    """Return the first stream, or the one called so, or the only one of the camera called so."""
    named = [stream for stream in reader.streams if name in (None, stream.name)]
    if not named and len(of_camera := _of_camera(reader, name)) == 1:
        return of_camera[0]
    return named[0] if named else None


def _of_camera(reader: Reader, name: str | None) -> list[EventStream]:
    return [stream for stream in reader.streams if name and name == stream.camera]


def _what_is_missing(reader: Reader, stream: str | None) -> str:
    if of_camera := _of_camera(reader, stream):
        several = " and ".join(known.name for known in of_camera)
        return f"the camera {stream} has the event streams {several}: name one of these"
    names = [known.name for known in reader.streams]
    if names:
        return f"no event stream called {stream!r}; it has {', '.join(names)}: choose one of these"
    other = reader.other_content()
    return f"it has no event stream (frames {other.frames:,}, IMU {other.imu:,}): choose another recording"


class Recording(EventSource):
    """One event stream of a file, as an EventSource and context manager; `open_recording` makes it.

    An iteration yields packets of at most MAX_PACKET_EVENTS events, as fast as they are asked for, and ends.
    `seek` and `close` may be called from any thread; the rest from one at a time. Times are µs. One that
    is ``empty`` has no event, and all its times are 0.
    """

    live = False

    def __init__(self, path: Path, reader: Reader, stream: EventStream, progress: Progress = untold) -> None:
        self.path = path
        self.stream = stream.name
        self.camera = stream.camera
        self._reader = reader
        self._counters = SourceCounters()
        self._sought_us: int | None = None
        self._closed = False
        self._reading = threading.Lock()
        self._assumed: list[str] = []
        self._put_right: list[str] = []
        self.resolution = stream.resolution or self._extent(progress)
        times = reader.time_range(stream.name)
        self.empty = times is None
        self.t_start, self.t_end = times or (0, 0)

    def _extent(self, progress: Progress) -> Resolution:
        found = extent(self._reader, self.stream, progress)
        self._assumed.append(
            f"the file doesn't give the sensor's size: {found.width}×{found.height} holds all events, assumed"
        )
        return found

    @property
    def counters(self) -> SourceCounters:
        """Events let through, and put right, since the recording was opened."""
        return replace(self._counters)

    @property
    def format(self) -> str:
        """Short name of the file's format."""
        return self._reader.format

    @property
    def duration_us(self) -> int:
        """Time from the first event to the last."""
        return self.t_end - self.t_start

    @property
    def labels_start(self) -> int:
        """Time that labels count from: of the first event of the file's first stream, whichever stream this is."""
        first = self._reader.streams[0].name
        return self.t_start if first == self.stream else (self._reader.time_range(first) or (0, 0))[0]

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed, as far as read; what was put right, once read from start to end."""
        return [*self._reader.warnings, *self._assumed, *self._put_right]

    @property
    def other_streams(self) -> list[str]:
        """Names of the file's event streams that this isn't."""
        return [known.name for known in self._reader.streams if known.name != self.stream]

    def other_content(self) -> OtherContent:
        """Count what isn't events; reads all of it. Raises SourceError once closed."""
        with self._reading:
            if self._closed:
                raise SourceError(f"{self.path}: the recording is closed: open it again")
            return self._reader.other_content()

    def streams_left_out(self) -> list[str]:
        """Return what is to be said of the file's other event streams, one line each."""
        return [
            f"left out, since one event stream is taken: {name}: for it, give {asked(self.path).file}?stream={name}"
            for name in self.other_streams
        ]

    def seek(self, t_us: int) -> None:
        """Go on, or begin, with the first event at or after ``t_us`` (clipped to the recording)."""
        self._sought_us = min(max(t_us, self.t_start), self.t_end)

    def __iter__(self) -> Iterator[Events]:
        """Yield packets from the place last sought, otherwise from the start, to the end."""
        more, whole, before = not self._closed, False, self.counters
        while more:
            start, self._sought_us = self._sought_us, None
            whole, before = start is None or start <= self.t_start, self.counters
            packets = self._packets(start)
            while (packet := self._next(packets)) is not None:
                self._counters.events += packet.size
                yield packet
                if self._interrupted():
                    break
            more = self._interrupted() and not self._closed
        if whole and not self._closed:
            self._put_right = notes_on(self.stream, self._counters, before)

    def _next(self, packets: Iterator[Events]) -> Events | None:
        with self._reading:
            return None if self._closed else next(packets, None)

    def _interrupted(self) -> bool:
        return self._closed or self._sought_us is not None

    def _packets(self, start_us: int | None) -> Iterator[Events]:
        if start_us is not None and start_us <= self.t_start:
            start_us = None  # all of it, wherever time jumps back to
        for packet in self._reader.packets(self.stream, start_us, self._counters):
            if packet.size <= MAX_PACKET_EVENTS:
                yield packet
                continue
            for first in range(0, packet.size, MAX_PACKET_EVENTS):
                yield packet[first : first + MAX_PACKET_EVENTS]

    def close(self) -> None:
        """Release the file; an iteration ends. Safe to call twice."""
        with self._reading:  # not under a read in another thread
            self._closed = True
            self._reader.close()
