"""CNN of Table 1: a window's frames concatenated as channels, so that it sees all of them at once."""

from __future__ import annotations

from torch import Tensor

from livesnn.card import ModelCard
from livesnn.snn.network import channels_last
from livesnn.train.baselines.baseline import Baseline, Convolution, classifier, pooled_pixels


class CNN(Baseline):
    """Two convolutions and ConvSNN's head; one output a window.

    The paper says "256-256", less than five layers, and how the frames are fed; 3×3 kernels, max pools and the head
    of 128 are ours, so that width and input are all that tells it from ConvSNN.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = Convolution(card.input.window * card.input.channels, first, norm=norm)
        self.second = Convolution(first, second, norm=norm)
        self.classify = classifier(second * pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        """Return [1, B, K] of float x [T, B, C, H, W]."""
        stacked = channels_last(x.transpose(0, 1).flatten(1, 2))
        return self.classify(self.second(self.first(stacked)).flatten(1)).unsqueeze(0)
