"""The classes' rows: names in full, strips that say what the history says."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QFontMetricsF
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.readout import ClassRows, longest, probabilities_at
from livesnn.session.results import NO_HISTORY, History

from .shown_results import GESTURES, even_but, make_history

PAUSED = np.concatenate([np.arange(6) * 100_000, np.arange(46, 51) * 100_000])  # 0.5 s, 4.1 s of nothing, 0.5 s


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (NO_HISTORY, [0.0] * 100),
        (make_history([[0.25]] * 400), [0.25] * 100),
        # every 10 ms: the last second of ten is 1, and the newest is at the right
        (make_history([[0.0]] * 900 + [[1.0]] * 100, every_us=10_000), [0.0] * 90 + [1.0] * 10),
        (make_history([[1.0]] * 51, every_us=100_000), [0.0] * 50 + [1.0] * 50),  # five seconds
        # after a pause a value lasts for a second
        (make_history([[1.0]] * 11)._replace(t_us=PAUSED), [0.0] * 50 + [1.0] * 15 + [0.0] * 31 + [1.0] * 4),
    ],
)
def test_a_curve_is_the_probability_over_the_last_ten_seconds(history: History, expected: list[float]) -> None:
    for since_us in (0, 1 << 60):  # times of any size are drawn alike
        later = history._replace(t_us=history.t_us + since_us)
        (curve,) = probabilities_at(later, 1, 100)
        assert curve.tolist() == expected


@pytest.fixture
def rows(qtbot: QtBot) -> ClassRows:
    """Return the rows of the gestures, 400×330 pixels."""
    rows = ClassRows()
    qtbot.addWidget(rows)
    rows.set_classes(GESTURES)
    rows.resize(400, 330)
    return rows


def test_the_longest_name_is_not_shortened(rows: ClassRows) -> None:
    longest_name = longest(tuple(map(style.readable, GESTURES)), 13)
    for width in (421, 402):  # in a window of 1280 and of 1000 pixels
        rows.resize(width, 300)
        assert rows.name_width(13) == longest_name
    rows.resize(200, 300)
    assert rows.name_width(13) < longest_name


def test_names_can_be_told_apart_beside_a_second_model_at_1024_pixels(rows: ClassRows) -> None:
    rows.resize(226, 300)
    metrics = QFontMetricsF(style.text_font(13))
    right = Qt.TextElideMode.ElideRight
    shown = {metrics.elidedText(style.readable(name), right, rows.name_width(13)) for name in GESTURES}
    assert len(shown) == len(GESTURES)


def test_only_the_decided_class_stands_out(rows: ClassRows) -> None:
    values = np.array(even_but(4, 0.8), np.float32)

    def bright_rows() -> list[int]:
        image = rows.grab().toImage()
        found = {
            int(y * len(GESTURES) / 330)
            for y in range(330)
            for x in range(20, 200)
            if image.pixelColor(x, y).name() == style.theme.text
        }
        return sorted(found)

    rows.set_values(values, None)
    assert bright_rows() == []
    rows.set_values(values, "right_arm_counter_clockwise")
    assert bright_rows() == [4]


def test_a_row_says_its_class_and_number(rows: ClassRows) -> None:
    rows.set_values(np.array(even_but(4, 0.8), np.float32), None, make_history([even_but(4, 0.8)]))
    assert rows.tip_at(QPointF(10, 4.5 * 30)).startswith("Right arm counter clockwise: 80 %")
    assert rows.tip_at(QPointF(10, 5000)) == ""


def test_a_history_is_painted_in_the_colour_of_its_class(rows: ClassRows) -> None:
    values = np.array(even_but(4, 1.0), np.float32)
    rows.set_values(values, None)
    empty = rows.grab().toImage()
    rows.set_values(values, None, make_history([values.tolist()] * 400))
    image = rows.grab().toImage()
    differs = {y * len(GESTURES) // 330 for y in range(330) if image.pixel(320, y) != empty.pixel(320, y)}
    assert differs == {4}
    mixed = zip(style.class_colour(4).getRgb(), QColor(style.theme.raised).getRgb(), strict=True)
    expected = [0.7 * over + 0.3 * under for over, under in mixed]
    assert image.pixelColor(320, int(4.5 * 30)).getRgb() == pytest.approx(expected, abs=2)
