"""ConvSNN, the smaller network of the paper (Samadzadeh et al., Table 1): two convolutions, two dense layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import ConvNorm, SpikingNetwork, Synapses


class ConvSNN(SpikingNetwork):
    """Conv3×3 → synapse → AvgPool2 → Conv3×3 → synapse → AvgPool2 → FC → synapse → FC → synapse.

    A synapse is what the paper calls the threshold layer of LIF neurons (lif.py).
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        spec = card.network
        norm, threshold = spec.norm, card.neuron.threshold
        self.first = ConvNorm(card.input.channels, spec.widths[0], 3, 1, norm=norm, threshold=threshold)
        self.second = ConvNorm(spec.widths[0], spec.widths[1], 3, 1, norm=norm, threshold=threshold)
        pixels = (card.input.height // 4) * (card.input.width // 4)
        self.hidden = nn.Linear(spec.widths[1] * pixels, spec.hidden)
        self.classify = nn.Linear(spec.hidden, len(card.classes))

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        """Run the network on float x [N, C, H, W]; returns [N, K]."""
        x = F.avg_pool2d(synapses(self.first(x)), 2)
        x = F.avg_pool2d(synapses(self.second(x)), 2)
        x = synapses(self.hidden(x.flatten(1)))
        return synapses(self.classify(x), output=True)
