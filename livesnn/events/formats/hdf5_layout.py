"""Where events lie in an HDF5 file: which groups and structured datasets hold them, and whether they can be read.

Not here: reading them (hdf5.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.columns import AXES, ColumnNames, find_columns, unit_named
from livesnn.events.formats.hdf5_attributes import Attributes
from livesnn.events.formats.hdf5_ecf import ECF_FILTER, MAX_CHUNK_EVENTS
from livesnn.events.packet import TIME_LIMIT_US, Resolution

MAX_CHUNK_BYTES = 128 << 20
MAX_OBJECTS = 10_000
_MAX_ITEM_BYTES = 256
_CACHE_SLOTS = 521
# What h5py raises on damaged files.
DAMAGE = (
    OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, AttributeError,
    NotImplementedError,
)  # fmt: skip


class Place(NamedTuple):
    """Where a stream's events lie.

    ``parts`` maps t, x, y, p to their datasets of numbers [n], or, where a dataset is structured, all to the same
    one; ``fields`` maps them to its fields then. ``unit`` is None where the file doesn't say it.
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
        """Whether the events are in Prophesee's ECF."""
        return _filters(self.parts["t"]) == [ECF_FILTER]


@contextmanager
def damage_as_errors(path: Path, what: str) -> Iterator[None]:
    """Raise FormatError for what h5py raises on a damaged file."""
    try:
        yield
    except DAMAGE as error:
        reason = " ".join((str(error) or type(error).__name__).split())[:200]
        raise FormatError(f"{path}: {what} ({reason}): it is damaged or cut short: get it again") from error


def find_places(path: Path, file: h5py.File, attributes: Attributes) -> list[Place]:
    """Return where the file has events, in its order.

    Raises
    ------
    FormatError
        When there are none, or they can't be read: packed by a filter that isn't there, of different lengths, or
        fewer than the file claims.
    """
    datasets = _datasets(file)
    groups: dict[str, list[str]] = {}
    for name in datasets:
        groups.setdefault(name.rpartition("/")[0], []).append(name.rpartition("/")[2])
    places = []
    for name, dataset in datasets.items():
        if dataset.dtype.names is not None:
            columns = find_columns(dataset.dtype.names)
            if not columns.missing and _numeric([dataset.dtype[field] for field in dataset.dtype.names]):
                whole = dict.fromkeys(AXES, dataset)
                places.append(_place(path, file, attributes, name, whole, columns, fields=columns.by_axis))
    for group, members in groups.items():
        prefix = f"{group}/" if group else ""
        plain = [member for member in members if _numeric([datasets[prefix + member].dtype])]
        columns = find_columns(plain)
        if not columns.missing:
            parts = {axis: datasets[prefix + columns.by_axis[axis]] for axis in AXES}
            places.append(_place(path, file, attributes, group or "events", parts, columns, fields=None))
    if not places:
        raise FormatError(
            f"{path}: no events in it (found: {_found(file)}): give a file with datasets t, x, y, p of numbers in "
            f"one group, or one dataset with these fields"
        )
    return places


def count_triggers(file: h5py.File) -> int:
    """Return how many external triggers a file of Prophesee's has."""
    triggers = file.get("EXT_TRIGGER/events")
    return int(triggers.shape[0]) if isinstance(triggers, h5py.Dataset) and len(triggers.shape) == 1 else 0


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Return the file's own datasets of one dimension: links to other files are not followed."""
    chunk_bytes: dict[str, int] = {}
    seen = 0

    def visit(name: str, item: object) -> bool | None:
        nonlocal seen
        seen += 1
        if isinstance(item, h5py.Dataset) and item.shape is not None and len(item.shape) == 1:
            chunk_bytes[name] = int(item.chunks[0]) * item.dtype.itemsize if item.chunks else 0
        return True if seen >= MAX_OBJECTS else None

    file.visititems(visit)
    return {name: _open_with_cache(file, name, octets) for name, octets in chunk_bytes.items()}


def _found(file: h5py.File) -> str:
    """Return the first datasets of any kind, with their shapes, and which aren't numbers."""
    found: list[str] = []

    def visit(name: str, item: object) -> bool | None:
        if isinstance(item, h5py.Dataset) and item.dtype.names is None:
            found.append(f"{name} {item.shape}{'' if _numeric([item.dtype]) else ' of no numbers'}")
        elif isinstance(item, h5py.Dataset):
            found.append(f"{name} {item.shape} of {', '.join(item.dtype.names)}")
        return True if len(found) >= 8 else None

    file.visititems(visit)
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
    *,
    fields: Mapping[str, str] | None,
) -> Place:
    lengths = {int(dataset.shape[0]) for dataset in parts.values()}
    if len(lengths) != 1:
        raise FormatError(f"{path}: {name} has columns of different lengths {sorted(lengths)}: it is damaged")
    for dataset in {dataset.id: dataset for dataset in parts.values()}.values():
        _check(path, dataset)
    home = parts["t"].parent
    owners = [parts["t"], home, file]
    from_dsec = "ms_to_idx" in home or "ms_to_idx" in file
    from_prophesee = fields is not None and home.name == "/CD"
    units = (unit_named(attributes.text(parts["t"], key)) for key in ("unit", "units"))
    return Place(
        name=name,
        parts=parts,
        fields=fields,
        n=lengths.pop(),
        unit=columns.unit
        or next((unit for unit in units if unit), None)
        or ("µs" if from_dsec or from_prophesee else None),
        offset_us=_offset(home, file, attributes),
        resolution=next(
            (size for owner in owners if (size := attributes.resolution(owner)) is not None), None
        ),
    )


def _filters(dataset: h5py.Dataset) -> list[int]:
    made = dataset.id.get_create_plist()
    return [made.get_filter(i)[0] for i in range(made.get_nfilters())]


def _check(path: Path, dataset: h5py.Dataset) -> None:
    """Raise FormatError when a dataset can't be read, or not in bounded memory."""
    name, n = dataset.name, int(dataset.shape[0])
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{path}: {name} lies in other files, which isn't supported: copy it into one file")
    chunk = int(dataset.chunks[0]) if dataset.chunks else 0
    if chunk * dataset.dtype.itemsize > MAX_CHUNK_BYTES or dataset.dtype.itemsize > _MAX_ITEM_BYTES:
        raise FormatError(f"{path}: {name} has chunks of {chunk:,} items, too large to hold: repack it")
    stored = (
        dataset.id.get_num_chunks() * chunk
        if chunk
        else dataset.id.get_storage_size() // max(dataset.dtype.itemsize, 1)
    )
    if stored < n:
        raise FormatError(
            f"{path}: {name} claims {n:,} items, but has {stored:,}: it is damaged or unfinished"
        )
    filters = _filters(dataset)
    if filters == [ECF_FILTER]:
        if dataset.dtype.names is None or chunk > MAX_CHUNK_EVENTS:
            raise FormatError(f"{path}: {name} can't be ECF events ({chunk:,} in a chunk): it is damaged")
        return
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
    """Open a dataset so that a whole chunk fits its cache: else each read of a part unpacks all of it.

    It must not be open already: HDF5 keeps the cache that it was opened with first.
    """
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(_CACHE_SLOTS, min(max(1 << 20, chunk_bytes), MAX_CHUNK_BYTES), 0.75)
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(errors="surrogateescape"), access), readonly=True)


def _offset(home: h5py.Group, file: h5py.File, attributes: Attributes) -> int:
    """Return what is to be added to the times: DSEC's ``t_offset``, µs; warn of one that can't be."""
    for owner in (home, file):
        offset = owner.get("t_offset") if owner.get("t_offset", getlink=True, default=None) else None
        if not isinstance(offset, h5py.Dataset):
            continue
        if offset.size == 1 and offset.dtype.kind in "iuf":
            value = float(np.asarray(offset[()]).item())
            if value.is_integer() and abs(value) < TIME_LIMIT_US // 2:
                return int(value)
        attributes.leave_out("t_offset isn't one whole number of µs, and isn't added to the times")
        return 0
    return 0
