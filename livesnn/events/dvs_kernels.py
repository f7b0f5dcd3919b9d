"""All pixels of a DVS advanced over frames, as machine code. Not here: what pixels are like (dvs_pixel.py)."""

from __future__ import annotations

import numpy as np
from numba import njit

TIME_SHIFT, PIXEL_MASK = 24, (1 << 23) - 1  # an event as one int64: t, pixel, p; up to 8 Mpx and 6 days
_TOGETHER = 32
"""Pixels: most have no event for most of the time, and so many such are advanced in a few instructions."""


@njit(nogil=True, cache=True)
def _uniform(random, i):  # type: ignore[no-untyped-def]
    """Draw from [0, 1) by splitmix64 (Steele et al. 2014), advancing pixel ``i``'s stream."""
    random[i] += np.uint64(0x9E3779B97F4A7C15)
    z = random[i]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.float64((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _exponential(random, i):  # type: ignore[no-untyped-def]
    return -np.log(1.0 - _uniform(random, i))


@njit(nogil=True, cache=True)
def _crossing(t, change, slope, on, off):  # type: ignore[no-untyped-def]
    """Return when the change since the reference reaches a threshold (inf: never), and which (+1 or −1)."""
    if slope > 0:
        return t + max(on - change, 0.0) / slope, 1
    if slope < 0:
        return t + max(off + change, 0.0) / -slope, -1
    return np.inf, 0


@njit(nogil=True, cache=True)
def _busy(keys, busy, frame, gain, t0, t1, start, state, fixed, refractory):  # type: ignore[no-untyped-def]
    """Advance the pixels ``busy`` over (t0, t1], in which a level moves in a line; append their events.

    A held pixel wakes with its reference at the level of that moment: what happened meanwhile is lost.
    """
    level, reference, ready, noise_due, random = state
    on, off, leak, noise = fixed
    for i in busy:
        target = level[i] + gain * (frame[i] - level[i])
        slope = (target - level[i]) / (t1 - t0)
        t = t0
        while True:
            if ready[i] > t:
                if ready[i] >= t1:
                    break
                t = ready[i]
                reference[i] = level[i] + slope * (t - t0)
            while noise_due[i] <= t:
                noise_due[i] += _exponential(random, i) / noise[i]
            change = level[i] + slope * (t - t0) - reference[i]
            t_event, sign = _crossing(t, change, slope + leak[i], on[i], off[i])
            if noise_due[i] <= t_event:
                t_event, sign = noise_due[i], 0
            if t_event > t1:
                reference[i] -= leak[i] * (t1 - t)
                break
            if sign == 0:
                sign = 1 if _uniform(random, i) < 0.5 else -1
            t = t_event
            reference[i] = level[i] + slope * (t - t0)
            ready[i] = t + refractory
            keys.append((np.int64(np.ceil(t - start)) << TIME_SHIFT) | (i << 1) | (sign > 0))
        level[i] = target


@njit(nogil=True, cache=True)
def advance(logs, times, start, state, fixed, refractory, decay):  # type: ignore[no-untyped-def]
    """Advance all pixels over frames [T, N] at times[1:], changing ``state`` in place; each event is one integer.

    That integer holds time since ``start``, pixel and polarity from high to low: sorting it sorts events.
    """
    level, reference, ready, noise_due, _ = state
    on, off, leak, _ = fixed
    keys = [np.int64(0) for _ in range(0)]
    busy = np.empty(level.size, np.int64)
    whole = level.size // _TOGETHER
    for k in range(len(logs)):
        t0, t1, frame = times[k], times[k + 1], logs[k]
        gain = 1.0 - np.exp(-decay * (t1 - t0))
        n = 0
        for block in range(whole):
            first, events = block * _TOGETHER, 0
            for i in range(first, first + _TOGETHER):  # without branches, a known number: eight at once
                change = level[i] + gain * (frame[i] - level[i]) - reference[i] + leak[i] * (t1 - t0)
                events += int(change <= -off[i]) + int(change >= on[i])
                events += int(ready[i] > t0) + int(noise_due[i] <= t1)
            if events == 0:
                for i in range(first, first + _TOGETHER):
                    level[i] += gain * (frame[i] - level[i])
                    reference[i] -= leak[i] * (t1 - t0)
                continue
            for i in range(first, first + _TOGETHER):
                target = level[i] + gain * (frame[i] - level[i])
                change = target - reference[i] + leak[i] * (t1 - t0)
                if -off[i] < change < on[i] and ready[i] <= t0 and noise_due[i] > t1:
                    level[i] = target
                    reference[i] -= leak[i] * (t1 - t0)
                else:
                    busy[n] = i
                    n += 1
        for i in range(whole * _TOGETHER, level.size):
            busy[n] = i
            n += 1
        _busy(keys, busy[:n], frame, gain, t0, t1, start, state, fixed, refractory)
    return np.array(keys)
