"""Where the packets of an AEDAT 3.1 file lie: its header of text, then a walk from packet to packet.

Not here: the events in them (aedat3.py). Source: iniVation's AEDAT 3.1 specification, and cAER's reader for what the
specification leaves out (sizes of sensors, packed frames).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError
from livesnn.events.formats import OtherContent
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import DISORDER_US, Resolution

EVENT_BYTES = 8
MAX_SIZE = 1 << 15  # coordinates have 15 bits
STRETCH_EVENTS = 1 << 14
SPECIAL, POLARITY, FRAME, IMU6, IMU9 = range(5)
_MAX_HEADER_BYTES = 1 << 20
_MAX_SOURCES = 16
_STRETCH_BYTES = 1 << 20  # frames may lie between the packets of a stretch
_WALK_BYTES = 4096
_HEADER = struct.Struct("<hhiiiiii")
_TIME = struct.Struct("<4xI")
_RESET = 1
_TRIGGERS = (2, 3, 4, *range(6, 14))  # others tell of the clock, of rows without events, of frames
_SENSORS = {
    "DVS128": (128, 128), "EDVS": (128, 128), "DAVIS128": (128, 128), "DAVIS208": (208, 192), "DAVIS240": (240, 180),
    "DAVIS346": (346, 260), "DAVISHET640": (320, 240), "DAVIS640HET": (320, 240), "DAVIS640": (640, 480),
}  # fmt: skip


class Camera(NamedTuple):
    """What recorded a source; ``resolution`` is None where that isn't known."""

    name: str
    resolution: Resolution | None


class TextHeader(NamedTuple):
    """``cameras`` by number of source, ``start``: where the first packet is."""

    cameras: dict[int, Camera]
    start: int


class Packet(NamedTuple):
    """A packet's header. ``body`` is where its events start, ``end`` where the next packet does."""

    kind: int
    source: int
    event_bytes: int
    overflow: int
    events: int
    valid: int
    body: int
    end: int


class Flaw(NamedTuple):
    """Why there is no whole packet; ``cut``: because the file ends, or the packet claims that it should go on."""

    reason: str
    cut: bool = False


class Stretch(NamedTuple):
    """Octets ``start`` to ``end`` of the file: packets, among them ``events`` events of one source.

    ``t_min`` and ``t_max`` are of the packets' first and last events, µs; ``reset``: the clock went to zero before.
    """

    start: int
    end: int
    events: int
    t_min: int
    t_max: int
    reset: bool


class Track:
    """What the walk knows of one source: its stretches, and how often its time jumps back."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self.jumps = 0
        self._newest_us: int | None = None
        self._reset = False

    def reset(self) -> None:
        """Note that the clock was set to zero: the next packet starts a stretch."""
        self._reset = True

    def add(self, start: int, packet: Packet, times_us: list[int]) -> None:
        """Note a packet of events, by the times of its first and its last: of none, if it is empty."""
        if not times_us:
            return
        earliest, latest = min(times_us), max(times_us)
        back_us = 0 if self._newest_us is None else self._newest_us - earliest
        jumped = back_us > (0 if self._reset else DISORDER_US)
        self.jumps += jumped
        last = self.stretches[-1] if self.stretches and not self._reset and not jumped else None
        if (
            last is not None
            and last.events + packet.events <= STRETCH_EVENTS
            and packet.end - last.start <= _STRETCH_BYTES
        ):
            times = min(last.t_min, earliest), max(last.t_max, latest)
            self.stretches[-1] = Stretch(
                last.start, packet.end, last.events + packet.events, *times, last.reset
            )
        else:
            self.stretches.append(Stretch(start, packet.end, packet.events, earliest, latest, self._reset))
        self._newest_us = latest if jumped or self._newest_us is None else max(self._newest_us, latest)
        self._reset = False


class Index(NamedTuple):
    """``tracks`` by number of source; ``loss`` says what isn't whole, or is empty."""

    tracks: dict[int, Track]
    content: OtherContent
    loss: str


def read_header(file: WindowedFile) -> TextHeader:
    """Return the header of text; raises FormatError when it has no end, or its packets are packed."""
    head = bytes(file.view(0, min(_MAX_HEADER_BYTES, file.size)))
    found = re.match(rb"(?:#(?!!END-HEADER)[^\n]*\n)+#!END-HEADER\r?\n", head)
    if found is None:
        raise FormatError(f"{file.path}: the header has no #!END-HEADER line: nothing can be read")
    text = found.group().decode("utf-8", errors="replace")
    packing = re.search(r"^#Format: *(.*?)\s*$", text, re.MULTILINE)
    if packing is not None and packing[1] not in ("RAW", "PNGFrames"):
        raise FormatError(
            f"{file.path}: its packets are packed as {packing[1][:40]!r}, which isn't supported: record it as RAW"
        )
    lines = re.findall(r"^#(-?)Source (\d{1,5}): *([ -~]{0,100})", text, re.MULTILINE)
    original = next((said for earlier, _, said in lines if earlier and "," not in said), "")
    cameras = {int(number): _find_camera(said, original) for earlier, number, said in lines if not earlier}
    return TextHeader(cameras, found.end())


def _find_camera(said: str, original: str) -> Camera:
    """Return the camera of a source; one that cAER read from a file gives its size, and the camera elsewhere."""
    size = re.search(r"dvsSizeX=(\d{1,5}),dvsSizeY=(\d{1,5})", said)
    name = original if size else said.strip()
    known = next((size for prefix, size in _SENSORS.items() if name.upper().startswith(prefix)), None)
    if size and 0 < int(size[1]) <= MAX_SIZE and 0 < int(size[2]) <= MAX_SIZE:
        known = int(size[1]), int(size[2])
    return Camera(name, None if known is None else Resolution(*known))


def read_packet(file: WindowedFile, start: int) -> Packet | Flaw:
    """Return the header of the packet at ``start``, or why there is no whole packet."""
    octets = file.view(start, _HEADER.size, _WALK_BYTES)
    if len(octets) < _HEADER.size:
        return Flaw("its header isn't whole", cut=True)
    kind, source, event_bytes, time_offset, overflow, capacity, events, valid = _HEADER.unpack(octets)
    packed = kind < 0  # a frame as PNG: its capacity is in octets
    kind &= 0x7FFF
    if packed and kind != FRAME:
        return Flaw("its events are packed")
    if source < 0 or event_bytes <= 0 or overflow < 0 or events < 0 or capacity < (0 if packed else events):
        return Flaw("its header makes no sense")
    if kind in (SPECIAL, POLARITY) and (event_bytes, time_offset) != (EVENT_BYTES, 4):
        return Flaw(f"its events aren't of {EVENT_BYTES} bytes, the last four their time")
    body = start + _HEADER.size
    size = capacity if packed else capacity * event_bytes
    if body + size > file.size:
        return Flaw(f"it claims {size:,} bytes, the file has {file.size - body:,} more", cut=True)
    return Packet(kind, source, event_bytes, overflow, events, valid, body, body + size)


def read_words(file: WindowedFile, packet: Packet) -> Iterator[npt.NDArray[np.int64]]:
    """Yield a packet of special or polarity events as words int64 [N, 2], N at most STRETCH_EVENTS: what, when."""
    for first in range(0, packet.events, STRETCH_EVENTS):
        count = min(STRETCH_EVENTS, packet.events - first)
        octets = file.view(packet.body + first * EVENT_BYTES, count * EVENT_BYTES)
        yield np.frombuffer(octets, "<u4", len(octets) // EVENT_BYTES * 2).astype(np.int64).reshape(-1, 2)


def walk(file: WindowedFile, start: int) -> Index:
    """Find every whole packet, by the headers alone; raises FormatError when the first one is damaged."""
    tracks: dict[int, Track] = {}
    frames = imu = triggers = 0
    position, loss = start, ""
    while position < file.size:
        file.passed(position)
        packet = read_packet(file, position)
        if isinstance(packet, Packet) and packet.source not in tracks and len(tracks) == _MAX_SOURCES:
            packet = Flaw(f"it is of a source beyond the first {_MAX_SOURCES}")
        if isinstance(packet, Flaw):
            loss = _describe_loss(file, position, packet, first=position == start)
            break
        track = tracks.setdefault(packet.source, Track())
        if packet.kind == POLARITY:
            track.add(position, packet, _ends(file, packet))
        elif packet.kind == SPECIAL:
            triggers += _read_special(file, packet, track)
        elif packet.kind in (FRAME, IMU6, IMU9):
            valid = min(max(packet.valid, 0), packet.events)
            frames, imu = (frames + valid, imu) if packet.kind == FRAME else (frames, imu + valid)
        position = packet.end
    return Index(tracks, OtherContent(frames, imu, triggers), loss)


def _describe_loss(file: WindowedFile, position: int, flaw: Flaw, *, first: bool) -> str:
    if first and not flaw.cut:
        raise FormatError(f"{file.path}: the first packet is damaged ({flaw.reason}): nothing can be read")
    what = "cut short, or damaged" if flaw.cut else "damaged"
    return f"the packet at byte {position:,} is {what} ({flaw.reason}): {file.size - position:,} bytes lost"


def _ends(file: WindowedFile, packet: Packet) -> list[int]:
    """Return the times of a packet's first and last event; there may be room for more behind it."""
    last = packet.body + (packet.events - 1) * EVENT_BYTES
    places = (packet.body, last) if packet.events else ()
    octets = (bytes(file.view(place, EVENT_BYTES, _WALK_BYTES)) for place in places)
    return [(packet.overflow << 31) + _TIME.unpack(event)[0] for event in octets if len(event) == EVENT_BYTES]


def _read_special(file: WindowedFile, packet: Packet, track: Track) -> int:
    """Return how many triggers a packet of special events holds; note in ``track`` that the clock was set to zero."""
    triggers = 0
    for words in read_words(file, packet):
        valid = words[words[:, 0] & 1 == 1, 0] >> 1 & 0x7F
        triggers += int(np.isin(valid, _TRIGGERS).sum())
        if (valid == _RESET).any():
            track.reset()
    return triggers
