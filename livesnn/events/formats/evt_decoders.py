"""How EVT 2.0, 2.1 and 3.0 code events: the decoders, and where in a stream they can begin.

In all three a word's four highest bits are its type, and TIME_HIGH words carry the higher bits of the time for the
words after them. Source: docs.prophesee.ai, data encoding formats. Not here: files and their headers (evt.py).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from livesnn.events import DISORDER_US, Events
from livesnn.events.formats.word_stream import (
    OUTSIDE,
    STRANGE,
    TRIGGERS,
    Counts,
    Layout,
    State,
    Words,
    stretch,
)

_OFF, _ON, _TIME_HIGH, _TRIGGER, _OTHERS, _CONTINUED = 0, 1, 8, 10, 14, 15  # _OTHERS: not events of pixels
# Types of EVT 3.0 alone.
_ADDRESS_Y, _OTHER_Y, _ADDRESS_X, _BASE_X, _VECTOR_12, _VECTOR_8, _TIME_LOW = range(7)
_LOW_BITS, _HIGH_BITS = 6, 28  # of a time in EVT 2.0 and 2.1, which wraps after 4.8 hours
_LOW_BITS_3, _HIGH_BITS_3 = 12, 12  # of a time in EVT 3.0, which wraps after 16.8 s
_BASE, _LOW, _Y, _X, _POLARITY = range(5)  # of a state; EVT 2.0 and 2.1 use the first alone
_NOWHERE = 1 << 20  # a coordinate that no word has given yet
_KINDS_2 = (_OFF, _ON, _TIME_HIGH, _TRIGGER, _OTHERS, _CONTINUED)
_RESERVED_3 = (9, 11, 12, 13)
_KINDS_3 = tuple({*range(16)} - {_OTHER_Y, *_RESERVED_3})

_NEVER = np.iinfo(np.int64).min


@intrinsic
def _lowest(context: Any, bits: Any) -> Any:
    """Return the place of a number's lowest bit, by the processor's own instruction."""
    return types.int64(types.int64), lambda _, builder, __, numbers: builder.cttz(
        numbers[0], ir.Constant(ir.IntType(1), 1)
    )


@intrinsic
def _how_many(context: Any, bits: Any) -> Any:
    """Return how many bits of a number are set."""
    return types.int64(types.int64), lambda _, builder, __, numbers: builder.ctpop(numbers[0])


@njit(nogil=True, cache=True)
def _advance(base_us: int, high: int, low_bits: int, high_bits: int) -> int:
    """Return the time of a TIME_HIGH word, µs, counted on over wraps from that of the last one, ``base_us``.

    Back by more than half of the range is a wrap. Forward by nearly all of it is slightly back, over a wrap.
    """
    last = base_us >> low_bits
    whole = 1 << high_bits
    step = (high - last) & (whole - 1)
    backwards = whole - step
    if backwards < whole >> 1 and (high < last & (whole - 1) or backwards << low_bits <= DISORDER_US):
        step -= whole
    return (last + step) << low_bits


@njit(nogil=True, cache=True)
def _put_vector(
    bits: int, t: int, x: int, y: int, on: bool, width: int, events: Events, n: int
) -> tuple[int, int]:
    """Write an event for each bit of ``bits``, the lowest at ``x``; return (number of events, of those outside)."""
    outside = 0
    while bits:
        at = x + _lowest(bits)
        bits &= bits - 1
        if at >= width:
            outside += 1
            continue
        if events.shape[0]:
            events[n].t, events[n].x, events[n].y, events[n].p = t, at, y, on
        n += 1
    return n, outside


@njit(nogil=True, cache=True)
def _put_inside(bits: int, t: int, x: int, y: int, on: int, events: Events, n: int) -> int:
    """Write an event for each bit of ``bits``, all of them inside the sensor; return the number of events."""
    if not events.shape[0]:
        return n + _how_many(bits)
    while bits:
        events[n].t, events[n].x, events[n].y, events[n].p = t, x + _lowest(bits), y, on
        bits &= bits - 1
        n += 1
    return n


@njit(nogil=True, cache=True)
def _decode_plain_evt2(
    words: Words, first: int, state: State, width: int, height: int, events: Events
) -> tuple[int, int, int, int]:
    """Decode words as far as they are times, and events inside the sensor and in order, as nearly all are.

    Return (word to go on with, number of events, the first one's time, the last one's).
    """
    base_us, n, i, earliest_us, newest_us = state[_BASE], 0, first, 0, _NEVER
    room = events.shape[0] or words.shape[0]
    while i < words.shape[0] and n < room:
        word = np.int64(words[i])
        if word >> 28 <= _ON:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if (t < newest_us) | (x >= width) | (y >= height):
                break
            if events.shape[0]:
                events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, word >> 28
            earliest_us = t if n == 0 else earliest_us
            newest_us = t
            n += 1
        elif word >> 28 == _TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, _LOW_BITS, _HIGH_BITS)
        else:
            break
        i += 1
    state[_BASE] = base_us
    return i, n, earliest_us, newest_us


@njit(nogil=True, cache=True)
def _decode_evt2(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 2.0: 32 bits a word, and one word an event; see `word_stream.Decode`."""
    i, n, earliest_us, newest_us = _decode_plain_evt2(words, first, state, width, height, events)
    base_us, span = state[_BASE], (earliest_us, newest_us, True)
    room = events.shape[0]
    while i < words.shape[0]:
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= _ON:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if x >= width or y >= height:
                counts[OUTSIDE] += 1
            elif n and (n == room or t < span[1] - DISORDER_US):
                break
            else:
                span = stretch(t, n == 0, span)
                if room:
                    events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, kind == _ON
                n += 1
        elif kind == _TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, _LOW_BITS, _HIGH_BITS)
        elif kind == _TRIGGER:
            counts[TRIGGERS] += 1
        elif kind < _OTHERS:
            counts[STRANGE] += 1
        i += 1
    state[_BASE] = base_us
    return i, n, span[0], span[1], span[2]


@njit(nogil=True, cache=True)
def _decode_evt21(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 2.1: as EVT 2.0, with 32 more bits, one for each pixel from x on; see `word_stream.Decode`."""
    base_us = state[_BASE]
    room = events.shape[0]
    n, i, span = 0, first, (base_us, base_us, True)
    while i < words.shape[0]:
        word, bits = np.int64(words[i] >> np.uint64(32)), np.int64(words[i] & np.uint64(0xFFFFFFFF))
        kind = word >> 28
        if kind <= _ON and bits:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if n and ((room and n + 32 > room) or t < span[1] - DISORDER_US):
                break
            before = n
            n, outside = _put_vector(bits, t, x, y, kind == _ON, width if y < height else 0, events, n)
            counts[OUTSIDE] += outside
            if n > before:
                span = stretch(t, before == 0, span)
        elif kind == _TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, _LOW_BITS, _HIGH_BITS)
        elif kind == _TRIGGER:
            counts[TRIGGERS] += 1
        elif _ON < kind < _OTHERS:
            counts[STRANGE] += 1
        i += 1
    state[_BASE] = base_us
    return i, n, span[0], span[1], span[2]


@njit(nogil=True, cache=True)
def _decode_plain_evt3(
    words: Words, first: int, state: State, width: int, height: int, events: Events
) -> tuple[int, int, int, int]:
    """As `_decode_plain_evt2`."""
    base_us, low_us, y, x, on = state[_BASE], state[_LOW], state[_Y], state[_X], state[_POLARITY]
    n, i, earliest_us, newest_us = 0, first, 0, _NEVER
    right = width if y < height else 0
    room = events.shape[0] - 11 if events.shape[0] else 12 * words.shape[0]
    while i < words.shape[0] and n < room:
        word = np.int64(words[i])
        kind, t = word >> 12, base_us + low_us
        if kind in (_ADDRESS_X, _VECTOR_12, _VECTOR_8):
            last = word & 0x7FF if kind == _ADDRESS_X else x + 11
            if (t < newest_us) | (last >= right):
                break
            earliest_us = t if n == 0 else earliest_us
            if kind == _ADDRESS_X:
                if events.shape[0]:
                    events[n].t, events[n].x, events[n].y, events[n].p = t, last, y, word >> 11 & 1
                n += 1
            else:
                bits = word & (0xFFF if kind == _VECTOR_12 else 0xFF)
                n = _put_inside(bits, t, x, y, on >> 11 & 1, events, n)
                x += 12 if kind == _VECTOR_12 else 8
            newest_us = t if n else newest_us
        elif kind == _ADDRESS_Y:
            y = word & 0x7FF
            right = width if y < height else 0
        elif kind == _TIME_LOW:
            low_us = word & 0xFFF
        elif kind == _BASE_X:
            x, on = word & 0x7FF, word
        elif kind == _TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFF, _LOW_BITS_3, _HIGH_BITS_3)
        else:
            break
        i += 1
    state[_BASE], state[_LOW], state[_Y], state[_X], state[_POLARITY] = base_us, low_us, y, x, on
    return i, n, earliest_us, newest_us


@njit(nogil=True, cache=True)
def _decode_evt3(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 3.0: 16 bits a word, each of which changes one thing; see `word_stream.Decode`."""
    i, n, earliest_us, newest_us = _decode_plain_evt3(words, first, state, width, height, events)
    base_us, low_us, y, x, on = state[_BASE], state[_LOW], state[_Y], state[_X], state[_POLARITY]
    room = events.shape[0]
    right = width if y < height else 0
    span = earliest_us, newest_us, True
    while i < words.shape[0]:
        word = np.int64(words[i])
        kind = word >> 12
        if kind in (_ADDRESS_X, _VECTOR_12, _VECTOR_8):
            t = base_us + low_us
            if n and ((room and n + 12 > room) or t < span[1] - DISORDER_US):
                break
            before = n
            if kind == _ADDRESS_X:
                n, outside = _put_vector(1, t, word & 0x7FF, y, word & 0x800 != 0, right, events, n)
            else:
                bits = word & (0xFFF if kind == _VECTOR_12 else 0xFF)
                n, outside = _put_vector(bits, t, x, y, on & 0x800 != 0, right, events, n)
                x += 12 if kind == _VECTOR_12 else 8
            counts[OUTSIDE] += outside
            if n > before:
                span = stretch(t, before == 0, span)
        elif kind in (_ADDRESS_Y, _OTHER_Y):
            y = word & 0x7FF if kind == _ADDRESS_Y else _NOWHERE
            right = width if y < height else 0
        elif kind == _TIME_LOW:
            low_us = word & 0xFFF
        elif kind == _BASE_X:
            x, on = word & 0x7FF, word
        elif kind == _TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFF, _LOW_BITS_3, _HIGH_BITS_3)
        else:
            counts[TRIGGERS] += kind == _TRIGGER
            counts[STRANGE] += kind in _RESERVED_3
        i += 1
    state[_BASE], state[_LOW], state[_Y], state[_X], state[_POLARITY] = base_us, low_us, y, x, on
    return i, n, span[0], span[1], span[2]


EVT2 = Layout("evt2", "EVT 2.0", 4, _decode_evt2)
EVT21 = Layout("evt21", "EVT 2.1", 8, _decode_evt21)
EVT21_LEGACY = EVT21._replace(halves_swapped=True)
EVT3 = Layout("evt3", "EVT 3.0", 2, _decode_evt3)
LAYOUTS = (EVT2, EVT21, EVT21_LEGACY, EVT3)


class Beginning(NamedTuple):
    """``first`` is the word to begin with, ``state`` the one before it; ``lost``: events lie before it."""

    first: int
    state: State
    lost: bool


def kinds_and_contents(words: Words, layout: Layout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each word's type and the bits below it (of EVT 2.1: the more significant half's), int64 [N]."""
    heads = words >> np.uint64(32) if layout.word_bytes == 8 else words
    bits = 12 if layout is EVT3 else 28
    return (heads >> heads.dtype.type(bits)).astype(np.int64), heads.astype(np.int64) & (1 << bits) - 1


def find_beginning(words: Words, layout: Layout) -> Beginning | None:
    """Return where the time is first known; None where it isn't.

    Of EVT 3.0 both parts of the time must have come, and an event counts only once its coordinates have.
    """
    kinds, contents = kinds_and_contents(words, layout)
    needed = (_TIME_HIGH, _TIME_LOW) if layout is EVT3 else (_TIME_HIGH,)
    found = [np.flatnonzero(kinds == kind)[:1] for kind in needed]
    if not all(place.size for place in found):
        return None
    index = max(int(place[0]) for place in found) + 1
    lost = holds_events(words[:index], layout)
    times = [_last(kinds[:index], contents, kind) or 0 for kind in needed]
    if layout is not EVT3:
        return Beginning(index, np.array([times[0] << _LOW_BITS]), lost)
    y = _last(kinds[:index], contents, _ADDRESS_Y)
    state = [times[0] << _LOW_BITS_3, times[1], _NOWHERE if y is None else y, _NOWHERE, 0]
    return Beginning(index, np.array(state), lost)


def _last(kinds: npt.NDArray[np.int64], contents: npt.NDArray[np.int64], kind: int) -> int | None:
    places = np.flatnonzero(kinds == kind)
    return int(contents[places[-1]]) if places.size else None


def misfits(words: Words, layout: Layout, *, strictly: bool = False) -> float:
    """Return which share of words can't be of a layout: by their type or their order, or because time goes back.

    Parameters
    ----------
    strictly
        Of EVT 2.1, count TIME_HIGH words with bits in the unused half as well, among their like.
    """
    if not words.size:
        return 0.0
    kinds, contents = kinds_and_contents(words, layout)
    highs = kinds == _TIME_HIGH
    strange = ~np.isin(kinds, _KINDS_3 if layout is EVT3 else _KINDS_2)
    if layout is EVT3:
        strange[1:] |= (kinds[1:] == _ADDRESS_Y) & (kinds[:-1] == _ADDRESS_Y)  # a row without an event
        times, whole = contents[highs], 1 << _HIGH_BITS_3
    else:
        places = np.maximum.accumulate(np.where(highs, np.arange(kinds.size), -1))
        timed = (kinds <= _ON) & (places >= 0)
        times = (contents[places[timed]] << _LOW_BITS) + (contents[timed] >> 22)
        whole = 1 << _LOW_BITS + _HIGH_BITS
    flaws = [strange, np.diff(times) % whole > whole >> 1]
    if strictly and layout.word_bytes == 8:
        flaws.append(words[highs] & np.uint64(0xFFFFFFFF) != 0)
    return max(float(flaw.mean()) for flaw in flaws if flaw.size)


def holds_events(words: Words, layout: Layout) -> bool:
    """Say whether there is an event among the words."""
    kinds, _ = kinds_and_contents(words, layout)
    return bool(np.isin(kinds, (_ADDRESS_X, _VECTOR_12, _VECTOR_8) if layout is EVT3 else (_OFF, _ON)).any())
