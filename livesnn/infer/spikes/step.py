"""Which band of a layer a thread advances, and when: numbers that the threads of a step share.

Nobody is waited for who hasn't begun a band, and nobody begins one of a step that is over: what a step works on is
the caller's again. Not here: how a band is advanced (layers.py).
"""

from __future__ import annotations

from numba import float32, types

from livesnn.infer.spikes.intrinsics import (
    DOUBLE_BYTES,
    FLOAT_BYTES,
    add_floats,
    begin_at,
    double_at,
    float_at,
    inner,
    leave_at,
    outer,
    put_begin,
    put_float,
    put_spike,
    rows_of,
    seen_at,
    spike_at,
    swapped,
    within,
)
from livesnn.infer.spikes.layer import advance, begin_row, end_row
from livesnn.infer.spikes.layout import (
    AFTER,
    BANDS,
    BEFORE,
    CALLED,
    EPOCH,
    FRAME,
    GAP,
    LISTED,
    PLACES,
    SIXTEEN,
    TICKET,
    TOTALS,
    map_at,
    places_at,
    read_at,
    tap_at,
)


@within
def _word(words, of_layer, number, i):  # type: ignore[no-untyped-def]
    """Return the address of a layer's i-th word, of so many a layer."""
    return words + (number * of_layer + i) * TICKET * 8


@within
def bands_of(layer):  # type: ignore[no-untyped-def]
    """Return how many bands a layer has."""
    return (layer.height + layer.band - 1) // layer.band


@inner
def deal(at, epoch):  # type: ignore[no-untyped-def]
    """Give each thread its bands of each layer."""
    for number in range(1, at.depth):
        bands = bands_of(map_at(at.layers, number))
        for thread in range(at.threads):
            begun = epoch * BANDS + bands * thread // at.threads
            leave_at(_word(at.tickets, at.threads, number, thread), begun)


@inner
def claim(tickets, threads, number, bands, epoch, thread):  # type: ignore[no-untyped-def]
    """Return a band of a layer that nobody has begun in a step, a thread's own ones first; -1: there is none.

    A thread's own ones are always the same, since their membranes are near it.
    """
    for other in range(threads):
        owner = (thread + other) % threads
        word, last = _word(tickets, threads, number, owner), bands * (owner + 1) // threads
        while True:
            begun = seen_at(word)
            if begun // BANDS != epoch or begun % BANDS >= last:
                break
            if swapped(word, begun, begun + 1):
                return begun % BANDS
    return -1


@within
def _await(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Wait for a band."""
    word = _word(at.finished, at.bands, number, band)
    while seen_at(word) != epoch:
        pass


@within
def finish(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Say that a band is finished."""
    leave_at(_word(at.finished, at.bands, number, band), epoch)


@within
def await_read(number, band, at, epoch):  # type: ignore[no-untyped-def]
    """Wait for the bands of the layer before that a band reads: those of a skip were read for these."""
    read, rows = read_at(at.reads, 2 * number), map_at(at.layers, number).band
    source = map_at(at.layers, number - 1)
    first = band * rows * read.stride - read.kernel // 2
    last = min(first + (rows - 1) * read.stride + read.kernel, source.height)
    for before in range(max(first, 0) // source.band, (last + source.band - 1) // source.band):
        _await(at, number - 1, before, epoch)


@inner
def await_all(at, epoch):  # type: ignore[no-untyped-def]
    """Wait for all bands of all layers."""
    for number in range(1, at.depth):
        for band in range(bands_of(map_at(at.layers, number))):
            _await(at, number, band, epoch)


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
def _read_out(layer, tap, y0, y1, at):  # type: ignore[no-untyped-def]
    """Add to the currents of a band what its spikes reach through the classifier's pools."""
    currents = at.currents + (tap.currents + y0 // layer.band * (at.classes + GAP)) * FLOAT_BYTES
    for y in range(y0, min(y1, tap.rows * tap.side)):
        for x in range(tap.columns * tap.side):
            pixel = layer.begin + (y + layer.pad) * layer.across + x + layer.pad
            first, last = begin_at(at.begins, pixel), begin_at(at.begins, pixel + 1)
            pooled = y // tap.side * tap.columns + x // tap.side
            for chunk in range(at.classes // 16):
                place = (chunk * tap.rows * tap.columns + pooled) * tap.inputs * 16
                rows = at.weights + (tap.weights + place) * FLOAT_BYTES
                held = currents + chunk * 16 * FLOAT_BYTES
                for i in range(first, last):
                    add_floats(16, held, rows_of(1, SIXTEEN, rows, at.lists, i), 0)


@within
def _do_band(number, band, rule, at, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """List what a pool sees of a band, or advance its neurons, and the read-out by their spikes."""
    layer, read = map_at(at.layers, number), read_at(at.reads, 2 * number)
    y0, y1 = band * layer.band, min((band + 1) * layer.band, layer.height)
    if read.kind == LISTED:
        for y in range(y0, y1):
            _pool(read, layer, y, at)
    else:
        alpha, threshold, resets, _ = rule
        neuron = (alpha, threshold, resets)
        advance(number, layer, y0, y1, neuron, at, sums, shorts, some_64, some_32, some_16)
        for i in range(at.taps_in_all):
            tap = tap_at(at.taps, i)
            if tap.layer == number:
                _read_out(layer, tap, y0, y1, at)


@within
def _take_part(epoch, thread, board, rule, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by the step on the board, together with whoever else does."""
    at = places_at(board + PLACES * 8, 0)
    for number in range(1, at.depth):
        bands = bands_of(map_at(at.layers, number))
        band = claim(at.tickets, at.threads, number, bands, epoch, thread)
        while band >= 0:
            if number > 1:
                await_read(number, band, at, epoch)
            _do_band(number, band, rule, at, sums, shorts, some_64, some_32, some_16)
            finish(at, number, band, epoch)
            band = claim(at.tickets, at.threads, number, bands, epoch, thread)


@within
def _sum_up(at, rule, before, after, output, both):  # type: ignore[no-untyped-def]
    """Advance the read-out by what the bands gave it; return the step's synaptic operations; see `lead`."""
    alpha, threshold, resets, fires = rule
    shares, means = both[0], both[1]
    hidden, synops = 0, 0.0
    for number in range(at.depth):
        layer, spikes, total = map_at(at.layers, number), float32(0), float32(0)
        if layer.lanes == 0:
            continue
        totals = at.totals + layer.totals * FLOAT_BYTES
        for band in range(bands_of(layer)):
            spikes += float_at(totals + band * TOTALS * FLOAT_BYTES)
            total += float_at(totals + (band * TOTALS + 1) * FLOAT_BYTES)
        neurons = layer.height * layer.width * layer.outputs
        shares[hidden], means[hidden] = spikes / neurons, total / neurons
        synops += spikes * double_at(at.reach + number * DOUBLE_BYTES)
        hidden += 1
    shares[hidden] = means[hidden] = 0
    for k in range(output.size):
        current = float_at(at.bias + k * FLOAT_BYTES)
        for band in range(0, at.currents_in_all, at.classes + GAP):
            current += float_at(at.currents + (band + k) * FLOAT_BYTES)
        old = before[before.size - output.size + k]
        new = current + alpha * (float32(0) if fires and resets and old >= threshold else old)
        after[after.size - output.size + k] = new
        output[k] = float32(new >= threshold) if fires else new
        shares[hidden] += float32(new >= threshold) / output.size
        means[hidden] += new / output.size
    return synops


@outer
def lead(board, rule, alone, frame, before, written, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by one frame; return its synaptic operations (`synops.synops`).

    Parameters
    ----------
    board
        Address of what tells other threads, in `serve`, of it: see `layout.PLACES`. What its places point into is
        written over.
    rule
        (alpha, threshold, resets, whether the read-out fires).
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
        Addresses of what `layers.advance` works on, one thread's own.
    some_64, some_32, some_16
        None where no layer has so many lanes; anything else where some have.
    """
    after, output, both = written
    epoch = seen_at(board + EPOCH * 8) + 1
    leave_at(board + FRAME * 8, frame)
    leave_at(board + BEFORE * 8, types.int64(before.ctypes.data))
    leave_at(board + AFTER * 8, types.int64(after.ctypes.data))
    at = places_at(board + PLACES * 8, 0)
    deal(at, epoch)
    for i in range(at.currents_in_all):
        put_float(at.currents, i, float32(0))
    leave_at(board + EPOCH * 8, epoch)
    if not alone:
        leave_at(board + CALLED * 8, epoch)
    # A plain 0 is a type of its own: whatever takes it is compiled once more.
    _take_part(epoch, types.int64(0), board, rule, sums, shorts, some_64, some_32, some_16)
    await_all(at, epoch)
    return _sum_up(at, rule, before, after, output, both)


@outer
def serve(board, rule, sums, shorts, some_64, some_32, some_16, thread, epoch, patience):  # type: ignore[no-untyped-def]
    """Take part in steps after ``epoch`` that others are called to, until none came for so many looks.

    Return the last one.
    """
    looks = 0
    while looks < patience:
        newest = seen_at(board + CALLED * 8)
        if newest == epoch:
            looks += 1
            continue
        epoch, looks = newest, 0
        _take_part(epoch, thread, board, rule, sums, shorts, some_64, some_32, some_16)
    return epoch
