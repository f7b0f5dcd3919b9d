"""The engine that switches: by density, or once the spike engine is ready; states and decisions carry on."""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, NetworkSpec, NeuronSpec, SliceRule
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import Model, State
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.run import frames, run_frames
from livesnn.infer.spike_engine import SpikeModel, SpikeNetwork
from livesnn.infer.switching_engine import COUNT_EVERY, PREPARING, SwitchingModel, crossover_density, note_of
from livesnn.paths import models_dir, recordings_dir
from livesnn.weights import load_weights, save_weights
from tests.networks import write_network
from tests.waiting import eventually

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="the networks are built with torch: pip install 'livesnn[train]'")

CARD = ModelCard(
    name="held",
    classes=tuple("abcdefghijk"),
    input=InputSpec(34, 34, SliceRule(delta_t_us=10_000), count_max=4, scale=0.5),
    network=NetworkSpec(widths=(16,) * 4),
    neuron=NeuronSpec(0.8, 0.3, reset=False),
)
"""Nothing resets its membranes: those far from the threshold spike for many steps, or don't."""


@pytest.fixture(scope="module", params=[32, 8])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = replace(CARD.network, weight_bits=request.param)
    return write_network(tmp_path_factory.mktemp("model"), replace(CARD, network=network))


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def seen(rng: np.random.Generator) -> Frame:
    counts = rng.poisson(0.3, (2, 34, 34)).clip(0, 4)
    return Frame(0, counts.astype(np.uint8), 0)


def state_of(model: Model, density: float, rng: np.random.Generator) -> State:
    return tuple(np.where(rng.random(u.shape) < density, 1e6, -1e6).astype(np.float32) for u in model.initial_state())


def test_dense_states_are_stepped_by_onnx_runtime_with_its_results(folder: Path) -> None:
    switching, onnx, rng = load_model(folder, "spike"), load_model(folder, "onnx"), np.random.default_rng(0)
    frame = seen(rng)
    for density, engine in ((0.05, "spike"), (0.95, "onnx"), (1.0, "onnx")):
        state = state_of(onnx, density, rng)
        expected, following = onnx.step(frame, state)
        output, found = switching.step(frame, state)
        assert switching.engine == engine
        assert output.argmax() == expected.argmax()
        for a, b in zip(following, found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


def test_a_dense_state_goes_over_and_comes_back_and_is_carried(folder: Path) -> None:
    """A membrane of 100 comes down to the threshold within 30 steps; one of −1e30 never comes up to it."""
    switching, onnx, rng = load_model(folder, "spike"), load_model(folder, "onnx"), np.random.default_rng(1)
    blank = Frame(0, np.zeros((2, 34, 34), np.uint8), 0)
    density = crossover_density(onnx.card) + 0.1
    dense = tuple(np.where(u > 0, 100, -1e30).astype(np.float32) for u in state_of(onnx, density, rng))
    engines = []
    for state in (tuple(np.full_like(u, -1e30) for u in dense), dense):
        for _ in range(4 * COUNT_EVERY):
            _, expected = onnx.step(blank, state)
            _, state = switching.step(blank, state)
            engines.append(switching.engine)
            for a, b in zip(expected, state, strict=True):
                np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    turns = [number for number, (a, b) in enumerate(pairwise(engines), 1) if a != b]
    assert engines[0] == engines[-1] == "spike"
    assert turns[0] == 4 * COUNT_EVERY
    assert turns[1:] in ([turns[0] + COUNT_EVERY], [turns[0] + 2 * COUNT_EVERY])


def test_what_runs_a_step_follows_from_the_state_alone(folder: Path) -> None:
    switching, rng = load_model(folder, "spike"), np.random.default_rng(2)
    frame, dense = seen(rng), state_of(load_model(folder, "onnx"), 1.0, rng)
    for state in (dense, switching.initial_state(), switching.step(frame, dense)[1]):
        output, following = switching.step(frame, state)
        engine = switching.engine
        switching.step(frame, dense)
        switching.step(frame, switching.initial_state())
        again, same = switching.step(frame, state)
        assert switching.engine == engine
        np.testing.assert_array_equal(again, output)
        for a, b in zip(following, same, strict=True):
            np.testing.assert_array_equal(b, a)


def test_a_wrong_state_is_refused_as_by_the_others(folder: Path) -> None:
    switching = load_model(folder, "spike")
    with pytest.raises(ModelError, match="start from initial_state"):
        switching.step(seen(np.random.default_rng(0)), switching.initial_state()[1:])


def test_files_of_two_models_are_refused_by_the_spike_engine_and_left_alone_by_auto(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    save_weights(weights, own / "model.safetensors", replace(card, seeds=(9,)))
    with pytest.raises(ModelError, match="not of the same model: copy the model again"):
        load_model(own, "spike")
    model = load_model(own)
    eventually(lambda: note_of(model) not in ("", PREPARING), 60)
    assert model.engine == "onnx"
    assert "not of the same model" in note_of(model)


def test_without_weights_auto_is_onnx_runtime(own: Path) -> None:
    (own / "model.safetensors").unlink()
    assert isinstance(load_model(own), OnnxModel)


def test_without_a_graph_the_spike_engine_runs_alone(own: Path) -> None:
    (own / "model.onnx").unlink()
    assert isinstance(load_model(own, "spike"), SpikeModel)


# Going over between two frames


def clip_frames(model: Model) -> list[Frame]:
    return list(islice(frames(recordings_dir() / "arm_roll.aedat4", model), 60))


@pytest.mark.parametrize("at", [25, *(pytest.param(at, marks=pytest.mark.release) for at in (0, 1))])
def test_going_over_between_two_frames_changes_no_decision(at: int) -> None:
    folder = models_dir() / "gestures"
    onnx = OnnxModel.load(folder / "model.onnx")
    spike = SpikeModel.load(folder)
    shown = clip_frames(onnx)
    alone = [result.decision for result in run_frames(shown, onnx)]
    go, gone = threading.Event(), threading.Event()

    def prepare(stop: threading.Event) -> SpikeModel:
        go.wait(60)
        return spike

    model = SwitchingModel(onnx, prepare)
    assert note_of(model) == PREPARING

    def until_then() -> Iterator[Frame]:
        for number, frame in enumerate(shown):
            if number == at:
                go.set()
                eventually(lambda: note_of(model) == "", 60)
                gone.set()
            yield frame

    engines, decisions = [], []
    for result in run_frames(until_then(), model):
        engines.append(model.engine)
        decisions.append(result.decision)
    assert engines == ["onnx"] * at + ["spike"] * (len(shown) - at)
    assert decisions == alone


def test_if_nothing_can_be_prepared_onnx_runtime_goes_on_and_the_reason_is_told(folder: Path) -> None:
    def prepare(stop: threading.Event) -> SpikeModel:
        raise ModelError("there is no compiler")

    model = SwitchingModel(OnnxModel.load(folder / "model.onnx"), prepare)
    eventually(lambda: note_of(model) not in ("", PREPARING), 60)
    assert "ONNX Runtime runs the network" in note_of(model)
    assert note_of(model).endswith("there is no compiler")
    model.step(seen(np.random.default_rng(0)), model.initial_state())
    assert model.engine == "onnx"


def test_what_prepares_ends_with_its_model(folder: Path) -> None:
    stopped = threading.Event()

    def prepare(stop: threading.Event) -> None:
        stop.wait(60)
        stopped.set()

    model = SwitchingModel(OnnxModel.load(folder / "model.onnx"), prepare)
    del model
    gc.collect()
    assert stopped.wait(10)


def test_what_is_compiled_is_used_from_the_first_frame(folder: Path) -> None:
    SpikeModel.load(folder)
    assert SpikeNetwork.read(folder).is_compiled()
    for model in (load_model(folder), load_model(folder, "spike", wait=False)):
        assert (model.engine, note_of(model)) == ("spike", "")
