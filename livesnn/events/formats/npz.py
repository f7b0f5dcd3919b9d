"""Reading and writing .npz files with columns t, x, y, p, and maybe width, height and camera. Nothing is unpickled.

Small files are read whole. Large ones are read in blocks if they are uncompressed (np.savez), and refused otherwise.
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from livesnn.errors import FormatError, SourceError, reason_of
from livesnn.events.formats.reader import EventStream
from livesnn.events.formats.shared_readers import BlockReader, Blocks, reader_in_memory
from livesnn.events.formats.table_columns import (
    AXES,
    MAX_COORDINATE,
    MICROSECONDS,
    NANOSECONDS,
    UNUSABLE,
    ColumnNames,
    Numbers,
    clock_unit,
    columns_to_events,
    find_columns,
    parse_size,
    require_plausible,
    require_unit,
    sample_times,
)
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error
from livesnn.untrusted import DAMAGE, WHOLE_BYTES

BLOCK_EVENTS = 1 << 16
LARGE_EVENTS = 1 << 22  # from here on in blocks, if possible
HELD_EVENTS = WHOLE_BYTES // 26  # with their copy in order of time
_HEAD_BYTES = 1 << 16  # of an array; numpy takes headers of 10,000 at most
_NAME_BYTES = 4096  # of a camera; other programs may call anything "camera"
_COPY_BYTES = 1 << 20
_SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))


class Member(NamedTuple):
    """An array of the archive, by its own header; ``start`` is where its items lie, or None if compressed."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    header_bytes: int
    start: int | None

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def octets(self) -> int:
        return self.items * max(self.dtype.itemsize, 1)


def open_npz(path: Path) -> BlockReader:
    """Open a .npz with columns t, x, y, p, under these or other usual names.

    Whole numbers in ``t`` are µs, unless the column is called t_ms or t_ns, or they are nanoseconds since 1970.
    Fractions are seconds or milliseconds, by the rate of events. ``p`` is 0 and 1, -1 and 1, or bool. The arrays
    ``width`` and ``height`` give the sensor's size; without them it is the smallest usual sensor that holds the
    events, with a warning. ``camera``, if text, is the camera's name.

    Raises FormatError when a column is missing or unsuitable, most events are invalid, or the file is damaged.
    """
    try:
        return _open(path)
    except MemoryError as error:
        raise FormatError(
            f"{path}: it has more events than fit in the free memory: split it into shorter files"
        ) from error
    except OSError as error:
        # None comes from the decompressor, EINVAL from seeking before the file's start.
        if error.errno in (None, errno.EINVAL):
            raise FormatError(f"{path}: not a sound .npz ({error}): save it again") from error
        raise SourceError(f"{path}: can't be read ({reason_of(error)}): check the path and permissions") from error
    except DAMAGE as error:
        raise FormatError(f"{path}: not a sound .npz ({reason_of(error)}): save it again") from error


def _open(path: Path) -> BlockReader:
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
        if (name := members.get("camera")) is not None and (name.dtype.kind != "U" or name.items != 1):
            del members["camera"]
        in_blocks = _check_columns(path, members)
        read = {
            name: _read_array(archive, member.name)
            for name, member in members.items()
            if name not in AXES and member.octets <= _NAME_BYTES
        }
        resolution = _stated_resolution(path, read)
        camera = str(read["camera"].item()) if "camera" in read else ""
        if in_blocks:
            return _open_blocks(path, members, named, EventStream("events", camera, resolution))
        events, warnings = _events(path, archive, members, named)
    require_plausible(path, events, resolution)
    if resolution is None:
        resolution, assumed = _guess_resolution(events)
        warnings.append(assumed)
    return reader_in_memory(events, resolution, format_name="npz", camera=camera, warnings=warnings)


def _measure(archive: zipfile.ZipFile, member: str) -> Member:
    """Return an array's size and position by its own header, before any memory of that size is taken."""
    known = archive.getinfo(member)
    if known.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member} is compressed in a way that numpy doesn't write")
    with archive.open(member) as file:
        head = io.BytesIO(file.read(_HEAD_BYTES))  # numpy reads as much as the header claims to be
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, _, dtype = read(head)
    except ValueError as error:
        raise ValueError(f"the header of {member} is damaged") from error
    header_bytes = head.tell()
    if min(shape, default=0) < 0:
        raise ValueError(f"{member} has a negative size")
    stored = known.compress_type == zipfile.ZIP_STORED and not known.flag_bits & 1 and len(shape) == 1
    whole = known.file_size == header_bytes + math.prod(shape) * dtype.itemsize
    start = _start(archive, known) + header_bytes if stored and whole else None
    return Member(member, shape, dtype, header_bytes, start)


def _start(archive: zipfile.ZipFile, known: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin, after its local header, whose name and extra field vary in length."""
    file = archive.fp
    if file is None:
        raise ValueError("the archive is closed")
    file.seek(known.header_offset + 26)
    return known.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))


def _open_blocks(path: Path, members: Mapping[str, Member], named: ColumnNames, stream: EventStream) -> BlockReader:
    with closed_on_error(BufferedFile(path)) as file:
        blocks = StoredBlocks(file, members)
        blocks.unit, warnings = _unit(path, blocks.columns(0)["t"], named)
        require_plausible(path, blocks.read(0), stream.resolution)
    return BlockReader([(stream, blocks)], format_name="npz", warnings=warnings, release=file.close)


class StoredBlocks(Blocks):
    """The events of columns that lie uncompressed in a file."""

    def __init__(self, file: BufferedFile, members: Mapping[str, Member]) -> None:
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
        return columns_to_events(self.columns(number), self.unit)


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
        return NANOSECONDS, ["the file doesn't give the unit of its times: ns assumed (since 1970)"]
    unit, assumed = require_unit(path, sample_times(t), "save it as t_s, t_ms or t_us")
    return unit, [assumed]


def _check_columns(path: Path, members: Mapping[str, Member]) -> bool:
    """Return whether t, x, y and p are to be read in blocks.

    Raises FormatError unless they are lists of numbers, of one length, that can be read so, or be held.
    """
    shapes = {members[axis].shape for axis in AXES}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise FormatError(f"{path}: t, x, y, p have the shapes {sorted(map(str, shapes))}: save lists of one length")
    for axis in AXES:
        if members[axis].dtype.kind not in ("iufb" if axis == "p" else "iuf"):
            raise FormatError(f"{path}: {axis} must be numbers, not {members[axis].dtype}: convert it")
    in_parts = all(members[axis].start is not None for axis in AXES)
    if not in_parts and members["t"].items > HELD_EVENTS:
        raise FormatError(
            f"{path}: more than {HELD_EVENTS:,} events are too many to hold: "
            f"save it with numpy.savez, uncompressed, so that it can be read in parts, or split it"
        )
    return in_parts and members["t"].items >= LARGE_EVENTS


def _events(
    path: Path, archive: zipfile.ZipFile, members: Mapping[str, Member], named: ColumnNames
) -> tuple[Events, list[str]]:
    """Return all events, of columns that are decompressed block by block, and what was assumed."""
    events = np.empty(members["t"].items, EVENTS_DTYPE)
    unit, warnings = MICROSECONDS, list[str]()
    with contextlib.ExitStack() as stack:
        files = {axis: stack.enter_context(archive.open(members[axis].name)) for axis in AXES}
        for axis, file in files.items():
            file.read(members[axis].header_bytes)
        for first in range(0, events.size, BLOCK_EVENTS):
            block = events[first : first + BLOCK_EVENTS]
            columns = {axis: _read_items(file, members[axis], block.size) for axis, file in files.items()}
            if not first:
                unit, warnings = _unit(path, columns["t"], named)
            block[:] = columns_to_events(columns, unit)
    return events, warnings


def _read_items(file: IO[bytes], member: Member, count: int) -> Numbers:
    octets = file.read(count * member.dtype.itemsize)
    if len(octets) < count * member.dtype.itemsize:
        raise ValueError(f"{member.name} ends before its last number")
    return np.frombuffer(octets, member.dtype)


def _stated_resolution(path: Path, columns: Mapping[str, Numbers]) -> Resolution | None:
    if "width" not in columns or "height" not in columns:
        return None
    sides = (columns[name] for name in ("width", "height"))
    texts = (str(side.item()) if side.size == 1 and side.dtype.kind in "iu" else "" for side in sides)
    resolution = parse_size(*texts)
    if resolution is None:
        raise FormatError(
            f"{path}: width and height must each be one integer from 1 to {MAX_COORDINATE + 1}: correct them, or "
            "leave both out"
        )
    return resolution


def _guess_resolution(events: Events) -> tuple[Resolution, str]:
    usable = events["x"] != UNUSABLE
    right, bottom = (int(events[axis].max(initial=0, where=usable)) for axis in ("x", "y"))
    fits = (Resolution(*size) for size in _SENSORS if right < size[0] and bottom < size[1])
    sensor = next(fits, Resolution(right + 1, bottom + 1))
    return sensor, f"the file doesn't give width and height: {sensor.words} assumed"


def write_npz(path: Path, packets: Iterable[Events], resolution: Resolution, camera: str) -> None:
    """Write packets one after the other to a new file, in their order and in bounded memory.

    Each column is first collected in a nameless file beside it, because its length comes before it. The disk needs
    room for twice 13 bytes per event. Nothing is compressed, so that large files can be read in blocks. Raises
    FormatError when the sensor is too large for `open_npz`; no file is made then. Raises OSError when the file exists
    or can't be written; what was written stays.
    """
    if max(resolution) > MAX_COORDINATE + 1:
        raise FormatError(f"{path}: .npz can't hold a sensor of {resolution.words}")
    with contextlib.ExitStack() as stack:
        columns = {axis: stack.enter_context(tempfile.TemporaryFile(dir=path.parent)) for axis in AXES}
        for packet in packets:
            for axis, column in columns.items():
                column.write(packet[axis].tobytes())
        file = stack.enter_context(open(path, "xb"))
        archive = zipfile.ZipFile(file, "w")
        try:
            for axis, column in columns.items():
                with archive.open(f"{axis}.npy", "w", force_zip64=True) as member:
                    _copy_column(column, EVENTS_DTYPE[axis], member)
            for name, value in {**resolution._asdict(), "camera": camera}.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(value))
        except BaseException:
            archive.fp = None  # unfinished: close would raise another error after a Ctrl-C within open
            raise
        archive.close()


def _copy_column(column: IO[bytes], kind: np.dtype[np.generic], member: IO[bytes]) -> None:
    shape = (column.tell() // kind.itemsize,)
    about = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, about)
    column.seek(0)
    shutil.copyfileobj(column, member, _COPY_BYTES)
