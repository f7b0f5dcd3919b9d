"""The classes' rows: names in full, strips that say what the history says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QFontMetricsF
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.readout import ClassRows, longest, strips
from livesnn.session.results import NO_HISTORY

from .shown_results import GESTURES, even_but, make_history

RED, GREEN = 0xFF0000, 0x00FF00


def opacity(pixels: npt.NDArray[np.uint32], row: int, rows: int) -> npt.NDArray[np.uint32]:
    return pixels[row * rows : (row + 1) * rows] >> 24


def test_without_a_history_the_strips_are_empty() -> None:
    pixels = strips(NO_HISTORY, [RED, GREEN], columns=20, rows=10)
    assert pixels.shape == (20, 20)
    assert not pixels.any()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_strip_is_as_high_as_the_probability(share: float) -> None:
    history = make_history([[share, 1 - share]] * 400)
    pixels = strips(history, [RED, GREEN], columns=30, rows=40)
    for index, height in ((0, share), (1, 1 - share)):
        covered = (opacity(pixels, index, 40) > 64).sum(axis=0)
        assert (covered == round(40 * height)).all()


def test_the_newest_is_at_the_right_and_ten_seconds_wide() -> None:
    rows = [[0.0]] * 900 + [[1.0]] * 100  # every 10 ms: the last second of ten is 1
    pixels = strips(make_history(rows, every_us=10_000), [RED], columns=100, rows=10)
    assert (pixels[5] != 0).tolist() == [False] * 90 + [True] * 10


def test_before_the_oldest_there_is_nothing() -> None:
    history = make_history([[1.0]] * 51, every_us=100_000)  # five seconds
    pixels = strips(history, [RED], columns=100, rows=10)
    assert (pixels[5] != 0).tolist() == [False] * 50 + [True] * 50


def test_a_pause_is_a_gap_after_a_second() -> None:
    history = make_history([[1.0]] * 11, every_us=100_000)
    times = np.where(np.arange(11) < 6, history.t_us, history.t_us + 4_000_000)  # 0.5 s, then 4.1 s of nothing
    pixels = strips(history._replace(t_us=times), [RED], columns=100, rows=10)
    drawn = [False] * 50 + [True] * 15 + [False] * 31 + [True] * 4  # each 0.1 s; the newest at 5 s
    assert (pixels[5] != 0).tolist() == drawn


def test_times_of_any_size_are_drawn_alike() -> None:
    history = make_history([[0.1], [0.9]] * 200)
    later = history._replace(t_us=history.t_us + (1 << 60))
    assert (strips(history, [RED], columns=50, rows=10) == strips(later, [RED], columns=50, rows=10)).all()


def test_a_strip_has_its_class_colour_premultiplied() -> None:
    pixels = strips(make_history([[1.0, 1.0]] * 400), [RED, GREEN], columns=5, rows=20)
    assert pixels[0, 0] == 0xFFFF0000  # the line at the top is opaque
    below = int(pixels[19, 0])
    assert 0 < below >> 24 < 255
    assert below >> 16 & 255 == below >> 24
    assert below & 0xFFFF == 0
    assert pixels[20, 0] == 0xFF00FF00


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


def test_letters_are_as_large_as_rows_and_the_longest_name_allow(rows: ClassRows) -> None:
    names = tuple(map(style.readable, GESTURES))
    for width, height, pixels in ((600, 48, 15), (600, 30, 13), (600, 16, 12)):
        rows.resize(width, height * len(GESTURES))
        assert rows.letter_pixels() == pixels
    rows.resize(600, 48 * len(GESTURES))
    while rows.letter_pixels() == 15:
        assert rows.name_width(15) >= longest(names, 15)
        rows.resize(rows.width() - 1, rows.height())
    assert rows.name_width(15) < longest(names, 15)
    assert rows.letter_pixels() == 13


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


def test_a_history_is_painted(rows: ClassRows) -> None:
    values = np.array(even_but(4, 1.0), np.float32)
    rows.set_values(values, None, make_history([values.tolist()] * 400))
    image = rows.grab().toImage()
    box = [image.pixelColor(x, y).name() for y in range(4 * 30, 5 * 30) for x in range(300, 340)]
    assert style.class_colour(4).name() in box
