"""Counting a network's parameters and operations, ANN and spiking network alike. Not here: speed, energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.snn.network import eval_mode
from livesnn.train.start import Network

_COUNTED = (nn.Conv2d, nn.Conv3d, nn.Linear, nn.LSTM)


class Operations(NamedTuple):
    """Trainable parameters; and what one clip of T frames takes, the mean of those that were counted.

    ``macs``: multiply-accumulates of all convolutions, fully connected layers and LSTMs, a padded border's too, as is
    usual. ``synops``: those of them whose input isn't zero; of an LSTM's hidden state and of an input picture as well
    ("effective synaptic operations", NeuroBench, Yik et al. 2023). Norms fold away; pools, biases and the neurons'
    own arithmetic aren't counted. `livesnn.infer.operations` counts a spike's synapses instead, through the pools.
    """

    parameters: int
    macs: float
    synops: float


def count_operations(net: Network, frames: Tensor) -> Operations:
    """Count on clips uint8 [B, T, C, H, W], each from zero state."""
    totals = [0, 0.0]
    state = net.initial_state(len(frames))  # which runs a spiking network once, for its shapes
    with eval_mode(net), torch.no_grad(), _hooked(net, totals):
        net.forward_rates(frames.transpose(0, 1), state)
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return Operations(parameters, totals[0] / len(frames), totals[1] / len(frames))


@contextmanager
def _hooked(net: nn.Module, totals: list[float]) -> Iterator[None]:
    """Add each counted layer's MACs and synops to ``totals`` while open."""

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        for k, count in enumerate(_of_layer(layer, inputs[0], output)):
            totals[k] += count

    layers = [layer for layer in net.modules() if isinstance(layer, _COUNTED)]
    handles = [layer.register_forward_hook(add) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _of_layer(layer: nn.Module, x: Tensor, output: object) -> tuple[int, float]:
    """Return the MACs and synops of one call."""
    if isinstance(layer, nn.LSTM):
        return _of_lstm(layer, x, output)
    assert isinstance(output, Tensor)
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features, float(x.count_nonzero()) * layer.out_features
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    convolve: Callable[..., Tensor] = F.conv2d if isinstance(layer, nn.Conv2d) else F.conv3d
    active = (x != 0).sum(1, keepdim=True).float()
    ones = torch.ones(1, 1, *layer.kernel_size, device=x.device)
    taps = convolve(active, ones, None, layer.stride, layer.padding).sum(dtype=torch.float64)
    assert layer.groups == 1
    return output.numel() * layer.weight[0].numel(), float(taps) * layer.out_channels


def _of_lstm(layer: nn.LSTM, x: Tensor, output: object) -> tuple[int, float]:
    """Count a single layer, time first: its input and its hidden state meet the weights of four gates."""
    assert isinstance(output, tuple)
    assert (layer.num_layers, layer.bidirectional, layer.batch_first) == (1, False, False)
    hidden: Tensor = output[0]
    gates = 4 * layer.hidden_size
    steps = x.shape[0] * x.shape[1]
    active = x.count_nonzero() + hidden[:-1].count_nonzero()  # the first step has no hidden state
    return steps * (layer.input_size + layer.hidden_size) * gates, float(active) * gates
