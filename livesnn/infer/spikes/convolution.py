"""Convolutions of spikes and of the frame, which skip zeros and add to the sums of a band.

Each spike adds its rows of a kernel of float32 or int8. Kernels of int8 of 3×3 with stride 1 *sweep* along a row of
pixels with their sums in registers. Other kernels *scatter* each spike over the sums in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from livesnn.infer.spikes import intrinsics as llvm
from livesnn.infer.spikes import plan
from livesnn.infer.spikes.intrinsics import (
    FLOAT_BYTES,
    SHORT_BYTES,
    WORD,
    compiled,
    inlined,
    instruction,
    specialized,
)
from livesnn.infer.spikes.plan import feature_map_at


def _phis(builder: Any, kind: Any, columns: int, rows: int) -> list[list[Any]]:
    return [[builder.phi(kind) for _ in range(rows)] for _ in range(columns)]


def _add_incoming(phis: list[list[Any]], values: list[list[Any]], block: Any) -> None:
    """Give phi nodes the ``values`` that they have when control comes from a block."""
    for column, known in zip(phis, values, strict=True):
        for phi, value in zip(column, known, strict=True):
            phi.add_incoming(value, block)


def _retire(builder: Any, column: list[Any], place: Any, line: Any, lanes: int) -> None:
    """Add a column of sums to those in memory, where rows are ``line`` bytes apart."""
    for total in column:
        llvm.add_vector(builder, llvm.SHORT, place, total, lanes)
        place = builder.add(place, line)


def _with_taps(builder: Any, row: Any, held: list[list[Any]], lanes: int) -> list[list[Any]]:
    """Return three columns of sums with the taps of a spike added; ``row``: address of its weights."""
    added = []
    for kx, column in zip((2, 1, 0), held, strict=True):
        taps = [(ky * 3 + kx) * lanes for ky in reversed(range(len(column)))]
        places = [builder.add(row, ir.Constant(WORD, tap)) for tap in taps]
        loaded = [llvm.vector(builder, place, lanes, kind=llvm.BYTE) for place in places]
        wide = [llvm.widened(builder, one, lanes, llvm.SHORT) for one in loaded]
        added.append([builder.add(total, more) for total, more in zip(column, wide, strict=True)])
    return added


@instruction(types.void, llvm.LITERAL, llvm.LITERAL, *[types.intp] * 3, types.int64, types.intp, *[types.int64] * 2)
def sweep_row(builder, lanes, rows, weights, lists, begins, width, sums, step, line):  # type: ignore[no-untyped-def]
    """Add the spikes of a row of pixels, through kernels of 3×3, to the sums of ``rows`` rows of outputs.

    The three columns of sums that a pixel reaches stay in registers until no further pixel reaches them. Columns
    that no spike reaches aren't written.

    ``weights``: address of [C, 9, lanes], 3 · lanes further for each ky that is left out. ``lists``, ``begins``:
    addresses of the channels that spike, and of int32 [width + 1], where those of each pixel begin. ``sums``:
    address of [rows, width, lanes], ``step`` bytes from pixel to pixel, and ``line`` from row to row. The first
    row gets the taps of the highest ky.
    """
    kind, one, entry = ir.VectorType(llvm.SHORT, lanes), ir.Constant(WORD, 1), builder.block
    nothing = [ir.Constant(kind, None)] * rows
    names = ("pixel", "spike", "passed", "left", "next", "end")
    pixel, spike, passed, left, following, end = map(builder.append_basic_block, names)
    start = builder.zext(llvm.load_number(builder, begins, ir.Constant(WORD, 0), llvm.BEGIN), WORD)
    outside = builder.sub(sums, step)
    builder.branch(pixel)

    builder.position_at_end(pixel)
    x, first, carried = builder.phi(WORD), builder.phi(WORD), _phis(builder, kind, 2, rows)
    # Where the lists of the last two pixels begin.
    first_before, first_earlier = builder.phi(WORD), builder.phi(WORD)
    place, x_next = builder.phi(WORD), builder.add(x, one)  # where the sums of the pixel before lie
    last = builder.zext(llvm.load_number(builder, begins, x_next, llvm.BEGIN), WORD)
    before = [*carried, nothing]
    builder.cbranch(builder.icmp_signed("<", first, last), spike, passed)

    builder.position_at_end(spike)
    index, held = builder.phi(WORD), _phis(builder, kind, 3, rows)
    channel = builder.zext(llvm.load_number(builder, lists, index, llvm.SHORT), WORD)
    row = builder.add(weights, builder.mul(channel, ir.Constant(WORD, 9 * lanes)))
    added = _with_taps(builder, row, held, lanes)
    after = builder.add(index, one)
    _add_incoming([[index], *held], [[first], *before], pixel)
    _add_incoming([[index], *held], [[after], *added], spike)
    builder.cbranch(builder.icmp_signed("<", after, last), spike, passed)

    builder.position_at_end(passed)
    whole = _phis(builder, kind, 3, rows)
    _add_incoming(whole, before, pixel)
    _add_incoming(whole, added, spike)
    quiet = builder.icmp_signed("==", last, first_earlier)
    none = builder.or_(quiet, builder.icmp_signed("==", x, ir.Constant(WORD, 0)))
    builder.cbranch(none, following, left)
    builder.position_at_end(left)  # the first pixel leaves no column behind, nor do three without spikes
    _retire(builder, whole[0], place, line, lanes)
    builder.branch(following)

    builder.position_at_end(following)
    place_next = builder.add(place, step)
    known = [x, first, first_before, first_earlier, place]
    _add_incoming([known, *carried], [[ir.Constant(WORD, 0), start, start, start, outside], nothing, nothing], entry)
    _add_incoming([known, *carried], [[x_next, last, first, first_before, place_next], *whole[1:]], following)
    builder.cbranch(builder.icmp_signed("<", x_next, width), pixel, end)
    builder.position_at_end(end)
    _retire(builder, whole[1], place_next, line, lanes)


@compiled
def _reached(place, kernel, stride, first, last):  # type: ignore[no-untyped-def]
    """Return which of the outputs first..last − 1 have a kernel that covers a place, along one side: [from, to)."""
    if stride == 1:
        return max(first, place - kernel + 1), min(last, place + 1)
    return max(first, (place - kernel + stride) // stride), min(last, place // stride + 1)


@compiled
def _row_of(read, y, at):  # type: ignore[no-untyped-def]
    return at.begins + (read.begin + (y + read.offset) * read.across + read.offset + 1) * plan.BEGIN_BYTES


def _scatter_group(lanes: int, number: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    """Return a function that scatters ``number`` spikes of a pixel, whose rows have ``size`` bytes, at once."""

    @specialized(lanes, number, size)
    def scatter(read, y, x, reached, width, weights, lists, first, sums):  # type: ignore[no-untyped-def]
        rows = llvm.rows_of(number, size * read.kernel * read.kernel, weights, lists, first)
        top, bottom, left, right, y0 = reached
        step, line = size * read.stride, size * read.stride * read.kernel
        off = ((y - top * read.stride) * read.kernel + x - left * read.stride) * size
        to = sums + ((top - y0) * width + left) * sum_size
        for _ in range(top, bottom):
            for column in range(right - left):
                add(lanes, to + column * sum_size, rows, off - column * step)
            off -= line
            to += width * sum_size

    return scatter


def _scatters(lanes: int, add: Any, size: int, sum_size: int) -> Callable[..., None]:
    one, four = (_scatter_group(lanes, number, add, size, sum_size) for number in (1, 4))

    @specialized(lanes, size)
    def scatter(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        kernel, stride, lists = read.kernel, read.stride, at.lists
        for y in range(y0 * stride, (y1 - 1) * stride + kernel):
            top, bottom = _reached(y, kernel, stride, y0, y1)
            place = read.begin + (y + read.offset) * read.across + read.offset
            first = llvm.begin_at(at.begins, place)
            for x in range((width - 1) * stride + kernel):
                last = llvm.begin_at(at.begins, place + x + 1)
                if first == last:
                    continue
                left, right = _reached(x, kernel, stride, 0, width)
                reached = (top, bottom, left, right, y0)
                while last - first >= 4:
                    four(read, y, x, reached, width, weights, lists, first, sums)
                    first += 4
                while first < last:
                    one(read, y, x, reached, width, weights, lists, first, sums)
                    first += 1

    return scatter


def _sweep_3x3(lanes: int, step: int) -> Callable[..., None]:
    """Return a function that convolves by int8 kernels of 3×3 with stride 1, ``lanes`` output channels at a time.

    ``step``: bytes from the sums of one pixel to those of the next.
    """

    @specialized(lanes, step)
    def sweep(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        line = width * step
        for y in range(y0, y1 + 2):
            top, bottom = max(y0, y - 2), min(y1, y + 1)
            of_row = weights + (y - bottom + 1) * 3 * lanes
            begins = _row_of(read, y, at)
            to = sums + (top - y0) * line
            if bottom - top == 3:
                sweep_row(lanes, 3, of_row, at.lists, begins, width, to, step, line)
            elif bottom - top == 2:
                sweep_row(lanes, 2, of_row, at.lists, begins, width, to, step, line)
            else:
                sweep_row(lanes, 1, of_row, at.lists, begins, width, to, step, line)

    return sweep


def float32_convolution(lanes: int) -> Callable[..., None]:
    """Return a function that adds a convolution by float32 to the sums [pixel, lanes] of a band."""
    return _scatters(lanes, llvm.add_floats, lanes * FLOAT_BYTES, lanes * FLOAT_BYTES)


def int8_convolution(lanes: int) -> Callable[..., None]:
    """Return a function that convolves spikes by kernels of int8, with sums of int16."""
    scatter_bytes = _scatters(lanes, llvm.add_bytes, lanes, lanes * SHORT_BYTES)
    step, narrow = lanes * SHORT_BYTES, min(lanes, plan.INT8_3X3_LANES)
    sweep = _sweep_3x3(narrow, step)

    @specialized(lanes)
    def dequantize_band(pixels, shorts, scales, bias, sums):  # type: ignore[no-untyped-def]
        """Add int16 sums times their scales to sums [pixel, lanes]; where ``bias`` isn't 0, write it with them."""
        for pixel in range(pixels):
            to = sums + pixel * lanes * FLOAT_BYTES
            onto = bias if bias else to
            llvm.dequantize_onto(lanes, shorts + pixel * lanes * SHORT_BYTES, scales, onto, to)

    @inlined
    def add_rounded(read, y0, y1, width, weights, scales, bias, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add a convolution by int8 to the sums [pixel, lanes] of a band; ``bias``: see `dequantize_band`."""
        pixels = (y1 - y0) * width
        if read.kind == plan.INT8_POOLED:
            for ky in range(3):
                for y in range(y0, y1):
                    begins = _row_of(read, y + ky, at)
                    for part in range(0, lanes, narrow):
                        to = shorts + (y - y0) * width * step + part * SHORT_BYTES
                        tap = weights + part * read.inputs * 9 + ky * 3 * narrow
                        sweep_row(narrow, 1, tap, at.lists, begins, width, to, step, 0)
                dequantize_band(pixels, shorts, scales, types.intp(0) if ky else bias, sums)
            return
        if read.kernel == 3 and read.stride == 1:
            for part in range(0, lanes, narrow):
                kernels = weights + part * read.inputs * 9
                sweep(read, y0, y1, width, kernels, at, shorts + part * SHORT_BYTES)
        else:
            scatter_bytes(read, y0, y1, width, weights, at, shorts)
        dequantize_band(pixels, shorts, scales, bias, sums)

    return add_rounded


def frame_convolution(lanes: int) -> Callable[..., None]:
    size = lanes * FLOAT_BYTES

    @specialized(lanes)
    def scatter_count(read, y, x, reached, width, weights, number, sums):  # type: ignore[no-untyped-def]
        """Add the weights of the taps that a pixel of the frame reaches, times a number, to the sums of a band."""
        top, bottom, left, right, y0 = reached
        for row in range(top, bottom):
            taps = weights + (y - row * read.stride) * read.kernel * size
            to = sums + (row - y0) * width * size
            for column in range(left, right):
                llvm.add_times(lanes, to + column * size, taps + (x - column * read.stride) * size, number)

    @specialized(lanes)
    def add_counts(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        """Add a convolution of the frame to the sums [pixel, lanes] of a band."""
        frame, kernel = feature_map_at(at.layers, 0), read.kernel
        worth = at.weights + read.scales * FLOAT_BYTES
        first, last = y0 * read.stride - frame.pad, (y1 - 1) * read.stride + kernel - frame.pad
        for channel in range(read.inputs):
            of_channel = weights + channel * kernel * kernel * size
            for row in range(max(first, 0), min(last, frame.height)):
                y, counts = row + frame.pad, at.frame + (channel * frame.height + row) * frame.width
                top, bottom = _reached(y, kernel, read.stride, y0, y1)
                for x in range(frame.width):
                    count = llvm.count_at(counts, x)
                    if count:
                        left, right = _reached(x + frame.pad, kernel, read.stride, 0, width)
                        number = llvm.float_at(worth + count * FLOAT_BYTES)
                        reached = (top, bottom, left, right, y0)
                        scatter_count(read, y, x + frame.pad, reached, width, of_channel, number, sums)

    return add_counts
