"""AEDAT 3.1 (.aedat) of cAER and jAER 3, the format of DVS-Gesture: a text header, then packets of events.

The file's coordinates are already upright: x to the right, y down. When a file is opened, a walk over the packets'
headers notes where the events lie. Source: iniVation's AEDAT 3.1 specification, and cAER's reader for what that
leaves out (sizes of sensors, packed frames).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from itertools import dropwhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream, OtherContent, Reader
from livesnn.events.formats.shared_readers import WIDEST, inside, ordered_parts
from livesnn.events.formats.table_columns import parse_size, require_plausible
from livesnn.events.packet import (
    DISORDER_US,
    EVENTS_DTYPE,
    Events,
    PacketSorter,
    Resolution,
    SourceCounters,
    jump_warnings,
)
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, no_progress
from livesnn.untrusted import HEADER_BYTES, STREAMS

EVENT_BYTES = 8
SEGMENT_EVENTS = 1 << 14
SPECIAL, POLARITY, FRAME, IMU6, IMU9 = range(5)
_SEGMENT_BYTES = 1 << 20  # frames may lie between the packets of a segment
_WALK_BYTES = 4096
_HEADER = struct.Struct("<hhiiiiii")
_TIME = struct.Struct("<4xI")
_SAMPLE_BYTES = {IMU6: 36, IMU9: 48}
_SPECIAL_TYPES = 32  # cAER has fewer
_RESET = 1
_TRIGGERS = (2, 3, 4, *range(6, 14))  # others are about the clock, rows without events, or frames
_SENSORS = {
    "DVS128": (128, 128), "EDVS": (128, 128), "DAVIS128": (128, 128), "DAVIS208": (208, 192), "DAVIS240": (240, 180),
    "DAVIS346": (346, 260), "DAVISHET640": (320, 240), "DAVIS640HET": (320, 240), "DAVIS640": (640, 480),
}  # fmt: skip


class Aedat3Reader(Reader):
    """An open AEDAT 3.1 file; see `Reader`. All its packets' headers are read when it is opened.

    Raises FormatError when the header has no end, the packets are compressed, the first one is damaged, or most of
    the first events are outside the sensor that the header names.
    """

    format = "aedat3"

    def __init__(self, path: Path, progress: Progress = no_progress) -> None:
        with closed_on_error(BufferedFile(path, progress)) as self._file:
            named, start = read_header(self._file)
            tracks, self._content, lost = walk(self._file, start)
            self._tracks = {source: track for source, track in sorted(tracks.items()) if track.segments} or {
                min(named, default=0): Track()
            }
            cameras, self._warnings = _assign(named, self._tracks)
            self._sources = _name_streams(cameras)
            self.streams = tuple(EventStream(name, *cameras[source]) for name, source in self._sources.items())
            self.camera, self.resolution = self.streams[0].camera, self.streams[0].resolution
            self._sizes = {source: camera.resolution or WIDEST for source, camera in cameras.items()}
            self._invalid: dict[tuple[int, int], int] = {}
            self._warnings += lost
            for name, source in self._sources.items():
                for segment in self._tracks[source].segments[:1]:
                    require_plausible(path, next(self._read(source, segment)), cameras[source].resolution)
                self._warnings += jump_warnings({name if len(self.streams) > 1 else "": self._tracks[source].jumps})

    def _read(self, source: int, segment: Segment) -> Iterator[Events]:
        """Yield a segment's valid events as they lie in the file, at most SEGMENT_EVENTS at a time."""
        events, n = np.empty(min(segment.events, SEGMENT_EVENTS), EVENTS_DTYPE), 0
        position = segment.start
        while position < segment.end:
            packet = read_packet(self._file, position)
            if isinstance(packet, Flaw):  # the file was changed since it was opened
                break
            wanted = packet.kind == POLARITY and packet.source == source
            for words in read_words(self._file, packet) if wanted else ():
                if n + len(words) > events.size:
                    yield events[:n]
                    events, n = np.empty_like(events), 0
                n += _decode(words, packet.overflow << 31, events[n:])
            position = packet.end
        yield events[:n]

    @property
    def warnings(self) -> list[str]:
        invalid = sum(self._invalid.values())
        left_out = f"{invalid:,} events that the recording software marked as invalid are left out"
        return [*self._warnings, *([left_out] if invalid else [])]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        source = self._sources[stream]
        size = self._sizes[source]
        sorter = PacketSorter(size, start_us, counters)
        segments: Iterable[Segment] = self._tracks[source].segments
        if start_us is not None:
            earliest_us = start_us - DISORDER_US  # the last event of a packet needn't be its latest
            segments = dropwhile(lambda segment: segment.t_max < earliest_us, segments)
        for segment in segments:
            if segment.reset:
                sorter.restart()
            valid = 0
            for events in self._read(source, segment):
                valid += events.size
                yield from sorter.sort(ordered_parts(events, size, counters))
            self._invalid[source, segment.start] = segment.events - valid

    def time_range(self, stream: str) -> tuple[int, int] | None:
        source = self._sources[stream]
        segments = self._tracks[source].segments
        by_start = sorted(segments, key=lambda segment: segment.t_min)
        by_end = sorted(segments, key=lambda segment: -segment.t_max)
        first = next((times for s in by_start if (times := self._times(source, s))), None)
        last = next((times for s in by_end if (times := self._times(source, s))), None)
        return None if first is None or last is None else (first[0], last[1])

    def _times(self, source: int, segment: Segment) -> tuple[int, int] | None:
        """Return the least and the greatest time in a segment; None if all its events are left out."""
        blocks = (inside(events, self._sizes[source], SourceCounters()) for events in self._read(source, segment))
        ends = [(int(block["t"].min()), int(block["t"].max())) for block in blocks if block.size]
        return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None

    def other_content(self) -> OtherContent:
        return self._content

    def close(self) -> None:
        self._file.close()


class Camera(NamedTuple):
    """What recorded a source; ``resolution`` is None if that isn't known."""

    name: str
    resolution: Resolution | None


class PacketHeader(NamedTuple):
    """A packet's header; ``body`` is where its events start, ``end`` where the next packet does."""

    kind: int
    source: int
    event_bytes: int
    overflow: int
    events: int
    valid: int
    body: int
    end: int


class Flaw(NamedTuple):
    """Why there is no whole packet; ``cut`` if the file ends before the packet does."""

    reason: str
    cut: bool = False


class Segment(NamedTuple):
    """Packets from byte ``start`` to ``end`` of the file, with ``events`` events of one source among them.

    ``t_min`` and ``t_max`` are the times of the packets' first and last events in µs. ``reset`` says that the clock
    was reset just before.
    """

    start: int
    end: int
    events: int
    t_min: int
    t_max: int
    reset: bool


class Track:
    """The segments of one source, and how often its time jumps back."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.jumps = 0
        self.reset = False  # whether the clock was reset after the last packet
        self._newest_us: int | None = None

    def add(self, start: int, packet: PacketHeader, times_us: list[int]) -> None:
        """Note a packet by the times of its first and its last event; there are none if it is empty."""
        if not times_us:
            return
        earliest, latest = min(times_us), max(times_us)
        back_us = 0 if self._newest_us is None else self._newest_us - earliest
        jumped = back_us > (0 if self.reset else DISORDER_US)
        self.jumps += jumped
        last = self.segments[-1] if self.segments and not self.reset and not jumped else None
        if (
            last is not None
            and last.events + packet.events <= SEGMENT_EVENTS
            and packet.end - last.start <= _SEGMENT_BYTES
        ):
            times = min(last.t_min, earliest), max(last.t_max, latest)
            self.segments[-1] = Segment(last.start, packet.end, last.events + packet.events, *times, last.reset)
        else:
            self.segments.append(Segment(start, packet.end, packet.events, earliest, latest, self.reset))
        self._newest_us = latest if jumped or self._newest_us is None else max(self._newest_us, latest)
        self.reset = False


def read_header(file: BufferedFile) -> tuple[dict[int, Camera], int]:
    """Return (the cameras by the source's number, where the first packet is).

    Raises FormatError when the header has no end, or the packets are compressed.
    """
    head = bytes(file.view(0, HEADER_BYTES))
    found = re.match(rb"(?:#(?!!END-HEADER)[^\n]*\n)+#!END-HEADER\r?\n", head)
    if found is None:
        raise FormatError(f"{file.path}: the header has no #!END-HEADER line: copy it again, or record it again")
    text = found.group().decode("utf-8", errors="replace")
    packing = re.search(r"^#Format: *(.*?)\s*$", text, re.MULTILINE)
    if packing is not None and packing[1] not in ("RAW", "PNGFrames"):
        raise FormatError(
            f"{file.path}: its packets have the format {packing[1][:40]!r}, which isn't supported: record it as RAW"
        )
    lines = re.findall(r"^#(-?)Source (\d{1,5}): *([ -~]{0,100})", text, re.MULTILINE)
    original = next((source for earlier, _, source in lines if earlier and "," not in source), "")
    cameras = {int(number): _find_camera(source, original) for earlier, number, source in lines if not earlier}
    return cameras, found.end()


def _find_camera(description: str, original: str) -> Camera:
    """Return the camera of a source; for one that cAER read from a file, its name is ``original``."""
    size = re.search(r"dvsSizeX=(\d{1,5}),dvsSizeY=(\d{1,5})", description)
    name = original if size else description.strip()
    known = next((Resolution(*size) for prefix, size in _SENSORS.items() if name.upper().startswith(prefix)), None)
    return Camera(name, (parse_size(size[1], size[2]) if size else None) or known)


def read_packet(file: BufferedFile, start: int) -> PacketHeader | Flaw:
    """Return the header of the packet at ``start``, or why there is no whole packet."""
    octets = file.view(start, _HEADER.size, _WALK_BYTES)
    if len(octets) < _HEADER.size:
        return Flaw("its header isn't whole", cut=True)
    kind, source, event_bytes, time_offset, overflow, capacity, events, valid = _HEADER.unpack(octets)
    packed = kind < 0  # a frame as PNG: its capacity is in octets
    kind &= 0x7FFF
    if packed and kind != FRAME:
        return Flaw("its events are compressed")
    if source < 0 or event_bytes <= 0 or overflow < 0 or events < 0 or capacity < (0 if packed else events):
        return Flaw("its header makes no sense")
    if kind in (SPECIAL, POLARITY) and (event_bytes, time_offset) != (EVENT_BYTES, 4):
        return Flaw(f"its events aren't of {EVENT_BYTES} bytes, the last four their time")
    body = start + _HEADER.size
    size = capacity if packed else capacity * event_bytes
    if body + size > file.size:
        return Flaw(f"it claims {size:,} bytes, the file has {file.size - body:,} more", cut=True)
    return PacketHeader(kind, source, event_bytes, overflow, events, valid, body, body + size)


def read_words(file: BufferedFile, packet: PacketHeader) -> Iterator[npt.NDArray[np.int64]]:
    """Yield a packet of special or polarity events as int64 [N, 2], data and time, with N at most SEGMENT_EVENTS."""
    for first in range(0, packet.events, SEGMENT_EVENTS):
        count = min(SEGMENT_EVENTS, packet.events - first)
        octets = file.view(packet.body + first * EVENT_BYTES, count * EVENT_BYTES)
        yield np.frombuffer(octets, "<u4", len(octets) // EVENT_BYTES * 2).astype(np.int64).reshape(-1, 2)


def walk(file: BufferedFile, start: int) -> tuple[dict[int, Track], OtherContent, list[str]]:
    """Return (the tracks by the source's number, what else there is, which part can't be read or isn't known).

    Only the packets' headers are read. Raises FormatError when the first one is damaged.
    """
    tracks: dict[int, Track] = {}
    frames = imu = triggers = 0
    position, warnings, unknown = start, list[str](), list[int]()
    while position < file.size:
        file.passed(position)
        packet = read_packet(file, position)
        if isinstance(packet, PacketHeader) and packet.source not in tracks and len(tracks) == STREAMS:
            packet = Flaw(f"it is of a source beyond the first {STREAMS}")
        if isinstance(packet, Flaw):
            warnings.append(_describe_loss(file, position, packet, first=position == start))
            break
        track = tracks.setdefault(packet.source, Track())
        valid = min(max(packet.valid, 0), packet.events)
        if packet.kind == POLARITY:
            track.add(position, packet, _ends(file, packet))
        elif packet.kind == SPECIAL and (found := _read_special(file, packet, track)) is not None:
            triggers += found
        elif packet.kind == FRAME:
            frames += valid
        elif packet.event_bytes == _SAMPLE_BYTES.get(packet.kind):
            imu += valid
        elif packet.events:
            unknown.append(position)
        position = packet.end
    if unknown:
        warnings.append(
            f"{len(unknown):,} packets are of an unknown type, the first at byte {unknown[0]:,}: they are left out"
        )
    return tracks, OtherContent(frames, imu, triggers), warnings


def _describe_loss(file: BufferedFile, position: int, flaw: Flaw, *, first: bool) -> str:
    if first and not flaw.cut:
        raise FormatError(
            f"{file.path}: the first packet is damaged ({flaw.reason}): copy the file again, or record it again"
        )
    what = "cut short, or damaged" if flaw.cut else "damaged"
    return f"the packet at byte {position:,} is {what} ({flaw.reason}): {file.size - position:,} bytes lost"


def _ends(file: BufferedFile, packet: PacketHeader) -> list[int]:
    """Return the times of a packet's first and last event."""
    last = packet.body + (packet.events - 1) * EVENT_BYTES
    places = (packet.body, last) if packet.events else ()
    octets = (bytes(file.view(place, EVENT_BYTES, _WALK_BYTES)) for place in places)
    return [(packet.overflow << 31) + _TIME.unpack(event)[0] for event in octets if len(event) == EVENT_BYTES]


def _read_special(file: BufferedFile, packet: PacketHeader, track: Track) -> int | None:
    """Return how many triggers a packet of special events holds, and note in ``track`` if the clock was reset.

    None if some are of no known type: it isn't such a packet, unless it is damaged.
    """
    triggers = 0
    for words in read_words(file, packet):
        valid = words[words[:, 0] & 1 == 1, 0] >> 1 & 0x7F
        if valid.max(initial=0) >= _SPECIAL_TYPES:
            return None
        triggers += int(np.isin(valid, _TRIGGERS).sum())
        if (valid == _RESET).any():
            track.reset = True
    return triggers


@njit(nogil=True, cache=True)
def _decode(words: npt.NDArray[np.int64], epoch_us: int, events: Events) -> int:
    """Write the valid events of words [N, 2], as far as there is room; return how many."""
    n = 0
    for i in range(words.shape[0]):
        what = int(words[i, 0])
        if what & 1 and n < events.shape[0]:
            events[n].t, events[n].p = epoch_us + words[i, 1], what & 2 != 0
            events[n].x, events[n].y = what >> 17, what >> 2 & 0x7FFF
            n += 1
    return n


def _assign(named: dict[int, Camera], tracks: dict[int, Track]) -> tuple[dict[int, Camera], list[str]]:
    """Return the camera of each source that has events, and what was assumed.

    Some programs number the source differently in the header and in the packets; with only one of each they match.
    """
    unnamed = [source for source in tracks if source not in named]
    if len(named) == len(tracks) == len(unnamed) == 1:
        ((number, camera),) = named.items()
        assumed = f"events come from source {unnamed[0]}, but the header names source {number}: {camera.name} assumed"
        return {unnamed[0]: camera}, [assumed]
    return {source: named.get(source, Camera("", None)) for source in tracks}, []


def _name_streams(cameras: dict[int, Camera]) -> dict[str, int]:
    """Give each stream a name of its own, by its camera, or by its number if two cameras have the same name."""
    if len(cameras) == 1:
        return {"events": next(iter(cameras))}
    names = [camera.name for camera in cameras.values()]
    distinct = len({*names, ""}) > len(names)
    return {f"{camera.name if distinct else source}/events": source for source, camera in cameras.items()}
