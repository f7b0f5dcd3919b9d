"""One step of a network, by any number of threads, whose time grows with its spikes.

A step of a band of a layer sums up its connections, fires its neurons, and lists their spikes. The neurons are those
of `livesnn.snn.lif`: U[t] = α · (1 − O[t−1]) · U[t−1] + current, O[t] = [U[t] ≥ T].

Threads share a step: each claims bands of a layer, and waits only for the bands that its own read. No thread waits
for one that hasn't begun a band, and none begins a band of a step that is over: by then the arrays are the caller's
again.
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
        if read.kind == plan.COUNTS:
            convolution.mark_counts(read, y0, y1, at, shorts)
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
            if read.kind == plan.COUNTS:
                add_counts(read, y0, y1, layer.width, weights, bias, at, to, shorts)
                continue
            if first:
                for pixel in range(pixels):
                    llvm.copy(lanes, bias, to + pixel * lanes * FLOAT_BYTES)
            add_weighted(read, y0, y1, layer.width, weights, at, to)
        if read.kind == plan.COUNTS:
            convolution.clear_marks(read, shorts)

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
        totals = at.totals + (layer.totals + y0 // layer.band * plan.TOTALS) * FLOAT_BYTES
        llvm.put_float(totals, 0, spikes)
        llvm.put_float(totals, 1, llvm.drain_sum(lanes, of_lanes))

    return advance


_advance_64, _advance_32, _advance_16 = map(_advance_of, plan.LANES)


@inlined
def advance(number, layer, y0, y1, neuron, at, sums, shorts, layers_64, layers_32, layers_16):  # type: ignore[no-untyped-def]
    """Advance the rows y0..y1 − 1 of a layer by a step.

    ``at``: the `plan.Addresses`. ``sums``, ``shorts``: addresses of a thread's scratch memory, float32 [LANES[0] +
    plan.scratch] and int16 [plan.scratch]; shorts and the first LANES[0] sums are zero before and after.
    ``layers_64``, …: see `run_step`.
    """
    if layers_64 is not None:  # noqa: SIM102 (numba leaves a branch out only if it depends on nothing but a None)
        if layer.lanes == 64:
            _advance_64(number, layer, y0, y1, neuron, at, sums, shorts)
    if layers_32 is not None:  # noqa: SIM102
        if layer.lanes == 32:
            _advance_32(number, layer, y0, y1, neuron, at, sums, shorts)
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
    """Add to a band's currents the weights of the read-out that its spikes reach through the read-out's pools."""
    currents = at.currents + (tap.currents + y0 // layer.band * (at.classes + plan.GAP)) * FLOAT_BYTES
    for y in range(y0, min(y1, tap.rows * tap.side)):
        for x in range(tap.columns * tap.side):
            pixel = layer.begin + (y + layer.pad) * layer.across + x + layer.pad
            first, last = llvm.begin_at(at.begins, pixel), llvm.begin_at(at.begins, pixel + 1)
            pooled = y // tap.side * tap.columns + x // tap.side
            for chunk in range(at.classes // 16):
                place = (chunk * tap.rows * tap.columns + pooled) * tap.inputs * 16
                rows = at.weights + (tap.weights + place) * FLOAT_BYTES
                held = currents + chunk * 16 * FLOAT_BYTES
                for i in range(first, last):
                    llvm.add_floats(16, held, llvm.rows_of(1, plan.SIXTEEN, rows, at.lists, i), 0)


@inlined
def _word(words, of_layer, number, i):  # type: ignore[no-untyped-def]
    """Return the address of the i-th of the ``of_layer`` words of a layer."""
    return words + (number * of_layer + i) * plan.TICKET_WORDS * 8


@inlined
def _bands_of(layer):  # type: ignore[no-untyped-def]
    return (layer.height + layer.band - 1) // layer.band


@compiled
def _deal_bands(at, epoch):  # type: ignore[no-untyped-def]
    """Deal the bands of each layer out to the threads, in equal parts."""
    for number in range(1, at.depth):
        bands = _bands_of(feature_map_at(at.layers, number))
        for thread in range(at.threads):
            begun = epoch * plan.MAX_BANDS + bands * thread // at.threads
            llvm.store_release(_word(at.tickets, at.threads, number, thread), begun)


@compiled
def _claim_band(tickets, threads, number, bands, epoch, thread):  # type: ignore[no-untyped-def]
    """Return a band of a layer that no thread has begun in this step, or -1 if there is none.

    A thread takes its own bands first. They are the same in each step, as their membranes are in its cache.
    """
    for other in range(threads):
        owner = (thread + other) % threads
        word, last = _word(tickets, threads, number, owner), bands * (owner + 1) // threads
        while True:
            begun = llvm.load_acquire(word)
            if begun // plan.MAX_BANDS != epoch or begun % plan.MAX_BANDS >= last:
                break
            if llvm.compare_and_swap(word, begun, begun + 1):
                return begun % plan.MAX_BANDS
    return -1


@inlined
def _await(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Wait until a band is finished; return the looks at it."""
    word, looks = _word(at.finished, at.bands, number, band), 0
    while llvm.load_acquire(word) != epoch:
        looks += 1
    return looks


@inlined
def _finish_band(at, number, band, epoch):  # type: ignore[no-untyped-def]
    llvm.store_release(_word(at.finished, at.bands, number, band), epoch)


@inlined
def _await_input(number, band, at, epoch):  # type: ignore[no-untyped-def]
    """Wait for the bands of the layer before that a band reads, which end last; return the looks at them."""
    read, rows = connection_at(at.connections, 2 * number), feature_map_at(at.layers, number).band
    source = feature_map_at(at.layers, number - 1)
    first = band * rows * read.stride - read.kernel // 2
    last, looks = min(first + (rows - 1) * read.stride + read.kernel, source.height), 0
    for before in range(max(first, 0) // source.band, (last + source.band - 1) // source.band):
        looks += _await(at, number - 1, before, epoch)
    return looks


@compiled
def _await_all(at, epoch):  # type: ignore[no-untyped-def]
    """Wait for all bands of all layers; return the looks at them."""
    looks = 0
    for number in range(1, at.depth):
        for band in range(_bands_of(feature_map_at(at.layers, number))):
            looks += _await(at, number, band, epoch)
    return looks


@inlined
def _do_band(number, band, rule, at, sums, shorts, layers_64, layers_32, layers_16):  # type: ignore[no-untyped-def]
    """Advance a band of a pool, or of neurons and what the read-out gets from their spikes."""
    layer, read = feature_map_at(at.layers, number), connection_at(at.connections, 2 * number)
    y0, y1 = band * layer.band, min((band + 1) * layer.band, layer.height)
    if read.kind == plan.POOL_LISTS:
        for y in range(y0, y1):
            _pool(read, layer, y, at)
    else:
        _, threshold, resets, _ = rule
        neuron = (llvm.float_at(at.alphas + number * FLOAT_BYTES), threshold, resets)
        advance(number, layer, y0, y1, neuron, at, sums, shorts, layers_64, layers_32, layers_16)
        for i in range(at.taps_in_all):
            tap = tap_at(at.taps, i)
            if tap.layer == number:
                _read_out(layer, tap, y0, y1, at)


@inlined
def _take_part(epoch, thread, board, rule, sums, shorts, layers_64, layers_32, layers_16):  # type: ignore[no-untyped-def]
    """Advance a network by the step that is on the board, with other threads; return the looks at their bands."""
    at, looks = addresses_at(board + plan.ADDRESSES * 8, 0), 0
    for number in range(1, at.depth):
        bands = _bands_of(feature_map_at(at.layers, number))
        band = _claim_band(at.tickets, at.threads, number, bands, epoch, thread)
        while band >= 0:
            if number > 1:
                looks += _await_input(number, band, at, epoch)
            _do_band(number, band, rule, at, sums, shorts, layers_64, layers_32, layers_16)
            _finish_band(at, number, band, epoch)
            band = _claim_band(at.tickets, at.threads, number, bands, epoch, thread)
    return looks


@inlined
def _finish_step(at, rule, before, after, output, both):  # type: ignore[no-untyped-def]
    """Advance the read-out by the bands' currents, and write what `run_step` says."""
    alpha, threshold, resets, fires = rule
    shares, means = both[0], both[1]
    hidden = 0
    for number in range(at.depth):
        layer, spikes, total = feature_map_at(at.layers, number), float32(0), float32(0)
        if layer.lanes == 0:
            continue
        totals = at.totals + layer.totals * FLOAT_BYTES
        for band in range(_bands_of(layer)):
            spikes += llvm.float_at(totals + band * plan.TOTALS * FLOAT_BYTES)
            total += llvm.float_at(totals + (band * plan.TOTALS + 1) * FLOAT_BYTES)
        neurons = layer.height * layer.width * layer.outputs
        shares[hidden], means[hidden] = spikes / neurons, total / neurons
        hidden += 1
    shares[hidden] = means[hidden] = 0
    for k in range(output.size):
        current = llvm.float_at(at.bias + k * FLOAT_BYTES)
        for band in range(0, at.currents_in_all, at.classes + plan.GAP):
            current += llvm.float_at(at.currents + (band + k) * FLOAT_BYTES)
        old = before[before.size - output.size + k]
        new = current + alpha * (float32(0) if fires and resets and old >= threshold else old)
        after[after.size - output.size + k] = new
        output[k] = float32(new >= threshold) if fires else new
        shares[hidden] += float32(new >= threshold) / output.size
        means[hidden] += new / output.size


@entry_point
def run_step(board, rule, alone, frame, before, written, sums, shorts, layers_64, layers_32, layers_16):  # type: ignore[no-untyped-def]
    """Advance a network by one frame; return how often this thread looked whether another one had finished a band.

    A look takes as long as one of `help_steps`. ``board``: address on which helpers see the step (`plan.EPOCH`).
    ``rule``: alpha of the read-out, threshold, whether spikes reset, whether the read-out fires. ``alone``: without
    the helpers. ``frame``: address of uint8 [C, H, W]; for a read-only array all would be compiled a second time.
    ``before``: float32 [·], all membranes. ``written``: arrays for the membranes after the step, the output [K], and
    [2, layers of neurons], the share of each layer that spiked and its mean membrane. ``sums``, ``shorts``: see
    `advance`. ``layers_64``, …: layers with so many lanes; None if there are none, so that no code is compiled for
    them.
    """
    after, output, both = written
    epoch = llvm.load_acquire(board + plan.EPOCH * 8) + 1
    llvm.store_release(board + plan.FRAME * 8, frame)
    llvm.store_release(board + plan.BEFORE * 8, types.int64(before.ctypes.data))
    llvm.store_release(board + plan.AFTER * 8, types.int64(after.ctypes.data))
    at = addresses_at(board + plan.ADDRESSES * 8, 0)
    _deal_bands(at, epoch)
    for i in range(at.currents_in_all):
        llvm.put_float(at.currents, i, float32(0))
    llvm.store_release(board + plan.EPOCH * 8, epoch)
    if not alone:
        llvm.store_release(board + plan.CALLED * 8, epoch)
    # A literal 0 is a type of its own, for which everything would be compiled a second time.
    looks = _take_part(epoch, types.int64(0), board, rule, sums, shorts, layers_64, layers_32, layers_16)
    looks += _await_all(at, epoch)
    _finish_step(at, rule, before, after, output, both)
    return looks


@entry_point
def help_steps(board, rule, sums, shorts, layers_64, layers_32, layers_16, thread, epoch, patience):  # type: ignore[no-untyped-def]
    """Help with steps after ``epoch``; return the last one's number after ``patience`` looks without another."""
    looks = 0
    while looks < patience:
        newest = llvm.load_acquire(board + plan.CALLED * 8)
        if newest == epoch:
            looks += 1
            continue
        epoch, looks = newest, 0
        _take_part(epoch, thread, board, rule, sums, shorts, layers_64, layers_32, layers_16)
    return epoch
