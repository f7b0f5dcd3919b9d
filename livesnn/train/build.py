"""The network that a configuration trains. Not here: which there are (networks.py), training it (trainer.py)."""

from __future__ import annotations

import shutil

import torch

from livesnn.errors import TrainError
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.lif import compiled_kernels
from livesnn.snn.surrogate import Surrogate
from livesnn.train.baselines import Baseline, build_baseline
from livesnn.train.config import TrainConfig
from livesnn.train.flags import flag
from livesnn.train.networks import NETWORKS
from livesnn.train.spike_conv import convolve_spikes

Network = SpikingNetwork | Baseline
"""What `HybridModule` trains."""


def build(config: TrainConfig, classes: tuple[str, ...]) -> Network:
    """Build the network with fresh weights, its neuron as the configuration has it.

    Raises
    ------
    TrainError
        It doesn't fit its input.
    """
    card = config.card(classes)
    if not NETWORKS[config.network].spiking:
        return build_baseline(config.network, card)
    try:
        net = build_network(card)
    except RuntimeError as error:
        given = [
            flag(name)
            for name in ("strides", "final_pool")
            if getattr(config, name) != getattr(TrainConfig, name)
        ]
        if not given:
            raise
        reason = str(error).partition("\n")[0]
        raise TrainError(f"{' or '.join(given)} is too large for this input: {reason}") from error
    net.analog_slope, net.analog_ceiling = config.analog_slope, config.analog_ceiling
    if config.compile:
        convolve_spikes(net)
    if _compiles(config):
        net.kernels = compiled_kernels()
    net.surrogate = Surrogate(config.surrogate, config.surrogate_width, config.surrogate_peak)
    return net


def _compiles(config: TrainConfig) -> bool:
    """Whether the neuron is to be compiled, and can be."""
    return config.compile and (torch.cuda.is_available() or shutil.which("c++") is not None)
