"""The dock "Plots": what it shows, how it is read, zoomed, saved and remembered, and what it costs."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.app.widgets.basics import fill
from livesnn.app.widgets.event_view import EventView
from livesnn.app.widgets.plots import LOOKS, Plot, PlotPanel, thinned
from livesnn.session.plot_history import PlotHistory
from livesnn.session.statistics import Statistics
from tests.gui.monkey import choose_plots

from .conftest import MakeWindow
from .shown_results import CARD, GESTURES, even_but, make_result


def filled(seconds: float = 30.0) -> PlotHistory:
    """Return a history of so many seconds: 1 + 0.1·s million events a second, the first class for the first half."""
    history = PlotHistory(CARD, 0.0)
    results = [make_result(even_but(index, 0.9), frames=20).result for index in (0, 4)]
    for tenth in range(round(10 * seconds)):
        at_s = tenth / 10
        history.add_result(results[at_s >= seconds / 2], 0)
        history.add_shown(20.0)
        history.add_statistics(Statistics(events_per_s=1e6 + 1e5 * at_s, filtered_per_s=5e5), at_s)
    return history


def draw_all(qtbot: QtBot, panel: PlotPanel, history: PlotHistory) -> None:
    """Poll until every plot that is chosen has been drawn once more."""
    wanted = panel.drawn + len(panel.chosen)

    def drawn() -> bool:
        history.add_statistics(Statistics(events_per_s=1e6, filtered_per_s=1e6), history.newest_s + 0.1)
        before = panel.drawn
        panel.poll(history)
        assert panel.drawn <= before + 1  # so that none holds up the window for long
        return panel.drawn >= wanted

    qtbot.waitUntil(drawn)


@pytest.fixture
def panel(qtbot: QtBot) -> PlotPanel:
    panel = PlotPanel(list(LOOKS))
    qtbot.addWidget(panel)
    panel.resize(1000, 500)
    panel.show()
    return panel


@pytest.fixture
def plot(qtbot: QtBot) -> Plot:
    """Return a plot over time with a curve that is 1 from 0 to 10 s, and 2 from 20 to 30 s."""
    plot = Plot(LOOKS["latency"])
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    plot.show()
    plot.set_curves(["Slice"], [QColor("#ff0000")])
    at_s = np.concatenate([np.arange(0.0, 10.0, 0.1), np.arange(20.0, 30.0, 0.1)])
    plot.show_values(at_s, np.where(at_s < 15, 1.0, 2.0)[:, None])
    plot.set_range(0.0, 30.0)
    qtbot.waitExposed(plot)
    QApplication.processEvents()
    return plot


def place_of(plot: Plot, x: float, y: float) -> QPoint:
    """Return the pixel at which a plot shows a value."""
    return plot.widget.mapFromScene(plot.view.mapViewToScene(QPointF(x, y)))


def wheel(widget: QWidget, place: QPoint) -> None:
    """Turn the wheel by a notch."""
    none = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
    where = QPointF(place), QPointF(widget.mapToGlobal(place))
    QApplication.sendEvent(widget, QWheelEvent(*where, QPoint(), QPoint(0, 120), *none, False))


def test_every_plot_shows_what_the_history_has(qtbot: QtBot, panel: PlotPanel) -> None:
    history = filled()
    draw_all(qtbot, panel, history)
    draw_all(qtbot, panel, history)
    assert set(panel.plots) == set(LOOKS)
    for name in ("rate", "latency", "probabilities", "membrane"):
        at_s, values = panel.plots[name].values
        rows = history.rows(name)  # type: ignore[arg-type]
        same = slice(0, len(at_s))
        assert np.array_equal(at_s, rows.at_s[same])
        assert np.array_equal(values, rows.values[same], equal_nan=True)
    density = panel.plots["density"].values[1]
    assert np.array_equal(density, 100 * history.rows("density").values[: len(density)], equal_nan=True)
    assert panel.plots["probabilities"].names[0] == style.readable(GESTURES[0])
    named = [name for name, _ in panel.plots["probabilities"].legend.curves]  # those that were likely, newest first
    assert named == [style.readable(GESTURES[4]), style.readable(GESTURES[0])]


def test_a_curve_is_broken_where_nothing_was_measured(plot: Plot) -> None:
    image = plot.widget.grab().toImage()

    def red_at(x: float) -> bool:
        column = place_of(plot, x, 1.0).x()
        colours = [image.pixelColor(column, y) for y in range(image.height())]
        return any(colour.red() > 200 and colour.green() < 60 for colour in colours)

    assert [red_at(x) for x in (5.0, 12.0, 15.0, 18.0, 25.0)] == [True, False, False, False, True]


def test_of_many_values_the_least_and_the_most_are_drawn() -> None:
    at_s = np.arange(10_000) / 10
    values = np.random.default_rng(0).normal(size=(10_000, 3))
    values[1234, 1], values[4321, 2] = 99.0, -99.0
    drawn_at, drawn = thinned(at_s, values, 400)
    assert len(drawn_at) == len(drawn) <= 410
    assert drawn.max(axis=0) == pytest.approx(values.max(axis=0))
    assert drawn.min(axis=0) == pytest.approx(values.min(axis=0))
    assert (np.diff(drawn_at) >= 0).all()
    assert thinned(at_s, values, 10_000)[1] is values
    assert thinned(at_s, values[:, :0], 400)[1].shape == drawn[:, :0].shape  # a model without hidden layers


def test_another_source_begins_new_plots(qtbot: QtBot, panel: PlotPanel) -> None:
    draw_all(qtbot, panel, filled())
    panel.plots["rate"].range_taken.emit(3.0, 5.0)
    draw_all(qtbot, panel, filled(5.0))
    assert panel.live.isChecked()
    assert panel.plots["rate"].values[0].max() < 15


def test_the_newest_values_are_followed_until_a_person_zooms_and_again_after_a_double_click(
    qtbot: QtBot, panel: PlotPanel
) -> None:
    history = filled(100.0)
    draw_all(qtbot, panel, history)
    draw_all(qtbot, panel, history)
    assert panel.range_s == (history.newest_s - 60, history.newest_s)
    rate = panel.plots["rate"]
    viewport = rate.widget.viewport()
    middle = place_of(rate, sum(panel.range_s) / 2, 5e5)
    wheel(viewport, middle)
    left_s, right_s = panel.range_s
    assert 20 < right_s - left_s < 59
    assert not panel.live.isChecked()
    draw_all(qtbot, panel, history)
    assert panel.range_s == (left_s, right_s)
    for name in ("latency", "probabilities", "density", "membrane"):  # all show the same time
        assert panel.plots[name].shown_range == pytest.approx((left_s, right_s))
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    draw_all(qtbot, panel, history)
    assert panel.live.isChecked()
    assert panel.range_s[1] == history.newest_s


def test_an_empty_plot_can_be_pointed_at_and_double_clicked(qtbot: QtBot, panel: PlotPanel) -> None:
    history = PlotHistory(CARD, 0.0)
    qtbot.waitUntil(lambda: panel.poll(history) or set(panel.plots) == set(LOOKS))
    for plot in panel.plots.values():
        assert plot.words_at(0.0) == ""
        middle = plot.widget.viewport().rect().center()
        QTest.mouseDClick(plot.widget.viewport(), Qt.MouseButton.LeftButton, pos=middle)
        assert panel.live.isChecked()


def test_dragging_moves_through_time(qtbot: QtBot, plot: Plot) -> None:
    taken: list[tuple[float, float]] = []
    plot.range_taken.connect(lambda left, right: taken.append((left, right)))
    plot.set_range(10.0, 20.0)
    viewport, start = plot.widget.viewport(), place_of(plot, 15.0, 1.0)
    left = Qt.MouseButton.LeftButton
    qtbot.mousePress(viewport, left, pos=start)
    for step in range(1, 11):
        move = QPointF(start) + QPointF(10 * step, 0)
        QApplication.sendEvent(
            viewport,
            _mouse(viewport, QEvent.Type.MouseMove, move, left),
        )
    qtbot.mouseRelease(viewport, left, pos=start + QPoint(100, 0))
    assert taken[-1][0] < 9.0
    assert taken[-1][1] - taken[-1][0] == pytest.approx(10.0)


def test_the_cross_hair_reads_the_values(plot: Plot) -> None:
    pointed: list[float] = []
    plot.pointed.connect(pointed.append)
    viewport = plot.widget.viewport()
    point = QPointF(place_of(plot, 25.0, 1.5))
    QApplication.sendEvent(viewport, _mouse(viewport, QEvent.Type.MouseMove, point))
    assert pointed[-1] == pytest.approx(25.0, abs=0.2)
    assert "0:25" in QToolTip.text()
    assert "Slice" in QToolTip.text()
    assert "2.00 ms" in QToolTip.text()
    assert "1.00 ms" in plot.words_at(5.0)
    QApplication.sendEvent(viewport, QEvent(QEvent.Type.Leave))
    assert math.isnan(pointed[-1])


def test_a_plot_is_saved_as_a_picture_and_as_a_table_that_says_when_in_the_source_a_value_was(
    qtbot: QtBot, panel: PlotPanel, tmp_path: Path
) -> None:
    history = filled()
    draw_all(qtbot, panel, history)
    draw_all(qtbot, panel, history)
    for name, plot in panel.plots.items():
        for suffix in (".png", ".csv"):
            panel.save(name, tmp_path / f"{name}{suffix}")
        picture = QImage(str(tmp_path / f"{name}.png"))
        assert picture.width() == 2 * plot.widget.width()
        places = product(range(0, picture.width(), 3), range(0, picture.height(), 3))
        assert len({picture.pixelColor(*place).name() for place in places}) > 10
        lines = (tmp_path / f"{name}.csv").read_text().splitlines()
        at, values = plot.values
        assert len(lines[0].split(",")) == 2 + len(plot.names)
        table = np.genfromtxt(lines[1:], delimiter=",")
        assert table[:, 2:] == pytest.approx(values, rel=1e-5, nan_ok=True)
        assert table[:, 0] == pytest.approx(at[: len(table)], rel=1e-5)
        assert table[0, 1] == pytest.approx(20 * 0.029, rel=1e-5)  # of the results' frames


@pytest.fixture
def window_with_plots(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> MainWindow:
    window = make_window(loop=True)
    window.open(recording)
    window.commands["plots"].trigger()
    qtbot.waitUntil(lambda: window.plots.panel is not None)
    choose_plots(window.plots.panel, list(LOOKS))
    qtbot.waitUntil(lambda: window.plots.panel.drawn >= 2 * len(LOOKS))
    return window


def test_the_button_of_a_plot_asks_where_to_save_it_and_what_cant_be_saved_is_said(
    qtbot: QtBot, window_with_plots: MainWindow, tmp_path: Path
) -> None:
    plots, message = window_with_plots.plots, window_with_plots.banner.message
    qtbot.mouseClick(plots.panel.plots["latency"].save, Qt.MouseButton.LeftButton)
    dialog = window_with_plots.dialog
    assert dialog is not None
    dialog.fileSelected.emit(str(tmp_path / "latency.csv"))
    dialog.reject()
    assert (tmp_path / "latency.csv").read_text().startswith("time (s),time in the source (s),Slice (ms)")
    assert message.text() == f"Saved {tmp_path / 'latency.csv'}"
    for file, words in (("no/such/a.png", "choose another folder"), ("a.pdf", ".png or .csv")):
        plots.save("rate", tmp_path / file)
        assert words in message.text()
    assert list(tmp_path.rglob("*.p*")) == []


def test_plots_take_the_place_of_the_lower_cards_and_are_hidden_by_key_and_by_their_own_button(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window()
    window.resize(800, 760)
    qtbot.waitUntil(lambda: window.numbers.isVisible())
    action = window.commands["plots"]
    assert (window.plots.isVisible(), action.isChecked()) == (False, False)
    assert action.shortcut().toString() == "Ctrl+P"
    action.trigger()
    assert (window.plots.isVisible(), action.isChecked()) == (True, True)
    qtbot.waitUntil(lambda: not window.numbers.isVisible() and window.plots.panel is not None)
    qtbot.mouseClick(window.plots.panel.close_button, Qt.MouseButton.LeftButton)
    assert (window.plots.isVisible(), action.isChecked()) == (False, False)
    qtbot.waitUntil(lambda: window.numbers.isVisible())


def test_the_dock_and_its_plots_are_remembered(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    first = make_window(settings=SettingsFile(file))
    first.commands["plots"].trigger()
    qtbot.waitUntil(lambda: first.plots.panel is not None)
    choose_plots(first.plots.panel, ["membrane", "density"])
    qtbot.mouseClick(first.plots.panel.float, Qt.MouseButton.LeftButton)
    assert first.plots.isFloating()
    first.close()
    assert not first.plots.isVisible()
    second = make_window(settings=SettingsFile(file))
    assert second.plots.isVisible()
    assert second.plots.isFloating()
    assert second.commands["plots"].isChecked()
    qtbot.waitUntil(lambda: second.plots.panel is not None)
    assert second.plots.panel.chosen == ("density", "membrane")
    second.commands["plots"].trigger()
    second.close()
    assert make_window(settings=SettingsFile(file)).plots.isHidden()


def test_in_the_smallest_window_the_picture_keeps_its_room_beside_every_plot(
    qtbot: QtBot, window_with_plots: MainWindow
) -> None:
    window = window_with_plots
    window.resize(window.minimumSize())
    window.banner.show_message("A message takes room too.", "info")
    qtbot.waitUntil(lambda: window.height() == window.minimumHeight() and window.view.has_picture)
    qtbot.waitUntil(lambda: window.view.canvas.height() >= 100)
    panel = window.plots.panel
    assert panel is not None
    for plot in panel.plots.values():
        assert plot.width() >= 190
        assert plot.height() >= 100
    bottom = panel.mapTo(window, QPoint(0, panel.height())).y()
    assert bottom <= window.height()


def test_what_is_around_a_small_picture_makes_room_for_it(qtbot: QtBot) -> None:
    view, window = EventView(), QWidget()
    qtbot.addWidget(window)
    fill(QVBoxLayout(window), view, spacing=0)
    view.show_picture(np.zeros((128, 128, 3), np.uint8))
    window.resize(500, 400)
    window.show()
    assert view.legend.isVisible()
    window.resize(500, 160)
    qtbot.waitUntil(lambda: not view.legend.isVisible())
    qtbot.waitUntil(lambda: view.canvas.height() > 120)
    window.resize(500, 400)
    qtbot.waitUntil(view.legend.isVisible)


def _mouse(
    widget: QWidget, kind: QEvent.Type, place: QPointF, held: Qt.MouseButton = Qt.MouseButton.NoButton
) -> QEvent:
    from PySide6.QtGui import QMouseEvent

    everywhere = QPointF(widget.mapToGlobal(place))
    return QMouseEvent(kind, place, everywhere, Qt.MouseButton.NoButton, held, Qt.KeyboardModifier.NoModifier)
