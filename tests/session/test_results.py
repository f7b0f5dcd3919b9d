"""ResultTracker: where windows begin, what is kept of the probabilities, what is forgotten and when."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.run import Latency, Result
from livesnn.session.results import MOST_DECISIONS, ResultTracker, ShownResult

WINDOW = 2


def card(rule: SliceRule) -> ModelCard:
    return ModelCard(name="two", classes=("left", "right"), input=InputSpec(2, 2, rule, window=WINDOW))


COUNTED = card(SliceRule(n_events=100))
TIMED = card(SliceRule(delta_t_us=10_000))


def result(t: int, position: int, *, reset: bool = False, carried: int = 1) -> Result:
    frame = Frame(t, np.zeros((2, 2, 2), np.uint8), 0)
    rates = np.array((1.0, 0.0), np.float32)
    none = np.zeros(0, np.float32)
    latency = Latency(0.0, 0.0, 0.0)
    end = position == WINDOW - 1
    return Result(t, 0, position + 1, rates, "left", 0.9, rates, frame, latency, reset, none, end, none, carried)


def track(tracker: ResultTracker, times: list[int], of: ModelCard, *, start_us: int = 0) -> Iterator[ShownResult]:
    for index, t in enumerate(times):
        yield tracker.add(result(t, index % WINDOW), of, start_us)


def test_a_window_of_counted_events_begins_where_the_one_before_ended() -> None:
    tracker = ResultTracker()
    list(track(tracker, [1_000, 1_300, 1_900, 5_000], COUNTED, start_us=1_000))
    assert list(tracker.decided) == [(0, 300, "left"), (300, 4_000, "left")]


def test_after_a_reset_it_begins_with_its_first_frame() -> None:
    tracker = ResultTracker()
    list(track(tracker, [1_000, 1_300], COUNTED))
    tracker.add(result(9_000, 0, reset=True), COUNTED, 0)
    tracker.add(result(9_500, 1), COUNTED, 0)
    assert tracker.decided[-1] == (9_000, 9_500, "left")


def test_a_window_of_timed_frames_begins_a_frame_before_its_first_ends() -> None:
    tracker = ResultTracker()
    list(track(tracker, [510_000, 520_000], TIMED, start_us=500_000))
    assert list(tracker.decided) == [(0, 20_000, "left")]


def test_the_frames_are_those_of_the_current_window() -> None:
    seen = list(track(ResultTracker(), [10_000, 20_000, 30_000], TIMED))
    assert [len(shown.frames) for shown in seen] == [1, 2, 1]
    assert seen[1].frames == (seen[0].result.frame.data, seen[1].result.frame.data)


def test_why_the_state_was_reset_is_said_until_it_is_reset_by_plan() -> None:
    tracker = ResultTracker()
    tracker.begin_pass("")
    assert tracker.add(result(10_000, 0), TIMED, 0).reset_by == ""
    tracker.begin_pass("seeking")
    assert tracker.add(result(20_000, 0, reset=True), TIMED, 0).reset_by == "seeking"
    assert tracker.add(result(30_000, 1, carried=2), TIMED, 0).reset_by == "seeking"
    assert tracker.add(result(40_000, 0), TIMED, 0).reset_by == ""
    assert tracker.add(result(90_000, 0, reset=True), TIMED, 0).reset_by == "a jump in time"


def test_decisions_are_counted_for_the_first_pass_the_current_one_and_all() -> None:
    tracker = ResultTracker()
    for windows in (3, 2):
        tracker.begin_pass("")
        list(track(tracker, [10_000 * frame for frame in range(WINDOW * windows)], TIMED))
    assert tracker.first_pass.decisions == {"left": 3}
    assert tracker.this_pass.windows == 2
    assert tracker.n_decisions == 5


def test_decisions_that_nobody_takes_are_bounded() -> None:
    tracker = ResultTracker()
    for _ in range(MOST_DECISIONS + 100):
        tracker.add(result(10_000, WINDOW - 1), TIMED, 0)
    assert len(tracker.decided) == MOST_DECISIONS


def test_the_history_is_of_the_last_ten_seconds_and_at_most_every_20_ms() -> None:
    *_, last = track(ResultTracker(), [10_000 * index for index in range(1, 2_500)], TIMED)
    t_us = last.history.t_us
    assert 9_900_000 < t_us[-1] - t_us[0] <= 10_000_000
    assert np.diff(t_us[:-1]).min() >= 20_000
    assert t_us.size > 400


@pytest.mark.parametrize("then", [4_000_000, 15_000_001])
def test_a_jump_back_or_beyond_the_history_begins_it_again(then: int) -> None:
    seen = list(track(ResultTracker(), [4_980_000, 5_000_000, then], TIMED))
    assert seen[1].history.t_us.tolist() == [4_980_000, 5_000_000]
    assert seen[2].history.t_us.tolist() == [then]


def test_the_newest_probabilities_replace_those_too_near_to_the_ones_before() -> None:
    *_, last = track(ResultTracker(), [0, 20_000, 25_000, 30_000, 30_000], TIMED)
    assert last.history.t_us.tolist() == [0, 20_000, 30_000]


def test_a_history_once_given_does_not_change() -> None:
    tracker = ResultTracker()
    early = next(track(tracker, [10_000], TIMED))
    list(track(tracker, [10_000 * index for index in range(2, 1_500)], TIMED))
    assert early.history.t_us.tolist() == [10_000]
