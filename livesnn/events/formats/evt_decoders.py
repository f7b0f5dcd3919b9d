"""How EVT 2.0, 2.1 and 3.0 code events: the decoders.

In all three a word's four highest bits are its type, and TIME_HIGH words carry the higher bits of the time for the
words after them. Source: docs.prophesee.ai, data encoding formats. Not here: files and their headers (evt.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from livesnn.events.formats.evt_kinds import (
    ADDRESS_X,
    ADDRESS_Y,
    BASE,
    BASE_X,
    HIGH_BITS,
    HIGH_BITS_3,
    INERTIAL,
    KINDS_2,
    KINDS_21,
    LOW,
    LOW_BITS,
    LOW_BITS_3,
    NOWHERE,
    ON,
    OTHER_Y,
    POLARITY,
    RESERVED_3,
    TIME_HIGH,
    TIME_LOW,
    TRIGGER,
    VECTOR_8,
    VECTOR_12,
    X,
    Y,
)
from livesnn.events.formats.word_stream import (
    IMU,
    OUTSIDE,
    STRANGE,
    TRIGGERS,
    Counts,
    Layout,
    State,
    Words,
    stretch,
)
from livesnn.events.packet import DISORDER_US, Events

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
    base_us, n, i, earliest_us, newest_us = state[BASE], 0, first, 0, _NEVER
    room = events.shape[0] or words.shape[0]
    while i < words.shape[0] and n < room:
        word = np.int64(words[i])
        if word >> 28 <= ON:
            x, y, t = word >> 11 & 0x7FF, word & 0x7FF, base_us + (word >> 22 & 0x3F)
            if (t < newest_us) | (x >= width) | (y >= height):
                break
            if events.shape[0]:
                events[n].t, events[n].x, events[n].y, events[n].p = t, x, y, word >> 28
            earliest_us = t if n == 0 else earliest_us
            newest_us = t
            n += 1
        elif word >> 28 == TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, LOW_BITS, HIGH_BITS)
        else:
            break
        i += 1
    state[BASE] = base_us
    return i, n, earliest_us, newest_us


@njit(nogil=True, cache=True)
def _decode_evt2(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 2.0: 32 bits a word, and one word an event; see `word_stream.Decode`."""
    i, n, earliest_us, newest_us = _decode_plain_evt2(words, first, state, width, height, events)
    base_us, span = state[BASE], (earliest_us, newest_us, True)
    room = events.shape[0]
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
                span = stretch(t, n == 0, span)
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
    """Decode EVT 2.1: as EVT 2.0, with 32 more bits, one for each pixel from x on; see `word_stream.Decode`."""
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
                span = stretch(t, before == 0, span)
        elif kind == TIME_HIGH:
            base_us = _advance(base_us, word & 0xFFFFFFF, LOW_BITS, HIGH_BITS)
        else:
            counts[TRIGGERS] += kind == TRIGGER
            counts[STRANGE] += kind not in KINDS_21
        i += 1
    state[BASE] = base_us
    return i, n, span[0], span[1], span[2]


@njit(nogil=True, cache=True)
def _decode_plain_evt3(
    words: Words, first: int, state: State, width: int, height: int, events: Events
) -> tuple[int, int, int, int]:
    """As `_decode_plain_evt2`."""
    base_us, low_us, y, x, on = state[BASE], state[LOW], state[Y], state[X], state[POLARITY]
    n, i, earliest_us, newest_us = 0, first, 0, _NEVER
    right = width if y < height else 0
    room = events.shape[0] - 11 if events.shape[0] else 12 * words.shape[0]
    while i < words.shape[0] and n < room:
        word = np.int64(words[i])
        kind, t = word >> 12, base_us + low_us
        if kind in (ADDRESS_X, VECTOR_12, VECTOR_8):
            last = word & 0x7FF if kind == ADDRESS_X else x + 27 - 4 * kind  # 11 or 7 to the right
            if (t < newest_us) | (last >= right):
                break
            earliest_us = t if n == 0 else earliest_us
            if kind == ADDRESS_X:
                if events.shape[0]:
                    events[n].t, events[n].x, events[n].y, events[n].p = t, last, y, word >> 11 & 1
                n += 1
            else:
                bits = word & (0xFFF if kind == VECTOR_12 else 0xFF)
                n = _put_inside(bits, t, x, y, on >> 11 & 1, events, n)
                x += 12 if kind == VECTOR_12 else 8
            newest_us = t if n else newest_us
        elif kind == ADDRESS_Y:
            y = word & 0x7FF
            right = width if y < height else 0
        elif kind == TIME_LOW:
            low_us = word & 0xFFF
        elif kind == BASE_X:
            x, on = word & 0x7FF, word
        elif kind == TIME_HIGH:
            last_us, base_us = base_us, _advance(base_us, word & 0xFFF, LOW_BITS_3, HIGH_BITS_3)
            low_us = low_us if base_us == last_us else 0  # until its own word has come, as in OpenEB
        else:
            break
        i += 1
    state[BASE], state[LOW], state[Y], state[X], state[POLARITY] = base_us, low_us, y, x, on
    return i, n, earliest_us, newest_us


@njit(nogil=True, cache=True)
def _decode_evt3(
    words: Words, first: int, state: State, width: int, height: int, events: Events, counts: Counts
) -> tuple[int, int, int, int, bool]:
    """Decode EVT 3.0: 16 bits a word, each of which changes one thing; see `word_stream.Decode`."""
    i, n, earliest_us, newest_us = _decode_plain_evt3(words, first, state, width, height, events)
    base_us, low_us, y, x, on = state[BASE], state[LOW], state[Y], state[X], state[POLARITY]
    room, span = events.shape[0], (earliest_us, newest_us, True)
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
                span = stretch(t, before == 0, span)
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


EVT2 = Layout("evt2", "EVT 2.0", 4, _decode_evt2)
EVT21 = Layout("evt21", "EVT 2.1", 8, _decode_evt21)
EVT21_LEGACY = EVT21._replace(halves_swapped=True)
EVT3 = Layout("evt3", "EVT 3.0", 2, _decode_evt3)
LAYOUTS = (EVT2, EVT21, EVT21_LEGACY, EVT3)
