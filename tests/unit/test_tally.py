"""Percentiles and majorities."""

from __future__ import annotations

import math

import pytest

from livesnn.infer.statistics import Percentiles, Tally


def test_percentiles_leave_out_what_is_not_known() -> None:
    values = [float("nan"), *map(float, range(101)), float("inf")]
    assert Percentiles.of(values) == pytest.approx((50.0, 95.0, 99.0))


@pytest.mark.parametrize("values", [[], [float("nan")]])
def test_percentiles_of_nothing_are_nan(values: list[float]) -> None:
    assert all(math.isnan(value) for value in Percentiles.of(values))


def test_the_majority_is_the_most_frequent_decision_and_nothing_is_none() -> None:
    tally = Tally()
    assert tally.majority is None
    for decision in (None, "left", "right", None, None, "right"):
        tally.add(decision)
    assert tally.majority == "right"
    assert tally.windows == 6
    assert tally.decisions == {"left": 1, "right": 2}
