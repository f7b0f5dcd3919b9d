"""How a network lies in memory for its spike-driven step: records, constants. Not here: filling them (plan.py).

A map of [height, width] pixels lists its spikes, the channels, pixel by pixel, row by row, each row in a place of its
own, so that threads can work on rows. A channel that is in a list twice counts twice. Of counts a row lists the
places in it [width, C], a channel at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from llvmlite import binding
from numba import config

from livesnn.infer.spikes.lanes import FLOAT_BYTES

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
EPOCH, CALLED, FRAME, BEFORE, AFTER = 0, 8, 9, 10, 11
"""Where the board says which step it is, which one others are called to, and where its frame and membranes lie."""
BAND = 4
"""Rows of a layer that a thread advances at a time."""
GAP = 32
"""float32 between the currents of one band and of the next, two cache lines: no two threads write to one."""
TOTALS = 2
"""float32 a band: how many of its neurons spiked, and the sum of their membranes."""
BANDS = 1 << 20
"""More than a layer has: what counts begun bands also says the step, times this."""
FLOATS, SWEPT, BYTES, POOLED, THROUGH, COUNTS, LISTED = range(7)
"""What a read's weights are: float32; float32 of 3×3 with stride 1, `SWEPT_FLOATS` lanes a chunk; int8 with a scale
an output; int8 for the lists of a pool, of which only sums of a row of the kernel fit into 16 bits; one number,
float32, for the same channel; for counts, listed by their places in a row [width, C], float32 [chunk, k, C, case,
column, lanes]; none, where lists are listed again, window by window."""
READ = np.dtype([(name, np.int64) for name in (
    "begin", "across", "weights", "scales", "inputs", "kernel", "stride", "offset", "kind", "tap_rows", "columns",
)])  # fmt: skip
"""A convolution of lists (`THROUGH`: of marks): where their beginnings, the weights [chunk, C, k, k, lanes] and
scales start, beginnings a row, C, k, stride, how far the first tap is from the border's corner. k = 0: of nothing.
``tap_rows``: rows of weights a ky. `COUNTS`: these are C · cases · columns, since each place in a row reaches so many
``columns`` of outputs, those at its ends by zeros, as cases of their own; the plan's targets [place, 2] are the first
of these columns, and the place's row of weights."""
SIXTEEN, BEGIN_BYTES, MARK_BYTES = 16 * FLOAT_BYTES, 4, 8  # numba takes a product for no literal
LAYER = np.dtype([(name, np.int64) for name in (
    "height", "width", "outputs", "lanes", "bias", "membranes", "totals", "marks", "lists", "row", "begin", "across",
    "pad",
)])  # fmt: skip
"""Neurons [height, width, outputs]: where their bias, membranes, totals [band, TOTALS], marks (a bit for each that
spikes, [pixel, chunk]), lists and the lists' begins start; how far apart rows of lists, and of begins and marks in
pixels, are; the border, in pixels without spikes. Lists alone, of no neurons, have no lanes."""
TAP = np.dtype([(name, np.int64) for name in (
    "layer", "weights", "inputs", "rows", "columns", "side", "currents")])  # fmt: skip
"""What the read-out reads of a layer: weights [n, rows, columns, C, 16], by pools of side·side pixels; where the
currents [band, 16·n + GAP] start that its bands give."""


class Places(NamedTuple):
    """Addresses of a `plan.Plan`'s arrays, and of the membranes before and after a step.

    Inner functions take these: they'd count references to arrays, which takes longer than a pixel without spikes.
    """

    weights: int
    rounded: int
    lists: int
    counts: int
    begins: int
    targets: int
    marks: int
    totals: int
    currents: int
    before: int
    after: int
