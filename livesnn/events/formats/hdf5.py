"""Events in HDF5: Prophesee's files (compressed by ECF, read without its plugin), DSEC, and plain columns or structs.

Blocks are read one by one, when they are needed.

libhdf5 (2.0.0) trusts damaged attributes. A text such as ``geometry`` lies in a "global heap": libhdf5 allocates as
much memory as the attribute claims, 4 GB, and never ends in a heap with an object of size 0. So both are checked
here before libhdf5 reads them, until it does so itself. Layout: "HDF5 File Format Specification", III.E and
IV.A.2.m.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import re
import struct
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError, reason_of
from livesnn.events.formats.reader import EventStream, OtherContent
from livesnn.events.formats.shared_readers import BlockReader, LossyBlocks
from livesnn.events.formats.table_columns import (
    AXES,
    MICROSECONDS,
    ColumnNames,
    Numbers,
    columns_to_events,
    find_columns,
    parse_size,
    require_plausible,
    require_unit,
    sample_times,
    unit_named,
)
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution
from livesnn.files import cannot_open, closed_on_error
from livesnn.untrusted import DAMAGE, ENTRIES, PIECE_BYTES, STREAMS, STRUCTURE_BYTES

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
_CAMERA_KEYS = ("camera", "camera_name", "sensor_name", "integrator_name")
_TRUSTED_BYTES = 1 << 17  # a chunk of fewer unpacks to 135 MB at most
_MAX_EVENT_BYTES = 16  # of a compressed one, far above what any takes
_ECF_HEADER_BYTES = 12

Owner: TypeAlias = h5py.Group | h5py.Dataset
Octets = npt.NDArray[np.int64]  # widened, since numba makes a float of unsigned and signed together


def open_hdf5(path: Path) -> BlockReader:
    """Open an HDF5 file with events; raises FormatError when there are none, or they can't be read."""
    try:
        with closed_on_error(contextlib.ExitStack()) as opened:
            watched = opened.enter_context(WatchedFile(path))
            opened.enter_context(contextlib.suppress(*DAMAGE))  # from closing it
            file = opened.enter_context(h5py.File(watched, "r"))
            return _open(path, file, Attributes(watched), opened.close)
    except DAMAGE as error:
        raise FormatError(
            f"{path}: not a sound HDF5 file ({reason_of(error)}): it is damaged or cut short: copy it again"
        ) from error


def _open(path: Path, file: h5py.File, attributes: Attributes, release: Callable[[], None]) -> BlockReader:
    names = (attributes.text(file, key).strip()[:100] for key in _CAMERA_KEYS)
    camera = next((name for name in names if name), "")
    streams, warnings = [], []
    for place in find_places(path, file, attributes):
        blocks: Hdf5Blocks
        if place.packed:
            blocks = EcfBlocks(place)
        else:
            blocks = ColumnBlocks(place)
            warnings += _examine(path, place, blocks)
        if blocks.count:
            require_plausible(path, blocks.read(0), place.resolution)
        streams.append((EventStream(place.name, camera, place.resolution), blocks))
    return BlockReader(
        streams,
        format_name="hdf5",
        other=OtherContent(triggers=count_triggers(file)),
        warnings=[*dict.fromkeys([*attributes.warnings, *warnings])],
        release=release,
    )


def _examine(path: Path, place: Place, blocks: ColumnBlocks) -> list[str]:
    """Find the unit of the times if the file doesn't give it; return what was assumed. Raises FormatError."""
    if not place.n or place.unit is not None:
        return []
    try:
        first = blocks.columns(0, min(BLOCK_EVENTS, place.n))
    except DAMAGE as error:
        raise FormatError(f"{path}: the times of {place.name} can't be read: it is damaged") from error
    how = f'give the dataset of t in {place.name} an attribute unit = "s", "ms", "us" or "ns"'
    blocks.unit, assumed = require_unit(path, sample_times(first["t"]), how)
    return [assumed]


class Hdf5Blocks(LossyBlocks):
    """The events of one place, in blocks of ``block_events``; what reads them is in the two kinds below."""

    def __init__(self, place: Place, block_events: int) -> None:
        super().__init__(-(-place.n // block_events), "events")
        self._place = place
        self._block_events = block_events

    def read(self, number: int) -> Events:
        start = number * self._block_events
        size = min(self._block_events, self._place.n - start)
        try:
            events = self._read(start, start + size)
        except DAMAGE:
            events = None
        if events is None or events.size < size:
            self.note_loss(number, size, f"{self._place.name} is damaged from event {start:,} on")
            return np.empty(0, EVENTS_DTYPE)
        return events[:size]

    def _read(self, start: int, end: int) -> Events | None:
        raise NotImplementedError


class ColumnBlocks(Hdf5Blocks):
    """Events in columns or in a structured dataset, which HDF5 itself decompresses."""

    def __init__(self, place: Place) -> None:
        super().__init__(place, BLOCK_EVENTS)
        self.unit = place.unit or MICROSECONDS
        self._chunks: dict[str, Chunks] = {}

    def columns(self, start: int, end: int) -> Mapping[str, Numbers]:
        """Return t, x, y, p of the events from ``start`` to ``end`` as they lie in the file.

        An incomplete part raises one of `DAMAGE`.
        """
        if self._place.fields is None:
            return {axis: self._rows(axis, start, end) for axis in AXES}
        rows = self._rows("t", start, end)
        return {axis: rows[field] for axis, field in self._place.fields.items()}

    def _rows(self, axis: str, start: int, end: int) -> npt.NDArray[np.void]:
        dataset = self._place.parts[axis]
        if dataset.chunks is not None:
            if axis not in self._chunks:
                self._chunks[axis] = Chunks(dataset)
            self._chunks[axis].require_sound(start, end)
        return dataset[start:end]

    def _read(self, start: int, end: int) -> Events:
        return columns_to_events(self.columns(start, end), self.unit, self._place.offset_us)


class Chunks:
    """The chunks of a dataset, each of which is looked at before HDF5 reads it.

    Of one that isn't compressed and isn't all there, HDF5 would fill the rest with whatever lies in memory, for
    example when damage has removed the name of its compression. One that unpacks to more than a chunk, even to
    gigabytes, HDF5 would unpack nevertheless.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._rows = int(dataset.chunks[0])
        self._bytes = self._rows * dataset.dtype.itemsize
        self._filters = filters_of(dataset)
        least, most = (1, self._bytes + self._bytes // 64 + 1024) if self._filters else (self._bytes, self._bytes)
        sizes = _chunk_sizes(dataset)
        self._unsound = sorted(first for first, size in sizes.items() if not least <= size <= most)
        self._large = {first for first, size in sizes.items() if self._filters and size > _TRUSTED_BYTES}

    def require_sound(self, start: int, end: int) -> None:
        """Raise OSError if a chunk of these rows can't be read."""
        begin = start // self._rows * self._rows
        number = bisect_left(self._unsound, begin)
        if number < len(self._unsound) and self._unsound[number] < end:
            raise OSError(f"the chunk from {self._unsound[number]} on isn't all there")
        for first in range(begin, end, self._rows) if self._large else ():
            if first in self._large:
                self._require_size(first)
                self._large.remove(first)

    def _require_size(self, first: int) -> None:
        left_out, octets = self._dataset.id.read_direct_chunk((first,))
        for number, known in enumerate(self._filters):
            if left_out >> number & 1:
                continue
            if (known == h5py.h5z.FILTER_DEFLATE and not _inflates_to(octets, self._bytes)) or (
                known == h5py.h5z.FILTER_LZF and _lzf_size(np.frombuffer(octets, np.uint8)) > self._bytes + 64
            ):
                raise OSError(f"the chunk from {first} on unpacks to more than a chunk")


def _inflates_to(octets: bytes, most: int) -> bool:
    """Return whether zlib unpacks no more than that, if anything."""
    unpacker, size = zlib.decompressobj(), 0
    with contextlib.suppress(zlib.error):  # as HDF5 will find too
        while octets and size <= most:
            size += len(unpacker.decompress(octets, 1 << 24))
            octets = unpacker.unconsumed_tail
    return size <= most


@njit(nogil=True, cache=True)
def _lzf_size(octets: npt.NDArray[np.uint8]) -> int:
    """Return how many bytes LZF unpacks to. Source: lzf_d.c of LibLZF 3.6."""
    position, size = 0, 0
    while position < octets.size:
        control = int(octets[position])
        if control < 32:
            size += control + 1
            position += control + 2
            continue
        length = control >> 5
        position += 1
        if length == 7 and position < octets.size:
            length += int(octets[position])
            position += 1
        size += length + 2
        position += 1
    return size


class EcfBlocks(Hdf5Blocks):
    """Events compressed by Prophesee's ECF, one chunk per block."""

    def __init__(self, place: Place) -> None:
        self._dataset = place.parts["t"]
        super().__init__(place, int(self._dataset.chunks[0]))
        self._stored: dict[int, int] | None = None

    def _read(self, start: int, end: int) -> Events | None:
        if self._stored is None:
            self._stored = _chunk_sizes(self._dataset)
        if not 0 < self._stored.get(start, 0) <= (self._block_events + 1) * _MAX_EVENT_BYTES:
            return None
        uncompressed, octets = self._dataset.id.read_direct_chunk((start,))
        if uncompressed:
            rows = np.frombuffer(octets, self._dataset.dtype)
            columns = {axis: rows[field] for axis, field in (self._place.fields or {}).items()}
            return columns_to_events(columns, MICROSECONDS, self._place.offset_us)
        if (events := decode_ecf(octets)) is not None:
            events["t"] += self._place.offset_us
        return events


def _chunk_sizes(dataset: h5py.Dataset) -> dict[int, int]:
    """Return the size in bytes of each chunk in the file by its first row; 0 where the list of chunks is damaged.

    All are listed at once, because HDF5 goes through all chunks before the one it is asked for: of 32,000, each of
    the last 2,000 took 8 ms, and all at once 0.4 s (HDF5 2.0, one run on two busy cores).
    """
    (rows,) = dataset.chunks
    sizes: dict[int, int] = {}

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        sizes[chunk.chunk_offset[0]] = chunk.size

    try:
        dataset.id.chunk_iter(note)
    except DAMAGE:
        listed = max(sizes, default=-rows) + rows
        sizes.update(dict.fromkeys(range(listed, dataset.shape[0], rows), 0))
    return sizes


def decode_ecf(packed: bytes) -> Events | None:
    """Return the events of a chunk of ECF, EVENTS_DTYPE [N]; None if it is damaged.

    ECF is Prophesee's "event compression format": a chunk of up to 65,535 events, column after column, little-endian.
    This decoder is our own, written after Prophesee's reference codec (github.com/prophesee-ai/hdf5_ecf).

    - u32: number of events << 2 | whether y, x and p are packed << 1 | whether x and p are packed
    - t: u64, the first time, then bytes (step << 4 | run): time advances by step, and run events have it. After a run
      of 15 the true one follows as u16. A step of 15 makes the run four bits of a larger step, the least significant
      first, which is added at the next byte with another step
    - if y, x and p are packed: four events in 12 bytes, as four numbers (y << 12 | x << 1 | p) of 24 bits
    - otherwise y: u16 (y << 5 | run); after a run of 31 the true one follows as u16; and then
      either x and p packed: four events in 6 bytes, as four numbers (x << 1 | p) of 12 bits;
      or x: u16 (x << 5 | mask), the mask's highest bit for an event at x + 1, its lowest for one at x + 5;
      and p: bytes (p << 7 | run), with the true run as u16 after a run of 127
    """
    if len(packed) < _ECF_HEADER_BYTES:
        return None
    head, start_us = struct.unpack_from("<IQ", packed)
    if head >> 2 > MAX_CHUNK_EVENTS or start_us >= TIME_LIMIT_US or head & 3 == 3:
        return None
    octets = np.frombuffer(packed, np.uint8).astype(np.int64)
    events = np.zeros(head >> 2, EVENTS_DTYPE)
    position = _decode_times(octets, start_us, events["t"])
    if not head & 2:
        position = _decode_runs(octets, position, events["y"], word_bytes=2, run_bits=5)
    if head & 3:
        position = _decode_packed(octets, position, events, bits=24 if head & 2 else 12)
    else:
        position = _decode_columns(octets, position, events["x"])
        position = _decode_runs(octets, position, events["p"], word_bytes=1, run_bits=7)
    return events if position >= 0 else None


@njit(nogil=True, cache=True)
def _word(octets: Octets, position: int, word_bytes: int) -> int:
    """Return the number at ``position``, or -1 beyond the end."""
    if position < 0 or position + word_bytes > octets.size:
        return -1
    word = 0
    for i in range(word_bytes):
        word |= octets[position + i] << 8 * i
    return word


@njit(nogil=True, cache=True)
def _decode_times(octets: Octets, start_us: int, times: npt.NDArray[np.int64]) -> int:
    """Write all times; return where they end, or -1 if they are damaged, as the functions below do."""
    position, n = _ECF_HEADER_BYTES, 0
    t, step, shift = start_us, 0, 0
    while n < times.size:
        if position >= octets.size or shift > 56:
            return -1
        high, low = octets[position] >> 4, octets[position] & 15
        position += 1
        if high == 15:
            step |= low << shift
            shift += 4
            continue
        t += step + high
        step = shift = 0
        if low == 15:
            low = _word(octets, position, 2)
            position += 2
        if low < 0 or n + low > times.size or t < 0 or t >= TIME_LIMIT_US:
            return -1
        times[n : n + low] = t
        n += low
    return position


@njit(nogil=True, cache=True)
def _decode_packed(octets: Octets, position: int, events: Events, bits: int) -> int:
    """Write x and p, four events from three words; if each event has 24 bits, y as well."""
    word_bytes, part = bits // 6, bits // 3
    end = position + (events.size + 3) // 4 * 3 * word_bytes
    if position < 0 or end > octets.size:
        return -1
    four = np.empty(4, np.int64)
    for first in range(0, events.size, 4):
        a = _word(octets, position, word_bytes)
        b = _word(octets, position + word_bytes, word_bytes)
        c = _word(octets, position + 2 * word_bytes, word_bytes)
        four[0], four[1] = a >> part, a & (1 << part) - 1 | b >> 2 * part << part
        four[2], four[3] = b & (1 << 2 * part) - 1 | c >> bits << 2 * part, c & (1 << bits) - 1
        for i in range(first, min(first + 4, events.size)):
            packed = four[i - first]
            events[i].x, events[i].p = packed >> 1 & 0x7FF, packed & 1 != 0
            if bits == 24:
                events[i].y = packed >> 12 & 0x7FF
        position += 3 * word_bytes
    return position


@njit(nogil=True, cache=True)
def _decode_runs(
    octets: Octets, position: int, values: npt.NDArray[np.generic], word_bytes: int, run_bits: int
) -> int:
    """Write values that stand above the length of their run; if that has all bits set, the true length follows."""
    n, longest = 0, (1 << run_bits) - 1
    while n < values.size:
        word = _word(octets, position, word_bytes)
        if word < 0:
            return -1
        run = word & longest
        position += word_bytes
        if run == longest:
            run = _word(octets, position, 2)
            position += 2
        if run < 0 or n + run > values.size:
            return -1
        values[n : n + run] = word >> run_bits
        n += run
    return position


@njit(nogil=True, cache=True)
def _decode_columns(octets: Octets, position: int, columns: npt.NDArray[np.uint16]) -> int:
    n = 0
    while n < columns.size:
        word = _word(octets, position, 2)
        if word < 0:
            return -1
        position += 2
        columns[n] = word >> 5
        n += 1
        for ahead in range(1, 6):
            if word >> (5 - ahead) & 1 and n < columns.size:  # the last word may have more than there are
                columns[n] = (word >> 5) + ahead
                n += 1
    return position


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
