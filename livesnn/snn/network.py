"""What STS-ResNet and ConvSNN share: state by name, one `step`, and `forward` for T frames at once.

A network is written once, as `layers(x, synapses)`. `step` runs it on one frame. `forward` runs it on T frames, with
the time folded into the batch everywhere but in the synapses (the LIF neurons).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from livesnn.card import ModelCard
from livesnn.snn.lif import EAGER, Surrogate, Synapse, lif_sequence, lif_step, trace_sequence, trace_step

State = tuple[Tensor, ...]  # Membranes U [B, ...] of each layer, in the order of `state_shapes()`


class Synapses(Protocol):
    """What a network's `layers` calls at each threshold layer, in order."""

    def __call__(self, current: Tensor, *, output: bool = False) -> Tensor:
        """Turn the current of the next layer into its output."""

    def traces(self, current: Tensor, decay: Tensor) -> Tensor:
        """Turn the current [N, M, 1, D] of a read-out into its leaky traces [N, M, K, D]."""

    def dropout(self, x: Tensor, p: float) -> Tensor:
        """Drop units with one mask a window, shared by its steps."""


class _OneStep:
    """One frame: x is [B, ...]."""

    def __init__(self, net: SpikingNetwork, state: State) -> None:
        self.net = net
        self.before = iter(state)
        self.after: list[Tensor] = []

    def __call__(self, current: Tensor, *, output: bool = False) -> Tensor:
        out, u = lif_step(current, next(self.before), self.net.synapse(len(self.after)))
        self.after.append(u)
        return out

    def traces(self, current: Tensor, decay: Tensor) -> Tensor:
        before = next(self.before)
        u = trace_step(current, before.reshape(len(before), current.shape[1], len(decay), -1), decay)
        self.after.append(u.reshape(before.shape))
        return u

    def dropout(self, x: Tensor, p: float) -> Tensor:
        if self.net.training and p > 0:
            raise RuntimeError("step() is for eval(): dropout draws one mask a window, which a step can't know")
        return x


class FrameSequence:
    """T frames: x is [T·B, ...], time first."""

    def __init__(self, net: SpikingNetwork, state: State, steps: int) -> None:
        self.net = net
        self.before = iter(state)
        self.steps = steps
        self.after: list[Tensor] = []
        self.rates: list[Tensor] = []

    def __call__(self, current: Tensor, *, output: bool = False) -> Tensor:
        synapse = self.net.synapse(len(self.after))
        x, u = _channels_behind(current), _channels_behind(next(self.before))
        out, u, rate = lif_sequence(x.unflatten(0, (self.steps, -1)), u, synapse, self.net.kernels)
        self.after.append(_channels_first(u))
        if not output:
            self.rates.append(rate)
        return _channels_first(out.flatten(0, 1))

    def traces(self, current: Tensor, decay: Tensor) -> Tensor:
        before = next(self.before)
        first = before.reshape(len(before), current.shape[1], len(decay), -1)
        traces, u = trace_sequence(current.unflatten(0, (self.steps, -1)), first, decay)
        self.after.append(u.reshape(before.shape))
        return traces.flatten(0, 1)

    def dropout(self, x: Tensor, p: float) -> Tensor:
        if not self.net.training or p == 0:
            return x
        windows = x.unflatten(0, (self.steps, -1))
        mask = torch.rand_like(windows[0], dtype=torch.float32) >= p
        return (windows * (mask.to(x.dtype) / (1 - p))).flatten(0, 1)


def _channels_behind(x: Tensor) -> Tensor:
    """Return [N, C, H, W] as contiguous [N, H, W, C]: stacked over time it would come back channels first."""
    return x.movedim(1, -1).contiguous() if x.ndim == 4 else x


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1) if x.ndim == 4 else x


def channels_last(x: Tensor) -> Tensor:
    """Return x [N, C, H, W] in torch's channels-last layout, with the strides of it even where C is 1.

    With other strides torch would take a single channel, and all that follows, for channels first. Convolutions,
    norms and our copies for the neurons then took twice the time (ConvSNN on MNIST's sequences, AMD EPYC).
    """
    x = x.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = x.shape
    return x.as_strided(x.shape, (channels * height * width, 1, width * channels, channels))


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode, and back into its former mode at the end."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


class SpikingNetwork(nn.Module):
    """A feed-forward spiking network that keeps nothing from step to step: the state is the caller's."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        self.surrogate = Surrogate()
        self.kernels = EAGER
        self.analog = False  # whether it is in the analog phase of the hybrid method, see lif.py
        self.analog_slope = -0.01
        self.analog_ceiling = float("inf")

    def layers(self, x: Tensor, synapses: Synapses) -> Tensor:
        raise NotImplementedError

    def synapse(self, number: int) -> Synapse:
        """Return the activation of a layer, by its place in `state_shapes`, in the present phase."""
        layer = [*self.state_shapes()][number]
        output = layer == "readout"
        neuron = self.card.neuron.of(layer)
        neuron = replace(neuron, reset=False) if self.analog else neuron
        analog, fires = self.analog and not output, not (output and self.card.readout == "membrane")
        return Synapse(neuron, self.surrogate, analog, self.analog_slope, self.analog_ceiling, fires)

    def scale_input(self, frames: Tensor) -> Tensor:
        return frames.float().clamp(max=self.card.input.count_max) * self.card.input.scale

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each layer's U without the batch, by layer name, in order."""
        return self.card.layer_shapes()

    def initial_state(self, batch: int = 1) -> State:
        """Return the all-zero state, float32 [batch, ...] a layer."""
        device = next(self.parameters()).device
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self.state_shapes().values())

    def step(self, frame: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance by one frame uint8 [B, C, H, W]; return its output float32 [B, K] and the next state."""
        synapses = _OneStep(self, state)
        output = self.layers(self.scale_input(frame), synapses)
        return output, tuple(synapses.after)

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance by frames uint8 [T, B, C, H, W] as T `step`s would; return outputs [T, B, K] and the state."""
        return self.forward_rates(frames, state)[:2]

    def forward_rates(self, frames: Tensor, state: State) -> tuple[Tensor, State, Tensor]:
        """Return `forward`'s results and each hidden layer's mean output float32 [layers − 1]."""
        synapses = FrameSequence(self, state, len(frames))
        folded = channels_last(self.scale_input(frames).flatten(0, 1))
        output = self.layers(folded, synapses)
        outputs = output.float().unflatten(0, (len(frames), -1))
        rates = torch.stack(synapses.rates) if synapses.rates else outputs.new_zeros(0)
        return outputs, tuple(synapses.after), rates


class ConvNorm(nn.Module):
    """A convolution and, unless folded into it, threshold-scaled batch norm (tdBN, Zheng et al. 2021).

    All time steps share the norm, as a stream has no step index. Its scale starts at the threshold T, so that at any
    depth currents start with a standard deviation of T.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int, *, norm: bool, threshold: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=not norm)
        self.norm: Callable[[Tensor], Tensor] | None = None
        if norm:
            self.norm = nn.BatchNorm2d(out)
            nn.init.constant_(self.norm.weight, threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Return the current [N, out, H', W'] of float x [N, channels, H, W]."""
        x = self.conv(x)
        return x if self.norm is None else self.norm(x)
