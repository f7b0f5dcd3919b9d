"""One step of an STS-ResNet whose time grows with its spikes, by any number of threads. Not here: layers.py."""

from __future__ import annotations

from numba import float32, types

from livesnn.infer.spikes.bands import await_all, await_read, bands_of, claim, deal, finish
from livesnn.infer.spikes.kept import inner, outer, within
from livesnn.infer.spikes.lanes import FLOAT_BYTES, add_floats, marked_bytes, rows_of
from livesnn.infer.spikes.layers import advance, begin_row, end_row
from livesnn.infer.spikes.layout import (
    AFTER,
    BAND,
    BEFORE,
    CALLED,
    EPOCH,
    FRAME,
    GAP,
    LISTED,
    SIXTEEN,
    TOTALS,
    Places,
)
from livesnn.infer.spikes.words import (
    begin_at,
    count_at,
    leave_at,
    lowest,
    put_begin,
    put_count,
    put_spike,
    seen_at,
    spike_at,
)

COUNTS_AT_ONCE = 32
"""Counts of a row that are looked at together."""


@inner
def _list_counts(layer, y, frame, most, at):  # type: ignore[no-untyped-def]
    """List a row's counts that aren't zero, at most ``most`` each, by their places in the row [width, channels].

    Only where the row begins and ends is written: nobody asks which are a pixel's.
    """
    count, begin = layer.lists + y * layer.row, layer.begin + (y + layer.pad) * layer.across
    put_begin(at.begins, begin, count)
    whole = layer.width // COUNTS_AT_ONCE * COUNTS_AT_ONCE
    for channel in range(layer.outputs):
        row = frame + (channel * layer.height + y) * layer.width
        for first in range(0, whole, COUNTS_AT_ONCE):
            bits = marked_bytes(COUNTS_AT_ONCE, row + first)
            while bits:
                x = first + lowest(bits)
                put_spike(at.lists, count, x * layer.outputs + channel)
                put_count(at.counts, count, min(count_at(row, x), most))
                bits &= bits - types.uint64(1)
                count += 1
        for x in range(whole, layer.width):
            value = count_at(row, x)
            put_spike(at.lists, count, x * layer.outputs + channel)
            put_count(at.counts, count, min(value, most))
            count += value != 0
    put_begin(at.begins, begin + layer.pad + layer.width, count)


@inner
def _pool(read, pooled, y, at):  # type: ignore[no-untyped-def]
    """List what lies under each window of a row, a channel as often as it spikes there."""
    count = pooled.lists + y * pooled.row
    begin = begin_row(pooled, y, count, at)
    for x in range(pooled.width):
        for ky in range(read.kernel):
            row = read.begin + (y * read.stride + ky + read.offset) * read.across
            left = row + x * read.stride + read.offset
            for i in range(begin_at(at.begins, left), begin_at(at.begins, left + read.kernel)):
                put_spike(at.lists, count, spike_at(at.lists, i))
                count += 1
        put_begin(at.begins, begin + x + 1, count)
    end_row(pooled, begin, count, at)


@inner
def _read_out(layer, tap, y0, y1, size, at):  # type: ignore[no-untyped-def]
    """Add to the currents [size] of a band what its spikes reach through the classifier's pools."""
    currents = at.currents + (tap.currents + y0 // BAND * (size + GAP)) * FLOAT_BYTES
    for y in range(y0, min(y1, tap.rows * tap.side)):
        for x in range(tap.columns * tap.side):
            pixel = layer.begin + (y + layer.pad) * layer.across + x + layer.pad
            first, last = begin_at(at.begins, pixel), begin_at(at.begins, pixel + 1)
            pooled = y // tap.side * tap.columns + x // tap.side
            for chunk in range(size // 16):
                place = (chunk * tap.rows * tap.columns + pooled) * tap.inputs * 16
                rows = at.weights + (tap.weights + place) * FLOAT_BYTES
                held = currents + chunk * 16 * FLOAT_BYTES
                for i in range(first, last):
                    add_floats(16, held, rows_of(1, SIXTEEN, rows, at.lists, i), 0)


@within
def _do_band(number, band, plan, rule, at, frame, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """List a band's counts, or what a pool sees of it, or advance its neurons, and the read-out by their spikes."""
    layer, (most, alpha, threshold, resets, _) = plan.layers[number], rule
    y0, y1 = band * BAND, min((band + 1) * BAND, layer.height)
    read = plan.reads[number, 0]
    if read.kernel == 0:
        for y in range(y0, y1):
            _list_counts(layer, y, frame, most, at)
    elif read.kind == LISTED:
        for y in range(y0, y1):
            _pool(read, layer, y, at)
    else:
        neuron = (alpha, threshold, resets)
        advance(
            layer,
            plan.reads[number],
            y0,
            y1,
            neuron,
            at,
            sums,
            shorts,
            some_64,
            some_32,
            some_16,
        )
        for tap in plan.taps:
            if tap.layer == number:
                _read_out(layer, tap, y0, y1, plan.bias.size, at)


@within
def _take_part(epoch, thread, shared, plan, rule, held_sums, held_shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by the step on the board, together with whoever else does."""
    board, tickets, finished = shared
    frame = board[FRAME]
    at = Places(
        types.intp(plan.weights.ctypes.data),
        types.intp(plan.rounded.ctypes.data),
        types.intp(plan.lists.ctypes.data),
        types.intp(plan.counts.ctypes.data),
        types.intp(plan.begins.ctypes.data),
        types.intp(plan.targets.ctypes.data),
        types.intp(plan.marks.ctypes.data),
        types.intp(plan.totals.ctypes.data),
        types.intp(plan.currents.ctypes.data),
        board[BEFORE],
        board[AFTER],
    )
    sums, shorts = types.intp(held_sums.ctypes.data), types.intp(held_shorts.ctypes.data)
    for number in range(len(plan.layers)):
        bands = bands_of(plan.layers[number])
        band = claim(tickets, number, bands, epoch, thread)
        while band >= 0:
            if number:
                await_read(number, band, plan, finished, epoch)
            _do_band(number, band, plan, rule, at, frame, sums, shorts, some_64, some_32, some_16)
            finish(finished, number, band, epoch)
            band = claim(tickets, number, bands, epoch, thread)


@inner
def _sum_up(plan, rule, before, written):  # type: ignore[no-untyped-def]
    """Advance the read-out by what the bands gave it; return the step's synaptic operations; see `lead`."""
    (after, output, both), (_, alpha, threshold, resets, fires) = written, rule
    shares, means = both[0], both[1]
    sums, hidden, synops = plan.bias.copy(), 0, 0.0
    for band in range(0, plan.currents.size, sums.size + GAP):
        for k in range(sums.size):
            sums[k] += plan.currents[band + k]
    for number in range(len(plan.layers)):
        layer, spikes, total = plan.layers[number], float32(0), float32(0)
        if layer.lanes == 0:
            continue
        for band in range(layer.totals, layer.totals + bands_of(layer) * TOTALS, TOTALS):
            spikes += plan.totals[band]
            total += plan.totals[band + 1]
        neurons = layer.height * layer.width * layer.outputs
        shares[hidden], means[hidden] = spikes / neurons, total / neurons
        synops += spikes * plan.reach[number]
        hidden += 1
    shares[hidden] = means[hidden] = 0
    for k in range(output.size):
        old = before[before.size - output.size + k]
        new = sums[k] + alpha * (float32(0) if fires and resets and old >= threshold else old)
        after[after.size - output.size + k] = new
        output[k] = float32(new >= threshold) if fires else new
        shares[hidden] += float32(new >= threshold) / output.size
        means[hidden] += new / output.size
    return synops


@outer
def lead(shared, plan, rule, alone, frame, before, written, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by one frame; return its synaptic operations (`synops.synops`).

    Parameters
    ----------
    shared
        What tells other threads, in `serve`, of it: the board, int64 [16]; int64 [n, threads, TICKET], the bands
        of each layer that each has begun; int64 [n, bands, TICKET], the last step that each was finished in.
    plan
        A `plan.Plan`, whose lists, marks, totals and currents are written over.
    rule
        (largest count, alpha, threshold, resets, whether the read-out fires).
    alone
        Whether other threads stay out of it.
    frame
        Address of uint8 [C, H, W]: for an array that may not be written to, all of this would be compiled again.
    before
        float32 [·], all membranes.
    written
        Three arrays: float32 [·], all membranes after; float32 [K], the output; float32 [2, layers of neurons], of
        each the share that spiked, and its mean membrane.
    sums, shorts
        What `layers.advance` works on, one thread's own.
    some_64, some_32, some_16
        None where no layer has so many lanes; anything else where some have.
    """
    board, tickets, finished = shared
    epoch = board[EPOCH] + 1
    deal(tickets, plan, epoch)
    plan.currents[:] = 0
    board[FRAME], board[BEFORE], board[AFTER] = frame, before.ctypes.data, written[0].ctypes.data
    board[EPOCH] = epoch
    if not alone:
        leave_at(board.ctypes.data + CALLED * 8, epoch)
    # A plain 0 is a type of its own: whatever takes it is compiled once more.
    _take_part(epoch, types.int64(0), shared, plan, rule, sums, shorts, some_64, some_32, some_16)
    await_all(plan, finished, epoch)
    return _sum_up(plan, rule, before, written)


@outer
def serve(shared, plan, rule, sums, shorts, some_64, some_32, some_16, thread, epoch, patience):  # type: ignore[no-untyped-def]
    """Take part in steps after ``epoch`` that others are called to, until none came for so many looks.

    Return the last one.
    """
    board, looks = shared[0], 0
    while looks < patience:
        newest = seen_at(board.ctypes.data + CALLED * 8)
        if newest == epoch:
            looks += 1
            continue
        epoch, looks = newest, 0
        _take_part(epoch, thread, shared, plan, rule, sums, shorts, some_64, some_32, some_16)
    return epoch
