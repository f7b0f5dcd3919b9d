"""The quick way through words of a pixel and 32 bits of time (DAT, AEDAT 2.0) that are nothing but good events.

One pass without a branch says whether they are, a second one writes them: together they take half the time of a look
at each word by itself, which is what the formats' own decoders do with the rest. Not here: those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from livesnn.events.formats.word_stream import Words, unwrap
from livesnn.events.packet import Events


class Pixel(NamedTuple):
    """Where a word of 64 bits has x, y and the polarity; its lower 32 bits are the time in µs.

    ``x`` and ``y`` are the place of their lowest bit, and a mask of what is above it; ``on`` is the place of the bit
    that is 1 for ON, or with ``on_is_zero`` 0. ``mirrored``: both are counted from the other side. Where a bit of
    ``others`` is set, it is no event.
    """

    x: tuple[int, int]
    y: tuple[int, int]
    on: int
    on_is_zero: bool = False
    mirrored: bool = False
    others: int = 0


@njit(nogil=True, cache=True)
def _are_plain(words: Words, pixel: Pixel, width: int, height: int) -> bool:
    """Say whether all words are events inside the sensor, in order, less than half a turn of the clock apart."""
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


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def decode_plain(
    words: Words, pixel: Pixel, last_us: int, width: int, height: int, events: Events
) -> tuple[int, int, int]:
    """Decode words [N] into ``events`` (only count them, where it is empty), if all are good events in order.

    Return (N, or 0 where they aren't; the first time, the last), times counted on from ``last_us`` over wraps.
    """
    some = words[: events.size] if events.size else words
    if some.size == 0 or not _are_plain(some, pixel, width, height):
        return 0, last_us, last_us
    first = np.int64(some[0] & np.uint64(0xFFFFFFFF))
    shift_us = unwrap(first, last_us) - first
    if events.size:
        _write(some, pixel, shift_us, width, height, events)
    return some.size, first + shift_us, np.int64(some[some.size - 1] & np.uint64(0xFFFFFFFF)) + shift_us
