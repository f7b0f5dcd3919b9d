"""What the window says while a live source is silent: no decision, and for how long; a pause shows the past."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from livesnn.app.widgets.readout import ago
from livesnn.infer.decide import STALE_S
from livesnn.session.comparison import Second
from tests.fake_source import FakeSource, cut, endless
from tests.synthetic import moving_bar

from .conftest import MakeWindow

BAR_US = 400_000


def falls_silent() -> FakeSource:
    return FakeSource(cut(moving_bar(BAR_US), BAR_US), then="silence")


def silent_s(decision: QWidget) -> int:
    found = re.search(r"for (\d+) s", decision.accessibleName())
    assert found is not None
    return int(found[1])


def test_a_silent_source_has_no_decision_and_the_time_since_is_said(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    window.open(falls_silent())
    decision = window.readout.decision
    qtbot.waitUntil(lambda: decision.said.confidence > 0)
    qtbot.waitUntil(lambda: decision.said.words == "No events")
    assert decision.said.confidence == 0.0
    first_s = silent_s(decision)
    assert window.readout.rows.dimmed
    assert window.readout.rows.decision is None
    qtbot.waitUntil(lambda: silent_s(decision) > first_s)


def test_a_second_model_has_no_decision_then_either(
    qtbot: QtBot, make_window: MakeWindow, model_folder: Path
) -> None:
    source = FakeSource(endless(moving_bar(BAR_US), BAR_US), on_demand=True)
    window = make_window()
    window.open(source)
    window.comparing.use(Second(str(model_folder), "onnx"))
    panel = window.comparing.panel
    assert panel is not None
    decision = panel.readout.decision
    qtbot.waitUntil(lambda: source.give() or decision.said.confidence > 0)
    for each in (decision, window.readout.decision):
        qtbot.waitUntil(lambda each=each: each.said.words == "No events")


def test_with_events_the_decision_comes_back(qtbot: QtBot, make_window: MakeWindow) -> None:
    packets = cut(moving_bar(BAR_US), BAR_US)
    source = FakeSource(packets, on_demand=True, then="silence")
    window = make_window()
    window.open(source)
    decision = window.readout.decision
    source.give(len(packets) // 2)
    qtbot.waitUntil(lambda: decision.said.words == "No events")
    source.give(len(packets))
    qtbot.waitUntil(lambda: decision.said.confidence > 0)
    assert not window.readout.rows.dimmed


@pytest.mark.parametrize("live", [True, False])
def test_a_pause_shows_the_past_on_purpose(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, live: bool
) -> None:
    window = make_window(loop=True)
    window.open(falls_silent() if live else str(recording))
    decision = window.readout.decision
    qtbot.waitUntil(lambda: decision.said.confidence > 0)
    window.player.toggle()
    polls, paused_s = QSignalSpy(window.timer.timeout), time.perf_counter()
    qtbot.waitUntil(lambda: polls.count() > 3 and time.perf_counter() > paused_s + STALE_S + 0.2)
    assert decision.said.words not in ("No events", "Nothing yet")
    assert not window.readout.rows.dimmed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.2, "for 1 s"), (59.4, "for 59 s"), (61.0, "for 1 min"), (7300.0, "for 2 h")],
)
def test_a_silence_is_said_in_round_numbers(seconds: float, words: str) -> None:
    assert ago(seconds) == words
