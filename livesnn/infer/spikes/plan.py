"""An STS-ResNet's weights, and where everything lies that its spike-driven step works on. Not here: the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.infer.operations import fan_out
from livesnn.infer.spikes.lanes import SHORT_BYTES
from livesnn.infer.spikes.layout import Map, Read, Tap
from livesnn.infer.spikes.memory import FloatArray, Memory, Shape
from livesnn.weights import POOLED as POOL_SIZE
from livesnn.weights import Rounded, Weights, rounded_kernels, tensor


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
