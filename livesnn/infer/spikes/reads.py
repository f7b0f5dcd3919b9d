"""What a convolution adds to the sums of a band of neurons, by what it reads: spikes or counts, by floats or bytes.

Not here: the loops within a row of pixels that keep sums in registers (sweeps.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types

from livesnn.infer.spikes.counted import counted, mark, unmark
from livesnn.infer.spikes.kept import inner, made_for, within
from livesnn.infer.spikes.lanes import (
    FLOAT_BYTES,
    SHORT_BYTES,
    add_bytes,
    add_floats,
    copy,
    rows_of,
    settle,
)
from livesnn.infer.spikes.layout import (
    BEGIN_BYTES,
    BYTES,
    COUNTS,
    POOLED,
    SWEPT,
    SWEPT_BYTES,
    SWEPT_FLOATS,
)
from livesnn.infer.spikes.sweeps import sweep_bytes, sweep_floats
from livesnn.infer.spikes.words import begin_at


@inner
def _reached(place, kernel, stride, first, last):  # type: ignore[no-untyped-def]
    """Return the outputs first..last − 1 whose kernels cover a place, along one side: from .. to − 1."""
    if stride == 1:
        return max(first, place - kernel + 1), min(last, place + 1)
    return max(first, (place - kernel + stride) // stride), min(last, place // stride + 1)


@inner
def _row_of(read, y, at):  # type: ignore[no-untyped-def]
    """Return the address of the beginnings of the row y under kernels of 3×3, from its first pixel."""
    return at.begins + (read.begin + (y + read.offset) * read.across + read.offset + 1) * BEGIN_BYTES


def _groups(lanes: int, number: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    """Return what spreads so many spikes of a pixel: rows of weights of ``size`` bytes, to sums of ``sum_size``."""

    @made_for(lanes, number, size)
    def spread(read, y, x, reached, width, weights, lists, first, sums):  # type: ignore[no-untyped-def]
        rows = rows_of(number, size * read.kernel * read.kernel, weights, lists, first)
        top, bottom, left, right, y0 = reached
        step, line = size * read.stride, size * read.stride * read.kernel
        off = ((y - top * read.stride) * read.kernel + x - left * read.stride) * size
        to = sums + ((top - y0) * width + left) * sum_size
        for _ in range(top, bottom):
            for column in range(right - left):
                add(lanes, to + column * sum_size, rows, off - column * step)
            off -= line
            to += width * sum_size

    return spread


def _spreads(lanes: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    """Return what spreads all spikes under a band of outputs."""
    one, two, three, four = (_groups(lanes, number, add, size, sum_size) for number in (1, 2, 3, 4))

    @made_for(lanes, size)
    def spread(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        kernel, stride, lists = read.kernel, read.stride, at.lists
        for y in range(y0 * stride, (y1 - 1) * stride + kernel):
            top, bottom = _reached(y, kernel, stride, y0, y1)
            place = read.begin + (y + read.offset) * read.across + read.offset
            first = begin_at(at.begins, place)
            for x in range((width - 1) * stride + kernel):
                last = begin_at(at.begins, place + x + 1)
                if first == last:
                    continue
                left, right = _reached(x, kernel, stride, 0, width)
                reached = (top, bottom, left, right, y0)
                while last - first > 4:
                    four(read, y, x, reached, width, weights, lists, first, sums)
                    first += 4
                if last - first == 4:
                    four(read, y, x, reached, width, weights, lists, first, sums)
                elif last - first == 3:
                    three(read, y, x, reached, width, weights, lists, first, sums)
                elif last - first == 2:
                    two(read, y, x, reached, width, weights, lists, first, sums)
                else:
                    one(read, y, x, reached, width, weights, lists, first, sums)
                first = last

    return spread


def _swept(lanes: int, sweep_row: Any, size: int, step: int) -> Callable[..., None]:
    """Return what convolves by kernels of 3×3, stride 1, of ``size`` bytes a weight, so many outputs at a time.

    ``step``: bytes from the sums of a pixel to those of the next.
    """

    @made_for(lanes, size, step)
    def sweep(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        line = width * step
        for y in range(y0, y1 + 2):
            top, bottom = max(y0, y - 2), min(y1, y + 1)
            of_row = weights + (y - bottom + 1) * 3 * lanes * size
            begins = _row_of(read, y, at)
            to = sums + (top - y0) * line
            if bottom - top == 3:
                sweep_row(lanes, 3, of_row, at.lists, begins, width, to, step, line)
            elif bottom - top == 2:
                sweep_row(lanes, 2, of_row, at.lists, begins, width, to, step, line)
            else:
                sweep_row(lanes, 1, of_row, at.lists, begins, width, to, step, line)

    return sweep


def _by_floats(lanes: int) -> Callable[..., None]:
    """Return what convolves by float32."""
    size, narrow = lanes * FLOAT_BYTES, SWEPT_FLOATS * FLOAT_BYTES
    spread_floats = _spreads(lanes, add_floats, size, size)
    sweep = _swept(SWEPT_FLOATS, sweep_floats, FLOAT_BYTES, size)

    @within
    def add_weighted(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        """Add to sums [pixel, lanes] of a band what a convolution by floats gives."""
        if read.kind == SWEPT:
            for part in range(0, size, narrow):
                kernels = weights + part * read.inputs * 9
                sweep(read, y0, y1, width, kernels, at, sums + part)
        else:
            spread_floats(read, y0, y1, width, weights, at, sums)

    return add_weighted


def _by_bytes(lanes: int) -> Callable[..., None]:
    """Return what convolves by int8."""
    spread_bytes = _spreads(lanes, add_bytes, lanes, lanes * SHORT_BYTES)
    step, narrow = lanes * SHORT_BYTES, min(lanes, SWEPT_BYTES)
    sweep = _swept(narrow, sweep_bytes, 1, step)

    @made_for(lanes)
    def settle_band(pixels, shorts, scales, bias, sums):  # type: ignore[no-untyped-def]
        """Add to sums [pixel, lanes] what lies in shorts, times its scales; ``bias``: write that and it, or 0."""
        for pixel in range(pixels):
            to = sums + pixel * lanes * FLOAT_BYTES
            onto = bias if bias else to
            settle(lanes, shorts + pixel * lanes * SHORT_BYTES, scales, onto, to)

    @within
    def add_rounded(read, y0, y1, width, weights, scales, bias, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add to sums [pixel, lanes] of a band what a convolution by bytes gives; ``bias``: see `settle_band`."""
        pixels = (y1 - y0) * width
        if read.kind == POOLED:
            for ky in range(3):
                for y in range(y0, y1):
                    begins = _row_of(read, y + ky, at)
                    for part in range(0, lanes, narrow):
                        to = shorts + (y - y0) * width * step + part * SHORT_BYTES
                        tap = weights + part * read.inputs * 9 + ky * 3 * narrow
                        sweep_bytes(narrow, 1, tap, at.lists, begins, width, to, step, 0)
                settle_band(pixels, shorts, scales, types.intp(0) if ky else bias, sums)
            return
        if read.kernel == 3 and read.stride == 1:
            for part in range(0, lanes, narrow):
                kernels = weights + part * read.inputs * 9
                sweep(read, y0, y1, width, kernels, at, shorts + part * SHORT_BYTES)
        else:
            spread_bytes(read, y0, y1, width, weights, at, shorts)
        settle_band(pixels, shorts, scales, bias, sums)

    return add_rounded


def reads_of(lanes: int) -> Callable[..., None]:
    """Return what convolves, whatever it reads and by what."""
    add_counts, add_rounded, add_weighted = counted(lanes), _by_bytes(lanes), _by_floats(lanes)

    @made_for(lanes)
    def add_read(read, y0, y1, layer, first, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add to sums [chunk, pixel, lanes] of a band what a convolution gives; the first begins with the bias."""
        pixels = (y1 - y0) * layer.width
        step = read.rows * lanes
        if read.kind == COUNTS:
            mark(read, y0, y1, at, shorts)
        for chunk in range(layer.outputs // lanes):
            to = sums + chunk * pixels * lanes * FLOAT_BYTES
            bias = at.weights + (layer.bias + chunk * lanes) * FLOAT_BYTES
            if read.kind == BYTES or read.kind == POOLED:
                weights = at.rounded + read.weights + chunk * step
                scales = at.weights + (read.scales + chunk * lanes) * FLOAT_BYTES
                onto = bias if first else types.intp(0)
                add_rounded(read, y0, y1, layer.width, weights, scales, onto, at, to, shorts)
                continue
            weights = at.weights + (read.weights + chunk * step) * FLOAT_BYTES
            if read.kind == COUNTS:
                add_counts(read, y0, y1, layer.width, weights, bias, at, to, shorts)
                continue
            if first:
                for pixel in range(pixels):
                    copy(lanes, bias, to + pixel * lanes * FLOAT_BYTES)
            add_weighted(read, y0, y1, layer.width, weights, at, to)
        if read.kind == COUNTS:
            unmark(read, shorts)

    return add_read
