"""Events in HDF5: Prophesee's files (compressed by ECF, read without its plugin), DSEC, and plain columns or structs.

Blocks are read one by one, when they are needed. Where the events lie in a file is found by hdf5_layout.py.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError, reason_of
from livesnn.events.formats.hdf5_layout import (
    BLOCK_EVENTS,
    MAX_CHUNK_EVENTS,
    Attributes,
    Place,
    WatchedFile,
    count_triggers,
    filters_of,
    find_places,
)
from livesnn.events.formats.reader import EventStream, OtherContent
from livesnn.events.formats.shared_readers import BlockReader, LossyBlocks
from livesnn.events.formats.table_columns import (
    AXES,
    MICROSECONDS,
    Numbers,
    columns_to_events,
    require_plausible,
    require_polarity,
    require_unit,
    sample_times,
)
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events
from livesnn.files import closed_on_error
from livesnn.untrusted import DAMAGE

_CAMERA_KEYS = ("camera", "camera_name", "sensor_name", "integrator_name")
_TRUSTED_BYTES = 1 << 17  # a chunk of fewer unpacks to 135 MB at most
_MAX_EVENT_BYTES = 16  # of a compressed one, far above what any takes
_ECF_HEADER_BYTES = 12

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
    """Find the unit of the times if the file doesn't give it; return what was assumed.

    Raises FormatError when the unit isn't clear, or p isn't a polarity.
    """
    if not place.n:
        return []
    try:
        first = blocks.columns(0, min(BLOCK_EVENTS, place.n))
    except DAMAGE as error:
        if place.unit is not None:  # other blocks may be sound
            return []
        raise FormatError(f"{path}: the times of {place.name} can't be read: it is damaged") from error
    require_polarity(path, first["p"])
    if place.unit is not None:
        return []
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
