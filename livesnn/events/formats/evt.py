"""Prophesee's .raw files: EVT 2.0, EVT 2.1 (in both orders of its halves) and EVT 3.0 after a text header (dat.py).

In all three a word's four highest bits are its type, and TIME_HIGH words carry the higher bits of the time for the
words after them. The header says which version a file is, and its first words must agree; without a header the words
decide. Source: docs.prophesee.ai, data encoding formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.dat import TextHeader, parse_format, read_text_header, stream_of
from livesnn.events.formats.word_reader import (
    BLOCK_BYTES,
    IMU,
    OUTSIDE,
    STRANGE,
    TRIGGERS,
    Counts,
    State,
    WordLayout,
    WordReader,
    Words,
    extend_span,
)
from livesnn.events.packet import DISORDER_US, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error, file_head
from livesnn.progress import Progress, no_progress

# Types of words.
OFF, ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED = 0, 1, 8, 10, 14, 15  # OTHERS: not events of pixels
INERTIAL = 13  # only in EVT 2.0: the first of a sample's six words, the others are CONTINUED; source: OpenEB
ADDRESS_Y, OTHER_Y, ADDRESS_X, BASE_X, VECTOR_12, VECTOR_8, TIME_LOW = range(7)  # only in EVT 3.0
# Bits of a time.
LOW_BITS, HIGH_BITS = 6, 28  # in EVT 2.0 and 2.1, which wrap after 4.8 hours
LOW_BITS_3, HIGH_BITS_3 = 12, 12  # in EVT 3.0, which wraps after 16.8 s
BASE, LOW, Y, X, POLARITY = range(5)  # slots of a decoder's state; EVT 2.0 and 2.1 use only the first
NOWHERE = 1 << 20  # a coordinate that no word has given yet
KINDS_21 = (OFF, ON, TIME_HIGH, TRIGGER, OTHERS, CONTINUED)
KINDS_2 = (*KINDS_21, INERTIAL)
RESERVED_3 = (11, 12, 13)
"""So is 9, but Lucid's cameras pad with it: ros-event-camera/event_camera_renderer, issue 8."""
KINDS_3 = tuple({*range(16)} - {OTHER_Y, *RESERVED_3})
_WIDEST = Resolution(2048, 2048)  # coordinates have 11 bits
_FORMATS = {"EVT2": "2.0", "EVT21": "2.1", "EVT3": "3.0"}
_CAMERA_KEYWORDS = {"evt", "format", "geometry", "integrator_name", "plugin_name", "system_id"}
_ENOUGH_WORDS = 64  # fewer don't show what they are
_MAX_MISFITS = 0.1  # a file of another version has at least 0.15, a damaged one far fewer


@intrinsic
def _lowest(context: Any, bits: Any) -> Any:
    """Return the position of a number's lowest set bit, by the processor's own instruction."""
    return types.int64(types.int64), lambda _, builder, __, numbers: builder.cttz(
        numbers[0], ir.Constant(ir.IntType(1), 1)
    )


@intrinsic
def _how_many(context: Any, bits: Any) -> Any:
    """Return how many bits of a number are set."""
    return types.int64(types.int64), lambda _, builder, __, numbers: builder.ctpop(numbers[0])


@njit(nogil=True, cache=True)
def _advance(base_us: int, high: int, low_bits: int, high_bits: int) -> int:
    """Return the time of a TIME_HIGH word in µs, unwrapped from ``base_us``, the time of the last one.

    A step back by more than half the range is a wrap. A step forward by nearly the whole range is a small step back
    over a wrap.
    """
    last = base_us >> low_bits
    whole = 1 << high_bits
    step = (high - last) & (whole - 1)
    backwards = whole - step
    if backwards < whole >> 1 and (high < last & (whole - 1) or backwards << low_bits <= DISORDER_US):
        step -= whole
    return (last + step) << low_bits


@njit(nogil=True, cache=True)
def _put_inside(bits: int, t: int, x: int, y: int, on: int, events: Events, n: int) -> int:
    """Write an event for each bit of ``bits``, the lowest at ``x``; return the number of events."""
    if not events.shape[0]:
        return n + _how_many(bits)
    while bits:
        events[n].t, events[n].x, events[n].y, events[n].p = t, x + _lowest(bits), y, on
        bits &= bits - 1
        n += 1
    return n


@njit(nogil=True, cache=True)
def _put_vector(bits: int, t: int, x: int, y: int, on: bool, width: int, events: Events, n: int) -> tuple[int, int]:
    """Write those that lie inside ``width``; return (number of events, how many are outside)."""
    inside = bits & (1 << min(max(width - x, 0), 32)) - 1
    return _put_inside(inside, t, x, y, on, events, n), _how_many(bits ^ inside)


@njit(nogil=True, cache=True)
def _decode_evt2(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 2.0: 32 bits a word, and one word an event; see `Decode`."""
    base_us, room = state[BASE], events.shape[0]
    n, i, span = 0, first, (base_us, base_us, True)
    while i < words.shape[0]:
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= ON:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if x >= width or y >= height:
                counts[OUTSIDE] += 1
            elif n and (n == room or t < span[1] - DISORDER_US):
                break
            else:
                span = extend_span(t, n == 0, span)
                if room:
                    events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, kind == ON
                n += 1
        elif kind == TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, LOW_BITS, HIGH_BITS)
        else:
            counts[TRIGGERS] += kind == TRIGGER
            counts[IMU] += kind == INERTIAL
            counts[STRANGE] += kind not in KINDS_2
        i += 1
    state[BASE] = base_us
    return i, n, span[0], span[1], span[2]


@njit(nogil=True, cache=True)
def _decode_evt21(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 2.1: as EVT 2.0, with 32 more bits, one for each pixel from x on; see `Decode`."""
    base_us, room = state[BASE], events.shape[0]
    n, i, span = 0, first, (base_us, base_us, True)
    while i < words.shape[0]:
        word, bits = np.int64(words[i] >> np.uint64(32)), np.int64(words[i] & np.uint64(0xFFFFFFFF))
        kind = word >> 28
        if kind <= ON and bits:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if n and ((room and n + 32 > room) or t < span[1] - DISORDER_US):
                break
            before = n
            n, outside = _put_vector(bits, t, x, y, kind == ON, width if y < height else 0, events, n)
            counts[OUTSIDE] += outside
            if n > before:
                span = extend_span(t, before == 0, span)
        elif kind == TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, LOW_BITS, HIGH_BITS)
        else:
            counts[TRIGGERS] += kind == TRIGGER
            counts[STRANGE] += kind not in KINDS_21
        i += 1
    state[BASE] = base_us
    return i, n, span[0], span[1], span[2]


@njit(nogil=True, cache=True)
def _decode_evt3(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 3.0: 16 bits a word, each of which changes one thing; see `Decode`."""
    base_us, low_us, y, x, on = state[BASE], state[LOW], state[Y], state[X], state[POLARITY]
    n, i, room, span = 0, first, events.shape[0], (base_us, base_us, True)
    right = width if y < height else 0
    while i < words.shape[0]:
        word = np.int64(words[i])
        kind = word >> 12
        if kind in (ADDRESS_X, VECTOR_12, VECTOR_8):
            t = base_us + low_us
            if n and ((room and n + 12 > room) or t < span[1] - DISORDER_US):
                break
            before = n
            if kind == ADDRESS_X:
                n, outside = _put_vector(1, t, word & 0x7FF, y, word & 0x800 != 0, right, events, n)
            else:
                bits = word & (0xFFF if kind == VECTOR_12 else 0xFF)
                n, outside = _put_vector(bits, t, x, y, on & 0x800 != 0, right, events, n)
                x += 12 if kind == VECTOR_12 else 8
            counts[OUTSIDE] += outside
            if n > before:
                span = extend_span(t, before == 0, span)
        elif kind in (ADDRESS_Y, OTHER_Y):
            y = word & 0x7FF if kind == ADDRESS_Y else NOWHERE
            right = width if y < height else 0
        elif kind == TIME_LOW:
            low_us = word & 0xFFF
        elif kind == BASE_X:
            x, on = word & 0x7FF, word
        elif kind == TIME_HIGH:
            last_us, base_us = base_us, _advance(base_us, word & 0xFFF, LOW_BITS_3, HIGH_BITS_3)
            low_us = low_us if base_us == last_us else 0  # until its own word has come, as in OpenEB
        else:
            counts[TRIGGERS] += kind == TRIGGER
            counts[STRANGE] += kind in RESERVED_3
        i += 1
    state[BASE], state[LOW], state[Y], state[X], state[POLARITY] = base_us, low_us, y, x, on
    return i, n, span[0], span[1], span[2]


EVT2 = WordLayout("evt2", "EVT 2.0", 4, _decode_evt2)
EVT21 = WordLayout("evt21", "EVT 2.1", 8, _decode_evt21)
EVT21_LEGACY = EVT21._replace(halves_swapped=True)
EVT3 = WordLayout("evt3", "EVT 3.0", 2, _decode_evt3)
LAYOUTS = (EVT2, EVT21, EVT21_LEGACY, EVT3)
_VERSIONS = {"2.0": (EVT2,), "2.1": (EVT21, EVT21_LEGACY), "3.0": (EVT3,)}


def kinds_and_contents(words: Words, layout: WordLayout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each word's type and the bits below it, int64 [N]; in EVT 2.1, those of the more significant half."""
    heads = words >> np.uint64(32) if layout.word_bytes == 8 else words
    bits = 12 if layout is EVT3 else 28
    return (heads >> heads.dtype.type(bits)).astype(np.int64), heads.astype(np.int64) & (1 << bits) - 1


def find_beginning(words: Words, layout: WordLayout) -> tuple[int, State] | None:
    """Return the first word whose time is known, and the decoder's state before it; None if there is none.

    In EVT 3.0 both parts of the time must have come.
    """
    kinds, contents = kinds_and_contents(words, layout)
    needed = (TIME_HIGH, TIME_LOW) if layout is EVT3 else (TIME_HIGH,)
    found = [np.flatnonzero(kinds == kind)[:1] for kind in needed]
    if not all(place.size for place in found):
        return None
    index = max(int(place[0]) for place in found) + 1
    high, low, y = (
        int(newest(kinds[:index], contents[:index], kind, NOWHERE)[-1]) for kind in (TIME_HIGH, TIME_LOW, ADDRESS_Y)
    )
    state = [high << LOW_BITS_3, low, y, NOWHERE, 0] if layout is EVT3 else [high << LOW_BITS]
    return index, np.array(state)


def newest(
    kinds: npt.NDArray[np.integer], contents: npt.NDArray[np.int64], kind: int, before: int
) -> npt.NDArray[np.int64]:
    """Return at each word the content of the last one of a kind so far; ``before`` where none has come."""
    at = np.maximum.accumulate(np.where(kinds == kind, np.arange(kinds.size), -1))
    return np.where(at < 0, before, contents[at])


def misfits(words: Words, layout: WordLayout, *, strictly: bool = False) -> float:
    """Return the share of words that can't be of a layout, because of their type or because time goes back.

    With ``strictly``, time that goes back by at most DISORDER_US counts too, and so do rows without an event in EVT
    3.0, and TIME_HIGH words with bits set in the unused half in EVT 2.1.
    """
    if not words.size:
        return 0.0
    kinds, contents = kinds_and_contents(words, layout)
    highs = kinds == TIME_HIGH
    strange = ~np.isin(kinds, {2: KINDS_3, 4: KINDS_2, 8: KINDS_21}[layout.word_bytes])
    if layout is EVT3:
        empty_rows = (kinds[1:] == ADDRESS_Y) & (kinds[:-1] == ADDRESS_Y)
        strange[1:] |= strictly & empty_rows
        times, whole = contents[highs] << LOW_BITS_3, 1 << LOW_BITS_3 + HIGH_BITS_3
    else:
        bases = newest(kinds, contents, TIME_HIGH, -1)
        timed = (kinds <= ON) & (bases >= 0)
        times = (bases[timed] << LOW_BITS) + (contents[timed] >> 22)
        whole = 1 << LOW_BITS + HIGH_BITS
    back_us = -np.diff(times) % whole
    flaws = [strange, (back_us > (0 if strictly else DISORDER_US)) & (back_us < whole >> 1)]
    if strictly and layout.word_bytes == 8:
        flaws.append(words[highs] & np.uint64(0xFFFFFFFF) != 0)
    return max(float(flaw.mean()) for flaw in flaws if flaw.size)


def looks_like_evt(path: Path, head: bytes) -> bool:
    """Return whether a file has a camera's header, or, in a .raw without one, whether its words fit one version."""
    if not head.startswith(b"% ") and path.suffix.lower() != ".raw":
        return False
    octets = file_head(path, BLOCK_BYTES)
    has_header = not _CAMERA_KEYWORDS.isdisjoint(read_text_header(octets).fields)
    return has_header or (path.suffix.lower() == ".raw" and any(_is_surely(octets, layout) for layout in LAYOUTS))


def open_evt(path: Path, progress: Progress = no_progress) -> WordReader:
    """Open a .raw file; raises FormatError when its words aren't of a known version, or not of the header's."""
    with closed_on_error(BufferedFile(path, progress)) as file:
        header = read_text_header(file.view(0, BLOCK_BYTES))
        layout = _choose_layout(file, header)
        start, state, warnings = _find_words(file, header.start, layout)
        stream, notes = stream_of(header.fields)
        return WordReader(file, stream, layout, start, state, widest=_WIDEST, warnings=warnings + notes)


def _choose_layout(file: BufferedFile, header: TextHeader) -> WordLayout:
    sample = bytes(file.view(header.start, BLOCK_BYTES))
    stated = _stated_layouts(file.path, header.fields)
    sure = {layout.title for layout in LAYOUTS if _is_surely(sample, layout)}
    unsure = bool(stated) and len(sure) != 1
    fitting = [layout for layout in stated or LAYOUTS if layout.title in sure or (unsure and _may_be(sample, layout))]
    if stated and not fitting:
        raise FormatError(
            f"{file.path}: the header says {stated[0].title}, but the words after it can't be: "
            f"correct the header, or record it again"
        )
    if len({layout.title for layout in fitting}) != 1:
        raise FormatError(
            f"{file.path}: it doesn't say which EVT version it is, and its first words don't show it: "
            f'add a line "% evt 3.0" (or 2.0, 2.1) to its start, or record it again'
        )
    each_words = [layout.words(sample) for layout in fitting]
    flaws = [(find_beginning(*of) is None, misfits(*of)) for of in zip(each_words, fitting, strict=True)]
    return fitting[flaws.index(min(flaws))]


def _stated_layouts(path: Path, fields: dict[str, str]) -> tuple[WordLayout, ...]:
    """Return the layouts that the header allows, the likeliest first; none if it says nothing."""
    name, options = parse_format(fields)
    version = _FORMATS.get(name, name) if name else fields.get("evt", "")
    if not version:
        return ()
    if version not in _VERSIONS:
        raise FormatError(
            f"{path}: its events are coded as {version[:40]!r}, which isn't supported: "
            f"give a recording in EVT 2.0, 2.1 or 3.0"
        )
    layouts = _VERSIONS[version]
    return layouts[::-1] if options.get("endianness", fields.get("endianness")) == "legacy" else layouts


def _may_be(octets: bytes, layout: WordLayout) -> bool:
    """Return whether words can be what the header says: few misfits, or too few words to judge."""
    words = layout.words(octets)
    return len(words) < _ENOUGH_WORDS or misfits(words, layout) <= _MAX_MISFITS


def _is_surely(octets: bytes, layout: WordLayout) -> bool:
    """Return whether words are surely of a layout without a header: hardly a misfit, and a known time."""
    words = layout.words(octets)
    return (
        len(words) >= _ENOUGH_WORDS
        and find_beginning(words, layout) is not None
        and misfits(words, layout, strictly=True) <= _MAX_MISFITS / 10
    )


def _find_words(file: BufferedFile, start: int, layout: WordLayout) -> tuple[int, State, list[str]]:
    """Return where the time is first known, the decoder's state there, and a warning if events lie before it."""
    lost, event_kinds = False, (ADDRESS_X, VECTOR_12, VECTOR_8) if layout is EVT3 else (OFF, ON)
    for position in range(start, file.size, BLOCK_BYTES):
        file.passed(position)
        words = layout.words(file.view(position, BLOCK_BYTES))
        first, state = find_beginning(words, layout) or (len(words), None)
        lost |= bool(np.isin(kinds_and_contents(words[:first], layout)[0], event_kinds).any())
        if state is not None:
            begin = position + first * layout.word_bytes
            note = f"it starts in the middle of a stream: {begin - start:,} bytes before the first time are left out"
            return begin, state, [note] if lost else []
    note = "it never gives the time: its events are left out"
    return file.size - (file.size - start) % layout.word_bytes, np.zeros(5, np.int64), [note] if lost else []
