"""How a network lies in memory for its spike-driven step: records, constants. Not here: filling them (plan.py).

A map of [height, width] pixels lists its spikes, the channels, pixel by pixel, row by row, each row in a place of its
own, so that threads can work on rows. A channel that is in a list twice counts twice.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import binding
from numba import config

from livesnn.infer.spikes.intrinsics import FLOAT_BYTES, records

LANES = (64, 32, 16)
"""Outputs at a time: the largest that divides a layer's width."""
_HOST = config.CPU_NAME is None and config.CPU_FEATURES is None  # not what NUMBA_CPU_NAME says
_WIDE = _HOST and binding.get_host_cpu_features().get("avx512bw", False)
SWEPT_FLOATS, SWEPT_BYTES = (16, 64) if _WIDE else (8, 16)
"""Outputs at a time of kernels of 3×3 with stride 1, nine of whose sums, float32 or int16, stay in registers: AVX-512
has 32 of 64 bytes, AVX2 16 of 32, NEON 32 of 16. Such kernels of 64 channels, 37 kB at most, stay in the first
cache."""
TICKET = 8
"""int64 a ticket, so that each has a cache line of its own."""
EPOCH, CALLED, PLACES = 0, 8, 16
"""Where the board, int64 [·], says which step it is, which one others are called to, and has its `Places`."""
LEAST_BAND, MOST_BAND, BAND_BYTES = 4, 8, 1 << 15
"""Rows of a layer that a thread advances at a time: as many as have their sums in so many bytes, a part of the first
cache; no fewer, and no more."""
GAP = 32
"""float32 between the currents of one band and of the next, two cache lines: no two threads write to one."""
TOTALS = 2
"""float32 a band: how many of its neurons spiked, and the sum of their membranes."""
BANDS = 1 << 20
"""More than a layer has: what counts begun bands also says the step, times this."""
FLOATS, SWEPT, BYTES, POOLED, THROUGH, COUNTS, LISTED = range(7)
"""What a read's weights are: float32; float32 of 3×3 with stride 1, `SWEPT_FLOATS` lanes a chunk; int8 with a scale
an output; int8 for the lists of a pool, of which only sums of a row of the kernel fit into 16 bits; one number,
float32, for the same channel; for counts, float32 [chunk, C, tile, tile, 8, 8, lanes], zeros beyond the kernel; none,
where lists are listed again, window by window."""
TILE = 8
"""Taps of a kernel for counts that are looked at together, to each side: a bit each."""
SIXTEEN, BEGIN_BYTES, MARK_BYTES = 16 * FLOAT_BYTES, 4, 8  # numba takes a product for no literal


class Map(NamedTuple):
    """Neurons [height, width, outputs]; lists alone have no lanes, and a frame's counts nothing but a border.

    Where their bias, membranes, totals [band, TOTALS], marks (a bit for each that spikes, [pixel, chunk]), lists and
    the lists' begins start; how far apart rows of lists, and of begins and marks in pixels, are; the border, in
    pixels without spikes; rows a ``band``.
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


class Read(NamedTuple):
    """A convolution of lists (`THROUGH`: of marks); k = 0: of nothing.

    Where their beginnings, the weights [chunk, C, k, k, lanes] and scales start, beginnings a row, C, k, stride, how
    far the first tap is from the border's corner. ``rows``: of weights a chunk. `COUNTS`: marks of a
    band [C, across, high], see `counted.mark`; the scales are what each count is worth, float32 [256].
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
    """What the read-out reads of a layer, by pools of side·side pixels.

    Weights [n, rows, columns, C, 16], and where the currents [band, 16·n + GAP] start that its bands give.
    """

    layer: int
    weights: int
    inputs: int
    rows: int
    columns: int
    side: int
    currents: int


class Places(NamedTuple):
    """What all threads of a step work on: addresses but for the last six, which are numbers.

    Arrays would count references to them: that took 6 % of a step, and threads wait for each other's count.

    Attributes
    ----------
    frame, before, after
        Of this step: uint8 [C, H, W], and all membranes.
    weights to reach
        A `plan.Plan`'s arrays.
    tickets, finished
        int64 [depth, threads, TICKET], the bands of each layer that each thread has begun; int64 [depth, bands,
        TICKET], the last step that each was finished in.
    depth, taps_in_all, classes, currents_in_all
        How many layers, taps, float32 of the bias (classes and zeros), and of the currents there are.
    threads, bands
        Of tickets and finished.
    """

    frame: int
    before: int
    after: int
    layers: int
    reads: int
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


FRAME, BEFORE, AFTER = (PLACES + Places._fields.index(name) for name in ("frame", "before", "after"))
map_at, read_at, tap_at, places_at = map(records, (Map, Read, Tap, Places))
