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

from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events

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
    position = _decode_times(octets, start_us, events["t"])
    if not head & 2:
        position = _decode_runs(octets, position, events["y"], word_bytes=2, run_bits=5)
    if head & 3:
        position = _decode_packed(octets, position, events, bits=24 if head & 2 else 12)
    else:
        position = _decode_columns(octets, position, events["x"])
        position = _decode_runs(octets, position, events["p"], word_bytes=1, run_bits=7)
    return events if position >= 0 else None


@njit(nogil=True, cache=True)
def _word(octets: Octets, position: int, word_bytes: int) -> int:
    """Return the number at ``position``; -1 beyond the end."""
    if position < 0 or position + word_bytes > octets.size:
        return -1
    word = 0
    for i in range(word_bytes):
        word |= octets[position + i] << 8 * i
    return word


@njit(nogil=True, cache=True)
def _decode_times(octets: Octets, start_us: int, times: npt.NDArray[np.int64]) -> int:
    """Write all times; return where they end, -1 when damaged, as the other parts do."""
    position, n = _HEADER_BYTES, 0
    t, step, shift = start_us, 0, 0
    while n < times.size:
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
            low = _word(octets, position, 2)
            position += 2
        if low < 0 or n + low > times.size or t < 0 or t >= TIME_LIMIT_US:
            return -1
        times[n : n + low] = t
        n += low
    return position


@njit(nogil=True, cache=True)
def _decode_packed(octets: Octets, position: int, events: Events, bits: int) -> int:
    """Write x and p of four events in three words; of those with 24 bits each, y as well."""
    word_bytes, part = bits // 6, bits // 3
    end = position + (events.size + 3) // 4 * 3 * word_bytes
    if position < 0 or end > octets.size:
        return -1
    four = np.empty(4, np.int64)
    for first in range(0, events.size, 4):
        a = _word(octets, position, word_bytes)
        b = _word(octets, position + word_bytes, word_bytes)
        c = _word(octets, position + 2 * word_bytes, word_bytes)
        four[0], four[1] = a >> part, a & (1 << part) - 1 | b >> 2 * part << part
        four[2], four[3] = b & (1 << 2 * part) - 1 | c >> bits << 2 * part, c & (1 << bits) - 1
        for i in range(first, min(first + 4, events.size)):
            packed = four[i - first]
            events[i].x, events[i].p = packed >> 1 & 0x7FF, packed & 1 != 0
            if bits == 24:
                events[i].y = packed >> 12 & 0x7FF
        position += 3 * word_bytes
    return position


@njit(nogil=True, cache=True)
def _decode_runs(
    octets: Octets, position: int, values: npt.NDArray[np.generic], word_bytes: int, run_bits: int
) -> int:
    """Write values that stand above the length of their run; where that has all bits set, the true one follows."""
    n, longest = 0, (1 << run_bits) - 1
    while n < values.size:
        word = _word(octets, position, word_bytes)
        if word < 0:
            return -1
        run = word & longest
        position += word_bytes
        if run == longest:
            run = _word(octets, position, 2)
            position += 2
        if run < 0 or n + run > values.size:
            return -1
        values[n : n + run] = word >> run_bits
        n += run
    return position


@njit(nogil=True, cache=True)
def _decode_columns(octets: Octets, position: int, columns: npt.NDArray[np.uint16]) -> int:
    n = 0
    while n < columns.size:
        word = _word(octets, position, 2)
        if word < 0:
            return -1
        position += 2
        columns[n] = word >> 5
        n += 1
        for ahead in range(1, 6):
            if word >> (5 - ahead) & 1 and n < columns.size:  # the last word may have more than there are
                columns[n] = (word >> 5) + ahead
                n += 1
    return position
