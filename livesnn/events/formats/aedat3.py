"""AEDAT 3.1 (.aedat) of cAER and jAER 3, the format of DVS-Gesture: a text header, then packets of events.

The file's coordinates are already upright: x to the right, y down. When a file is opened, a walk over the packets'
headers notes where the events lie. Source: iniVation's AEDAT 3.1 specification, and cAER's reader for what that
leaves out (sizes of sensors, packed frames).
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream, OtherContent
from livesnn.events.formats.shared_readers import BlockReader
from livesnn.events.formats.table_columns import parse_size, require_plausible
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, no_progress
from livesnn.untrusted import HEADER_BYTES, STREAMS

EVENT_BYTES = 8
SEGMENT_EVENTS = 1 << 14
SPECIAL, POLARITY, FRAME, IMU6, IMU9 = range(5)
_SEGMENT_BYTES = 1 << 20  # frames may lie between the packets of a segment
_WALK_BYTES = 4096
_HEADER = struct.Struct("<hhiiiiii")
_SAMPLE_BYTES = {IMU6: 36, IMU9: 48}
_SPECIAL_TYPES = 32  # cAER has fewer
_TRIGGERS = (2, 3, 4, *range(6, 14))  # others are about the clock, rows without events, or frames
_SENSORS = {
    "DVS128": (128, 128), "EDVS": (128, 128), "DAVIS128": (128, 128), "DAVIS208": (208, 192), "DAVIS240": (240, 180),
    "DAVIS346": (346, 260), "DAVISHET640": (320, 240), "DAVIS640HET": (320, 240), "DAVIS640": (640, 480),
}  # fmt: skip


def open_aedat3(path: Path, progress: Progress = no_progress) -> BlockReader:
    """Open an AEDAT 3.1 file. All its packets' headers are read.

    Raises FormatError when the header has no end, the packets are compressed, the first one is damaged, or most of
    the first events are outside the sensor that the header names.
    """
    with closed_on_error(BufferedFile(path, progress)) as file:
        named, start = read_header(file)
        found, content, lost = walk(file, start)
        sources = {source: known for source, known in sorted(found.items()) if known.count} or {
            (first := min(named, default=0)): Aedat3Blocks(file, first)
        }
        cameras, warnings = _assign(named, sources)
        streams = [
            (EventStream(name, *cameras[source]), sources[source]) for name, source in _name_streams(cameras).items()
        ]
        for stream, blocks in streams:
            if blocks.count:
                require_plausible(path, blocks.read(0), stream.resolution)
    return BlockReader(streams, format_name="aedat3", other=content, warnings=[*warnings, *lost], release=file.close)


class Aedat3Blocks:
    """The events of one source; see `Blocks`. A block is a few packets, or a part of one."""

    def __init__(self, file: BufferedFile, source: int) -> None:
        self.count = 0
        self._file = file
        self._source = source
        self._blocks: list[Block] = []
        self._invalid: dict[int, int] = {}

    def add(self, start: int, packet: PacketHeader) -> None:
        """Note the packet that starts there; they come in the file's order."""
        last = self._blocks[-1] if self._blocks else None
        if (
            last is not None
            and not last.first
            and last.events + packet.events <= SEGMENT_EVENTS
            and packet.end - last.start <= _SEGMENT_BYTES
        ):
            self._blocks[-1] = last._replace(end=packet.end, events=last.events + packet.events)
        else:
            for first in range(0, packet.events, SEGMENT_EVENTS):
                self._blocks.append(Block(start, packet.end, first, min(packet.events - first, SEGMENT_EVENTS)))
        self.count = len(self._blocks)

    def read(self, number: int) -> Events:
        position, end, first, size = self._blocks[number]
        events, n = np.empty(size, EVENTS_DTYPE), 0
        while position < end:
            packet = read_packet(self._file, position)
            if isinstance(packet, Flaw):  # the file was changed since it was opened
                break
            if packet.kind == POLARITY and packet.source == self._source:
                words = read_words(self._file, packet, first, min(packet.events - first, size))
                n += _decode(words, packet.overflow << 31, events[n:])
            position = packet.end
        self._invalid[number] = size - n
        return events[:n]

    @property
    def warnings(self) -> list[str]:
        invalid = sum(self._invalid.values())
        left_out = f"{invalid:,} events that the recording software marked as invalid are left out"
        return [left_out] if invalid else []


class Block(NamedTuple):
    """Packets from byte ``start`` to ``end`` of the file, of whose events ``events`` from the ``first`` on are read.

    Other sources' packets may lie in between.
    """

    start: int
    end: int
    first: int
    events: int


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


def read_words(file: BufferedFile, packet: PacketHeader, first: int, count: int) -> npt.NDArray[np.int64]:
    """Return special or polarity events of a packet, from the ``first`` on, as int64 [N, 2], data and time."""
    octets = file.view(packet.body + first * EVENT_BYTES, count * EVENT_BYTES)
    return np.frombuffer(octets, "<u4", len(octets) // EVENT_BYTES * 2).astype(np.int64).reshape(-1, 2)


def walk(file: BufferedFile, start: int) -> tuple[dict[int, Aedat3Blocks], OtherContent, list[str]]:
    """Return (the blocks by the source's number, what else there is, which part can't be read or isn't known).

    Only the packets' headers are read. Raises FormatError when the first one is damaged.
    """
    sources: dict[int, Aedat3Blocks] = {}
    frames = imu = triggers = 0
    position, warnings, unknown = start, list[str](), list[int]()
    while position < file.size:
        file.passed(position)
        packet = read_packet(file, position)
        if isinstance(packet, PacketHeader) and packet.source not in sources and len(sources) == STREAMS:
            packet = Flaw(f"it is of a source beyond the first {STREAMS}")
        if isinstance(packet, Flaw):
            warnings.append(_describe_loss(file, position, packet, first=position == start))
            break
        blocks = sources.setdefault(packet.source, Aedat3Blocks(file, packet.source))
        valid = min(max(packet.valid, 0), packet.events)
        if packet.kind == POLARITY:
            blocks.add(position, packet)
        elif packet.kind == SPECIAL and (found := _count_triggers(file, packet)) is not None:
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
    return sources, OtherContent(frames, imu, triggers), warnings


def _describe_loss(file: BufferedFile, position: int, flaw: Flaw, *, first: bool) -> str:
    if first and not flaw.cut:
        raise FormatError(
            f"{file.path}: the first packet is damaged ({flaw.reason}): copy the file again, or record it again"
        )
    what = "cut short, or damaged" if flaw.cut else "damaged"
    return f"the packet at byte {position:,} is {what} ({flaw.reason}): {file.size - position:,} bytes lost"


def _count_triggers(file: BufferedFile, packet: PacketHeader) -> int | None:
    """Return how many triggers a packet of special events holds.

    None if some are of no known type: it isn't such a packet, unless it is damaged.
    """
    triggers = 0
    for first in range(0, packet.events, SEGMENT_EVENTS):
        words = read_words(file, packet, first, min(packet.events - first, SEGMENT_EVENTS))
        valid = words[words[:, 0] & 1 == 1, 0] >> 1 & 0x7F
        if valid.max(initial=0) >= _SPECIAL_TYPES:
            return None
        triggers += int(np.isin(valid, _TRIGGERS).sum())
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


def _assign(named: dict[int, Camera], sources: dict[int, Aedat3Blocks]) -> tuple[dict[int, Camera], list[str]]:
    """Return the camera of each source that has events, and what was assumed.

    Some programs number the source differently in the header and in the packets; with only one of each they match.
    """
    unnamed = [source for source in sources if source not in named]
    if len(named) == len(sources) == len(unnamed) == 1:
        ((number, camera),) = named.items()
        assumed = f"events come from source {unnamed[0]}, but the header names source {number}: {camera.name} assumed"
        return {unnamed[0]: camera}, [assumed]
    return {source: named.get(source, Camera("", None)) for source in sources}, []


def _name_streams(cameras: dict[int, Camera]) -> dict[str, int]:
    """Give each stream a name of its own, by its camera, or by its number if two cameras have the same name."""
    if len(cameras) == 1:
        return {"events": next(iter(cameras))}
    names = [camera.name for camera in cameras.values()]
    distinct = len({*names, ""}) > len(names)
    return {f"{camera.name if distinct else source}/events": source for source, camera in cameras.items()}
