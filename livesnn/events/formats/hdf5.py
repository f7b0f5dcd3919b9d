"""Events in HDF5: Prophesee's files (packed by ECF, without its plugin), DSEC, columns or structures of any origin.

Blocks are read one by one, as they are wanted. Not here: where the events lie (hdf5_layout.py), ECF (hdf5_ecf.py).
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError
from livesnn.events.formats import EventStream, OtherContent
from livesnn.events.formats.blocks import BlockReader, Blocks, BlockStream, Losses
from livesnn.events.formats.columns import (
    AXES,
    MICROSECONDS,
    Numbers,
    events_of_columns,
    judge,
    require_polarity,
    require_unit,
    sample_times,
)
from livesnn.events.formats.hdf5_attributes import Attributes, WatchedFile
from livesnn.events.formats.hdf5_ecf import decode_ecf
from livesnn.events.formats.hdf5_layout import (
    DAMAGE,
    Place,
    count_triggers,
    damage_as_errors,
    find_places,
)
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.files import require_file

BLOCK_EVENTS = 1 << 16
_CAMERA_KEYS = ("camera", "camera_name", "sensor_name", "integrator_name")
_MAX_EVENT_BYTES = 16  # of a packed one; far above what any takes


def open_hdf5(path: Path) -> BlockReader:
    """Open an HDF5 file with events.

    Raises
    ------
    FormatError
        When it has no events, or they can't be read; when the unit of its times can't be told; when it is damaged.
    """
    require_file(path)
    opened = contextlib.ExitStack()
    try:
        watched = opened.enter_context(WatchedFile(path))
        with damage_as_errors(path, "not a sound HDF5 file"):
            file = h5py.File(watched, "r")
            opened.callback(_close, file)
            return _open(path, file, Attributes(watched), opened.close)
    except BaseException:
        opened.close()
        raise


def _close(file: h5py.File) -> None:
    with contextlib.suppress(*DAMAGE):
        file.close()


def _open(path: Path, file: h5py.File, attributes: Attributes, release: Callable[[], None]) -> BlockReader:
    names = (attributes.text(file, key).strip()[:100] for key in _CAMERA_KEYS)
    camera = next((name for name in names if name), "")
    streams, warnings = [], []
    for place in find_places(path, file, attributes):
        blocks: Blocks
        if place.packed:
            blocks = EcfBlocks(place)
        else:
            columns = Columns(place)
            unit, assumed = _examine(path, place, columns)
            warnings += assumed
            blocks = ColumnBlocks(place, columns, unit)
        if blocks.count:
            judge(path, blocks.read(0), place.resolution)
        streams.append(BlockStream(EventStream(place.name, camera, place.resolution), blocks))
    return BlockReader(
        streams,
        format_name="hdf5",
        other=OtherContent(triggers=count_triggers(file)),
        warnings=[*attributes.warnings, *dict.fromkeys(warnings)],
        release=release,
    )


def _examine(path: Path, place: Place, columns: Columns) -> tuple[str, list[str]]:
    """Return (the unit of the times, what was assumed of it); raises FormatError where p isn't what it should be."""
    if not place.n:
        return place.unit or MICROSECONDS, []
    try:
        first = columns.read(0, min(BLOCK_EVENTS, place.n))
    except DAMAGE as error:
        if place.unit is not None:  # other blocks may be sound
            return place.unit, []
        raise FormatError(f"{path}: the times of {place.name} can't be read: it is damaged") from error
    require_polarity(path, first["p"])
    if place.unit is not None:
        return place.unit, []
    how = f'give the dataset of t in {place.name} an attribute unit = "s", "ms", "us" or "ns"'
    unit, assumed = require_unit(path, sample_times(first["t"]), how)
    return unit, [assumed]


class Columns:
    """The events of a place, a part at a time; a part that isn't all there raises what `DAMAGE` has.

    HDF5 takes whatever lies in memory for what an unpacked chunk lacks, as where damage has removed the name of its
    packing.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._short: dict[str, list[int]] = {}

    def read(self, start: int, end: int) -> Mapping[str, Numbers]:
        """Return t, x, y, p of the events from ``start`` to ``end``, as they lie in the file."""
        if self._place.fields is None:
            return {axis: self._rows(axis, start, end) for axis in AXES}
        rows = self._rows("t", start, end)
        return {axis: rows[field] for axis, field in self._place.fields.items()}

    def _rows(self, axis: str, start: int, end: int) -> npt.NDArray[np.void]:
        dataset = self._place.parts[axis]
        if axis not in self._short:
            self._short[axis] = _short_chunks(dataset)
        short = self._short[axis]
        next_short = bisect_left(short, start // dataset.chunks[0] * dataset.chunks[0]) if short else 0
        if next_short < len(short) and short[next_short] < end:
            raise OSError(f"the chunk from {short[next_short]} on isn't all there")
        found: npt.NDArray[np.void] = dataset[start:end]
        return found


def _short_chunks(dataset: h5py.Dataset) -> list[int]:
    """Return the first rows of unpacked chunks that aren't all there, or may not be."""
    if dataset.chunks is None or dataset.id.get_create_plist().get_nfilters():
        return []
    whole = dataset.chunks[0] * dataset.dtype.itemsize
    return sorted(first for first, size in _chunk_sizes(dataset).items() if size != whole)


def _chunk_sizes(dataset: h5py.Dataset) -> dict[int, int]:
    """Return the octets of each chunk in the file by its first row; 0 from where the list of chunks is damaged.

    Not chunk by chunk: to tell of one HDF5 goes through all before it. Of 32,000 it took 8 ms for each of the last
    2,000, and 0.4 s for all of them at once (HDF5 2.0, one run on two busy cores).
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


class ColumnBlocks:
    """Events in columns or in a structured dataset, by HDF5's own means; see `Blocks`."""

    def __init__(self, place: Place, columns: Columns, unit: str) -> None:
        self._place = place
        self._columns = columns
        self._unit = unit
        self._losses = Losses("events")
        self.count = -(-place.n // BLOCK_EVENTS)

    @property
    def warnings(self) -> list[str]:
        """What is lost, as far as read."""
        return self._losses.warnings

    def read(self, number: int) -> Events:
        """Return a block's events; none when a part of it can't be unpacked."""
        start = number * BLOCK_EVENTS
        end = min(start + BLOCK_EVENTS, self._place.n)
        try:
            columns = self._columns.read(start, end)
        except DAMAGE:
            self._losses.note(number, end - start, f"{self._place.name} is damaged from event {start:,} on")
            return np.empty(0, EVENTS_DTYPE)
        return events_of_columns(columns, self._unit, self._place.offset_us)


class EcfBlocks:
    """Events packed by Prophesee's ECF, a block a chunk; see `Blocks`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._dataset = place.parts["t"]
        self._fields = place.fields or {}
        self._chunk = int(self._dataset.chunks[0])
        self._stored: dict[int, int] | None = None
        self._losses = Losses("events")
        self.count = -(-place.n // self._chunk)

    @property
    def warnings(self) -> list[str]:
        """What is lost, as far as read."""
        return self._losses.warnings

    def read(self, number: int) -> Events:
        """Return a chunk's events; none when it is damaged."""
        start = number * self._chunk
        size = min(self._chunk, self._place.n - start)
        try:
            events = self._unpack(start)
        except DAMAGE:
            events = None
        if events is None or events.size < size:
            self._losses.note(number, size, f"{self._place.name} is damaged from event {start:,} on")
            return np.empty(0, EVENTS_DTYPE)
        events["t"] += self._place.offset_us
        return events[:size]

    def _unpack(self, start: int) -> Events | None:
        if self._stored is None:
            self._stored = _chunk_sizes(self._dataset)
        if not 0 < self._stored.get(start, 0) <= (self._chunk + 1) * _MAX_EVENT_BYTES:
            return None
        skipped, octets = self._dataset.id.read_direct_chunk((start,))
        if not skipped:
            return decode_ecf(octets)
        rows = np.frombuffer(octets, self._dataset.dtype)
        return events_of_columns({axis: rows[field] for axis, field in self._fields.items()}, MICROSECONDS)
