"""The network that a training builds, of any kind, and the names of its parts."""

from __future__ import annotations

import shutil
from dataclasses import replace

import torch

from livesnn.errors import ModelError, TrainError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import weights_of, with_weights
from livesnn.snn.lif import Surrogate, compiled_kernels
from livesnn.train.baselines import BASELINES, Baseline
from livesnn.train.configuration import NETWORKS, Configuration
from livesnn.train.spike_conv import convolve_spikes

Network = SpikingNetwork | Baseline  # What `HybridModule` trains

HEAD = "classify."  # Prefix of the names of the last layer's tensors, whose first axis is the classes

READ_OUT = ("read_out.", HEAD)  # Prefixes of the names of a read-out's tensors


def build(config: Configuration, classes: tuple[str, ...]) -> Network:
    """Build the configured network with random weights; raises TrainError if it doesn't fit its input."""
    card = config.card(classes)
    if not NETWORKS[config.network].spiking:
        return BASELINES[config.network](card)
    try:
        net = build_network(card)
    except ModelError as error:
        raise TrainError(f"--strides or --final-pool is too large for this input: {error}") from error
    net.analog_slope, net.analog_ceiling = config.analog_slope, config.analog_ceiling
    if config.compile:
        convolve_spikes(net)
        if torch.cuda.is_available() or shutil.which("c++") is not None:
            net.kernels = compiled_kernels()
    net.surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
    return net


def with_classes(net: Network, classes: tuple[str, ...]) -> Network:
    """Return the network without the outputs behind those of its first ``classes``, which only training needs."""
    if net.card.classes == classes:
        return net
    assert isinstance(net, SpikingNetwork)  # baselines have no others
    weights = weights_of(net)
    head = {name: array[: len(classes)] for name, array in weights.items() if name.startswith(HEAD)}
    return with_weights(build_network(replace(net.card, classes=classes)), weights | head, where=net.card.name)
