"""Artificial networks to compare a spiking one with, on the same frames; they make no model folder.

Of those of Table 1 the paper says how wide the layers are, such as "256-256", and how the frames are fed. The 3×3
kernels, pools and heads are ours, so that only width and input differ from ConvSNN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import State, channels_last, eval_mode
from livesnn.train.batches import AT_ONCE
from livesnn.train.configuration import NetworkName
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import accuracy_recordings, check_clips, confusion, count_recordings

HIDDEN = 128  # Units of the fully connected layer before the classifier, as in ConvSNN
LSTM_UNITS = 256


class Baseline(nn.Module):
    """An artificial network on whole windows, with the interface of a `SpikingNetwork`. Its state is empty.

    Of the card's network it uses `widths`, `norm` and `dropout`, where it has such.
    """

    analog = False

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card

    def window(self, x: Tensor) -> Tensor:
        """Return outputs [T', B, K] of windows, float x [T, B, C, H, W]; T' is T, or 1 if all is seen at once."""
        raise NotImplementedError

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {}

    def initial_state(self, batch: int = 1) -> State:
        return ()

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        spec = self.card.input
        outputs = self.window(frames.float().clamp(max=spec.count_max) * spec.scale)
        return outputs.float(), ()

    def forward_rates(self, frames: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        outputs, state = self(frames, state)
        return outputs, state, outputs.new_zeros(0)


class CNN(Baseline):
    """Table 1's CNN: the frames of a window as channels, two convolutions and ConvSNN's head; one output a window."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = _Convolution(card.input.window * card.input.channels, first, norm=norm)
        self.second = _Convolution(first, second, norm=norm)
        self.classify = _classifier(second * _pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        stacked = channels_last(x.transpose(0, 1).flatten(1, 2))
        return self.classify(self.second(self.first(stacked)).flatten(1)).unsqueeze(0)


class CNNLSTM(Baseline):
    """Table 1's CNN+LSTM: two convolutions, an LSTM of 256 on their flat maps, a classifier at every step.

    The outputs of all steps vote. The LSTM reads the maps as they are, as in Donahue et al. 2015.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = _Convolution(card.input.channels, first, norm=norm)
        self.second = _Convolution(first, second, norm=norm)
        self.lstm = nn.LSTM(second * _pooled_pixels(card), LSTM_UNITS)
        self.dropout = nn.Dropout(card.network.dropout)
        self.classify = nn.Linear(LSTM_UNITS, len(card.classes))

    def window(self, x: Tensor) -> Tensor:
        frames = channels_last(x.flatten(0, 1))
        features = self.second(self.first(frames)).flatten(1).unflatten(0, x.shape[:2])
        outputs, _ = self.lstm(features)
        return self.classify(self.dropout(outputs))


class ConvLSTM(Baseline):
    """Table 1's ConvLSTM (Shi et al. 2015): two layers, each followed by a max pool of 2, and ConvSNN's head.

    The outputs of all steps vote. There is no norm, since one between the layers wouldn't replace one in the gates.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        self.first = ConvLSTMLayer(card.input.channels, first)
        self.second = ConvLSTMLayer(first, second)
        self.classify = _classifier(second * _pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = F.max_pool2d(layer(x).flatten(0, 1), 2).unflatten(0, x.shape[:2])
        return self.classify(x.flatten(2))


class ConvLSTMLayer(nn.Module):
    """LSTM cells whose gates are 3×3 convolutions of input and hidden state; no peepholes, as is now usual.

    The input's convolution runs on all frames at once. Biases are those of torch's LSTM, but the forget gate's is 1
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


class C3D(Baseline):
    """Table 1's C3D (Tran et al. 2015), two convolutions deep; one output a window.

    Conv3×3×3 → pool 1×2×2 → Conv3×3×3 → pool 2×2×2 → ConvSNN's head. Kernels and pools are C3D's first two stages.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = nn.Conv3d(card.input.channels, first, 3, padding=1, bias=not norm)
        self.second = nn.Conv3d(first, second, 3, padding=1, bias=not norm)
        self.norms = nn.ModuleList(nn.BatchNorm3d(width) if norm else nn.Identity() for width in card.network.widths)
        self.classify = _classifier(second * (card.input.window // 2) * _pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        x = x.permute(1, 2, 0, 3, 4).contiguous()
        x = F.relu(F.max_pool3d(self.norms[0](self.first(x)), (1, 2, 2)))
        x = F.relu(F.max_pool3d(self.norms[1](self.second(x)), 2))
        return self.classify(x.flatten(1)).unsqueeze(0)


class ResNet18(Baseline):
    """ResNet-18 (He et al. 2016) from scratch on each frame; the window has the mean output (paper, Section 5)."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        from torchvision.models import resnet18  # a second

        self.network = resnet18(num_classes=len(card.classes))
        if (channels := card.input.channels) != 3:
            self.network.conv1 = nn.Conv2d(channels, self.network.conv1.out_channels, 7, 2, 3, bias=False)

    def window(self, x: Tensor) -> Tensor:
        frames = channels_last(x.flatten(0, 1))
        return self.network(frames).unflatten(0, x.shape[:2])


class _Convolution(nn.Module):
    """Conv3×3 → batch norm if asked for → max pool of 2 → ReLU, on [N, C, H, W].

    A ReLU after the pool gives the same as one before it, on a quarter of the pixels.
    """

    def __init__(self, channels: int, width: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, H // 2, W // 2]."""
        return F.relu(F.max_pool2d(self.norm(self.conv(x)), 2))


def _classifier(features: int, card: ModelCard) -> nn.Module:
    """Return ConvSNN's head on [N, features]: FC(128) → ReLU → dropout → FC(classes)."""
    hidden, last = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, len(card.classes))
    return nn.Sequential(hidden, nn.ReLU(), nn.Dropout(card.network.dropout), last)


def _pooled_pixels(card: ModelCard) -> int:
    return (card.input.height // 4) * (card.input.width // 4)


BASELINES: dict[NetworkName, type[Baseline]] = {
    "cnn": CNN,
    "cnn_lstm": CNNLSTM,
    "conv_lstm": ConvLSTM,
    "c3d": C3D,
    "resnet18": ResNet18,
}


@dataclass(frozen=True)
class Measured:
    """Accuracies of a baseline, as fractions 0 to 1.

    ``accuracy_reset`` is over ``n`` clips, ``accuracy_recordings`` over ``recordings`` by the mean output of their
    clips. In ``confusion`` rows are true classes and columns decisions.
    """

    n: int
    accuracy_reset: float
    recordings: int
    accuracy_recordings: float | None
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


@torch.no_grad()
def measure_baseline(net: Baseline, clips: Clips) -> Measured:
    """Decide each clip by its mean output, and each recording by the mean output of its clips.

    It runs on a GPU if there is one. Raises DataError like `evaluate`.
    """
    check_clips(net.card, clips)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    means = []
    with eval_mode(net):
        for first in range(0, len(clips), AT_ONCE):
            frames = torch.from_numpy(np.asarray(clips.frames[first : first + AT_ONCE])).to(device)
            means.append(net(frames.transpose(0, 1), ())[0].mean(0).cpu())
    outputs = torch.cat(means).numpy()
    decided = outputs.argmax(1)
    return Measured(
        n=len(clips),
        accuracy_reset=float((decided == clips.labels).mean()),
        recordings=count_recordings(clips),
        accuracy_recordings=accuracy_recordings(clips, outputs),
        classes=clips.classes,
        confusion=confusion(clips.labels, decided, len(clips.classes)),
    )
