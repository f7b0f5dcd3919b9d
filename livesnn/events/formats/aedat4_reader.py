"""Reading .aedat4: a reader that survives damaged files, decompresses on several threads, and copies nothing.

Where the packets lie comes from the file's table, or from a walk through the file if it has none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError, LivesnnError
from livesnn.events.formats.aedat4_layout import (
    EVENT_BYTES,
    MAGIC,
    PACKET_HEADER,
    ROW_DTYPE,
    Compression,
    Decompressor,
    Header,
    PacketRow,
    PacketTable,
    StreamHeader,
    each_row,
    events_in,
    is_packet_start,
    items_in,
    parse_header,
    parse_table,
    read_u32,
)
from livesnn.events.formats.reader import EventStream, OtherContent, Parts, Reader
from livesnn.events.formats.shared_readers import WIDEST, first_block, time_range_of
from livesnn.events.packet import (
    DISORDER_US,
    EVENTS_DTYPE,
    TIME_LIMIT_US,
    Events,
    PacketSorter,
    Resolution,
    SourceCounters,
    jump_warnings,
    put_in_order,
)
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress, no_progress
from livesnn.threads import usable_processors
from livesnn.untrusted import HEADER_BYTES, PIECE_BYTES, WHOLE_BYTES, DamageError, require_room

_KINDS = ("EVTS", "FRME", "IMUS", "TRIG")
_BATCH_BYTES = 1 << 19  # of the file, which a thread reads and unpacks at once: both stay in the cache
_BATCH_ROOM_BYTES = 16 << 20  # for what it unpacks to; a packet beyond that is unpacked when it is needed
_WALK_BYTES = 4096
_SEARCH_BYTES = 1 << 16
_HEAD_BYTES = 20  # a packet's header, size prefix, root offset and identifier
_LONGEST_PACKET_US = 86_400_000_000  # a day: only damaged times span more
_LONGEST_STEP_US = 1 << 36  # 19 hours; 2^27 events, 2 GB, come to 2^63
_TABLE_TOLERANCE_US = 1_000_000
_MAX_WARNINGS = 8

T = TypeVar("T")
R = TypeVar("R")


class Aedat4Reader(Reader):
    """An open .aedat4 file; see `Reader`. Raises FormatError when the header is damaged."""

    format = "aedat4"

    def __init__(self, path: Path, progress: Progress = no_progress) -> None:
        with closed_on_error(BufferedFile(path, progress)) as self._file:
            header, first = read_header(self._file)
            self._packets, self._notes = find_packets(self._file, header, first)
        self._has_times = bool((self._packets["items"] >= 0).all() and (self._packets["t_last"] > 0).any())
        self._file.lasting = header.compression is Compression.NONE  # packets are views of the file's octets
        self._decompressor = Decompressor(header.compression)
        self._kinds = {stream.id: stream.type for stream in header.streams}
        self._ids = _name_streams([stream for stream in header.streams if stream.type == "EVTS"])
        self._rows = {name: self._packets[self._packets["stream"] == s.id] for name, s in self._ids.items()}
        self.streams = tuple(EventStream(name, s.source, s.resolution) for name, s in self._ids.items())
        ordered = sorted(header.streams, key=lambda stream: stream.type != "EVTS")
        self.camera = next((stream.source for stream in ordered if stream.source), "")
        self.resolution = next((stream.resolution for stream in ordered if stream.resolution), None)
        self._notes += self._left_out()
        self._damaged: dict[int, str] = {}
        self._jumps: dict[str, int] = {}

    @property
    def warnings(self) -> list[str]:
        """What is damaged or missing in the part read so far; at most nine lines."""
        found = [*self._notes, *jump_warnings(self._jumps), *self._damaged.values()]
        if len(found) <= _MAX_WARNINGS:
            return found
        return [*found[:_MAX_WARNINGS], f"and {len(found) - _MAX_WARNINGS:,} more places like these"]

    def _left_out(self) -> Iterator[str]:
        """Yield a warning about packets of no known stream, and of each stream that isn't of a known type."""
        streams = self._packets["stream"]
        if strays := np.count_nonzero(~np.isin(streams, list(self._kinds))):
            yield f"{strays:,} packets belong to no stream in the file's header, and are left out"
        for number, kind in self._kinds.items():
            if kind not in _KINDS and (count := np.count_nonzero(streams == number)):
                yield f"{count:,} packets are of an unknown type, {kind[:20]!r}, and are left out"

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield one packet per packet of the file, a few unpacked ahead in other threads; see `Reader.packets`."""
        rows = self._rows[stream]
        resolution = self._ids[stream].resolution or WIDEST
        first = 0 if start_us is None else self._first_row(rows, resolution, start_us)
        # Without compression, there is little to do.
        threads = 1 if self._file.lasting else decoding_threads()
        unpacked = prefetch(self._unpack, _batches(each_row(rows[first:])), threads)
        found = (self._read(row, resolution, counters, content) for row, content in unpacked)
        sorter = PacketSorter(resolution, start_us, counters)
        yield from sorter.sort((packet, True) for packet in found if packet is not None)
        if start_us is None:
            self._jumps[stream] = sorter.jumps

    def _unpack(self, batch: list[PacketRow]) -> Iterator[tuple[PacketRow, memoryview | None]]:
        """Yield each packet and its content; may run in any thread.

        There is no content if it can't be unpacked, or is too large to be held until it is needed.
        """
        room, first = _BATCH_ROOM_BYTES, batch[0].offset - PACKET_HEADER.size
        with suppress(LivesnnError):  # all at once, because after each read a thread waits for the GIL
            self._file.view(first, batch[-1].offset + batch[-1].size - first)
        for row in batch:
            content = None
            with suppress(DamageError, LivesnnError):  # met and reported again by `_read`, in its turn
                content = self._content(row, room)
                room -= len(content)
            yield row, content

    def _read(
        self, row: PacketRow, resolution: Resolution, counters: SourceCounters, content: memoryview | None = None
    ) -> Events | None:
        """Return one packet, put in order; None if it has no events, with a warning if it is damaged."""
        try:
            content = self._content(row) if content is None else content
            packet, count = decode_events(content, resolution, None, counters)
            if not packet.size:
                return None
            _check_against_table(packet, count, row)
        except DamageError as error:
            self._note_damage(row, str(error))
            return None
        return packet

    def _content(self, row: PacketRow, limit: int = PIECE_BYTES) -> memoryview:
        size = PACKET_HEADER.size + row.size
        octets = self._file.view(row.offset - PACKET_HEADER.size, size)
        if len(octets) < size:
            raise DamageError("it ends with the file")
        if PACKET_HEADER.unpack_from(octets) != (row.stream, row.size):
            raise DamageError("its header isn't what the file's table says")
        return self._decompressor.decompress(octets[PACKET_HEADER.size :], limit)

    def _note_damage(self, row: PacketRow, reason: str) -> None:
        lost = f"{row.items:,} events or samples" if row.items >= 0 else f"{row.size:,} bytes"
        start = row.offset - PACKET_HEADER.size
        self._damaged[start] = f"the packet at byte {start:,} is left out: {reason}; {lost} lost"

    def parts(self, stream: str) -> Parts | None:
        """Return the stream's packets that hold events, from the file's table; None if that has no times."""
        rows = self._rows[stream]
        filled = rows[rows["items"] > 0]
        return Parts(filled["items"], filled["t_first"], filled["t_last"]) if self._has_times else None

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and greatest time in µs from the file's table, else from the packets at its ends."""
        if (parts := self.parts(stream)) is not None:
            return (int(parts.t_first.min()), int(parts.t_last.max())) if parts.items.size else None
        rows = self._rows[stream]
        return time_range_of(len(rows), partial(self._span, rows, self._ids[stream].resolution or WIDEST))

    def _span(self, rows: PacketTable, resolution: Resolution, number: int) -> tuple[int, int] | None:
        """Return the first and the last time of a packet; None if it can't be read, or has no events."""
        packet = self._read(PacketRow._make(rows[number].tolist()), resolution, SourceCounters())
        return None if packet is None else _ends(packet)

    def _first_row(self, rows: PacketTable, resolution: Resolution, start_us: int) -> int:
        """Return the first packet that may hold an event at or after ``start_us``."""
        if self._has_times:
            return int(np.searchsorted(np.maximum.accumulate(rows["t_last"]), start_us))
        return first_block(len(rows), partial(self._span, rows, resolution), start_us - DISORDER_US)

    def other_content(self) -> OtherContent:
        """Count frames, inertial samples and triggers; reads all of their packets."""
        counts: Counter[str] = Counter()
        ids = [number for number, kind in self._kinds.items() if kind in ("FRME", "IMUS", "TRIG")]
        for row in each_row(self._packets[np.isin(self._packets["stream"], ids)]):
            kind = self._kinds[row.stream]
            try:
                content = self._content(row)
                counts[kind] += 1 if kind == "FRME" else items_in(content)[1]
            except DamageError as error:
                self._note_damage(row, str(error))
        return OtherContent(counts["FRME"], counts["IMUS"], counts["TRIG"])

    def close(self) -> None:
        self._file.close()


def read_header(file: BufferedFile) -> tuple[Header, int]:
    """Return (the header, where the first packet starts); raises FormatError."""
    start = len(MAGIC) + 4
    try:
        size = read_u32(file.view(len(MAGIC), 4), 0)
        require_room(size, min(HEADER_BYTES, file.size - start), "it")
        return parse_header(file.view(start, size)), start + size
    except DamageError as error:
        raise FormatError(
            f"{file.path}: the header is damaged ({error}): copy the file again, or record it again"
        ) from None


def find_packets(file: BufferedFile, header: Header, first: int) -> tuple[PacketTable, list[str]]:
    """Return where every packet lies, and what is missing or lost: from the file's table, or by walking the file."""
    problem = "it was never closed"
    if header.table_position >= 0:
        try:
            return _read_table(file, header, first), []
        except DamageError as error:
            problem = str(error)
    found, losses = _walk(file, header, first)
    message = f"the file's table is missing ({problem}): found {len(found):,} packets by walking the file"
    return found, [message, *losses]


def _read_table(file: BufferedFile, header: Header, first: int) -> PacketTable:
    position = header.table_position
    if not first <= position < file.size:
        raise DamageError(f"its position {position:,} is outside the file of {file.size:,} bytes")
    size = file.size - position
    packed = file.view(position, require_room(size, WHOLE_BYTES, "it"))
    content = Decompressor(header.compression).decompress(packed, WHOLE_BYTES)
    table = parse_table(content)
    starts = table["offset"] - PACKET_HEADER.size
    ends = table["offset"] + table["size"]
    expected = np.concatenate([[first], ends])
    whole = (table["size"] > 0).all() and np.array_equal(np.append(starts, position), expected)
    if not whole:
        raise DamageError("it doesn't match the packets")
    times = np.concatenate([table["t_first"], table["t_last"]])
    if ((times <= -TIME_LIMIT_US) | (times >= TIME_LIMIT_US)).any():
        raise DamageError("its times are damaged")
    return table


def _walk(file: BufferedFile, header: Header, first: int) -> tuple[PacketTable, list[str]]:
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
        where = "the end of the file" if following == end else f"byte {following:,}"
        lost = following - position
        losses.append(f"no whole packet from byte {position:,} to {where}: {lost:,} bytes lost")
        position = following
    return np.array(rows, ROW_DTYPE), losses


def _next_packet(file: BufferedFile, header: Header, known: frozenset[int], start: int, end: int) -> int:
    """Return where the next plausible packet starts: before compressed data, or before uncompressed events."""
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


def _batches(rows: Iterator[PacketRow]) -> Iterator[list[PacketRow]]:
    """Yield rows together that lie within _BATCH_BYTES; a larger packet comes alone."""
    batch: list[PacketRow] = []
    for row in rows:
        if batch and row.offset + row.size - batch[0].offset > _BATCH_BYTES:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def decoding_threads() -> int:
    """Return how many threads decode a recording: four at most, as more would wait for whoever takes their events.

    A process that was started to share work with others (subprocesses.py) has one.
    """
    from multiprocessing import parent_process

    return min(4, usable_processors()) if parent_process() is None else 1


def prefetch(work: Callable[[T], Iterator[R]], items: Iterable[T], threads: int) -> Iterator[R]:
    """Yield what ``work`` yields for each item, in order; so many other threads work ``2 * threads`` items ahead.

    ``work`` is a generator function. What it raises is raised where its results would come. The first item, and with
    one thread every item, is worked on here: a look at the beginning costs little.
    """
    left = iter(items)
    for item in left if threads == 1 else islice(left, 1):
        yield from work(item)
    waiting: deque[Future[list[R]]] = deque()
    # glibc keeps of a thread's freed memory as much as twice the largest block it has ever given back to the kernel.
    # Without this one, which is never touched, getting pages from the kernel again took as long as LZ4 itself.
    bytes(4 << 20)
    with ThreadPoolExecutor(threads, "livesnn-prefetch") as workers:
        try:
            while True:
                some = islice(left, 1 + 2 * threads - len(waiting))
                waiting.extend(workers.submit(list, work(item)) for item in some)
                if not waiting:
                    return
                yield from waiting.popleft().result()
        finally:
            workers.shutdown(wait=False, cancel_futures=True)


def find_plain_events(content: memoryview, resolution: Resolution) -> Events | None:
    """Return the events of a decompressed packet, a view of it, if it has some and nothing must be put right.

    Raises DamageError when the packet is damaged.
    """
    start, count = events_in(content)
    if not count or not _are_plain(np.frombuffer(content, np.int64, 2 * count, start), *resolution):
        return None
    return _checked(_view(content, start, count))


@njit(cache=True)
def _are_plain(words: npt.NDArray[np.int64], width: int, height: int) -> bool:
    """Return whether events, as pairs of words, need no sorting and no dropping.

    It keeps the GIL, since waiting for it again would take longer. The loop has no branch and no comparison. A
    coordinate that is too large sets the highest of its 16 bits when the rest of the range is added to it. A falling
    time makes its step negative. Steps of `_LONGEST_STEP_US` or more are refused, because many of them would wrap
    around to where they began.
    """
    seen, steps, last_us = np.int64(0), np.int64(0), words[0]
    rest_of_16 = (0x8000 - width) | (0x8000 - height) << 16
    for i in range(0, words.size, 2):
        t_us, place = words[i], words[i + 1]  # x, y, p, padding
        seen |= place | (place + rest_of_16)
        steps |= t_us - last_us
        last_us = t_us
    odd = seen & 0xFE_8000_8000  # or a polarity that is neither 0 nor 1
    return bool(odd == 0 and 0 <= steps < _LONGEST_STEP_US)


def _view(content: memoryview, start: int, count: int) -> Events:
    return np.ndarray((count,), EVENTS_DTYPE, content, start, (EVENT_BYTES,))


def _ends(events: Events) -> tuple[int, int]:
    """Return the first and the last time."""
    t = events["t"]
    return t.item(0), t.item(-1)


def _checked(events: Events) -> Events:
    """Return events in order of time, at least one; raises DamageError when they can't be of one packet."""
    first_us, last_us = _ends(events)
    if last_us - first_us > _LONGEST_PACKET_US or not -TIME_LIMIT_US < first_us <= last_us < TIME_LIMIT_US:
        raise DamageError("its times are damaged")
    return events


def decode_events(
    content: memoryview, resolution: Resolution, newest_us: int | None, counters: SourceCounters
) -> tuple[Events, int]:
    """Return (the events of a decompressed packet as `put_in_order` leaves them, how many there were before).

    Raises DamageError when the packet is damaged.
    """
    found = find_plain_events(content, resolution)
    if found is not None and (newest_us is None or found["t"].item(0) >= newest_us):
        return found, found.size
    start, count = events_in(content)
    packet = put_in_order(_view(content, start, count), resolution, newest_us, counters)
    return _checked(packet) if packet.size else packet, count


def _name_streams(streams: list[StreamHeader]) -> dict[str, StreamHeader]:
    """Give each stream a name of its own: two cameras both call theirs "events"."""
    names = [stream.name for stream in streams]
    if len(set(names)) < len(names):
        names = [f"{stream.source or stream.id}/{stream.name}" for stream in streams]
    if len(set(names)) < len(names):
        names = [f"{stream.id}/{stream.name}" for stream in streams]
    return dict(zip(names, streams, strict=True))


def _check_against_table(events: Events, count: int, row: PacketRow) -> None:
    """Raise DamageError when times or count aren't the table's: damage that decompression didn't notice."""
    if row.items < 0 or row.t_last == 0:
        return
    first_us, last_us = _ends(events)
    strays = max(row.t_first - first_us, last_us - row.t_last) > _TABLE_TOLERANCE_US
    if count != row.items or strays:
        raise DamageError("its events aren't those of the file's table")
