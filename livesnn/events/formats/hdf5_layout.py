"""Where events lie in an HDF5 file, whether they can be read (hdf5.py does), and what its attributes say.

libhdf5 (2.0.0) trusts damaged attributes. A text such as ``geometry`` lies in a "global heap": libhdf5 allocates as
much memory as the attribute claims, 4 GB, and never ends in a heap with an object of size 0. So both are checked
here before libhdf5 reads them, until it does so itself. Layout: "HDF5 File Format Specification", III.E and
IV.A.2.m.
"""

from __future__ import annotations

import importlib
import io
import math
import re
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import h5py
import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.table_columns import AXES, ColumnNames, find_columns, parse_size, unit_named
from livesnn.events.packet import TIME_LIMIT_US, Resolution
from livesnn.files import cannot_open
from livesnn.untrusted import ENTRIES, PIECE_BYTES, STREAMS, STRUCTURE_BYTES

ECF_FILTER = 36559
MAX_CHUNK_EVENTS = 65535  # in ECF
BLOCK_EVENTS = 1 << 16
_DEPTH = 16  # of groups within one another
_FEW_EVENTS, _EVENTS_A_BYTE = 10_000_000, 32  # even times in equal steps pack to 12 events a byte
_UNSAFE = {
    h5py.h5z.FILTER_NBIT: "N-bit",
    h5py.h5z.FILTER_SCALEOFFSET: "scale-offset",
    h5py.h5z.FILTER_SZIP: "SZIP",
}
"""Filters of libhdf5 that end the process where their parameters are damaged (2.0.0: 17 of 1,161 edits)."""
_FEW_ROWS, _MANY_CHUNKS = 64, 1_000  # in a chunk, of which each takes some 50 µs
_CACHE_SLOTS = 521
_NODE_BYTES = 1 << 16  # of one piece; libhdf5 reads more than that at once only of events
_HEAP = b"GCOL\x01\x00\x00\x00"
_HEAP_HEAD_BYTES = 16
_OBJECT = struct.Struct("<HHIQ")  # index (0: free space), references, reserved, bytes
_POINTER = struct.Struct("<IQI")  # bytes, the heap's address, index in it

Owner: TypeAlias = h5py.Group | h5py.Dataset


class Place(NamedTuple):
    """Where a stream's events lie.

    ``parts`` maps t, x, y, p to their datasets of numbers [n]. In a structured dataset all map to the same one, and
    ``fields`` maps them to its fields. ``unit`` is None if the file doesn't give it.
    """

    name: str
    parts: Mapping[str, h5py.Dataset]
    fields: Mapping[str, str] | None
    n: int
    unit: str | None
    offset_us: int
    resolution: Resolution | None

    @property
    def packed(self) -> bool:
        """Whether the events are compressed by Prophesee's ECF."""
        return filters_of(self.parts["t"]) == [ECF_FILTER]


def find_places(path: Path, file: h5py.File, attributes: Attributes) -> list[Place]:
    """Return where the file has events, in its order.

    Raises FormatError when there are none or they can't be read: compressed by a missing filter, of different
    lengths, or fewer than the file claims.
    """
    places: list[Place] = []
    for name, parts, columns in _tables(_datasets(file)):
        if len(places) == STREAMS:
            raise FormatError(f"{path}: it has more than {STREAMS} streams of events: split it into several files")
        places.append(_place(path, file, attributes, name, parts, columns))
    if not places:
        raise FormatError(
            f"{path}: no events in it (found: {_found(file)}): give a file with datasets t, x, y, p of numbers in "
            f"one group, or one dataset with these fields"
        )
    return places


def _tables(datasets: Mapping[str, h5py.Dataset]) -> Iterator[tuple[str, Mapping[str, h5py.Dataset], ColumnNames]]:
    """Yield the name, the `Place.parts` and the columns of structured datasets, and then of groups of plain ones."""
    groups: dict[str, dict[str, h5py.Dataset]] = {}
    for name, dataset in datasets.items():
        if (fields := dataset.dtype.names) is not None:
            columns = find_columns(fields)
            if not columns.missing and _numeric([dataset.dtype[field] for field in fields]):
                yield name, dict.fromkeys(AXES, dataset), columns
        elif _numeric([dataset.dtype]):
            group, _, member = name.rpartition("/")
            groups.setdefault(group, {})[member] = dataset
    for group, members in groups.items():
        columns = find_columns(members)
        if not columns.missing:
            yield group or "events", {axis: members[columns.by_axis[axis]] for axis in AXES}, columns


def count_triggers(file: h5py.File) -> int:
    """Return how many external triggers a Prophesee file has."""
    home = _own(file, "EXT_TRIGGER")
    triggers = _own(home, "events") if isinstance(home, h5py.Group) else None
    shape = triggers.shape if isinstance(triggers, h5py.Dataset) else None
    return int(shape[0]) if shape is not None and len(shape) == 1 else 0


def _own(group: h5py.Group, name: str) -> Owner | None:
    """Return what a group has under a name; None if there is nothing, or a link, which may lead anywhere."""
    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the file's own one-dimensional datasets; links to other files are not followed."""
    chunk_bytes = {
        name: int(dataset.chunks[0]) * dataset.dtype.itemsize if dataset.chunks else 0
        for name, dataset in _walk(file)
        if dataset.shape is not None and len(dataset.shape) == 1
    }
    return {name: _open_with_cache(file, name, octets) for name, octets in chunk_bytes.items()}


def _walk(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the file's own datasets by name, each once, the outer ones first, of a bounded part of the file.

    h5py's own `visititems` goes down 3,000 groups within one another, which takes minutes.
    """
    groups: deque[tuple[str, h5py.Group]] = deque([("", file["/"])])
    seen = {h5py.h5o.get_info(file.id).addr}
    left = ENTRIES
    while groups and left:
        prefix, group = groups.popleft()
        for name in islice(group, left):
            left -= 1
            if (item := _own(group, name)) is None:
                continue
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen and isinstance(item, h5py.Dataset):
                yield prefix + name, item
            elif address not in seen and isinstance(item, h5py.Group) and prefix.count("/") < _DEPTH:
                groups.append((f"{prefix}{name}/", item))
            seen.add(address)


def _found(file: h5py.File) -> str:
    """Return the first datasets of any kind with their shapes, and say which aren't numbers."""
    found: list[str] = []
    for name, item in islice(_walk(file), 8):
        if item.dtype.names is None:
            found.append(f"{name} {item.shape}{'' if _numeric([item.dtype]) else ' (not numbers)'}")
        else:
            found.append(f"{name} {item.shape} of {', '.join(item.dtype.names)}")
    return ", ".join(found) or "nothing"


def _numeric(dtypes: list[np.dtype[np.generic]]) -> bool:
    return all(dtype.kind in "iufb" and dtype.shape == () for dtype in dtypes)


def _place(
    path: Path,
    file: h5py.File,
    attributes: Attributes,
    name: str,
    parts: Mapping[str, h5py.Dataset],
    columns: ColumnNames,
) -> Place:
    lengths = {int(dataset.shape[0]) for dataset in parts.values()}
    if len(lengths) != 1:
        raise FormatError(f"{path}: {name} has columns of different lengths {sorted(lengths)}: it is damaged")
    for dataset in {dataset.id: dataset for dataset in parts.values()}.values():
        _check(path, dataset)
    n, octets = lengths.pop(), parts["t"].id.get_storage_size()
    if n > max(_FEW_EVENTS, octets * _EVENTS_A_BYTE):
        raise FormatError(
            f"{path}: {name} claims {n:,} events whose times take {octets:,} bytes, which no recording does: "
            "it is damaged"
        )
    fields = None if parts["t"].dtype.names is None else columns.by_axis
    home = parts["t"].parent
    owners = [parts["t"], home, file]
    from_dsec = "ms_to_idx" in home or "ms_to_idx" in file
    from_prophesee = fields is not None and home.name == "/CD"
    units = (unit_named(attributes.text(parts["t"], key)) for key in ("unit", "units"))
    return Place(
        name=name,
        parts=parts,
        fields=fields,
        n=n,
        unit=columns.unit
        or next((unit for unit in units if unit), None)
        or ("µs" if from_dsec or from_prophesee else None),
        offset_us=_offset(home, file, attributes),
        resolution=next((size for owner in owners if (size := attributes.resolution(owner)) is not None), None),
    )


def filters_of(dataset: h5py.Dataset) -> list[int]:
    made = dataset.id.get_create_plist()
    return [made.get_filter(i)[0] for i in range(made.get_nfilters())]


def _check(path: Path, dataset: h5py.Dataset) -> None:
    """Raise FormatError when a dataset can't be read in bounded memory."""
    name, n = dataset.name, int(dataset.shape[0])
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{path}: {name} lies in other files, which isn't supported: copy it into one file")
    chunk = int(dataset.chunks[0]) if dataset.chunks else 0
    if max(chunk, BLOCK_EVENTS) * dataset.dtype.itemsize > PIECE_BYTES:
        raise FormatError(f"{path}: {name} has chunks of {chunk:,} items, which don't fit in memory: repack it")
    if 0 < chunk < _FEW_ROWS and n > chunk * _MANY_CHUNKS:
        raise FormatError(f"{path}: {name} has chunks of {chunk} items, which take too long to read: repack it")
    stored = (
        dataset.id.get_num_chunks() * chunk
        if chunk
        else dataset.id.get_storage_size() // max(dataset.dtype.itemsize, 1)
    )
    if stored < n:
        raise FormatError(f"{path}: {name} claims {n:,} items, but has {stored:,}: it is damaged or unfinished")
    filters = filters_of(dataset)
    if filters == [ECF_FILTER]:
        if dataset.dtype.names is None or chunk > MAX_CHUNK_EVENTS:
            raise FormatError(f"{path}: {name} can't be ECF events ({chunk:,} in a chunk): it is damaged")
        return
    if unsafe := [_UNSAFE[known] for known in filters if known in _UNSAFE]:
        raise FormatError(
            f"{path}: {name} is packed by HDF5's {unsafe[0]} filter, which isn't safe to read: "
            f"repack it, such as by h5repack -f GZIP=4"
        )
    order = [known for known in filters if known != h5py.h5z.FILTER_FLETCHER32]
    packing = [known for known in order if known != h5py.h5z.FILTER_SHUFFLE]
    if packing and packing != order[-1:]:  # how much it unpacks to couldn't be told
        raise FormatError(f"{path}: {name} is compressed more than once, which isn't supported: repack it")
    missing = [known for known in filters if not h5py.h5z.filter_avail(known)]
    if missing and not _plugins_help(missing):
        raise FormatError(
            f"{path}: {name} is compressed by HDF5 filter {missing[0]}, which the package hdf5plugin may have: "
            f"pip install hdf5plugin"
        )


def _plugins_help(missing: list[int]) -> bool:
    try:
        importlib.import_module("hdf5plugin")  # which makes its filters known to HDF5
    except ImportError:
        return False
    return all(h5py.h5z.filter_avail(known) for known in missing)


def _open_with_cache(file: h5py.File, name: str, chunk_bytes: int) -> h5py.Dataset:
    """Open a dataset so that a whole chunk fits its cache; otherwise reading a part decompresses the whole chunk.

    It must not be open already, because HDF5 keeps the cache that it was first opened with.
    """
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(_CACHE_SLOTS, min(max(1 << 20, chunk_bytes), PIECE_BYTES), 0.75)
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(errors="surrogateescape"), access), readonly=True)


def _offset(home: h5py.Group, file: h5py.File, attributes: Attributes) -> int:
    """Return what must be added to the times, DSEC's ``t_offset`` in µs; warn if it is invalid."""
    for owner in (home, file):
        if not isinstance(offset := _own(owner, "t_offset"), h5py.Dataset):
            continue
        if offset.is_virtual or offset.external:  # libhdf5 may crash on it, or read a file of somebody else
            attributes.warnings.append("t_offset lies in other files, and isn't added to the times")
            return 0
        if offset.size == 1 and offset.dtype.kind in "iuf" and offset.chunks is None:
            value = float(np.asarray(offset[()]).item())
            if value.is_integer() and abs(value) < TIME_LIMIT_US // 2:
                return int(value)
        attributes.warnings.append("t_offset isn't one whole number of µs, and isn't added to the times")
        return 0
    return 0


class WatchedFile(io.FileIO):
    """A file opened for h5py that remembers which parts libhdf5 has read as structure; raises SourceError."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path)
        except OSError as error:
            raise cannot_open(path, error) from error
        self._pieces: dict[int, bytes] = {}
        self._watched_bytes = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        start = self.tell()
        filled = super().readinto(buffer) or 0
        known = len(self._pieces.get(start, b""))
        if known < filled <= _NODE_BYTES and self._watched_bytes < STRUCTURE_BYTES:
            self._pieces[start] = bytes(buffer[:filled])
            self._watched_bytes += filled
        return filled

    def read_at(self, start: int, size: int) -> bytes:
        self.seek(start)
        return self.read(size) or b""

    def structure(self) -> bytes:
        """Return what libhdf5 has read as structure, in the order of the file."""
        joined, end = bytearray(), 0
        for start, piece in sorted(self._pieces.items()):
            joined += piece[max(end - start, 0) :]
            end = max(end, start + len(piece))
        return bytes(joined)


class Attributes:
    """The attributes of a file's objects, if they can be read safely."""

    def __init__(self, file: WatchedFile) -> None:
        self._file = file
        self.warnings: list[str] = []  # which attributes couldn't be read, and what else is ignored

    def text(self, owner: Owner, name: str) -> str:
        """Return an attribute as text; "" if there is none, or it isn't one text or number."""
        if name not in owner.attrs:
            return ""
        kept = owner.attrs.get_id(name)
        string = h5py.check_string_dtype(kept.dtype)
        if kept.shape is None or math.prod(kept.shape) != 1 or kept.dtype.itemsize > STRUCTURE_BYTES:
            return ""
        if kept.dtype.hasobject and (string is None or not self._is_sound(name)):
            self.warnings.append(f"the attribute {name} is damaged, and left out")
            return ""
        first = np.asarray(owner.attrs[name]).reshape(-1)[0]
        return first.decode(errors="replace") if isinstance(first, bytes) else str(first)

    def resolution(self, owner: Owner) -> Resolution | None:
        """Return the sensor's size from ``geometry`` ("1280x720"), or from ``width`` and ``height``."""
        found = re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", self.text(owner, "geometry"))
        sides = found.groups() if found else (self.text(owner, "width"), self.text(owner, "height"))
        return parse_size(*sides)

    def _is_sound(self, name: str) -> bool:
        """Return whether each attribute of that name points to a text of its length in a heap that can be walked."""
        size = struct.pack("<H", len(name) + 1)
        plain = re.escape(name.encode()) + rb"\x00"
        message = re.compile(
            rb"([\x01\x02])[\x00-\x03]" + re.escape(size) + rb"(..)(..)" + plain
            + rb"|(\x03)[\x00-\x03]" + re.escape(size) + rb"(..)(..)." + plain,
            re.DOTALL,
        )  # fmt: skip
        octets = self._file.structure()
        places = [found.start() + _value_offset(found, len(name) + 1) for found in message.finditer(octets)]
        return bool(places) and all(self._points_to_text(octets[place : place + _POINTER.size]) for place in places)

    def _points_to_text(self, pointer: bytes) -> bool:
        if len(pointer) < _POINTER.size:
            return False
        length, heap, wanted = _POINTER.unpack(pointer)
        return heap < 1 << 62 and self._heap_sizes(heap).get(wanted) == length

    def _heap_sizes(self, start: int) -> dict[int, int]:
        """Return how many bytes the objects of a heap have; nothing if it can't be walked to its end."""
        head = self._file.read_at(start, _HEAP_HEAD_BYTES)
        size = int.from_bytes(head[len(_HEAP) :], "little")
        if not head.startswith(_HEAP) or size > STRUCTURE_BYTES:
            return {}
        octets = self._file.read_at(start, size)
        sizes, position = dict[int, int](), _HEAP_HEAD_BYTES
        while position + _OBJECT.size <= len(octets):
            index, _, _, length = _OBJECT.unpack_from(octets, position)
            step = _OBJECT.size + _padded(length) if index else length
            if step < _OBJECT.size or step > size - position:
                return {}
            sizes[index] = length
            position += step
        return sizes


def _padded(size: int) -> int:
    return (size + 7) // 8 * 8


def _value_offset(message: re.Match[bytes], name_bytes: int) -> int:
    """Return where in an attribute's message its value begins, after its name, datatype and dataspace."""
    version, *sizes = (group for group in message.groups() if group is not None)
    parts = [name_bytes, *(int.from_bytes(size, "little") for size in sizes)]
    if version == b"\x01":
        return 8 + sum(_padded(part) for part in parts)
    return (8 if version == b"\x02" else 9) + sum(parts)
