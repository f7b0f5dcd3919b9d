"""Batch-norm statistics are those of the clips they are measured on, whatever a training's batches left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import ModelCard
from livesnn.snn import SpikingNetwork, build_network
from livesnn.train.configuration import Configuration
from livesnn.train.final_weights import measure_norms


def network() -> SpikingNetwork:
    torch.manual_seed(0)
    card: ModelCard = Configuration(width=16, data=Path()).card(tuple("ab"))
    return build_network(card)


def norms(net: SpikingNetwork) -> list[torch.nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def clips(*counts: int) -> list[torch.Tensor]:
    random = np.random.default_rng(3)
    return [torch.from_numpy(random.poisson(0.3, (count, 10, 2, 34, 34)).astype(np.uint8)) for count in counts]


@pytest.mark.slow
def test_the_first_layer_s_statistics_are_those_of_all_its_currents() -> None:
    net, some = network(), clips(4, 4)
    frames = net.scale_input(torch.cat(some).flatten(0, 1))
    first = next(module for module in net.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        currents = first(frames)
    for _ in range(2):  # nothing is left of what was before
        measure_norms(net, some, 0.25)
        norm = norms(net)[0]
        torch.testing.assert_close(norm.running_mean, currents.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(norm.running_var, currents.var((0, 2, 3)), rtol=2e-2, atol=1e-5)


@pytest.mark.slow
def test_every_layer_is_measured_in_the_state_that_clips_before_left() -> None:
    net, some = network(), clips(6, 5)
    measure_norms(net, some, 0.0)
    last = norms(net)[-1].running_mean
    assert last is not None
    carried = last.clone()
    assert torch.isfinite(carried).all()
    assert (carried != 0).any()
    measure_norms(net, some, 1.0)
    assert not torch.allclose(carried, last)


def test_a_measurement_leaves_weights_mode_and_momentum_as_they_were() -> None:
    net = network().train()
    before = {name: tensor.clone() for name, tensor in net.named_parameters()}
    measure_norms(net, clips(3), 0.25)
    assert net.training
    assert all(norm.training and norm.momentum == 0.1 for norm in norms(net))
    for name, tensor in net.named_parameters():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_network_without_norms_has_nothing_to_measure() -> None:
    net = network()
    plain = build_network(replace(net.card, network=replace(net.card.network, norm=False)))
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    measure_norms(plain, clips(2), 0.25)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)
