"""Where a network's weights, lists, marks and totals lie, as a plan is made. Not here: which there are (plan.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.operations import fan_out
from livesnn.infer.spikes.intrinsics import FLOAT_BYTES, SHORT_BYTES
from livesnn.infer.spikes.layout import (
    BAND_BYTES,
    BYTES,
    COUNTS,
    FLOATS,
    GAP,
    LANES,
    LEAST_BAND,
    LISTED,
    MOST_BAND,
    POOLED,
    SWEPT,
    SWEPT_BYTES,
    SWEPT_FLOATS,
    THROUGH,
    TILE,
    TOTALS,
    Map,
    Read,
    Tap,
)
from livesnn.weights import POOLED as POOL_SIZE
from livesnn.weights import Rounded, Weights, rounded_kernels, tensor

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]

PAD = 1
"""Border of a map of spikes, in pixels, so that kernels of 3×3 may read beyond it."""
LINE = 64
"""Bytes of a cache line, and of the widest vector, which takes two lines if it doesn't begin with one."""


def aligned(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return room for so many numbers, from the beginning of a cache line on; what is in it is left as it is."""
    length = size * np.dtype(kind).itemsize
    room = np.empty(length + LINE, np.uint8)
    first = -room.__array_interface__["data"][0] % LINE
    return room[first : first + length].view(kind)


def zeros(size: int, kind: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return zeros, `aligned`."""
    room = aligned(size, kind)
    room[:] = 0
    return room


class Memory:
    """What the plan's rows point into, as it grows."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._rounded = [np.zeros(0, np.int8)]
        self._floats = self._bytes = self._lists = self._begins = self._membranes = 0
        self._totals = self._marks = self._currents = 0

    def keep(self, weights: FloatArray) -> int:
        """Append weights, from the beginning of a cache line on; return where they start."""
        first, room = self._floats, -weights.size % (LINE // FLOAT_BYTES)
        self._weights += [np.ascontiguousarray(weights, np.float32).ravel(), np.zeros(room, np.float32)]
        self._floats += weights.size + room
        return first

    def read(self, source: Map, weights: FloatArray, *, gain: float = 1.0, stride: int = 1) -> Read:
        """Return the `Read` of a convolution [O, C, k, k] of a map's lists times a gain, of floats."""
        swept = weights.shape[2] == 3 and stride == 1
        lanes = SWEPT_FLOATS if swept else _lanes(len(weights))
        kept = self.keep(_by_tap(weights * np.float32(gain), lanes))
        return self._read(source, weights.shape, stride, SWEPT if swept else FLOATS, kept)

    def read_counts(
        self, source: Map, band: int, weights: FloatArray, worth: FloatArray, stride: int
    ) -> Read:
        """As `read`, of counts, each of which is ``worth`` [256] so much, in bands of so many rows."""
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

    def read_rounded(self, source: Map, rounded: Rounded, *, times: int, stride: int = 1) -> Read:
        """As `read`, of bytes; ``times``: how often lists may name a channel, which each time counts that part."""
        kernel, scale = rounded
        kept, scales = self._bytes, self.keep(scale / np.float32(times))
        most = SWEPT_BYTES if kernel.shape[2] == 3 and stride == 1 else LANES[0]
        room = -kernel.size % LINE
        self._rounded += [_by_tap(kernel, min(most, _lanes(len(kernel)))).ravel(), np.zeros(room, np.int8)]
        self._bytes += kernel.size + room
        return self._read(source, kernel.shape, stride, POOLED if times > 1 else BYTES, kept, scales)

    def _read(self, source: Map, shape: Shape, stride: int, kind: int, weights: int, scales: int = 0) -> Read:
        kernel, begin, across = shape[2], source.begin, source.across
        offset = source.pad - kernel // 2
        rows = kernel**2 * source.outputs
        return Read(begin, across, weights, scales, source.outputs, kernel, stride, offset, kind, rows)

    def through(self, source: Map, *, kernel: int = 1, stride: int = 1) -> Read:
        """Return the `Read` of the same channel's mean under a window of neurons."""
        gain = self.keep(np.array([1 / kernel**2], np.float32))
        return self._read(source, (1, 1, kernel, kernel), stride, THROUGH, gain)._replace(begin=source.marks)

    def listed(self, source: Map, *, kernel: int, stride: int) -> Read:
        """Return the `Read` of all that spikes under a window, which a pool lists."""
        return self._read(source, (1, 1, kernel, kernel), stride, LISTED, 0)

    def map(self, shape: Shape, bias: FloatArray | None = None, *, times: int = 1, pad: int = PAD) -> Map:
        """Return the `Map` of neurons [C, H, W], each listed so many times at most; without bias: no neurons."""
        outputs, height, width = shape
        kept = 0 if bias is None else self.keep(bias)
        lanes = 0 if bias is None else _lanes(outputs)
        row, across = width * outputs * times, width + 2 * pad + 1
        band = min(max(BAND_BYTES // (width * outputs * FLOAT_BYTES), LEAST_BAND), MOST_BAND)
        made = Map(
            height, width, outputs, lanes, kept, self._membranes, self._totals, self._marks,
            self._lists, row, self._begins, across, pad, band,
        )  # fmt: skip
        self._membranes += 0 if bias is None else prod(shape)
        self._totals += 0 if bias is None else -(-height // band) * TOTALS
        self._marks += 0 if bias is None else (height + 2 * pad) * across * outputs // lanes
        self._lists += height * row
        self._begins += (height + 2 * pad) * across
        return made

    def weights(self) -> tuple[FloatArray, npt.NDArray[np.int8]]:
        """Return what was kept."""
        weights, rounded = aligned(self._floats, np.float32), aligned(self._bytes, np.int8)
        return np.concatenate(self._weights, out=weights), np.concatenate(self._rounded, out=rounded)

    def lists(self) -> tuple[npt.NDArray[Any], ...]:
        """Return room for lists, their beginnings and marks (borders are empty and stay so), totals and currents."""
        if self._lists >= 1 << 31:
            raise ModelError("its layers are too large for engine 'spike': use --engine onnx")
        sizes = self._lists, self._begins, self._marks, self._totals, self._currents
        kinds = np.uint16, np.int32, np.int64, np.float32, np.float32
        return tuple(zeros(size, kind) for size, kind in zip(sizes, kinds, strict=True))

    def currents(self, bands: int, size: int) -> int:
        """Return where the currents [band, size] start that go to the read-out."""
        self._currents += bands * (size + GAP)
        return self._currents - bands * (size + GAP)


def _by_tap(weights: npt.NDArray[Any], lanes: int) -> npt.NDArray[Any]:
    """Return [O, C, k, k] as [chunk, C, k, k, lanes]."""
    _, inputs, kernel, _ = weights.shape
    chunks = weights.reshape(-1, lanes, inputs, kernel, kernel).transpose(0, 2, 3, 4, 1)
    return np.ascontiguousarray(chunks)


def _lanes(outputs: int) -> int:
    return next(lanes for lanes in LANES if outputs % lanes == 0)


class Plan(NamedTuple):
    """What `step.lead` takes of a network.

    Attributes
    ----------
    layers, reads, taps
        int64, `Map` [n]: the frame's counts, the stem, the lists of the pool behind it, all others; `Read` [n, 2]:
        what each reads, and its skip; `Tap` [2]. The pool's are lists only, of no neurons; of the counts there is
        only their shape.
    weights, rounded, lists, begins, marks, totals, currents
        float32, int8, uint16, int32, int64 and twice float32 [·]: what the rows of those point into.
    bias
        float32 [16·n]: the read-out's, with zeros behind it.
    scratch
        Most sums of a band; or the int16 that its marks of counts need, if they are more.
    reach
        float64 [n]: synapses that a spike of a layer reaches, on average; 0 of counts and pool.
    """

    layers: npt.NDArray[np.int64]
    reads: npt.NDArray[np.int64]
    taps: npt.NDArray[np.int64]
    weights: FloatArray
    rounded: npt.NDArray[np.int8]
    bias: FloatArray
    lists: npt.NDArray[np.uint16]
    begins: npt.NDArray[np.int32]
    marks: npt.NDArray[np.int64]
    totals: FloatArray
    currents: FloatArray
    scratch: int
    reach: npt.NDArray[np.float64]


def plan(folded: Weights, card: ModelCard) -> Plan:
    """Arrange weights with batch norm folded; raises ModelError that names a tensor which is missing or unfit."""
    tensors, memory = _Tensors(folded, rounded_kernels(folded, card.network)), Memory()
    shapes = list(card.states.values())
    rows = list(_rows(tensors, memory, card, shapes))
    layers = np.array([row.layer for row in rows], np.int64)
    reads = np.array([[row.read, row.skip] for row in rows], np.int64)
    ends = 2 + 2 * np.cumsum(card.network.sub_blocks)[-2:]
    tapped = {number: rows[number].layer for number in ends.tolist()}
    taps = np.array(list(_taps(tensors, memory, card, tapped)), np.int64)
    bias = np.zeros(_sixteens(shapes[-1][0]), np.float32)
    bias[: shapes[-1][0]] = tensors.take("classify.bias", shapes[-1])
    lists, begins, marks, totals, currents = memory.lists()
    sums, counted = (row.layer.band * row.layer.width * row.layer.outputs for row in rows), rows[1].read
    scratch = max(-(-counted.inputs * counted.across * counted.high // SHORT_BYTES), *sums)
    stem, *blocks = fan_out(card)
    reach = np.array([0.0, stem, 0.0, *blocks])
    return Plan(
        layers,
        reads,
        taps,
        *memory.weights(),
        bias,
        lists,
        begins,
        marks,
        totals,
        currents,
        scratch,
        reach,
    )


class _Tensors:
    """Weights by name, of the shape that is asked for; ``rounded``: kernels that are to run in 8 bits."""

    def __init__(self, weights: Weights, rounded: Mapping[str, Rounded]) -> None:
        self._weights = weights
        self.rounded = rounded

    def take(self, name: str, shape: Shape) -> FloatArray:
        return tensor(self._weights, name, shape)

    def convolution(self, name: str, outputs: int, inputs: int, kernel: int) -> tuple[FloatArray, FloatArray]:
        """Return the weights [O, C, k, k] and the bias [O]."""
        weights = self.take(f"{name}.conv.weight", (outputs, inputs, kernel, kernel))
        return weights, self.take(f"{name}.conv.bias", (outputs,))


class _Row(NamedTuple):
    layer: Map
    read: Read = Read()
    skip: Read = Read()


def _rows(tensors: _Tensors, memory: Memory, card: ModelCard, shapes: list[Shape]) -> Iterator[_Row]:
    """Yield counts, stem, the pool behind it, and two layers a sub-block; what lists of the pool reach is a ninth."""
    spec, size = card.network, (card.input.channels, card.input.height, card.input.width)
    counts = Map(*size[1:], outputs=size[0], pad=spec.stem_kernel // 2)
    yield _Row(counts)
    weights, bias = tensors.convolution("stem", shapes[0][0], size[0], spec.stem_kernel)
    stem = memory.map(shapes[0], bias)
    worth = np.minimum(np.arange(256, dtype=np.float32), card.input.count_max) * np.float32(card.input.scale)
    read = memory.read_counts(counts, stem.band, weights, worth, spec.stem_stride)
    yield _Row(stem, read)
    pooled = (shapes[0][0], *(-(-side // spec.stem_pool_stride) for side in shapes[0][1:]))
    source, times = memory.map(pooled, times=POOL_SIZE), POOL_SIZE
    yield _Row(source, memory.listed(stem, kernel=3, stride=spec.stem_pool_stride))
    names = [f"blocks.{k}.{i}" for k, count in enumerate(spec.sub_blocks) for i in range(count)]
    for name, stride, shape in zip(names, _strides(card), shapes[1:-1:2], strict=True):
        convolved = partial(_convolved, tensors, memory, outputs=shape[0])
        read, bias = convolved(f"{name}.first", source, kernel=3, stride=stride, times=times)
        inner = memory.map(shape, bias)
        yield _Row(inner, read)
        read, bias = convolved(f"{name}.second", inner, kernel=3)
        if source.outputs == shape[0] and stride == 1:
            skip = (
                memory.through(source)
                if source.lanes
                else memory.through(stem, kernel=3, stride=spec.stem_pool_stride)
            )
        else:
            skip, more = convolved(f"{name}.skip", source, kernel=1, stride=stride, times=times)
            bias = bias + more
        source, times = memory.map(shape, bias), 1
        yield _Row(source, read, skip)


def _convolved(
    tensors: _Tensors,
    memory: Memory,
    name: str,
    source: Map,
    *,
    outputs: int,
    kernel: int,
    stride: int = 1,
    times: int = 1,
) -> tuple[Read, FloatArray]:
    """Return the `Read` of a convolution of a map's lists, which name a channel so often at most; and its bias."""
    weights, bias = tensors.convolution(name, outputs, source.outputs, kernel)
    rounded = tensors.rounded.get(f"{name}.conv.weight")
    if rounded is None:
        return memory.read(source, weights, gain=1 / times, stride=stride), bias
    if times > 1 and (kernel, stride) != (3, 1):  # of these, sums leave 16 bits
        floats = rounded[0] * rounded[1][:, None, None, None]
        return memory.read(source, floats, gain=1 / times, stride=stride), bias
    return memory.read_rounded(source, rounded, times=times, stride=stride), bias


def _strides(card: ModelCard) -> list[int]:
    """Return each sub-block's stride."""
    blocks = zip(card.network.strides, card.network.sub_blocks, strict=True)
    return [stride if i == 0 else 1 for stride, count in blocks for i in range(count)]


def _taps(tensors: _Tensors, memory: Memory, card: ModelCard, layers: Mapping[int, Map]) -> Iterator[Tap]:
    """Yield the `Tap` of each layer that the classifier reads, by number: [K, C·rows·columns] of each in turn."""
    classes, side = len(card.classes), card.network.final_pool
    maps = [(layer.outputs, layer.height // side, layer.width // side) for layer in layers.values()]
    features = tensors.take("classify.weight", (classes, sum(map(prod, maps))))
    padded = np.zeros((_sixteens(classes), features.shape[1]), np.float32)
    padded[:classes] = features / np.float32(side * side)
    first = 0
    for (number, layer), shape in zip(layers.items(), maps, strict=True):
        of_map = padded[:, first : first + prod(shape)].reshape(-1, 16, *shape)
        kept = memory.keep(of_map.transpose(0, 3, 4, 2, 1))
        currents = memory.currents(-(-layer.height // layer.band), len(padded))
        yield Tap(number, kept, *shape, side, currents)
        first += prod(shape)


def _sixteens(count: int) -> int:
    return -(-count // 16) * 16
