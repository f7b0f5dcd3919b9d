"""ECF, Prophesee's "event compression format": a chunk of up to 65,535 events, column after column.

Learned from Prophesee's reference codec (github.com/prophesee-ai/hdf5_ecf); this decoder is our own. Little-endian:

- u32: number of events << 2 | whether y, x and p are packed << 1 | whether x and p are
- t: u64, the first time, then octets (step << 4 | run): time goes on by step, and run events have it. A run of 15 is
  followed by the true one, u16. A step of 15 makes the run four bits of a larger step, the least significant first,
  added when the next octet has another step
- packed: four events in 12 octets, as four numbers (y << 12 | x << 1 | p) of 24 bits
- otherwise y: u16 (y << 5 | run); a run of 31 is followed by the true one, u16; and then
  either x and p packed: four events in 6 octets, as four numbers (x << 1 | p) of 12 bits;
  or x: u16 (x << 5 | mask), the mask's highest bit for an event at x + 1, its lowest for one at x + 5;
  and p: octets (p << 7 | run), a run of 127 followed by the true one, u16

Not here: where the chunks lie (hdf5.py).
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.events import EVENTS_DTYPE, TIME_LIMIT_US, Events

ECF_FILTER = 36559
MAX_CHUNK_EVENTS = 65535
_HEADER_BYTES = 12

Octets = npt.NDArray[np.int64]  # widened: numba makes a float of unsigned and signed together


def decode_ecf(packed: bytes) -> Events | None:
    """Return a chunk's events, EVENTS_DTYPE [N], as they were packed; None when it is damaged."""
    if len(packed) < _HEADER_BYTES:
        return None
    head, start_us = struct.unpack_from("<IQ", packed)
    if head >> 2 > MAX_CHUNK_EVENTS or start_us >= TIME_LIMIT_US or head & 3 == 3:
        return None
    octets = np.frombuffer(packed, np.uint8).astype(np.int64)
    events = np.zeros(head >> 2, EVENTS_DTYPE)
    position = _decode_times(octets, start_us, events)
    if head & 2:
        position = _decode_packed(octets, position, events)
    else:
        position = _decode_rows(octets, position, events)
        if head & 1:
            position = _decode_packed_columns(octets, position, events)
        else:
            position = _decode_columns(octets, position, events)
            position = _decode_polarities(octets, position, events)
    return events if position >= 0 else None


@njit(nogil=True, cache=True)
def _u16(octets: Octets, position: int) -> int:
    """Return the number at ``position``; -1 beyond the end."""
    if position < 0 or position + 2 > octets.size:
        return -1
    return octets[position] | octets[position + 1] << 8


@njit(nogil=True, cache=True)
def _decode_times(octets: Octets, start_us: int, events: Events) -> int:
    """Write all times; return where they end, -1 when damaged, as the other parts do."""
    position, n = _HEADER_BYTES, 0
    t, step, shift = start_us, 0, 0
    while n < events.size:
        if position >= octets.size or shift > 56:
            return -1
        high, low = octets[position] >> 4, octets[position] & 15
        position += 1
        if high == 15:
            step |= low << shift
            shift += 4
            continue
        t += step + high
        step = shift = 0
        if low == 15:
            low = _u16(octets, position)
            position += 2
        if low < 0 or n + low > events.size or t < 0 or t >= TIME_LIMIT_US:
            return -1
        for _ in range(low):
            events[n].t = t
            n += 1
    return position


@njit(nogil=True, cache=True)
def _decode_packed(octets: Octets, position: int, events: Events) -> int:
    end = position + (events.size + 3) // 4 * 12
    if position < 0 or end > octets.size:
        return -1
    four = np.empty(4, np.int64)
    for first in range(0, events.size, 4):
        a, b, c = (
            _u16(octets, position) | _u16(octets, position + 2) << 16,
            _u16(octets, position + 4) | _u16(octets, position + 6) << 16,
            _u16(octets, position + 8) | _u16(octets, position + 10) << 16,
        )
        four[0], four[1] = a >> 8, (a & 0xFF) | b >> 16 << 8
        four[2], four[3] = (b & 0xFFFF) | c >> 24 << 16, c & 0xFFFFFF
        for i in range(first, min(first + 4, events.size)):
            packed = four[i - first]
            events[i].y, events[i].x, events[i].p = packed >> 12 & 0x7FF, packed >> 1 & 0x7FF, packed & 1 != 0
        position += 12
    return position


@njit(nogil=True, cache=True)
def _decode_rows(octets: Octets, position: int, events: Events) -> int:
    n = 0
    while n < events.size:
        word = _u16(octets, position)
        run = word & 31
        position += 2
        if word >= 0 and run == 31:
            run = _u16(octets, position)
            position += 2
        if word < 0 or run < 0 or position < 2 or n + run > events.size:
            return -1
        for _ in range(run):
            events[n].y = word >> 5
            n += 1
    return position


@njit(nogil=True, cache=True)
def _decode_packed_columns(octets: Octets, position: int, events: Events) -> int:
    end = position + (events.size + 3) // 4 * 6
    if position < 0 or end > octets.size:
        return -1
    four = np.empty(4, np.int64)
    for first in range(0, events.size, 4):
        a, b, c = _u16(octets, position), _u16(octets, position + 2), _u16(octets, position + 4)
        four[0], four[1] = a >> 4, (a & 0xF) | b >> 8 << 4
        four[2], four[3] = (b & 0xFF) | c >> 12 << 8, c & 0xFFF
        for i in range(first, min(first + 4, events.size)):
            events[i].x, events[i].p = four[i - first] >> 1, four[i - first] & 1 != 0
        position += 6
    return position


@njit(nogil=True, cache=True)
def _decode_columns(octets: Octets, position: int, events: Events) -> int:
    n = 0
    while n < events.size:
        word = _u16(octets, position)
        if word < 0:
            return -1
        position += 2
        events[n].x = word >> 5
        n += 1
        for ahead in range(1, 6):
            if word >> (5 - ahead) & 1 and n < events.size:  # the last word may have more than there are
                events[n].x = (word >> 5) + ahead
                n += 1
    return position


@njit(nogil=True, cache=True)
def _decode_polarities(octets: Octets, position: int, events: Events) -> int:
    n = 0
    while n < events.size:
        if position < 0 or position >= octets.size:
            return -1
        octet = octets[position]
        position += 1
        run = octet & 127
        if run == 127:
            run = _u16(octets, position)
            position += 2
        if run < 0 or n + run > events.size:
            return -1
        for _ in range(run):
            events[n].p = octet >> 7 != 0
            n += 1
    return position
