"""One step of a network, by any number of threads, whose time grows with its spikes.

Threads claim bands of each layer in order, and wait only for the bands that theirs read. No thread waits for one that
hasn't begun a band, and none begins a band of a step that is over: by then the arrays are the caller's again.
"""

from __future__ import annotations

from numba import float32, types

from livesnn.infer.spikes.intrinsics import (
    DOUBLE_BYTES,
    FLOAT_BYTES,
    add_floats,
    begin_at,
    compare_and_swap,
    compiled,
    double_at,
    entry_point,
    float_at,
    inlined,
    load_acquire,
    put_begin,
    put_float,
    put_spike,
    rows_of,
    spike_at,
    store_release,
)
from livesnn.infer.spikes.layer import advance, begin_row, end_row
from livesnn.infer.spikes.layout import (
    ADDRESSES,
    AFTER,
    BEFORE,
    CALLED,
    EPOCH,
    FRAME,
    GAP,
    MAX_BANDS,
    POOL_LISTS,
    SIXTEEN,
    TICKET_WORDS,
    TOTALS,
    addresses_at,
    connection_at,
    feature_map_at,
    tap_at,
)


@inlined
def _word(words, of_layer, number, i):  # type: ignore[no-untyped-def]
    """Return the address of a layer's i-th word, where each layer has ``of_layer`` of them."""
    return words + (number * of_layer + i) * TICKET_WORDS * 8


@inlined
def bands_of(layer):  # type: ignore[no-untyped-def]
    """Return how many bands a layer has."""
    return (layer.height + layer.band - 1) // layer.band


@compiled
def deal_bands(at, epoch):  # type: ignore[no-untyped-def]
    """Deal the bands of each layer out to the threads, in equal parts."""
    for number in range(1, at.depth):
        bands = bands_of(feature_map_at(at.layers, number))
        for thread in range(at.threads):
            begun = epoch * MAX_BANDS + bands * thread // at.threads
            store_release(_word(at.tickets, at.threads, number, thread), begun)


@compiled
def claim_band(tickets, threads, number, bands, epoch, thread):  # type: ignore[no-untyped-def]
    """Return a band of a layer that no thread has begun in this step, or -1 if there is none.

    A thread takes its own bands first. They are the same in each step, as their membranes are in its cache.
    """
    for other in range(threads):
        owner = (thread + other) % threads
        word, last = _word(tickets, threads, number, owner), bands * (owner + 1) // threads
        while True:
            begun = load_acquire(word)
            if begun // MAX_BANDS != epoch or begun % MAX_BANDS >= last:
                break
            if compare_and_swap(word, begun, begun + 1):
                return begun % MAX_BANDS
    return -1


@inlined
def _await(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Wait until a band is finished."""
    word = _word(at.finished, at.bands, number, band)
    while load_acquire(word) != epoch:
        pass


@inlined
def finish_band(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Say that a band is finished."""
    store_release(_word(at.finished, at.bands, number, band), epoch)


@inlined
def await_input(number, band, at, epoch):  # type: ignore[no-untyped-def]
    """Wait for the bands of the layer before that a band reads. What its skip reads was finished before those."""
    read, rows = connection_at(at.connections, 2 * number), feature_map_at(at.layers, number).band
    source = feature_map_at(at.layers, number - 1)
    first = band * rows * read.stride - read.kernel // 2
    last = min(first + (rows - 1) * read.stride + read.kernel, source.height)
    for before in range(max(first, 0) // source.band, (last + source.band - 1) // source.band):
        _await(at, number - 1, before, epoch)


@compiled
def await_all(at, epoch):  # type: ignore[no-untyped-def]
    """Wait for all bands of all layers."""
    for number in range(1, at.depth):
        for band in range(bands_of(feature_map_at(at.layers, number))):
            _await(at, number, band, epoch)


@compiled
def _pool(read, pooled, y, at):  # type: ignore[no-untyped-def]
    """Advance a row of an average pool: join the lists under each window; a channel is listed once a spike."""
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


@compiled
def _read_out(layer, tap, y0, y1, at):  # type: ignore[no-untyped-def]
    """Add to a band's currents the weights of the classifier that its spikes reach through the classifier's pools."""
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


@inlined
def _do_band(number, band, rule, at, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a band of a pool, or of neurons and what the read-out gets from their spikes."""
    layer, read = feature_map_at(at.layers, number), connection_at(at.connections, 2 * number)
    y0, y1 = band * layer.band, min((band + 1) * layer.band, layer.height)
    if read.kind == POOL_LISTS:
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


@inlined
def _take_part(epoch, thread, board, rule, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by the step that is on the board, together with other threads."""
    at = addresses_at(board + ADDRESSES * 8, 0)
    for number in range(1, at.depth):
        bands = bands_of(feature_map_at(at.layers, number))
        band = claim_band(at.tickets, at.threads, number, bands, epoch, thread)
        while band >= 0:
            if number > 1:
                await_input(number, band, at, epoch)
            _do_band(number, band, rule, at, sums, shorts, some_64, some_32, some_16)
            finish_band(at, number, band, epoch)
            band = claim_band(at.tickets, at.threads, number, bands, epoch, thread)


@inlined
def _finish_step(at, rule, before, after, output, both):  # type: ignore[no-untyped-def]
    """Advance the read-out by the bands' currents; return the step's synaptic operations; see `run_step`."""
    alpha, threshold, resets, fires = rule
    shares, means = both[0], both[1]
    hidden, synops = 0, 0.0
    for number in range(at.depth):
        layer, spikes, total = feature_map_at(at.layers, number), float32(0), float32(0)
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


@entry_point
def run_step(board, rule, alone, frame, before, written, sums, shorts, some_64, some_32, some_16):  # type: ignore[no-untyped-def]
    """Advance a network by one frame; return its synaptic operations (`operations.synops`).

    Parameters
    ----------
    board
        Address of the board (`layout.EPOCH`), on which other threads, in `help_steps`, see the step. The arrays that
        its addresses point to are overwritten.
    rule
        (alpha, threshold, resets, whether the read-out fires).
    alone
        Whether the step does without the helpers.
    frame
        Address of uint8 [C, H, W]. For a read-only array everything would be compiled a second time.
    before
        float32 [·], all membranes.
    written
        Three arrays to write: float32 [·], all membranes after the step; float32 [K], the output; float32 [2, layers
        of neurons], the share of each layer that spiked and its mean membrane.
    sums, shorts
        Addresses of this thread's scratch memory, see `layer.advance`.
    some_64, some_32, some_16
        None if no layer has so many lanes, anything else if one has.
    """
    after, output, both = written
    epoch = load_acquire(board + EPOCH * 8) + 1
    store_release(board + FRAME * 8, frame)
    store_release(board + BEFORE * 8, types.int64(before.ctypes.data))
    store_release(board + AFTER * 8, types.int64(after.ctypes.data))
    at = addresses_at(board + ADDRESSES * 8, 0)
    deal_bands(at, epoch)
    for i in range(at.currents_in_all):
        put_float(at.currents, i, float32(0))
    store_release(board + EPOCH * 8, epoch)
    if not alone:
        store_release(board + CALLED * 8, epoch)
    # A literal 0 is a type of its own, for which everything would be compiled a second time.
    _take_part(epoch, types.int64(0), board, rule, sums, shorts, some_64, some_32, some_16)
    await_all(at, epoch)
    return _finish_step(at, rule, before, after, output, both)


@entry_point
def help_steps(board, rule, sums, shorts, some_64, some_32, some_16, thread, epoch, patience):  # type: ignore[no-untyped-def]
    """Help with the steps after ``epoch`` that helpers are called to; return the last one's number.

    It returns after ``patience`` looks at the board in a row without a new step.
    """
    looks = 0
    while looks < patience:
        newest = load_acquire(board + CALLED * 8)
        if newest == epoch:
            looks += 1
            continue
        epoch, looks = newest, 0
        _take_part(epoch, thread, board, rule, sums, shorts, some_64, some_32, some_16)
    return epoch
