"""tests/benchmarks/: other frameworks compute what livesnn does, and the studies run on something small."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmarks need torch: pip install 'livesnn[train]'")

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import LivesnnError
from livesnn.infer.load import load_model
from tests.benchmarks import step_peers
from tests.benchmarks.format_peers import PEERS as FORMAT_PEERS
from tests.benchmarks.train_peers import CONFIG, FRAMEWORKS, PEERS, Trainee, Worker, bench_train
from tests.format_files import MADE_FILES
from tests.networks import outputs_on_noise, write_network

pytestmark = pytest.mark.slow

CARD = ModelCard(
    "peers",
    tuple("abcd"),
    InputSpec(34, 34, SliceRule(n_events=500)),
    NetworkSpec(widths=(8, 8, 8, 8), weight_bits=8),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("peers"), CARD)


# --- step_peers ---


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's, by what others import
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("torch-compile", marks=pytest.mark.release),
        "openvino",
        "spikingjelly",
        "spikingjelly-channels-last",
        "snntorch",
        "norse",
    ],
)
def test_a_peer_computes_what_we_do_and_again_from_zero_state(folder: Path, name: str) -> None:
    package, build = step_peers.BUILDERS[name]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")
    if name == "torch-compile" and shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler")
    peer = build(folder, 1)
    expected = outputs_on_noise(load_model(folder, "onnx"))
    assert np.abs(expected).max() > 0.1
    for _ in range(2):
        np.testing.assert_allclose(outputs_on_noise(peer), expected, atol=1e-4)


def test_what_is_not_installed_is_left_out_with_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {name: ("no_such_package", build) for name, (_, build) in step_peers.BUILDERS.items()}
    monkeypatch.setattr(step_peers, "BUILDERS", missing)
    step = json.loads(json.dumps(step_peers.bench_step_peers(str(folder), 1, engines=("onnx",))))
    assert set(step["peers"]) == {"onnx-int8"}  # which comes with ours
    assert 0 <= step["peers"]["onnx-int8"]["same_decision"] <= 1
    assert step["peers_left_out"]["norse"] == "not installed: pip install no_such_package"
    assert "onnx" in step["engines"]


# --- train_peers ---

TINY = replace(CONFIG, width=8, batch=4, compile=False)
needs_peers = pytest.mark.skipif(
    any(find_spec(name) is None for name in PEERS),
    reason="the frameworks compared with aren't installed: pip install spikingjelly snntorch",
)


def test_our_training_step_has_a_rate_a_peak_of_memory_and_spikes() -> None:
    found = json.loads(json.dumps(bench_train(2, peers=False, config=TINY, precisions=("32-true",))))
    ours = found["32-true"]["frameworks"]["livesnn"]
    assert 0 < ours["samples_per_s"]["min"] <= ours["samples_per_s"]["max"]
    assert ours["peak_memory_mb"] is None or ours["peak_memory_mb"] > 50
    assert ours["density"] == pytest.approx(TINY.rate_target, abs=0.03)  # as after a training
    assert "ratio" not in found["32-true"]


@needs_peers
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_trains_the_same_network(framework: str) -> None:
    ours, theirs = Trainee("livesnn", TINY), Trainee(framework, TINY)
    weights = ours.weights()
    expected, found = ours.check(weights), theirs.check(weights)
    assert found["parameters"] == expected["parameters"]
    assert found["density"] == pytest.approx(expected["density"], rel=1e-3)
    np.testing.assert_allclose(found["outputs"], expected["outputs"], atol=1e-4)
    assert theirs.train(1) > 0


def test_a_framework_whose_process_has_ended_is_named() -> None:
    with (
        closing(Worker("no such framework", TINY)) as worker,
        pytest.raises(LivesnnError, match="training with no such framework ended with exit code 1"),
    ):
        worker("weights")


# --- format_peers ---


def test_libraries_read_the_formats_that_are_made() -> None:
    made = {name.split(" ")[0] for name in MADE_FILES}
    assert {name for library in FORMAT_PEERS.values() for name in library.formats} <= made
