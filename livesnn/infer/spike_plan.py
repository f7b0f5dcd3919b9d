"""An STS-ResNet's weights, and where everything lies that its spike-driven step works on. Not here: the step."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.spike_kernel import LANES, LAYER, PAD, READ, TAP
from livesnn.weights import Weights

FloatArray = npt.NDArray[np.float32]
Shape = tuple[int, ...]

POOLED = 9
"""Pixels under a window of the pool behind the stem: a channel is listed once for each that spikes."""


class Plan(NamedTuple):
    """What `spike_kernel.step` takes of a network.

    Attributes
    ----------
    layers, reads, taps
        `LAYER` [n]: the first layer, the lists of the pool behind it (of no neurons), all others; `READ` [n, 2]: what
        each reads, and its skip; `TAP` [2].
    weights, lists, begins
        float32, uint16 and int32 [·]: what the rows of those point into.
    bias
        float32 [16·n]: the read-out's, with zeros behind it.
    """

    layers: npt.NDArray[np.void]
    reads: npt.NDArray[np.void]
    taps: npt.NDArray[np.void]
    weights: FloatArray
    bias: FloatArray
    lists: npt.NDArray[np.uint16]
    begins: npt.NDArray[np.int32]


def plan(weights: Weights, card: ModelCard) -> Plan:
    """Arrange weights without batch norm; raises ModelError that names a tensor which is missing or doesn't fit."""
    tensors, memory = _Tensors(weights), _Memory()
    shapes = list(card.states.values())
    rows = list(_rows(tensors, memory, card, shapes))
    layers = np.array([row.layer for row in rows], LAYER)
    reads = np.array([[row.read, row.skip] for row in rows], READ)
    ends = 1 + 2 * np.cumsum(card.network.sub_blocks)[-2:]
    taps = np.array(list(_taps(tensors, memory, card, [layers[end] for end in ends])), TAP)
    bias = np.zeros(_sixteens(shapes[-1][0]), np.float32)
    bias[: shapes[-1][0]] = tensors.take("classify.bias", shapes[-1])
    made = memory.made()
    return Plan(layers, reads, taps, made[0], bias, *made[1:])


class _Tensors:
    """Weights by name, of the shape that is asked for."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def take(self, name: str, shape: Shape) -> FloatArray:
        if name not in self._weights:
            raise ModelError(f"the tensor {name} is missing: the card doesn't fit the weights")
        tensor = self._weights[name]
        if tensor.shape != shape:
            raise ModelError(f"{name} is {tensor.shape}, the card asks for {shape}")
        return tensor

    def convolution(self, name: str, outputs: int, inputs: int, kernel: int) -> tuple[FloatArray, FloatArray]:
        """Return the weights [O, C, k, k] and the bias [O]."""
        weights = self.take(f"{name}.conv.weight", (outputs, inputs, kernel, kernel))
        return weights, self.take(f"{name}.conv.bias", (outputs,))


class _Memory:
    """What the plan's rows point into, as it grows."""

    def __init__(self) -> None:
        self._weights: list[FloatArray] = []
        self._floats = self._lists = self._begins = self._membranes = 0

    def keep(self, weights: FloatArray) -> int:
        """Append weights; return where they start."""
        self._weights.append(np.ascontiguousarray(weights, np.float32).ravel())
        self._floats += weights.size
        return self._floats - weights.size

    def convolution(self, weights: FloatArray) -> int:
        """Append [O, C, k, k] as [chunk, k·k, C, lanes]."""
        outputs, inputs, kernel, _ = weights.shape
        chunks = weights.reshape(-1, _lanes(outputs), inputs, kernel * kernel)
        return self.keep(chunks.transpose(0, 3, 2, 1))

    def map(self, shape: Shape, bias: FloatArray | None = None, times: int = 1) -> tuple[int, ...]:
        """Return the `LAYER` of neurons [C, H, W], each listed so many times at most; without bias: no neurons."""
        outputs, height, width = shape
        kept = 0 if bias is None else self.keep(bias)
        row = (height, width, outputs, _lanes(outputs), kept, self._membranes, self._lists, self._begins)
        self._membranes += 0 if bias is None else prod(shape)
        self._lists += prod(shape) * times
        self._begins += (height + 2 * PAD) * (width + 2 * PAD) + 1
        return row

    def made(self) -> tuple[FloatArray, npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
        """Return weights, lists and their beginnings."""
        if self._lists >= 1 << 31:
            raise ModelError("its layers are too large for engine 'spike': use --engine onnx")
        empty = np.zeros(self._lists, np.uint16), np.zeros(self._begins, np.int32)
        return np.concatenate(self._weights), *empty


class _Row(NamedTuple):
    layer: tuple[int, ...]
    read: tuple[int, ...]
    skip: tuple[int, ...]


_NOTHING = (0,) * len(READ.names or ())


def _rows(tensors: _Tensors, memory: _Memory, card: ModelCard, shapes: list[Shape]) -> Iterator[_Row]:
    """Yield the stem, the pool behind it, and two layers a sub-block; what lists of the pool reach counts a ninth."""
    spec = card.network
    weights, bias = tensors.convolution("stem", shapes[0][0], card.input.channels, spec.stem_kernel)
    scaled = memory.convolution(weights * np.float32(card.input.scale))
    counted = (0, 0, 0, scaled, card.input.channels, spec.stem_kernel, spec.stem_stride, 0)
    yield _Row(memory.map(shapes[0], bias), counted, _NOTHING)
    pooled = (shapes[0][0], *(-(-side // spec.stem_pool_stride) for side in shapes[0][1:]))
    source, channels, gain = memory.map(pooled, times=POOLED), shapes[0][0], np.float32(1 / POOLED)
    yield _Row(source, _NOTHING, _NOTHING)
    names = [f"blocks.{k}.{i}" for k, count in enumerate(spec.sub_blocks) for i in range(count)]
    for name, stride, shape in zip(names, _strides(card), shapes[1:-1:2], strict=True):
        width = shape[0]
        weights, bias = tensors.convolution(f"{name}.first", width, channels, 3)
        inner = memory.map(shape, bias)
        yield _Row(inner, _read(memory, source, weights * gain, stride), _NOTHING)
        weights, bias = tensors.convolution(f"{name}.second", width, width, 3)
        through = np.eye(width, dtype=np.float32)[:, :, None, None]
        if channels != width or stride != 1:
            through, more = tensors.convolution(f"{name}.skip", width, channels, 1)
            bias = bias + more
        outer = memory.map(shape, bias)
        yield _Row(outer, _read(memory, inner, weights, 1), _read(memory, source, through * gain, stride))
        source, channels, gain = outer, width, np.float32(1)


def _strides(card: ModelCard) -> list[int]:
    """Return each sub-block's stride."""
    blocks = zip(card.network.strides, card.network.sub_blocks, strict=True)
    return [stride if i == 0 else 1 for stride, count in blocks for i in range(count)]


def _read(memory: _Memory, source: tuple[int, ...], weights: FloatArray, stride: int) -> tuple[int, ...]:
    """Return the `READ` of a convolution [O, C, k, k] of a `LAYER`'s lists."""
    kernel, (_, width, inputs, *_, lists, begin) = weights.shape[2], source
    return (
        lists,
        begin,
        width + 2 * PAD,
        memory.convolution(weights),
        inputs,
        kernel,
        stride,
        PAD - kernel // 2,
    )


def _taps(
    tensors: _Tensors, memory: _Memory, card: ModelCard, sources: list[npt.NDArray[np.void]]
) -> Iterator[tuple[int, ...]]:
    """Yield the `TAP` of each map that the classifier reads: [K, C·rows·columns] of each in turn."""
    classes, side = len(card.classes), card.network.final_pool
    maps = [(int(s["outputs"]), int(s["height"]) // side, int(s["width"]) // side) for s in sources]
    features = tensors.take("classify.weight", (classes, sum(map(prod, maps))))
    padded = np.zeros((_sixteens(classes), features.shape[1]), np.float32)
    padded[:classes] = features / np.float32(side * side)
    first = 0
    for source, shape in zip(sources, maps, strict=True):
        of_map = padded[:, first : first + prod(shape)].reshape(-1, 16, *shape)
        kept = memory.keep(of_map.transpose(0, 3, 4, 2, 1))
        across = int(source["width"]) + 2 * PAD
        yield (int(source["lists"]), int(source["begin"]), across, kept, *shape, side)
        first += prod(shape)


def _lanes(outputs: int) -> int:
    return next(lanes for lanes in LANES if outputs % lanes == 0)


def _sixteens(count: int) -> int:
    return -(-count // 16) * 16
