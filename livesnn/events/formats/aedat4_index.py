"""Where the packets of an .aedat4 file lie: from its table, or by walking from header to header.

Not here: what the packets hold (aedat4.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from livesnn.errors import FormatError
from livesnn.events.formats.aedat4_layout import (
    MAGIC,
    MAX_HEADER_BYTES,
    PACKET_HEADER,
    Header,
    PacketRow,
    PacketTable,
    is_packet_start,
    parse_header,
    parse_table,
    table_of,
)
from livesnn.events.formats.compression import Compression, PackedError, Unpacker
from livesnn.events.formats.flat import FlatError, read_u32
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import TIME_LIMIT_US

MAX_TABLE_BYTES = 512 << 20
"""No table may be larger, packed or unpacked: 10 million packets, a day of a hundred a second."""

_WALK_BYTES = 4096
_SEARCH_BYTES = 1 << 16
_HEAD_BYTES = 20  # a packet's header, size prefix, root offset and identifier


class Index(NamedTuple):
    """``warnings`` say what was missing or is lost."""

    packets: PacketTable
    has_times: bool
    warnings: tuple[str, ...]


def read_header(file: WindowedFile) -> tuple[Header, int]:
    """Return (the header, where the first packet starts); raises FormatError."""
    start = len(MAGIC) + 4
    if file.size == 0:
        raise FormatError(f"{file.path}: the file is empty: record it again")
    if bytes(file.view(0, len(MAGIC))) != MAGIC:
        raise FormatError(f"{file.path}: not an .aedat4 file (it doesn't start with #!AER-DAT4.0)")
    try:
        size = read_u32(file.view(len(MAGIC), 4), 0)
        if size > min(MAX_HEADER_BYTES, file.size - start):
            raise FlatError(f"it claims {size:,} bytes, the file has {file.size:,}")
        return parse_header(file.view(start, size)), start + size
    except FlatError as error:
        raise FormatError(f"{file.path}: the header is damaged ({error}): nothing can be read") from None


def build_index(file: WindowedFile, header: Header, first: int) -> Index:
    """Find every packet, by the file's table where it holds, otherwise by walking the file."""
    problem = "it was never closed"
    if header.table_position >= 0:
        try:
            table = _read_table(file, header, first)
            timed = bool(len(table.items)) and bool((table.items >= 0).all() and (table.t_last > 0).any())
            return Index(table, timed, ())
        except (FlatError, PackedError) as error:
            problem = str(error)
    found, losses = _walk(file, header, first)
    message = (
        f"the file's table is missing ({problem}): found {len(found.offset):,} packets by walking the file"
    )
    return Index(found, False, (message, *losses))


def _read_table(file: WindowedFile, header: Header, first: int) -> PacketTable:
    position = header.table_position
    if not first <= position < file.size:
        raise FlatError(f"its position {position:,} is outside the file of {file.size:,} bytes")
    size = file.size - position
    if size > MAX_TABLE_BYTES:
        raise FlatError("it is too large")
    content = Unpacker(header.compression).unpack(file.view(position, size), MAX_TABLE_BYTES)
    table = parse_table(content)
    starts = table.offset - PACKET_HEADER.size
    ends = table.offset + table.size
    expected = np.concatenate([[first], ends])
    whole = (table.size > 0).all() and np.array_equal(np.append(starts, position), expected)
    if not whole:
        raise FlatError("it doesn't match the packets")
    times = np.concatenate([table.t_first, table.t_last])
    if ((times <= -TIME_LIMIT_US) | (times >= TIME_LIMIT_US)).any():
        raise FlatError("its times are damaged")
    return table


def _walk(file: WindowedFile, header: Header, first: int) -> tuple[PacketTable, list[str]]:
    known = frozenset(stream.id for stream in header.streams)
    end = header.table_position if first <= header.table_position < file.size else file.size
    rows: list[PacketRow] = []
    losses: list[str] = []
    position = first
    while position < end:
        file.passed(position)
        head = file.view(position, _HEAD_BYTES, _WALK_BYTES)
        if is_packet_start(head, known, header.compression, end - position):
            stream, size = PACKET_HEADER.unpack_from(head)
            rows.append(PacketRow(stream, position + PACKET_HEADER.size, size, -1, 0, 0))
            position += PACKET_HEADER.size + size
            continue
        following = _next_packet(file, header, known, position + 1, end)
        losses.append(_describe_loss(position, following, end))
        position = following
    return table_of(rows), losses


def _describe_loss(start: int, following: int, end: int) -> str:
    where = "the end of the file" if following == end else f"byte {following:,}"
    return f"no whole packet from byte {start:,} to {where}: {following - start:,} bytes lost"


def _next_packet(file: WindowedFile, header: Header, known: frozenset[int], start: int, end: int) -> int:
    """Return where the next plausible packet starts: in front of a packed block, or of events not packed."""
    packed = header.compression is not Compression.NONE
    pattern, before = (header.compression.magic, 8) if packed else (b"EVTS", 16)
    position = start
    while position < end:
        file.passed(position)
        octets = bytes(file.view(position, min(_SEARCH_BYTES, end - position), _SEARCH_BYTES))
        found = octets.find(pattern, before)
        while found >= 0:
            at = found - before
            if is_packet_start(octets[at : at + _HEAD_BYTES], known, header.compression, end - position - at):
                return position + at
            found = octets.find(pattern, found + 1)
        if len(octets) < _SEARCH_BYTES:
            break
        position += _SEARCH_BYTES - _HEAD_BYTES
    return end
