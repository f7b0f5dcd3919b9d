"""How threads share a step: each claims bands of a layer, and waits only for the bands that its own read.

No thread waits for one that hasn't begun a band, and none begins a band of a step that is over: by then the arrays
are the caller's again.
"""

from __future__ import annotations

from livesnn.infer.spikes.intrinsics import compare_and_swap, compiled, inlined, load_acquire, store_release
from livesnn.infer.spikes.plan import MAX_BANDS, TICKET_WORDS, connection_at, feature_map_at


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
    """Wait until a band is finished; return after how many looks it was."""
    word, looks = _word(at.finished, at.bands, number, band), 0
    while load_acquire(word) != epoch:
        looks += 1
    return looks


@inlined
def finish_band(at, number, band, epoch):  # type: ignore[no-untyped-def]
    """Say that a band is finished."""
    store_release(_word(at.finished, at.bands, number, band), epoch)


@inlined
def await_input(number, band, at, epoch):  # type: ignore[no-untyped-def]
    """Wait for the bands of the layer before that a band reads; return the looks at them.

    What its skip reads was finished before those.
    """
    read, rows = connection_at(at.connections, 2 * number), feature_map_at(at.layers, number).band
    source = feature_map_at(at.layers, number - 1)
    first = band * rows * read.stride - read.kernel // 2
    last, looks = min(first + (rows - 1) * read.stride + read.kernel, source.height), 0
    for before in range(max(first, 0) // source.band, (last + source.band - 1) // source.band):
        looks += _await(at, number - 1, before, epoch)
    return looks


@compiled
def await_all(at, epoch):  # type: ignore[no-untyped-def]
    """Wait for all bands of all layers; return the looks at them."""
    looks = 0
    for number in range(1, at.depth):
        for band in range(bands_of(feature_map_at(at.layers, number))):
            looks += _await(at, number, band, epoch)
    return looks
