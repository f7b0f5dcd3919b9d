"""The plots side by side: which are shown, for how long they go back, and how they follow the session."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import STRETCH, ChoiceBox, button, fill, help_button, icon_button, label, scrolled
from livesnn.app.widgets.plot import Plot, PlotLook
from livesnn.session.plot_history import EDGES_MS, KEPT_S, PlotHistory, Quantity

HISTOGRAM = "histogram"
LOOKS: dict[str, PlotLook] = {
    "rate": PlotLook("Events per second", "Events per second of the source's own time.", "/s", digits=0),
    "latency": PlotLook("Latency in ms", "The longest latency in each tenth of a second.", "ms"),
    HISTOGRAM: PlotLook(
        "Latency histogram", "How often each latency occurred in the time shown.", "%", over="latency"
    ),
    "probabilities": PlotLook("Class probabilities", "The probability of every class.", most=1.0, named_from=0.2),
    "density": PlotLook("Density", "Share of each layer's neurons that spiked in a frame.", "%", digits=1),
    "membrane": PlotLook("Mean membrane", "The mean membrane potential of each layer.", digits=3, signed=True),
}
_PERCENT = (HISTOGRAM, "density")
SPANS = {"10 s": 10.0, "1 min": 60.0, f"{KEPT_S // 60} min": float(KEPT_S)}
DRAW_S = 0.04  # Least time between two plots, each of which takes the GUI thread some 5 ms
LEAST_PLOT = (190, 104)  # width and height, pixels; where there is less room they are scrolled
_ASPECT = 2.0  # width of a plot to its height, best
_LIVE_TIP = "Follow the newest values. Zooming or moving a plot stops this. A double click starts it again."


class PlotPanel(QWidget):
    """The plots named in `LOOKS` that are chosen; all over time show the same stretch of it.

    Each `poll` draws one plot or builds one, so that none holds up the window for long.
    """

    chosen_changed = Signal()
    save_wanted = Signal(str)  # the name of a plot

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__()
        self.chosen = tuple(name for name in LOOKS if name in chosen)
        self.plots: dict[str, Plot] = {}  # those built so far
        self._places = {name: QWidget() for name in LOOKS}  # where they will be, so that none moves another
        self.range_s = (0.0, 60.0)  # of the plots over time
        self.drawn = 0  # plots, ever
        self._history: PlotHistory | None = None
        self._shown: dict[str, object] = {}  # what each plot was drawn from
        self._cross_hair_s = math.nan
        self._turn = 0
        self._drawn_s = 0.0  # when the last one was
        self.span = ChoiceBox("Time shown", {seconds: words for words, seconds in SPANS.items()}, height=28)
        self.span.setCurrentIndex(1)
        self.span.activated.connect(lambda _: self.follow())
        self.live = button("Live", height=28, pixels=13, tip=_LIVE_TIP, do=self.follow)
        self.live.setCheckable(True)
        self.live.setChecked(True)
        self.menu = QMenu(self)
        for name, look in LOOKS.items():
            action = self.menu.addAction(look.title)
            action.setCheckable(True)
            action.setChecked(name in self.chosen)
            action.toggled.connect(lambda on, name=name: self._choose(name, on))
        self.float = icon_button("window", "Float or dock the plots", 28, 16)
        self.close_button = icon_button("close", "Close the plots (Ctrl+P)", 28, 16)
        title = label("Plots", style.caption_font(), "soft")
        which = button("Choose", height=28, pixels=13, tip="Choose which plots are shown")
        which.setMenu(self.menu)
        self.bar = QWidget()  # the title bar of the dock
        about = help_button("window.md#plots", "Plots")
        parts = (title, which, self.span, self.live, STRETCH, about, self.float, self.close_button)
        fill(QHBoxLayout(self.bar), *parts, spacing=8, margins=(16, 2, 14, 2))
        inner = QWidget()
        self._grid = QGridLayout(inner)
        self._grid.setSpacing(8)
        self._grid.setContentsMargins(0, 0, 0, 0)
        fill(QVBoxLayout(self), (scrolled(inner, down_only=True), 1), spacing=0, margins=(14, 2, 14, 12))
        self.setMinimumSize(LEAST_PLOT[0] + 28, 2 * LEAST_PLOT[1] // 3)

    # Which plots

    def _choose(self, name: str, on: bool) -> None:
        self.chosen = tuple(each for each in LOOKS if (on if each == name else each in self.chosen))
        self._arrange()
        self.chosen_changed.emit()

    def _arrange(self) -> None:
        for name, place in self._places.items():
            place.setMinimumHeight(LEAST_PLOT[1])
            self._grid.removeWidget(place)
            place.setVisible(name in self.chosen)
        width, height = self.width(), self.height()

        def size(columns: int) -> float:
            return min(width / columns / _ASPECT, height / math.ceil(len(self.chosen) / columns))

        most = min(max((width - 28) // LEAST_PLOT[0], 1), len(self.chosen))
        columns = max(range(1, most + 1), key=size, default=1)
        for index, name in enumerate(self.chosen):
            self._grid.addWidget(self._places[name], index // columns, index % columns)
        for index in range(len(LOOKS)):
            self._grid.setColumnStretch(index, 1 if index < columns else 0)
            self._grid.setRowStretch(index, 1 if index * columns < len(self.chosen) else 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _name_curves(self, name: str) -> None:
        quantity = _quantity(name)
        names = () if self._history is None else self._history.curves[quantity]
        readable = [style.readable(each).replace(".", " · ") for each in names]
        self.plots[name].set_curves(readable, self._colours(name, len(names)))
        self._shown.pop(name, None)

    def _colours(self, name: str, count: int) -> list[QColor]:
        if name in ("density", "membrane"):
            return [layer_colour(index / max(count - 1, 1)) for index in range(count)]
        if name == "rate":
            return [QColor(style.theme.accent), QColor(style.theme.warning)][:count]
        return [style.class_colour(index) for index in range(count)]

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.StyleChange:
            for name, plot in self.plots.items():
                plot.set_colours(self._colours(name, len(plot.names)))
        super().changeEvent(event)

    # What they show

    def poll(self, history: PlotHistory) -> None:
        """Build a plot that is missing, or draw the next one that has something new."""
        if history is not self._history:
            self._history = history
            self.follow()
            for name in self.plots:
                self._name_curves(name)
        missing = next((name for name in self.chosen if name not in self.plots), None)
        if missing is not None:
            plot = Plot(LOOKS[missing])
            self.plots[missing] = plot
            plot.save_wanted.connect(lambda: self.save_wanted.emit(missing))
            plot.whole_wanted.connect(self.follow)
            if missing != HISTOGRAM:
                plot.range_taken.connect(self._take_range)
                plot.pointed.connect(self._point)
                plot.set_range(*self.range_s)
            self._name_curves(missing)
            fill(QVBoxLayout(self._places[missing]), plot, spacing=0)
        else:
            if self.live.isChecked():
                span_s = self.span.currentData()
                newest_s = max(history.newest_s, span_s)
                self.range_s = (newest_s - span_s, newest_s)
            self._draw_next(history)

    def _draw_next(self, history: PlotHistory) -> None:
        """Draw the next plot, in turn, that has something new, unless one was just drawn."""
        if time.perf_counter() < self._drawn_s + DRAW_S:
            return
        self._drawn_s = time.perf_counter()
        for _ in self.chosen:
            self._turn += 1
            name = self.chosen[self._turn % len(self.chosen)]
            now = (history.n_rows, self.range_s, self._cross_hair_s)
            if self._shown.get(name) != now:
                self._shown[name] = now
                self._draw(name, history)
                return

    def _draw(self, name: str, history: PlotHistory) -> None:
        plot = self.plots[name]
        scale = 100.0 if name in _PERCENT else 1.0
        if name == HISTOGRAM:
            counts = history.histogram(*self.range_s)
            used = np.flatnonzero(counts.any(axis=0))
            if used.size:
                bins = slice(max(used[0] - 1, 0), used[-1] + 2)
                shares = scale * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
                edges = EDGES_MS[bins.start : min(bins.stop, shares.shape[1]) + 1]
                plot.show_values(edges, shares[:, bins].T)
            else:
                plot.clear()
        else:
            rows = history.rows(_quantity(name), *self.range_s)
            plot.show_values(rows.at_s, scale * rows.values)
            plot.set_range(*self.range_s)
            plot.show_cross_hair(self._cross_hair_s)
        self.drawn += 1

    @Slot()
    def follow(self) -> None:
        self.live.setChecked(True)

    @Slot(float, float)
    def _take_range(self, left_s: float, right_s: float) -> None:
        self.live.setChecked(False)
        self.range_s = (left_s, right_s)

    @Slot(float)
    def _point(self, at_s: float) -> None:
        # One nan, which is equal to itself in a tuple.
        self._cross_hair_s = math.nan if math.isnan(at_s) else at_s

    def save(self, name: str, path: Path) -> None:
        """Write a plot to a file; raises OSError if it can't be written."""
        plot, history = self.plots[name], self._history
        at, values = plot.values
        if name == HISTOGRAM:
            plot.save_to(path, [("from (ms)", at[: len(values)]), ("to (ms)", at[1:])])
            return
        stream_s = np.full(len(at), np.nan)
        if history is not None:
            rows = history.rows(_quantity(name))
            stream_s = rows.stream_s[np.isin(rows.at_s, at)]
        plot.save_to(path, [("time (s)", at), ("time in the source (s)", stream_s)])


def layer_colour(depth: float) -> QColor:
    """Return the colour of a layer, by its place from the input (0) to the output (1)."""
    ink = QColor(style.theme.text).lightnessF()  # light on a dark theme
    return QColor.fromHslF(0.47 + 0.5 * depth, 0.7, 0.35 + 0.33 * ink)


def _quantity(name: str) -> Quantity:
    return "latency" if name == HISTOGRAM else cast(Quantity, name)
