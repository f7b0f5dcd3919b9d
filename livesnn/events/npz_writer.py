"""Writing .npz of t, x, y, p, width, height, camera, in bounded memory. Not here: reading it (formats/tables.py)."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from livesnn.errors import FormatError
from livesnn.events import EVENTS_DTYPE, Events, Resolution
from livesnn.events.formats.columns import AXES, MAX_COORDINATE
from livesnn.events.recorder import storable

_COPY_BYTES = 1 << 20


def write_npz(path: Path, packets: Iterable[Events], resolution: Resolution, camera: str) -> None:
    """Write packets one after the other to a new file, in their order.

    Each column is collected in a nameless file beside it first, because its length stands before it: what is
    needed on the disk is twice 13 octets an event. Nothing is compressed, so that large files are read in blocks.

    Raises
    ------
    FormatError
        When the sensor is larger than what `open_npz` reads; no file is made then.
    OSError
        When the file exists, or can't be written; what is there of it stays.
    """
    width, height = resolution
    if max(resolution) > MAX_COORDINATE + 1:
        raise FormatError(f"{path}: .npz can't hold a sensor of {width}×{height}")
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
            for name, value in {"width": width, "height": height, "camera": storable(camera)}.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, np.array(value))
        except BaseException:
            archive.fp = None  # it isn't finished: close raises something else where Ctrl-C came within open
            raise
        archive.close()


def _copy_column(column: IO[bytes], kind: np.dtype[np.generic], member: IO[bytes]) -> None:
    about = {
        "descr": np.lib.format.dtype_to_descr(kind),
        "fortran_order": False,
        "shape": (column.tell() // kind.itemsize,),
    }
    np.lib.format.write_array_header_1_0(member, about)
    column.seek(0)
    shutil.copyfileobj(column, member, _COPY_BYTES)
