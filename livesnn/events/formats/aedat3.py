"""AEDAT 3.1 (.aedat) of cAER and jAER 3, the format of DVS-Gesture: packets of events, most of them of the DVS.

The file's coordinates are upright already: x to the right, y down. Not here: where packets lie (aedat3_index.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.aedat3_index import (
    MAX_SIZE,
    POLARITY,
    STRETCH_EVENTS,
    Camera,
    Flaw,
    Stretch,
    Track,
    read_header,
    read_packet,
    read_words,
    walk,
)
from livesnn.events.formats.tidy import Tidier
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, Events, Resolution, SourceCounters
from livesnn.progress import Progress, untold

_WIDEST = Resolution(MAX_SIZE, MAX_SIZE)
_INVALID, _OUTSIDE = range(2)


@njit(nogil=True, cache=True)
def _decode(
    words: npt.NDArray[np.int64],
    first: int,
    epoch_us: int,
    width: int,
    height: int,
    events: Events,
    n: int,
    newest_us: int,
    counts: npt.NDArray[np.int64],
) -> tuple[int, int, int, bool]:
    """Decode words [N, 2] from ``first`` on into ``events[n:]``, until it is full or time jumps back.

    Return (word to go on with, number of events, the newest's time, whether they are in order). ``newest_us`` counts
    only where ``n`` isn't 0. ``counts`` [2] is added to: events marked as invalid, events outside the sensor.
    """
    ordered = True
    for i in range(first, words.shape[0]):
        what = int(words[i, 0])
        x, y = what >> 17, what >> 2 & 0x7FFF
        if what & 1 == 0 or x >= width or y >= height:
            counts[_INVALID if what & 1 == 0 else _OUTSIDE] += 1
            continue
        t = epoch_us + int(words[i, 1])
        if n == events.shape[0] or (n and t < newest_us - DISORDER_US):
            return i, n, newest_us, ordered
        ordered = ordered and (n == 0 or t >= newest_us)
        newest_us = t if n == 0 or t > newest_us else newest_us
        events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, what & 2 != 0
        n += 1
    return words.shape[0], n, newest_us, ordered


class Aedat3Reader:
    """An open AEDAT 3.1 file; see `Reader`. Its packets' headers are read once when it is opened.

    Raises
    ------
    FormatError
        When the header has no end, its packets are packed, the first one is damaged, or most of the first events are
        outside of the sensor that the header names.
    """

    format = "aedat3"
    orientation = "x to the right, y down"

    def __init__(self, path: Path, progress: Progress = untold) -> None:
        self._file = WindowedFile(path, progress)
        try:
            header = read_header(self._file)
            index = walk(self._file, header.start)
            self._content = index.content
            self._tracks = {
                source: track for source, track in sorted(index.tracks.items()) if track.stretches
            } or {min(header.cameras, default=0): Track()}
            cameras, self._warnings = _assign(header.cameras, self._tracks)
            self._sources = _name_streams(cameras)
            self.streams = tuple(
                EventStream(name, *cameras[source]) for name, source in self._sources.items()
            )
            self.camera, self.resolution = self.streams[0].camera, self.streams[0].resolution
            self._invalid: dict[tuple[int, int], int] = {}
            self._warnings += [index.loss] if index.loss else []
            for stream in self.streams:
                self._judge(stream)
        except BaseException:
            self._file.close()
            raise

    def _judge(self, stream: EventStream) -> None:
        """Raise FormatError when a stream's first events don't fit the header's camera; note jumps of its time."""
        source = self._sources[stream.name]
        track = self._tracks[source]
        counts = np.zeros(2, np.int64)
        for stretch in track.stretches[:1]:
            first, _ = next(self._decode_stretch(source, stretch, stream.resolution, counts), (None, True))
            inside, outside = 0 if first is None else first.size, int(counts[_OUTSIDE])
            if outside > inside:
                raise FormatError(
                    f"{self._file.path}: {outside:,} of the first {inside + outside:,} events are outside of a "
                    f"{stream.camera}'s sensor: the file is damaged, or from another camera"
                )
        if track.jumps:
            where = f"{stream.name}: " if len(self.streams) > 1 else ""
            self._warnings.append(
                f"{where}time jumps back {track.jumps:,} times, as when the camera's clock is set to zero"
            )

    def _decode_stretch(
        self, source: int, stretch: Stretch, size: Resolution | None, counts: npt.NDArray[np.int64]
    ) -> Iterator[tuple[Events, bool]]:
        """Yield (at most STRETCH_EVENTS events as in the file, whether in order), cut where time jumps back."""
        width, height = size or _WIDEST
        most = min(stretch.events, STRETCH_EVENTS)
        events, n, newest_us, ordered = np.empty(most, EVENTS_DTYPE), 0, 0, True
        for words, epoch_us in self._words(source, stretch):
            first = 0
            while first < len(words):
                first, n, newest_us, so_far = _decode(
                    words, first, epoch_us, width, height, events, n, newest_us, counts
                )
                ordered = ordered and so_far
                if first < len(words):
                    yield events[:n], ordered
                    left = events[n:]
                    events, n, ordered = left if left.size else np.empty(most, EVENTS_DTYPE), 0, True
        if n:
            yield events[:n], ordered

    def _words(self, source: int, stretch: Stretch) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
        position = stretch.start
        while position < stretch.end:
            packet = read_packet(self._file, position)
            if isinstance(packet, Flaw):  # the file was changed since it was opened
                return
            if packet.kind == POLARITY and packet.source == source:
                for words in read_words(self._file, packet):
                    yield words, packet.overflow << 31
            position = packet.end

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed; invalid events as far as they have been read."""
        invalid = sum(self._invalid.values())
        left_out = f"{invalid:,} events that the recording software marked as invalid are left out"
        return [*self._warnings, *([left_out] if invalid else [])]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most STRETCH_EVENTS events; see `Reader.packets`."""
        source = self._sources[stream]
        size = self._resolution(stream)
        tidier = Tidier(size, start_us, counters)
        for stretch in self._tracks[source].stretches[self._first_stretch(source, start_us) :]:
            counts = np.zeros(2, np.int64)
            if stretch.reset:
                tidier.restart()
            for packet, ordered in self._decode_stretch(source, stretch, size, counts):
                if (taken := tidier.take(packet, ordered=ordered)).size:
                    yield taken
            counters.out_of_bounds += int(counts[_OUTSIDE])
            self._invalid[source, stretch.start] = int(counts[_INVALID])

    def _resolution(self, stream: str) -> Resolution:
        return next(known.resolution for known in self.streams if known.name == stream) or _WIDEST

    def _first_stretch(self, source: int, start_us: int | None) -> int:
        """Return the first stretch that may hold an event at or after ``start_us``."""
        if start_us is None:
            return 0
        stretches = self._tracks[source].stretches
        earliest = start_us - DISORDER_US  # the last event of a packet needn't be its latest
        holds = (number for number, stretch in enumerate(stretches) if stretch.t_max >= earliest)
        return next(holds, len(stretches))

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time, by decoding the stretches they are in; None without an event."""
        source, size = self._sources[stream], self._resolution(stream)
        stretches = self._tracks[source].stretches
        by_start = sorted(stretches, key=lambda stretch: stretch.t_min)
        by_end = sorted(stretches, key=lambda stretch: -stretch.t_max)
        first = next((times for s in by_start if (times := self._times(source, s, size))), None)
        last = next((times for s in by_end if (times := self._times(source, s, size))), None)
        return None if first is None or last is None else (first[0], last[1])

    def _times(self, source: int, stretch: Stretch, size: Resolution) -> tuple[int, int] | None:
        """Return the least and the greatest time in a stretch; None when all its events are left out."""
        decoded = self._decode_stretch(source, stretch, size, np.zeros(2, np.int64))
        ends = [(int(packet["t"].min()), int(packet["t"].max())) for packet, _ in decoded]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None

    def other_content(self) -> OtherContent:
        """Count frames, inertial samples and triggers of all sources."""
        return self._content

    def close(self) -> None:
        """Release the file; packets stay valid."""
        self._file.close()


def _assign(named: dict[int, Camera], tracks: dict[int, Track]) -> tuple[dict[int, Camera], list[str]]:
    """Return the camera of each source that has events, and what was assumed for it.

    Programs that number sources differently in header and packets are known: one camera named, one source found.
    """
    unnamed = [source for source in tracks if source not in named]
    if len(named) == len(tracks) == len(unnamed) == 1:
        ((number, camera),) = named.items()
        assumed = (
            f"events are of source {unnamed[0]}, the header names source {number}: {camera.name} assumed"
        )
        return {unnamed[0]: camera}, [assumed]
    return {source: named.get(source, Camera("", None)) for source in tracks}, []


def _name_streams(cameras: dict[int, Camera]) -> dict[str, int]:
    """Name streams so that no two are called alike: by camera, or by number where two have the same."""
    if len(cameras) == 1:
        return {"events": next(iter(cameras))}
    names = [camera.name for camera in cameras.values()]
    distinct = len({*names, ""}) > len(names)
    return {f"{camera.name if distinct else source}/events": source for source, camera in cameras.items()}
