"""STS-ResNet of other frameworks' layers, to be measured beside ours. Not here: theirs (peer_networks.py), timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.errors import LivesnnError


class Framework(NamedTuple):
    """What a framework builds a network of; each makes one layer. ``norm`` takes the channels."""

    convolution: Callable[..., nn.Module]
    norm: Callable[[int], nn.Module]
    neuron: Callable[[], nn.Module]
    pool: Callable[..., nn.Module]
    dropout: Callable[[], nn.Module]
    linear: Callable[[int, int], nn.Module]


def check_card(card: ModelCard) -> None:
    """Raise LivesnnError for a network that isn't written here: the peers have the default one, of any width."""
    spec = card.network
    plain = len(set(spec.widths)) == 1 and set(spec.strides) == {1}
    if not (spec.kind == "sts_resnet" and plain and card.readout == "membrane" and card.neuron.reset):
        raise LivesnnError("peers are measured on the default STS-ResNet alone: one width, strides of 1")


class ConvNorm(nn.Module):
    """Convolution and batch norm, named as ours; without a norm, a convolution with a bias."""

    def __init__(
        self, make: Framework, channels: int, width: int, kernel: int, stride: int, *, norm: bool
    ) -> None:
        super().__init__()
        self.conv = make.convolution(channels, width, kernel, stride, kernel // 2, bias=not norm)
        self.norm = make.norm(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the current."""
        return self.norm(self.conv(x))


class SubBlock(nn.Module):
    """Conv3×3 → neuron → Conv3×3 (+ skip) → neuron → dropout."""

    def __init__(self, make: Framework, width: int, *, norm: bool) -> None:
        super().__init__()
        self.first, self.second = (ConvNorm(make, width, width, 3, 1, norm=norm) for _ in range(2))
        self.inner, self.outer = make.neuron(), make.neuron()
        self.dropout = make.dropout()

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes of x [..., width, H, W]."""
        return self.dropout(self.outer(self.second(self.inner(self.first(x))) + x))


class Peer(nn.Module):
    """The layers up to the read-out's current; weights are named as ours, so that ours can be loaded.

    The layers run on one step [B, C, H, W] or on all [T, B, C, H, W], as the framework's do.
    """

    def __init__(self, card: ModelCard, make: Framework) -> None:
        super().__init__()
        spec, self.card = card.network, card
        self.channels_last = False
        width, norm = spec.widths[0], spec.norm
        self.stem = ConvNorm(make, card.input.channels, width, spec.stem_kernel, spec.stem_stride, norm=norm)
        self.stem_neuron = make.neuron()
        self.stem_pool = make.pool(3, spec.stem_pool_stride, 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(SubBlock(make, width, norm=norm) for _ in range(count)) for count in spec.sub_blocks
        )
        self.final_pool = make.pool(spec.final_pool)
        side = card.input.height
        for stride in (spec.stem_stride, spec.stem_pool_stride):
            side = (side - 1) // stride + 1
        self.classify = make.linear(2 * width * (side // spec.final_pool) ** 2, len(card.classes))

    def currents(self, x: Tensor) -> Tensor:
        """Return the read-out's current [..., K] of scaled frames [..., C, H, W]."""
        x = self.stem_pool(self.stem_neuron(self.stem(x)))
        taps = []
        for block in self.blocks:
            for sub_block in block:  # type: ignore[attr-defined]
                x = sub_block(x)
            taps.append(x)
        return self.classify(torch.cat([self.final_pool(tap).flatten(-3) for tap in taps[-2:]], dim=-1))

    def scale_input(self, frames: Tensor) -> Tensor:
        """Clip counts and scale them: uint8 to float32, as ours."""
        scaled = frames.float().clamp(max=self.card.input.count_max) * self.card.input.scale
        if not self.channels_last:
            return scaled
        folded = scaled.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return folded.unflatten(0, scaled.shape[:2])

    def clear(self) -> None:
        """Set all membranes to zero."""
        raise NotImplementedError

    def advance(self, frame: Tensor) -> Tensor:
        """Return the membranes of the read-out [B, K] after one more frame, scaled, [B, C, H, W]."""
        raise NotImplementedError

    def hidden_neurons(self) -> list[nn.Module]:
        """Return the neuron layers that spike."""
        outer = [layer for name, layer in self.named_modules() if name.endswith((".inner", ".outer"))]
        return [self.stem_neuron, *outer]

    @contextmanager
    def counted(self) -> Iterator[list[tuple[float, int]]]:
        """Count spikes: the list gets (spikes, neurons times steps) of every call of a neuron layer."""
        counts: list[tuple[float, int]] = []

        def count(layer: nn.Module, inputs: Any, spikes: Tensor) -> None:
            counts.append((float(spikes.sum()), spikes.numel()))

        handles = [layer.register_forward_hook(count) for layer in self.hidden_neurons()]
        try:
            yield counts
        finally:
            for handle in handles:
                handle.remove()
