"""Files of words of one size (evt, dat, aedat2): `WordReader`, and the decoder of words that hold a pixel."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream, OtherContent, Parts, Reader
from livesnn.events.formats.shared_readers import PACKET_EVENTS, WIDEST
from livesnn.events.packet import (
    DISORDER_US,
    EVENTS_DTYPE,
    Events,
    PacketSorter,
    Resolution,
    SourceCounters,
    jump_warnings,
)
from livesnn.files import BufferedFile, closed_on_error
from livesnn.progress import Progress

BLOCK_BYTES = 1 << 18  # of words; as much as BufferedFile reads at once
OUTSIDE, TRIGGERS, STRANGE, SAMPLES, IMU = range(5)
_FIRST_BLOCKS = 32  # 8 MB are indexed before a file is played, the rest while it is
_MANY_BLOCKS = 512  # `parts` of a file: as many as a timeline needs
_LATEST = np.iinfo(np.int64).max

Words = npt.NDArray[np.unsignedinteger]  # uint16, uint32 or uint64 [N], in the machine's byte order, aligned

State = npt.NDArray[np.int64]
"""What a decoder knows from the words before: int64 [S], with a meaning of its own; slot 0 is always a time in µs."""

Counts = npt.NDArray[np.int64]
"""What a decoder leaves out, int64 [5]: events OUTSIDE the sensor, TRIGGERS, words of a STRANGE (unknown) type,
SAMPLES of frames (one per pixel), samples of the IMU."""

Decoded = tuple[Events, int, int, int, bool]
"""Some events, and what `Decode` returns of them."""

Span = tuple[int, int, bool]  # The least time of some events, the greatest, and whether they are in order


class Decode(Protocol):
    """Decode ``words`` from ``first`` on into ``events``, until that is full or time jumps back.

    Return (next word, number of events, their least time, their greatest, whether they are in order). Events outside
    width × height are left out. An empty ``events`` is never full: events are then only counted. ``state`` is
    updated, ``counts`` is added to.
    """

    def __call__(
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

    The reader owns ``file``, whose words begin at byte ``start``, where the decoder's state is ``state``. If the
    resolution of its only ``stream`` isn't known, events up to ``widest`` are valid. ``warnings`` say what was
    assumed or lost so far, ``frame_pixels`` how many pixels a frame among the words has.
    Raises FormatError when most of the first events are outside the sensor.
    """

    def __init__(
        self,
        file: BufferedFile,
        stream: EventStream,
        layout: WordLayout,
        start: int,
        state: State,
        *,
        widest: Resolution = WIDEST,
        warnings: list[str],
        orientation: str = "x to the right, y down",
        frame_pixels: int | None = None,
    ) -> None:
        self._file, self._layout, self._start = file, layout, start
        self._indexed_file = BufferedFile(file.path)  # of its own: `index` may run beside `packets`
        self._size = stream.resolution or widest
        self._frame_pixels = frame_pixels or self._size.width * self._size.height
        self.format = layout.name
        self.orientation = orientation
        self.streams = (stream,)
        self.camera, self.resolution = stream.camera, stream.resolution
        self._warnings = warnings
        self._counts = no_counts()
        self._block_words = BLOCK_BYTES // layout.word_bytes
        self._words, left = divmod(file.size - start, layout.word_bytes)
        if left:
            self._warnings.append(f"the last {left} bytes aren't a whole {layout.word}: the file is cut short")
        blocks = -(-self._words // self._block_words)
        self._states = np.zeros((blocks, state.size), np.int64)
        self._earliest = np.full(blocks, _LATEST)
        self._latest = np.full(blocks, -_LATEST)
        self._items = np.zeros(blocks, np.int64)
        self._state = state.copy()  # before the first block that isn't indexed
        self._indexed = self._jumps = 0
        self._newest_us: int | None = None
        self._indexing = threading.Lock()
        with closed_on_error(self._indexed_file):
            while self._indexed < min(blocks, _FIRST_BLOCKS) or not (self.indexed or self._items.any()):
                self._index_block()
            self._judge()

    @property
    def warnings(self) -> list[str]:
        strange = (
            f"{self._counts[STRANGE]:,} words are of a type that {self._layout.title} doesn't have, and are "
            f"left out: the file is damaged, or from a newer camera"
        )
        return [*self._warnings, *[strange] * bool(self._counts[STRANGE]), *jump_warnings({"": self._jumps})]

    @property
    def indexed(self) -> bool:
        return self._indexed == len(self._states)

    def index(self, progress: Progress) -> None:
        while not self.indexed:
            progress(self._indexed / len(self._states))
            self._index_block()
        self._judge()

    def _index_block(self) -> None:
        """Note the decoder's state before the next block, and its times."""
        with self._indexing:
            if self.indexed:
                return
            number = self._indexed
            self._states[number] = self._state
            words = self._read(self._indexed_file, number)
            for _, n, earliest_us, latest_us, _ in self._decode(words, self._state, 0, self._counts):
                self._items[number] += n
                self._jumps += self._newest_us is not None and earliest_us < self._newest_us - DISORDER_US
                self._newest_us = latest_us
                self._earliest[number] = min(self._earliest[number], earliest_us)
                self._latest[number] = max(self._latest[number], latest_us)
            self._indexed = number + 1

    def _judge(self) -> None:
        outside, inside = int(self._counts[OUTSIDE]), int(self._items.sum())
        if outside > inside:
            raise FormatError(
                f"{self._file.path}: {outside:,} of {outside + inside:,} events are outside the sensor's "
                f"{self._size.words} pixels: the file or its header is damaged, or it is from another camera"
            )

    def _read(self, file: BufferedFile, number: int) -> Words:
        first, each = number * self._block_words, self._layout.word_bytes
        size = min(self._block_words, self._words - first) * each
        return self._layout.words(file.view(self._start + first * each, size))

    def _decode(self, words: Words, state: State, room: int, counts: Counts) -> Iterator[Decoded]:
        """Yield a block's events as in the file, and what `Decode` returns of them, split where time jumps back.

        There are at most ``room`` events at a time; with 0, they are only counted.
        """
        first = 0
        while first < len(words):
            events = np.empty(room, EVENTS_DTYPE)
            first, n, earliest_us, latest_us, ordered = self._layout.decode(
                words, first, state, *self._size, events, counts
            )
            if n:
                yield events[:n], n, earliest_us, latest_us, ordered

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        sorter = PacketSorter(self._size, start_us, counters)
        for number in range(0 if start_us is None else self._first_block(start_us), len(self._states)):
            if number == self._indexed:
                self._index_block()
            counts, state = no_counts(), self._states[number].copy()
            decoded = self._decode(self._read(self._file, number), state, PACKET_EVENTS, counts)
            yield from sorter.sort((events, ordered) for events, _, _, _, ordered in decoded)
            counters.out_of_bounds += int(counts[OUTSIDE])

    def _first_block(self, start_us: int) -> int:
        """Return the first block with an event at or after ``start_us``, of those that are indexed."""
        holds = np.flatnonzero(self._latest >= start_us)
        return int(holds[0]) if holds.size else self._indexed

    def parts(self, stream: str) -> Parts | None:
        """Return the blocks that are indexed, unless the file has too few for a timeline."""
        if len(self._states) < _MANY_BLOCKS:
            return None
        filled = np.flatnonzero(self._items[: self._indexed])
        return Parts(self._items[filled], self._earliest[filled], self._latest[filled])

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time in µs of what is indexed; None if there are no events."""
        earliest = int(self._earliest.min(initial=_LATEST))
        return None if earliest == _LATEST else (earliest, int(self._latest.max()))

    def other_content(self) -> OtherContent:
        """Count whole frames (from their pixels), inertial samples and triggers."""
        frames = int(self._counts[SAMPLES]) // self._frame_pixels
        return OtherContent(frames, int(self._counts[IMU]), int(self._counts[TRIGGERS]))

    def close(self) -> None:
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

    return decode
