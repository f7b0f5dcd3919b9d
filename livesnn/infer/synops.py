"""Counting spikes: mean density, and synaptic operations a frame; one addition a spike and a synapse it reaches.

NeuroBench's "effective ACs" (Yik et al. 2023); the first layer's multiplications on event counts are not in it.
"""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard

FloatArray = npt.NDArray[np.floating]
Shape = tuple[int, ...]


def mean_density(density: FloatArray, card: ModelCard) -> float:
    """Return spikes a neuron a step over all hidden neurons, from each hidden layer's density [layers − 1].

    A network without hidden layers has none: nan.
    """
    return float(np.average(density, weights=_hidden_neurons(card))) if density.size else float("nan")


def synops(density: FloatArray, card: ModelCard) -> float:
    """Return the synaptic operations of one frame, from each hidden layer's density [layers − 1]."""
    return float(np.sum(density * _hidden_neurons(card) * fan_out(card)))


def _hidden_neurons(card: ModelCard) -> FloatArray:
    return np.array([prod(shape) for shape in card.states.values()][:-1], dtype=np.float64)


def fan_out(card: ModelCard) -> list[float]:
    """Return the mean number of synapses a spike of each hidden layer reaches, borders taken into account.

    Average pools belong to the layer that reads them (SPEC): a spike reaches what each pooled pixel it falls into
    does, which may be several pixels, or none at a border that the pool leaves out. An identity skip is one synapse.
    """
    shapes = list(card.states.values())
    return _conv_snn(shapes) if card.network.kind == "conv_snn" else _sts_resnet(shapes, card)


def _conv_snn(shapes: list[Shape]) -> list[float]:
    first, second, hidden, classes = shapes
    convolved = _pool(first[1:], 2, 2, 0) * _conv((first[0], *second[1:]), second, 3)
    return [convolved, _pool(second[1:], 2, 2, 0) * hidden[0], float(classes[0])]


def _sts_resnet(shapes: list[Shape], card: ModelCard) -> list[float]:
    spec, hidden, classes = card.network, shapes[:-1], shapes[-1][0]
    block_ends = 2 * np.cumsum(spec.sub_blocks)  # index of each block's last layer; the stem is 0
    reach = []
    for i, shape in enumerate(hidden):
        read, pooled = shape, 1.0
        if i == 0:
            read = (shape[0], *(-(-size // spec.stem_pool_stride) for size in shape[1:]))
            pooled = _pool(shape[1:], 3, spec.stem_pool_stride, 1)
        following = hidden[i + 1 : i + 3]
        total = _conv(read, following[0], 3) if following else 0.0
        if i % 2 == 0 and following:  # the sub-block's skip, which ends two layers on
            total += 1.0 if following[1] == read else _conv(read, following[1], 1)
        if i in block_ends[-2:]:
            total += classes * _pool(shape[1:], spec.final_pool, spec.final_pool, 0)
        reach.append(pooled * total)
    return reach


def _conv(source: Shape, target: Shape, kernel: int) -> float:
    """Return the mean fan-out of a "same"-padded convolution from [C, H, W] to [C', H', W']."""
    strides = (-(-size // out) for size, out in zip(source[1:], target[1:], strict=True))
    windows = zip(source[1:], target[1:], strides, strict=True)
    return target[0] * prod(
        _taps(size, out, kernel, stride, kernel // 2) / size for size, out, stride in windows
    )


def _pool(sides: tuple[int, ...], kernel: int, stride: int, padding: int) -> float:
    """Return into how many pooled pixels a pixel falls, on average."""
    outs = ((size + 2 * padding - kernel) // stride + 1 for size in sides)
    return prod(
        _taps(size, out, kernel, stride, padding) / size for size, out in zip(sides, outs, strict=True)
    )


def _taps(size: int, out: int, kernel: int, stride: int, padding: int) -> int:
    """Return how many of the ``out`` windows' taps along one side fall on one of its ``size`` pixels."""
    taps = np.arange(out)[:, None] * stride - padding + np.arange(kernel)
    return int(np.count_nonzero((taps >= 0) & (taps < size)))
