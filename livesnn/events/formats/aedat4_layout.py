"""The layout of .aedat4 files: header, compressed event packets, table; used to read, to write and to stream them.

A file is MAGIC, the header (a size-prefixed flatbuffer that contains XML), packets, and the table. A packet is two
int32, stream and size, and that many bytes: a size-prefixed flatbuffer, compressed as the header says. The table
gives for each packet where its content starts, how many items it has, and its first and last time.
Source: dv-processing 2.0.4 and the files it writes.
"""

from __future__ import annotations

import struct
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import NamedTuple
from xml.sax.saxutils import escape

import flatbuffers
import lz4.frame
import numpy as np
import numpy.typing as npt
import zstandard

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.untrusted import PIECE_BYTES, DamageError, require_room

MAGIC = b"#!AER-DAT4.0\r\n"
PACKET_HEADER = struct.Struct("<ii")
EVENT_BYTES = 16
"""An event in the file: t int64, x and y int16, on one byte, three bytes of padding."""

# Size prefix (filled in), root offset, "EVTS", vtable of one field, root table, number of events (filled in).
EVENTS_PREFIX = bytes.fromhex("00000000 10000000 45565453 0000 0600 0800 0400 06000000 04000000 00000000")

_LZ4_MAGIC, _ZSTD_MAGIC = b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd"
_LZ4_MAX_RATIO = 255  # the most one byte of LZ4 can stand for
# A packet of 10,000 events fits, and one block decompresses fastest.
_LZ4_BLOCK = lz4.frame.BLOCKSIZE_MAX256KB

_U16, _I32, _U32, _I64 = (struct.Struct(code) for code in ("<H", "<i", "<I", "<q"))


# Flatbuffers, read with every offset checked, so that a damaged file can't lead outside its buffer. The `flatbuffers`
# runtime would let negative offsets wrap around, and takes 30 µs for each of the thousands of entries of a table.
def _unpack(layout: struct.Struct, buffer: bytes | memoryview, position: int) -> int:
    if position < 0:
        raise DamageError("an offset leads out of the packet")
    try:
        value: int = layout.unpack_from(buffer, position)[0]
    except struct.error:
        raise DamageError("an offset leads out of the packet") from None
    return value


read_u32, read_i32, read_i64 = (partial(_unpack, layout) for layout in (_U32, _I32, _I64))
"""Return the number at a position of a buffer."""


def root_table(buffer: bytes | memoryview, start: int) -> int:
    """Return the position of the root table of a flatbuffer that starts at ``start``, after its size."""
    return start + read_u32(buffer, start)


def field(buffer: bytes | memoryview, table: int, slot: int) -> int:
    """Return the position of a table's field, or 0 if the field has its default value."""
    vtable = table - read_i32(buffer, table)
    entry = 4 + 2 * slot
    if entry >= _unpack(_U16, buffer, vtable):
        return 0
    offset = _unpack(_U16, buffer, vtable + entry)
    return table + offset if offset else 0


def vector(buffer: memoryview, position: int, item_bytes: int) -> tuple[int, int]:
    """Return (position of the first item, number of items) of the vector that a field points to.

    Raises DamageError when the items don't fit in the buffer.
    """
    start = position + read_u32(buffer, position)
    count = read_u32(buffer, start)
    if start + 4 + count * item_bytes > len(buffer):
        raise DamageError("a list is longer than the packet")
    return start + 4, count


class Compression(IntEnum):
    """How packets are compressed, by the number in the file's header."""

    NONE = 0
    LZ4 = 1
    LZ4_HIGH = 2
    ZSTD = 3
    ZSTD_HIGH = 4

    @property
    def magic(self) -> bytes:
        """The four bytes that a compressed packet starts with; empty without compression."""
        if self is Compression.NONE:
            return b""
        return _LZ4_MAGIC if self <= Compression.LZ4_HIGH else _ZSTD_MAGIC


def compress(content: bytes, compression: Compression) -> bytes:
    """Return the content of one packet, compressed, with a checksum.

    LZ4 can add one of each block or of the content. Of blocks takes half as long, because they are compressed.
    """
    if compression is Compression.NONE:
        return content
    if compression <= Compression.LZ4_HIGH:
        return bytes(
            lz4.frame.compress(
                content, block_size=_LZ4_BLOCK, block_linked=False, store_size=False, block_checksum=True
            )
        )
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


class Decompressor(threading.local):
    """Decompresses packets without the GIL, in any number of threads: each has attributes of its own."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self._lz4_context = lz4.frame.create_decompression_context()
        self._zstd = zstandard.ZstdDecompressor()

    def decompress(self, packed: memoryview, limit: int = PIECE_BYTES) -> memoryview:
        """Return the content of one packet, in memory of its own; without compression, a view of ``packed``.

        Raises DamageError when the packet is damaged or has more than ``limit`` bytes decompressed.
        """
        if self._compression is Compression.NONE:
            return packed
        lz4_packed = self._compression <= Compression.LZ4_HIGH
        return self._decompress_lz4(packed, limit) if lz4_packed else self._decompress_zstd(packed, limit)

    def _decompress_lz4(self, packed: memoryview, limit: int) -> memoryview:
        lz4.frame.reset_decompression_context(self._lz4_context)
        limit = min(_LZ4_MAX_RATIO * len(packed) + 64, limit)
        try:
            content, _, whole = lz4.frame.decompress_chunk(
                self._lz4_context, packed, max_length=limit, return_bytearray=True
            )
        except (RuntimeError, ValueError, MemoryError):
            raise DamageError("its LZ4 data is damaged") from None
        if not whole:
            raise DamageError("its LZ4 data has no end")
        return memoryview(content)

    def _decompress_zstd(self, packed: memoryview, limit: int) -> memoryview:
        try:
            size = zstandard.frame_content_size(packed)
            if size < 0:  # not stored
                return memoryview(bytearray(self._zstd.decompress(packed, max_output_size=limit)))
            content = bytearray(require_room(size, limit, "it"))
            filled = self._zstd.stream_reader(packed).readinto(content)
        except zstandard.ZstdError:
            raise DamageError("its ZSTD data is damaged") from None
        if filled != size:
            raise DamageError("its ZSTD data has no end")
        return memoryview(content)


@dataclass(frozen=True)
class StreamHeader:
    """One stream as the header describes it; ``type`` is EVTS, FRME, IMUS, TRIG or another four letters."""

    id: int
    type: str
    name: str
    source: str
    resolution: Resolution | None


class Header(NamedTuple):
    """What the header says; ``table_position`` is -1 in a file that wasn't closed."""

    compression: Compression
    table_position: int
    streams: tuple[StreamHeader, ...]


class PacketRow(NamedTuple):
    """Where a packet's content starts in the file, and how long it is there, compressed.

    ``items`` is -1 and the times are 0 if they aren't known.
    """

    stream: int
    offset: int
    size: int
    items: int
    t_first: int
    t_last: int


ROW_DTYPE = np.dtype([(name, np.int64) for name in PacketRow._fields])

PacketTable = npt.NDArray[np.void]  # ROW_DTYPE [N], a row per packet


def each_row(table: PacketTable) -> Iterator[PacketRow]:
    """Yield the rows; a thousand at a time are converted to Python's numbers, which is faster."""
    for first in range(0, len(table), 1024):
        some = np.ascontiguousarray(table[first : first + 1024])
        yield from map(PacketRow._make, some.view(np.int64).reshape(len(some), -1).tolist())


def parse_header(content: memoryview) -> Header:
    """Read the header's flatbuffer, without its size prefix; raises DamageError."""
    root = root_table(content, 0)
    compression = field(content, root, 0)
    position = field(content, root, 1)
    info = field(content, root, 2)
    if not info:
        raise DamageError("the header describes no streams")
    number = read_i32(content, compression) if compression else 0
    if number not in Compression._value2member_map_:
        raise DamageError(f"the header names an unknown compression ({number})")
    table = read_i64(content, position) if position else -1
    start, length = vector(content, info, 1)
    try:
        xml = ElementTree.fromstring(bytes(content[start : start + length]).decode("utf-8", errors="replace"))
    except ElementTree.ParseError as error:
        raise DamageError(f"the header's XML is damaged ({error})") from None
    nodes = [node for out in xml.iter("node") if out.get("name") == "outInfo" for node in out.findall("node")]
    streams = tuple(_parse_stream(node) for node in nodes if (node.get("name") or "").isdecimal())
    if not streams:
        raise DamageError("the header describes no streams")
    return Header(Compression(number), table, streams)


def _parse_stream(node: ElementTree.Element) -> StreamHeader:
    def attributes(of: ElementTree.Element | None) -> dict[str, str]:
        return {} if of is None else {a.get("key", ""): (a.text or "").strip() for a in of.findall("attr")}

    own = attributes(node)
    info = attributes(node.find("node[@name='info']"))
    number = _whole_number(node.get("name", ""))
    size = [_whole_number(info.get(key, "")) for key in ("sizeX", "sizeY")]
    return StreamHeader(
        id=number,
        type=own.get("typeIdentifier", ""),
        name=own.get("originalOutputName", "") or f"stream{number}",
        source=info.get("source", ""),
        resolution=Resolution(*size) if min(size) > 0 and max(size) <= 1 << 15 else None,
    )


def _whole_number(digits: str) -> int:
    """Return the number that a text gives, or 0."""
    if len(digits) > 18:  # beyond int64, and int() refuses thousands of digits
        raise DamageError(f"a number of {len(digits):,} digits")
    return int(digits) if digits.isdecimal() else 0


_HEADER_XML = (
    '<dv version="2.0"><node name="outInfo" path="/outInfo/"><node name="0" path="/outInfo/0/">'
    '<attr key="compression" type="string">{}</attr>'
    '<attr key="originalModuleName" type="string">livesnn</attr>'
    '<attr key="originalOutputName" type="string">events</attr>'
    '<attr key="typeDescription" type="string">Array of events (polarity ON/OFF).</attr>'
    '<attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/outInfo/0/info/"><attr key="sizeX" type="int">{}</attr>'
    '<attr key="sizeY" type="int">{}</attr><attr key="source" type="string">{}</attr></node></node></node></dv>'
)


def build_header(compression: Compression, resolution: Resolution, camera: str) -> tuple[bytes, int]:
    """Return (MAGIC and header of a file with one event stream, where in it the table's position is stored)."""
    xml = _HEADER_XML.format(compression.name, resolution.width, resolution.height, escape(camera))
    builder = flatbuffers.Builder(1024)
    description = builder.CreateString(xml)
    builder.StartObject(3)
    builder.PrependInt64(-1)  # stored although it is the default: it is overwritten when the file is closed
    builder.Slot(1)
    builder.PrependInt32Slot(0, compression, 0)
    builder.PrependUOffsetTRelativeSlot(2, description, 0)
    builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"IOHE")
    content = bytes(builder.Output())
    return MAGIC + content, len(MAGIC) + field(content, root_table(content, 4), 1)


def events_in(content: memoryview) -> tuple[int, int]:
    """Return (position of the first event, number of events) of a decompressed event packet; raises DamageError."""
    start = len(EVENTS_PREFIX)
    if content[4 : start - 4] == EVENTS_PREFIX[4:-4]:  # as everyone writes it: 2 µs saved
        count = read_u32(content, start - 4)
        if start + count * EVENT_BYTES <= len(content):
            return start, count
    if bytes(content[8:12]) != b"EVTS":
        raise DamageError("it isn't a packet of events")
    return items_in(content, EVENT_BYTES)


def items_in(content: memoryview, item_bytes: int = 4) -> tuple[int, int]:
    """Return (position of the first item, number of items) of a packet that holds one list."""
    elements = field(content, root_table(content, 4), 0)
    return vector(content, elements, item_bytes) if elements else (0, 0)


def build_events(packet: Events) -> bytes:
    """Return the content of an event packet before compression, from EVENTS_DTYPE [N]."""
    prefix = len(EVENTS_PREFIX)
    content = np.zeros(prefix + EVENT_BYTES * len(packet), np.uint8)
    content[:prefix] = np.frombuffer(EVENTS_PREFIX, np.uint8)
    content[:4].view("<u4")[0] = content.size - 4
    content[prefix - 4 : prefix].view("<u4")[0] = len(packet)
    np.ndarray((len(packet),), EVENTS_DTYPE, content, prefix, (EVENT_BYTES,))[:] = packet
    return content.tobytes()


def parse_table(content: memoryview) -> PacketTable:
    """Read the file's decompressed table, all entries at once; raises DamageError when it isn't one."""
    if bytes(content[8:12]) != b"FTAB":
        raise DamageError("the file's table is damaged")
    place = field(content, root_table(content, 4), 0)
    start, count = vector(content, place, 4) if place else (0, 0)
    octets = np.frombuffer(content, np.uint8)

    def take(dtype: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        last = len(octets) - np.dtype(dtype).itemsize
        if positions.size and (positions.min() < 0 or positions.max() > last):
            raise DamageError("an offset leads out of the file's table")
        unaligned: npt.NDArray[np.generic] = np.ndarray((max(last + 1, 0),), dtype, octets, 0, (1,))
        return unaligned[positions].astype(np.int64)

    pointers = start + 4 * np.arange(count, dtype=np.int64)
    entries = pointers + take("<u4", pointers)
    vtables = entries - take("<i4", entries)
    vtable_bytes = take("<u2", vtables)
    table = np.zeros(count, ROW_DTYPE)
    for name, slot, dtype, shift, default in _TABLE_FIELDS:
        stored = vtable_bytes > 4 + 2 * slot
        offsets = np.zeros(count, np.int64)
        offsets[stored] = take("<u2", vtables[stored] + 4 + 2 * slot)
        stored = offsets > 0
        table[name] = default
        table[name][stored] = take(dtype, entries[stored] + offsets[stored] + shift)
    return table


_TABLE_FIELDS = (
    ("stream", 1, "<i4", 0, -1),
    ("offset", 0, "<i8", 0, 0),
    ("size", 1, "<i4", 4, 0),
    ("items", 2, "<i8", 0, -1),
    ("t_first", 3, "<i8", 0, 0),
    ("t_last", 4, "<i8", 0, 0),
)
"""Where a row's fields are in an entry: the slot in its table, the type, how far into it, and what isn't stored."""


_ENTRY = np.dtype([
    ("vtable", "<i4"), ("padding", "<i4"), ("offset", "<i8"), ("stream", "<i4"), ("size", "<i4"),
    ("items", "<i8"), ("t_first", "<i8"), ("t_last", "<i8"),
])  # fmt: skip


def build_table(table: PacketTable) -> bytes:
    """Return the file's table before compression; all entries share one vtable."""
    count = len(table)
    # Size prefix, root offset, "FTAB", vtable of the root, root table, vtable of an entry.
    head = struct.pack("<II4s 3H2x iI 7H2x", 0, 16, b"FTAB", 6, 8, 4, 8, 20, 14, _ENTRY.itemsize, 8, 16, 24, 32, 40)
    vtable, start = 28, len(head)
    first = (start + 4 + 4 * count + 7) // 8 * 8
    content = np.zeros(first + _ENTRY.itemsize * count, np.uint8)
    content[:start] = np.frombuffer(head, np.uint8)
    content[:4].view("<u4")[0] = content.size - 4
    offsets = content[start : start + 4 + 4 * count].view("<u4")
    offsets[0] = count
    positions = first + _ENTRY.itemsize * np.arange(count)
    offsets[1:] = positions - (start + 4 + 4 * np.arange(count))
    entries = content[first:].view(_ENTRY)
    entries["vtable"] = positions - vtable
    for name in PacketRow._fields:
        entries[name] = table[name]
    return content.tobytes()


def is_packet_start(head: bytes | memoryview, known: frozenset[int], compression: Compression, room: int) -> bool:
    """Return whether 20 bytes can be the start of a packet that fits in ``room`` bytes."""
    octets = memoryview(head)
    if len(octets) < PACKET_HEADER.size + 4:
        return False
    stream, size = PACKET_HEADER.unpack_from(octets)
    if stream not in known or not 8 <= size <= room - PACKET_HEADER.size:
        return False
    if compression is not Compression.NONE:
        return bytes(octets[8:12]) == compression.magic
    return len(octets) >= 20 and bytes(octets[16:20]).isalnum()
