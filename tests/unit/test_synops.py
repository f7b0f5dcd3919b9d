"""Synaptic operations by formula equal those counted by convolving ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule, TraceSpec
from livesnn.infer.cost import energy_constants, energy_estimate_uj, fan_out, macs, mean_density
from livesnn.snn import build_network

INPUT = InputSpec(34, 34, SliceRule(delta_t_us=1))
CARD = ModelCard("m", tuple("abc"), INPUT, NetworkSpec(widths=(4, 4, 6, 6), strides=(1, 1, 2, 1)))


def card(base: ModelCard) -> ModelCard:
    return replace(base, states=build_network(base).state_shapes())


def counted(source: tuple[int, ...], target: tuple[int, ...], kernel: int, stride: int) -> float:
    """Return the mean over source neurons of the targets each reaches, by the gradient of a convolution of ones."""
    x = torch.ones(1, *source, requires_grad=True)
    F.conv2d(x, torch.ones(target[0], source[0], kernel, kernel), stride=stride, padding=kernel // 2).sum().backward()
    assert x.grad is not None
    return float(x.grad.mean())


def covered(sides: tuple[int, ...], kernel: int, stride: int, padding: int) -> float:
    """Return the mean over pixels of the average-pool windows each falls into."""
    x = torch.ones(1, 1, *sides, requires_grad=True)
    (F.avg_pool2d(x, kernel, stride, padding) * kernel**2).sum().backward()
    assert x.grad is not None
    return float(x.grad.mean())


def test_fan_out_counts_borders_strides_pools_and_skips() -> None:
    full = card(CARD)
    shapes, reach = list(full.states.values()), fan_out(full)
    behind = counted((4, 9, 9), shapes[1], 3, 1) + 1  # a pooled pixel's convolution and identity skip
    assert reach[0] == pytest.approx(covered((17, 17), 3, 2, 1) * behind)
    assert reach[1] == pytest.approx(counted(shapes[1], shapes[2], 3, 1))
    assert reach[2] == pytest.approx(counted(shapes[2], shapes[3], 3, 1) + 1)  # and the identity skip
    # block 2's last layer enters block 3, which is wider and strided: its skip is a 1×1 convolution
    strided = counted(shapes[8], shapes[9], 3, 2) + counted(shapes[8], shapes[10], 1, 2)
    assert reach[8] == pytest.approx(strided)
    # block 3's last layer is also read by the classifier, and block 4's by nothing else
    classified = 3 * covered((5, 5), 3, 3, 0)
    assert reach[12] == pytest.approx(counted(shapes[12], shapes[13], 3, 1) + 1 + classified)
    assert reach[16] == pytest.approx(classified)


def test_mean_density_weighs_layers_by_their_neurons() -> None:
    full = card(CARD)
    density = np.zeros(len(full.states) - 1)
    density[0] = 1.0
    sizes = [np.prod(shape) for shape in full.states.values()][:-1]
    assert mean_density(density, full) == pytest.approx(sizes[0] / sum(sizes))


def test_a_conv_snn_has_a_fan_out_too() -> None:
    full = card(replace(CARD, network=NetworkSpec("conv_snn", widths=(4, 4), hidden=7)))
    first, second, hidden = fan_out(full)
    assert first == pytest.approx(counted((4, 17, 17), (4, 17, 17), 3, 1))
    assert second == pytest.approx(7 * covered((17, 17), 2, 2, 0))
    assert hidden == 3


def test_multiplications_are_counted_for_every_value_that_is_not_zero() -> None:
    full = card(CARD)
    reach = counted((2, 34, 34), full.states["stem"], 7, 2)
    assert macs(100, full) == pytest.approx(100 * reach)
    flat = card(replace(CARD, network=NetworkSpec("conv_snn", widths=(4, 4), hidden=7)))
    assert macs(100, flat) == pytest.approx(100 * counted((2, 34, 34), (4, 34, 34), 3, 1))
    assert macs(0, full) == 0


def test_the_dense_layers_of_a_read_out_of_traces_multiply_in_every_frame() -> None:
    traces = TraceSpec((0.5, 0.9), members=3, width=5, hidden=7)
    read = card(replace(CARD, readout="traces", traces=traces))
    assert macs(0, read) == 3 * (2 * 5 * 7 + 7 * len(CARD.classes))
    mixed = replace(read, traces=replace(traces, mixed=True))
    assert macs(0, mixed) - macs(0, read) == 3 * 5 * 2 * 2
    assert macs(100, read) - macs(0, read) == pytest.approx(macs(100, card(CARD)))


def test_a_frame_costs_4_6_pj_a_multiplication_and_by_its_bits_an_addition() -> None:
    floats, whole = card(CARD), card(replace(CARD, network=replace(CARD.network, weight_bits=8)))
    assert energy_estimate_uj(1e6, 2e6, floats) == pytest.approx(4.6 + 1.8)
    assert energy_estimate_uj(1e6, 2e6, whole) == pytest.approx(4.6 + 0.2)
    assert "0.9 pJ an AC" in energy_constants(floats)
    assert "Horowitz" in energy_constants(whole)
