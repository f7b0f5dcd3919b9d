"""The controls under the view: what they ask for, and what they show of a recording and of a live source."""

from __future__ import annotations

import math

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from livesnn.app.widgets.bars import SPEEDS, Transport


@pytest.fixture
def transport(qtbot: QtBot) -> Transport:
    made = Transport()
    qtbot.addWidget(made)
    made.resize(900, made.sizeHint().height())
    made.show()
    return made


def play(transport: Transport, total_s: float | None, state: str = "playing") -> None:
    transport.set_recording(total_s)
    transport.show_state(state)


@pytest.mark.parametrize(
    ("state", "words", "active"),
    [
        ("empty", "Play", False),
        ("opening", "Play", False),
        ("playing", "Pause", True),
        ("waiting", "Pause", True),
        ("paused", "Play", True),
        ("ended", "Play again", True),
        ("failed", "Play", False),
    ],
)
def test_play_says_what_it_would_do(transport: Transport, state: str, words: str, active: bool) -> None:
    play(transport, 5.0, state)
    assert transport.play.accessibleName() == words
    assert transport.play.toolTip() == f"{words} (Space)"
    assert transport.play.isEnabled() == active
    assert (transport.back.isEnabled(), transport.forward.isEnabled()) == (active, active)
    assert transport.line.isEnabled() == active


def test_the_speeds_go_from_a_tenth_to_as_fast_as_possible(qtbot: QtBot, transport: Transport) -> None:
    play(transport, 5.0)
    asked: list[float] = []
    transport.speed.currentIndexChanged.connect(lambda _: asked.append(transport.speed.currentData()))
    assert transport.speed.currentData() == 1.0
    for _ in range(len(SPEEDS)):
        transport.change_speed(1)
    assert asked == [2.0, 5.0, 10.0, math.inf]
    assert transport.speed.currentData() == math.inf
    for _ in range(2 * len(SPEEDS)):
        transport.change_speed(-1)
    assert asked[-1] == transport.speed.currentData() == 0.1


def test_without_a_recording_the_speed_stays(transport: Transport) -> None:
    transport.change_speed(1)
    assert transport.speed.currentData() == 1.0


def test_a_seek_on_the_line_is_passed_on_and_shown(qtbot: QtBot, transport: Transport) -> None:
    play(transport, 10.0)
    middle = QPoint(transport.line.width() // 2, 20)
    with qtbot.waitSignal(transport.line.seek_requested) as wanted:
        qtbot.mousePress(transport.line, Qt.MouseButton.LeftButton, pos=middle)
    assert wanted.args == [pytest.approx(5.0, abs=0.02)]
    transport.show_position(1.0)  # while it is held
    assert transport.position.text() == "0:05.0"
    assert transport.line.position_s == pytest.approx(5.0, abs=0.02)
    qtbot.mouseRelease(transport.line, Qt.MouseButton.LeftButton, pos=middle)
    transport.show_position(1.0)
    assert transport.position.text() == "0:01.0"
    assert transport.total.text() == "0:10.0"


def test_a_live_source_has_no_time_line_but_a_dot_and_a_clock(transport: Transport) -> None:
    play(transport, None)
    assert not transport.line.isVisible()
    assert not transport.speed.isVisible()
    assert transport.live.isVisible()
    assert transport.play.isEnabled()
    for seconds, elapsed in ((100_000.0, "0:00.0"), (100_083.44, "1:23.4"), (5.0, "0:00.0"), (6.0, "0:01.0")):
        transport.show_position(seconds)
        assert transport.elapsed.text() == elapsed


@pytest.mark.parametrize("state", ["playing", "waiting", "paused", "ended"])
def test_a_live_source_stays_one_whatever_becomes_of_it(transport: Transport, state: str) -> None:
    play(transport, None, state)
    transport.show_recording("Recording 0:12")
    for widget in (transport.live, transport.elapsed, transport.recorded, transport.record):
        assert widget.isVisible()
    for widget in (transport.line, transport.speed, transport.loop):
        assert not widget.isVisible()


def test_what_is_simulated_is_not_called_live(transport: Transport) -> None:
    transport.set_recording(None, simulated=True)
    assert transport.live.text() == "SIMULATED"
    transport.set_recording(None)
    assert transport.live.text() == "LIVE"


def test_the_dot_says_whether_a_live_source_runs_and_red_is_only_for_recording(transport: Transport) -> None:
    tones = []
    for state in ("playing", "paused"):
        play(transport, None, state)
        tones.append(transport.dot.property("tone"))
    assert tones == ["accent", "faint"]


@pytest.mark.parametrize("state", ["empty", "opening", "failed"])
def test_before_something_is_open_it_looks_as_for_a_recording(transport: Transport, state: str) -> None:
    play(transport, 5.0)
    height = transport.sizeHint().height()
    play(transport, None, state)
    assert transport.live.isHidden()
    assert transport.line.isVisible()
    assert not transport.line.isEnabled()
    assert transport.sizeHint().height() == height
    assert transport.position.text() == transport.total.text() == "–"


def test_it_leaves_the_view_its_room(transport: Transport) -> None:
    play(transport, 5.0)
    assert transport.sizeHint().height() <= 44 + 56 + 12
    recorded = transport.sizeHint().height()
    play(transport, None)
    assert transport.sizeHint().height() == recorded - 58  # the line, and the space above it
