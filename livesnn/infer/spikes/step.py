"""One step of a network, whose time grows with its spikes.

A step of a band of a layer sums up its connections, fires its neurons, and lists their spikes. The neurons are those
of `livesnn.snn.lif`: U[t] = α · (1 − O[t−1]) · U[t−1] + current, O[t] = [U[t] ≥ T].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float32, types

from livesnn.infer.spikes import convolution, plan
from livesnn.infer.spikes import intrinsics as llvm
from livesnn.infer.spikes.intrinsics import (
    FLOAT_BYTES,
    WORD,
    compiled,
    entry_point,
    inlined,
    instruction,
    specialized,
)
from livesnn.infer.spikes.plan import addresses_at, connection_at, feature_map_at, tap_at


def _advanced(builder: Any, old: Any, total: Any, neuron: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Return membranes total + α · (1 − O) · old with O = [old ≥ T], and a bit for each neuron that spikes."""
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
    llvm.LITERAL,
    types.int64,
    types.intp,
    _PAIR,
    types.intp,
    types.intp,
    types.UniTuple(types.int64, 2),
    _NEURON,
)
def fire_row(builder, lanes, width, sums, membranes, marks, totals, steps, neuron):  # type: ignore[no-untyped-def]
    """Advance a row of ``width`` neurons by a step.

    ``sums``: address of their input currents, float32 [width, lanes]. ``membranes``: addresses of those before and
    after. ``marks``, ``totals``: addresses of a word a pixel to write, and of sums of membranes [lanes] to add to.
    ``steps``: bytes from pixel to pixel, of membranes and of marks. ``neuron``: alpha, threshold, resets.
    """
    before, after, step, mark_step = (builder.extract_value(two, i) for two in (membranes, steps) for i in (0, 1))
    alpha, threshold, resets = (builder.extract_value(neuron, i) for i in range(3))
    rule = llvm.splat(builder, alpha, lanes), llvm.splat(builder, threshold, lanes), resets
    firsts = [before, after, marks, sums]
    all_steps = [step, step, mark_step, ir.Constant(WORD, lanes * FLOAT_BYTES)]
    so_far, entry = llvm.vector(builder, totals, lanes), builder.block
    pixel, end = builder.append_basic_block("pixel"), builder.append_basic_block("end")
    builder.branch(pixel)
    builder.position_at_end(pixel)
    phis = [builder.phi(kind) for kind in (WORD, so_far.type, *[WORD] * len(firsts))]
    left, total, *places = phis
    before, after, marks, sums = places
    new, bits = _advanced(builder, llvm.vector(builder, before, lanes), llvm.vector(builder, sums, lanes), rule)
    llvm.vector(builder, after, lanes, new)
    builder.store(bits, builder.inttoptr(marks, WORD.as_pointer()))
    following = [builder.sub(left, ir.Constant(WORD, 1)), builder.fadd(total, new)]
    following += [builder.add(place, step) for place, step in zip(places, all_steps, strict=True)]
    for phi, first, after_this in zip(phis, (width, so_far, *firsts), following, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(after_this, pixel)
    builder.cbranch(builder.icmp_signed(">", following[0], ir.Constant(WORD, 0)), pixel, end)
    builder.position_at_end(end)
    llvm.vector(builder, totals, lanes, following[1])


@compiled
def begin_row(layer, y, count, at):  # type: ignore[no-untyped-def]
    """Let the lists of a row's left border and first pixel begin at ``count``; return the first pixel's index."""
    first = layer.begin + (y + layer.pad) * layer.across
    for i in range(layer.pad + 1):
        llvm.put_begin(at.begins, first + i, count)
    return first + layer.pad


@compiled
def end_row(layer, first, count, at):  # type: ignore[no-untyped-def]
    """Let the lists of a row's right border begin and end at ``count``."""
    for i in range(layer.width + 1, layer.width + layer.pad + 1):
        llvm.put_begin(at.begins, first + i, count)


AT_ONCE = 4
"""Spikes that are listed at once, however many there are. There is room, as no layer has fewer lanes."""


@compiled
def _list_spikes(lists, count, first, bits):  # type: ignore[no-untyped-def]
    """Append the channels whose bits are set, from ``first`` on, to ``count`` others; return the new count.

    Four are written even for fewer bits, and overwritten later: a mispredicted branch takes longer than four writes.
    """
    total, at_once = count + llvm.popcount(bits), count
    while True:
        for _ in range(AT_ONCE):
            llvm.put_spike(lists, at_once, first + llvm.trailing_zeros(bits))
            at_once += 1
            bits &= bits - types.uint64(1)
        if not bits:
            return total


def _convolution(lanes: int) -> Callable[..., None]:
    add_counts, add_rounded = convolution.frame_convolution(lanes), convolution.int8_convolution(lanes)
    add_weighted = convolution.float32_convolution(lanes)

    @specialized(lanes)
    def add_connection(read, y0, y1, layer, first, at, sums, shorts):  # type: ignore[no-untyped-def]
        """Add a convolution to the sums [chunk, pixel, lanes] of a band; the first one begins with the bias."""
        pixels = (y1 - y0) * layer.width
        step = read.rows * lanes
        for chunk in range(layer.outputs // lanes):
            to = sums + chunk * pixels * lanes * FLOAT_BYTES
            bias = at.weights + (layer.bias + chunk * lanes) * FLOAT_BYTES
            if read.kind == plan.INT8 or read.kind == plan.INT8_POOLED:
                weights = at.rounded + read.weights + chunk * step
                scales = at.weights + (read.scales + chunk * lanes) * FLOAT_BYTES
                onto = bias if first else types.intp(0)
                add_rounded(read, y0, y1, layer.width, weights, scales, onto, at, to, shorts)
                continue
            weights = at.weights + (read.weights + chunk * step) * FLOAT_BYTES
            if first:
                for pixel in range(pixels):
                    llvm.copy(lanes, bias, to + pixel * lanes * FLOAT_BYTES)
            if read.kind == plan.COUNTS:
                add_counts(read, y0, y1, layer.width, weights, at, to)
            else:
                add_weighted(read, y0, y1, layer.width, weights, at, to)

    return add_connection


def _advance_of(lanes: int) -> Callable[..., None]:
    add_connection = _convolution(lanes)

    @specialized(lanes)
    def add_through(read, y, x, chunk, chunks, at, sums):  # type: ignore[no-untyped-def]
        """Add an IDENTITY: one number to the sum of each channel, for each of its spikes under the pixel's window."""
        gain = llvm.float_at(at.weights + read.weights * FLOAT_BYTES)
        row = (y * read.stride + read.offset) * read.across + x * read.stride + read.offset
        for _ in range(read.kernel):
            for place in range(row, row + read.kernel):
                marks = llvm.marks_at(at.marks, read.begin + place * chunks + chunk)
                llvm.add_marked(lanes, sums, marks, gain)
            row += read.across

    @specialized(lanes)
    def advance(number, layer, y0, y1, neuron, at, sums, shorts):  # type: ignore[no-untyped-def]
        skip = connection_at(at.connections, 2 * number + 1)
        pixels, chunks, size = (y1 - y0) * layer.width, layer.outputs // lanes, lanes * FLOAT_BYTES
        of_lanes, sums = sums, sums + plan.LANES[0] * FLOAT_BYTES
        spikes, through = 0, skip.kind == plan.IDENTITY
        # One call in a loop: two calls could be compiled twice, for True and for False.
        for i in range(1 if through or skip.kernel == 0 else 2):
            add_connection(connection_at(at.connections, 2 * number + i), y0, y1, layer, i == 0, at, sums, shorts)
        for y in range(y0, y1):
            marks = layer.marks + ((y + layer.pad) * layer.across + layer.pad) * chunks
            for chunk in range(chunks):
                row = sums + (chunk * pixels + (y - y0) * layer.width) * size
                if through:
                    for x in range(layer.width):
                        add_through(skip, y, x, chunk, chunks, at, row + x * size)
                place = layer.membranes * FLOAT_BYTES + (y * layer.width * chunks + chunk) * size
                both = at.before + place, at.after + place
                row_marks = at.marks + (marks + chunk) * plan.MARK_BYTES
                steps = chunks * size, chunks * plan.MARK_BYTES
                fire_row(lanes, layer.width, row, both, row_marks, of_lanes, steps, neuron)
            count = layer.lists + y * layer.row
            begin = begin_row(layer, y, count, at)
            for x in range(layer.width):
                for chunk in range(chunks):
                    bits = types.uint64(llvm.marks_at(at.marks, marks + x * chunks + chunk))
                    count = _list_spikes(at.lists, count, chunk * lanes, bits)
                llvm.put_begin(at.begins, begin + x + 1, count)
            end_row(layer, begin, count, at)
            spikes += count - layer.lists - y * layer.row
        totals = at.totals + number * plan.TOTALS * FLOAT_BYTES
        llvm.put_float(totals, 0, llvm.float_at(totals) + float32(spikes))
        llvm.put_float(totals, 1, llvm.float_at(totals + FLOAT_BYTES) + llvm.drain_sum(lanes, of_lanes))

    return advance


_advance_64, _advance_16 = map(_advance_of, plan.LANES)


@inlined
def advance(number, layer, y0, y1, neuron, at, sums, shorts, layers_64, layers_16):  # type: ignore[no-untyped-def]
    """Advance the rows y0..y1 − 1 of a layer by a step.

    ``at``: the `plan.Addresses`. ``sums``, ``shorts``: addresses of scratch memory, float32 [LANES[0] + plan.scratch]
    and int16 [plan.scratch]; shorts and the first LANES[0] sums are zero before and after.
    ``layers_64``, …: see `run_step`.
    """
    if layers_64 is not None:  # noqa: SIM102 (numba leaves a branch out only if it depends on nothing but a None)
        if layer.lanes == 64:
            _advance_64(number, layer, y0, y1, neuron, at, sums, shorts)
    if layers_16 is not None:  # noqa: SIM102
        if layer.lanes == 16:
            _advance_16(number, layer, y0, y1, neuron, at, sums, shorts)


@compiled
def _pool(read, pooled, y, at):  # type: ignore[no-untyped-def]
    """Advance a row of an average pool: join the lists under each window; a channel is listed once a spike."""
    count = pooled.lists + y * pooled.row
    begin = begin_row(pooled, y, count, at)
    for x in range(pooled.width):
        for ky in range(read.kernel):
            row = read.begin + (y * read.stride + ky + read.offset) * read.across
            left = row + x * read.stride + read.offset
            for i in range(llvm.begin_at(at.begins, left), llvm.begin_at(at.begins, left + read.kernel)):
                llvm.put_spike(at.lists, count, llvm.spike_at(at.lists, i))
                count += 1
        llvm.put_begin(at.begins, begin + x + 1, count)
    end_row(pooled, begin, count, at)


@compiled
def _read_out(layer, tap, y0, y1, at):  # type: ignore[no-untyped-def]
    """Add to the currents the weights of the read-out that a band's spikes reach through the read-out's pools."""
    for y in range(y0, min(y1, tap.rows * tap.side)):
        for x in range(tap.columns * tap.side):
            pixel = layer.begin + (y + layer.pad) * layer.across + x + layer.pad
            first, last = llvm.begin_at(at.begins, pixel), llvm.begin_at(at.begins, pixel + 1)
            pooled = y // tap.side * tap.columns + x // tap.side
            for chunk in range(at.classes // 16):
                place = (chunk * tap.rows * tap.columns + pooled) * tap.inputs * 16
                rows = at.weights + (tap.weights + place) * FLOAT_BYTES
                held = at.currents + chunk * 16 * FLOAT_BYTES
                for i in range(first, last):
                    llvm.add_floats(16, held, llvm.rows_of(1, plan.SIXTEEN, rows, at.lists, i), 0)


@inlined
def _finish_step(at, rule, before, after, output, both):  # type: ignore[no-untyped-def]
    """Advance the read-out by its currents, and write what `run_step` says."""
    alpha, threshold, resets, fires = rule
    shares, means = both[0], both[1]
    hidden = 0
    for number in range(at.depth):
        layer = feature_map_at(at.layers, number)
        if layer.lanes == 0:
            continue
        totals, neurons = at.totals + number * plan.TOTALS * FLOAT_BYTES, layer.height * layer.width * layer.outputs
        shares[hidden] = llvm.float_at(totals) / neurons
        means[hidden] = llvm.float_at(totals + FLOAT_BYTES) / neurons
        hidden += 1
    shares[hidden] = means[hidden] = 0
    for k in range(output.size):
        current = llvm.float_at(at.currents + k * FLOAT_BYTES)
        old = before[before.size - output.size + k]
        new = current + alpha * (float32(0) if fires and resets and old >= threshold else old)
        after[after.size - output.size + k] = new
        output[k] = float32(new >= threshold) if fires else new
        shares[hidden] += float32(new >= threshold) / output.size
        means[hidden] += new / output.size


@entry_point
def run_step(addresses, rule, before, written, sums, shorts, layers_64, layers_16):  # type: ignore[no-untyped-def]
    """Advance a network by one frame.

    ``addresses``: where the `plan.Addresses` lie, those of this step's arrays among them. ``rule``: alpha of the
    read-out, threshold, whether spikes reset, whether the read-out fires. ``before``: float32 [·], all membranes.
    ``written``: arrays for the membranes after the step, the output [K], and [2, layers of neurons], the share of
    each layer that spiked and its mean membrane. ``sums``, ``shorts``: see `advance`. ``layers_64``, …: layers with
    so many lanes; None if there are none, so that no code is compiled for them.
    """
    after, output, both = written
    at = addresses_at(addresses, 0)
    for i in range(at.depth * plan.TOTALS):
        llvm.put_float(at.totals, i, float32(0))
    for i in range(at.classes):
        llvm.put_float(at.currents, i, llvm.float_at(at.bias + i * FLOAT_BYTES))
    _, threshold, resets, _ = rule
    for number in range(1, at.depth):
        layer, read = feature_map_at(at.layers, number), connection_at(at.connections, 2 * number)
        neuron = (llvm.float_at(at.alphas + number * FLOAT_BYTES), threshold, resets)
        for y0 in range(0, layer.height, layer.band):
            y1 = min(y0 + layer.band, layer.height)
            if read.kind == plan.POOL_LISTS:
                for y in range(y0, y1):
                    _pool(read, layer, y, at)
                continue
            advance(number, layer, y0, y1, neuron, at, sums, shorts, layers_64, layers_16)
            for i in range(at.taps_in_all):
                tap = tap_at(at.taps, i)
                if tap.layer == number:
                    _read_out(layer, tap, y0, y1, at)
    _finish_step(at, rule, before, after, output, both)
