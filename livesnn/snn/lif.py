"""The leaky integrate-and-fire (LIF) neuron: one step, and a sequence of steps with its hand-written gradient.

At the end are the leaky traces of a read-out, which neither spike nor reset.

For layer n at time step t, with decay α and threshold T (Samadzadeh et al., Sec. 3.1):

    membrane update   U[t, n] = α · (1 − O[t−1, n]) · U[t−1, n] + g(O[t, n−1])      Eq. 1
    spike             O[t, n] = 1 if U[t, n] ≥ T else 0                             Eq. 2 and 4
    input current     g(O) = W · O, here a convolution or a dense layer, and bias   Eq. 3
    read-out          y[t] = mean of O[k, N] over the last `window` steps k ≤ t     Eq. 5

The factor (1 − O[t−1, n]) is the reset ("rest"): a neuron that spiked starts again from zero. Without reset it is
left out. The state of a layer is only U, as O[t−1] = [U[t−1] ≥ T] follows from it. A membrane read-out never spikes
or resets, and Eq. 5 then averages U[t, N] in place of O[t, N]. That mean is taken in infer/run.py.

The spike-driven engine computes the same in infer/spikes: the step in step.py, the traces in trace_read_out.py.
Change both, or their outputs differ.

Backwards in time (BPTT), with f′ for dO/dU (`Surrogate`) and L for the loss:

    ∂L/∂U[t] = f′(U[t]) · ∂L/∂O[t] + α · (1 − O[t]) · ∂L/∂U[t+1]

where the reset factor counts as a constant, the usual choice since Zenke & Vogels (2021).

In the analog phase of the hybrid method (Sec. 4.1) nothing resets, and f is the shifted leaky ReLU with a small β:

    U[t, n] = α · U[t−1, n] + g(O[t, n−1])                                          Eq. 6
    O[t, n] = U[t, n] if U[t, n] ≥ T else −β · U[t, n]                              Eq. 7
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from livesnn.card import NeuronSpec


@dataclass(frozen=True)
class Surrogate:
    """f′(U), which stands for dO/dU in the backward pass.

    "gaussian":   f′(U) = peak · exp(−(U − T)² / (2 · width²))
    "rectangle":  f′(U) = peak if |U − T| < width else 0, as in STBP (Wu et al. 2018)

    The default is the Gaussian of the authors' published code. Samadzadeh et al. print "N(Threshold, 16)", a garbled
    1/6. A true normal distribution with σ = 1/6 peaks at 2.39, and its gradients explode in 18 layers.
    """

    kind: Literal["gaussian", "rectangle"] = "gaussian"
    width: float = 1 / 6
    peak: float = 0.977

    def derivative(self, distance: Tensor) -> Tensor:
        """Return f′ for ``distance`` = U − T of any shape."""
        if self.kind == "rectangle":
            return (distance.abs() < self.width) * self.peak
        return torch.exp(distance.square() * (-0.5 / self.width**2)) * self.peak


@dataclass(frozen=True)
class Synapse:
    """The activation f of one layer: how membrane potentials become outputs."""

    neuron: NeuronSpec  # α, T and whether spikes reset
    surrogate: Surrogate = Surrogate()  # dO/dU of the spikes
    # The analog phase: f(U) = min(U, ceiling) if U ≥ T else slope · U. The caller turns the reset off.
    analog: bool = False
    slope: float = -0.01  # −β as the paper prints it in Eq. 7; +β is the ordinary leaky ReLU
    # An upper bound that the paper doesn't have. Along the skips the leak multiplies a constant input by
    # 1/(1−α) for each sub-block: by 2⁸ for eight of them and α = 0.5.
    ceiling: float = float("inf")
    fires: bool = True  # False for a membrane read-out, whose output is U itself and which never resets

    @property
    def resets(self) -> bool:
        """Whether a spike sets the membrane to zero."""
        return self.neuron.reset and self.fires

    def output(self, u: Tensor) -> Tensor:
        """Return f(U), of the shape and dtype of ``u``."""
        if not self.fires:
            return u
        above = u >= self.neuron.threshold
        if self.analog:
            return torch.where(above, u.clamp(max=self.ceiling), u * self.slope)
        return above.to(u.dtype)

    def derivative(self, u: Tensor) -> Tensor:
        """Return df/dU: 1 for a membrane read-out, exact in the analog phase, else the surrogate's."""
        if not self.fires:
            return torch.ones_like(u)
        if self.analog:
            linear = torch.where(u >= self.neuron.threshold, 1.0, self.slope)
            return torch.where(u > self.ceiling, 0.0, linear)
        return self.surrogate.derivative(u - self.neuron.threshold)


def lif_step(current: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor]:
    """Advance one layer by one time step (Eq. 1, 2 and 4; Eq. 6 and 7 in the analog phase).

    Takes the input current g(O[t, n−1]) and the membrane potential U[t−1, n], both [B, ...]. Returns the output
    O[t, n] and the membrane potential U[t, n].
    """
    u = current.add(_reset(u, synapse, u), alpha=synapse.neuron.alpha)
    return synapse.output(u), u


class Kernels(NamedTuple):
    """The two directions of a sequence: `EAGER`, or `compiled_kernels()`."""

    advance: Callable[[Tensor, Tensor, Synapse], tuple[Tensor, Tensor, Tensor, Tensor]]
    propagate: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Synapse], tuple[Tensor, Tensor]]


LONGEST = 10  # Steps of the longest sequence that is compiled: its loop is unrolled


def lif_sequence(currents: Tensor, u: Tensor, synapse: Synapse, kernels: Kernels) -> tuple[Tensor, Tensor, Tensor]:
    """Advance one layer by T steps, differentiable by back-propagation through time.

    ``currents`` are float [T, B, ...], maybe of half precision; ``u`` is float32 [B, ...], the membrane before.
    ``kernels`` are for up to `LONGEST` steps. Returned are outputs [T, B, ...] in the dtype of ``currents``, the last
    membrane, and the mean of all outputs, float32 []. All three carry gradients. The mean's gradient costs nothing
    here; that of ``outputs.mean()`` would cost as much as the layer.
    """
    if len(currents) > LONGEST:
        kernels = EAGER
    if torch.is_grad_enabled() and currents.requires_grad:
        return _LIFSequence.apply(currents, u, synapse, kernels)
    outputs, _, last, mean = kernels.advance(currents, u, synapse)
    return outputs, last, mean


class _LIFSequence(torch.autograd.Function):
    """BPTT of a layer by hand. It saves only membranes, rounded to the dtype of the currents: enough for f′."""

    @staticmethod
    def forward(
        ctx: Any, currents: Tensor, u: Tensor, synapse: Synapse, kernels: Kernels
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, membranes, last, mean = kernels.advance(currents, u, synapse)
        ctx.save_for_backward(membranes, u)
        ctx.synapse, ctx.kernels = synapse, kernels
        return outputs, last, mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        membranes, u = ctx.saved_tensors
        grad_currents, grad_u = ctx.kernels.propagate(*grads, membranes, u, ctx.synapse)
        return grad_currents, grad_u, None, None


def _advance(currents: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Step through time; return outputs and membranes [T, B, ...], the last membrane and the mean output."""
    outputs, membranes = [], []
    for current in currents:
        output, u = lif_step(current.float(), u, synapse)
        outputs.append(output.to(currents.dtype))
        membranes.append(u.to(currents.dtype))
    together = torch.stack(outputs)
    return together, torch.stack(membranes), u, together.mean(dtype=torch.float32)


def _propagate(
    grad_outputs: Tensor, grad_membrane: Tensor, grad_mean: Tensor, membranes: Tensor, u: Tensor, synapse: Synapse
) -> tuple[Tensor, Tensor]:
    """Step back; return the loss's gradients by the currents [T, B, ...] and by the first membrane."""
    grads = []
    share = grad_mean / membranes.numel()
    for t in range(len(membranes) - 1, -1, -1):
        grad_u = synapse.derivative(membranes[t].float()) * (grad_outputs[t] + share) + grad_membrane
        grads.append(grad_u.to(grad_outputs.dtype))
        grad_membrane = _reset(grad_u, synapse, membranes[t - 1] if t > 0 else u) * synapse.neuron.alpha
    return torch.stack(grads[::-1]), grad_membrane


EAGER = Kernels(_advance, _propagate)


def compiled_kernels() -> Kernels:
    """Return both directions compiled by torch's inductor, which needs a C++ compiler on a CPU.

    On one core with AMX, for 50 clips of 10 frames of 64×16×16 in bf16, a layer took 18 ms forward and 37 ms back,
    against 77 and 146 ms. Each shape, dtype and phase is compiled on its own in 3 to 30 s; after 64 the rest runs
    eagerly.
    """
    torch._dynamo.config.recompile_limit = 64
    return Kernels(torch.compile(_advance, dynamic=False), torch.compile(_propagate, dynamic=False))


def _reset(x: Tensor, synapse: Synapse, u: Tensor) -> Tensor:
    """Return x · (1 − O) for the spikes O = [u ≥ T]; x itself where nothing resets."""
    return x * (u < synapse.neuron.threshold) if synapse.resets else x


def trace_step(current: Tensor, u: Tensor, decay: Tensor) -> Tensor:
    """Advance leaky traces: U[t, k] = α[k] · U[t−1, k] + (1 − α[k]) · I[t] for each of K decays.

    ``current`` I is float [B, M, 1, D], ``u`` U float32 [B, M, K, D] and ``decay`` α float32 [K, 1].
    """
    return u * decay + current.float() * (1 - decay)


def trace_sequence(currents: Tensor, u: Tensor, decay: Tensor) -> tuple[Tensor, Tensor]:
    """Advance traces by currents [T, B, M, 1, D]; return them after each step [T, B, M, K, D] and after the last."""
    traces = []
    for current in currents:
        u = trace_step(current, u, decay)
        traces.append(u)
    return torch.stack(traces), u
