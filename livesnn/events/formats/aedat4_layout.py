"""The layout of .aedat4 files: header, event packets, table; for reader and writer alike.

A file is MAGIC, the header (a size-prefixed flatbuffer with an XML text inside), packets, and the table. A
packet is two int32, stream and size, and that many octets: a size-prefixed flatbuffer, packed as the header
says. The table says for each packet where its content starts, how many items it has and from when to when.
Not here: files (aedat4.py, aedat4_index.py, recorder.py).
Source: dv-processing 2.0.4 and the files it writes.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import flatbuffers
import numpy as np
import numpy.typing as npt

from livesnn.events.formats.compression import Compression
from livesnn.events.formats.flat import (
    FlatError,
    TableColumns,
    field,
    read_i32,
    read_i64,
    read_u32,
    root_table,
    text,
    vector,
    whole_number,
)
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution

MAGIC = b"#!AER-DAT4.0\r\n"
MAX_HEADER_BYTES = 1 << 20
PACKET_HEADER = struct.Struct("<ii")
EVENT_BYTES = 16
"""An event in the file: t int64, x and y int16, on one octet, three octets of padding."""

# Size prefix (filled in), root offset, "EVTS", vtable of one field, root table, number of events (filled in).
_EVENTS_PREFIX = bytes.fromhex("00000000 10000000 45565453 0000 0600 0800 0400 06000000 04000000 00000000")


@dataclass(frozen=True)
class StreamHeader:
    """One stream as the header describes it; ``type`` is EVTS, FRME, IMUS, TRIG or another four letters."""

    id: int
    type: str
    name: str
    source: str
    resolution: Resolution | None


class Header(NamedTuple):
    """``table_position`` is -1 in a file that wasn't closed."""

    compression: Compression
    table_position: int
    streams: tuple[StreamHeader, ...]


class PacketRow(NamedTuple):
    """One row of a PacketTable."""

    stream: int
    offset: int
    size: int
    items: int
    t_first: int
    t_last: int


class PacketTable(NamedTuple):
    """One row a packet, int64 each: where its content starts and how long it is, in the file.

    ``items`` is -1 and the times are 0 where they aren't known; ``size`` is before unpacking.
    """

    stream: npt.NDArray[np.int64]
    offset: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    t_first: npt.NDArray[np.int64]
    t_last: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.bool_]) -> PacketTable:
        """Return some of the rows."""
        return PacketTable(*(column[chosen] for column in self))

    def each(self, order: range) -> Iterator[PacketRow]:
        """Yield rows in an order; a thousand at a time, because numbers of Python are read faster."""
        for first in range(0, len(order), 1024):
            some = np.asarray(order[first : first + 1024])
            yield from map(PacketRow, *(column[some].tolist() for column in self))


def parse_header(content: memoryview) -> Header:
    """Read the header's flatbuffer, without its size prefix.

    Raises
    ------
    FlatError
        When it is damaged.
    """
    root = root_table(content, 0)
    compression = field(content, root, 0)
    position = field(content, root, 1)
    info = field(content, root, 2)
    if not info:
        raise FlatError("the header describes no streams")
    number = read_i32(content, compression) if compression else 0
    if number not in Compression._value2member_map_:
        raise FlatError(f"the header names an unknown compression ({number})")
    table = read_i64(content, position) if position else -1
    streams = _parse_streams(text(content, info))
    if not streams:
        raise FlatError("the header describes no streams")
    return Header(Compression(number), table, streams)


def _parse_streams(xml: str) -> tuple[StreamHeader, ...]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise FlatError(f"the header's XML is damaged ({error})") from None
    nodes = [
        node for out in root.iter("node") if out.get("name") == "outInfo" for node in out.findall("node")
    ]
    return tuple(_parse_stream(node) for node in nodes if (node.get("name") or "").isdecimal())


def _parse_stream(node: ElementTree.Element) -> StreamHeader:
    def attributes(of: ElementTree.Element | None) -> dict[str, str]:
        return {} if of is None else {a.get("key", ""): (a.text or "").strip() for a in of.findall("attr")}

    own = attributes(node)
    info = attributes(next((child for child in node.findall("node") if child.get("name") == "info"), None))
    number = whole_number(node.get("name", ""))
    size = [whole_number(info.get(key, "")) for key in ("sizeX", "sizeY")]
    return StreamHeader(
        id=number,
        type=own.get("typeIdentifier", ""),
        name=own.get("originalOutputName", "") or f"stream{number}",
        source=info.get("source", ""),
        resolution=Resolution(*size) if min(size) > 0 and max(size) <= 1 << 15 else None,
    )


def build_header(compression: Compression, resolution: Resolution, camera: str) -> tuple[bytes, int]:
    """Return (MAGIC and header of a file with one event stream, where in it the table's position goes)."""

    def node(name: str, path: str, *children: ElementTree.Element) -> ElementTree.Element:
        element = ElementTree.Element("node", name=name, path=path)
        element.extend(children)
        return element

    def attribute(key: str, kind: str, value: object) -> ElementTree.Element:
        element = ElementTree.Element("attr", key=key, type=kind)
        element.text = str(value)
        return element

    info = node("info", "/outInfo/0/info/", attribute("sizeX", "int", resolution.width))
    info.extend([attribute("sizeY", "int", resolution.height), attribute("source", "string", camera)])
    stream = node(
        "0", "/outInfo/0/",
        attribute("compression", "string", compression.name),
        attribute("originalModuleName", "string", "livesnn"),
        attribute("originalOutputName", "string", "events"),
        attribute("typeDescription", "string", "Array of events (polarity ON/OFF)."),
        attribute("typeIdentifier", "string", "EVTS"),
        info,
    )  # fmt: skip
    xml = ElementTree.Element("dv", version="2.0")
    xml.append(node("outInfo", "/outInfo/", stream))
    builder = flatbuffers.Builder(1024)
    description = builder.CreateString(ElementTree.tostring(xml, encoding="unicode"))
    builder.StartObject(3)
    builder.PrependInt64(-1)  # stored although it is the default: it is overwritten when the file is closed
    builder.Slot(1)
    builder.PrependInt32Slot(0, compression, 0)
    builder.PrependUOffsetTRelativeSlot(2, description, 0)
    builder.FinishSizePrefixed(builder.EndObject(), file_identifier=b"IOHE")
    content = bytes(builder.Output())
    position = field(content, root_table(content, 4), 1)
    return MAGIC + content, len(MAGIC) + position


def events_in(content: memoryview) -> tuple[int, int]:
    """Return (position of the first event, number of events) of an unpacked event packet.

    Raises
    ------
    FlatError
        When the packet isn't one of events, or claims more than it holds.
    """
    start = len(_EVENTS_PREFIX)
    if content[4 : start - 4] == _EVENTS_PREFIX[4:-4]:  # as everyone writes it: 2 µs saved
        count = read_u32(content, start - 4)
        if start + count * EVENT_BYTES <= len(content):
            return start, count
    if bytes(content[8:12]) != b"EVTS":
        raise FlatError("it isn't a packet of events")
    return items_in(content, EVENT_BYTES)


def items_in(content: memoryview, item_bytes: int = 4) -> tuple[int, int]:
    """Return (position of the first item, number of items) of a packet that holds one list."""
    elements = field(content, root_table(content, 4), 0)
    return vector(content, elements, item_bytes) if elements else (0, 0)


def build_events(packet: Events) -> bytes:
    """Return the content of an event packet, EVENTS_DTYPE [N] in, before it is packed."""
    prefix = len(_EVENTS_PREFIX)
    content = np.zeros(prefix + EVENT_BYTES * len(packet), np.uint8)
    content[:prefix] = np.frombuffer(_EVENTS_PREFIX, np.uint8)
    content[:4].view("<u4")[0] = content.size - 4
    content[prefix - 4 : prefix].view("<u4")[0] = len(packet)
    np.ndarray((len(packet),), EVENTS_DTYPE, content, prefix, (EVENT_BYTES,))[:] = packet
    return content.tobytes()


def parse_table(content: memoryview) -> PacketTable:
    """Read the file's table, unpacked.

    Raises
    ------
    FlatError
        When it is damaged, or isn't a table.
    """
    if bytes(content[8:12]) != b"FTAB":
        raise FlatError("the file's table isn't one")
    entries = field(content, root_table(content, 4), 0)
    columns = TableColumns(content, entries) if entries else None
    if columns is None:
        return PacketTable(*(np.zeros(0, np.int64) for _ in PacketTable._fields))
    return PacketTable(
        stream=columns.column(1, "<i4", default=-1),
        offset=columns.column(0, "<i8"),
        size=columns.column(1, "<i4", shift=4),
        items=columns.column(2, "<i8", default=-1),
        t_first=columns.column(3, "<i8"),
        t_last=columns.column(4, "<i8"),
    )


_ENTRY = np.dtype([
    ("vtable", "<i4"), ("padding", "<i4"), ("offset", "<i8"), ("stream", "<i4"), ("size", "<i4"),
    ("items", "<i8"), ("t_first", "<i8"), ("t_last", "<i8"),
])  # fmt: skip


def build_table(table: PacketTable) -> bytes:
    """Return the file's table, before it is packed; every entry shares one vtable."""
    count = len(table.offset)
    # Size prefix, root offset, "FTAB", vtable of the root, root table, vtable of an entry.
    head = struct.pack(
        "<II4s 3H2x iI 7H2x", 0, 16, b"FTAB", 6, 8, 4, 8, 20, 14, _ENTRY.itemsize, 8, 16, 24, 32, 40
    )
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
    for name in PacketTable._fields:
        entries[name] = getattr(table, name)
    return content.tobytes()


def table_of(rows: list[PacketRow] | array[int]) -> PacketTable:
    """Return a table from rows, or all their numbers, in the order of PacketTable's columns."""
    return PacketTable(*np.array(rows, np.int64).reshape(-1, len(PacketTable._fields)).T.copy())


def is_packet_start(
    head: bytes | memoryview, known: frozenset[int], compression: Compression, room: int
) -> bool:
    """Say whether 20 octets can be the start of a packet that fits in ``room`` octets."""
    octets = memoryview(head)
    if len(octets) < PACKET_HEADER.size + 4:
        return False
    stream, size = PACKET_HEADER.unpack_from(octets)
    if stream not in known or not 8 <= size <= room - PACKET_HEADER.size:
        return False
    if compression is not Compression.NONE:
        return bytes(octets[8:12]) == compression.magic
    return len(octets) >= 20 and bytes(octets[16:20]).isalnum()
