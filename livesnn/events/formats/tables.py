""".npz files of columns: t, x, y, p, maybe width, height, camera. Never unpickles. Not here: text (text_tables.py).

Small ones are read whole. Large ones are read in blocks where they lie unpacked in the file (np.savez), and refused
where they are compressed.
"""

from __future__ import annotations

import errno
import io
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import DAMAGED_ARRAY, FormatError, SourceError
from livesnn.events.formats import EventStream
from livesnn.events.formats.blocks import BlockReader, BlockStream
from livesnn.events.formats.columns import (
    AXES,
    MAX_COORDINATE,
    MICROSECONDS,
    NANOSECONDS,
    UNUSABLE,
    ColumnNames,
    Numbers,
    clock_unit,
    events_of_columns,
    find_columns,
    judge,
    require_polarity,
    require_unit,
    sample_times,
)
from livesnn.events.formats.in_memory import InMemoryReader
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import Events, Resolution

BLOCK_EVENTS = 1 << 16
LARGE_EVENTS = 1 << 22  # from here on in blocks, where that can be
MAX_EVENTS = 20_000_000  # they are held in memory: a GB while it is read, however small the file
MAX_BYTES = 2 << 30
_HEAD_BYTES = 1 << 16  # of an array; numpy takes headers of 10,000 at most
_NAME_BYTES = 4096  # of a camera; other programs may call anything "camera"
_SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))


class Member(NamedTuple):
    """An array of the archive: its size by its own header, and where its items lie, or None where they are packed."""

    name: str
    items: int
    dtype: np.dtype[np.generic]
    start: int | None

    @property
    def octets(self) -> int:
        """How many octets its items take."""
        return self.items * max(self.dtype.itemsize, 1)


def open_npz(path: Path) -> InMemoryReader | BlockReader:
    """Open a .npz with columns t, x, y, p, by these or other usual names.

    Whole numbers in ``t`` are µs, unless it is called t_ms or t_ns, or they are a clock's ns; of fractions it is told
    whether they are s or ms.
    ``p`` is 0 and 1, or -1 and 1, or bool. The sensor's size is that of the arrays ``width`` and ``height``,
    otherwise the smallest usual sensor that holds the events, with a warning. ``camera``, if text: its name.

    Raises
    ------
    FormatError
        When a column is missing or isn't what it should be, most events can't be any, or the file is damaged.
    """
    try:
        return _open(path)
    except MemoryError as error:
        raise FormatError(
            f"{path}: its events are too many for the memory that is free: cut it up"
        ) from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # the decompressor's, and of seeking to before the file
            raise FormatError(f"{path}: not a sound .npz ({error}): save it again") from error
        raise SourceError(
            f"{path}: can't be read ({error.strerror}): check the path and permissions"
        ) from error
    except DAMAGED_ARRAY as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FormatError(f"{path}: not a sound .npz ({reason}): save it again") from error


def _open(path: Path) -> InMemoryReader | BlockReader:
    with zipfile.ZipFile(path) as archive:
        found = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        named = find_columns(found)
        if named.missing:
            raise FormatError(
                f"{path}: no column {', '.join(named.missing)} (found: {', '.join(sorted(found))[:200] or 'none'}): "
                f"a recording has t, x, y, p"
            )
        wanted = {axis: found[name] for axis, name in named.by_axis.items()}
        wanted |= {name: found[name] for name in ("width", "height", "camera") if name in found}
        members = {name: _measure(archive, member) for name, member in wanted.items()}
        if "camera" in members and not _is_name(members["camera"]):
            del members["camera"]
        in_blocks = _lie_in_blocks(members)
        if not in_blocks and (
            max(member.items for member in members.values()) > MAX_EVENTS
            or sum(member.octets for member in members.values()) > MAX_BYTES
        ):
            raise FormatError(
                f"{path}: more than {MAX_EVENTS:,} events or {MAX_BYTES:,} bytes are too many to hold: "
                f"save it by numpy.savez, which packs nothing and is read in parts, or cut it up"
            )
        read = {
            name: _read_array(archive, member.name)
            for name, member in members.items()
            if not in_blocks or name not in AXES
        }
    resolution = _stated_resolution(path, read)
    camera = str(read["camera"].item()) if "camera" in read else ""
    if in_blocks:
        return _open_blocks(path, members, named, EventStream("events", camera, resolution))
    events, warnings = _events(path, read, named)
    judge(path, events, resolution)
    if resolution is None:
        resolution, assumed = _guess_resolution(events)
        warnings.append(assumed)
    return InMemoryReader(events, resolution, format_name="npz", camera=camera, warnings=warnings)


def _is_name(member: Member) -> bool:
    return member.dtype.kind == "U" and member.items == 1 and member.octets <= _NAME_BYTES


def _measure(archive: zipfile.ZipFile, member: str) -> Member:
    """Return an array's size and place by its own header, before anything is made of that size."""
    known = archive.getinfo(member)
    with archive.open(member) as file:
        head = io.BytesIO(file.read(_HEAD_BYTES))  # numpy reads as much as the header claims to be
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    header_bytes = head.tell()
    if min(shape, default=0) < 0:
        raise ValueError(f"{member} has a negative size")
    items = math.prod(shape)
    stored = known.compress_type == zipfile.ZIP_STORED and not known.flag_bits & 1 and len(shape) == 1
    whole = known.file_size == header_bytes + items * dtype.itemsize
    return Member(member, items, dtype, _start(archive, known) + header_bytes if stored and whole else None)


def _start(archive: zipfile.ZipFile, known: zipfile.ZipInfo) -> int:
    """Return where a member's octets begin: after its local header, whose name and extra field differ in length."""
    file = archive.fp
    if file is None:
        raise ValueError("the archive is closed")
    file.seek(known.header_offset + 26)
    return known.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))


def _lie_in_blocks(members: Mapping[str, Member]) -> bool:
    columns = [members[axis] for axis in AXES]
    return (
        columns[0].items >= LARGE_EVENTS
        and len({column.items for column in columns}) == 1
        and all(column.start is not None and column.dtype.kind in "iufb" for column in columns)
    )


def _open_blocks(
    path: Path, members: Mapping[str, Member], named: ColumnNames, stream: EventStream
) -> BlockReader:
    file = WindowedFile(path)
    try:
        blocks = StoredBlocks(file, members)
        blocks.unit, warnings = _unit(path, blocks.columns(0)["t"], named)
        judge(path, blocks.read(0), stream.resolution)
        require_polarity(path, blocks.columns(0)["p"])
    except BaseException:
        file.close()
        raise
    return BlockReader(
        [BlockStream(stream, blocks)], format_name="npz", warnings=warnings, release=file.close
    )


class StoredBlocks:
    """The events of columns that lie unpacked in a file; see `Blocks`."""

    warnings: list[str] = []  # noqa: RUF012 (never any: what can't be an event is counted by who reads)

    def __init__(self, file: WindowedFile, members: Mapping[str, Member]) -> None:
        self.unit = MICROSECONDS
        self.count = -(-members["t"].items // BLOCK_EVENTS)
        self._file = file
        self._members = members

    def columns(self, number: int) -> dict[str, Numbers]:
        """Return a block's numbers as they lie in the file."""
        return {axis: self._column(self._members[axis], number) for axis in AXES}

    def _column(self, member: Member, number: int) -> Numbers:
        first, each = number * BLOCK_EVENTS, member.dtype.itemsize
        size = min(BLOCK_EVENTS, member.items - first)
        octets = bytes(self._file.view((member.start or 0) + first * each, size * each, size * each))
        return np.frombuffer(octets, member.dtype)

    def read(self, number: int) -> Events:
        """Return a block's events."""
        return events_of_columns(self.columns(number), self.unit)


def _read_array(archive: zipfile.ZipFile, member: str) -> Numbers:
    with archive.open(member) as file:
        array: Numbers = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _unit(path: Path, t: Numbers, named: ColumnNames) -> tuple[str, list[str]]:
    if named.unit is not None or not t.size:
        return named.unit or MICROSECONDS, []
    if t.dtype.kind in "iu":
        if clock_unit(sample_times(t[:BLOCK_EVENTS])) != NANOSECONDS:
            return MICROSECONDS, []
        return NANOSECONDS, ["the file doesn't give the unit of its times: ns assumed (of a clock)"]
    unit, assumed = require_unit(path, sample_times(t), "save it as t_s, t_ms or t_us")
    return unit, [assumed]


def _events(path: Path, columns: Mapping[str, Numbers], named: ColumnNames) -> tuple[Events, list[str]]:
    shapes = {columns[axis].shape for axis in AXES}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise FormatError(f"{path}: t, x, y, p must be lists of one length, not {sorted(map(str, shapes))}")
    for axis in AXES:
        if columns[axis].dtype.kind not in ("iufb" if axis == "p" else "iuf"):
            raise FormatError(f"{path}: {axis} must be numbers, not {columns[axis].dtype}: convert it")
    unit, warnings = _unit(path, columns["t"], named)
    require_polarity(path, columns["p"])
    return events_of_columns(columns, unit), warnings


def _stated_resolution(path: Path, columns: Mapping[str, Numbers]) -> Resolution | None:
    if "width" not in columns or "height" not in columns:
        return None
    size = [columns[name] for name in ("width", "height")]
    if any(
        value.size != 1 or value.dtype.kind not in "iu" or not 0 < int(value.item()) <= MAX_COORDINATE + 1
        for value in size
    ):
        raise FormatError(
            f"{path}: width and height must each be one integer from 1 to {MAX_COORDINATE + 1}: correct them, or "
            "leave both out"
        )
    return Resolution(int(size[0].item()), int(size[1].item()))


def _guess_resolution(events: Events) -> tuple[Resolution, str]:
    usable = events[events["x"] != UNUSABLE]
    right, bottom = (int(usable[axis].max(initial=0)) for axis in ("x", "y"))
    fits = (Resolution(*size) for size in _SENSORS if right < size[0] and bottom < size[1])
    sensor = next(fits, Resolution(right + 1, bottom + 1))
    return sensor, f"the file doesn't give width and height: {sensor.width}×{sensor.height} assumed"
