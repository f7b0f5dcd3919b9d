"""tests/benchmarks/: other frameworks compute what livesnn does, and the studies run on something small."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs livesnn[train]")

from livesnn.bench.throughput import Columns, moving_blob
from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.errors import LivesnnError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import open_recording
from livesnn.infer.load import load_model
from tests.benchmarks import format_peers, step_peers
from tests.benchmarks.accuracy import bench_sensors
from tests.benchmarks.format_peers import PEERS as FORMAT_PEERS
from tests.benchmarks.format_peers import Library, Sums, agree, bench_formats
from tests.benchmarks.sustained import bench_sustained, measure_window, write_hd
from tests.benchmarks.sustained_window import HD, HD_PERIOD_US, Order, SimulatedEvk4
from tests.benchmarks.train_peers import CONFIG, FRAMEWORKS, PEERS, Trainee, bench_train
from tests.fake_source import joined
from tests.format_files import MADE_FILES
from tests.networks import outputs_on_noise, write_network
from tests.reading import read

CARD = ModelCard(
    "peers",
    tuple("abcd"),
    InputSpec(34, 34, SliceRule(n_events=500)),
    NetworkSpec(widths=(8, 8, 8, 8), sub_blocks=(1, 1, 1, 1), weight_bits=8),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("peers"), CARD)


# --- step_peers ---


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.release
def test_our_training_step_has_a_rate_a_peak_of_memory_and_spikes() -> None:
    found = json.loads(json.dumps(bench_train(2, peers=False, config=TINY, precisions=("32-true",))))
    ours = found["32-true"]["frameworks"]["livesnn"]
    assert 0 < ours["samples_per_s"]["min"] <= ours["samples_per_s"]["max"]
    assert ours["peak_memory_mb"] is None or ours["peak_memory_mb"] > 50
    assert ours["density"] == pytest.approx(TINY.rate_target, abs=0.03)  # as after a training
    assert "ratio" not in found["32-true"]


@pytest.mark.slow
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


# --- format_peers ---


@pytest.mark.slow
def test_libraries_read_the_formats_that_are_made() -> None:
    made = {name.split(" ")[0] for name in MADE_FILES}
    assert {name for library in FORMAT_PEERS.values() for name in library.formats} <= made


COUNT = 3_000


@pytest.mark.release
def test_a_mirrored_reading_agrees_and_one_with_other_times_does_not() -> None:
    written = Sums(10, 4, 100, 900, 45, 12)
    sensor = Resolution(10, 5)
    assert agree(Sums(10, 4, 100, 900, 10 * 9 - 45, 10 * 4 - 12), written, sensor)
    assert not agree(Sums(10, 4, 100, 901, 45, 12), written, sensor)


@pytest.mark.release
def test_every_format_is_read_as_it_was_written_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format_peers, "PEERS", {})
    found = bench_formats(2, events=COUNT)
    assert set(found) == {"unit", "versions", *MADE_FILES}
    assert all(found[name]["mev_per_s"]["livesnn"]["n"] == 2 for name in MADE_FILES)


def _all_but_one(path: Path) -> Iterator[Columns]:
    events = read(path)[1:]
    yield events["t"], events["x"], events["y"], events["p"]


def _fail(path: Path) -> Iterator[Columns]:
    raise ValueError("it can't\nbe read")


@pytest.mark.release
def test_who_reads_wrongly_or_not_at_all_is_named_and_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = {
        "hasty": Library("numpy", _all_but_one, ("dat",)),
        "broken": Library("numpy", _fail, ("dat",)),
    }
    monkeypatch.setattr(format_peers, "LibraryProcess", InThisProcess)
    found = format_peers.measure_format("dat", tmp_path, 2, COUNT, libraries)
    assert set(found["wrong"]) >= {"hasty", "broken"}
    assert found["wrong"]["broken"] == "ValueError: it can't be read"
    assert found["mev_per_s"]["livesnn"]["n"] == 2
    assert not {"hasty", "broken"} & set(found["mev_per_s"])


@pytest.mark.release
def test_a_library_whose_process_is_gone_is_no_end_of_the_measurement() -> None:
    with format_peers.LibraryProcess() as process:
        for _ in range(2):
            assert "BrokenProcessPool" in str(process.ask(os._exit, 1))  # type: ignore[arg-type]


class InThisProcess(format_peers.LibraryProcess):
    """As a worker, without a process, which would not know this test's libraries."""

    def __init__(self) -> None:
        super(format_peers.LibraryProcess, self).__init__()
        self.pool = ThreadPoolExecutor(1)
        self.callback(self.pool.shutdown)


@pytest.mark.slow
@pytest.mark.release
def test_scaled_counts_of_a_small_sensor_are_understood_no_worse() -> None:
    sensors = (Resolution(64, 64), Resolution(128, 128))
    found: dict[str, Any] = bench_sensors("gestures", 2, sensors)
    small, own = found["64x64"], found["128x128"]
    assert small["n"] == own["n"] == 22
    assert small["events_per_s"] < own["events_per_s"] / 3
    for state in ("reset", "carried"):
        share, low, high = own["scaled"][state]
        assert low < share < high
    assert small["scaled"]["reset"][0] >= small["as_they_come"]["reset"][0]  # the gain of few events helps both
    assert own["scaled"] == own["as_they_come"]


HD_EVENTS = moving_blob(5000, HD, seed=1, duration_us=HD_PERIOD_US)


def repeated(times: int) -> Events:
    rounds = [HD_EVENTS.copy() for _ in range(times)]
    for number, events in enumerate(rounds):
        events["t"] += number * HD_PERIOD_US
    return np.concatenate(rounds)


@pytest.mark.slow
@pytest.mark.release
def test_an_hd_file_has_its_events_again_and_again(tmp_path: Path) -> None:
    write_hd(tmp_path / "hd.raw", HD_EVENTS, 3 * HD_PERIOD_US / 1e6)
    with open_recording(tmp_path / "hd.raw") as recording:
        assert recording.resolution == HD
        np.testing.assert_array_equal(joined(recording), repeated(3))


@pytest.mark.slow
@pytest.mark.release
def test_a_simulated_evk4_gives_its_events_again_and_again_in_real_time() -> None:
    begun_s = time.perf_counter()
    with open_camera("camera", cameras=SimulatedEvk4(HD_EVENTS, HD_PERIOD_US, HD)) as camera:
        came = joined(takewhile(lambda packet: camera.counters.events <= 10_000, camera))
    assert time.perf_counter() - begun_s > came.size / HD_EVENTS.size * HD_PERIOD_US / 1e6 - 0.01
    assert came.size > HD_EVENTS.size
    came["t"] -= came["t"][0] - HD_EVENTS["t"][0]
    np.testing.assert_array_equal(came, repeated(2)[: came.size])


@pytest.mark.slow
@pytest.mark.release
def test_the_window_is_measured_in_a_process_of_its_own_and_its_error_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "events.npy", HD_EVENTS)
    order = Order(str(tmp_path / "events.npy"), HD_EVENTS.size * 1e6 / HD_PERIOD_US, "gestures", 0.3, 1.0, 2)
    measured = measure_window(order, tmp_path)
    assert measured.events_per_s == pytest.approx(order.events_per_s, rel=0.2)
    assert measured.pictures_per_s > 5
    assert measured.frames_per_s > 5
    assert 0 < measured.step_ms["p50"] <= measured.latency_ms["p50"]
    with pytest.raises(LivesnnError, match="none"):
        measure_window(replace(order, model=str(tmp_path / "none")), tmp_path)


@pytest.mark.slow
@pytest.mark.release
def test_no_time_and_no_events_measure_nothing() -> None:
    for seconds, rates in ((0, (20_000_000,)), (1, (10,))):
        with pytest.raises(LivesnnError, match="give"):
            bench_sustained(seconds, rates)
