"""STS-ResNet, the paper's residual network (Samadzadeh et al., Fig. 5 and Sec. 4.2), and its smaller ConvSNN.

    frame [C, H, W] → Conv7×7 → synapse → AvgPool3×3 → block 1..4 → concat(block 3, block 4), pooled → FC → synapse
    block     = sub-blocks, two of them in the paper
    sub-block = Conv3×3 → synapse → Conv3×3 → (+ skip) → synapse → dropout

A synapse is a layer of LIF neurons (lif.py), the paper's threshold layer. Sizes and strides are in the card's
`NetworkSpec`. What the networks share is in network.py.
"""

from __future__ import annotations

from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.network import ConvNorm, FrameSequence, SpikingNetwork, Synapses

HIDDEN_DROPOUT = 0.3  # Share of a trace read-out's hidden units that are dropped in training


class SubBlock(nn.Module):
    """Conv3×3 → synapse → Conv3×3 (+ skip) → synapse → dropout.

    The second convolution reads the spikes of the first synapse. The skip is the identity, or a 1×1 convolution
    where width or stride change.
    """

    def __init__(
        self, channels: int, width: int, stride: int, *, dropout: float, norm: bool, threshold: float
    ) -> None:
        super().__init__()
        convolution = partial(ConvNorm, norm=norm, threshold=threshold)
        self.first, self.second = convolution(channels, width, 3, stride), convolution(width, width, 3, 1)
        same = channels == width and stride == 1
        self.skip = nn.Identity() if same else convolution(channels, width, 1, stride)
        self.dropout = dropout

    def forward(self, x: Tensor, synapses: Synapses) -> Tensor:
        """Return the spikes [N, width, H', W'] of x [N, channels, H, W]."""
        inner = synapses(self.first(x))
        outer = synapses(self.second(inner) + self.skip(x))
        return synapses.dropout(outer, self.dropout)


class TraceReadOut(nn.Module):
    """A read-out with a memory (`TraceSpec`), in place of the paper's. It reads the pooled spikes s[t] of all blocks.

        U[t, k] = α[k] · U[t−1, k] + (1 − α[k]) · (P · s[t] + p)        leaky traces, for each decay α[k]
        y[t] = C · max(H · norm(U[t]) + h, 0) + c

    Where the card says so, each member mixes its decays before they are normalised: norm(M · U[t]), M of K × K.
    All traces of a member are normalised together (layer norm; Ba, Kiros & Hinton 2016), so that the output depends
    little on how many spikes there are. The outputs of M members are averaged. Each begins with weights of its own,
    and is wrong about other things (Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty
    estimation using deep ensembles").
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        spec = card.traces
        traced = len(spec.alphas) * spec.width
        self.members = spec.members
        self.project = nn.Linear(sum(map(prod, card.pooled_shapes())), spec.currents)
        weight = torch.empty(spec.members, traced, spec.hidden).uniform_(-(traced**-0.5), traced**-0.5)
        self.hidden_weight = nn.Parameter(weight)
        self.hidden_bias = nn.Parameter(torch.zeros(spec.members, 1, spec.hidden))
        decays = len(spec.alphas)  # a mix begins with the difference of each trace from the next slower one
        mix = (torch.eye(decays) - torch.eye(decays + 1)[:-1, 1:]).repeat(spec.members, 1, 1)
        self.mix: nn.Parameter | None
        self.register_parameter("mix", nn.Parameter(mix) if spec.mixed else None)
        self.decay: Tensor
        self.register_buffer("decay", torch.tensor(spec.alphas)[:, None], persistent=False)

    def forward(self, pooled: Tensor, synapses: Synapses) -> Tensor:
        """Return the hidden units [N, M·H] for pooled spikes [N, F]."""
        current = self.project(pooled).reshape(len(pooled), self.members, 1, -1)
        traces = synapses.traces(current, self.decay)
        if self.mix is not None:
            traces = self.mix @ traces
        traces = traces.flatten(2).transpose(0, 1)  # [M, N, K·D]
        normed = F.layer_norm(traces, traces.shape[-1:])
        units = F.relu(normed @ self.hidden_weight + self.hidden_bias).transpose(0, 1).flatten(1)
        return F.dropout(units, HIDDEN_DROPOUT, self.training)


class STSResNet(SpikingNetwork):
    """Stem, four blocks of sub-blocks, and a classifier or a `TraceReadOut` on the blocks' outputs, concatenated."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        spec = card.network
        channels, norm, threshold = spec.widths[0], spec.norm, card.neuron.threshold
        kernel, stride = spec.stem_kernel, spec.stem_stride
        self.stem = ConvNorm(card.input.channels, channels, kernel, stride, norm=norm, threshold=threshold)
        self.blocks = nn.ModuleList()
        for width, stride, count in zip(spec.widths, spec.strides, spec.sub_blocks, strict=True):
            sub_blocks = nn.ModuleList()
            for i in range(count):
                step = 1 if i else stride
                sub_blocks.append(
                    SubBlock(channels, width, step, dropout=spec.dropout, norm=norm, threshold=threshold)
                )
                channels = width
            self.blocks.append(sub_blocks)
        features = sum(map(prod, card.pooled_shapes()))
        if card.readout == "traces":
            self.read_out, features = TraceReadOut(card), card.traces.members * card.traces.hidden
        self.classify = nn.Linear(features, len(card.classes))

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        pooled = self._features(x, synapses)
        if self.card.readout == "traces":
            return self.classify(self.read_out(pooled, synapses))
        return synapses(self.classify(pooled), output=True)

    def member_outputs(self, pooled: Tensor) -> Tensor:
        """Return the members' outputs [T, B, M, K] of pooled spikes [T, B, F]; their mean is the network's."""
        members = self.card.traces.members
        synapses = FrameSequence(
            self, (pooled.new_zeros(len(pooled[0]), *self.state_shapes()["readout"]),), len(pooled)
        )
        units = self.read_out(pooled.flatten(0, 1), synapses).unflatten(1, (members, -1))
        weight = self.classify.weight.unflatten(1, (members, -1)) * members
        outputs = torch.einsum("nmh,kmh->nmk", units, weight) + self.classify.bias
        return outputs.unflatten(0, pooled.shape[:2])

    def _features(self, x: Tensor, synapses: Synapses) -> Tensor:
        spec = self.card.network
        x = synapses(self.stem(x))
        x = F.avg_pool2d(x, 3, spec.stem_pool_stride, padding=1)
        outputs = []
        for block in self.blocks:
            for sub_block in block:  # type: ignore[attr-defined]
                x = sub_block(x, synapses)
            outputs.append(x)
        read = outputs[-len(self.card.read_layers()) :]
        return torch.cat([F.avg_pool2d(x, spec.final_pool).flatten(1) for x in read], dim=1)


class ConvSNN(SpikingNetwork):
    """Conv3×3 → synapse → AvgPool2 → Conv3×3 → synapse → AvgPool2 → FC → synapse → FC → synapse (Table 1)."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        spec = card.network
        norm, threshold = spec.norm, card.neuron.threshold
        self.first = ConvNorm(card.input.channels, spec.widths[0], 3, 1, norm=norm, threshold=threshold)
        self.second = ConvNorm(spec.widths[0], spec.widths[1], 3, 1, norm=norm, threshold=threshold)
        pixels = (card.input.height // 4) * (card.input.width // 4)
        self.hidden = nn.Linear(spec.widths[1] * pixels, spec.hidden)
        self.classify = nn.Linear(spec.hidden, len(card.classes))

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        x = F.avg_pool2d(synapses(self.first(x)), 2)
        x = F.avg_pool2d(synapses(self.second(x)), 2)
        x = synapses(self.hidden(x.flatten(1)))
        return synapses(self.classify(x), output=True)
