"""The history that plots are made of: what its rows say, and that it stays within its memory."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.events.slicer import Frame
from livesnn.infer.run import Latency, Result
from livesnn.session.plot_history import KEPT_S, ROW_S, PlotHistory
from livesnn.session.session import Session
from livesnn.session.statistics import Statistics
from tests.waiting import eventually

CARD = ModelCard(
    name="two",
    classes=("a", "b"),
    input=InputSpec(width=4, height=4, slice=SliceRule(delta_t_us=10_000)),
    states={"one": (1, 4, 4), "two": (4,), "classify": (2,)},
)
FRAME = Frame(0, np.zeros((2, 1, 1), np.uint8), 0)
RATES = Statistics(events_per_s=2e6, filtered_per_s=1e6)
NAN = math.nan


def result(*, slice_ms: float = 1.0, share: float = 0.5, activity: float = 0.1, t_us: int = 0) -> Result:
    probabilities = np.array([share, 1 - share], np.float32)
    density = np.array([activity, 2 * activity], np.float32)
    membrane = np.array([-activity, 0.0, activity], np.float32)
    latency = Latency(slice_ms, 2.0, slice_ms + 3.0)
    decided = (None, 0.0, probabilities)
    return Result(t_us, 0, 1, probabilities, *decided, FRAME, latency, False, density, False, membrane, 1)


@pytest.fixture
def history() -> PlotHistory:
    return PlotHistory(CARD, 0.0)


def test_a_row_has_the_longest_latency_and_the_mean_of_everything_else(history: PlotHistory) -> None:
    for slice_ms, share, activity in ((1.0, 0.2, 0.1), (9.0, 0.6, 0.3), (2.0, 0.4, 0.2)):
        history.add_result(result(slice_ms=slice_ms, share=share, activity=activity, t_us=5_000_000), 1_000_000)
    history.add_shown(7.0)
    history.add_shown(5.0)
    history.add_statistics(RATES, 0.5)
    latency = history.rows("latency")
    assert latency.at_s.tolist() == [0.5]
    assert latency.stream_s.tolist() == [4.0]
    assert latency.values.tolist() == [[9.0, 2.0, 12.0, 7.0]]
    assert history.rows("rate").values.tolist() == [[2e6, 1e6]]
    assert history.rows("probabilities").values == pytest.approx(np.array([[0.4, 0.6]]))
    assert history.rows("density").values == pytest.approx(np.array([[0.2, 0.4]]))
    assert history.rows("membrane").values == pytest.approx(np.array([[-0.2, 0.0, 0.2]]))


def test_each_row_is_about_the_time_since_the_one_before(history: PlotHistory) -> None:
    history.add_result(result(slice_ms=NAN), 0)  # nobody knows when its events arrived
    history.add_result(result(slice_ms=9.0), 0)
    history.add_statistics(RATES, 0.0)
    history.add_statistics(RATES, ROW_S / 2)  # too soon
    history.add_statistics(RATES, ROW_S)  # without a frame
    history.add_result(result(slice_ms=1.0), 0)
    history.add_statistics(RATES, 2 * ROW_S)
    slice_ms = history.rows("latency").values[:, 0]
    assert slice_ms == pytest.approx([9.0, NAN, 1.0], nan_ok=True)
    assert history.rows("probabilities").values[:, 0] == pytest.approx([0.5, NAN, 0.5], nan_ok=True)


def test_every_curve_has_its_name(history: PlotHistory) -> None:
    history.add_statistics(RATES, 0.0)
    for quantity, names in history.curves.items():
        assert history.rows(quantity).values.shape == (1, len(names))
    assert history.curves["density"] == ("one", "two")
    assert history.curves["membrane"] == ("one", "two", "classify")


def test_rows_of_a_time_come_with_one_before_and_one_after_so_that_lines_reach_the_edges(
    history: PlotHistory,
) -> None:
    for second in range(10):
        history.add_statistics(RATES, float(second))
    assert history.rows("rate", 3.5, 5.5).at_s.tolist() == [3.0, 4.0, 5.0, 6.0]
    assert history.rows("rate", 20.0, 30.0).at_s.tolist() == [9.0]
    assert history.rows("rate").at_s.size == 10


def test_the_last_minutes_are_kept(history: PlotHistory) -> None:
    rows = round(KEPT_S / ROW_S)
    for index in range(2 * rows):
        history.add_shown(1.0)
        history.add_statistics(RATES, index * 0.11)
    at_s = history.rows("rate").at_s
    assert len(at_s) == rows
    assert at_s[-1] == pytest.approx(0.11 * (2 * rows - 1))
    assert at_s[-1] - at_s[0] >= KEPT_S - 0.11
    assert (np.diff(at_s) > 0).all()


def test_a_session_fills_its_history(model_folder: Path, recording: Path) -> None:
    session = Session(recording)
    session.start()
    session.go_on(model_folder)
    try:
        eventually(lambda: session.control.state == "ended")
        history = session.history
        assert history is not None
        history.add_statistics(session.statistics, history.now_s())
        assert history.rows("probabilities").values.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
        assert history.rows("rate").stream_s[-1] > 0
        assert history.rows("latency").values[-1, 1] > 0
    finally:
        session.stop()
