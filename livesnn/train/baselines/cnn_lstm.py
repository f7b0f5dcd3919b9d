"""CNN+LSTM of Table 1: features of each frame, an LSTM over them; the outputs of all steps vote."""

from __future__ import annotations

from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import channels_last
from livesnn.train.baselines.baseline import Baseline, Convolution, pooled_pixels

UNITS = 256


class CNNLSTM(Baseline):
    """Two convolutions, an LSTM of 256 on their flattened maps, a classifier on its output of every step.

    The paper says "256-256(CNN) + 256(LSTM)" and that outputs of all steps vote; kernels and pools are ours. The LSTM
    reads the maps as they are: that is where most of its weights lie, and what Donahue et al. 2015 do with features.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = Convolution(card.input.channels, first, norm=norm)
        self.second = Convolution(first, second, norm=norm)
        self.lstm = nn.LSTM(second * pooled_pixels(card), UNITS)
        self.dropout = nn.Dropout(card.network.dropout)
        self.classify = nn.Linear(UNITS, len(card.classes))

    def window(self, x: Tensor) -> Tensor:
        """Return [T, B, K] of float x [T, B, C, H, W]."""
        frames = channels_last(x.flatten(0, 1))
        features = self.second(self.first(frames)).flatten(1).unflatten(0, x.shape[:2])
        outputs, _ = self.lstm(features)
        return self.classify(self.dropout(outputs))
