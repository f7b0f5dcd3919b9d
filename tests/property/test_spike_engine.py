"""The spike-driven engine computes what the others do: any STS-ResNet, any density, from the same state."""

from __future__ import annotations

import gc
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, TraceSpec
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.cost import synops
from livesnn.infer.decide import Decider
from livesnn.infer.load import load_model
from livesnn.infer.model import Model, density_and_mean
from livesnn.infer.run import run
from livesnn.infer.spike_engine import Membranes, SpikeModel
from livesnn.infer.spikes.step import run_step
from livesnn.infer.spikes.team import HelperPolicy
from livesnn.paths import recordings_dir
from livesnn.weights import load_weights, quantize, save_weights
from tests.networks import CLOSE, agree, write_network

pytestmark = pytest.mark.slow
release = pytest.mark.release

pytest.importorskip("torch", reason="the networks are built with torch: pip install 'livesnn[train]'")

NEVER_LATE = float("inf")
INPUT = InputSpec(34, 34, SliceRule(delta_t_us=10_000), count_max=4, scale=0.5)
SHALLOW = NetworkSpec(widths=(16,) * 4, sub_blocks=(1,) * 4)  # An export of 18 layers takes seconds
PLAIN = ModelCard(name="plain", classes=tuple("abcdefghijk"), input=INPUT, network=SHALLOW)
# For each choice of 64, 32 and 16 lanes the step is compiled anew, for up to 20 s: three choices are enough.
CARDS = {
    "plain": PLAIN,
    "wide": replace(PLAIN, network=NetworkSpec(widths=(64,) * 4)),
    "no norm": replace(PLAIN, network=NetworkSpec(widths=(32, 16, 32, 64), norm=False)),
    "widths and strides": replace(
        PLAIN, network=NetworkSpec(widths=(32, 48, 64, 128), strides=(1, 2, 1, 2), final_pool=1)
    ),
    "deeper": replace(PLAIN, network=NetworkSpec(widths=(16,) * 4, sub_blocks=(1, 3, 2, 1), stem_pool_stride=1)),
    "another stem": replace(
        PLAIN, network=NetworkSpec(widths=(32, 16, 32, 64), stem_kernel=5, stem_stride=1, final_pool=4)
    ),
    "8 bits": replace(
        PLAIN, network=NetworkSpec(widths=(64, 48, 128, 32), strides=(1, 1, 2, 1), weight_bits=8, final_pool=1)
    ),
    "large stem": replace(
        PLAIN,
        input=replace(INPUT, width=32, height=24),
        network=replace(SHALLOW, stem_kernel=11, final_pool=1),
    ),
    "small stem": replace(PLAIN, network=replace(SHALLOW, stem_kernel=3, weight_bits=8)),
    "slow blocks": replace(PLAIN, neuron=NeuronSpec(0.4, block_alphas=(0.5, 0.0, 0.9, 0.95))),
    "no reset": replace(PLAIN, neuron=NeuronSpec(0.8, 0.3, reset=False)),
    "no reset, 8 bits": replace(
        PLAIN, network=NetworkSpec(widths=(64,) * 4, weight_bits=8), neuron=NeuronSpec(0.8, 0.3, reset=False)
    ),
    "spikes read out": replace(PLAIN, readout="spikes", classes=tuple(map(str, range(17)))),
    "traces": replace(PLAIN, readout="traces", traces=TraceSpec((0.2, 0.9, 0.0), members=3, width=20, hidden=24)),
    "mixed traces": replace(
        PLAIN, readout="traces", traces=TraceSpec((0.2, 0.9, 0.0), members=3, width=20, hidden=24, mixed=True)
    ),
    "video": replace(PLAIN, input=InputSpec(28, 20, INPUT.slice, "video", 3, count_max=255, scale=1 / 128)),
    "narrower than its stem": replace(
        PLAIN,
        input=replace(INPUT, width=5, height=9),
        network=replace(SHALLOW, stem_kernel=7, stem_stride=3, final_pool=1),
    ),
}  # fmt: skip
RELEASE = ("wide", "no norm", "deeper", "another stem", "large stem", "slow blocks", "traces")
"""Cards that are looked at before a release; the others have the same kernels among them."""


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of one of the cards."""
    return write_network(tmp_path_factory.mktemp("model"), CARDS[request.param], seed=len(request.param))


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def frame_of(card: ModelCard, rng: np.random.Generator, rate: float) -> Frame:
    spec = card.input
    counts = rng.poisson(rate, (spec.channels, spec.height, spec.width))
    return Frame(0, counts.clip(0, 255).astype(np.uint8), 0)


@pytest.mark.parametrize(
    "folder",
    [pytest.param(name, marks=release) if name in RELEASE else name for name in CARDS if name != "no reset, 8 bits"],
    indirect=True,
)
def test_each_layer_s_membrane_is_that_of_onnx_runtime(folder: Path) -> None:
    onnx, spike = load_model(folder, "onnx"), SpikeModel.load(folder)
    rng = np.random.default_rng(5)
    state, whole = onnx.initial_state(), 0
    for rate in (0.0, 0.02, 0.1, 0.5, 2.0, 40.0) * 2:
        frame = frame_of(onnx.card, rng, rate)
        output, following = onnx.step(frame, state)
        same_output, found = spike.step(frame, state)
        if agree(following, found, onnx.card.neuron.threshold):
            np.testing.assert_allclose(same_output, output, rtol=CLOSE, atol=CLOSE)
            whole += 1
        state = following
    assert whole >= 8


@pytest.mark.parametrize("density", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("folder", ["no reset", pytest.param("no reset, 8 bits", marks=release)], indirect=True)
def test_any_density_is_computed(folder: Path, density: float) -> None:
    onnx, spike = load_model(folder, "onnx"), SpikeModel.load(folder)
    rng = np.random.default_rng(2)
    state = tuple(
        np.where(rng.random(u.shape) < density, 100, -100).astype(np.float32) for u in onnx.initial_state()
    )  # far from the threshold, and nothing resets them
    frame = frame_of(onnx.card, rng, 0.3)
    _, expected = onnx.step(frame, state)
    assert np.mean(expected[3] >= 0.3) == pytest.approx(density, abs=0.05)
    for a, b in zip(expected, spike.step(frame, state)[1], strict=True):
        np.testing.assert_allclose(b, a, rtol=CLOSE, atol=1e-4)  # of numbers of 80


@pytest.mark.parametrize(("name", "clip"), [("gestures", "arm_roll"), ("nmnist", "digit-3")])
def test_running_free_the_shipped_models_decide_as_on_onnx_runtime(name: str, clip: str) -> None:
    def decisions(model: Model) -> list[str | None]:
        decider = Decider(threshold=0.0)
        return [result.decision for result in run(recordings_dir() / f"{clip}.aedat4", model, decider=decider)]

    onnx, spike = load_model(name, "onnx"), load_model(name, "spike")
    frame = frame_of(onnx.card, np.random.default_rng(0), 0.1)
    _, expected = onnx.step(frame, onnx.initial_state())
    _, found = spike.step(frame, spike.initial_state())
    agree(expected, found, onnx.card.neuron.threshold)  # of the same weights, rounded alike
    on_onnx, on_spikes = decisions(onnx), decisions(spike)
    assert len(on_onnx) > 50
    assert np.mean([a == b for a, b in zip(on_onnx, on_spikes, strict=True)]) >= 0.99


@pytest.mark.parametrize("folder", ["plain"], indirect=True)
def test_a_step_changes_nothing_it_is_given_and_takes_any_order_in_memory(folder: Path) -> None:
    spike = SpikeModel.load(folder)
    frame = frame_of(spike.card, np.random.default_rng(0), 0.3)
    _, state = spike.step(frame, spike.initial_state())
    kept = tuple(membrane.copy(order="C") for membrane in state)
    output, following = spike.step(frame, state)
    again, same = spike.step(frame, kept)
    np.testing.assert_array_equal(output, again)
    for before, now, a, b in zip(kept, state, following, same, strict=True):
        np.testing.assert_array_equal(before, now)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "folder",
    ["8 bits", "narrower than its stem", *(pytest.param(n, marks=release) for n in ("widths and strides", "video"))],
    indirect=True,
)
def test_any_number_of_threads_computes_the_same_and_ends_with_its_model(folder: Path) -> None:
    card, rng = load_model(folder, "onnx").card, np.random.default_rng(1)
    frames_in = [frame_of(card, rng, rate) for rate in (*rng.uniform(0, 1, 150), 40.0)]
    frames_in[::3] = [replace(frame, arrived_s=NEVER_LATE) for frame in frames_in[::3]]  # stepped by one thread
    ends, before = [], threading.enumerate()
    for threads in (1, 2, 5):
        model = SpikeModel.load(folder, threads=threads)
        state = model.initial_state()
        for frame in frames_in:
            _, state = model.step(frame, state)
        assert isinstance(state, Membranes)
        ends.append((*state, state.density, state.mean))
    for state in ends[1:]:
        for one, more in zip(ends[0], state, strict=True):
            np.testing.assert_array_equal(more, one)
    del model
    gc.collect()
    left = {each for each in threading.enumerate() if each.name.startswith("livesnn-spikes")} - {*before}
    for thread in left:
        thread.join(5)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.mark.parametrize("folder", ["plain"], indirect=True)
def test_a_frame_that_may_not_be_written_to_compiles_nothing_more(folder: Path) -> None:
    spike = SpikeModel.load(folder)
    compiled = len(run_step.signatures)
    frame = frame_of(spike.card, np.random.default_rng(0), 0.3)
    kept, _ = spike.step(frame, spike.initial_state())
    frame.data.flags.writeable = False
    output, _ = spike.step(frame, spike.initial_state())
    np.testing.assert_array_equal(output, kept)
    assert len(run_step.signatures) == compiled


@pytest.mark.parametrize("folder", ["plain", "widths and strides", "8 bits", "spikes read out"], indirect=True)
def test_a_state_knows_spikes_means_and_synaptic_operations_of_its_step(folder: Path) -> None:
    spike = SpikeModel.load(folder, threads=2)
    state, card = spike.initial_state(), spike.card
    for rate in (0.0, 0.3, 2.0):
        _, state = spike.step(frame_of(card, np.random.default_rng(0), rate), state)
        density = np.array([np.mean(u >= np.float32(card.neuron.threshold)) for u in state[:-1]])
        assert isinstance(state, Membranes)
        assert synops(state.density[:-1], card) == pytest.approx(synops(density, card), rel=1e-6)
        known, counted = (density_and_mean(each, card.neuron.threshold) for each in (state, tuple(state)))
        np.testing.assert_allclose(known[0], counted[0], rtol=1e-6)
        np.testing.assert_allclose(known[1], counted[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("folder", ["8 bits"], indirect=True)
def test_a_frame_that_waits_for_nobody_is_stepped_by_one_thread_and_a_late_one_by_all(folder: Path) -> None:
    spike = SpikeModel.load(folder, threads=2)
    frame, team = frame_of(spike.card, np.random.default_rng(0), 0.3), spike.team
    steps, with_helpers = team.steps, team.last_with_helpers
    alone, _ = spike.step(replace(frame, arrived_s=NEVER_LATE), spike.initial_state())
    assert (team.steps, team.last_with_helpers) == (steps + 1, with_helpers)
    together, _ = spike.step(frame, spike.initial_state())
    assert (team.steps, team.last_with_helpers) == (steps + 2, steps + 2)
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("folder", ["8 bits"], indirect=True)
def test_helpers_are_not_called_after_they_were_late_too_often(folder: Path) -> None:
    spike = SpikeModel.load(folder, threads=2)
    frame, team = frame_of(spike.card, np.random.default_rng(0), 0.3), spike.team
    steps, with_helpers = team.steps, team.last_with_helpers
    team.helping = HelperPolicy(alone=2)
    for _ in range(2):
        spike.step(frame, spike.initial_state())
        assert team.last_with_helpers == with_helpers
    spike.step(frame, spike.initial_state())
    assert team.last_with_helpers == steps + 3


def test_rounding_to_8_bits_stays_within_16_bits_and_half_a_step() -> None:
    rng = np.random.default_rng(0)
    for shape in ((16, 64, 3, 3), (8, 512, 3, 3), (3, 4096, 3, 3), (4, 3, 1, 1)):
        for times in (1, 9):
            kernel = rng.standard_t(3, shape).astype(np.float32)
            kernel[0] = 0
            rounded, scale = quantize(kernel, times=times)
            steps = scale[:, None, None, None]
            assert np.abs(rounded * steps - kernel).max() <= steps.max() * 0.501
            whole = np.abs(rounded.astype(np.int64))
            most = whole.sum((1, 2, 3)) if times == 1 else 9 * whole.sum((1, 3)).max(1)
            assert most.max() < 1 << 15
            assert not rounded[0].any()


@pytest.mark.parametrize("folder", ["plain"], indirect=True)
def test_a_tensor_that_is_missing_or_does_not_fit_is_named(own: Path) -> None:
    file = own / "model.safetensors"
    weights, card = load_weights(file)
    name = "blocks.1.0.first.conv.weight"
    save_weights({key: array for key, array in weights.items() if key != "classify.bias"}, file, card)
    with pytest.raises(
        ModelError, match=r"model\.safetensors: the tensor classify\.bias that the card names is missing"
    ):
        load_model(own, "spike")
    save_weights(weights | {name: weights[name][:8].copy()}, file, card)
    with pytest.raises(ModelError, match=r"first\.conv\.weight is \(8, 16, 3, 3\)"):
        load_model(own, "spike")


@pytest.mark.parametrize("folder", ["plain", "small stem"], indirect=True)
def test_weights_that_are_no_numbers_are_refused_in_32_bits_and_in_8(own: Path) -> None:
    file = own / "model.safetensors"
    weights, card = load_weights(file)
    kernel = weights["blocks.1.0.first.conv.weight"].copy()
    kernel[3, 2, 1, 1] = np.nan
    save_weights(weights | {"blocks.1.0.first.conv.weight": kernel}, file, card)
    with pytest.raises(ModelError, match=r"model\.safetensors.* weights are damaged, train again"):
        load_model(own, "spike")


@pytest.mark.parametrize("network", [NetworkSpec("conv_snn", widths=(48, 48)), NetworkSpec(widths=(16, 16, 16, 8))])
def test_a_network_it_cannot_run_is_refused_with_another_engine(network: NetworkSpec, tmp_path: Path) -> None:
    save_weights({}, tmp_path / "model.safetensors", replace(PLAIN, network=network))
    with pytest.raises(ModelError, match="use --engine onnx"):
        load_model(tmp_path, "spike")
