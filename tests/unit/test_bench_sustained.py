"""tests/benchmarks/sustained.py: what is counted as sustained, how rates are gone through, and the window itself."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.card import InputSpec, SliceRule
from livesnn.errors import LivesnnError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model
from tests.benchmarks.random_network import SETTLING, card_of, write_levelled
from tests.benchmarks.sustained import (
    HD,
    HD_PERIOD_US,
    bench_sustained,
    measure_ramp,
    measure_window,
    write_hd,
)
from tests.benchmarks.sustained_window import Look, Measured, Order, SimulatedEvk4, TimedModel, sum_up
from tests.fake_source import joined
from tests.synthetic import CARD, write_model

pytestmark = [pytest.mark.slow, pytest.mark.release]

ORDER = Order(
    events="events.npy",
    duration_us=1_000_000,
    resolution=(34, 34),
    events_per_s=20_000,
    model="columns",
    engine="onnx",
    threads=1,
    warm_up_s=0.3,
    seconds=1.0,
    cores=2,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = InputSpec(width=34, height=34, slice=SliceRule(n_events=1000), window=10)
    return write_model(tmp_path_factory.mktemp("model") / "columns", replace(CARD, input=spec))


def stepped(model: Path, frames: int) -> TimedModel:
    """Return a model after so many steps, each of a thousand events."""
    timed = TimedModel(load_model(model, "onnx", threads=1))
    state = timed.initial_state()
    for _ in range(frames):
        _, state = timed.step(Frame(0, np.zeros((2, 34, 34), np.uint8), 1000), state)
    return timed


def summed(timed: TimedModel, *, came: int, dropped: int = 0) -> Measured:
    begun_s, ended_s = timed.steps(0, np.inf)[[0, -1], [1, 2]]
    order = replace(ORDER, events_per_s=20_000 / (ended_s + 1e-6 - begun_s))
    first = Look(begun_s, 500, 7, 10, 0.0)
    last = Look(ended_s + 1e-6, 500 + came, 7 + dropped, 16, 0.05)
    return sum_up(order, timed, first, last, 2)


def test_a_rate_is_sustained_when_all_came_all_was_decided_on_and_nothing_was_dropped(model: Path) -> None:
    timed = stepped(model, 20)
    good = summed(timed, came=20_000)
    assert good.sustained
    assert good.decided_events_per_s == pytest.approx(good.asked_events_per_s)
    assert good.engine_steps == {"onnx": 20}
    p50, p95, p99 = (good.step_ms[name] for name in ("p50", "p95", "p99"))
    assert p50 <= p95 <= p99
    assert good.step_p99_to_p50 == pytest.approx(p99 / p50)
    assert (good.dropped, good.dropped_in_warm_up) == (0, 7)
    assert not summed(timed, came=20_000, dropped=1).sustained
    assert not summed(timed, came=19_000).sustained
    assert not summed(stepped(model, 15), came=20_000).sustained


def played(most: int, rates: tuple[int, ...]) -> tuple[list[float], list[bool]]:
    measured = summed_once()
    ramp = measure_ramp(rates, lambda rate: replace(measured, asked_events_per_s=rate, sustained=rate <= most))
    return [step.asked_events_per_s for step in ramp], [step.sustained for step in ramp]


def summed_once() -> Measured:
    return Measured(True, 0, 0, 0, 0, 0, 0, {}, 1, {}, 0, 0, {}, 2, 1)


def test_a_ramp_ends_at_the_first_rate_that_is_not_sustained() -> None:
    assert played(250, (400, 100, 200, 300)) == ([100, 200, 300], [True, True, False])
    assert played(1000, (100, 200)) == ([100, 200], [True, True])


def test_the_window_is_measured_in_a_process_of_its_own(model: Path, tmp_path: Path) -> None:
    events = np.zeros(20_000, EVENTS_DTYPE)
    events["t"] = np.arange(20_000) * 50
    events["x"] = np.arange(20_000) // 100 % 34
    np.save(tmp_path / "events.npy", events)
    order = replace(ORDER, events=str(tmp_path / "events.npy"), model=str(model))
    measured = measure_window(order, tmp_path)
    assert measured.events_per_s == pytest.approx(20_000, rel=0.1)
    assert measured.decided_events_per_s > 0
    assert measured.pictures_per_s > 5
    assert 0 < measured.step_ms["p50"] <= measured.latency_ms["p50"]
    assert measured.seconds >= 0.9


HD_EVENTS = moving_blob(5000, HD, seed=1, duration_us=HD_PERIOD_US)


def repeated(times: int) -> Events:
    rounds = [HD_EVENTS.copy() for _ in range(times)]
    for number, events in enumerate(rounds):
        events["t"] += number * HD_PERIOD_US
    return np.concatenate(rounds)


def test_an_hd_file_has_its_events_again_and_again(tmp_path: Path) -> None:
    write_hd(tmp_path / "hd.raw", HD_EVENTS, 3 * HD_PERIOD_US / 1e6)
    with open_recording(tmp_path / "hd.raw") as recording:
        assert recording.resolution == HD
        np.testing.assert_array_equal(joined(recording), repeated(3))


def test_a_simulated_evk4_gives_its_events_again_and_again_in_real_time() -> None:
    begun_s = time.perf_counter()
    with open_camera("camera", cameras=SimulatedEvk4(HD_EVENTS, HD_PERIOD_US, HD)) as camera:
        came = joined(takewhile(lambda packet: camera.counters.events <= 10_000, camera))
    assert time.perf_counter() - begun_s > came.size / HD_EVENTS.size * HD_PERIOD_US / 1e6 - 0.01
    assert came.size > HD_EVENTS.size
    came["t"] -= came["t"][0] - HD_EVENTS["t"][0]
    np.testing.assert_array_equal(came, repeated(2)[: came.size])


def test_what_the_window_says_went_wrong_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "events.npy", np.zeros(1, EVENTS_DTYPE))
    order = replace(ORDER, events=str(tmp_path / "events.npy"), model=str(tmp_path / "none"))
    with pytest.raises(LivesnnError, match="none"):
        measure_window(order, tmp_path)


def test_no_time_and_no_events_measure_nothing() -> None:
    for options in ({"seconds": 0}, {"rates": (10,)}, {"threads": 0}):
        with pytest.raises(LivesnnError, match="give"):
            bench_sustained(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("weight_bits", "target"), [(8, 0.1), (32, 1.0)])
def test_every_layer_of_the_network_spikes_as_often_as_was_asked_for(
    weight_bits: int, target: float, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="the network is made by torch: pip install 'livesnn[train]'")
    counts = np.random.default_rng(0).poisson(0.1, (SETTLING + 8, 2, 32, 32)).astype(np.uint8)
    seen = [Frame(0, data, 0) for data in counts]
    write_levelled(tmp_path, card_of(32, weight_bits, width=16), seen, target)
    model = load_model(tmp_path, "onnx")
    state, densities = model.initial_state(), []
    for frame in seen:
        _, state = model.step(frame, state)
        densities.append([np.mean(membranes >= 0.5) for membranes in state[:-1]])
    found = np.mean(densities[SETTLING:], axis=0)
    assert len(found) == 17
    np.testing.assert_allclose(found, target, rtol=0.1)
