"""The LIF neuron (SPEC, Eq. 1-5): one step, and a sequence with its hand-written gradient. State is U alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from livesnn.card import NeuronSpec
from livesnn.snn.surrogate import Surrogate


@dataclass(frozen=True)
class Synapse:
    """How one layer turns membrane potentials into outputs.

    ``analog``: phase 1 of the hybrid method (Eq. 6-7): no reset, f(U) = U if U ≥ T else slope·U. The paper prints
    slope = −β; the ordinary leaky ReLU has slope = +β. ``ceiling`` bounds f from above, which the paper doesn't:
    along the skips the leak multiplies a constant input by 1/(1−α) a sub-block, 2⁸ for eight of them and α = 0.5.
    ``fires`` False: a membrane read-out, whose output is U itself; it never resets.
    """

    neuron: NeuronSpec
    surrogate: Surrogate = Surrogate()  # noqa: RUF009 (frozen)
    analog: bool = False
    slope: float = -0.01
    ceiling: float = float("inf")
    fires: bool = True

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
        """Return df/dU: 1 for a membrane read-out, exact for the analog activation, else the surrogate's."""
        if not self.fires:
            return torch.ones_like(u)
        if self.analog:
            linear = torch.where(u >= self.neuron.threshold, 1.0, self.slope)
            return torch.where(u > self.ceiling, 0.0, linear)
        return self.surrogate.derivative(u - self.neuron.threshold)


def lif_step(current: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor]:
    """Advance one layer by one time step (Eq. 1-4).

    Parameters
    ----------
    current, u
        Input current g(O) of this step and membrane potential U of the step before, both [B, ...].

    Returns
    -------
    Output O[t] and membrane U[t], both [B, ...].
    """
    u = current.add(_kept(u, synapse, u), alpha=synapse.neuron.alpha)
    return synapse.output(u), u


class Kernels(NamedTuple):
    """How a sequence is computed: `EAGER`, or what `compiled_kernels` returns."""

    advance: Callable[[Tensor, Tensor, Synapse], tuple[Tensor, Tensor, Tensor, Tensor]]
    propagate: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Synapse], tuple[Tensor, Tensor]]


LONGEST = 10
"""Steps of a sequence that is worth compiling for: its loop is unrolled."""


def lif_sequence(
    currents: Tensor, u: Tensor, synapse: Synapse, kernels: Kernels | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Advance one layer by T steps, differentiable by back-propagation through time.

    Parameters
    ----------
    currents
        float [T, B, ...]; half precision is allowed, membranes stay float32.
    u
        float32 [B, ...], the membrane before the first step.
    kernels
        For sequences of up to `LONGEST` steps. Default: `EAGER`.

    Returns
    -------
    Outputs [T, B, ...] in the dtype of ``currents``, the last membrane float32 [B, ...], and the mean of all outputs,
    float32 []. All three carry gradients; the mean's costs nothing, where a `mean` of the outputs would cost as much
    as the layer.

    Notes
    -----
    The reset factor (1 − O[t−1]) is a constant for the gradient: the usual choice since Zenke & Vogels (2021).
    """
    if kernels is None or len(currents) > LONGEST:
        kernels = EAGER
    if not (torch.is_grad_enabled() and currents.requires_grad):
        outputs, _, last, mean = kernels.advance(currents, u, synapse)
        return outputs, last, mean
    outputs, last, mean = _LIFSequence.apply(currents, u, synapse, kernels)
    return outputs, last, mean


class _LIFSequence(torch.autograd.Function):
    """BPTT of a layer by hand. Saves membranes alone, as currents are: rounded, they only weigh the gradient."""

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
    """Return outputs and membranes [T, B, ...] in the dtype of ``currents``, the last membrane, the mean output."""
    outputs, membranes = [], []
    for current in currents:
        output, u = lif_step(current.float(), u, synapse)
        outputs.append(output.to(currents.dtype))
        membranes.append(u.to(currents.dtype))
    together = torch.stack(outputs)
    return together, torch.stack(membranes), u, together.mean(dtype=torch.float32)


def _propagate(
    grad_outputs: Tensor,
    grad_membrane: Tensor,
    grad_mean: Tensor,
    membranes: Tensor,
    u: Tensor,
    synapse: Synapse,
) -> tuple[Tensor, Tensor]:
    """Return the loss's gradients by the currents [T, B, ...] and by the membrane before them.

    Parameters
    ----------
    grad_outputs, grad_membrane, grad_mean
        Of the loss, by the outputs, by the last membrane and by the mean output.
    """
    grads = []
    share = grad_mean / membranes.numel()
    for t in range(len(membranes) - 1, -1, -1):
        grad_u = synapse.derivative(membranes[t].float()) * (grad_outputs[t] + share) + grad_membrane
        grads.append(grad_u.to(grad_outputs.dtype))
        grad_membrane = _kept(grad_u, synapse, membranes[t - 1] if t > 0 else u) * synapse.neuron.alpha
    return torch.stack(grads[::-1]), grad_membrane


EAGER = Kernels(_advance, _propagate)


def compiled_kernels() -> Kernels:
    """Return both directions compiled by torch's inductor, which needs a C++ compiler on a processor.

    Measured on one core with AMX, 50 clips of 10 frames of 64×16×16 in bf16: 18 + 37 ms a layer and step against
    77 + 146. Each shape, dtype and phase is compiled for itself, 3-30 s; beyond 64 of them runs eager.
    """
    torch._dynamo.config.recompile_limit = 64
    return Kernels(torch.compile(_advance, dynamic=False), torch.compile(_propagate, dynamic=False))


def _kept(x: Tensor, synapse: Synapse, u: Tensor) -> Tensor:
    """Return x · (1 − O), O being the spikes of the membranes ``u``; x where nothing resets."""
    return x * (u < synapse.neuron.threshold) if synapse.resets else x
