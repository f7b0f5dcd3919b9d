"""tests/benchmarks/sustained.py: the window itself, and what is played to it."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import moving_blob
from livesnn.errors import LivesnnError
from livesnn.events.cameras.discovery import open_camera
from livesnn.events.packet import Events
from livesnn.events.recording import open_recording
from tests.benchmarks.sustained import bench_sustained, measure_window, write_hd
from tests.benchmarks.sustained_window import HD, HD_PERIOD_US, Order, SimulatedEvk4
from tests.fake_source import joined

pytestmark = [pytest.mark.slow, pytest.mark.release]

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


def test_no_time_and_no_events_measure_nothing() -> None:
    for seconds, rates in ((0, (20_000_000,)), (1, (10,))):
        with pytest.raises(LivesnnError, match="give"):
            bench_sustained(seconds, rates)
