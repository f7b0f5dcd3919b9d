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


def test_play_says_what_it_would_do(transport: Transport) -> None:
    for state, words, active in (
        ("empty", "Play", False),
        ("opening", "Play", False),
        ("playing", "Pause", True),
        ("waiting", "Pause", True),
        ("paused", "Play", True),
        ("ended", "Play again", True),
        ("failed", "Play", False),
    ):
        play(transport, 5.0, state)
        assert transport.play.accessibleName() == words
        assert transport.play.toolTip() == f"{words} (Space)"
        parts = (transport.play, transport.back, transport.forward, transport.line)
        assert [part.isEnabled() for part in parts] == [active] * 4, state


def test_the_speeds_go_from_a_tenth_to_as_fast_as_possible(qtbot: QtBot, transport: Transport) -> None:
    transport.change_speed(1)
    assert transport.speed.currentData() == 1.0  # there is nothing to play yet
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


def test_a_live_source_has_a_dot_and_a_clock_in_place_of_a_time_line(transport: Transport) -> None:
    tones = {}
    for state in ("playing", "waiting", "paused", "ended"):
        play(transport, None, state)
        transport.show_recording("Recording 0:12")
        for widget in (transport.live, transport.elapsed, transport.recorded, transport.record):
            assert widget.isVisible(), state
        for widget in (transport.line, transport.speed, transport.loop):
            assert not widget.isVisible(), state
        tones[state] = transport.dot.property("tone")
    assert (tones["playing"], tones["paused"]) == ("accent", "faint")  # red is for recording
    play(transport, None)
    assert transport.play.isEnabled()
    for seconds, elapsed in ((100_000.0, "0:00.0"), (100_083.44, "1:23.4"), (5.0, "0:00.0"), (6.0, "0:01.0")):
        transport.show_position(seconds)
        assert transport.elapsed.text() == elapsed
    transport.set_recording(None, simulated=True)
    assert transport.live.text() == "SIMULATED"
    transport.set_recording(None)
    assert transport.live.text() == "LIVE"


def test_before_something_is_open_it_looks_as_for_a_recording(transport: Transport) -> None:
    play(transport, 5.0)
    height = transport.sizeHint().height()
    for state in ("empty", "opening", "failed"):
        play(transport, None, state)
        assert (transport.live.isHidden(), transport.line.isVisible(), transport.line.isEnabled()) == (
            True,
            True,
            False,
        )
        assert transport.sizeHint().height() == height
        assert transport.position.text() == transport.total.text() == "–"


def test_it_leaves_the_view_its_room(transport: Transport) -> None:
    play(transport, 5.0)
    assert transport.sizeHint().height() <= 44 + 56 + 12
    recorded = transport.sizeHint().height()
    play(transport, None)
    assert transport.sizeHint().height() == recorded - 58  # the line, and the space above it
