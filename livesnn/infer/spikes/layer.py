"""A row of neurons that fire, for numba, in LLVM's own terms. Not here: their sums (reads.py), lists (layers.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.intrinsics import (
    FLOAT_BYTES,
    WORD,
    add_marked,
    float_at,
    how_many,
    inner,
    lowest,
    made_for,
    marks_at,
    put_begin,
    put_float,
    put_spike,
    splat,
    take_sum,
    vector,
    within,
)
from livesnn.infer.spikes.layout import LANES, MARK_BYTES, THROUGH, TOTALS, read_at
from livesnn.infer.spikes.spike_convolution import reads_of


def _advanced(builder: Any, old: Any, total: Any, neuron: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Return membranes after a step (SPEC, Eq. 1-4), and a bit for each that spikes."""
    alpha, threshold, resets = neuron
    lanes = old.type.count
    quiet = builder.fcmp_ordered("<", old, threshold)
    kept = builder.select(resets, builder.select(quiet, old, ir.Constant(old.type, [0.0] * lanes)), old)
    new = builder.fadd(total, builder.fmul(kept, alpha))
    bits = builder.bitcast(builder.fcmp_ordered(">=", new, threshold), ir.IntType(lanes))
    return new, builder.zext(bits, WORD) if lanes < WORD.width else bits


def _fire(
    builder: Any, lanes: int, width: Any, firsts: list[Any], steps: list[Any], totals: Any, neuron: Any
) -> None:
    """Build the loop over a row's pixels.

    ``firsts``, ``steps``: addresses of the first pixel's membranes before and after, marks and sums; how far the next
    pixel's are.
    """
    so_far, entry = vector(builder, totals, lanes), builder.block
    pixel, end = builder.append_basic_block("pixel"), builder.append_basic_block("end")
    builder.branch(pixel)
    builder.position_at_end(pixel)
    phis = [builder.phi(kind) for kind in (WORD, so_far.type, *[WORD] * len(firsts))]
    left, total, *places = phis
    before, after, marks, sums = places
    new, bits = _advanced(builder, vector(builder, before, lanes), vector(builder, sums, lanes), neuron)
    vector(builder, after, lanes, new)
    builder.store(bits, builder.inttoptr(marks, WORD.as_pointer()))
    following = [builder.sub(left, ir.Constant(WORD, 1)), builder.fadd(total, new)]
    following += [builder.add(place, step) for place, step in zip(places, steps, strict=True)]
    for phi, first, after_this in zip(phis, (width, so_far, *firsts), following, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(after_this, pixel)
    builder.cbranch(builder.icmp_signed(">", following[0], ir.Constant(WORD, 0)), pixel, end)
    builder.position_at_end(end)
    vector(builder, totals, lanes, following[1])


@intrinsic
def fire_row(typing, lanes, width, sums, membranes, marks, totals, steps, neuron):  # type: ignore[no-untyped-def]
    """Advance a row of membranes by a step.

    Parameters
    ----------
    width, sums
        Pixels, and the address of their sums, float32 [width, lanes].
    membranes
        Addresses of those before and after, float32 [lanes] a pixel.
    marks, totals
        Addresses of a bit for each that spikes, a word a pixel, and of sums of membranes [lanes] to add to.
    steps
        Bytes from pixel to pixel of membranes, and of marks.
    neuron
        Alpha, threshold, whether spikes reset.
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count, address, whole = lanes.literal_value, types.intp, types.int64
    pair, rule = types.UniTuple(address, 2), types.Tuple((types.float32, types.float32, types.boolean))

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, width, sums, membranes, marks, totals, steps, neuron = arguments
        before, after, step, mark_step = (
            builder.extract_value(two, i) for two in (membranes, steps) for i in (0, 1)
        )
        alpha, threshold, resets = (builder.extract_value(neuron, i) for i in range(3))
        splatted = splat(builder, alpha, count), splat(builder, threshold, count), resets
        size = ir.Constant(WORD, count * FLOAT_BYTES)
        _fire(
            builder,
            count,
            width,
            [before, after, marks, sums],
            [step, step, mark_step, size],
            totals,
            splatted,
        )
        return context.get_dummy_value()

    return types.void(lanes, whole, address, pair, address, address, types.UniTuple(whole, 2), rule), generate


@inner
def begin_row(layer, y, count, at):  # type: ignore[no-untyped-def]
    """Begin a row's lists at ``count``: of its left border, and of its first pixel; return where that is written."""
    first = layer.begin + (y + layer.pad) * layer.across
    for i in range(layer.pad + 1):
        put_begin(at.begins, first + i, count)
    return first + layer.pad


@inner
def end_row(layer, first, count, at):  # type: ignore[no-untyped-def]
    """Let a row's right border begin, and end, at ``count``."""
    for i in range(layer.width + 1, layer.width + layer.pad + 1):
        put_begin(at.begins, first + i, count)


AT_ONCE = 4
"""Spikes that are listed without a look at how many there are: no more than lanes, so that there is room for them."""


@inner
def _list_spikes(lists, count, first, bits):  # type: ignore[no-untyped-def]
    """List the channels from ``first`` on whose bits are set behind ``count`` others; return how many there are then.

    What is listed of too few bits is written over: a wrong guess of a loop's length takes longer than four of them.
    """
    total, at_once = count + how_many(bits), count
    while True:
        for _ in range(AT_ONCE):
            put_spike(lists, at_once, first + lowest(bits))
            at_once += 1
            bits &= bits - types.uint64(1)
        if not bits:
            return total


def _layers(lanes: int) -> Callable[..., None]:
    """Return what advances bands of layers of so many lanes."""
    add_read = reads_of(lanes)

    @made_for(lanes)
    def add_through(read, y, x, chunk, chunks, at, sums):  # type: ignore[no-untyped-def]
        """Add one number to the sums [lanes] of a pixel's channels, as often as they spike under its window."""
        gain = float_at(at.weights + read.weights * FLOAT_BYTES)
        row = (y * read.stride + read.offset) * read.across + x * read.stride + read.offset
        for _ in range(read.kernel):
            for place in range(row, row + read.kernel):
                marks = marks_at(at.marks, read.begin + place * chunks + chunk)
                add_marked(lanes, sums, marks, gain)
            row += read.across

    @made_for(lanes)
    def advance(number, layer, y0, y1, neuron, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Advance a band of neurons by a step."""
        skip = read_at(at.reads, 2 * number + 1)
        pixels, chunks, size = (y1 - y0) * layer.width, layer.outputs // lanes, lanes * FLOAT_BYTES
        of_lanes, sums = sums, sums + LANES[0] * FLOAT_BYTES
        spikes, through = 0, skip.kind == THROUGH
        # One call in a loop: what is called twice may be compiled twice, for True and for False.
        for i in range(1 if through or skip.kernel == 0 else 2):
            add_read(read_at(at.reads, 2 * number + i), y0, y1, layer, i == 0, at, sums, shorts)
        for y in range(y0, y1):
            marks = layer.marks + ((y + layer.pad) * layer.across + layer.pad) * chunks
            for chunk in range(chunks):
                row = sums + (chunk * pixels + (y - y0) * layer.width) * size
                if through:
                    for x in range(layer.width):
                        add_through(skip, y, x, chunk, chunks, at, row + x * size)
                place = layer.membranes * FLOAT_BYTES + (y * layer.width * chunks + chunk) * size
                both = at.before + place, at.after + place
                row_marks = at.marks + (marks + chunk) * MARK_BYTES
                steps = chunks * size, chunks * MARK_BYTES
                fire_row(lanes, layer.width, row, both, row_marks, of_lanes, steps, neuron)
            count = layer.lists + y * layer.row
            begin = begin_row(layer, y, count, at)
            for x in range(layer.width):
                for chunk in range(chunks):
                    bits = types.uint64(marks_at(at.marks, marks + x * chunks + chunk))
                    count = _list_spikes(at.lists, count, chunk * lanes, bits)
                put_begin(at.begins, begin + x + 1, count)
            end_row(layer, begin, count, at)
            spikes += count - layer.lists - y * layer.row
        totals = at.totals + (layer.totals + y0 // layer.band * TOTALS) * FLOAT_BYTES
        put_float(totals, 0, spikes)
        put_float(totals, 1, take_sum(lanes, of_lanes))

    return advance


_layer_64, _layer_32, _layer_16 = map(_layers, LANES)


@within
def advance(number, layer, y0, y1, neuron, at, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance the rows y0..y1 − 1 of a layer by a step.

    ``at``: a `layout.Places`; sums, shorts: addresses of float32 [LANES[0] + plan.scratch], of which those of the
    lanes are zero at both ends, and of int16 [plan.scratch], all zero at both ends;
    ``some_``: None where no layer has so many lanes, which is then not compiled.
    """
    if some_64 is not None:  # noqa: SIM102 (numba drops what hangs on a None alone)
        if layer.lanes == 64:
            _layer_64(number, layer, y0, y1, neuron, at, sums, shorts)
    if some_32 is not None:  # noqa: SIM102
        if layer.lanes == 32:
            _layer_32(number, layer, y0, y1, neuron, at, sums, shorts)
    if some_16 is not None:  # noqa: SIM102
        if layer.lanes == 16:
            _layer_16(number, layer, y0, y1, neuron, at, sums, shorts)
