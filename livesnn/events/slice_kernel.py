"""The slicer's inner loop: events counted into a slice until it ends. Not here: what slices are (frames.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from livesnn.events import DISORDER_US, EVENTS_DTYPE, Events

NEVER = int(np.iinfo(np.int64).max)
READ_ALL, SLICE_ENDED, TIME_JUMPED = 0, 1, 2


def fill(
    events: Events,
    position: int,
    columns: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
    newest_us: int,
    end_us: int,
    longest_gap_us: int,
    n_events: int,
    stop_at: int,
) -> tuple[int, int, int, int]:
    """Add events to ``counts`` (flat [C*H*W], changed in place) until the slice ends or time jumps.

    Return the index of the first event not read, why it wasn't, and the new ``newest_us`` and ``n_events``.
    """
    channel_size = counts.size // 2
    for index in range(position, events.size):
        event = events[index]
        elapsed_us = event.t - newest_us
        if elapsed_us > longest_gap_us or elapsed_us < -DISORDER_US:
            return index, TIME_JUMPED, newest_us, n_events
        newest_us += max(elapsed_us, 0)
        if newest_us >= end_us and end_us != NEVER:
            return index, SLICE_ENDED, newest_us, n_events
        if event.x >= columns.size or event.y >= rows.size:
            continue
        column, row = columns[event.x], rows[event.y]
        if column < 0 or row < 0:
            continue
        cell = row + column + (channel_size if event.p else 0)
        if counts[cell] != 0xFFFF:
            counts[cell] += 1
        n_events += 1
        if n_events == stop_at:
            return index + 1, SLICE_ENDED, newest_us, n_events
    return events.size, READ_ALL, newest_us, n_events


@cache
def kernel() -> Callable[..., tuple[int, int, int, int]]:
    """Compile `fill` on first use, for any packet, strided or read-only too; it releases the GIL."""
    import numba

    packet = numba.types.Array(numba.from_dtype(EVENTS_DTYPE), 1, "A", readonly=True)
    table = numba.types.Array(numba.int32, 1, "C", readonly=True)
    whole = numba.int64
    signature = numba.types.UniTuple(whole, 4)(
        packet, whole, table, table, numba.uint16[::1], whole, whole, whole, whole, whole
    )
    return numba.njit(signature, nogil=True, cache=True)(fill)
