"""What a frame costs: mean density, synaptic operations, multiplications, and an energy estimate.

The terms are NeuroBench's (Yik et al. 2023). An effective AC is one addition, for each spike and each synapse that it
reaches. An effective MAC is one multiplication and addition. The first layer has one for each input other than 0 and
each synapse that it reaches, and a read-out of traces one for each weight behind its traces.
"""

from __future__ import annotations

from math import prod
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard

FloatArray = npt.NDArray[np.floating]
Shape = tuple[int, ...]

PJ_PER_MAC = 4.6  # Energy of a MAC in pJ: a multiplication (3.7) and an addition (0.9) of 32-bit floats

PJ_PER_AC = {32: 0.9, 8: 0.1}
"""Energy of an AC in pJ, by the bits of the blocks' kernels: an addition of 32-bit floats, or of 32-bit integers."""

ENERGY_SOURCE = "45 nm, 0.9 V (Horowitz, ISSCC 2014): only the arithmetic, without memory and the neurons' updates"


def mean_density(density: FloatArray, card: ModelCard) -> float:
    """Return the spikes a neuron a step over all hidden neurons, from each layer's [layers − 1]; NaN for none."""
    return float(np.average(density, weights=_hidden_neurons(card))) if density.size else float("nan")


def synops(density: FloatArray, card: ModelCard) -> float:
    """Return the synaptic operations (effective ACs) of one frame, from each hidden layer's density [layers − 1]."""
    return float(np.sum(density * dense_synops(card)))


def dense_synops(card: ModelCard) -> FloatArray:
    """Return each hidden layer's synaptic operations of one frame [layers − 1] if all its neurons spiked."""
    return _hidden_neurons(card) * np.array(fan_out(card))


class Costs(TypedDict):
    """A frame's effective ACs and MACs, and an energy estimate from both, in µJ."""

    synops_per_frame: float
    macs_per_frame: float
    energy_estimate_uj_per_frame: float


def costs(density: FloatArray, active: float, card: ModelCard) -> Costs:
    """Return a frame's costs, from the density of each hidden layer [layers − 1] and how many values aren't 0."""
    acs, effective_macs = synops(density, card), macs(active, card)
    energy_uj = energy_estimate_uj(effective_macs, acs, card)
    return Costs(synops_per_frame=acs, macs_per_frame=effective_macs, energy_estimate_uj_per_frame=energy_uj)


def macs(active: float, card: ModelCard) -> float:
    """Return the effective MACs of a frame in which ``active`` values, over all channels and pixels, aren't 0."""
    spec, first, traces = card.input, next(iter(card.states.values())), card.traces
    if len(first) == 1:
        return active * first[0]
    read_out = 0.0
    if card.readout == "traces":
        mixing = traces.traces * len(traces.alphas) * traces.mixed
        read_out = float(mixing + traces.hidden * (traces.traces + traces.members * len(card.classes)))
    kernel = 3 if card.network.kind == "conv_snn" else card.network.stem_kernel
    return active * _conv((spec.channels, spec.height, spec.width), first, kernel) + read_out


def energy_estimate_uj(effective_macs: float, effective_acs: float, card: ModelCard) -> float:
    """Return an estimate of the arithmetic's energy in µJ, from the constants above; nothing is measured."""
    return 1e-6 * (PJ_PER_MAC * effective_macs + PJ_PER_AC[card.network.weight_bits] * effective_acs)


def energy_constants(card: ModelCard) -> str:
    """Return in words which constants an energy estimate is made with."""
    return f"{PJ_PER_MAC} pJ a MAC, {PJ_PER_AC[card.network.weight_bits]} pJ an AC: {ENERGY_SOURCE}"


def _hidden_neurons(card: ModelCard) -> FloatArray:
    return np.array([prod(shape) for shape in card.states.values()][:-1], dtype=np.float64)


def fan_out(card: ModelCard) -> list[float]:
    """Return the mean number of synapses that a spike of each hidden layer reaches, borders taken into account.

    Average pools belong to the layer that reads them. An identity skip is one synapse.
    """
    shapes, spec = list(card.states.values()), card.network
    if spec.kind == "conv_snn":
        first, second, dense, classes = shapes
        convolved = _pool(first[1:], 2, 2, 0) * _conv((first[0], *second[1:]), second, 3)
        return [convolved, _pool(second[1:], 2, 2, 0) * dense[0], float(classes[0])]
    hidden = shapes[:-1]
    outputs = card.traces.currents if card.readout == "traces" else len(card.classes)
    block_ends = 2 * np.cumsum(spec.sub_blocks)  # index of each block's last layer; the stem's is 0
    reach = []
    for i, shape in enumerate(hidden):
        read, pooled = shape, 1.0
        if i == 0:
            read = (shape[0], *(-(-size // spec.stem_pool_stride) for size in shape[1:]))
            pooled = _pool(shape[1:], 3, spec.stem_pool_stride, 1)
        following = hidden[i + 1 : i + 3]
        total = _conv(read, following[0], 3) if following else 0.0
        if i % 2 == 0 and following:  # the sub-block's skip ends two layers on
            total += 1.0 if following[1] == read else _conv(read, following[1], 1)
        if i in block_ends[-len(card.read_layers()) :]:
            total += outputs * _pool(shape[1:], spec.final_pool, spec.final_pool, 0)
        reach.append(pooled * total)
    return reach


def _conv(source: Shape, target: Shape, kernel: int) -> float:
    """Return the mean fan-out of a "same"-padded convolution from [C, H, W] to [C', H', W']."""
    strides = (-(-size // out) for size, out in zip(source[1:], target[1:], strict=True))
    windows = zip(source[1:], target[1:], strides, strict=True)
    return target[0] * prod(_taps(size, out, kernel, stride, kernel // 2) / size for size, out, stride in windows)


def _pool(sides: tuple[int, ...], kernel: int, stride: int, padding: int) -> float:
    """Return into how many pooled pixels a pixel falls on average."""
    outs = ((size + 2 * padding - kernel) // stride + 1 for size in sides)
    return prod(_taps(size, out, kernel, stride, padding) / size for size, out in zip(sides, outs, strict=True))


def _taps(size: int, out: int, kernel: int, stride: int, padding: int) -> int:
    """Return how many of the ``out`` windows' taps along one side fall on one of its ``size`` pixels."""
    taps = np.arange(out)[:, None] * stride - padding + np.arange(kernel)
    return int(np.count_nonzero((taps >= 0) & (taps < size)))
