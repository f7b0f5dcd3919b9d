"""`livesnn bench density`: networks of a density, engines by turns, the bound, and the tables made of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.levelled_network import SETTLING, card_of, write_levelled
from livesnn.errors import DataError
from livesnn.events.slicer import Frame
from livesnn.infer.model import load_model
from tests.benchmarks.density import SIZES, bench_bandwidth, bench_density, limit

pytest.importorskip("torch", reason="the networks are made by torch: pip install 'livesnn[train]'")
ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "packaging" / "engine" / "table.py"


@pytest.fixture
def seen() -> list[Frame]:
    random = np.random.default_rng(0)
    counts = random.poisson(0.1, (SETTLING + 8, 2, 32, 32)).astype(np.uint8)
    return [Frame(0, data, 0) for data in counts]


@pytest.mark.parametrize(("weight_bits", "target"), [(8, 0.1), (32, 1.0)])
def test_every_layer_spikes_as_often_as_was_asked_for(
    seen: list[Frame], weight_bits: int, target: float, tmp_path: Path
) -> None:
    write_levelled(tmp_path, card_of(32, weight_bits, width=16), seen, target)
    model = load_model(tmp_path, "onnx")
    state, densities = model.initial_state(), []
    for frame in seen:
        _, state = model.step(frame, state)
        densities.append([np.mean(membranes >= 0.5) for membranes in state[:-1]])
    found = np.mean(densities[SETTLING:], axis=0)
    assert len(found) == 17
    np.testing.assert_allclose(found, target, rtol=0.1)


def test_a_step_touches_a_weight_a_synaptic_operation_and_all_membranes_twice(
    seen: list[Frame], tmp_path: Path
) -> None:
    write_levelled(tmp_path, card_of(32, 8, width=16), seen, 0.5)
    card = load_model(tmp_path, "onnx").card
    speeds = {name: {"median": 10.0} for name in SIZES}
    silent = limit(card, np.zeros(17), 0.0, speeds)
    assert silent["weights_mb"] == 0
    assert silent["state_mb"] == pytest.approx(8e-6 * sum(np.prod(shape) for shape in card.states.values()))
    assert silent["ms"] == pytest.approx(silent["state_mb"] / 10)
    busy, busier = (limit(card, np.full(17, share), 0.0, speeds) for share in (0.1, 0.2))
    assert busier["weights_ms"] == pytest.approx(2 * busy["weights_ms"])
    assert busier["state_ms"] == silent["state_ms"]


def test_small_arrays_are_read_at_some_speed() -> None:
    for by_size in bench_bandwidth(1).values():
        assert set(by_size) == set(SIZES)
        assert all(speed["min"] > 0 for speed in by_size.values())


@pytest.mark.slow
def test_engines_are_compared_and_tables_are_made_of_it(tmp_path: Path) -> None:
    found = bench_density(1, targets=(0.05,), weight_bits=(8,), side=32, width=16)
    row = found["8 bits"]["5%"]  # type: ignore[index]
    assert row["layers_off"] == 0
    assert 0.04 < row["density_min"] <= row["density"] <= row["density_max"] < 0.06
    assert set(row["engines"]) == {"onnx", "onnx_bound", "onnx_int8", "spike"}
    assert row["agreement"] > 0.9
    assert row["spike_steps"] == 1
    assert row["goal"] == 8
    machine = {"processor": "P", "cores": 2, "versions": {"numba": "1", "onnxruntime": "2"}}
    report = json.loads(json.dumps({"machine": machine, "density": found}))
    spec = importlib.util.spec_from_file_location("table", TABLE)
    assert spec
    assert spec.loader
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    (written,) = [line for line in table.tables(report).splitlines() if line.startswith("| 5% |")]
    assert written.count("|") == 12


def test_a_recording_of_few_frames_is_one_line(tmp_path: Path) -> None:
    events = {"t": np.arange(3000), "x": np.arange(3000) % 34, "y": np.arange(3000) % 30, "p": np.ones(3000)}
    np.savez(tmp_path / "short.npz", **events)
    with pytest.raises(DataError, match=r"has 3 frames of a thousand events: give a longer one, 11 at least"):
        bench_density(1, f"{tmp_path / 'short.npz'}")
