"""What an HDF5 file's objects say of themselves, read so that damage can't hang the program or fill its memory.

A text such as ``geometry`` lies in a "global heap", and libhdf5 (seen in 2.0.0) trusts both ends: it takes as much
memory as the attribute claims, 4 GB, and walks a heap with an object of size 0 for ever. So both are looked at here
first; to be dropped when libhdf5 does that itself. Layout: "HDF5 File Format Specification", III.E and IV.A.2.m.
"""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import h5py
import numpy as np

from livesnn.events.formats.columns import parse_size
from livesnn.events.formats.windowed_file import open_unbuffered
from livesnn.events.packet import Resolution

_MAX_READ_BYTES = 1 << 16  # of one piece of structure
_MAX_WATCHED_BYTES = 8 << 20
_MAX_TEXT_BYTES = 1 << 12
_MAX_VALUES = 16
_MAX_HEAP_BYTES = 16 << 20
_HEAP = b"GCOL\x01\x00\x00\x00"
_HEAP_HEAD_BYTES = 16
_OBJECT = struct.Struct("<HHIQ")  # index (0: free space), references, nothing, octets
_POINTER = struct.Struct("<IQI")  # octets, the heap's address, index in it

Owner: TypeAlias = h5py.Group | h5py.Dataset


class WatchedFile(io.RawIOBase):
    """A file opened for reading, for h5py, that remembers which parts libhdf5 has taken for structure.

    Raises
    ------
    SourceError
        When it can't be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open_unbuffered(path)
        self._watched: set[tuple[int, int]] = set()
        self._watched_bytes = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` from the file."""
        start = self._file.tell()
        filled = self._file.readinto(buffer) or 0
        if filled <= _MAX_READ_BYTES and self._watched_bytes < _MAX_WATCHED_BYTES:
            self._watched.add((start, start + filled))
            self._watched_bytes += filled
        return filled

    def read_at(self, start: int, size: int) -> bytes:
        """Return octets, fewer at the end of the file."""
        self._file.seek(start)
        return self._file.read(size) or b""

    def structure(self) -> Iterator[tuple[int, bytes]]:
        """Yield what libhdf5 has read as structure, and where it begins; neighbours are one."""
        start = end = -1
        for first, last in [*sorted(self._watched), (1 << 63, 1 << 63)]:
            if first > end:
                if end > start:
                    yield start, self.read_at(start, end - start)
                start = first
            end = max(end, last)

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._file.close()
        super().close()


class Attributes:
    """The attributes of a file's objects, as far as they can be read safely."""

    def __init__(self, file: WatchedFile) -> None:
        self._file = file
        self._damaged: dict[str, None] = {}
        self._unusable: dict[str, None] = {}

    @property
    def warnings(self) -> list[str]:
        """Which attributes couldn't be read, and what else is left out; one line each."""
        return [f"the attribute {name} is damaged, and left out" for name in self._damaged] + [
            *self._unusable
        ]

    def leave_out(self, what: str) -> None:
        """Warn of something that says what can't be."""
        self._unusable[what] = None

    def text(self, owner: Owner, name: str) -> str:
        """Return an attribute as text; "" where there is none, or it is no short text or number."""
        if name not in owner.attrs:
            return ""
        kept = owner.attrs.get_id(name)
        string = h5py.check_string_dtype(kept.dtype)
        if int(np.prod(kept.shape)) > _MAX_VALUES or kept.dtype.itemsize > _MAX_TEXT_BYTES:
            return ""
        if kept.dtype.kind == "O" and (string is None or not self._is_sound(name)):
            self._damaged[name] = None
            return ""
        value = np.asarray(owner.attrs[name]).reshape(-1)
        first = value[0] if value.size == 1 else ""
        return first.decode(errors="replace") if isinstance(first, bytes) else str(first)

    def resolution(self, owner: Owner) -> Resolution | None:
        """Return the sensor's size by ``geometry`` ("1280x720"), or ``width`` and ``height``."""
        found = re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", self.text(owner, "geometry"))
        sides = found.groups() if found else (self.text(owner, "width"), self.text(owner, "height"))
        return parse_size(*sides)

    def _is_sound(self, name: str) -> bool:
        """Say whether every attribute of that name points to a text of its length in a heap that can be walked."""
        size = struct.pack("<H", len(name) + 1)
        plain = re.escape(name.encode()) + rb"\x00"
        message = re.compile(
            rb"([\x01\x02])[\x00-\x03]" + re.escape(size) + rb"(..)(..)" + plain
            + rb"|(\x03)[\x00-\x03]" + re.escape(size) + rb"(..)(..)." + plain,
            re.DOTALL,
        )  # fmt: skip
        places = [
            start + found.start() + _value_offset(found, len(name) + 1)
            for start, octets in self._file.structure()
            for found in message.finditer(octets)
        ]
        return bool(places) and all(self._points_to_text(place) for place in places)

    def _points_to_text(self, place: int) -> bool:
        pointer = self._file.read_at(place, _POINTER.size)
        if len(pointer) < _POINTER.size:
            return False
        length, heap, wanted = _POINTER.unpack(pointer)
        return length <= _MAX_TEXT_BYTES and heap < 1 << 62 and self._heap_sizes(heap).get(wanted) == length

    def _heap_sizes(self, start: int) -> dict[int, int]:
        """Return how many octets the objects of a heap have; nothing where it can't be walked to its end."""
        head = self._file.read_at(start, _HEAP_HEAD_BYTES)
        size = int.from_bytes(head[len(_HEAP) :], "little")
        if not head.startswith(_HEAP) or size > _MAX_HEAP_BYTES:
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
    """Return where in an attribute's message its value begins: after its name, datatype and dataspace."""
    version, *sizes = (group for group in message.groups() if group is not None)
    parts = [name_bytes, *(int.from_bytes(size, "little") for size in sizes)]
    if version == b"\x01":
        return 8 + sum(_padded(part) for part in parts)
    return (8 if version == b"\x02" else 9) + sum(parts)
