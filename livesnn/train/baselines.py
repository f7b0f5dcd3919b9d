"""What a spiking network is compared with, or taught by, on the same frames: ANNs, which make no model folder."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18

from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.snn.network import State, channels_last, eval_mode
from livesnn.train.configuration import NetworkName
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import accuracy_recordings, confusion, count_recordings

_CLASSES = {
    "cnn": "CNN",
    "cnn_lstm": "CNNLSTM",
    "conv_lstm": "ConvLSTM",
    "c3d": "C3D",
    "resnet18": "ResNet18",
    "resnet18_stacked": "ResNet18Stacked",
}
AT_ONCE = 50
"""Clips."""


@dataclass(frozen=True)
class Measured:
    """Accuracies, fractions 0..1: of ``n`` clips, and of ``recordings`` by the mean output of their clips.

    ``confusion``: rows are true classes, columns decisions.
    """

    n: int
    accuracy_reset: float
    recordings: int
    accuracy_recordings: float | None
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def build_baseline(name: NetworkName, card: ModelCard) -> Baseline:
    """Build a baseline with fresh weights, for the input and the classes of a card."""
    built: Baseline = getattr(import_module(f"livesnn.train.baselines.{name}"), _CLASSES[name])(card)
    return built


def measure_baseline(net: Baseline, clips: Clips) -> Measured:
    """Decide each clip by its mean output, and each recording by that of its clips.

    Raises
    ------
    DataError
        There are no clips, or of other classes.
    """
    if not len(clips) or clips.classes != net.card.classes:
        raise DataError(f"{len(clips)} clips of {clips.classes}, but the network knows {net.card.classes}")
    outputs = _mean_outputs(net, clips)
    decided = outputs.argmax(1)
    return Measured(
        n=len(clips),
        accuracy_reset=float((decided == clips.labels).mean()),
        recordings=count_recordings(clips),
        accuracy_recordings=accuracy_recordings(clips, outputs),
        classes=clips.classes,
        confusion=confusion(clips.labels, decided, len(clips.classes)),
    )


@torch.no_grad()
def _mean_outputs(net: Baseline, clips: Clips) -> npt.NDArray[np.float32]:
    """Return float32 [N, K] over each clip's frames; on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net.to(device)
    means = []
    with eval_mode(net):
        for first in range(0, len(clips), AT_ONCE):
            frames = torch.from_numpy(np.asarray(clips.frames[first : first + AT_ONCE])).to(device)
            outputs, _ = net(frames.transpose(0, 1), ())
            means.append(outputs.mean(0).cpu())
    means_of_all: npt.NDArray[np.float32] = torch.cat(means).numpy()
    return means_of_all


HIDDEN = 128
"""Units of the fully connected layer before the classifier, as in ConvSNN."""


class Baseline(nn.Module):
    """An ANN on whole windows, driven as a `SpikingNetwork` is. Its state is empty: every window stands alone.

    Parameters
    ----------
    card
        Input and classes; of its network `widths`, `norm` and `dropout`, where the baseline has such.
    """

    analog = False

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card

    def window(self, x: Tensor) -> Tensor:
        """Return outputs [T', B, K] of windows, float x [T, B, C, H, W]; T' is T or, where all is seen at once, 1."""
        raise NotImplementedError

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return none."""
        return {}

    def initial_state(self, batch: int = 1) -> State:
        """Return the empty state."""
        return ()

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Return outputs float32 [T', B, K] of uint8 [T, B, C, H, W], and the empty state."""
        spec = self.card.input
        outputs = self.window(frames.float().clamp(max=spec.count_max) * spec.scale)
        return outputs.float(), ()

    def forward_rates(self, frames: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        """Return what `forward` does, and no rates [0]: no neuron spikes."""
        outputs, state = self(frames, state)
        return outputs, state, outputs.new_zeros(0)


class Convolution(nn.Module):
    """Conv3×3 → batch norm if asked for → max pool of 2 → ReLU, on [N, C, H, W].

    Max pools, where ConvSNN has average ones for the sake of its spikes: what ANNs of this kind have. The ReLU behind
    the pool gives what one before it would, on a quarter of the pixels.
    """

    def __init__(self, channels: int, width: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, width, H // 2, W // 2]."""
        return F.relu(F.max_pool2d(self.norm(self.conv(x)), 2))


def classifier(features: int, card: ModelCard) -> nn.Module:
    """Return FC(128) → ReLU → dropout → FC(classes), ConvSNN's head, on [N, features]."""
    hidden = nn.Linear(features, HIDDEN)
    return nn.Sequential(
        hidden, nn.ReLU(), nn.Dropout(card.network.dropout), nn.Linear(HIDDEN, len(card.classes))
    )


def pooled_pixels(card: ModelCard) -> int:
    """Return the pixels that are left of the input after two pools of 2."""
    return (card.input.height // 4) * (card.input.width // 4)


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


class C3D(Baseline):
    """Conv3×3×3 → pool 1×2×2 → Conv3×3×3 → pool 2×2×2 → ConvSNN's head; one output a window.

    The paper says "256-256" and that frames are stacked in the third dimension; kernels and pools are C3D's first two
    stages', the head is ours.
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        first, second = card.network.widths
        norm = card.network.norm
        self.first = nn.Conv3d(card.input.channels, first, 3, padding=1, bias=not norm)
        self.second = nn.Conv3d(first, second, 3, padding=1, bias=not norm)
        self.norms = nn.ModuleList(
            nn.BatchNorm3d(width) if norm else nn.Identity() for width in card.network.widths
        )
        self.classify = classifier(second * (card.input.window // 2) * pooled_pixels(card), card)

    def window(self, x: Tensor) -> Tensor:
        """Return [1, B, K] of float x [T, B, C, H, W]."""
        x = x.permute(1, 2, 0, 3, 4).contiguous()
        x = F.relu(F.max_pool3d(self.norms[0](self.first(x)), (1, 2, 2)))
        x = F.relu(F.max_pool3d(self.norms[1](self.second(x)), 2))
        return self.classify(x.flatten(1)).unsqueeze(0)


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


class ResNet18Stacked(Baseline):
    """torchvision's, from scratch; one output a window. Not of the paper: there ResNet-18 sees each frame alone."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.network = resnet_of(card.input.window * card.input.channels, len(card.classes))

    def window(self, x: Tensor) -> Tensor:
        """Return [1, B, K] of float x [T, B, C, H, W]."""
        return self.network(channels_last(x.transpose(0, 1).flatten(1, 2))).unsqueeze(0)
