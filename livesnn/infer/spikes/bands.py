"""Which band of a layer a thread advances, and when: numbers that the threads of a step share.

Nobody is waited for who hasn't begun a band, and nobody begins one of a step that is over: what a step works on is
the caller's again. Not here: how a band is advanced (layers.py).
"""

from __future__ import annotations

from livesnn.infer.spikes.kept import inner, within
from livesnn.infer.spikes.layout import BANDS, TICKET, map_at, read_at
from livesnn.infer.spikes.words import leave_at, seen_at, swapped


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
