"""ConvLSTM of Table 1 (Shi et al. 2015): two layers of convolutional LSTM cells; the outputs of all steps vote."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import channels_last
from livesnn.train.baselines.baseline import Baseline, classifier, pooled_pixels


class ConvLSTMLayer(nn.Module):
    """Gates by 3×3 convolutions of input and hidden state; no peepholes, as is usual since.

    The input's convolution runs on all frames at once. Biases as torch's LSTM has them, but for a forget gate's of 1
    (Jozefowicz et al. 2015).
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.of_input = nn.Conv2d(channels, 4 * width, 3, padding=1)
        self.of_hidden = nn.Conv2d(width, 4 * width, 3, padding=1, bias=False)
        with torch.no_grad():
            assert self.of_input.bias is not None
            self.of_input.bias[width : 2 * width] = 1

    def forward(self, x: Tensor) -> Tensor:
        """Return hidden states [T, B, width, H, W] of x [T, B, C, H, W]."""
        currents = self.of_input(channels_last(x.flatten(0, 1)))
        cell, hidden, outputs = None, None, []
        for current in currents.unflatten(0, x.shape[:2]):
            gates = current if hidden is None else current + self.of_hidden(hidden)
            enter, keep, new, leave = gates.chunk(4, dim=1)
            added = enter.sigmoid() * new.tanh()
            cell = added if cell is None else keep.sigmoid() * cell + added
            hidden = leave.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs)


class ConvLSTM(Baseline):
    """ConvLSTM → max pool of 2 → ConvLSTM → max pool of 2 → ConvSNN's head on every step.

    The paper says "256-256"; kernels, pools and head are ours. A norm between the layers would not stand for one
    inside the gates, so it has none in either recipe.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        self.first = ConvLSTMLayer(card.input.channels, first)
        self.second = ConvLSTMLayer(first, second)
        self.classify = classifier(second * pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        """Return [T, B, K] of float x [T, B, C, H, W]."""
        for layer in (self.first, self.second):
            x = F.max_pool2d(layer(x).flatten(0, 1), 2).unflatten(0, x.shape[:2])
        return self.classify(x.flatten(2))
