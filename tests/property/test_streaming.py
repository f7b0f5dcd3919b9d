"""The laws of a streaming network: chunks with carried state are the whole, folded is stepped, ONNX is torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, TraceSpec
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.onnx_graph import write_model
from livesnn.snn import SpikingNetwork, build_network
from livesnn.snn.checkpoint import load_network, onnx_step, weights_of, without_norm
from livesnn.snn.network import State
from livesnn.weights import save_weights
from tests.networks import CLOSE, agree

pytestmark = pytest.mark.slow

INPUT = InputSpec(34, 34, SliceRule(delta_t_us=30_000), count_max=4, scale=0.5)
SHALLOW = NetworkSpec(widths=(16,) * 4, sub_blocks=(1,) * 4)
CARDS = {
    "sts-resnet": ModelCard("a", tuple("0123456789"), INPUT, NetworkSpec(widths=(16,) * 4)),
    "paper": ModelCard("b", tuple("012"), INPUT, replace(SHALLOW, norm=False), NeuronSpec(reset=False), "spikes"),
    "mixed traces": ModelCard(
        "m",
        tuple("012"),
        INPUT,
        SHALLOW,
        readout="traces",
        traces=TraceSpec((0.3, 0.9), 2, 20, 24, mixed=True),
    ),
    "strided, traces": ModelCard(
        "c",
        tuple("012"),
        INPUT,
        NetworkSpec(widths=(16, 16, 32, 32), sub_blocks=(1,) * 4, strides=(1, 1, 2, 1), stem_pool_stride=1),
        readout="traces",
        traces=TraceSpec((0.3, 0.9), 2, 20, 24),
    ),
    "conv-snn": ModelCard(
        "d",
        tuple("0123"),
        INPUT,
        NetworkSpec("conv_snn", widths=(16, 16), norm=False),
        NeuronSpec(0.5, 0.5, False),
    ),
}


@pytest.fixture(params=CARDS)
def net(request: pytest.FixtureRequest) -> SpikingNetwork:
    torch.manual_seed(3)
    net = build_network(CARDS[request.param])
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith(".weight") and tensor.ndim > 1:
                tensor *= 2.0  # lively: every layer spikes
            if name.endswith("running_mean"):
                tensor.uniform_(-0.2, 0.2)
            if name.endswith("running_var"):
                tensor.uniform_(0.02, 0.1)
    return net.eval()


def frames(steps: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.rand(steps, batch, 2, 34, 34, generator=generator) ** 6 * 12
    return blobs.to(torch.uint8)


@torch.no_grad()
def loop(net: SpikingNetwork, x: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
    outputs = []
    for frame in x:
        output, state = net.step(frame, state)
        outputs.append(output)
    return torch.stack(outputs), state


def same(net: SpikingNetwork, expected: State, found: State) -> bool:
    """As `agree`, of torch's membranes."""
    arrays = ([u.detach().numpy() for u in state] for state in (expected, found))
    return agree(*arrays, net.card.neuron.threshold)


def test_every_layer_spikes_in_these_networks(net: SpikingNetwork) -> None:
    _, _, rates = net.forward_rates(frames(30), net.initial_state())
    assert (rates > 0).all()
    assert (rates < 1).all()


def test_a_loop_of_30_steps_equals_7_1_12_10_exactly(net: SpikingNetwork) -> None:
    x = frames(30)
    whole, end = loop(net, x, net.initial_state())
    state, parts = net.initial_state(), []
    for chunk in x.split([7, 1, 12, 10]):
        outputs, state = loop(net, chunk, state)
        parts.append(outputs)
    assert torch.equal(torch.cat(parts), whole)
    assert all(torch.equal(a, b) for a, b in zip(state, end, strict=True))


def test_a_step_does_not_change_the_state_it_is_given(net: SpikingNetwork) -> None:
    _, state = loop(net, frames(3), net.initial_state())
    before = [u.clone() for u in state]
    net.step(frames(1)[0], state)
    assert all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


@torch.no_grad()
def test_frames_folded_together_equal_the_loop(net: SpikingNetwork) -> None:
    """So many frames at once, more and more of them: to 1e-5, up to the frame in which rounding flips a spike."""
    whole = 0
    for seed in range(6):
        x, state, outputs = frames(12, seed=seed), net.initial_state(), []
        for steps, frame in enumerate(x, 1):
            output, state = net.step(frame, state)
            outputs.append(output)
            folded, end = net(x[:steps], net.initial_state())
            if not same(net, state, end):
                break
            assert torch.allclose(folded, torch.stack(outputs), atol=CLOSE)
        else:
            whole += 1
    assert whole >= 4


def test_folding_batch_norm_changes_nothing(net: SpikingNetwork) -> None:
    folded = without_norm(net)
    assert not any(".norm." in name for name in folded.state_dict())
    state, whole = net.initial_state(), 0
    for frame in frames(12):
        output, after = net.step(frame, state)
        again, again_after = folded.step(frame, state)
        if same(net, after, again_after):
            assert torch.allclose(output, again, atol=CLOSE)
            whole += 1
        state = after
    assert whole >= 9


def test_onnx_runtime_equals_torch(net: SpikingNetwork, tmp_path: Path) -> None:
    """Each step from the same state ≤ 1e-5, up to a spike that rounding flips; free running, the argmax agrees."""
    card = replace(net.card, states=net.state_shapes())
    write_model(tmp_path, weights_of(net), onnx_step(net), card)
    ort, reference = load_model(tmp_path, "onnx"), load_model(tmp_path, "torch")
    assert ort.card == reference.card
    x = [Frame(t, frame[0].numpy(), 0) for t, frame in enumerate(frames(150, seed=5))]
    state, free, agreed, whole = reference.initial_state(), ort.initial_state(), 0, 0
    for frame in x:
        output, after = reference.step(frame, state)
        ort_output, ort_after = ort.step(frame, state)
        if agree(after, ort_after, card.neuron.threshold):
            np.testing.assert_allclose(ort_output, output, atol=CLOSE)
            whole += 1
        state = after
        free_output, free = ort.step(frame, free)
        agreed += int(free_output.argmax() == output.argmax())
    assert agreed >= 0.99 * len(x)
    assert whole >= 0.9 * len(x)


def test_a_saved_network_comes_back(net: SpikingNetwork, tmp_path: Path) -> None:
    save_weights(weights_of(net), tmp_path / "model.safetensors", replace(net.card, states=net.state_shapes()))
    again = load_network(tmp_path / "model.safetensors")
    for name, tensor in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, again.state_dict()[name]), name
