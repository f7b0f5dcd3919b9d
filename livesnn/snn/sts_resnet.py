"""STS-ResNet, the paper's residual network (Samadzadeh et al., Fig. 5 and Sec. 4.2). Its steps are in network.py.

    frame [C, H, W] → Conv7×7 → synapse → AvgPool3×3 → block 1..4 → concat(block 3, block 4), pooled → FC → synapse
    block     = sub-blocks, two of them in the paper
    sub-block = Conv3×3 → synapse → Conv3×3 → (+ skip) → synapse → dropout

A synapse is a layer of LIF neurons (lif.py). Sizes and strides are in the card's `NetworkSpec`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import ConvNorm, ShapeProbe, SpikingNetwork, Synapses, eval_mode


class SubBlock(nn.Module):
    """Conv3×3 → synapse → Conv3×3 (+ skip) → synapse → dropout.

    The second convolution reads the spikes of the first synapse. The skip is the identity, or a 1×1 convolution
    where width or stride change.
    """

    def __init__(
        self, channels: int, width: int, stride: int, *, dropout: float, norm: bool, threshold: float
    ) -> None:
        super().__init__()
        self.first = ConvNorm(channels, width, 3, stride, norm=norm, threshold=threshold)
        self.second = ConvNorm(width, width, 3, 1, norm=norm, threshold=threshold)
        self.skip = (
            nn.Identity()
            if channels == width and stride == 1
            else ConvNorm(channels, width, 1, stride, norm=norm, threshold=threshold)
        )
        self.dropout = dropout

    def forward(self, x: Tensor, synapses: Synapses) -> Tensor:
        """Return the spikes [N, width, H', W'] of x [N, channels, H, W]."""
        inner = synapses(self.first(x))
        outer = synapses(self.second(inner) + self.skip(x))
        return synapses.dropout(outer, self.dropout)


class STSResNet(SpikingNetwork):
    """Stem, four blocks of sub-blocks, and a classifier on the outputs of blocks 3 and 4, concatenated."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        spec = card.network
        norm, threshold = spec.norm, card.neuron.threshold
        self.stem = ConvNorm(
            card.input.channels,
            spec.widths[0],
            spec.stem_kernel,
            spec.stem_stride,
            norm=norm,
            threshold=threshold,
        )
        channels = spec.widths[0]
        blocks = []
        for width, stride, count in zip(spec.widths, spec.strides, spec.sub_blocks, strict=True):
            sub_blocks = []
            for i in range(count):
                step = stride if i == 0 else 1
                sub_blocks.append(
                    SubBlock(channels, width, step, dropout=spec.dropout, norm=norm, threshold=threshold)
                )
                channels = width
            blocks.append(nn.ModuleList(sub_blocks))
        self.blocks = nn.ModuleList(blocks)
        with eval_mode(self), torch.no_grad():
            zeros = torch.zeros(1, card.input.channels, card.input.height, card.input.width)
            features = self._features(zeros, ShapeProbe()).shape[1]
        self.classify = nn.Linear(features, len(card.classes))

    def layer_names(self) -> list[str]:
        """Return "stem", "block<k>.<i>.first" and ".second" (k, i from 1), "readout"."""
        inner = [
            f"block{k}.{i}.{which}"
            for k, block in enumerate(self.blocks, 1)
            for i, _ in enumerate(block, 1)  # type: ignore[arg-type]
            for which in ("first", "second")
        ]
        return ["stem", *inner, "readout"]

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        """Run the network on float x [N, C, H, W]; returns [N, K]."""
        return synapses(self.classify(self._features(x, synapses)), output=True)

    def _features(self, x: Tensor, synapses: Synapses) -> Tensor:
        spec = self.card.network
        x = synapses(self.stem(x))
        x = F.avg_pool2d(x, 3, spec.stem_pool_stride, padding=1)
        taps = []
        for block in self.blocks:
            for sub_block in block:  # type: ignore[attr-defined]
                x = sub_block(x, synapses)
            taps.append(x)
        pooled = [F.avg_pool2d(tap, spec.final_pool) for tap in taps[-2:]]
        return torch.cat([tap.flatten(1) for tap in pooled], dim=1)
