"""What a convolution of counts gives: to each neuron, what those counts under its kernel give that aren't 0.

Not here: convolutions of spikes (reads.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.intrinsics import (
    BYTE,
    FLOAT,
    FLOAT_BYTES,
    WORD,
    copy,
    count_at,
    inner,
    made_for,
    marked_bytes,
    number_of,
    put_count,
    splat,
    vector,
    within,
    word_at,
)
from livesnn.infer.spikes.layout import TILE, map_at

FUSED = ("contract",)
"""A product and its sum may be rounded once."""
EACH_BYTE = 0x0101010101010101


@inner
def mark(read, y0, y1, at, marks):  # type: ignore[no-untyped-def]
    """Mark the counts that aren't 0 in the rows that a band of neurons reads.

    ``marks``: address of bytes [C, across, high], all zero: a bit a pixel, so that eight bytes are a tile.
    """
    source = map_at(at.layers, 0)
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


@inner
def unmark(read, marks):  # type: ignore[no-untyped-def]
    """Leave zeros where `mark` wrote."""
    for i in range(read.inputs * read.across * read.high):
        put_count(marks, i, 0)


@within
def _tile(place, rows, below):  # type: ignore[no-untyped-def]
    """Return the 8×8 bits from a row's and a column's on, ``below`` columns behind a byte's first."""
    kept = types.uint64(0xFF >> below) * types.uint64(EACH_BYTE)
    left, right = types.uint64(word_at(place)), types.uint64(word_at(place + rows))
    return (left >> types.uint64(below)) & kept | (right << types.uint64(8 - below)) & ~kept


@within
def _inside(columns, rows):  # type: ignore[no-untyped-def]
    """Return the bits of a tile that are taps of a kernel, of which there are so many more to each side."""
    of_row = types.uint64((1 << min(columns, 8)) - 1) * types.uint64(EACH_BYTE)
    return of_row >> types.uint64(8 * (8 - min(rows, 8)))


def _tiles(lanes: int) -> Callable[..., None]:
    """Return what convolves counts by one tile of the kernels."""

    @made_for(lanes)
    def add_tile(read, high, width, place, inside, of_counts, bias, sums):  # type: ignore[no-untyped-def]
        """Add to the sums of a band what the counts under one tile give; write that and the bias, if it isn't 0.

        ``place``: address of the marks of the first tile; ``of_counts``: see `add_counted`.
        """
        counts, line, taps, worth = of_counts
        for _ in range(high):
            for x in range(width):
                left = x * read.stride
                bit = left + read.offset
                bits = _tile(place + (bit >> 3) * read.high, read.high, bit & 7) & inside
                if bits:
                    add_counted(lanes, bits, (counts + left, line, taps, worth), bias if bias else sums, sums)
                elif bias:
                    copy(lanes, bias, sums)
                sums += lanes * FLOAT_BYTES
            place += read.stride
            counts += read.stride * line

    return add_tile


def counted(lanes: int) -> Callable[..., None]:
    """Return what convolves counts."""
    add_tile, size = _tiles(lanes), TILE * TILE * lanes * FLOAT_BYTES

    @made_for(lanes)
    def add_counts(read, y0, y1, width, weights, bias, at, sums, marks):  # type: ignore[no-untyped-def]
        """Write to a band's sums the bias, and what the counts under their kernels give; ``marks``: of `mark`."""
        source, onto, taps = map_at(at.layers, 0), bias, weights
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
    """Return a total [lanes] with what the count of a bit gives."""
    counts, line, taps, worth = of_counts
    column = builder.and_(bit, ir.Constant(WORD, 7))
    place = builder.add(builder.mul(builder.lshr(bit, ir.Constant(WORD, 3)), line), column)
    count = builder.zext(number_of(builder, counts, place, BYTE), WORD)
    each = splat(builder, number_of(builder, worth, count, FLOAT), lanes)
    weights = vector(
        builder, builder.add(taps, builder.mul(bit, ir.Constant(WORD, lanes * FLOAT_BYTES))), lanes
    )
    return builder.fadd(total, builder.fmul(each, weights, flags=FUSED), flags=FUSED)


@intrinsic
def add_counted(typing, lanes, bits, of_counts, onto, sums):  # type: ignore[no-untyped-def]
    """Write to sums float32 [lanes] what lies at ``onto``, plus what each count of a bit that is set is worth.

    Parameters
    ----------
    bits
        Bit 8·ky + kx stands for a tap; one is set at least.
    of_counts
        Address of the first tap's count, uint8; bytes from row to row; addresses of weights float32 [bit, lanes], and
        of what a count is worth, float32 [256].
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, bits, together, onto, sums = arguments
        of_counts = [builder.extract_value(together, i) for i in range(4)]
        so_far, nothing, entry = vector(builder, onto, width), ir.Constant(WORD, 0), builder.block
        tap, end = builder.append_basic_block("tap"), builder.append_basic_block("end")
        builder.branch(tap)
        builder.position_at_end(tap)
        left, total = builder.phi(WORD), builder.phi(so_far.type)
        bit = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
        after = _count(builder, width, bit, of_counts, total)
        fewer = builder.and_(left, builder.sub(left, ir.Constant(WORD, 1)))
        for phi, first, following in ((left, bits, fewer), (total, so_far, after)):
            phi.add_incoming(first, entry)
            phi.add_incoming(following, tap)
        builder.cbranch(builder.icmp_unsigned("!=", fewer, nothing), tap, end)
        builder.position_at_end(end)
        vector(builder, sums, width, after)
        return context.get_dummy_value()

    address = types.intp
    return types.void(lanes, types.uint64, types.UniTuple(address, 4), address, address), generate
