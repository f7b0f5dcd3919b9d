"""tests/benchmarks/accuracy.py: a model before cameras of other sizes, with counts scaled by area and without."""

from __future__ import annotations

from typing import Any

import pytest

from livesnn.events.packet import Resolution
from tests.benchmarks.accuracy import bench_sensors


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
