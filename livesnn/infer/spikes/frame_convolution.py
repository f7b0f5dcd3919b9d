"""The stem's convolution of a frame, which skips counts of 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from livesnn.infer.spikes.intrinsics import (
    BYTE,
    FLOAT,
    FLOAT_BYTES,
    LITERAL,
    WORD,
    compiled,
    copy,
    count_at,
    inlined,
    instruction,
    load_number,
    load_unaligned,
    marked_bytes,
    put_count,
    specialized,
    splat,
    vector,
)
from livesnn.infer.spikes.layout import TILE, feature_map_at

FUSED = ("contract",)
"""LLVM may round a product and its sum only once."""
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
                put_count(to, x // 8 * read.high, types.int64(marked_bytes(8, counts + x)))
            bits = 0
            for x in range(whole, source.width):
                bits |= (count_at(counts, x) != 0) << (x - whole)
            put_count(to, whole // 8 * read.high, bits)


@compiled
def clear_marks(read, marks):  # type: ignore[no-untyped-def]
    """Zero what `mark_counts` wrote."""
    for i in range(read.inputs * read.across * read.high):
        put_count(marks, i, 0)


@inlined
def _tile(place, rows, below):  # type: ignore[no-untyped-def]
    """Return the 8×8 bits from a row and a column on, which lies ``below`` bits behind a byte's first."""
    kept = types.uint64(0xFF >> below) * types.uint64(EACH_BYTE)
    left, right = types.uint64(load_unaligned(place)), types.uint64(load_unaligned(place + rows))
    return (left >> types.uint64(below)) & kept | (right << types.uint64(8 - below)) & ~kept


@inlined
def _inside(columns, rows):  # type: ignore[no-untyped-def]
    """Return the bits of a tile that lie within a kernel with so many taps left to each side."""
    of_row = types.uint64((1 << min(columns, 8)) - 1) * types.uint64(EACH_BYTE)
    return of_row >> types.uint64(8 * (8 - min(rows, 8)))


def _tiles(lanes: int) -> Callable[..., None]:
    """Return a function that convolves counts by one tile of the kernels."""

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
                    accumulate_counts(
                        lanes, bits, (counts + left, line, taps, worth), bias if bias else sums, sums
                    )
                elif bias:
                    copy(lanes, bias, sums)
                sums += lanes * FLOAT_BYTES
            place += read.stride
            counts += read.stride * line

    return add_tile


def frame_convolution(lanes: int) -> Callable[..., None]:
    """Return a function that convolves counts."""
    add_tile, size = _tiles(lanes), TILE * TILE * lanes * FLOAT_BYTES

    @specialized(lanes)
    def add_counts(read, y0, y1, width, weights, bias, at, sums, marks):  # type: ignore[no-untyped-def]
        """Write a convolution and the bias to the sums of a band; ``marks``: as `mark_counts` leaves them."""
        source, onto, taps = feature_map_at(at.layers, 0), bias, weights
        worth = at.weights + read.scales * FLOAT_BYTES
        for channel in range(read.inputs):
            corner = channel * source.height + y0 * read.stride - source.pad
            for ky in range(0, read.kernel, TILE):
                for kx in range(0, read.kernel, TILE):
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
    count = builder.zext(load_number(builder, counts, place, BYTE), WORD)
    each = splat(builder, load_number(builder, worth, count, FLOAT), lanes)
    weights = vector(
        builder, builder.add(taps, builder.mul(bit, ir.Constant(WORD, lanes * FLOAT_BYTES))), lanes
    )
    return builder.fadd(total, builder.fmul(each, weights, flags=FUSED), flags=FUSED)


@instruction(types.void, LITERAL, types.uint64, types.UniTuple(types.intp, 4), types.intp, types.intp)
def accumulate_counts(builder, lanes, bits, of_counts, onto, sums):  # type: ignore[no-untyped-def]
    """Write to float32 [lanes] at ``sums``: what lies at ``onto``, plus the weighted counts whose bits are set.

    Parameters
    ----------
    bits
        Bit 8·ky + kx stands for a tap. At least one is set.
    of_counts
        Address of the first tap's count, uint8; bytes from row to row; the addresses of the weights, float32 [bit,
        lanes], and of what each count is worth, float32 [256].
    """
    apart = [builder.extract_value(of_counts, i) for i in range(4)]
    so_far, nothing, entry = vector(builder, onto, lanes), ir.Constant(WORD, 0), builder.block
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
    vector(builder, sums, lanes, after)
