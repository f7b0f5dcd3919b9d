"""On a busy machine the spike-driven engine does without its second thread for a while."""

from __future__ import annotations

import numpy as np

from livesnn.infer.spikes.team import FIRST_PAUSE, LONGEST_PAUSE, HelperPolicy

TOGETHER_S, ALONE_S = 0.0003, 0.0006
LATE_S = 0.01


def stepped(helping: HelperPolicy, steps: int, late_in: float, seed: int = 0) -> tuple[HelperPolicy, list[float]]:
    """Return what follows so many steps, and how long each took; helpers are late in a share of those with them."""
    rng, took_s = np.random.default_rng(seed), list[float]()
    for _ in range(steps):
        if helping.alone:
            took_s.append(ALONE_S)
            helping = helping.after_alone()
            continue
        waited_s = LATE_S if rng.random() < late_in else 0.1 * TOGETHER_S
        took_s.append(TOGETHER_S + waited_s)
        helping = helping.after_helped(took_s[-1], waited_s)
    return helping, took_s


def test_however_often_helpers_are_late_p99_is_less_than_five_times_p50() -> None:
    for late_in in (0.006, 0.01, 0.03, 0.1, 0.3, 1.0):
        _, took_s = stepped(HelperPolicy(), 20_000, late_in)
        assert np.percentile(took_s, 99) < 5 * np.median(took_s), late_in


def test_on_a_machine_that_stays_busy_hardly_any_step_waits() -> None:
    helping, _ = stepped(HelperPolicy(), 20_000, 0.1)
    _, took_s = stepped(helping, 100_000, 0.1)
    assert np.mean(np.array(took_s) > LATE_S) < 0.001


def test_helpers_that_are_seldom_late_are_nearly_always_called() -> None:
    for late_in, share in ((0.0, 0.0), (0.001, 0.01), (0.003, 0.1)):
        _, took_s = stepped(HelperPolicy(), 50_000, late_in)
        assert took_s.count(ALONE_S) <= share * len(took_s), late_in


def test_helpers_are_called_again_after_a_machine_was_busy() -> None:
    helping, _ = stepped(HelperPolicy(), 20_000, 0.3)
    assert helping.pause > FIRST_PAUSE
    helping, took_s = stepped(helping, LONGEST_PAUSE + 1000, 0.0)
    assert took_s[-1] < ALONE_S
    assert helping == HelperPolicy()


def test_in_a_long_step_some_waiting_is_usual() -> None:
    assert HelperPolicy().after_helped(0.02, 0.004) == HelperPolicy()
    assert HelperPolicy().after_helped(0.02, 0.01) != HelperPolicy()
