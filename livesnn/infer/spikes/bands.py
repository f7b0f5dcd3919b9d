"""Which band of a layer a thread advances, and when: numbers that the threads of a step share.

Nobody is waited for who hasn't begun a band, and nobody begins one of a step that is over: what a step works on is
the caller's again. Not here: how a band is advanced (layers.py).
"""

from __future__ import annotations

from livesnn.infer.spikes.kept import inner
from livesnn.infer.spikes.layout import BAND, BANDS, TICKET
from livesnn.infer.spikes.words import leave_at, seen_at, swapped


@inner
def _word(words, number, i):  # type: ignore[no-untyped-def]
    """Return the address of a layer's i-th word."""
    return words.ctypes.data + (number * words.shape[1] + i) * TICKET * 8


@inner
def bands_of(layer):  # type: ignore[no-untyped-def]
    """Return how many bands a layer has."""
    return (layer.height + BAND - 1) // BAND


@inner
def deal(tickets, plan, epoch):  # type: ignore[no-untyped-def]
    """Give each thread its bands of each layer."""
    threads = tickets.shape[1]
    for number in range(len(plan.layers)):
        bands = bands_of(plan.layers[number])
        for thread in range(threads):
            leave_at(_word(tickets, number, thread), epoch * BANDS + bands * thread // threads)


@inner
def claim(tickets, number, bands, epoch, thread):  # type: ignore[no-untyped-def]
    """Return a band of a layer that nobody has begun in a step, a thread's own ones first; -1: there is none.

    A thread's own ones are always the same, since their membranes are near it.
    """
    threads = tickets.shape[1]
    for other in range(threads):
        owner = (thread + other) % threads
        word, last = _word(tickets, number, owner), bands * (owner + 1) // threads
        while True:
            begun = seen_at(word)
            if begun // BANDS != epoch or begun % BANDS >= last:
                break
            if swapped(word, begun, begun + 1):
                return begun % BANDS
    return -1


@inner
def _await(finished, number, band, epoch):  # type: ignore[no-untyped-def]
    """Wait for a band."""
    while seen_at(_word(finished, number, band)) != epoch:
        pass


@inner
def finish(finished, number, band, epoch):  # type: ignore[no-untyped-def]
    """Say that a band is finished."""
    leave_at(_word(finished, number, band), epoch)


@inner
def await_read(number, band, plan, finished, epoch):  # type: ignore[no-untyped-def]
    """Wait for the bands of the layer before that a band reads: those of a skip were read for these."""
    kernel, stride = plan.reads[number, 0].kernel, plan.reads[number, 0].stride
    first = band * BAND * stride - kernel // 2
    last = min(first + (BAND - 1) * stride + kernel, plan.layers[number - 1].height)
    for before in range(max(first, 0) // BAND, (last + BAND - 1) // BAND):
        _await(finished, number - 1, before, epoch)


@inner
def await_all(plan, finished, epoch):  # type: ignore[no-untyped-def]
    """Wait for all bands of all layers."""
    for number in range(len(plan.layers)):
        for band in range(bands_of(plan.layers[number])):
            _await(finished, number, band, epoch)
