"""How a network lies in memory for its spike-driven step: the records that kernels read, and their constants.

Each feature map [height, width] lists its spikes: the channels that spike, pixel by pixel and row by row. Each row of
lists has a place of its own, so that threads can work on different rows. A channel that is listed twice counts twice.
The neurons of a map advance in *bands* of a few rows, and their channels in *chunks* of some lanes.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import binding
from numba import config

from livesnn.infer.spikes.intrinsics import FLOAT_BYTES, records

LANES = (64, 32, 16)
"""Output channels computed at a time: the largest of these that divides a layer's width."""
_HOST = config.CPU_NAME is None and config.CPU_FEATURES is None  # not what NUMBA_CPU_NAME says
_WIDE = _HOST and binding.get_host_cpu_features().get("avx512bw", False)
FLOAT32_3X3_LANES, INT8_3X3_LANES = (16, 64) if _WIDE else (8, 16)
"""The same for kernels of 3×3 with stride 1, whose nine sums (float32, or int16 for int8 kernels) stay in registers.

AVX-512 has 32 registers of 64 bytes, AVX2 16 of 32, NEON 32 of 16. Such kernels of 64 channels have 37 kB at most,
and stay in the first cache.
"""
TICKET_WORDS = 8
"""int64 from one thread's ticket to the next, so that each has a cache line of its own."""
EPOCH, CALLED, ADDRESSES = 0, 8, 16
"""Indices into the board, int64 [·]: the number of the step, that of the last step that helpers were called to, and
the first of the `Addresses`."""
MIN_BAND_ROWS, MAX_BAND_ROWS, BAND_BYTES = 4, 8, 1 << 15
"""Rows of a band: as many as have their sums in ``BAND_BYTES``, a part of the first cache, within these limits."""
GAP = 32
"""float32 between the currents of two bands: two cache lines, so that no two threads write to the same one."""
TOTALS = 2
"""float32 a band: how many of its neurons spiked, and the sum of their membranes."""
MAX_BANDS = 1 << 20
"""More bands than a layer has. A ticket is the step's number times this, plus the next band."""
FLOAT32, FLOAT32_3X3, INT8, INT8_POOLED, IDENTITY, COUNTS, POOL_LISTS = range(7)
"""Kinds of `Connection`, by their weights:

- FLOAT32: a kernel of float32; FLOAT32_3X3: one of 3×3 with stride 1, in chunks of `FLOAT32_3X3_LANES`.
- INT8: a kernel of int8 with a scale for each output. INT8_POOLED: the same behind a pool, whose lists repeat
  channels, so that only the sums of one row of the kernel fit into 16 bits.
- IDENTITY: one float32, from each channel to the same channel.
- COUNTS: for the frame, float32 [chunk, C, tile, tile, 8, 8, lanes], with zeros beyond the kernel.
- POOL_LISTS: none; the lists under each window are joined.
"""
TILE = 8
"""Side of the square of kernel taps that are tested at once on the frame, one bit each."""
SIXTEEN, BEGIN_BYTES, MARK_BYTES = 16 * FLOAT_BYTES, 4, 8  # numba takes no product for a literal


class FeatureMap(NamedTuple):
    """Neurons [height, width, outputs]. A pool has lists but no neurons (0 lanes), a frame nothing but a border.

    Attributes
    ----------
    lanes
        Channels of a chunk.
    bias, membranes, totals, marks, lists, begin
        Where these start in their arrays: totals are [band, TOTALS]; marks [pixel, chunk] have a bit for each neuron
        that spikes; begins say where each pixel's list begins.
    row, across
        How far apart rows of lists are, and rows of begins and marks, in pixels.
    pad
        Width of the border, in pixels without spikes.
    band
        Rows of a band.
    """

    height: int
    width: int
    outputs: int
    lanes: int = 0
    bias: int = 0
    membranes: int = 0
    totals: int = 0
    marks: int = 0
    lists: int = 0
    row: int = 0
    begin: int = 0
    across: int = 0
    pad: int = 0
    band: int = 0


class Connection(NamedTuple):
    """What a layer reads: a convolution of another map's lists (`IDENTITY`: of its marks). Kernel 0 means nothing.

    Attributes
    ----------
    begin, across
        Where the begins of the other map's lists start, and how many a row there are.
    weights, scales
        Where the weights [chunk, C, k, k, lanes] and the scales start. For `COUNTS` the scales say what each count
        is worth, float32 [256].
    inputs, kernel, stride
        C, k and the stride.
    offset
        How far the first tap is from the corner of the border, in pixels.
    kind
        One of the kinds above.
    rows
        Rows of weights in a chunk.
    high
        For `COUNTS`: the marks of a band are [C, across, high], see `frame_convolution.mark_counts`.
    """

    begin: int = 0
    across: int = 0
    weights: int = 0
    scales: int = 0
    inputs: int = 0
    kernel: int = 0
    stride: int = 0
    offset: int = 0
    kind: int = 0
    rows: int = 0
    high: int = 0


class Tap(NamedTuple):
    """What the read-out reads of a layer, in pools of side × side pixels.

    ``weights``: where [n, rows, columns, C, 16] start. ``currents``: where its bands leave their parts of the
    read-out's input current, [band, 16·n + GAP].
    """

    layer: int
    weights: int
    inputs: int
    rows: int
    columns: int
    side: int
    currents: int


class Addresses(NamedTuple):
    """What all threads of a step work on: addresses of arrays, and six numbers at the end.

    With arrays in their place numba would count references. That took 6 % of a step, as threads wait for each
    other's count.

    Attributes
    ----------
    frame, before, after
        Of this step: uint8 [C, H, W], and all membranes before and after it.
    layers to reach
        The arrays of a `plan.Plan`.
    tickets
        int64 [depth, threads, TICKET_WORDS]: which bands of each layer each thread has begun.
    finished
        int64 [depth, bands, TICKET_WORDS]: the last step that each band was finished in.
    depth, taps_in_all, classes, currents_in_all
        How many layers and taps there are, float32 of the bias (classes and zeros), and float32 of the currents.
    threads, bands
        Sizes of tickets and finished.
    """

    frame: int
    before: int
    after: int
    layers: int
    connections: int
    taps: int
    weights: int
    rounded: int
    bias: int
    lists: int
    begins: int
    marks: int
    totals: int
    currents: int
    reach: int
    tickets: int
    finished: int
    depth: int
    taps_in_all: int
    classes: int
    currents_in_all: int
    threads: int
    bands: int


FRAME, BEFORE, AFTER = (ADDRESSES + Addresses._fields.index(name) for name in ("frame", "before", "after"))
feature_map_at, connection_at, tap_at, addresses_at = map(records, (FeatureMap, Connection, Tap, Addresses))
