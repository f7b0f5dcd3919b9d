"""Convolutions of spikes and of the frame, which skip zeros and add to the sums of a band.

Each spike adds its rows of a kernel of float32 or int8. Kernels of 3×3 with stride 1 *sweep* along a row of pixels
with their sums in registers. Other kernels *scatter* each spike over the sums in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from livesnn.infer.spikes import intrinsics as llvm
from livesnn.infer.spikes import plan
from livesnn.infer.spikes.intrinsics import (
    FLOAT,
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


def _retire(builder: Any, kind: Any, column: list[Any], place: Any, line: Any, lanes: int) -> None:
    """Add a column of sums to those in memory, where rows are ``line`` bytes apart."""
    for total in column:
        llvm.add_vector(builder, kind, place, total, lanes)
        place = builder.add(place, line)


def _with_taps(
    builder: Any, kinds: tuple[Any, Any], row: Any, size: int, held: list[list[Any]], lanes: int
) -> list[list[Any]]:
    """Return three columns of sums with the taps of a spike added; ``row``: address of weights of ``size`` bytes."""
    of_weights, of_sums = kinds
    added = []
    for kx, column in zip((2, 1, 0), held, strict=True):
        taps = [(ky * 3 + kx) * lanes * size for ky in reversed(range(len(column)))]
        places = [builder.add(row, ir.Constant(WORD, tap)) for tap in taps]
        loaded = [llvm.vector(builder, place, lanes, kind=of_weights) for place in places]
        wide = [llvm.widened(builder, one, lanes, of_sums) for one in loaded]
        added.append([llvm.plus(builder, of_sums, total, more) for total, more in zip(column, wide, strict=True)])
    return added


def _sweeps(of_weights: Any, of_sums: Any, size: int) -> Any:
    """Return an intrinsic that sweeps with weights of ``size`` bytes each."""
    address, whole = types.intp, types.int64

    @instruction(types.void, llvm.LITERAL, llvm.LITERAL, address, address, address, whole, address, whole, whole)
    def sweep(builder, lanes, rows, weights, lists, begins, width, sums, step, line):  # type: ignore[no-untyped-def]
        """Add the spikes of a row of pixels, through kernels of 3×3, to the sums of ``rows`` rows of outputs.

        The three columns of sums that a pixel reaches stay in registers until no further pixel reaches them. Columns
        that no spike reaches aren't written.

        ``weights``: address of [C, 9, lanes], 3 · lanes further for each ky that is left out. ``lists``, ``begins``:
        addresses of the channels that spike, and of int32 [width + 1], where those of each pixel begin. ``sums``:
        address of [rows, width, lanes], ``step`` bytes from pixel to pixel, and ``line`` from row to row. The first
        row gets the taps of the highest ky.
        """
        kind, one, entry = ir.VectorType(of_sums, lanes), ir.Constant(WORD, 1), builder.block
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
        row = builder.add(weights, builder.mul(channel, ir.Constant(WORD, 9 * lanes * size)))
        added = _with_taps(builder, (of_weights, of_sums), row, size, held, lanes)
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
        _retire(builder, of_sums, whole[0], place, line, lanes)
        builder.branch(following)

        builder.position_at_end(following)
        place_next = builder.add(place, step)
        known = [x, first, first_before, first_earlier, place]
        _add_incoming(
            [known, *carried], [[ir.Constant(WORD, 0), start, start, start, outside], nothing, nothing], entry
        )
        _add_incoming([known, *carried], [[x_next, last, first, first_before, place_next], *whole[1:]], following)
        builder.cbranch(builder.icmp_signed("<", x_next, width), pixel, end)
        builder.position_at_end(end)
        _retire(builder, of_sums, whole[1], place_next, line, lanes)

    return sweep


sweep_bytes, sweep_floats = _sweeps(llvm.BYTE, llvm.SHORT, 1), _sweeps(FLOAT, FLOAT, FLOAT_BYTES)


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
    one, two, three, four = (_scatter_group(lanes, number, add, size, sum_size) for number in (1, 2, 3, 4))

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

    return scatter


def _sweep_3x3(lanes: int, sweep_row: Any, size: int, step: int) -> Callable[..., None]:
    """Return a function that convolves by kernels of 3×3 with stride 1, ``lanes`` output channels at a time.

    ``size``: bytes of a weight. ``step``: bytes from the sums of one pixel to those of the next.
    """

    @specialized(lanes, size, step)
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


def float32_convolution(lanes: int) -> Callable[..., None]:
    size, narrow = lanes * FLOAT_BYTES, plan.FLOAT32_3X3_LANES * FLOAT_BYTES
    scatter_floats = _scatters(lanes, llvm.add_floats, size, size)
    sweep = _sweep_3x3(plan.FLOAT32_3X3_LANES, sweep_floats, FLOAT_BYTES, size)

    @inlined
    def add_weighted(read, y0, y1, width, weights, at, sums):  # type: ignore[no-untyped-def]
        """Add a convolution by float32 to the sums [pixel, lanes] of a band."""
        if read.kind == plan.FLOAT32_3X3:
            for part in range(0, size, narrow):
                kernels = weights + part * read.inputs * 9
                sweep(read, y0, y1, width, kernels, at, sums + part)
        else:
            scatter_floats(read, y0, y1, width, weights, at, sums)

    return add_weighted


def int8_convolution(lanes: int) -> Callable[..., None]:
    """Return a function that convolves spikes by kernels of int8, with sums of int16."""
    scatter_bytes = _scatters(lanes, llvm.add_bytes, lanes, lanes * SHORT_BYTES)
    step, narrow = lanes * SHORT_BYTES, min(lanes, plan.INT8_3X3_LANES)
    sweep = _sweep_3x3(narrow, sweep_bytes, 1, step)

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
                        sweep_bytes(narrow, 1, tap, at.lists, begins, width, to, step, 0)
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


FUSED = ("contract",)  # LLVM may round a product and its sum only once
EACH_BYTE = 0x0101010101010101


@compiled
def mark_counts(read, y0, y1, at, marks):  # type: ignore[no-untyped-def]
    """Mark the counts other than 0 in the rows that a band of neurons reads.

    ``marks``: the address of bytes [C, across, high], all zero. They get a bit a pixel; eight bytes are a tile.
    """
    source = feature_map_at(at.layers, 0)
    first_row, rows = y0 * read.stride - source.pad, (y1 - y0 - 1) * read.stride + read.kernel
    for channel in range(read.inputs):
        for row in range(max(0, -first_row), min(rows, source.height - first_row)):
            counts = at.frame + (channel * source.height + first_row + row) * source.width
            to = marks + (channel * read.across + (source.pad + 7) // 8) * read.high + row
            whole = source.width // 8 * 8
            for x in range(0, whole, 8):
                llvm.put_count(to, x // 8 * read.high, types.int64(llvm.marked_bytes(8, counts + x)))
            bits = 0
            for x in range(whole, source.width):
                bits |= (llvm.count_at(counts, x) != 0) << (x - whole)
            llvm.put_count(to, whole // 8 * read.high, bits)


@compiled
def clear_marks(read, marks):  # type: ignore[no-untyped-def]
    for i in range(read.inputs * read.across * read.high):
        llvm.put_count(marks, i, 0)


@inlined
def _tile(place, rows, below):  # type: ignore[no-untyped-def]
    """Return the 8×8 bits from a row and a column on, which lies ``below`` bits behind a byte's first."""
    kept = types.uint64(0xFF >> below) * types.uint64(EACH_BYTE)
    left, right = types.uint64(llvm.load_unaligned(place)), types.uint64(llvm.load_unaligned(place + rows))
    return (left >> types.uint64(below)) & kept | (right << types.uint64(8 - below)) & ~kept


@inlined
def _inside(columns, rows):  # type: ignore[no-untyped-def]
    """Return the bits of a tile that lie within a kernel with so many taps left to each side."""
    of_row = types.uint64((1 << min(columns, 8)) - 1) * types.uint64(EACH_BYTE)
    return of_row >> types.uint64(8 * (8 - min(rows, 8)))


def _tiles(lanes: int) -> Callable[..., None]:
    @specialized(lanes)
    def add_tile(read, high, width, place, inside, of_counts, bias, sums):  # type: ignore[no-untyped-def]
        """Add the counts under one tile to the sums of a band; if ``bias`` isn't 0, write them and it instead.

        ``place``: address of the marks of the first tile; ``of_counts``: see `accumulate_counts`.
        """
        counts, line, taps, worth = of_counts
        for _ in range(high):
            for x in range(width):
                left = x * read.stride
                bit = left + read.offset
                bits = _tile(place + (bit >> 3) * read.high, read.high, bit & 7) & inside
                if bits:
                    accumulate_counts(lanes, bits, (counts + left, line, taps, worth), bias if bias else sums, sums)
                elif bias:
                    llvm.copy(lanes, bias, sums)
                sums += lanes * FLOAT_BYTES
            place += read.stride
            counts += read.stride * line

    return add_tile


def frame_convolution(lanes: int) -> Callable[..., None]:
    add_tile, size = _tiles(lanes), plan.TILE * plan.TILE * lanes * FLOAT_BYTES

    @specialized(lanes)
    def add_counts(read, y0, y1, width, weights, bias, at, sums, marks):  # type: ignore[no-untyped-def]
        """Write a convolution and the bias to the sums of a band; ``marks``: as `mark_counts` leaves them."""
        source, onto, taps = feature_map_at(at.layers, 0), bias, weights
        worth = at.weights + read.scales * FLOAT_BYTES
        for channel in range(read.inputs):
            corner = channel * source.height + y0 * read.stride - source.pad
            for ky in range(0, read.kernel, plan.TILE):
                for kx in range(0, read.kernel, plan.TILE):
                    place = marks + (channel * read.across + kx // 8) * read.high + ky
                    inside = _inside(read.kernel - kx, read.kernel - ky)
                    first = at.frame + (corner + ky) * source.width + kx - source.pad
                    of_counts = first, source.width, taps, worth
                    add_tile(read, y1 - y0, width, place, inside, of_counts, onto, sums)
                    onto, taps = types.intp(0), taps + size

    return add_counts


def _count(builder: Any, lanes: int, bit: Any, of_counts: Any, total: Any) -> Any:
    """Return a total [lanes] plus the weights of a tap times what its count is worth."""
    counts, line, taps, worth = of_counts
    column = builder.and_(bit, ir.Constant(WORD, 7))
    place = builder.add(builder.mul(builder.lshr(bit, ir.Constant(WORD, 3)), line), column)
    count = builder.zext(llvm.load_number(builder, counts, place, llvm.BYTE), WORD)
    each = llvm.splat(builder, llvm.load_number(builder, worth, count, FLOAT), lanes)
    weights = llvm.vector(builder, builder.add(taps, builder.mul(bit, ir.Constant(WORD, lanes * FLOAT_BYTES))), lanes)
    return builder.fadd(total, builder.fmul(each, weights, flags=FUSED), flags=FUSED)


@instruction(types.void, llvm.LITERAL, types.uint64, types.UniTuple(types.intp, 4), types.intp, types.intp)
def accumulate_counts(builder, lanes, bits, of_counts, onto, sums):  # type: ignore[no-untyped-def]
    """Write to float32 [lanes] at ``sums``: what lies at ``onto``, plus the weighted counts whose bits are set.

    Bit 8·ky + kx stands for a tap; at least one is set. ``of_counts``: address of the first tap's count, uint8; bytes
    from row to row; addresses of the weights, float32 [bit, lanes], and of each count's worth, float32 [256].
    """
    apart = [builder.extract_value(of_counts, i) for i in range(4)]
    so_far, nothing, entry = llvm.vector(builder, onto, lanes), ir.Constant(WORD, 0), builder.block
    tap, end = builder.append_basic_block("tap"), builder.append_basic_block("end")
    builder.branch(tap)
    builder.position_at_end(tap)
    left, total = builder.phi(WORD), builder.phi(so_far.type)
    bit = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
    after = _count(builder, lanes, bit, apart, total)
    fewer = builder.and_(left, builder.sub(left, ir.Constant(WORD, 1)))
    for phi, first, following in ((left, bits, fewer), (total, so_far, after)):
        phi.add_incoming(first, entry)
        phi.add_incoming(following, tap)
    builder.cbranch(builder.icmp_unsigned("!=", fewer, nothing), tap, end)
    builder.position_at_end(end)
    llvm.vector(builder, sums, lanes, after)
