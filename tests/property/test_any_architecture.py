"""The spike-driven engine steps as ONNX Runtime does whatever the STS-ResNet is and however much of it spikes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule, TraceSpec
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.spike_engine import SpikeModel
from tests.networks import CLOSE, agree, write_network

pytest.importorskip("torch", reason="the networks are built with torch: pip install 'livesnn[train]'")

# All of them in any order: for each choice of 64, 32 and 16 lanes the step is compiled anew, which takes 20 s.
# Networks of equal widths and of other choices are test_spike_engine's.
widths = st.permutations([16, 32, 48, 64]).map(tuple)
strides = st.sampled_from([1, 1, 2])
sub_blocks = st.sampled_from([1, 1, 2])
networks = st.builds(
    NetworkSpec,
    widths=widths,
    strides=st.tuples(strides, strides, strides, strides),
    sub_blocks=st.tuples(sub_blocks, sub_blocks, sub_blocks, sub_blocks),
    stem_kernel=st.sampled_from([1, 3, 5, 7]),
    stem_stride=st.sampled_from([1, 2]),
    stem_pool_stride=st.sampled_from([1, 2]),
    final_pool=st.just(1),
    norm=st.booleans(),
    weight_bits=st.sampled_from([8, 32]),
)
cards = st.builds(
    ModelCard,
    name=st.just("any"),
    classes=st.integers(2, 20).map(lambda count: tuple(f"class {number}" for number in range(count))),
    input=st.builds(
        InputSpec,
        width=st.integers(16, 40),
        height=st.integers(16, 40),
        slice=st.just(SliceRule(delta_t_us=10_000)),
        channels=st.just(2),
        count_max=st.integers(1, 8),
        scale=st.floats(0.1, 1),
    ),
    network=networks,
    neuron=st.builds(NeuronSpec, st.floats(0.1, 0.95), st.floats(0.2, 1), reset=st.booleans()),
    readout=st.sampled_from(["membrane", "spikes", "traces"]),
    traces=st.builds(
        TraceSpec,
        st.lists(st.floats(0, 0.98), min_size=1, max_size=4).map(tuple),
        st.integers(1, 3),
        st.integers(8, 40),
        st.integers(1, 40),
        st.booleans(),
    ),
)


@pytest.mark.slow
@given(cards, st.floats(0, 1), st.floats(0, 2), st.integers(0, 1000))
@settings(
    max_examples=5,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    phases=[Phase.generate],
)
def test_one_step_of_any_network_is_that_of_onnx_runtime(
    card: ModelCard, density: float, rate: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    with TemporaryDirectory() as folder:
        write_network(Path(folder), card, seed=seed)
        onnx, spike = load_model(Path(folder), "onnx"), SpikeModel.load(Path(folder))
        threshold = card.neuron.threshold
        state = tuple(
            (threshold * (2 * rng.random(u.shape) - 2 * (rng.random(u.shape) > density))).astype(np.float32)
            for u in onnx.initial_state()
        )
        counts = rng.poisson(rate, (2, card.input.height, card.input.width)).clip(0, 255)
        frame = Frame(0, counts.astype(np.uint8), 0)
        output, expected = onnx.step(frame, state)
        found_output, found = spike.step(frame, state)
        if agree(expected, found, threshold):
            np.testing.assert_allclose(found_output, output, rtol=CLOSE, atol=CLOSE)
