""".npz files of columns: t (µs), x, y, p, and maybe width and height. Never unpickles. Later: .csv."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError, SourceError
from livesnn.events import EVENTS_DTYPE, Events, Resolution
from livesnn.events.formats.in_memory import InMemoryReader

COLUMNS = ("t", "x", "y", "p")
MAX_BYTES = 2 << 30
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
    events = _events(path, columns)
    resolution, warnings = _resolution(path, columns, events)
    return InMemoryReader(events, resolution, format_name="npz", camera="", warnings=warnings)


def _load(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    wanted = {*COLUMNS, "width", "height"}
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise FormatError(f"{path}: unpacks to {size:,} bytes, too many to hold: convert it to .aedat4")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files if name in wanted}
    except OSError as error:
        raise SourceError(
            f"{path}: can't be read ({error.strerror}): check the path and permissions"
        ) from error
    except (
        ValueError,
        KeyError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise FormatError(
            f"{path}: not a sound .npz ({str(error).splitlines()[0]}): save it again"
        ) from error


def _events(path: Path, columns: dict[str, npt.NDArray[np.generic]]) -> Events:
    shapes = {columns[name].shape for name in COLUMNS}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise FormatError(f"{path}: t, x, y, p must be lists of one length, not {sorted(map(str, shapes))}")
    for name in COLUMNS:
        if columns[name].dtype.kind not in ("iub" if name == "p" else "iu"):
            raise FormatError(
                f"{path}: {name} must be integers (t in µs), not {columns[name].dtype}: convert it"
            )
    x, y, p = (columns[name].astype(np.int64) for name in ("x", "y", "p"))
    if p.size and not (np.isin(p, (0, 1)).all() or np.isin(p, (-1, 1)).all()):
        raise FormatError(f"{path}: p must be 0 and 1, or -1 and 1: convert it")
    if x.size and (min(x.min(), y.min()) < 0 or max(x.max(), y.max()) >= 1 << 15):
        raise FormatError(f"{path}: x and y must be within 0..32767: check the columns")
    events = np.empty(len(x), EVENTS_DTYPE)
    events["t"] = columns["t"].astype(np.int64)
    events["x"], events["y"], events["p"] = x, y, p > 0
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
