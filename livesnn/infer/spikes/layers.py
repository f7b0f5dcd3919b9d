"""A band of a layer advanced by a step: its spikes are spread over the sums they reach, then the band's neurons fire.

Not here: which band when, and by which thread (step.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types

from livesnn.infer.spikes.lanes import (
    FLOAT_BYTES,
    SHORT_BYTES,
    add_bytes,
    add_floats,
    add_times,
    copy,
    fire,
    float_at,
    increase,
    rows_of,
    settle,
    sweep_bytes,
)
from livesnn.infer.spikes.layout import BAND, BEGIN_BYTES, FLOATS, LANES, POOLED, SPIKES, THROUGH, TOTALS
from livesnn.infer.spikes.words import begin_at, count_at, lowest, put_begin, put_spike, spike_at


@njit(nogil=True, cache=True)
def begin_row(layer, y, count, at):  # type: ignore[no-untyped-def]
    """Begin a row's lists at ``count``: of its left border, and of its first pixel; return where that is written."""
    first = layer.begin + (y + layer.pad) * layer.across
    for i in range(layer.pad + 1):
        put_begin(at.begins, first + i, count)
    return first + layer.pad


@njit(nogil=True, cache=True)
def end_row(layer, first, count, at):  # type: ignore[no-untyped-def]
    """Let a row's right border begin, and end, at ``count``."""
    for i in range(layer.width + 1, layer.width + layer.pad + 1):
        put_begin(at.begins, first + i, count)


@njit(nogil=True, cache=True)
def _reached(place, kernel, stride, first, last):  # type: ignore[no-untyped-def]
    """Return the outputs first..last − 1 whose kernels cover a place, along one side: from .. to − 1."""
    if stride == 1:
        return max(first, place - kernel + 1), min(last, place + 1)
    return max(first, (place - kernel + stride) // stride), min(last, place // stride + 1)


@njit(nogil=True, cache=True)
def _row_of(read, y, at):  # type: ignore[no-untyped-def]
    """Return the address of the beginnings of the row y under kernels of 3×3, from its first pixel."""
    return types.uintp(
        at.begins + (read.begin + (y + read.offset) * read.across + read.offset + 1) * BEGIN_BYTES
    )


def _groups(lanes: int, number: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    """Return what spreads so many spikes of a pixel: rows of weights of ``size`` bytes, to sums of ``sum_size``."""

    @njit(nogil=True, cache=True)
    def spread(read, y, x, reached, width, weights, lists, first, sums):  # type: ignore[no-untyped-def]
        rows = rows_of(number, size * read.kernel * read.kernel, weights, lists, first)
        top, bottom, left, right, y0 = reached
        step, line = size * read.stride, size * read.stride * read.kernel
        off = ((y - top * read.stride) * read.kernel + x - left * read.stride) * size
        to = sums + ((top - y0) * width + left) * sum_size
        for _ in range(top, bottom):
            if right - left == 3:
                add(lanes, types.uintp(to), rows, off)
                add(lanes, types.uintp(to + sum_size), rows, off - step)
                add(lanes, types.uintp(to + 2 * sum_size), rows, off - 2 * step)
            else:
                for column in range(right - left):
                    add(lanes, types.uintp(to + column * sum_size), rows, off - column * step)
            off -= line
            to += width * sum_size

    return spread


def _spreads(lanes: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    """Return what spreads all spikes under a band of outputs."""
    one, two, three, four = (_groups(lanes, number, add, size, sum_size) for number in (1, 2, 3, 4))

    @njit(nogil=True, cache=True)
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


def _counted(lanes: int) -> Callable[..., None]:
    """Return what spreads counts."""

    @njit(nogil=True, cache=True)
    def spread_counts(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        """Spread all counts under a band of outputs."""
        kernel, stride, size = read.kernel, read.stride, lanes * FLOAT_BYTES
        for y in range(y0 * stride, (y1 - 1) * stride + kernel):
            top, bottom = _reached(y, kernel, stride, y0, y1)
            place = read.begin + (y + read.offset) * read.across + read.offset
            for x in range((width - 1) * stride + kernel):
                for i in range(begin_at(at.begins, place + x), begin_at(at.begins, place + x + 1)):
                    left, right = _reached(x, kernel, stride, 0, width)
                    count, channel = count_at(at.counts, i), spike_at(at.lists, i)
                    for row in range(top, bottom):
                        for column in range(left, right):
                            tap = (y - row * stride) * kernel + x - column * stride
                            from_row = types.uintp(weights + (channel * kernel * kernel + tap) * size)
                            to = types.uintp(sums + ((row - y0) * width + column) * size)
                            add_times(lanes, to, from_row, count)

    return spread_counts


def _by_bytes(lanes: int) -> Callable[..., None]:
    """Return what convolves by int8."""
    spread_bytes = _spreads(lanes, add_bytes, lanes, lanes * SHORT_BYTES)

    @njit(nogil=True, cache=True)
    def sweep(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        """Spread all spikes under a band of outputs, through kernels of 3×3."""
        line = width * lanes * SHORT_BYTES
        for y in range(y0, y1 + 2):
            top, bottom = max(y0, y - 2), min(y1, y + 1)
            of_row = types.uintp(weights + (y - bottom + 1) * 3 * lanes)
            begins = _row_of(read, y, at)
            to = types.uintp(sums + (top - y0) * line)
            if bottom - top == 3:
                sweep_bytes(lanes, 3, of_row, at.lists, begins, width, to, line)
            elif bottom - top == 2:
                sweep_bytes(lanes, 2, of_row, at.lists, begins, width, to, line)
            else:
                sweep_bytes(lanes, 1, of_row, at.lists, begins, width, to, line)

    @njit(nogil=True, cache=True)
    def settle_band(pixels, shorts, scales, bias, sums):  # type: ignore[no-untyped-def]
        """Add to sums [pixel, lanes] what lies in shorts, times its scales; ``bias``: write that and it, or 0."""
        for pixel in range(pixels):
            to = types.uintp(sums + pixel * lanes * FLOAT_BYTES)
            onto = bias if bias else to
            settle(lanes, types.uintp(shorts + pixel * lanes * SHORT_BYTES), scales, onto, to)

    @njit(nogil=True, cache=True)
    def add_rounded(read, y0, y1, width, weights, scales, bias, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add to sums [pixel, lanes] of a band what a convolution by bytes gives; ``bias``: see `settle_band`."""
        pixels = (y1 - y0) * width
        if read.kind == POOLED:
            for ky in range(3):
                for y in range(y0, y1):
                    begins = _row_of(read, y + ky, at)
                    to = types.uintp(shorts + (y - y0) * width * lanes * SHORT_BYTES)
                    tap = types.uintp(weights + ky * 3 * lanes)
                    sweep_bytes(lanes, 1, tap, at.lists, begins, width, to, 0)
                settle_band(pixels, shorts, scales, types.uintp(0) if ky else bias, sums)
            return
        if read.kernel == 3 and read.stride == 1:
            sweep(read, y0, y1, width, weights, at, shorts)
        else:
            spread_bytes(read, y0, y1, width, weights, at, shorts)
        settle_band(pixels, shorts, scales, bias, sums)

    return add_rounded


def _reads(lanes: int) -> Callable[..., None]:
    """Return what convolves, whatever it reads and by what."""
    spread_floats = _spreads(lanes, add_floats, lanes * FLOAT_BYTES, lanes * FLOAT_BYTES)
    spread_counts, add_rounded = _counted(lanes), _by_bytes(lanes)

    @njit(nogil=True, cache=True)
    def add_read(read, y0, y1, layer, counted, first, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add to sums [chunk, pixel, lanes] of a band what a convolution gives; the first begins with the bias."""
        pixels = (y1 - y0) * layer.width
        step = read.kernel * read.kernel * read.inputs * lanes
        for chunk in range(layer.outputs // lanes):
            to = types.uintp(sums + chunk * pixels * lanes * FLOAT_BYTES)
            bias = types.uintp(at.weights + (layer.bias + chunk * lanes) * FLOAT_BYTES)
            if read.kind != FLOATS:
                weights = types.uintp(at.rounded + read.weights + chunk * step)
                scales = types.uintp(at.weights + (read.scales + chunk * lanes) * FLOAT_BYTES)
                onto = bias if first else types.uintp(0)
                add_rounded(read, y0, y1, layer.width, weights, scales, onto, at, to, shorts)
                continue
            weights = types.uintp(at.weights + (read.weights + chunk * step) * FLOAT_BYTES)
            if first:
                for pixel in range(pixels):
                    copy(lanes, bias, types.uintp(to + pixel * lanes * FLOAT_BYTES))
            if counted:
                spread_counts(read, y0, y1, layer.width, weights, at, to)
            else:
                spread_floats(read, y0, y1, layer.width, weights, at, to)

    return add_read


def _layers(lanes: int) -> Callable[..., None]:
    """Return what advances bands of layers of so many lanes."""
    add_read = _reads(lanes)

    @njit(nogil=True, cache=True)
    def add_through(read, y, x, chunk, at, sums):  # type: ignore[no-untyped-def]
        """Add one number to the sums [lanes] of the channels that spike at a pixel."""
        place = read.begin + (y + read.offset) * read.across + x + read.offset
        gain = types.uintp(at.weights + read.weights * FLOAT_BYTES)
        for i in range(begin_at(at.begins, place), begin_at(at.begins, place + 1)):
            lane = spike_at(at.lists, i) - chunk * lanes
            if 0 <= lane < lanes:
                increase(sums, lane, float_at(gain))

    @njit(nogil=True, cache=True)
    def advance(layer, reads, y0, y1, counted, neuron, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Advance a band of neurons by a step."""
        pixels, chunks, size = (y1 - y0) * layer.width, layer.outputs // lanes, lanes * FLOAT_BYTES
        totals = types.uintp(at.totals + (layer.totals + y0 // BAND * TOTALS) * FLOAT_BYTES)
        add_read(reads[0], y0, y1, layer, counted, True, at, sums, shorts)
        through = reads[1].kind == THROUGH
        if reads[1].kernel and not through:
            add_read(reads[1], y0, y1, layer, False, False, at, sums, shorts)
        for y in range(y0, y1):
            count = layer.lists + y * layer.row
            begin = begin_row(layer, y, count, at)
            for x in range(layer.width):
                for chunk in range(chunks):
                    held = types.uintp(sums + (chunk * pixels + (y - y0) * layer.width + x) * size)
                    if through:
                        add_through(reads[1], y, x, chunk, at, held)
                    place = layer.membranes * FLOAT_BYTES + ((y * layer.width + x) * chunks + chunk) * size
                    old, new = types.uintp(at.before + place), types.uintp(at.after + place)
                    bits = fire(lanes, held, old, new, totals, neuron[0], neuron[1], neuron[2])
                    while bits:
                        put_spike(at.lists, count, chunk * lanes + lowest(bits))
                        count += 1
                        bits &= bits - types.uint64(1)
                put_begin(at.begins, begin + x + 1, count)
            end_row(layer, begin, count, at)
            increase(totals, SPIKES, count - layer.lists - y * layer.row)

    return advance


_layer_64, _layer_32, _layer_16 = map(_layers, LANES)


@njit(nogil=True, cache=True)
def advance(layer, reads, y0, y1, counted, neuron, at, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance the rows y0..y1 − 1 of a layer by a step; ``counted``: it reads counts.

    ``at``: a `layout.Places`; sums, shorts: addresses of float32 and int16 [plan.scratch], shorts zero at both ends;
    ``some_``: None where no layer has so many lanes, which is then not compiled.
    """
    if some_64 is not None:  # noqa: SIM102 (numba drops what hangs on a None alone)
        if layer.lanes == 64:
            _layer_64(layer, reads, y0, y1, counted, neuron, at, sums, shorts)
    if some_32 is not None:  # noqa: SIM102
        if layer.lanes == 32:
            _layer_32(layer, reads, y0, y1, counted, neuron, at, sums, shorts)
    if some_16 is not None:  # noqa: SIM102
        if layer.lanes == 16:
            _layer_16(layer, reads, y0, y1, counted, neuron, at, sums, shorts)
