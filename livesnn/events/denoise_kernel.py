"""What becomes of each event of a packet, as machine code. Not here: what it is kept in, and why (denoise.py)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from livesnn.events import DISORDER_US, EVENTS_DTYPE, TIME_LIMIT_US

INTERVAL_US = 125_000
"""In which a pixel's events are counted while hot ones are learned."""

TICK_US = 10_000
"""Whoever gets the kept events is told at least this often how the time goes by while none is kept."""

NEVER = -TIME_LIMIT_US
NEWEST, TOLD, INTERVAL_END, INTERVALS_LEFT = range(4)
"""Of a clock."""
KEPT, HOT, REFRACTORY, ISOLATED, OUTSIDE = range(5)
"""What becomes of an event, in the order of `DenoiseCounts` but for its first."""


def _filter(  # type: ignore[no-untyped-def]
    events, position, kept, width, height, last_us, rates, hot, clock, counts, refractory_us, activity_us
):
    """Fill ``kept``; return the index of the first event not read, and how many are kept. See `DenoiseState`."""
    n_kept = 0
    newest, told = clock[NEWEST], clock[TOLD]
    learning = clock[INTERVALS_LEFT] > 0
    while position < events.size:
        event = events[position]
        t, x, y = event.t, np.int64(event.x), np.int64(event.y)
        if x >= width or y >= height:
            position += 1
            counts[OUTSIDE] += 1
            continue
        jumps = newest - t > DISORDER_US
        if newest > told and (jumps or t - told > TICK_US):
            break  # so that the time of the event before is told
        begins = jumps or newest == NEVER
        if begins:
            newest = t
            last_us[:] = NEVER
            rates[:] = 0
            clock[INTERVAL_END] = t + INTERVAL_US
        elif learning and t >= clock[INTERVAL_END]:
            break
        position += 1
        newest = t = max(newest, t)
        pixel = (y + 1) * (width + 2) + x + 1
        if learning:
            rates[pixel] += 1
        why = _judge(t, pixel, width + 2, last_us, hot, begins, refractory_us, activity_us)
        counts[why] += 1
        if why == KEPT:
            kept[n_kept] = event
            n_kept += 1
            told = t
    clock[NEWEST] = clock[TOLD] = newest
    return position, n_kept


def _judge(t, pixel, stride, last_us, hot, begins, refractory_us, activity_us):  # type: ignore[no-untyped-def]
    """Return what becomes of an event; note that its pixel was active."""
    if begins:
        last_us[pixel] = t
        return KEPT
    if hot[pixel]:
        return HOT
    if t - last_us[pixel] < refractory_us:
        return REFRACTORY
    last_us[pixel] = t
    up, down = pixel - stride, pixel + stride
    around = max(
        last_us[up - 1], last_us[up], last_us[up + 1], last_us[pixel - 1], last_us[pixel + 1],
        last_us[down - 1], last_us[down], last_us[down + 1],
    )  # fmt: skip
    return ISOLATED if activity_us and t - around >= activity_us else KEPT


@cache
def kernel() -> Callable[..., tuple[int, int]]:
    """Compile `_filter` on first use, for any packet, strided or read-only too; it releases the GIL."""
    import numba
    from numba.extending import register_jitable

    register_jitable(inline="always")(_judge)  # a call costs a tenth of the speed
    event = numba.from_dtype(EVENTS_DTYPE)
    packet = numba.types.Array(event, 1, "A", readonly=True)
    whole, times = numba.int64, numba.int64[::1]
    signature = numba.types.UniTuple(whole, 2)(
        packet, whole, event[::1], whole, whole, times, numba.int32[::1], numba.boolean[::1], times, times,
        whole, whole,
    )  # fmt: skip
    return numba.njit(signature, nogil=True, cache=True)(_filter)
