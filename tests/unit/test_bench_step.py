"""`livesnn bench step --peers`: the same network in other frameworks, frame by frame."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench import Options, measure
from livesnn.bench.step import bench_startup
from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import LivesnnError
from livesnn.events.frames import Frame
from livesnn.infer import Model, load_model
from tests.networks import write_network

pytest.importorskip("torch", reason="the peers need torch: pip install 'livesnn[train]'")

CARD = ModelCard(
    "peers",
    tuple("abcd"),
    InputSpec(34, 34, SliceRule(n_events=500)),
    NetworkSpec(widths=(8, 8, 8, 8), weight_bits=8),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("peers"), CARD)


def outputs(model: Model, n_frames: int = 12) -> np.ndarray:
    """Return the outputs [n_frames, K] of a model on frames of noise, the state carried."""
    random = np.random.default_rng(3)
    state, found = model.initial_state(), []
    for data in random.poisson(0.6, (n_frames, 2, 34, 34)).astype(np.uint8):
        output, state = model.step(Frame(0, data, 500), state)
        found.append(output.copy())
    return np.array(found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's, by what others import
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("torch-compile", marks=pytest.mark.slow),
        "openvino",
        "spikingjelly",
        "spikingjelly-channels-last",
        "snntorch",
        "norse",
    ],
)
def test_a_peer_computes_what_we_do_and_again_from_zero_state(folder: Path, name: str) -> None:
    from livesnn.bench.step_peers import BUILDERS

    package, build = BUILDERS[name]
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")
    peer = build(folder, 1)
    expected = outputs(load_model(folder, "onnx"))
    assert np.abs(expected).max() > 0.1
    for _ in range(2):
        np.testing.assert_allclose(outputs(peer), expected, atol=1e-4)


def test_what_is_not_installed_is_left_out_with_the_command_that_installs_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from livesnn.bench import step_peers

    missing = {name: ("no_such_package", build) for name, (_, build) in step_peers.BUILDERS.items()}
    monkeypatch.setattr(step_peers, "BUILDERS", missing)
    found = measure(["step"], Options(model=str(folder), repeats=1, peers=True))
    step = json.loads(json.dumps(found["step"]))
    assert step["peers"] == {}
    assert step["peers_left_out"]["norse"] == "not installed: pip install no_such_package"
    assert {"onnx", "torch"} <= set(step["engines"])


def test_peers_of_a_step_are_asked_for_with_step() -> None:
    with pytest.raises(LivesnnError, match="or step"):
        measure(["slicer"], Options(repeats=1, peers=True))


def test_a_window_that_can_show_nothing_is_not_waited_for() -> None:
    with pytest.raises(LivesnnError, match=r"showed nothing \(.*'nosuch' not found; .*\): try livesnn gui"):
        bench_startup("nosuch", 1)
