"""A network of random weights whose layers all spike at a given density on given frames.

torch is imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.events.slicer import Frame

if TYPE_CHECKING:
    from torch import Tensor

    from livesnn.snn import SpikingNetwork

CLASSES = tuple("abcdefghijk")
SLICE = SliceRule(n_events=1000)
HALVINGS = 30
"""Most halvings in the search for a layer's shift."""
SETTLING = 10
"""First frames, whose spikes don't count: membranes start at zero, and it takes some frames to settle."""
CLOSE = 0.01
"""Relative error of the density at which the search ends."""


def card_of(side: int, weight_bits: int, *, width: int = 64) -> ModelCard:
    """Return the card of an STS-ResNet of 18 layers on square frames of a thousand events."""
    network = NetworkSpec(widths=(width,) * 4, dropout=0.0, weight_bits=8 if weight_bits == 8 else 32)
    spec = InputSpec(side, side, SLICE, scale=0.25)
    return ModelCard(name=f"density-{weight_bits}", classes=CLASSES, input=spec, network=network)


def write_levelled(folder: Path, card: ModelCard, frames: Sequence[Frame], target: float) -> None:
    """Write a model folder of random weights whose layers have the density ``target`` on the frames.

    The density is that after the first `SETTLING` frames, from zero state. All layers share one threshold, so the
    bias of each layer's batch norm is set: it raises or lowers the layer's membranes.
    """
    import torch

    from livesnn.onnx_graph import write_model
    from livesnn.snn import build_network
    from livesnn.snn.checkpoint import onnx_step, weights_of

    torch.manual_seed(0)
    net = build_network(card)
    counts = torch.from_numpy(np.stack([frame.data for frame in frames]))
    with torch.no_grad():
        _level(net, counts, target)
    card = replace(net.card, states=net.state_shapes())
    write_model(folder, weights_of(net), onnx_step(net), card)


def _level(net: SpikingNetwork, counts: Tensor, target: float) -> None:
    """Set batch norms to the statistics of the frames, uint8 [T, C, H, W], and to biases that give the density.

    Two passes: the first gives the statistics, and the second runs the rounded weights of inference.
    """
    from torch import nn

    from livesnn.snn.checkpoint import without_norm

    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 1.0
    net.train()
    _lift(net, _shifts(net, counts, target))
    net.eval()
    _lift(net, _shifts(without_norm(net), counts, target))


def _lift(net: SpikingNetwork, shifts: Sequence[float]) -> None:
    """Add a shift to the currents of each hidden layer."""
    weights = dict(net.named_parameters())
    blocks = [name.removesuffix("conv.weight") for name in weights if name.startswith("blocks.")]
    layers = [name for name in blocks if name.endswith((".first.", ".second."))]
    for layer, shift in zip(["stem.", *layers], shifts, strict=True):
        weights[f"{layer}norm.bias"].add_(shift)


def _shifts(net: SpikingNetwork, counts: Tensor, target: float) -> list[float]:
    """Return the shift of each hidden layer's currents, given that earlier layers are shifted already."""
    levelling = _Levelling(net, len(counts), target)
    net.layers(net.scale_input(counts), levelling)
    return levelling.shifts


class _Levelling:
    """Synapses of T successive frames [T, …] that shift each layer's currents to the target density."""

    def __init__(self, net: SpikingNetwork, steps: int, target: float) -> None:
        self._net, self._steps, self._target = net, steps, target
        self.shifts: list[float] = []

    def __call__(self, current: Tensor, *, output: bool = False) -> Tensor:
        """Return the spikes of the next layer, or the currents of the last."""
        from livesnn.snn.lif import EAGER, lif_sequence

        if output:
            return current
        self.shifts.append(self._shift(current.reshape(self._steps, -1).numpy()))
        silent = current.new_zeros(current.shape[1:])
        synapse = self._net.synapse(len(self.shifts) - 1)
        return lif_sequence(current + self.shifts[-1], silent, synapse, EAGER)[0]

    def dropout(self, x: Tensor, p: float) -> Tensor:
        return x

    def _shift(self, currents: npt.NDArray[np.float32]) -> float:
        """Return the shift of currents [T, neurons] that comes nearest to the target density, by bisection."""
        neuron = self._net.card.neuron
        none = neuron.threshold * (1 - neuron.alpha) - float(currents.max())
        every = neuron.threshold - float(currents.min())
        if self._target >= 1:
            return every + neuron.threshold
        rule = np.float32(neuron.alpha), np.float32(neuron.threshold), neuron.reset
        tried: dict[float, float] = {}
        for _ in range(HALVINGS):
            shift = (none + every) / 2
            tried[shift] = _density(currents, np.float32(shift), *rule)
            if abs(tried[shift] - self._target) <= CLOSE * self._target:
                break
            none, every = (none, shift) if tried[shift] > self._target else (shift, every)
        return min(tried, key=lambda shift: abs(tried[shift] - self._target))


@njit(cache=True)
def _density(currents, shift, alpha, threshold, resets):  # type: ignore[no-untyped-def]
    """Return the spikes a neuron and step of shifted currents float32 [T, neurons], after the first `SETTLING`."""
    steps, neurons = currents.shape
    membranes, spikes = np.zeros(neurons, np.float32), 0
    for t in range(steps):
        for i in range(neurons):
            kept = membranes[i]
            if resets and kept >= threshold:
                kept = np.float32(0)
            membranes[i] = currents[t, i] + shift + alpha * kept
            spikes += t >= SETTLING and membranes[i] >= threshold
    return spikes / ((steps - SETTLING) * neurons)
