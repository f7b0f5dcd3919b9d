"""The timeline: what it shows, what dragging asks for, what two hours of decisions cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.style import DARK, LIGHT
from livesnn.app.widgets.timeline import (
    BASELINE,
    DRAG_EVERY_MS,
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
from livesnn.events.labels import Label
from livesnn.session.rate_profile import RateProfile

CLASSES = ("hand_clapping", "arm_roll", "other")
WIDTH = 816  # 800 columns of the recording between the sides
MakeLine = Callable[..., Timeline]

NO_RAISE = pytest.mark.qt_log_ignore("does not support raise")  # said by the offscreen platform of a tool tip


@pytest.fixture
def make_line(qtbot: QtBot) -> MakeLine:
    def make(total_s: float | None = 10.0) -> Timeline:
        line = Timeline()
        qtbot.addWidget(line)
        line.resize(WIDTH, HEIGHT)
        line.set_recording(total_s, CLASSES)
        line.show()
        return line

    return make


def at(line: Timeline, seconds: float, total_s: float = 10.0) -> QPoint:
    return QPoint(round(8 + (line.width() - 16) * seconds / total_s), HEIGHT // 2)


def colour_at(line: Timeline, seconds: float, y: int) -> str:
    image: QImage = line.grab().toImage()
    return image.pixelColor(at(line, seconds).x(), y).name()


def rate(counts: list[int], *, bin_us: int = 1_000_000) -> RateProfile:
    return RateProfile(bin_us, np.array(counts, np.int64))


@pytest.mark.parametrize(
    ("seconds", "total_s", "text"),
    [(0.0, 5.0, "0:00.0"), (59.96, 80.0, "1:00.0"), (61.25, 80.0, "1:01.2"), (3725.5, 7200.0, "1:02:05.5")],
)
def test_times_are_written_as_on_a_clock(seconds: float, total_s: float, text: str) -> None:
    assert clock(seconds, total_s=total_s) == text


# Event rate


def test_a_burst_is_higher_than_what_surrounds_it() -> None:
    tops = heights(rate([100, 100, 400, 100]), 4.0, 8)
    assert tops.tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5])


def test_a_rate_is_shown_as_far_as_it_is_known() -> None:
    assert len(heights(rate([5, 5, 5]), 10.0, 100)) == 30
    assert len(heights(rate([]), 10.0, 100)) == 0
    assert heights(rate([0, 0]), 2.0, 4).tolist() == [0, 0, 0, 0]


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


# Decisions


def test_a_decision_has_its_class_colour_and_gaps_stay_empty(make_line: MakeLine) -> None:
    line = make_line()
    middle = (TRACK + TRACK_END) // 2
    empty = colour_at(line, 7.0, middle)
    line.add_decision(6.9, 7.1, "arm_roll")
    line.add_decision(7.1, 9.0, None)
    assert colour_at(line, 7.0, middle) == style.class_colour(1).name()
    assert colour_at(line, 8.0, middle) == empty
    assert (line.decision_at(7.0), line.decision_at(8.0), line.decision_at(1.0)) == ("arm_roll", None, None)


def test_a_later_decision_replaces_an_earlier_one_at_the_same_place(make_line: MakeLine) -> None:
    line = make_line()
    line.add_decision(0.0, 6.0, "arm_roll")
    line.add_decision(2.0, 3.0, "other")
    line.add_decision(4.0, 5.0, None)
    found = [line.decision_at(second + 0.5) for second in range(7)]
    assert found == ["arm_roll", "arm_roll", "other", "arm_roll", None, "arm_roll", None]


def test_equal_neighbours_are_one_segment() -> None:
    track = DecisionTrack(7200.0, CLASSES)
    for number in range(72_000):  # ten a second, for two hours
        label = None if number < 36_000 else CLASSES[number // 24_000]
        track.add(number / 10, (number + 1) / 10, label)
    assert track.segments(1000) == [(500, 667, 1), (667, 1000, 2)]


def test_a_column_is_what_most_of_its_time_was_decided() -> None:
    track = DecisionTrack(100.0, CLASSES)
    track.add(0.0, 6.0, "other")
    track.add(6.0, 10.0, "arm_roll")
    track.add(10.0, 14.0, "other")
    assert track.segments(10) == [(0, 1, 2)]


def test_a_decision_shorter_than_a_cell_still_counts() -> None:
    track = DecisionTrack(1e6, CLASSES)
    track.add(500_000.0, 500_000.01, "other")
    track.add(1e6, 1e6 + 5, "arm_roll")  # beyond the end
    assert track.at(500_000.0) == "other"
    assert track.at(1e6) is None


def test_a_recording_that_turns_out_to_be_longer_keeps_what_was_decided(make_line: MakeLine) -> None:
    line = make_line(10.0)
    line.set_recording(10.0, CLASSES, [Label("arm_roll", 20.0, 30.0)])
    line.add_decision(2.0, 6.0, "arm_roll")
    assert line.height() == HEIGHT
    line.lengthen(40.0)
    assert [line.decision_at(seconds) for seconds in (1.0, 3.0, 5.0, 7.0, 25.0)] == [
        None, "arm_roll", "arm_roll", None, None,
    ]  # fmt: skip
    assert line.height() == HEIGHT_WITH_LABELS


# Labels


def labelled(line: Timeline, *labels: Label) -> Timeline:
    line.set_recording(10.0, CLASSES, labels)
    return line


def test_labels_are_spans_under_the_decisions_with_the_edge_of_their_class(make_line: MakeLine) -> None:
    line = make_line()
    assert line.height() == HEIGHT
    labelled(line, Label("arm_roll", 2.0, 4.0), Label("my own", 5.0, 5.1))
    assert line.height() == HEIGHT_WITH_LABELS
    middle = (LABELS + LABELS_END) // 2
    assert colour_at(line, 2.01, middle) == style.class_colour(1).name()
    assert colour_at(line, 5.01, middle) == style.class_colour(len(CLASSES)).name()  # the next after the model's
    assert colour_at(line, 4.5, middle) == colour_at(line, 9.0, middle)
    assert len({colour_at(line, second, LABELS + 2) for second in (2.01, 3.9, 4.5)}) == 3
    line.set_recording(10.0, CLASSES)
    assert line.height() == HEIGHT


def test_names_are_written_where_they_fit_and_labels_are_cut_to_the_recording(make_line: MakeLine) -> None:
    line = labelled(make_line(), Label("arm_roll", 1.0, 1.3), Label("arm_roll", 5.0, 99.0), Label("late", 11, 12))
    line.add_decision(1.0, 1.3, "arm_roll")
    line.add_decision(5.0, 9.9, "arm_roll")

    def inks(first_s: float, last_s: float, top: int, bottom: int) -> int:
        image = line.grab().toImage()
        columns = range(at(line, first_s).x() + 6, at(line, last_s).x())
        return len({image.pixelColor(x, y).name() for x in columns for y in range(top + 4, bottom - 4)})

    for top, bottom in ((LABELS, LABELS_END), (TRACK, TRACK_END)):
        assert inks(1.0, 1.25, top, bottom) == 1
        assert inks(5.0, 9.8, top, bottom) > 2


def test_words_on_labels_can_be_read_in_every_colour_of_both_themes() -> None:
    for theme in (DARK, LIGHT):
        for name in theme.classes:
            over, under = QColor(name), QColor(theme.surface)
            mixed = [0.35 * a + 0.65 * b for a, b in zip(over.getRgbF(), under.getRgbF(), strict=True)]
            assert style.contrast(QColor(theme.text), QColor.fromRgbF(*mixed)) >= 4.5, name


# Where it is, and seeking


@NO_RAISE
def test_the_pointer_says_what_was_decided_there_and_what_was_labelled(qtbot: QtBot, make_line: MakeLine) -> None:
    line = make_line()

    def words_at(seconds: float) -> str:
        qtbot.mouseMove(line, at(line, seconds))
        return QToolTip.text()

    line.add_decision(6.0, 8.0, "hand_clapping")
    assert [words_at(7.0), words_at(3.0)] == ["0:07.0  ·  Hand clapping", "0:03.0"]
    assert line.position_s == 0.0
    labelled(line, Label("arm_roll", 6.0, 8.0), Label("tired", 6.5, 8.0))
    line.add_decision(6.0, 8.0, "hand_clapping")
    assert words_at(7.5) == "0:07.5  ·  decided: Hand clapping  ·  labelled: Arm roll, Tired"


def test_the_handle_follows_the_position_within_the_line(make_line: MakeLine) -> None:
    line = make_line()
    line.show_position(4.0)
    assert line.position_s == 4.0
    assert colour_at(line, 4.0, 4) == QColor(style.theme.text).name()
    line.show_position(99.0)
    assert line.position_s == 10.0


def test_a_click_seeks_there_once(qtbot: QtBot, make_line: MakeLine) -> None:
    line = make_line()
    sought: list[float] = []
    line.seek_requested.connect(sought.append)
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton, pos=at(line, 7.5))
    assert sought == [pytest.approx(7.5)]
    assert not line.is_dragging
    qtbot.mouseClick(line, Qt.MouseButton.RightButton, pos=at(line, 2.0))
    assert len(sought) == 1


@NO_RAISE
def test_dragging_holds_the_handle_and_ends_where_it_was_let_go(qtbot: QtBot, make_line: MakeLine) -> None:
    line = make_line()
    sought: list[float] = []
    line.seek_requested.connect(sought.append)
    qtbot.mousePress(line, Qt.MouseButton.LeftButton, pos=at(line, 1.0))
    for tenth in range(11, 81):
        qtbot.mouseMove(line, at(line, tenth / 10))
    assert line.is_dragging
    assert line.position_s == pytest.approx(8.0)
    qtbot.mouseRelease(line, Qt.MouseButton.LeftButton, pos=at(line, 8.0))
    assert not line.is_dragging
    assert sought[0] == pytest.approx(1.0)
    assert sought[-1] == pytest.approx(8.0)
    line.show_position(3.0)
    assert line.position_s == 3.0


def send_mouse(line: Timeline, kind: QEvent.Type, second: float) -> None:
    """Send an event of the left button at once, so that no timer can run before the next."""
    place, left = QPointF(at(line, second)), Qt.MouseButton.LeftButton
    event = QMouseEvent(kind, place, line.mapToGlobal(place), left, left, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(line, event)


@NO_RAISE
def test_dragging_seeks_at_most_ten_times_a_second_and_forgets_no_place(qtbot: QtBot, make_line: MakeLine) -> None:
    assert DRAG_EVERY_MS == 100
    line = make_line()
    sought: list[float] = []
    line.seek_requested.connect(sought.append)
    send_mouse(line, QEvent.Type.MouseButtonPress, 1.0)
    for second in (2.0, 3.0, 4.0):
        send_mouse(line, QEvent.Type.MouseMove, second)
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


def test_another_recording_starts_an_empty_line(qtbot: QtBot, make_line: MakeLine) -> None:
    line = make_line()
    plain = line.grab().toImage()
    line.set_profile(rate([100] * 10))
    line.add_decision(0.0, 5.0, "other")
    line.show_position(6.0)
    line.set_recording(10.0, CLASSES)
    assert line.decision_at(1.0) is None
    assert line.grab().toImage() == plain


def test_it_takes_another_size_and_the_colours_of_another_theme(qtbot: QtBot, make_line: MakeLine) -> None:
    application = QApplication.instance()
    assert isinstance(application, QApplication)
    line = make_line()
    line.add_decision(6.9, 7.1, "arm_roll")
    try:
        for theme in ("light", "dark"):
            style.use(theme, application)
            assert colour_at(line, 7.0, TRACK + 4) == style.class_colour(1).name()
            assert colour_at(line, 8.0, TRACK + 4) == QColor(style.theme.raised).name()
            line.resize(416, HEIGHT)
    finally:
        style.use("dark", application)
