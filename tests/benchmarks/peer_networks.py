"""STS-ResNet in SpikingJelly, snnTorch and Norse, to be measured beside ours (step_peers.py, train_peers.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.errors import LivesnnError
from livesnn.snn.lif import Surrogate


class Framework(NamedTuple):
    """The layers of a framework: each function makes one. ``norm`` takes the channels."""

    convolution: Callable[..., nn.Module]
    norm: Callable[[int], nn.Module]
    neuron: Callable[[], nn.Module]
    pool: Callable[..., nn.Module]
    dropout: Callable[[], nn.Module]
    linear: Callable[[int, int], nn.Module]


def check_card(card: ModelCard) -> None:
    """Raise LivesnnError unless the network is the default STS-ResNet, of any width."""
    spec = card.network
    plain = len(set(spec.widths)) == 1 and set(spec.strides) == {1}
    if not (spec.kind == "sts_resnet" and plain and card.readout == "membrane" and card.neuron.reset):
        raise LivesnnError("peers can only be measured on the default STS-ResNet: one width, strides of 1")


class ConvNorm(nn.Module):
    """Convolution and batch norm, named like ours; without norm, a convolution with bias."""

    def __init__(self, make: Framework, channels: int, width: int, kernel: int, stride: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = make.convolution(channels, width, kernel, stride, kernel // 2, bias=not norm)
        self.norm = make.norm(width) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
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
    """The layers up to the read-out's current. Weights are named like ours, so that ours can be loaded.

    The layers take one step [B, C, H, W] or all [T, B, C, H, W], as the framework does.
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
        """Clip counts and scale them, uint8 to float32, like ours."""
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
        """Count spikes: each call of a neuron layer adds (spikes, neurons times steps) to the list."""
        counts: list[tuple[float, int]] = []

        def count(layer: nn.Module, inputs: Any, spikes: Tensor) -> None:
            counts.append((float(spikes.sum()), spikes.numel()))

        handles = [layer.register_forward_hook(count) for layer in self.hidden_neurons()]
        try:
            yield counts
        finally:
            for handle in handles:
                handle.remove()


def build_peer(name: str, card: ModelCard, surrogate: Surrogate) -> Peer:
    """Build a card's STS-ResNet in "spikingjelly", "snntorch" or, for evaluation, "norse", with fresh weights.

    A name that ends in "-channels-last" gets the memory layout that PyTorch's documentation recommends for
    convolutions.
    """
    check_card(card)
    framework, _, layout = name.partition("-")
    build = {"spikingjelly": SpikingJellyNetwork, "snntorch": SnnTorchNetwork, "norse": NorseNetwork}[framework]
    peer = build(card, surrogate)
    if layout == "channels-last":
        peer.channels_last = True
        peer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return peer


def load_ours(net: nn.Module, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Give a network our weights; raises LivesnnError where it has other parameters."""
    given = {name: torch.from_numpy(value.copy()) for name, value in weights.items()}
    missing, extra = net.load_state_dict(given, strict=False)
    lacking = set(missing) & {name for name, _ in net.named_parameters()}
    if lacking or extra:
        raise LivesnnError(f"its network differs from ours: only one of them has {sorted(lacking)} and {extra}")


class SpikingJellyNetwork(Peer):
    """Multi-step layers: [T, B, ...] goes through each layer at once.

    The surrogate is its `Erf`, a Gaussian with our peak, since a custom one would run slower. Its width follows from
    its peak: σ is 0.41 with the defaults of a training, 1.36 times ours.
    """

    def __init__(self, card: ModelCard, surrogate: Surrogate) -> None:
        from spikingjelly.activation_based import functional, layer, neuron
        from spikingjelly.activation_based import surrogate as surrogates

        tau, threshold = 1 / (1 - card.neuron.alpha), card.neuron.threshold
        erf = surrogates.Erf(surrogate.peak * torch.pi**0.5)

        def norm(channels: int) -> nn.Module:
            return layer.ThresholdDependentBatchNorm2d(1.0, threshold, channels)

        def lif() -> nn.Module:
            return neuron.LIFNode(tau, False, threshold, 0.0, erf, detach_reset=True)

        def dropout() -> nn.Module:
            return layer.Dropout(card.network.dropout)  # one mask until the next reset, as ours

        super().__init__(card, Framework(layer.Conv2d, norm, lif, layer.AvgPool2d, dropout, layer.Linear))
        self.readout = neuron.NonSpikingLIFNode(tau)
        self._functional = functional
        self._mode = ""
        self.gain = tau  # its read-out neuron divides the current by tau

    def clear(self) -> None:
        self._functional.reset_net(self)
        self.readout.v = 0.0

    def advance(self, frame: Tensor) -> Tensor:
        self._use("s")
        self.readout.neuronal_charge(self.currents(frame))  # not forward, which begins from zero
        return self.readout.v * self.gain

    def forward(self, frames: Tensor) -> Tensor:
        """Return the membranes of the read-out, float32 [T, B, K], of uint8 [T, B, C, H, W]."""
        self.clear()
        self._use("m")
        membranes = self.readout(self.currents(self.scale_input(frames)))
        return torch.stack(membranes).float() * self.gain

    def _use(self, mode: Literal["s", "m"]) -> None:
        """Let layers take one step at once, or many."""
        if mode != self._mode:
            self._mode = mode
            self._functional.set_step_mode(self, mode)


class SnnTorchNetwork(Peer):
    """Leaky neurons in a loop over time, so that batch norm has the statistics of one step.

    The surrogate is ours, through `custom_surrogate`.
    """

    def __init__(self, card: ModelCard, surrogate: Surrogate) -> None:
        import snntorch
        from snntorch.surrogate import custom_surrogate

        alpha, threshold = card.neuron.alpha, card.neuron.threshold

        def gradient(distance: Tensor, grad: Tensor, spikes: Tensor) -> Tensor:
            return grad * surrogate.derivative(distance)

        def norm(channels: int) -> nn.Module:
            layer = nn.BatchNorm2d(channels)
            nn.init.constant_(layer.weight, threshold)
            return layer

        def leaky() -> nn.Module:
            spike = custom_surrogate(gradient)
            return snntorch.Leaky(alpha, threshold, spike, init_hidden=True, reset_mechanism="zero")

        def dropout() -> nn.Module:
            return WindowDropout(card.network.dropout)

        super().__init__(card, Framework(nn.Conv2d, norm, leaky, nn.AvgPool2d, dropout, nn.Linear))
        self.readout = snntorch.Leaky(alpha, init_hidden=True, output=True, reset_mechanism="none")
        self.stateful = [m for m in self.modules() if isinstance(m, snntorch.Leaky)]
        self.dropouts = [m for m in self.modules() if isinstance(m, WindowDropout)]

    def clear(self) -> None:
        """Set all membranes to zero, and draw new dropout masks."""
        for layer in self.stateful:
            layer.reset_mem()
        for dropout in self.dropouts:
            dropout.mask = None

    def advance(self, frame: Tensor) -> Tensor:
        return self.readout(self.currents(frame))[1]

    def forward(self, frames: Tensor) -> Tensor:
        """Return the membranes of the read-out, float32 [T, B, K], of uint8 [T, B, C, H, W]."""
        self.clear()
        return torch.stack([self.advance(frame) for frame in self.scale_input(frames)]).float()


class NorseNetwork(Peer):
    """Norse's neurons without synaptic current, in a loop over time, only for evaluation: our surrogate isn't set.

    Its neurons multiply the current by 1 − α, so membranes and thresholds are 1 − α times ours.
    """

    def __init__(self, card: ModelCard, surrogate: Surrogate) -> None:
        from norse.torch import LIBoxCell, LIBoxParameters, LIFBoxCell, LIFBoxParameters

        share = 1 - card.neuron.alpha
        leak, threshold = torch.as_tensor(share), torch.as_tensor(share * card.neuron.threshold)

        def lif() -> nn.Module:
            return Held(LIFBoxCell(LIFBoxParameters(tau_mem_inv=leak, v_th=threshold), dt=1.0))

        super().__init__(card, Framework(nn.Conv2d, nn.BatchNorm2d, lif, nn.AvgPool2d, nn.Identity, nn.Linear))
        self.readout = Held(LIBoxCell(LIBoxParameters(tau_mem_inv=leak), dt=1.0))
        self.gain = 1 / share
        self.stateful = [m for m in self.modules() if isinstance(m, Held)]

    def clear(self) -> None:
        for layer in self.stateful:
            layer.state = None

    def advance(self, frame: Tensor) -> Tensor:
        return self.readout(self.currents(frame)) * self.gain


class Held(nn.Module):
    """A cell of Norse, with its state."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell
        self.state: Any = None

    def forward(self, x: Tensor) -> Tensor:
        out, self.state = self.cell(x, self.state)
        return out


class WindowDropout(nn.Module):
    """Dropout with one mask until ``mask`` is None. snnTorch has none, and a mask per step would cost time."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.mask is None:
            self.mask = nn.functional.dropout(torch.ones_like(x), self.p)
        return x * self.mask
