"""`livesnn bench simulator`: what tells a simulated clip from a real one, and the report of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.bench import Options, measure
from livesnn.errors import DataError, LivesnnError
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.simulate.gestures import gesture_clip
from tests.benchmarks.simulator_likeness import BIN_US, bench_simulator, fingerprint, rate_over_time

SENSOR = Resolution(32, 24)


def moving_dot(speed_px_s: float, rate_hz: float = 1000, seconds: float = 1.0, **columns: object) -> Events:
    """Return a dot that goes right, one event each 1/rate, ON and OFF by turns."""
    events = np.zeros(round(rate_hz * seconds), EVENTS_DTYPE)
    events["t"] = np.arange(len(events)) * 1e6 / rate_hz
    events["x"] = 4 + (events["t"] / 1e6 * speed_px_s)
    events["y"] = 10
    events["p"] = np.arange(len(events)) % 2
    for name, values in columns.items():
        events[name] = values
    return events


def test_rate_balance_and_place_are_those_of_the_events() -> None:
    found = fingerprint(moving_dot(0, rate_hz=5000), SENSOR)
    assert found["rate_kev_s"] == pytest.approx(5, rel=0.01)
    assert found["rate_cv"] == pytest.approx(0, abs=0.02)
    assert found["on_share"] == 0.5
    assert (found["centre_x"], found["centre_y"]) == (4, 10)
    assert (found["spread_x"], found["spread_y"], found["speed_px_s"]) == (0, 0, 0)
    assert found["busiest_share"] == 1
    assert found["background_hz"] == 0


def test_the_centre_moves_as_fast_as_the_dot() -> None:
    events = moving_dot(50, rate_hz=20_000, seconds=0.5)
    assert fingerprint(events, SENSOR)["speed_px_s"] == pytest.approx(50, abs=1)


def test_intervals_are_those_between_events_of_a_pixel() -> None:
    found = fingerprint(moving_dot(0, rate_hz=500, seconds=2), SENSOR)
    assert found["interval_ms"] == pytest.approx(2)
    assert (found["short_share"], found["same_polarity"]) == (1, 0)
    assert fingerprint(moving_dot(0, rate_hz=500, seconds=2, p=True), SENSOR)["same_polarity"] == 1


def test_the_rate_over_time_is_of_whole_bins() -> None:
    rate = rate_over_time(moving_dot(0, rate_hz=2000, seconds=0.11))
    assert len(rate) == 110_000 // BIN_US
    assert rate == pytest.approx(2000)


def test_too_few_events_are_refused() -> None:
    with pytest.raises(DataError, match="too few to compare"):
        fingerprint(moving_dot(0, rate_hz=100), SENSOR)


def test_a_report_shows_a_clip_among_simulated_ones_and_says_what_is_outside(tmp_path: Path) -> None:
    clip = gesture_clip("arm_roll", 3, 0.8, use="test")
    twice = np.repeat(clip, 8)  # as no person looks: eight events at once
    for name, events in (("01_arm_roll", clip), ("02_hand_clapping", twice)):
        np.savez(tmp_path / f"{name}.npz", **{key: events[key] for key in "txyp"}, width=128, height=128)
    found = bench_simulator(tmp_path, tmp_path / "report", 12)
    assert set(found) == {"arm_roll", "hand_clapping"}
    assert "interval_ms" in found["hand_clapping"]["outside"]
    assert found["arm_roll"]["inside"] > found["hand_clapping"]["inside"]
    text = (tmp_path / "report" / "README.md").read_text()
    assert "## arm_roll" in text
    for name in found:
        assert (tmp_path / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_clips_and_too_few_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no clips NN_GESTURE\.npz"):
        bench_simulator(tmp_path, tmp_path / "report", 12)
    with pytest.raises(LivesnnError, match="--people 10 or more"):
        measure(["simulator"], Options(people=3))
