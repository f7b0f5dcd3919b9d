"""`livesnn bench train`: the same network and the same step in each framework."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from livesnn.errors import LivesnnError
from tests.benchmarks.train_peers import CONFIG, CONTESTANTS, PEERS, _Worker, bench_train

TINY = replace(CONFIG, width=8, batch=4, compile=False)
needs_peers = pytest.mark.skipif(
    any(find_spec(name) is None for name in PEERS),
    reason="the frameworks compared with aren't installed: pip install spikingjelly snntorch",
)
pytest.importorskip("torch", reason="training needs torch: pip install 'livesnn[train]'")


def test_our_step_has_a_rate_a_peak_of_memory_and_spikes() -> None:
    found = json.loads(json.dumps(bench_train(2, peers=False, config=TINY, precisions=("32-true",))))
    ours = found["32-true"]["frameworks"]["livesnn"]
    rates = ours["samples_per_s"]
    assert 0 < rates["min"] <= rates["median"] <= rates["max"]
    assert rates["n"] == 2
    assert ours["peak_memory_mb"] is None or ours["peak_memory_mb"] > 50
    assert ours["density"] == pytest.approx(TINY.rate_target, abs=0.03)  # as after a training
    assert "ratio" not in found["32-true"]


@needs_peers
@pytest.mark.parametrize("framework", CONTESTANTS)
def test_a_peer_is_the_same_network(framework: str) -> None:
    from tests.benchmarks.train_peers import Trainee

    ours, theirs = Trainee("livesnn", TINY), Trainee(framework, TINY)
    weights = ours.weights()
    expected, found = ours.check(weights), theirs.check(weights)
    assert found["parameters"] == expected["parameters"]
    assert found["density"] == pytest.approx(expected["density"], rel=1e-3)
    np.testing.assert_allclose(found["outputs"], expected["outputs"], atol=1e-4)
    assert theirs.train(1) > 0


@needs_peers
@pytest.mark.slow
def test_all_are_measured_in_one_run_and_compared() -> None:
    found = json.loads(json.dumps(bench_train(1, peers=True, config=TINY, precisions=("bf16-mixed",))))
    half = found["bf16-mixed"]
    assert set(half["frameworks"]) == {"livesnn", *CONTESTANTS}
    assert half["ratio"]["livesnn_vs_best_peer"] > 0
    assert half["same_outputs"]["snntorch"]["same_decision"] == 1
    assert set(found["versions"]) == {"torch", *PEERS}


@pytest.mark.parametrize("missing", PEERS)
def test_a_peer_that_is_not_installed_is_asked_for(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LivesnnError, match="pip install spikingjelly snntorch"):
        bench_train(1, peers=True, config=TINY)


def test_a_framework_that_ended_before_it_was_asked_is_named() -> None:
    with closing(_Worker("no such framework", TINY)) as worker:
        worker._process.join()
        with pytest.raises(LivesnnError, match="training with no such framework ended with exit code 1"):
            worker("weights")
