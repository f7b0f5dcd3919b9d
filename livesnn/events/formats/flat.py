"""Reading flatbuffers with every offset checked, so that a damaged file can't lead outside its buffer.

Not here: what the tables mean (aedat4_layout.py). The `flatbuffers` runtime isn't used for reading: it lets
negative offsets wrap around, and takes 30 µs for each of the thousands of entries of a file's table.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

_U16, _I32, _U32, _I64 = (struct.Struct(code) for code in ("<H", "<i", "<I", "<q"))


class FlatError(ValueError):
    """An offset leads out of the buffer; whoever knows the file turns this into a FormatError."""


def _unpack(layout: struct.Struct, buffer: bytes | memoryview, position: int) -> int:
    if position < 0:
        raise FlatError("an offset leads out of the packet")
    try:
        value: int = layout.unpack_from(buffer, position)[0]
    except struct.error:
        raise FlatError("an offset leads out of the packet") from None
    return value


def read_u32(buffer: bytes | memoryview, position: int) -> int:
    """Return the unsigned 32-bit number at a position."""
    return _unpack(_U32, buffer, position)


def read_i32(buffer: bytes | memoryview, position: int) -> int:
    """Return the signed 32-bit number at a position."""
    return _unpack(_I32, buffer, position)


def read_i64(buffer: bytes | memoryview, position: int) -> int:
    """Return the signed 64-bit number at a position."""
    return _unpack(_I64, buffer, position)


def root_table(buffer: bytes | memoryview, start: int) -> int:
    """Return the position of the root table of a flatbuffer that starts at ``start``, after its size."""
    return start + read_u32(buffer, start)


def field(buffer: bytes | memoryview, table: int, slot: int) -> int:
    """Return the position of a table's field, or 0 where the field holds its default."""
    vtable = table - read_i32(buffer, table)
    entry = 4 + 2 * slot
    if entry >= _unpack(_U16, buffer, vtable):
        return 0
    offset = _unpack(_U16, buffer, vtable + entry)
    return table + offset if offset else 0


def vector(buffer: memoryview, position: int, item_bytes: int) -> tuple[int, int]:
    """Return (position of the first item, number of items) of the vector that a field points to.

    Raises
    ------
    FlatError
        When the items don't fit in the buffer.
    """
    start = position + read_u32(buffer, position)
    count = read_u32(buffer, start)
    if start + 4 + count * item_bytes > len(buffer):
        raise FlatError("a list is longer than the packet")
    return start + 4, count


def whole_number(digits: str) -> int:
    """Return the number that a text gives, 0 where it gives none."""
    if len(digits) > 18:  # beyond int64; and int() itself refuses thousands
        raise FlatError(f"a number of {len(digits):,} digits")
    return int(digits) if digits.isdecimal() else 0


def text(buffer: memoryview, position: int) -> str:
    """Return the string that a field at ``position`` points to."""
    start, length = vector(buffer, position, 1)
    return bytes(buffer[start : start + length]).decode("utf-8", errors="replace")


class TableColumns:
    """The fields of many tables of one kind, read at once.

    Parameters
    ----------
    buffer
        The whole flatbuffer.
    position
        Where the field lies that points to the vector of tables.
    """

    def __init__(self, buffer: memoryview, position: int) -> None:
        start, count = vector(buffer, position, 4)
        self._octets = np.frombuffer(buffer, np.uint8)
        entries = start + 4 * np.arange(count, dtype=np.int64)
        self._tables = entries + self._take("<u4", entries)
        self._vtables = self._tables - self._take("<i4", self._tables)
        self._vtable_bytes = self._take("<u2", self._vtables)

    def _take(self, dtype: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        size = np.dtype(dtype).itemsize
        last = len(self._octets) - size
        if positions.size and (positions.min() < 0 or positions.max() > last):
            raise FlatError("an offset leads out of the file's table")
        unaligned: npt.NDArray[np.generic] = np.ndarray((max(last + 1, 0),), dtype, self._octets, 0, (1,))
        return unaligned[positions].astype(np.int64)

    def column(self, slot: int, dtype: str, *, shift: int = 0, default: int = 0) -> npt.NDArray[np.int64]:
        """Return one field of every table, ``shift`` octets into it; ``default`` where it isn't stored."""
        entry = 4 + 2 * slot
        stored = self._vtable_bytes > entry
        offsets = np.zeros(len(self._tables), np.int64)
        offsets[stored] = self._take("<u2", self._vtables[stored] + entry)
        stored = offsets > 0
        values = np.full(len(self._tables), default, np.int64)
        values[stored] = self._take(dtype, self._tables[stored] + offsets[stored] + shift)
        return values
