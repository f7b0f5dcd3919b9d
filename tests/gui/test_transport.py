"""The controls under the view and their timeline: what they show, what they ask for, what two hours cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.bars import SPEEDS, Transport
from livesnn.app.widgets.timeline import (
    BASELINE,
    HEIGHT,
    HEIGHT_WITH_LABELS,
    LABELS,
    LABELS_END,
    TOP,
    TRACK,
    TRACK_END,
    DecisionTrack,
    Timeline,
    clock,
    heights,
)
from livesnn.events.filters import Stretch
from livesnn.events.labels import Label
from livesnn.session.rate_profile import RateProfile

CLASSES = ("hand_clapping", "arm_roll", "other")
WIDTH = 816  # 800 columns of the recording between the sides
LEFT = Qt.MouseButton.LeftButton
MakeLine = Callable[..., Timeline]

NO_RAISE = pytest.mark.qt_log_ignore("does not support raise")  # said by the offscreen platform of a tool tip


@pytest.fixture
def make_line(qtbot: QtBot) -> MakeLine:
    def make(total_s: float | None = 10.0, *labels: Label) -> Timeline:
        line = Timeline()
        qtbot.addWidget(line)
        line.resize(WIDTH, HEIGHT)
        line.set_recording(total_s, CLASSES, labels)
        line.show()
        return line

    return make


def at(line: Timeline, seconds: float, total_s: float = 10.0) -> QPoint:
    return QPoint(round(8 + (line.width() - 16) * seconds / total_s), HEIGHT // 2)


def colour_at(line: Timeline, seconds: float, y: int) -> str:
    return line.grab().toImage().pixelColor(at(line, seconds).x(), y).name()


def rate(counts: list[int], *, bin_us: int = 1_000_000) -> RateProfile:
    return RateProfile(bin_us, np.array(counts, np.int64))


@pytest.mark.parametrize(
    ("seconds", "total_s", "text"),
    [(0.0, 5.0, "0:00.0"), (59.96, 80.0, "1:00.0"), (61.25, 80.0, "1:01.2"), (3725.5, 7200.0, "1:02:05.5")],
)
def test_times_are_written_as_on_a_clock(seconds: float, total_s: float, text: str) -> None:
    assert clock(seconds, total_s=total_s) == text


@pytest.mark.parametrize(
    ("counts", "total_s", "columns", "expected"),
    [
        ([100, 100, 400, 100], 4.0, 8, [0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5]),
        ([5, 5, 5], 10.0, 100, [1.0] * 30),  # as far as it is known
        ([], 10.0, 100, []),
        ([0, 0], 2.0, 4, [0.0] * 4),
    ],
)
def test_a_burst_is_higher_than_what_surrounds_it(
    counts: list[int], total_s: float, columns: int, expected: list[float]
) -> None:
    assert heights(rate(counts), total_s, columns).tolist() == pytest.approx(expected)


def test_a_profile_is_painted_and_what_is_played_is_brighter(make_line: MakeLine) -> None:
    line = make_line()
    empty = colour_at(line, 2.0, BASELINE - 3)
    line.set_profile(rate([100] * 10))
    line.show_position(5.0)
    played, ahead = (colour_at(line, seconds, BASELINE - 3) for seconds in (2.0, 8.0))
    assert len({empty, played, ahead}) == 3
    accent = QColor(style.theme.accent)
    distances = [abs(QColor(name).green() - accent.green()) for name in (played, ahead)]
    assert distances[0] < distances[1]
    assert colour_at(line, 2.0, TOP - 3) == empty


def test_a_decision_has_its_class_colour_and_later_ones_replace_it(make_line: MakeLine) -> None:
    line, middle = make_line(), (TRACK + TRACK_END) // 2
    empty = colour_at(line, 7.0, middle)
    line.add_decision(0.0, 6.0, "arm_roll")
    line.add_decision(2.0, 3.0, "other")
    line.add_decision(4.0, 5.0, None)
    found = [line.decision_at(second + 0.5) for second in range(7)]
    assert found == ["arm_roll", "arm_roll", "other", "arm_roll", None, "arm_roll", None]
    shown = [colour_at(line, seconds, middle) for seconds in (0.2, 2.2, 4.5, 8.0)]
    assert shown == [style.class_colour(1).name(), style.class_colour(2).name(), empty, empty]


def test_equal_neighbours_are_one_segment_and_a_column_is_what_most_of_its_time_was_decided() -> None:
    track = DecisionTrack(7200.0, CLASSES)
    for number in range(72_000):  # ten a second, for two hours
        label = None if number < 36_000 else CLASSES[number // 24_000]
        track.add(number / 10, (number + 1) / 10, label)
    assert track.segments(1000) == [(500, 667, 1), (667, 1000, 2)]
    track = DecisionTrack(100.0, CLASSES)
    for begun_s, ended_s, label in ((0.0, 6.0, "other"), (6.0, 10.0, "arm_roll"), (10.0, 14.0, "other")):
        track.add(begun_s, ended_s, label)
    assert track.segments(10) == [(0, 1, 2)]
    track = DecisionTrack(1e6, CLASSES)
    track.add(500_000.0, 500_000.01, "other")  # shorter than a cell
    track.add(1e6, 1e6 + 5, "arm_roll")  # beyond the end
    assert (track.at(500_000.0), track.at(1e6)) == ("other", None)


def test_a_recording_that_turns_out_to_be_longer_keeps_what_was_decided(make_line: MakeLine) -> None:
    line = make_line(10.0, Label("arm_roll", 20.0, 30.0))
    line.add_decision(2.0, 6.0, "arm_roll")
    assert line.height() == HEIGHT
    line.lengthen(40.0)
    decided = [line.decision_at(seconds) for seconds in (1.0, 3.0, 5.0, 7.0, 25.0)]
    assert decided == [None, "arm_roll", "arm_roll", None, None]
    assert line.height() == HEIGHT_WITH_LABELS


def test_labels_are_spans_under_the_decisions_with_the_edge_of_their_class(make_line: MakeLine) -> None:
    line = make_line(10.0, Label("arm_roll", 2.0, 4.0), Label("my own", 5.0, 5.1))
    assert line.height() == HEIGHT_WITH_LABELS
    middle = (LABELS + LABELS_END) // 2
    assert colour_at(line, 2.01, middle) == style.class_colour(1).name()
    assert colour_at(line, 5.01, middle) == style.class_colour(len(CLASSES)).name()  # the next after the model's
    assert colour_at(line, 4.5, middle) == colour_at(line, 9.0, middle)
    assert len({colour_at(line, second, LABELS + 2) for second in (2.01, 3.9, 4.5)}) == 3


def test_what_is_not_marked_is_dimmed(make_line: MakeLine) -> None:
    line = make_line()
    plain = line.grab().toImage()
    line.set_marks(Stretch(2.5, 5.0))
    marked = line.grab().toImage()

    def differs(seconds: float) -> bool:
        x = at(line, seconds).x()
        return any(plain.pixel(x, y) != marked.pixel(x, y) for y in range(line.height()))

    assert [differs(seconds) for seconds in (1.0, 3.0, 4.5, 6.0)] == [True, False, False, True]


@NO_RAISE
def test_the_pointer_says_what_was_decided_there_and_what_was_labelled(qtbot: QtBot, make_line: MakeLine) -> None:
    line = make_line()

    def words_at(seconds: float) -> str:
        line.add_decision(6.0, 8.0, "hand_clapping")
        qtbot.mouseMove(line, at(line, seconds))
        return QToolTip.text()

    assert [words_at(7.0), words_at(3.0)] == ["0:07.0  ·  Hand clapping", "0:03.0"]
    assert line.position_s == 0.0
    line.set_recording(10.0, CLASSES, [Label("arm_roll", 6.0, 8.0), Label("tired", 6.5, 8.0)])
    assert words_at(7.5) == "0:07.5  ·  decided: Hand clapping  ·  labelled: Arm roll, Tired"


def test_the_handle_follows_the_position_within_the_line(make_line: MakeLine) -> None:
    line = make_line()
    line.show_position(4.0)
    assert line.position_s == 4.0
    assert colour_at(line, 4.0, 4) == QColor(style.theme.text).name()
    line.show_position(99.0)
    assert line.position_s == 10.0


@NO_RAISE
def test_a_click_seeks_there_once_and_dragging_until_it_is_let_go(qtbot: QtBot, make_line: MakeLine) -> None:
    line, sought = make_line(), []
    line.seek_requested.connect(sought.append)
    qtbot.mouseClick(line, LEFT, pos=at(line, 7.5))
    qtbot.mouseClick(line, Qt.MouseButton.RightButton, pos=at(line, 2.0))
    assert sought == [pytest.approx(7.5)]
    qtbot.mousePress(line, LEFT, pos=at(line, 1.0))
    for tenth in range(11, 81):
        qtbot.mouseMove(line, at(line, tenth / 10))
    assert line.is_dragging
    assert line.position_s == pytest.approx(8.0)
    qtbot.mouseRelease(line, LEFT, pos=at(line, 8.0))
    assert not line.is_dragging
    assert sought[-1] == pytest.approx(8.0)


@NO_RAISE
def test_dragging_seeks_at_most_ten_times_a_second_and_forgets_no_place(qtbot: QtBot, make_line: MakeLine) -> None:
    line, sought = make_line(), []
    line.seek_requested.connect(sought.append)
    kinds = [QEvent.Type.MouseButtonPress, *[QEvent.Type.MouseMove] * 3]
    for kind, second in zip(kinds, (1.0, 2.0, 3.0, 4.0), strict=True):  # at once, so that no timer can run between
        place, none = QPointF(at(line, second)), Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(line, QMouseEvent(kind, place, line.mapToGlobal(place), LEFT, LEFT, none))
    assert sought == [pytest.approx(1.0)]
    qtbot.waitUntil(lambda: len(sought) == 2)
    assert sought[1] == pytest.approx(4.0)


@pytest.mark.parametrize("total_s", [None, 0.0])
def test_without_a_length_there_is_nothing_to_seek(make_line: MakeLine, total_s: float | None) -> None:
    line = make_line(total_s)
    line.set_profile(rate([500], bin_us=1000))
    line.show_position(3.0)
    assert not line.isEnabled()  # Qt keeps mouse and keys from it
    assert line.position_s == 0.0
    ink = {colour_at(line, second, 4) for second in range(1, 10)}
    assert QColor(style.theme.text).name() not in ink


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
        assert (transport.play.accessibleName(), transport.play.toolTip()) == (words, f"{words} (Space)")
        parts = (transport.play, transport.back, transport.forward, transport.line)
        assert [part.isEnabled() for part in parts] == [active] * 4, state


def test_the_speeds_go_from_a_tenth_to_as_fast_as_possible(transport: Transport) -> None:
    transport.change_speed(1)
    assert transport.speed.currentData() == 1.0  # there is nothing to play yet
    play(transport, 5.0)
    asked: list[float] = []
    transport.speed.currentIndexChanged.connect(lambda _: asked.append(transport.speed.currentData()))
    for _ in range(len(SPEEDS)):
        transport.change_speed(1)
    assert asked == [2.0, 5.0, 10.0, math.inf]
    for _ in range(2 * len(SPEEDS)):
        transport.change_speed(-1)
    assert asked[-1] == transport.speed.currentData() == 0.1


def test_while_the_line_is_held_it_shows_what_is_sought(qtbot: QtBot, transport: Transport) -> None:
    play(transport, 10.0)
    middle = QPoint(transport.line.width() // 2, 20)
    qtbot.mousePress(transport.line, LEFT, pos=middle)
    transport.show_position(1.0)
    assert transport.position.text() == "0:05.0"
    qtbot.mouseRelease(transport.line, LEFT, pos=middle)
    transport.show_position(1.0)
    assert (transport.position.text(), transport.total.text()) == ("0:01.0", "0:10.0")


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
    for simulated, words in ((True, "SIMULATED"), (False, "LIVE")):
        transport.set_recording(None, simulated=simulated)
        assert transport.live.text() == words


def test_before_something_is_open_it_looks_as_for_a_recording(transport: Transport) -> None:
    play(transport, 5.0)
    height = transport.sizeHint().height()
    assert height <= 44 + 56 + 12
    for state in ("empty", "opening", "failed"):
        play(transport, None, state)
        line = transport.line
        assert (transport.live.isHidden(), line.isVisible(), line.isEnabled()) == (True, True, False)
        assert transport.sizeHint().height() == height
        assert transport.position.text() == transport.total.text() == "–"
