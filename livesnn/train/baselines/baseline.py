"""What all baselines share: a window in, its outputs out, nothing kept. Not here: measuring them (__init__.py)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import State

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
