"""How a network lies in memory for its spike-driven step: the records that kernels read, and the arranged weights.

Each feature map [height, width] lists its spikes: the channels that spike, pixel by pixel and row by row. Each row of
lists has a place of its own, so that threads can work on different rows. A channel that is listed twice counts twice.
The neurons of a map advance in *bands* of a few rows, and their channels in *chunks* of some lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import binding
from numba import config

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.spikes.intrinsics import FLOAT_BYTES, SHORT_BYTES, records
from livesnn.weights import STEM_POOL_PIXELS, Rounded, Weights, rounded_kernels, tensor

LANES = (64, 32, 16)  # Output channels computed at a time: the largest of these that divides a layer's width
_HOST = config.CPU_NAME is None and config.CPU_FEATURES is None  # not what NUMBA_CPU_NAME says
_WIDE = _HOST and binding.get_host_cpu_features().get("avx512bw", False)
FLOAT32_3X3_LANES, INT8_3X3_LANES = (16, 64) if _WIDE else (8, 16)
"""The same for kernels of 3×3 with stride 1, whose nine sums (float32, or int16 for int8 kernels) stay in registers.

AVX-512 has 32 registers of 64 bytes, AVX2 16 of 32, NEON 32 of 16. Such kernels of 64 channels have 37 kB at most,
and stay in the first cache.
"""
TICKET_WORDS = 8  # int64 from one thread's ticket to the next, so that each has a cache line of its own
EPOCH, CALLED, ADDRESSES = 0, 8, 16
"""Indices into the board, int64 [·]: the number of the step, that of the last step that helpers were called to, and
the first of the `Addresses`."""
MIN_BAND_ROWS, MAX_BAND_ROWS, BAND_BYTES = 4, 8, 1 << 15
"""Rows of a band: as many as have their sums in ``BAND_BYTES``, a part of the first cache, within these limits."""
GAP = 32
"""float32 between the currents of two bands: two cache lines, so that no two threads write to the same one."""
TOTALS = 2  # float32 a band: how many of its neurons spiked, and the sum of their membranes
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
TILE = 8  # Side of the square of kernel taps that are tested at once on the frame, one bit each
SIXTEEN, BEGIN_BYTES, MARK_BYTES = 16 * FLOAT_BYTES, 4, 8  # numba takes no product for a literal


class FeatureMap(NamedTuple):
    """Neurons [height, width, outputs]. A pool has lists but no neurons (0 lanes), a frame nothing but a border."""

    height: int
    width: int
    outputs: int
    lanes: int = 0  # channels of a chunk
    # Where its parts begin in their arrays:
    bias: int = 0
    membranes: int = 0
    totals: int = 0  # [band, TOTALS]
    marks: int = 0  # [pixel, chunk], a bit for each neuron that spikes
    lists: int = 0
    row: int = 0  # how far apart rows of lists are, in pixels
    begin: int = 0  # where the begins are, which say where each pixel's list begins
    across: int = 0  # how far apart rows of begins and marks are, in pixels
    pad: int = 0  # width of the border, in pixels without spikes
    band: int = 0  # rows of a band


class Connection(NamedTuple):
    """What a layer reads: a convolution of another map's lists (`IDENTITY`: of its marks). Kernel 0 means nothing."""

    begin: int = 0  # where the begins of the other map's lists start
    across: int = 0  # how many begins a row there are
    weights: int = 0  # where the weights [chunk, C, k, k, lanes] start
    scales: int = 0  # where the scales start; for `COUNTS` they say what each count is worth, float32 [256]
    inputs: int = 0  # C
    kernel: int = 0  # k
    stride: int = 0
    offset: int = 0  # how far the first tap is from the corner of the border, in pixels
    kind: int = 0  # one of the kinds above
    rows: int = 0  # rows of weights in a chunk
    high: int = 0  # for `COUNTS`: the marks of a band are [C, across, high], see `convolution.mark_counts`


class Tap(NamedTuple):
    """What the read-out reads of a layer, in pools of side × side pixels."""

    layer: int
    weights: int  # where [n, rows, columns, C, 16] start
    inputs: int
    rows: int
    columns: int
    side: int
    currents: int  # where its bands leave their parts of the read-out's input current, [band, 16·n + GAP]


class Addresses(NamedTuple):
    """What all threads of a step work on: addresses of arrays, as counting references to them took 6 % of a step."""

    # Of this step: uint8 [C, H, W], and all membranes before and after it
    frame: int
    before: int
    after: int
    # The arrays of a `Plan`
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
    alphas: int
    tickets: int  # int64 [depth, threads, TICKET_WORDS]: which bands of each layer each thread has begun
    finished: int  # int64 [depth, bands, TICKET_WORDS]: the last step that each band was finished in
    depth: int  # how many layers there are
    taps_in_all: int
    classes: int  # float32 of the bias: one a class, or one a number that is traced, and zeros
    currents_in_all: int  # float32 of the currents
    threads: int  # of the tickets
    bands: int  # of finished


FRAME, BEFORE, AFTER = (ADDRESSES + Addresses._fields.index(name) for name in ("frame", "before", "after"))
feature_map_at, connection_at, tap_at, addresses_at = map(records, (FeatureMap, Connection, Tap, Addresses))


FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]
_Array = npt.NDArray[Any]

PAD = 1  # Border of a feature map, in pixels, so that kernels of 3×3 may read beyond its edge
LINE = 64  # Bytes of a cache line, and of the widest vector, which would take two if it didn't begin with one


def aligned(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialized array that begins with a cache line."""
    length = size * np.dtype(kind).itemsize
    room = np.empty(length + LINE, np.uint8)
    first = -room.__array_interface__["data"][0] % LINE
    return room[first : first + length].view(kind)


def zeros(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    room = aligned(size, kind)
    room[:] = 0
    return room


class Plan(NamedTuple):
    """A network as `step.run_step` takes it. A step writes into its arrays, so only one team may step a plan."""

    layers: npt.NDArray[np.int64]  # `FeatureMap` [n]: the frame, the stem, the pool behind it, then all others
    connections: npt.NDArray[np.int64]  # `Connection` [n, 2]: what each layer reads, and its skip
    taps: npt.NDArray[np.int64]  # `Tap` [2], or [4] for traces
    # The arrays that these records point into, [·] each; but the read-out's bias is [16·n], with zeros behind it
    weights: FloatArray
    rounded: npt.NDArray[np.int8]
    bias: FloatArray
    lists: npt.NDArray[np.uint16]
    begins: npt.NDArray[np.int32]
    marks: npt.NDArray[np.int64]
    totals: FloatArray
    currents: FloatArray
    # The most sums that a band has; or the int16 that the marks of its counts need, if that is more
    scratch: int
    alphas: FloatArray  # [n]: the decay of each layer; 0 for the frame and the pool


def plan(folded: Weights, card: ModelCard) -> Plan:
    """Arrange weights that have batch norm folded in; raises ModelError that names a missing or unfit tensor."""
    memory = _Memory()
    shapes = list(card.layer_shapes().values())
    rows = list(_rows(folded, memory, card, shapes))
    layers = np.array([row.layer for row in rows], np.int64)
    connections = np.array([[row.read, row.skip] for row in rows], np.int64)
    ends = 2 + 2 * np.cumsum(card.network.sub_blocks)[-len(card.read_layers()) :]
    tapped = {number: rows[number].layer for number in ends.tolist()}
    taps = np.array(list(_taps(folded, memory, card, tapped)), np.int64)
    name, outputs = _read_out(card)
    bias = np.zeros(_sixteens(outputs), np.float32)
    bias[:outputs] = tensor(folded, f"{name}.bias", (outputs,))
    sums, counted = (row.layer.band * row.layer.width * row.layer.outputs for row in rows), rows[1].read
    scratch = max(-(-counted.inputs * counted.across * counted.high // SHORT_BYTES), *sums)
    weights, rounded = memory.weights()
    first, *others = (card.neuron.of(layer).alpha for layer in card.layer_shapes())
    alphas = np.array([0.0, first, 0.0, *others[:-1]], np.float32)
    return Plan(layers, connections, taps, weights, rounded, bias, *memory.lists(), scratch, alphas)


class _Row(NamedTuple):
    layer: FeatureMap
    read: Connection = Connection()
    skip: Connection = Connection()


def _rows(folded: Weights, memory: _Memory, card: ModelCard, shapes: list[Shape]) -> Iterator[_Row]:
    """Yield the frame, the stem, its pool, and two layers a sub-block. A spike in a list of the pool weighs 1/9."""
    spec, size = card.network, (card.input.channels, card.input.height, card.input.width)
    counts = FeatureMap(*size[1:], outputs=size[0], pad=spec.stem_kernel // 2)
    yield _Row(counts)
    weights, bias = _kernel_and_bias(folded, "stem", shapes[0][0], size[0], spec.stem_kernel)
    stem = memory.map(shapes[0], bias)
    worth = np.minimum(np.arange(256, dtype=np.float32), card.input.count_max) * np.float32(card.input.scale)
    read = memory.read_counts(counts, stem.band, weights, worth, spec.stem_stride)
    yield _Row(stem, read)
    pooled = (shapes[0][0], *(-(-side // spec.stem_pool_stride) for side in shapes[0][1:]))
    source, times = memory.map(pooled, times=STEM_POOL_PIXELS), STEM_POOL_PIXELS
    yield _Row(source, memory.listed(stem, kernel=3, stride=spec.stem_pool_stride))
    rounded = rounded_kernels(folded, spec)
    blocks = enumerate(zip(spec.strides, spec.sub_blocks, strict=True))
    sub_blocks = [(f"blocks.{k}.{i}", 1 if i else stride) for k, (stride, count) in blocks for i in range(count)]
    for (name, stride), shape in zip(sub_blocks, shapes[1:-1:2], strict=True):
        convolved = partial(_convolved, folded, rounded, memory, outputs=shape[0])
        read, bias = convolved(f"{name}.first", source, kernel=3, stride=stride, times=times)
        inner = memory.map(shape, bias)
        yield _Row(inner, read)
        read, bias = convolved(f"{name}.second", inner, kernel=3)
        if source.outputs == shape[0] and stride == 1:
            through = (source, 1, 1) if source.lanes else (stem, 3, spec.stem_pool_stride)
            skip = memory.through(*through)
        else:
            skip, more = convolved(f"{name}.skip", source, kernel=1, stride=stride, times=times)
            bias = bias + more
        source, times = memory.map(shape, bias), 1
        yield _Row(source, read, skip)


def _convolved(
    folded: Weights,
    rounded: Mapping[str, Rounded],
    memory: _Memory,
    name: str,
    source: FeatureMap,
    *,
    outputs: int,
    kernel: int,
    stride: int = 1,
    times: int = 1,
) -> tuple[Connection, FloatArray]:
    """Return a convolution of a map's lists and its bias; ``times``: how often at most a list names a channel."""
    weights, bias = _kernel_and_bias(folded, name, outputs, source.outputs, kernel)
    in_8_bits = rounded.get(f"{name}.conv.weight")
    if in_8_bits is not None:
        if times == 1 or (kernel, stride) == (3, 1):
            return memory.read_rounded(source, in_8_bits, times=times, stride=stride), bias
        weights = in_8_bits[0] * in_8_bits[1][:, None, None, None]  # their sums don't fit into 16 bits
    return memory.read(source, weights, gain=1 / times, stride=stride), bias


def _kernel_and_bias(
    folded: Weights, name: str, outputs: int, inputs: int, kernel: int
) -> tuple[FloatArray, FloatArray]:
    weights = tensor(folded, f"{name}.conv.weight", (outputs, inputs, kernel, kernel))
    return weights, tensor(folded, f"{name}.conv.bias", (outputs,))


def _taps(folded: Weights, memory: _Memory, card: ModelCard, layers: Mapping[int, FeatureMap]) -> Iterator[Tap]:
    """Yield the `Tap` of each layer that the read-out gets; its weights [K, C·rows·columns] follow each other."""
    (name, outputs), side, maps = _read_out(card), card.network.final_pool, card.pooled_shapes()
    features = tensor(folded, f"{name}.weight", (outputs, sum(map(prod, maps))))
    padded = np.zeros((_sixteens(outputs), features.shape[1]), np.float32)
    padded[:outputs] = features / np.float32(side * side)
    first = 0
    for (number, layer), shape in zip(layers.items(), maps, strict=True):
        of_map = padded[:, first : first + prod(shape)].reshape(-1, 16, *shape)
        kept = memory.keep(of_map.transpose(0, 3, 4, 2, 1))
        currents = memory.currents(-(-layer.height // layer.band), len(padded))
        yield Tap(number, kept, *shape, side, currents)
        first += prod(shape)


def _read_out(card: ModelCard) -> tuple[str, int]:
    """Return the name of the read-out's layer that reads pooled spikes, and how many outputs it has."""
    traces = card.readout == "traces"
    return ("read_out.project", card.traces.currents) if traces else ("classify", len(card.classes))


def _sixteens(count: int) -> int:
    return -(-count // 16) * 16


class _Memory:
    """The arrays that a plan's records point into, while they grow."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._rounded = [np.zeros(0, np.int8)]
        self._floats = self._bytes = self._lists = self._begins = self._membranes = 0
        self._totals = self._marks = self._currents = 0

    def keep(self, weights: FloatArray) -> int:
        """Append weights at the beginning of a cache line; return where they start."""
        first, room = self._floats, -weights.size % (LINE // FLOAT_BYTES)
        self._weights += [np.ascontiguousarray(weights, np.float32).ravel(), np.zeros(room, np.float32)]
        self._floats += weights.size + room
        return first

    def read(self, source: FeatureMap, weights: FloatArray, *, gain: float = 1.0, stride: int = 1) -> Connection:
        """Return a convolution of a map's lists by float32 [O, C, k, k] times a gain."""
        swept = weights.shape[2] == 3 and stride == 1
        lanes = FLOAT32_3X3_LANES if swept else _lanes(len(weights))
        kept = self.keep(_by_tap(weights * np.float32(gain), lanes))
        return self._read(source, weights.shape, stride, FLOAT32_3X3 if swept else FLOAT32, kept)

    def read_counts(
        self, source: FeatureMap, band: int, weights: FloatArray, worth: FloatArray, stride: int
    ) -> Connection:
        """Return a convolution of the frame, in bands of so many rows; ``worth`` [256]: the value of each count."""
        outputs, channels, kernel, _ = weights.shape
        tiles, lanes = -(-kernel // TILE), _lanes(outputs)
        room = tiles * TILE - kernel
        tiled = np.pad(weights, [(0, 0), (0, 0), (0, room), (0, room)])
        tiled = tiled.reshape(-1, lanes, channels, tiles, TILE, tiles, TILE).transpose(0, 2, 3, 5, 4, 6, 1)
        read = self._read(source, weights.shape, stride, COUNTS, self.keep(tiled), self.keep(worth))
        border = -(-source.pad // 8) * 8
        across = border // 8 + -(-(source.width + source.pad) // 8) + tiles + 1
        high, rows = (band - 1) * stride + tiles * TILE, tiled[0, ..., 0].size
        return read._replace(across=across, offset=border - source.pad, rows=rows, high=high)

    def read_rounded(self, source: FeatureMap, rounded: Rounded, *, times: int, stride: int = 1) -> Connection:
        """Return a convolution by int8 of lists that name a channel up to ``times`` times, 1/``times`` each time."""
        kernel, scale = rounded
        kept, scales = self._bytes, self.keep(scale / np.float32(times))
        most = INT8_3X3_LANES if kernel.shape[2] == 3 and stride == 1 else LANES[0]
        room = -kernel.size % LINE
        self._rounded += [_by_tap(kernel, min(most, _lanes(len(kernel)))).ravel(), np.zeros(room, np.int8)]
        self._bytes += kernel.size + room
        return self._read(source, kernel.shape, stride, INT8_POOLED if times > 1 else INT8, kept, scales)

    def _read(
        self, source: FeatureMap, shape: Shape, stride: int, kind: int, weights: int, scales: int = 0
    ) -> Connection:
        kernel, begin, across = shape[2], source.begin, source.across
        offset = source.pad - kernel // 2
        rows = kernel**2 * source.outputs
        return Connection(begin, across, weights, scales, source.outputs, kernel, stride, offset, kind, rows)

    def through(self, source: FeatureMap, kernel: int, stride: int) -> Connection:
        """Return what adds each channel's mean over a window to the same channel."""
        gain = self.keep(np.array([1 / kernel**2], np.float32))
        return self._read(source, (1, 1, kernel, kernel), stride, IDENTITY, gain)._replace(begin=source.marks)

    def listed(self, source: FeatureMap, *, kernel: int, stride: int) -> Connection:
        """Return what joins the lists under each window of a pool."""
        return self._read(source, (1, 1, kernel, kernel), stride, POOL_LISTS, 0)

    def map(self, shape: Shape, bias: FloatArray | None = None, *, times: int = 1) -> FeatureMap:
        """Return a map [C, H, W] that lists each channel up to ``times`` times; without a bias it has no neurons."""
        outputs, height, width = shape
        kept = 0 if bias is None else self.keep(bias)
        lanes = 0 if bias is None else _lanes(outputs)
        row, across = width * outputs * times, width + 2 * PAD + 1
        band = min(max(BAND_BYTES // (width * outputs * FLOAT_BYTES), MIN_BAND_ROWS), MAX_BAND_ROWS)
        made = FeatureMap(
            height, width, outputs, lanes, kept, self._membranes, self._totals, self._marks,
            self._lists, row, self._begins, across, PAD, band,
        )  # fmt: skip
        self._membranes += 0 if bias is None else prod(shape)
        self._totals += 0 if bias is None else -(-height // band) * TOTALS
        self._marks += 0 if bias is None else (height + 2 * PAD) * across * outputs // lanes
        self._lists += height * row
        self._begins += (height + 2 * PAD) * across
        return made

    def weights(self) -> tuple[FloatArray, npt.NDArray[np.int8]]:
        weights, rounded = aligned(self._floats, np.float32), aligned(self._bytes, np.int8)
        return np.concatenate(self._weights, out=weights), np.concatenate(self._rounded, out=rounded)

    def lists(self) -> tuple[_Array, _Array, _Array, FloatArray, FloatArray]:
        """Return zeros for lists, begins and marks (borders stay empty), totals and currents."""
        if self._lists > 1 << 28:  # half a GB; HD frames through 64 channels need 110 million
            raise ModelError("its layers are too large for the spike-driven engine: use --engine onnx")
        lists, begins, marks = (
            zeros(self._lists, np.uint16),
            zeros(self._begins, np.int32),
            zeros(self._marks, np.int64),
        )
        return lists, begins, marks, zeros(self._totals, np.float32), zeros(self._currents, np.float32)

    def currents(self, bands: int, size: int) -> int:
        """Make room for currents [band, size] of the read-out; return where they start."""
        self._currents += bands * (size + GAP)
        return self._currents - bands * (size + GAP)


def _by_tap(weights: npt.NDArray[Any], lanes: int) -> npt.NDArray[Any]:
    """Return [O, C, k, k] as [chunk, C, k, k, lanes]."""
    return np.ascontiguousarray(weights.reshape(-1, lanes, *weights.shape[1:]).transpose(0, 2, 3, 4, 1))


def _lanes(outputs: int) -> int:
    return next(lanes for lanes in LANES if outputs % lanes == 0)
