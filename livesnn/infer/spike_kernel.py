"""One step of an STS-ResNet whose time grows with its spikes. Not here: which layer reads what (spike_plan.py).

Spikes are lists of channels, uint16. A map of [height, width] pixels has (height + 2)·(width + 2) + 1 beginnings of
lists, int32, rows first: its border of `PAD` pixels is always empty, so that kernels of 3×3 may read beyond it. A
channel that is in a list twice counts twice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit, types

from livesnn.infer.spike_lanes import FLOAT_BYTES, accumulate, lowest
from livesnn.infer.spike_lanes import fire as fire_lanes
from livesnn.infer.spike_lanes import weigh as add_counts

LANES = (64, 32, 16)
"""Outputs at a time: the largest that divides a layer's width."""
PAD = 1
READ = np.dtype([(name, np.int64) for name in (
    "lists", "begin", "across", "weights", "inputs", "kernel", "stride", "offset")])  # fmt: skip
"""A convolution of spikes: where the lists' beginnings and the weights [chunk, k·k, C, lanes] start, the map's width
with its border, C, k, stride, and how far the first tap is from the border's corner. k = 0: nothing is read."""
LAYER = np.dtype([(name, np.int64) for name in (
    "height", "width", "outputs", "lanes", "bias", "membranes", "lists", "begin")])  # fmt: skip
"""Neurons [height, width, outputs]: where their bias, membranes, lists and the lists' beginnings start."""
TAP = np.dtype([(name, np.int64) for name in (
    "lists", "begin", "across", "weights", "inputs", "rows", "columns", "side")])  # fmt: skip
"""What the read-out reads of a map: weights [n, rows, columns, C, 16], by pools of side·side pixels."""


def _layers(lanes: int) -> Callable[..., int]:
    @njit(nogil=True, cache=True)
    def reach(lists, begins, corner, across, tap, step, kernel, sums):  # type: ignore[no-untyped-def]
        """Add to sums what the spikes under a kernel reach a chunk of outputs with.

        ``corner``: which list is the kernel's first; ``tap``, ``step``: address of its weights, bytes of each tap.
        """
        for _ in range(kernel):
            for kx in range(kernel):
                accumulate(
                    lanes,
                    types.uintp(tap),
                    types.uintp(lists),
                    types.intp(begins[corner + kx]),
                    types.intp(begins[corner + kx + 1]),
                    types.uintp(sums),
                )
                tap += step
            corner += across

    @njit(nogil=True, cache=True)
    def weigh(counts, seen, y, x, tap, kernel, sums):  # type: ignore[no-untyped-def]
        """Add to sums the counts uint8 [H, W, C] under a kernel times their weights, but for rows without any.

        ``seen``: int32 [H, W + 1], how many counts of a row there are before each pixel.
        """
        inputs = counts.shape[2]
        for ky in range(kernel):
            if seen[y + ky, x + kernel] > seen[y + ky, x]:
                place = counts.ctypes.data + ((y + ky) * counts.shape[1] + x) * inputs
                add_counts(
                    lanes,
                    types.uintp(tap),
                    types.uintp(place),
                    types.intp(kernel * inputs),
                    types.uintp(sums),
                )
            tap += kernel * inputs * lanes * FLOAT_BYTES

    @njit(nogil=True, cache=True)
    def fire(sums, before, after, neuron, first, lists, count):  # type: ignore[no-untyped-def]
        """Advance neurons by their sums, all at addresses; list those that spike, the first of them as ``first``."""
        bits = fire_lanes(
            lanes,
            types.uintp(sums),
            types.uintp(before),
            types.uintp(after),
            neuron[0],
            neuron[1],
            neuron[2],
        )
        while bits:
            lists[count] = first + lowest(bits)
            count += 1
            bits &= bits - types.uint64(1)
        return count

    @njit(nogil=True, cache=True)
    def advance(layer, reads, counts, seen, weights, neuron, before, after, lists, begins):  # type: ignore[no-untyped-def]
        """Advance a layer by a step; return its spikes. It reads counts where they have channels, else lists."""
        height, width, outputs, bias, begun = (
            layer.height,
            layer.width,
            layer.outputs,
            layer.bias,
            layer.lists,
        )
        from_begin, from_across, kernel = reads[0].begin, reads[0].across, reads[0].kernel
        stride, offset = reads[0].stride, reads[0].offset
        skip_begin, skip_across, skip_kernel = reads[1].begin, reads[1].across, reads[1].kernel
        skip_stride, skip_offset = reads[1].stride, reads[1].offset
        tap, step = (
            weights.ctypes.data + reads[0].weights * FLOAT_BYTES,
            reads[0].inputs * lanes * FLOAT_BYTES,
        )
        skip_tap = weights.ctypes.data + reads[1].weights * FLOAT_BYTES
        skip_step = reads[1].inputs * lanes * FLOAT_BYTES
        old = before.ctypes.data + layer.membranes * FLOAT_BYTES
        new = after.ctypes.data + layer.membranes * FLOAT_BYTES
        across, count, listed = width + 2 * PAD, begun, lists.ctypes.data
        begin = begins[layer.begin : layer.begin + (height + 2 * PAD) * across + 1]
        begin[: PAD * across] = count
        held = np.empty(lanes, np.float32)
        sums = held.ctypes.data
        for y in range(height):
            row = (y + PAD) * across
            begin[row : row + PAD + 1] = count
            for x in range(width):
                corner = from_begin + (y * stride + offset) * from_across + x * stride + offset
                skip_corner = (
                    skip_begin + (y * skip_stride + skip_offset) * skip_across + x * skip_stride + skip_offset
                )
                for chunk in range(outputs // lanes):
                    first = chunk * lanes
                    for lane in range(lanes):
                        held[lane] = weights[bias + first + lane]
                    of_chunk = tap + chunk * kernel * kernel * step
                    if counts.shape[0]:
                        weigh(counts, seen, y * stride, x * stride, of_chunk, kernel, sums)
                    else:
                        reach(listed, begins, corner, from_across, of_chunk, step, kernel, sums)
                        of_chunk = skip_tap + chunk * skip_kernel * skip_kernel * skip_step
                        reach(
                            listed, begins, skip_corner, skip_across, of_chunk, skip_step, skip_kernel, sums
                        )
                    place = ((y * width + x) * outputs + first) * FLOAT_BYTES
                    count = fire(sums, old + place, new + place, neuron, first, lists, count)
                begin[row + PAD + x + 1] = count
            begin[row + PAD + width : row + across] = count
        begin[(height + PAD) * across :] = count
        return count - begun

    return advance


_layer_64, _layer_32, _layer_16 = map(_layers, LANES)


@njit(nogil=True, cache=True)
def _advance(layer, reads, counts, seen, weights, neuron, before, after, lists, begins):  # type: ignore[no-untyped-def]
    if layer.lanes == 64:
        return _layer_64(layer, reads, counts, seen, weights, neuron, before, after, lists, begins)
    if layer.lanes == 32:
        return _layer_32(layer, reads, counts, seen, weights, neuron, before, after, lists, begins)
    return _layer_16(layer, reads, counts, seen, weights, neuron, before, after, lists, begins)


@njit(nogil=True, cache=True)
def _seen(counts):  # type: ignore[no-untyped-def]
    """Return int32 [H, W + 1]: how many of a row's counts [H, W, C] aren't zero before each pixel."""
    height, width, inputs = counts.shape
    seen = np.zeros((height, width + 1), np.int32)
    for y in range(height):
        for x in range(width):
            seen[y, x + 1] = seen[y, x]
            for c in range(inputs):
                seen[y, x + 1] += counts[y, x, c] != 0
    return seen


@njit(nogil=True, cache=True)
def _pool(source, pooled, stride, lists, begins):  # type: ignore[no-untyped-def]
    """List what lies under each window of 3×3, a channel as often as it spikes there: nine times the average."""
    across, from_across, count = pooled.width + 2 * PAD, source.width + 2 * PAD, pooled.lists
    begin = begins[pooled.begin : pooled.begin + (pooled.height + 2 * PAD) * across + 1]
    begin[: PAD * across] = count
    for y in range(pooled.height):
        row = (y + PAD) * across
        begin[row : row + PAD + 1] = count
        for x in range(pooled.width):
            for ky in range(3):
                pixel = source.begin + (y * stride + ky) * from_across + x * stride
                for i in range(begins[pixel], begins[pixel + 3]):
                    lists[count] = lists[i]
                    count += 1
            begin[row + PAD + x + 1] = count
        begin[row + PAD + pooled.width : row + across] = count
    begin[(pooled.height + PAD) * across :] = count


@njit(nogil=True, cache=True)
def _read_out(tap, weights, lists, begins, sums):  # type: ignore[no-untyped-def]
    """Add to sums float32 [16·n] the weights of all spikes of a map that a pool covers."""
    for y in range(tap.rows * tap.side):
        for x in range(tap.columns * tap.side):
            pixel = tap.begin + (y + PAD) * tap.across + x + PAD
            for chunk in range(sums.size // 16):
                place = ((chunk * tap.rows + y // tap.side) * tap.columns + x // tap.side) * tap.inputs * 16
                accumulate(
                    16,
                    types.uintp(weights.ctypes.data + (tap.weights + place) * FLOAT_BYTES),
                    types.uintp(lists.ctypes.data),
                    types.intp(begins[pixel]),
                    types.intp(begins[pixel + 1]),
                    types.uintp(sums.ctypes.data + chunk * 16 * FLOAT_BYTES),
                )


@njit(nogil=True, cache=True)
def step(counts, plan, neuron, pool_stride, before, after, sums, spikes):  # type: ignore[no-untyped-def]
    """Advance a network by one frame.

    Parameters
    ----------
    counts
        uint8 [H, W, C], clipped, with a border of half the first kernel.
    plan
        A `spike_plan.Plan`, whose lists are written over.
    neuron
        (alpha, threshold, resets).
    before, after
        float32 [·], all membranes; after is written, but for the read-out's, the last ones.
    sums
        float32 [16·n]: the read-out's bias in, its current out.
    spikes
        int64 [n]: written, the spikes of each of the plan's layers.
    """
    layers, weights, lists, begins = plan.layers, plan.weights, plan.lists, plan.begins
    none, seen = counts[:0], _seen(counts)
    for number in range(len(layers)):
        if number == 1:
            _pool(layers[0], layers[1], pool_stride, lists, begins)
            continue
        frame = counts if number == 0 else none
        spikes[number] = _advance(
            layers[number], plan.reads[number], frame, seen, weights, neuron, before, after, lists, begins
        )
    for tap in plan.taps:
        _read_out(tap, weights, lists, begins, sums)
