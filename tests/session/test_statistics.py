"""Rolling statistics: percentiles of the latency, rates, density."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, NetworkSpec, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.cost import costs, synops
from livesnn.infer.run import Latency, Result
from livesnn.session.statistics import LAST_RESULTS, Counts, RollingStatistics

FRAME = Frame(0, np.zeros((2, 1, 1), np.uint8), 0)
LIT = Frame(0, np.array([[[3]], [[0]]], np.uint8), 3)
RATES = np.zeros(2, np.float32)
CARD = ModelCard(
    name="two",
    classes=("a", "b"),
    input=InputSpec(width=4, height=4, slice=SliceRule(delta_t_us=10_000)),
    network=NetworkSpec(kind="conv_snn"),
    states={"one": (1, 4, 4), "two": (1, 2, 2), "hidden": (4,), "classify": (2,)},
)


def result(network_ms: float, density: tuple[float, ...] = (0.1, 0.3, 0.3)) -> Result:
    latency = Latency(float("nan"), network_ms, 2 * network_ms)
    layers = np.array(density, np.float32)
    membrane = np.zeros(4, np.float32)
    return Result(0, 0, 1, RATES, None, 0.0, RATES, FRAME, latency, False, layers, False, membrane, 1)


def test_percentiles_are_over_the_last_results_only() -> None:
    rolling = RollingStatistics()
    for _ in range(50):
        rolling.add_result(result(1e6), CARD, 0.0)
    for milliseconds in range(LAST_RESULTS):
        rolling.add_result(result(float(milliseconds)), CARD, 0.0)
    statistics = rolling.snapshot(Counts(events=5, dropped=7, skipped=3, unread=2), now_s=0.0)
    assert statistics.network_ms.p50 == pytest.approx((LAST_RESULTS - 1) / 2)
    assert statistics.total_ms.p95 == pytest.approx(2 * 0.95 * (LAST_RESULTS - 1))
    assert (statistics.events, statistics.dropped, statistics.skipped, statistics.unread) == (5, 7, 3, 2)


def test_what_was_never_measured_is_nan_not_zero() -> None:
    empty = RollingStatistics().snapshot(Counts(), now_s=1.0)
    assert math.isnan(empty.total_ms.p50)
    assert math.isnan(empty.events_per_s)
    assert math.isnan(empty.frames_per_s)
    rolling = RollingStatistics()
    rolling.add_result(result(1.0), CARD, 0.0)
    assert math.isnan(rolling.snapshot(Counts(), now_s=0.0).slice_ms.p95)


def test_density_is_the_mean_over_neurons_and_the_last_results() -> None:
    rolling = RollingStatistics()
    rolling.add_result(result(1.0, (0.1, 0.5, 0.0)), CARD, 0.0)
    rolling.add_result(result(1.0, (0.3, 0.7, 0.0)), CARD, 0.0)
    assert rolling.snapshot(Counts(), now_s=0.0).density == pytest.approx((16 * 0.2 + 4 * 0.6) / 24)


def test_flicker_is_the_mean_of_the_last_results() -> None:
    rolling = RollingStatistics()
    assert rolling.snapshot(Counts(), now_s=0.0).light_flicker == 0
    for flicker in (1, 4):
        rolling.add_result(replace(result(1.0), frame=replace(LIT, light_flicker=flicker)), CARD, 0.0)
    assert rolling.snapshot(Counts(), now_s=0.0).light_flicker == 2.5


def test_the_work_of_a_frame_is_what_run_counts_by_the_last_results() -> None:
    rolling = RollingStatistics()
    assert math.isnan(rolling.snapshot(Counts(), now_s=0.0).synops)
    rolling.add_result(replace(result(1.0, (0.1, 0.5, 0.0)), frame=LIT), CARD, 0.0)
    rolling.add_result(result(1.0, (0.3, 0.7, 0.0)), CARD, 0.0)
    shown = rolling.snapshot(Counts(), now_s=0.0)
    of_run = costs(np.array([0.2, 0.6, 0.0]), 0.5, CARD)
    assert shown.synops == pytest.approx(of_run["synops_per_frame"])
    assert shown.energy_estimate_uj == pytest.approx(of_run["energy_estimate_uj_per_frame"])
    assert shown.dense_synops == pytest.approx(synops(np.ones(3), CARD))
    assert 0 < shown.synops < shown.dense_synops


def test_a_network_without_hidden_layers_has_no_work_that_spikes_make() -> None:
    rolling = RollingStatistics()
    rolling.add_result(result(1.0, ()), replace(CARD, states={"classify": (2,)}), 0.0)
    assert math.isnan(rolling.snapshot(Counts(), now_s=0.0).synops)


@pytest.mark.parametrize("per_s", [1.0, 2.0, 20.0])
@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])  # of the time between two
def test_few_frames_a_second_are_counted_right(per_s: float, late: float) -> None:
    rolling = RollingStatistics()
    for frame in range(100):
        rolling.add_result(result(1.0), CARD, frame / per_s)
    now_s = (99 + late) / per_s
    assert rolling.snapshot(Counts(), now_s=now_s).frames_per_s == pytest.approx(per_s)


def test_frames_that_no_longer_come_are_fewer_and_fewer() -> None:
    rolling = RollingStatistics()
    for frame in range(100):
        rolling.add_result(result(1.0), CARD, 0.05 * frame)
    rates = [rolling.snapshot(Counts(), now_s=4.95 + wait_s).frames_per_s for wait_s in (0.0, 0.5, 1.0, 1.5)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 8
    assert math.isnan(rolling.snapshot(Counts(), now_s=7.5).frames_per_s)
