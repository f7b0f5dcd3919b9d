"""ResNet-18 on each frame, its outputs averaged over the window (paper, Sec. 5: the counterpart on video)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torchvision.models import resnet18

from livesnn.card import ModelCard, NeuronSpec
from livesnn.snn.network import SpikingNetwork, Synapses


class ResNet18(SpikingNetwork):
    """torchvision's, from scratch, in the clothes of a spiking network: no neuron fires, and none remembers.

    He et al. 2016, "Deep Residual Learning for Image Recognition"; stem 7×7 of stride 2 and a max pool, as published.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(replace(card, neuron=NeuronSpec(alpha=0.0), readout="membrane"))
        self.network = resnet18(num_classes=len(card.classes))
        if card.input.channels != 3:
            width = self.network.conv1.out_channels
            self.network.conv1 = torch.nn.Conv2d(card.input.channels, width, 7, 2, 3, bias=False)

    def layer_names(self) -> list[str]:
        """Return the output alone."""
        return ["readout"]

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        """Run the network on float x [N, C, H, W]; returns [N, K]."""
        return synapses(self.network(x), output=True)
