"""The readers that formats share, so that a format only has to decode.

`BlockReader` is for blocks that can be read in any order (npz, text, hdf5, event_stream), `WordReader` for words of
one size (evt, dat, aedat2), `InMemoryReader` for small files (nmnist, npz).
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.formats.ordering import PacketSorter, jump_warnings, put_in_order
from livesnn.events.formats.registry import EventStream, OtherContent, Reader
from livesnn.events.formats.table_columns import MAX_COORDINATE
from livesnn.events.packet import DISORDER_US, EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution, SourceCounters
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress

WIDEST = Resolution(MAX_COORDINATE + 1, MAX_COORDINATE + 1)
PACKET_EVENTS = 1 << 14
_MAX_JUMPS = 64  # in one block: with more, the clock wasn't reset, the events were never in order


class Blocks(Protocol):
    """One stream's events, in blocks of bounded size."""

    @property
    def count(self) -> int:
        """How many blocks there are."""
        ...

    def read(self, number: int) -> Events:
        """Return a block's events as they lie in the file, EVENTS_DTYPE [N]; the caller owns them, N may be 0.

        Damaged parts are skipped and named in `warnings`. Times are within ± TIME_LIMIT_US. The caller drops and
        counts events that lie outside the sensor or can't be events.
        """
        ...

    @property
    def warnings(self) -> list[str]:
        """What is damaged in the part read so far; one line each."""
        ...


class LossyBlocks:
    """What `Blocks` have in common that may lose ``unit``s; reading a block again doesn't count its loss twice."""

    def __init__(self, count: int, unit: str) -> None:
        self.count = count
        self._unit = unit
        self._lost: dict[int, tuple[int, str]] = {}

    def note_loss(self, block: int, amount: int, reason: str) -> None:
        """Note that ``amount`` of the unit are lost in a block."""
        self._lost[block] = amount, reason

    @property
    def warnings(self) -> list[str]:
        """One line for all losses, with the first reason; none if nothing is lost."""
        if not self._lost:
            return []
        amount = sum(amount for amount, _ in self._lost.values())
        return [f"{amount:,} {self._unit} lost: {self._lost[min(self._lost)][1]}"]


class BlockReader(Reader):
    """An open file of blocks; see `Reader`.

    Blocks are assumed to follow one another in time. Where time jumps back, a warning says so, and seeking finds one
    of the places.

    There is at least one stream. ``warnings`` say what was assumed or missing when the file was opened. `close` calls
    ``release``, which must be safe to call twice.
    """

    def __init__(
        self,
        streams: Sequence[tuple[EventStream, Blocks]],
        *,
        format_name: str,
        other: OtherContent = OtherContent(),  # noqa: B008 (a value)
        warnings: Sequence[str] = (),
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self.format = format_name
        self.streams = tuple(stream for stream, _ in streams)
        self.camera, self.resolution = self.streams[0].camera, self.streams[0].resolution
        self._blocks = {stream.name: blocks for stream, blocks in streams}
        self._sizes = {stream.name: stream.resolution or WIDEST for stream in self.streams}
        self._other = other
        self._warnings = list(warnings)
        self._release = release
        self._spans: dict[tuple[str, int], tuple[int, int] | None] = {}
        self._jumps: dict[str, int] = {}

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed in the part read so far."""
        lost = [line for blocks in self._blocks.values() for line in blocks.warnings]
        jumped = [line for name, jumps in self._jumps.items() for line in jump_warnings(jumps, name)]
        return [*self._warnings, *lost, *jumped]

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield one packet per block, more where time jumps back; see `Reader.packets`."""
        blocks, first = self._blocks[stream], 0 if start_us is None else self._first_block(stream, start_us)
        found = (blocks.read(number) for number in range(first, blocks.count))
        jumps = yield from sorted_packets(found, self._sizes[stream], start_us, counters)
        if start_us is None:
            self._jumps[stream] = jumps

    def _first_block(self, stream: str, start_us: int) -> int:
        """Return the first block with an event at or after ``start_us``."""
        return bisect_left(
            range(self._blocks[stream].count), start_us, key=lambda number: self._latest(stream, number)
        )

    def _latest(self, stream: str, number: int) -> int:
        """Return the greatest time of a block, or of the last one before it that has events."""
        spans = (self._span(stream, before) for before in range(number, -1, -1))
        return next((span[1] for span in spans if span is not None), -TIME_LIMIT_US)

    def _span(self, stream: str, number: int) -> tuple[int, int] | None:
        if (stream, number) not in self._spans:
            events = _inside(self._blocks[stream].read(number), self._sizes[stream], SourceCounters())
            t = events["t"]
            self._spans[stream, number] = (int(t.min()), int(t.max())) if t.size else None
        return self._spans[stream, number]

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time of the first and the last block that have events, µs."""
        numbers = range(self._blocks[stream].count)
        ends = [
            next((span for n in order if (span := self._span(stream, n)) is not None), None)
            for order in (numbers, reversed(numbers))
        ]
        known = [span for span in ends if span is not None]
        return (min(t for t, _ in known), max(t for _, t in known)) if known else None

    def other_content(self) -> OtherContent:
        """Count what isn't events."""
        return self._other

    def close(self) -> None:
        """Release the file; safe to call twice."""
        self._release()


def sorted_packets(
    blocks: Iterable[Events], size: Resolution, start_us: int | None, counters: SourceCounters
) -> Generator[Events, None, int]:
    """Yield the events of blocks as `Reader.packets` must; return how often time jumps back."""
    sorter = PacketSorter(size, start_us, counters)
    newest_us, jumps = None, 0
    for block in blocks:
        for part, ordered in _parts(block, size, counters):
            jumps += newest_us is not None and int(part["t"][0]) < newest_us - DISORDER_US
            newest_us = int(part["t"][-1] if ordered else part["t"].max())
            yield from sorter.sort([(part, ordered)])
    return jumps


def _inside(events: Events, size: Resolution, counters: SourceCounters) -> Events:
    inside = (events["x"] < size.width) & (events["y"] < size.height)
    if inside.all():
        return events
    counters.out_of_bounds += int(inside.size - np.count_nonzero(inside))
    return events[inside]


@njit(nogil=True, cache=True)
def _find_jumps(t: npt.NDArray[np.int64], jumps: npt.NDArray[np.int64]) -> int:
    """Write where time jumps back and return how often; stop at one more than there is room for."""
    n = 0
    newest_us = t[0]
    for i in range(1, t.size):
        if t[i] >= newest_us - DISORDER_US:
            newest_us = max(newest_us, t[i])
            continue
        if n == jumps.size:
            return n + 1
        jumps[n] = i
        n += 1
        newest_us = t[i]
    return n


@njit(nogil=True, cache=True)
def _is_plain(events: Events, width: int, height: int) -> bool:
    """Return whether all events are inside the sensor and in order, as they nearly always are."""
    strays, newest_us = False, events[0].t
    for i in range(events.size):
        strays |= (events[i].t < newest_us) | (events[i].x >= width) | (events[i].y >= height)
        newest_us = events[i].t
    return not strays


def _parts(events: Events, size: Resolution, counters: SourceCounters) -> list[tuple[Events, bool]]:
    """Return the events inside the sensor in parts, cut where time jumps back, and whether each part is in order.

    If time jumps back too often, they are one part.
    """
    if events.size and _is_plain(events, *size):
        return [(events, True)]
    events = _inside(events, size, counters)
    if not events.size:
        return []
    jumps = np.empty(_MAX_JUMPS, np.int64)
    n = _find_jumps(np.ascontiguousarray(events["t"]), jumps)
    parts = np.split(events, jumps[:n]) if 0 < n <= _MAX_JUMPS else [events]
    return [(part, bool((part["t"][1:] >= part["t"][:-1]).all())) for part in parts]


BLOCK_BYTES = 1 << 18  # of words; as much as BufferedFile reads at once
OUTSIDE, TRIGGERS, STRANGE, SAMPLES, IMU = range(5)
_FIRST_BLOCKS = 32  # 8 MB are indexed before a file is played, the rest while it is
_LATEST = np.iinfo(np.int64).max

Words = npt.NDArray[np.unsignedinteger]
"""uint16, uint32 or uint64 [N], in the machine's byte order, aligned."""

State = npt.NDArray[np.int64]
"""What a decoder knows from the words before: int64 [S], with a meaning of its own; slot 0 is always a time in µs."""

Counts = npt.NDArray[np.int64]
"""What a decoder leaves out, int64 [5]: events OUTSIDE the sensor, TRIGGERS, words of a STRANGE (unknown) type,
SAMPLES of frames (one per pixel), samples of the IMU."""

Span = tuple[int, int, bool]
"""The least time of some events, the greatest, and whether they are in order."""


class Decode(Protocol):
    """Decode ``words`` from ``first`` on into ``events``, until that is full or time jumps back.

    Return (next word, number of events, their least time, their greatest, whether they are in order). Events outside
    width × height are left out. An empty ``events`` is never full: events are then only counted. ``state`` is
    updated, ``counts`` is added to.
    """

    def __call__(  # noqa: D102
        self, words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
    ) -> tuple[int, int, int, int, bool]: ...


class WordLayout(NamedTuple):
    """One coding of events: its short and its full name, the size of its words, and its decoder.

    With ``halves_swapped`` each word's more significant half comes first in the file, with ``big_endian`` its most
    significant byte. ``word`` is what a warning calls a word.
    """

    name: str
    title: str
    word_bytes: int
    decode: Decode
    halves_swapped: bool = False
    big_endian: bool = False
    word: str = "word"

    def words(self, octets: memoryview | bytes) -> Words:
        """Return a copy of the whole words in ``octets``, in the machine's byte order."""
        count = len(octets) // self.word_bytes
        if self.word_bytes == 6:  # AEDAT 1.0
            parts = np.frombuffer(octets, ">u2", 3 * count).reshape(-1, 3).astype(np.uint64)
            return np.asarray(parts[:, 0] << 32 | parts[:, 1] << 16 | parts[:, 2], np.uint64)
        if self.halves_swapped:
            halves = np.frombuffer(octets, f"<u{self.word_bytes // 2}", 2 * count).reshape(-1, 2)
            return halves[:, ::-1].copy().view(f"u{self.word_bytes}")[:, 0].copy()
        order = ">" if self.big_endian else "<"
        return np.frombuffer(octets, f"{order}u{self.word_bytes}", count).astype(f"u{self.word_bytes}")


class Body(NamedTuple):
    """The words of a file from byte ``start`` on; ``state`` is the decoder's before the first of them."""

    start: int
    layout: WordLayout
    state: State


@njit(nogil=True, cache=True)
def unwrap(low_bits: int, last_us: int) -> int:
    """Return the time nearest to ``last_us`` whose lower 32 bits are ``low_bits``, µs."""
    return last_us + ((low_bits - last_us + 0x80000000 & 0xFFFFFFFF) - 0x80000000)


@njit(nogil=True, cache=True)
def extend_span(t: int, first: bool, span: Span) -> Span:
    """Return the span of the events so far and one more, which may be the ``first``."""
    earliest_us, newest_us, ordered = span
    if first:
        return t, t, True
    if t < newest_us:
        return min(earliest_us, t), newest_us, False
    return earliest_us, t, ordered


class WordReader(Reader):
    """An open file of words; see `Reader`. Its times are indexed block by block, from the start on.

    The reader owns ``file``. If the resolution of its only ``stream`` isn't known, events up to ``widest`` are valid.
    ``warnings`` say what was assumed or lost so far, ``frame_pixels`` how many pixels a frame among the words has.
    Raises FormatError when most of the first events are outside the sensor.
    """

    def __init__(
        self,
        file: BufferedFile,
        body: Body,
        stream: EventStream,
        *,
        widest: Resolution,
        warnings: list[str],
        orientation: str = "x to the right, y down",
        frame_pixels: int | None = None,
    ) -> None:
        self._file, self._body = file, body
        self._indexed_file = BufferedFile(file.path)  # of its own: `index` may run beside `packets`
        self._size = stream.resolution or widest
        self._frame_pixels = frame_pixels or self._size.width * self._size.height
        self.format = body.layout.name
        self.orientation = orientation
        self.streams = (stream,)
        self.camera, self.resolution = stream.camera, stream.resolution
        self._warnings = warnings
        self._counts = no_counts()
        self._block_words = BLOCK_BYTES // body.layout.word_bytes
        self._words, left = divmod(max(0, file.size - body.start), body.layout.word_bytes)
        if left:
            self._warnings.append(
                f"the last {left} bytes aren't a whole {body.layout.word}: the file is cut short"
            )
        blocks = -(-self._words // self._block_words)
        self._states = np.zeros((blocks, body.state.size), np.int64)
        self._earliest = np.full(blocks, _LATEST)
        self._latest = np.full(blocks, -_LATEST)
        self._state = body.state.copy()  # before the first block that isn't indexed
        self._indexed = self._events = self._jumps = 0
        self._newest_us: int | None = None
        self._indexing = threading.Lock()
        with closed_on_error(self._indexed_file):
            while self._indexed < min(blocks, _FIRST_BLOCKS) or (self._events == 0 and not self.indexed):
                self._index_block()
            self._judge()

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed in the part that is indexed."""
        strange = (
            f"{self._counts[STRANGE]:,} words are of a type that {self._body.layout.title} doesn't have, and are "
            f"left out: the file is damaged, or from a newer camera"
        )
        return [*self._warnings, *[strange] * bool(self._counts[STRANGE]), *jump_warnings(self._jumps)]

    @property
    def indexed(self) -> bool:
        """Whether the times of the whole file are known."""
        return self._indexed == len(self._states)

    def index(self, progress: Progress) -> None:
        """Find the times of the whole file; raises FormatError when most events are outside the sensor."""
        while not self.indexed:
            progress(self._indexed / len(self._states))
            self._index_block()
        self._judge()

    def _index_block(self) -> None:
        """Note the decoder's state before the next block, and the block's times."""
        with self._indexing:
            number = self._indexed
            if self.indexed:
                return
            self._states[number] = self._state
            words = self._read(self._indexed_file, number)
            for _, n, earliest_us, latest_us, _ in self._decode(words, self._state, 0, self._counts):
                self._events += n
                self._jumps += self._newest_us is not None and earliest_us < self._newest_us - DISORDER_US
                self._newest_us = latest_us
                self._earliest[number] = min(self._earliest[number], earliest_us)
                self._latest[number] = max(self._latest[number], latest_us)
            self._indexed = number + 1

    def _judge(self) -> None:
        outside = int(self._counts[OUTSIDE])
        if outside > self._events:
            raise FormatError(
                f"{self._file.path}: {outside:,} of {outside + self._events:,} events are outside the sensor's "
                f"{self._size.width}×{self._size.height} pixels: the file or its header is damaged, or it is from "
                f"another camera"
            )

    def _read(self, file: BufferedFile, number: int) -> Words:
        first, each = number * self._block_words, self._body.layout.word_bytes
        size = min(self._block_words, self._words - first) * each
        return self._body.layout.words(file.view(self._body.start + first * each, size))

    def _decode(
        self, words: Words, state: State, room: int, counts: Counts
    ) -> Iterator[tuple[Events, int, int, int, bool]]:
        """Yield a block's events as in the file, and what `Decode` returns of them, split where time jumps back.

        There are at most ``room`` events at a time; with 0, they are only counted.
        """
        first = 0
        while first < len(words):
            events = np.empty(room, EVENTS_DTYPE)
            first, n, earliest_us, latest_us, ordered = self._body.layout.decode(
                words, first, state, *self._size, events, counts
            )
            if n:
                yield events[:n], n, earliest_us, latest_us, ordered

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most PACKET_EVENTS events; see `Reader.packets`."""
        sorter = PacketSorter(self._size, start_us, counters)
        for number in range(0 if start_us is None else self._first_block(start_us), len(self._states)):
            while number >= self._indexed:
                self._index_block()
            counts = no_counts()
            words, state = self._read(self._file, number), self._states[number].copy()
            decoded = self._decode(words, state, PACKET_EVENTS, counts)
            yield from sorter.sort((events, ordered) for events, _, _, _, ordered in decoded)
            counters.out_of_bounds += int(counts[OUTSIDE])

    def _first_block(self, start_us: int) -> int:
        """Return the first block with an event at or after ``start_us``, of those that are indexed."""
        holds = np.flatnonzero(self._latest >= start_us)
        return int(holds[0]) if holds.size else self._indexed

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time in µs of what is indexed; None if there are no events."""
        earliest = int(self._earliest.min(initial=_LATEST))
        return None if earliest == _LATEST else (earliest, int(self._latest.max()))

    def other_content(self) -> OtherContent:
        """Count whole frames (from their pixels), inertial samples and triggers."""
        frames = int(self._counts[SAMPLES]) // self._frame_pixels
        return OtherContent(frames, int(self._counts[IMU]), int(self._counts[TRIGGERS]))

    def close(self) -> None:
        """Release the file; packets stay valid."""
        self._file.close()
        self._indexed_file.close()


def no_counts() -> Counts:
    """Return counts of nothing so far."""
    return np.zeros(5, np.int64)


class Pixel(NamedTuple):
    """Where a 64-bit word of DAT or AEDAT 2.0 has x, y and the polarity; its lower 32 bits are the time in µs.

    ``x`` and ``y`` are the shift to their lowest bit and a mask; ``on`` is the shift to the bit that is 1 for ON
    (with ``on_is_zero``, 0). With ``mirrored``, both are counted from the other side. A word with a bit of
    ``others`` set is no event: with one of ``frames`` it is a frame's or the IMU's, with one of ``triggers`` a
    trigger, otherwise outside the sensor.
    """

    x: tuple[int, int]
    y: tuple[int, int]
    on: int
    on_is_zero: bool = False
    mirrored: bool = False
    others: int = 0
    frames: int = 0
    triggers: int = 0


@njit(nogil=True, inline="always")
def _are_plain(words: Words, pixel: Pixel, width: int, height: int) -> bool:
    """Return whether all words are events inside the sensor, in order, less than half a clock's range apart."""
    x_place, x_mask = np.uint64(pixel.x[0]), np.uint64(pixel.x[1])
    y_place, y_mask = np.uint64(pixel.y[0]), np.uint64(pixel.y[1])
    right, bottom, time = np.uint64(width - 1), np.uint64(height - 1), np.uint64(0xFFFFFFFF)
    outside, others, steps = np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(words.size):
        outside |= (right - (words[i] >> x_place & x_mask)) | (bottom - (words[i] >> y_place & y_mask))
        others |= words[i]
    later = words[1:]
    for i in range(later.size):
        steps |= (later[i] & time) - (words[i] & time)
    return bool((outside | steps) < np.uint64(0x80000000)) and others & np.uint64(pixel.others) == 0


@njit(nogil=True, inline="always")
def _write(words: Words, pixel: Pixel, shift_us: int, width: int, height: int, events: Events) -> None:
    right, bottom = width - 1, height - 1
    for i in range(words.size):
        word = words[i]
        x = np.int64(word >> np.uint64(pixel.x[0]) & np.uint64(pixel.x[1]))
        y = np.int64(word >> np.uint64(pixel.y[0]) & np.uint64(pixel.y[1]))
        events[i].t = np.int64(word & np.uint64(0xFFFFFFFF)) + shift_us
        events[i].x = right - x if pixel.mirrored else x
        events[i].y = bottom - y if pixel.mirrored else y
        events[i].p = (word >> np.uint64(pixel.on) & np.uint64(1) != 0) != pixel.on_is_zero


@njit(nogil=True, inline="always")
def _decode_plain(
    words: Words, pixel: Pixel, last_us: int, width: int, height: int, events: Events
) -> tuple[int, int, int]:
    """Decode words [N] into ``events`` if all are good events in order; only count them if ``events`` is empty.

    Return (N, or 0 if they aren't; the first time; the last), unwrapped from ``last_us`` on. One pass without a
    branch checks the words and a second writes them, which takes half the time of decoding one word after the other.
    """
    some = words[: events.size] if events.size else words
    if some.size == 0 or not _are_plain(some, pixel, width, height):
        return 0, last_us, last_us
    time = np.uint64(0xFFFFFFFF)
    first = np.int64(some[0] & time)
    shift_us = unwrap(first, last_us) - first
    if events.size:
        _write(some, pixel, shift_us, width, height, events)
    return some.size, first + shift_us, np.int64(some[some.size - 1] & time) + shift_us


@njit(nogil=True, inline="always")
def _decode_pixels(
    words: Words,
    pixel: Pixel,
    first: int,
    state: State,
    width: int,
    height: int,
    events: Events,
    counts: Counts,
) -> tuple[int, int, int, int, bool]:
    plain, first_us, last_us = _decode_plain(words[first:], pixel, state[0], width, height, events)
    if plain:
        state[0] = last_us
        return first + plain, plain, first_us, last_us, True
    room, n, span = events.shape[0], 0, (state[0], state[0], True)
    for i in range(first, words.shape[0]):
        word = words[i]
        if word & np.uint64(pixel.frames):
            kind = word >> np.uint64(42) & np.uint64(3)
            counts[SAMPLES] += kind == 1  # 0 is a pixel's reset level, 1 its signal
            counts[IMU] += kind == 3 and word >> np.uint64(60) & np.uint64(7) == 0  # the first of seven words
            continue
        if word & np.uint64(pixel.triggers):
            counts[TRIGGERS] += 1
            continue
        x = np.int64(word >> np.uint64(pixel.x[0]) & np.uint64(pixel.x[1]))
        y = np.int64(word >> np.uint64(pixel.y[0]) & np.uint64(pixel.y[1]))
        if x >= width or y >= height or word & np.uint64(pixel.others):
            counts[OUTSIDE] += 1
            continue
        t = unwrap(np.int64(word & np.uint64(0xFFFFFFFF)), state[0])
        if n and (n == room or t < span[1] - DISORDER_US):
            return i, n, span[0], span[1], span[2]
        span = extend_span(t, n == 0, span)
        state[0] = t
        if room:
            events[n].t = t
            events[n].x = width - 1 - x if pixel.mirrored else x
            events[n].y = height - 1 - y if pixel.mirrored else y
            events[n].p = (word >> np.uint64(pixel.on) & np.uint64(1) != 0) != pixel.on_is_zero
        n += 1
    return words.shape[0], n, span[0], span[1], span[2]


def pixel_decoder(pixel: Pixel) -> Decode:
    """Return the decoder of words of 64 bits with this layout; its ``state`` [1] is the time of the event before."""

    @njit(nogil=True, cache=True)
    def decode(
        words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
    ) -> tuple[int, int, int, int, bool]:
        return _decode_pixels(words, pixel, first, state, width, height, events, counts)

    found: Decode = decode
    return found


class InMemoryReader(Reader):
    """One stream of events held in memory; see `Reader`.

    The reader owns ``events``, EVENTS_DTYPE [N], maybe out of order. ``warnings`` say what was assumed or lost.
    """

    def __init__(
        self, events: Events, resolution: Resolution, *, format_name: str, camera: str, warnings: list[str]
    ) -> None:
        self.format = format_name
        self.camera = camera
        self.resolution = resolution
        self.streams = (EventStream("events", camera, resolution),)
        self._found = SourceCounters()
        # An event outside the sensor may have any time.
        t = events["t"][(events["x"] < resolution.width) & (events["y"] < resolution.height)]
        ordered = bool((t[1:] >= t[:-1]).all())
        back_us = 0 if ordered else int((np.maximum.accumulate(t) - t).max())
        if back_us > DISORDER_US:
            warnings = [*warnings, f"time goes back by up to {back_us:,} µs: all events are sorted by time"]
        self._events = put_in_order(events, resolution, None, self._found)
        self._warnings = warnings

    @property
    def warnings(self) -> list[str]:
        """What was assumed or lost."""
        return self._warnings

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield packets of at most PACKET_EVENTS events; see `Reader.packets`."""
        first = 0 if start_us is None else int(np.searchsorted(self._events["t"], start_us))
        counters.out_of_order += self._found.out_of_order
        counters.out_of_bounds += self._found.out_of_bounds
        self._found = SourceCounters()  # counted once, however often the file is played
        for start in range(first, len(self._events), PACKET_EVENTS):
            yield self._events[start : start + PACKET_EVENTS].copy()

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the times of the first and the last event in µs; None if there are no events."""
        t = self._events["t"]
        return (int(t[0]), int(t[-1])) if t.size else None
