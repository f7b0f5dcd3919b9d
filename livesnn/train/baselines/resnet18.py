"""ResNet-18 on each frame, its outputs averaged over the window (paper, Sec. 5: the counterpart on video)."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import ResNet, resnet18

from livesnn.card import ModelCard
from livesnn.snn.network import channels_last
from livesnn.train.baselines.baseline import Baseline


class ResNet18(Baseline):
    """torchvision's, from scratch.

    He et al. 2016, "Deep Residual Learning for Image Recognition"; stem 7×7 of stride 2 and a max pool, as published.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.network = resnet_of(card.input.channels, len(card.classes))

    def window(self, x: Tensor) -> Tensor:
        """Return [T, B, K] of float x [T, B, C, H, W]."""
        frames = channels_last(x.flatten(0, 1))
        return self.network(frames).unflatten(0, x.shape[:2])


def resnet_of(channels: int, classes: int) -> ResNet:
    """Return ResNet-18 with fresh weights, for pictures of so many channels."""
    network = resnet18(num_classes=classes)
    if channels != 3:
        network.conv1 = nn.Conv2d(channels, network.conv1.out_channels, 7, 2, 3, bias=False)
    return network
