"""The LIF neuron (SPEC, Eq. 1-5): one step, and a sequence with its hand-written gradient. State is U alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    u = current.add(_kept(u, synapse), alpha=synapse.neuron.alpha)
    return synapse.output(u), u


def lif_sequence(currents: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor]:
    """Advance one layer by T steps, differentiable by back-propagation through time.

    Parameters
    ----------
    currents
        float [T, B, ...]; half precision is allowed, membranes stay float32.
    u
        float32 [B, ...], the membrane before the first step.

    Returns
    -------
    Outputs [T, B, ...] in the dtype of ``currents``, and the last membrane float32 [B, ...].

    Notes
    -----
    The reset factor (1 − O[t−1]) is a constant for the gradient: the usual choice since Zenke & Vogels (2021).
    """
    outputs, last = _LIFSequence.apply(currents, u, synapse)
    return outputs, last


class _LIFSequence(torch.autograd.Function):
    """BPTT of a layer by hand. Saves U alone; works a step at a time, so that the step's slices stay in cache."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor]:
        outputs = torch.empty_like(currents)
        membranes = torch.empty_like(currents, dtype=torch.float32)
        before = u
        for current, output, membrane in zip(currents, outputs, membranes, strict=True):
            membrane.copy_(current).add_(_kept(before, synapse), alpha=synapse.neuron.alpha)
            output.copy_(synapse.output(membrane))
            before = membrane
        ctx.save_for_backward(membranes, u)
        ctx.synapse = synapse
        return outputs, before.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_outputs, grad_membrane = grads  # of the loss by O, and by U at the last step
        membranes, u = ctx.saved_tensors
        synapse: Synapse = ctx.synapse
        grad_currents = torch.empty_like(grad_outputs)
        for t in range(len(membranes) - 1, -1, -1):
            grad_u = synapse.derivative(membranes[t]).mul_(grad_outputs[t]).add_(grad_membrane)
            grad_currents[t] = grad_u
            before = membranes[t - 1] if t > 0 else u
            grad_membrane = _kept(grad_u, synapse, before) * synapse.neuron.alpha
        return grad_currents, grad_membrane, None


def _kept(x: Tensor, synapse: Synapse, u: Tensor | None = None) -> Tensor:
    """Return x · (1 − O), O being the spikes of the membranes ``u`` (default: ``x``); x where nothing resets."""
    return x * ((x if u is None else u) < synapse.neuron.threshold) if synapse.resets else x
