""".npz files of columns: t (µs), x, y, p, and maybe width and height. Never unpickles. Later: .csv."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError, SourceError
from livesnn.events import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution
from livesnn.events.formats.in_memory import InMemoryReader

COLUMNS = ("t", "x", "y", "p")
MAX_EVENTS = 50_000_000  # they are held in memory: 650 MB as EVENTS_DTYPE, however small the file
MAX_BYTES = 2 << 30
_RANGES = {"t": (1 - TIME_LIMIT_US, TIME_LIMIT_US - 1), "x": (0, 32767), "y": (0, 32767), "p": (-1, 1)}
_MEANT = {
    "t": "µs within ±2^62",
    "x": "within 0..32767",
    "y": "within 0..32767",
    "p": "0 and 1, or -1 and 1",
}
# What zipfile and numpy raise on damaged octets, some only from within ast and the decompressors.
_DAMAGE = (
    ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, RuntimeError, SyntaxError,
    struct.error, tokenize.TokenError, lzma.LZMAError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))


def open_npz(path: Path) -> InMemoryReader:
    """Open a .npz with columns t, x, y, p.

    ``t`` are integers in µs, ``p`` 0 and 1, or -1 and 1, or bool. The sensor's size is that of the arrays
    ``width`` and ``height``, otherwise the smallest usual sensor that holds the events, with a warning.

    Raises
    ------
    FormatError
        When a column is missing or isn't what it should be, or the file is damaged.
    """
    columns = _load(path)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise FormatError(
            f"{path}: no column {', '.join(missing)} (found: {', '.join(sorted(columns)) or 'none'}): "
            f"a recording has t, x, y, p"
        )
    try:
        events = _events(path, columns)
        resolution, warnings = _resolution(path, columns, events)
        return InMemoryReader(events, resolution, format_name="npz", camera="", warnings=warnings)
    except MemoryError as error:
        raise FormatError(
            f"{path}: its events are too many for the memory that is free: cut it up"
        ) from error


def _load(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")
            }
            wanted = {name: members[name] for name in (*COLUMNS, "width", "height") if name in members}
            sizes = [_claimed_size(archive, member) for member in wanted.values()]
            if (
                max((items for items, _ in sizes), default=0) > MAX_EVENTS
                or sum(n for _, n in sizes) > MAX_BYTES
            ):
                raise FormatError(
                    f"{path}: more than {MAX_EVENTS:,} events or {MAX_BYTES:,} bytes are too many to hold: cut it up"
                )
            return {name: _read_array(archive, member) for name, member in wanted.items()}
    except OSError as error:
        if error.errno is None:  # the decompressor's
            raise FormatError(f"{path}: not a sound .npz ({error}): save it again") from error
        raise SourceError(
            f"{path}: can't be read ({error.strerror}): check the path and permissions"
        ) from error
    except _DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FormatError(f"{path}: not a sound .npz ({reason}): save it again") from error


def _claimed_size(archive: zipfile.ZipFile, member: str) -> tuple[int, int]:
    """Return (items, octets) of an array by its own header, before anything is made of that size."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    if min(shape, default=0) < 0:
        raise ValueError(f"{member} has a negative size")
    items = math.prod(shape)
    return items, items * max(dtype.itemsize, 1)


def _read_array(archive: zipfile.ZipFile, member: str) -> npt.NDArray[np.generic]:
    with archive.open(member) as file:
        array: npt.NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _events(path: Path, columns: dict[str, npt.NDArray[np.generic]]) -> Events:
    shapes = {columns[name].shape for name in COLUMNS}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise FormatError(f"{path}: t, x, y, p must be lists of one length, not {sorted(map(str, shapes))}")
    events = np.empty(columns["t"].size, EVENTS_DTYPE)
    for name, (least, most) in _RANGES.items():
        column = columns[name]
        if column.dtype.kind not in ("iub" if name == "p" else "iu"):
            raise FormatError(f"{path}: {name} must be integers (t in µs), not {column.dtype}: convert it")
        low, high = (int(column.min()), int(column.max())) if column.size else (0, 0)
        if low < least or high > most or (name == "p" and low < 0 and bool((column == 0).any())):
            raise FormatError(f"{path}: {name} must be {_MEANT[name]}: check the columns")
        events[name] = column > 0 if name == "p" else column  # type: ignore[operator]
    return events


def _resolution(
    path: Path, columns: dict[str, npt.NDArray[np.generic]], events: Events
) -> tuple[Resolution, list[str]]:
    if "width" in columns and "height" in columns:
        size = [columns[name] for name in ("width", "height")]
        if any(
            value.size != 1 or value.dtype.kind not in "iu" or not 0 < int(value.item()) <= 1 << 15
            for value in size
        ):
            raise FormatError(f"{path}: width and height must each be one positive integer")
        return Resolution(int(size[0].item()), int(size[1].item())), []
    right, bottom = (int(events[axis].max(initial=0)) for axis in ("x", "y"))
    fits = (Resolution(*size) for size in _SENSORS if right < size[0] and bottom < size[1])
    sensor = next(fits, Resolution(right + 1, bottom + 1))
    return sensor, [f"the file doesn't give width and height: {sensor.width}×{sensor.height} assumed"]
