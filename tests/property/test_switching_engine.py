"""The engine that switches to the spike engine once that is ready; states and decisions carry on."""

from __future__ import annotations

import gc
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.run import frames, run_frames
from livesnn.infer.spike_engine import SpikeModel, SpikeNetwork
from livesnn.infer.switching_engine import PREPARING, SwitchingModel, note_of
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
    network=NetworkSpec(widths=(16,) * 4, sub_blocks=(1,) * 4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("model"), CARD)


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """Return a copy that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


def seen(rng: np.random.Generator) -> Frame:
    counts = rng.poisson(0.3, (2, 34, 34)).clip(0, 4)
    return Frame(0, counts.astype(np.uint8), 0)


def test_files_of_two_models_are_run_by_onnx_runtime_and_said(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    save_weights(weights, own / "model.safetensors", replace(card, seeds=(9,)))
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
