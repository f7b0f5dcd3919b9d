"""The LIF neuron: the equations of the paper by hand, and the hand-written gradient against autograd's."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from livesnn.card import NeuronSpec
from livesnn.snn.lif import EAGER, Surrogate, Synapse, lif_sequence, lif_step

KINDS = {
    "reset": Synapse(NeuronSpec(0.5, 0.5, True)),
    "no reset": Synapse(NeuronSpec(0.8, 0.5, False)),
    "rectangle": Synapse(NeuronSpec(0.5, 0.5, True), Surrogate("rectangle", width=0.5, peak=1.0)),
    "analog": Synapse(NeuronSpec(0.5, 0.5, True), analog=True),
    "analog with a ceiling": Synapse(NeuronSpec(0.5, 0.5, True), analog=True, slope=0.1, ceiling=1.0),
    "membrane read-out": Synapse(NeuronSpec(0.5, 0.5, True), fires=False),
}


def test_a_constant_current_charges_fires_and_rests() -> None:
    u = torch.zeros(1)
    seen = []
    for _ in range(4):
        spikes, u = lif_step(torch.tensor([0.4]), u, KINDS["reset"])
        seen.append((spikes.item(), round(u.item(), 4)))
    # 0.4, 0.5·0.4 + 0.4 = 0.6 fires, then rests: 0.4 again
    assert seen == [(0.0, 0.4), (1.0, 0.6), (0.0, 0.4), (1.0, 0.6)]


def test_without_reset_the_membrane_keeps_its_charge() -> None:
    synapse = Synapse(NeuronSpec(0.5, 0.5, False))
    u = torch.zeros(1)
    for _ in range(3):
        spikes, u = lif_step(torch.tensor([0.4]), u, synapse)
    assert spikes.item() == 1.0
    assert u.item() == pytest.approx(0.7)


def test_the_threshold_itself_fires() -> None:
    spikes, _ = lif_step(torch.tensor([0.5]), torch.zeros(1), KINDS["reset"])
    assert spikes.item() == 1.0


def test_the_shifted_leaky_relu_has_the_printed_sign() -> None:
    synapse = Synapse(NeuronSpec(0.5, 0.5, False), analog=True, slope=-0.01)
    assert synapse.output(torch.tensor([-2.0, 0.4, 0.5, 3.0])).tolist() == pytest.approx([0.02, -0.004, 0.5, 3.0])


def test_the_default_surrogate_is_the_published_gaussian() -> None:
    derivative = Surrogate().derivative(torch.tensor([0.0, 1 / 6, 10.0]))
    assert derivative.tolist() == pytest.approx([0.977, 0.977 * 0.60653, 0.0], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_is_a_loop_of_steps(kind: str) -> None:
    torch.manual_seed(0)
    currents, u = torch.randn(8, 3, 5), torch.randn(3, 5)
    outputs, last, mean = lif_sequence(currents, u, KINDS[kind], EAGER)
    assert torch.allclose(mean, outputs.mean())
    for current, output in zip(currents, outputs, strict=True):
        stepped, u = lif_step(current, u, KINDS[kind])
        assert torch.equal(stepped, output)
    assert torch.equal(u, last)


class _Spike(torch.autograd.Function):
    """The step with its surrogate, the slow way."""

    @staticmethod
    def forward(ctx, u: Tensor, synapse: Synapse) -> Tensor:
        ctx.save_for_backward(u)
        ctx.synapse = synapse
        return synapse.output(u)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.synapse.derivative(ctx.saved_tensors[0]), None


def by_autograd(currents: Tensor, u: Tensor, synapse: Synapse) -> tuple[Tensor, Tensor, Tensor]:
    outputs = []
    for current in currents:
        rest = (u < synapse.neuron.threshold).float() if synapse.resets else 1.0
        u = synapse.neuron.alpha * rest * u + current
        outputs.append(_Spike.apply(u, synapse))
    return torch.stack(outputs), u, torch.stack(outputs).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_back_propagation_through_time(kind: str) -> None:
    torch.manual_seed(1)
    grads = []
    weights, last_weights = torch.randn(8, 3, 5), torch.randn(3, 5)
    for function in (by_autograd, partial(lif_sequence, kernels=EAGER)):
        generator = torch.Generator().manual_seed(2)
        currents = torch.randn(8, 3, 5, generator=generator).requires_grad_()
        u = torch.randn(3, 5, generator=generator).requires_grad_()
        outputs, last, mean = function(currents, u, KINDS[kind])
        ((outputs * weights).sum() + (last * last_weights).sum() + 50 * mean).backward()
        grads.append((currents.grad, u.grad))
    assert grads[0][0].abs().sum() > 0
    for by_hand, reference in zip(grads[1], grads[0], strict=True):
        assert torch.allclose(by_hand, reference, atol=1e-6)
