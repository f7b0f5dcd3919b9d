"""ResNet-18 on a window's frames as channels, all of them at once. Not here: teaching (teacher.py)."""

from __future__ import annotations

from torch import Tensor

from livesnn.card import ModelCard
from livesnn.snn.network import channels_last
from livesnn.train.baselines.baseline import Baseline
from livesnn.train.baselines.resnet18 import resnet_of


class ResNet18Stacked(Baseline):
    """torchvision's, from scratch; one output a window. Not of the paper: there ResNet-18 sees each frame alone."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.network = resnet_of(card.input.window * card.input.channels, len(card.classes))

    def window(self, x: Tensor) -> Tensor:
        """Return [1, B, K] of float x [T, B, C, H, W]."""
        return self.network(channels_last(x.transpose(0, 1).flatten(1, 2))).unsqueeze(0)
