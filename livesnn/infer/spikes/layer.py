"""One step of a band of a layer: its connections are summed up, its neurons fire, and their spikes are listed.

The neurons are those of `livesnn.snn.lif`: U[t] = α · (1 − O[t−1]) · U[t−1] + current, O[t] = [U[t] ≥ T].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from livesnn.infer.spikes.frame_convolution import clear_marks, frame_convolution, mark_counts
from livesnn.infer.spikes.intrinsics import (
    FLOAT_BYTES,
    LITERAL,
    WORD,
    add_marked,
    compiled,
    copy,
    drain_sum,
    float_at,
    inlined,
    instruction,
    marks_at,
    popcount,
    put_begin,
    put_float,
    put_spike,
    specialized,
    splat,
    trailing_zeros,
    vector,
)
from livesnn.infer.spikes.layout import (
    COUNTS,
    IDENTITY,
    INT8,
    INT8_POOLED,
    LANES,
    MARK_BYTES,
    TOTALS,
    connection_at,
)
from livesnn.infer.spikes.spike_convolution import float32_convolution, int8_convolution


def _advanced(builder: Any, old: Any, total: Any, neuron: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Return the membranes after a step, and a bit for each neuron that spikes.

    new = total + α · (1 − O) · old with O = [old ≥ T], or total + α · old where nothing resets.
    """
    alpha, threshold, resets = neuron
    lanes = old.type.count
    quiet = builder.fcmp_ordered("<", old, threshold)
    kept = builder.select(resets, builder.select(quiet, old, ir.Constant(old.type, [0.0] * lanes)), old)
    new = builder.fadd(total, builder.fmul(kept, alpha))
    bits = builder.bitcast(builder.fcmp_ordered(">=", new, threshold), ir.IntType(lanes))
    return new, builder.zext(bits, WORD) if lanes < WORD.width else bits


_PAIR, _NEURON = types.UniTuple(types.intp, 2), types.Tuple((types.float32, types.float32, types.boolean))


@instruction(
    types.void,
    LITERAL,
    types.int64,
    types.intp,
    _PAIR,
    types.intp,
    types.intp,
    types.UniTuple(types.int64, 2),
    _NEURON,
)
def fire_row(builder, lanes, width, sums, membranes, marks, totals, steps, neuron):  # type: ignore[no-untyped-def]
    """Advance a row of neurons by a step.

    Parameters
    ----------
    width, sums
        Pixels of the row, and the address of their input currents, float32 [width, lanes].
    membranes
        Addresses of the membranes before and after the step, float32 [lanes] a pixel.
    marks, totals
        Addresses of the marks to write, a word a pixel, and of sums of membranes [lanes] to add to.
    steps
        Bytes from pixel to pixel, of membranes and of marks.
    neuron
        Alpha, threshold, whether spikes reset.
    """
    before, after, step, mark_step = (
        builder.extract_value(two, i) for two in (membranes, steps) for i in (0, 1)
    )
    alpha, threshold, resets = (builder.extract_value(neuron, i) for i in range(3))
    rule = splat(builder, alpha, lanes), splat(builder, threshold, lanes), resets
    firsts, all_steps = (
        [before, after, marks, sums],
        [step, step, mark_step, ir.Constant(WORD, lanes * FLOAT_BYTES)],
    )
    so_far, entry = vector(builder, totals, lanes), builder.block
    pixel, end = builder.append_basic_block("pixel"), builder.append_basic_block("end")
    builder.branch(pixel)
    builder.position_at_end(pixel)
    phis = [builder.phi(kind) for kind in (WORD, so_far.type, *[WORD] * len(firsts))]
    left, total, *places = phis
    before, after, marks, sums = places
    new, bits = _advanced(builder, vector(builder, before, lanes), vector(builder, sums, lanes), rule)
    vector(builder, after, lanes, new)
    builder.store(bits, builder.inttoptr(marks, WORD.as_pointer()))
    following = [builder.sub(left, ir.Constant(WORD, 1)), builder.fadd(total, new)]
    following += [builder.add(place, step) for place, step in zip(places, all_steps, strict=True)]
    for phi, first, after_this in zip(phis, (width, so_far, *firsts), following, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(after_this, pixel)
    builder.cbranch(builder.icmp_signed(">", following[0], ir.Constant(WORD, 0)), pixel, end)
    builder.position_at_end(end)
    vector(builder, totals, lanes, following[1])


@compiled
def begin_row(layer, y, count, at):  # type: ignore[no-untyped-def]
    """Let the lists of a row's left border and first pixel begin at ``count``; return the first pixel's index."""
    first = layer.begin + (y + layer.pad) * layer.across
    for i in range(layer.pad + 1):
        put_begin(at.begins, first + i, count)
    return first + layer.pad


@compiled
def end_row(layer, first, count, at):  # type: ignore[no-untyped-def]
    """Let the lists of a row's right border begin and end at ``count``."""
    for i in range(layer.width + 1, layer.width + layer.pad + 1):
        put_begin(at.begins, first + i, count)


AT_ONCE = 4
"""Spikes that are listed at once, however many there are. There is room, as no layer has fewer lanes."""


@compiled
def _list_spikes(lists, count, first, bits):  # type: ignore[no-untyped-def]
    """Append the channels whose bits are set, from ``first`` on, to ``count`` others; return the new count.

    Four are written even for fewer bits, and overwritten later: a mispredicted branch takes longer than four writes.
    """
    total, at_once = count + popcount(bits), count
    while True:
        for _ in range(AT_ONCE):
            put_spike(lists, at_once, first + trailing_zeros(bits))
            at_once += 1
            bits &= bits - types.uint64(1)
        if not bits:
            return total


def _convolution(lanes: int) -> Callable[..., None]:
    """Return a function that sums up any connection but IDENTITY."""
    add_counts, add_rounded, add_weighted = (
        frame_convolution(lanes),
        int8_convolution(lanes),
        float32_convolution(lanes),
    )

    @specialized(lanes)
    def add_connection(read, y0, y1, layer, first, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add a convolution to the sums [chunk, pixel, lanes] of a band; the first one begins with the bias."""
        pixels = (y1 - y0) * layer.width
        step = read.rows * lanes
        if read.kind == COUNTS:
            mark_counts(read, y0, y1, at, shorts)
        for chunk in range(layer.outputs // lanes):
            to = sums + chunk * pixels * lanes * FLOAT_BYTES
            bias = at.weights + (layer.bias + chunk * lanes) * FLOAT_BYTES
            if read.kind == INT8 or read.kind == INT8_POOLED:
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
            clear_marks(read, shorts)

    return add_connection


def _advance_of(lanes: int) -> Callable[..., None]:
    """Return a function that advances bands of layers with so many lanes."""
    add_connection = _convolution(lanes)

    @specialized(lanes)
    def add_through(read, y, x, chunk, chunks, at, sums):  # type: ignore[no-untyped-def]
        """Add an IDENTITY: one number to the sum of each channel, for each of its spikes under the pixel's window."""
        gain = float_at(at.weights + read.weights * FLOAT_BYTES)
        row = (y * read.stride + read.offset) * read.across + x * read.stride + read.offset
        for _ in range(read.kernel):
            for place in range(row, row + read.kernel):
                marks = marks_at(at.marks, read.begin + place * chunks + chunk)
                add_marked(lanes, sums, marks, gain)
            row += read.across

    @specialized(lanes)
    def advance(number, layer, y0, y1, neuron, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Advance a band of neurons by a step."""
        skip = connection_at(at.connections, 2 * number + 1)
        pixels, chunks, size = (y1 - y0) * layer.width, layer.outputs // lanes, lanes * FLOAT_BYTES
        of_lanes, sums = sums, sums + LANES[0] * FLOAT_BYTES
        spikes, through = 0, skip.kind == IDENTITY
        # One call in a loop: two calls could be compiled twice, for True and for False.
        for i in range(1 if through or skip.kernel == 0 else 2):
            add_connection(
                connection_at(at.connections, 2 * number + i), y0, y1, layer, i == 0, at, sums, shorts
            )
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
        put_float(totals, 1, drain_sum(lanes, of_lanes))

    return advance


_advance_64, _advance_32, _advance_16 = map(_advance_of, LANES)


@inlined
def advance(number, layer, y0, y1, neuron, at, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance the rows y0..y1 − 1 of a layer by a step.

    ``at``: the `layout.Addresses`. ``sums``, ``shorts``: addresses of a thread's scratch memory, float32 [LANES[0] +
    plan.scratch] and int16 [plan.scratch]; shorts and the first LANES[0] sums are zero before and after.
    ``some_64``: None if no layer has so many lanes; that code is then not compiled.
    """
    if some_64 is not None:  # noqa: SIM102 (numba leaves a branch out only if it depends on nothing but a None)
        if layer.lanes == 64:
            _advance_64(number, layer, y0, y1, neuron, at, sums, shorts)
    if some_32 is not None:  # noqa: SIM102
        if layer.lanes == 32:
            _advance_32(number, layer, y0, y1, neuron, at, sums, shorts)
    if some_16 is not None:  # noqa: SIM102
        if layer.lanes == 16:
            _advance_16(number, layer, y0, y1, neuron, at, sums, shorts)
