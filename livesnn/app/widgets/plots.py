"""The plots side by side: which are shown, how they follow the session, zoom, pan, a cross-hair, and saving.

Importing it takes some 0.3 s, most of it pyqtgraph's: plots_dock.py does so when plots are first shown.
"""

from __future__ import annotations

import csv
import functools
import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPicture, QResizeEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QMenu, QToolTip, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import (
    LEFT,
    STRETCH,
    ChoiceBox,
    Painted,
    button,
    fill,
    help_button,
    icon_button,
    label,
    png,
    rounded,
    scrolled,
    write,
)
from livesnn.app.widgets.timeline import clock
from livesnn.files import replace_file
from livesnn.session.plot_history import KEPT_S, PlotHistory, Quantity

GAP_S = 1.0  # where values are farther apart, the curve is broken
AXIS_WIDTH = 58  # pixels, so that plots below each other begin at the same place
_SAVED_SCALE = 2  # pixels of a saved picture, a pixel of the screen
_BULLET = "●"
_LINE, _MARGIN = 20, 6  # height of a line of the legend, and room on its left, pixels

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlotLook:
    """What a plot says, and how its values are written."""

    title: str
    tip: str  # what it shows
    unit: str = ""  # Of the values, behind each of them: "ms"
    digits: int = 2  # Decimal places of the values under the cross-hair
    most: float | None = None  # Upper end of the value axis; None: as the values are
    signed: bool = False  # Whether values below 0 are possible
    # A curve is named in the legend only where it has reached this value; None: always
    named_from: float | None = None


Named = Sequence[tuple[str, QColor]]  # Names of curves, with their colours


class Legend(Painted):
    """A title, and the names of the curves beside it."""

    def __init__(self, title: str) -> None:
        super().__init__((0, _LINE))
        self._title = title
        self.curves: Named = ()
        self.setFixedHeight(_LINE)

    def show_curves(self, curves: Named) -> None:
        if curves != self.curves:
            self.curves = curves
            self.update()

    def paint(self, painter: QPainter) -> None:
        self.draw(painter, self.width(), self.curves)

    def whole_height(self, width: int, curves: Named) -> int:
        picture = QPicture()
        painter = QPainter(picture)
        height = self.draw(painter, width, curves, whole=True)
        painter.end()
        return height

    def draw(self, painter: QPainter, width: int, curves: Named, *, whole: bool = False) -> int:
        """Draw the names that fit on a line, or the ``whole`` legend on several; return the height, pixels."""
        title = QRectF(_MARGIN, 0, width, _LINE)
        write(painter, title, self._title, style.theme.soft, LEFT, style.caption_font())
        x, y = _MARGIN + painter.fontMetrics().horizontalAdvance(self._title) + 14, 0
        painter.setFont(style.text_font(12))
        for name, colour in curves:
            needed = painter.fontMetrics().horizontalAdvance(name) + 14
            if x + needed > width and not whole:
                write(painter, QRectF(x, y, width - x, _LINE), "…", style.theme.faint)
                break
            if x + needed > width:
                x, y = _MARGIN, y + _LINE
            rounded(painter, QRectF(x, y + _LINE / 2 - 4, 8, 8), 4, colour)
            write(painter, QRectF(x + 12, y, needed, _LINE), name, style.theme.text)
            x += needed + 10
        return y + _LINE


class TimeAxis(pyqtgraph.AxisItem):
    """An axis of seconds, written as minutes and seconds."""

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """Return m:ss, with tenths where the ticks are nearer to each other than a second."""
        return [clock(value) if spacing < 1 else clock(value).removesuffix(".0") for value in values]


class ValueAxis(pyqtgraph.AxisItem):
    """An axis of values; large ones are shortened: 5 M. ``unit`` is "%" or nothing."""

    def __init__(self, unit: str) -> None:
        super().__init__("left")
        self._unit = unit

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        for size, letter in ((1e6, " M"), (1e3, " k")):
            if spacing >= size / 10 and max(map(abs, values), default=0.0) >= size:
                return [f"{value / size:g}{letter}" if value else "0" for value in values]
        return [f"{value:.10g}{self._unit}" for value in values]


class Curves(pyqtgraph.GraphicsObject):
    """All curves of a plot, painted in one go.

    With an item each, Qt asks 18 curves four times each where they are, and every answer waits for the interpreter's
    lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: Sequence[QPainterPath] = ()
        self._colours: Sequence[QColor] = ()
        self._place = QRectF()

    def set_paths(self, paths: Sequence[QPainterPath]) -> None:
        self.prepareGeometryChange()
        self._paths = paths
        self._place = functools.reduce(QRectF.united, (path.boundingRect() for path in paths), QRectF())
        self.update()

    def set_colours(self, colours: Sequence[QColor]) -> None:
        self._colours = colours
        self.update()

    def boundingRect(self) -> QRectF:
        return self._place

    def paint(self, painter: QPainter, *_: object) -> None:
        for path, colour in reversed([*zip(self._paths, self._colours, strict=False)]):
            painter.setPen(pyqtgraph.mkPen(colour, width=1))
            painter.drawPath(path)


class Plot(QFrame):
    """A plot over time with its legend. Wheel and drag change the time; the values always fit."""

    range_taken = Signal(float, float)  # a person chose this part of the horizontal axis
    whole_wanted = Signal()  # a person double-clicked
    pointed = Signal(float)  # at this place on the horizontal axis; nan: the pointer has left
    save_wanted = Signal()

    def __init__(self, look: PlotLook) -> None:
        super().__init__()
        self.setObjectName("card")
        self.look = look
        self.names: tuple[str, ...] = ()
        # Seconds since the source was opened [N], and values [N, curves]; nan: there is none
        self.values: tuple[FloatArray, FloatArray] = (
            np.zeros(0),
            np.zeros((0, 0)),
        )
        self._colours: Sequence[QColor] = ()
        self.legend = Legend(look.title)
        self.view = pyqtgraph.ViewBox(enableMenu=False, enableMouse=True)
        self.view.setMouseEnabled(x=True, y=False)
        self._left = ValueAxis(" %" if look.unit == "%" else "")
        self._bottom = TimeAxis("bottom")
        self.widget = pyqtgraph.GraphicsLayoutWidget()  # a PlotWidget, with its menus, takes three times as long
        self._line = pyqtgraph.InfiniteLine()  # of the cross-hair
        self._curves = Curves()
        tip = f"Save “{look.title}” as PNG or CSV"
        self.save = icon_button("save", tip, 24, 16, self.save_wanted.emit)
        self._set_up()
        heading = fill(QHBoxLayout(), (self.legend, 1), self.save, spacing=4)
        fill(QVBoxLayout(self), heading, (self.widget, 1), spacing=2, margins=(8, 6, 8, 4))

    def _set_up(self) -> None:
        look = self.look
        self._left.setWidth(AXIS_WIDTH)
        layout = self.widget.ci.layout
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for item, row, column in ((self.view, 0, 1), (self._left, 0, 0), (self._bottom, 1, 1)):
            self.widget.addItem(item, row, column)
        for axis in (self._left, self._bottom):
            axis.linkToView(self.view)
            axis.setZValue(-1)  # the grid is behind the curves
        self.view.setLimits(xMin=0.0, minXRange=0.01)
        self.view.setDefaultPadding(0.0)
        self.view.disableAutoRange()
        self._fit_values(0.0, look.most or 1.0)
        self.view.addItem(self._curves, ignoreBounds=True)
        self._line.setVisible(False)
        self.view.addItem(self._line, ignoreBounds=True)
        self.view.sigRangeChangedManually.connect(lambda _: self.range_taken.emit(*self.shown_range))
        self.widget.scene().sigMouseMoved.connect(self._point)
        self.widget.setMinimumSize(160, 60)
        self.widget.viewport().installEventFilter(self)
        self.setToolTip(look.tip)
        self._restyle()

    def set_curves(self, names: Sequence[str], colours: Sequence[QColor]) -> None:
        self.names, self._colours = tuple(names), tuple(colours)
        self.clear()
        self._restyle()

    def clear(self) -> None:
        self._curves.set_paths(())
        self.values = (np.zeros(0), np.zeros((0, len(self.names))))

    def set_colours(self, colours: Sequence[QColor]) -> None:
        self._colours = tuple(colours)
        self._restyle()

    def show_values(self, at_s: FloatArray, values: FloatArray) -> None:
        self.values = (at_s, values)
        drawn_at, drawn = thinned(at_s, values, max(self.widget.width(), 1))
        self._curves.set_paths([_line(drawn_at, column) for column in drawn.T])
        self.legend.show_curves(self._named())
        if self.look.most is None and np.isfinite(values).any():
            self._fit_values(float(np.nanmin(values)), float(np.nanmax(values)))

    def _fit_values(self, least: float, most: float) -> None:
        """Let the vertical axis hold these values, with a little room."""
        least = least if self.look.signed else 0.0
        room = 0.05 * (most - least) or 0.5
        self.view.setYRange(least - room if self.look.signed else 0.0, most + room, padding=0)

    def _all_named(self) -> Named:
        return list(zip(self.names, self._colours, strict=True))

    def _named(self) -> Named:
        """Return the curves that the legend names; where not all are, that which was high last comes first."""
        named, values = self._all_named(), self.values[1]
        if self.look.named_from is None:
            return named
        if not len(values):
            return []
        reached = values[::-1] >= self.look.named_from  # newest first
        ages = np.where(reached.any(axis=0), reached.argmax(axis=0), len(reached))
        return [named[place] for place in np.argsort(ages, kind="stable") if ages[place] < len(reached)]

    @property
    def shown_range(self) -> tuple[float, float]:
        left, right = self.view.viewRange()[0]
        return left, right

    def set_range(self, left: float, right: float) -> None:
        if self.shown_range != (left, right):
            self.view.setXRange(left, right, padding=0)

    def show_cross_hair(self, x: float) -> None:
        """Draw a line at a time; nan: nowhere."""
        self._line.setVisible(not np.isnan(x))
        if not np.isnan(x):
            self._line.setValue(x)

    def words_at(self, x: float) -> str:
        """Return what the curves say at a time, as rich text; "": nothing."""
        at, values = self.values
        if not len(values):
            return ""
        index = int(np.abs(at - x).argmin())
        row = values[index]
        known = [place for place in range(len(self.names)) if np.isfinite(row[place])]
        if len(known) > 12:  # more lines than fit on a screen: the largest ones
            known = sorted(sorted(known, key=lambda place: -abs(row[place]))[:12])
        lines = [
            f'<tr><td style="color:{self._colours[place].name()}">{_BULLET}</td><td>{escape(self.names[place])}</td>'
            f'<td align="right">&nbsp;{self._written(float(row[place]))}</td></tr>'
            for place in known
        ]
        return f"<b>{clock(float(at[index]))}</b><table>{''.join(lines)}</table>"

    def _written(self, value: float) -> str:
        return f"{value:,.{self.look.digits}f} {self.look.unit}".rstrip()

    def _point(self, place: QPointF) -> None:
        if not self.view.sceneBoundingRect().contains(place):
            self._leave()
            return
        point = self.view.mapSceneToView(place)
        self.show_cross_hair(point.x())
        corner = self.widget.viewport().mapToGlobal(self.widget.mapFromScene(place))
        QToolTip.showText(corner, self.words_at(point.x()), self.widget)
        self.pointed.emit(point.x())

    def _leave(self) -> None:
        self._line.setVisible(False)
        self.pointed.emit(float("nan"))

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        """Hide the cross-hair when the pointer leaves; on a double click show all again."""
        if event.type() == QEvent.Type.Leave:
            self._leave()
        elif event.type() == QEvent.Type.MouseButtonDblClick:
            self.whole_wanted.emit()
        return bool(super().eventFilter(watched, event))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._restyle()
        super().changeEvent(event)

    def _restyle(self) -> None:
        theme = style.theme
        self.widget.setBackground(QColor(theme.surface))
        for axis in (self._left, self._bottom):
            axis.setPen(QColor(theme.line))
            axis.setTextPen(QColor(theme.soft))
            axis.setTickFont(style.text_font(11))
            axis.setGrid(40)
            axis.setStyle(maxTickLevel=0)  # each line of the grid costs as much as a curve
        self._curves.set_colours(self._colours)
        self._line.setPen(pyqtgraph.mkPen(theme.faint, style=Qt.PenStyle.DashLine))
        self.legend.show_curves(self._named())

    def save_to(self, path: Path, stream_s: FloatArray) -> None:
        """Write the plot as PNG as it is on the screen, or its values as CSV with their times in the source, [N].

        The suffix is the format. Raises OSError if it can't be written.
        """
        if path.suffix.lower() == ".csv":
            replace_file(path, self._table(stream_s).encode())
            return
        self._leave()
        replace_file(path, self._picture())

    def _picture(self) -> bytes:
        """Return the plot below its whole legend as PNG."""
        plot = self.widget.rect()
        top = self.legend.whole_height(plot.width(), self._all_named()) + 8
        image = QImage(QSize(plot.width(), top + plot.height()) * _SAVED_SCALE, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(_SAVED_SCALE)
        image.fill(QColor(style.theme.surface))
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.legend.draw(painter, plot.width(), self._all_named(), whole=True)
        self.widget.render(painter, QRectF(plot.translated(0, top)), self.widget.viewport().rect())
        painter.end()
        return png(image)

    def _table(self, stream_s: FloatArray) -> str:
        unit = f" ({self.look.unit})" if self.look.unit else ""
        header = ["time (s)", "time in the source (s)", *(f"{name}{unit}" for name in self.names)]
        columns = [self.values[0], stream_s, *self.values[1].T]
        table = io.StringIO()
        rows = (["" if np.isnan(value) else f"{value:.7g}" for value in row] for row in zip(*columns, strict=True))
        csv.writer(table, lineterminator="\n").writerows([header, *rows])
        return table.getvalue()


def _line(x: FloatArray, y: FloatArray) -> QPainterPath:
    """Return a line through the values that are known, broken where they are more than `GAP_S` apart."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    joined = np.append(np.diff(x) < GAP_S, False).astype(np.int32)
    return pyqtgraph.arrayToQPath(x, y, connect=joined if len(x) else "all")


def thinned(at_s: FloatArray, values: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """Return times [M] and values [M, curves] that look the same: the least and the most of each stretch.

    ``values`` is float64 [N, curves]. If N is at most ``most``, they are returned as they are. The stretches begin at
    multiples of their length, so that a line doesn't flicker while it moves.
    """
    if len(at_s) <= most:
        return at_s, values
    stretch_s = 2 * (at_s[-1] - at_s[0]) / most
    starts = np.flatnonzero(np.diff(np.floor(at_s / stretch_s), prepend=-1.0))
    both = np.stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)], axis=1)
    return np.repeat(at_s[starts], 2), both.reshape(2 * len(starts), values.shape[1])


LOOKS: dict[Quantity, PlotLook] = {
    "rate": PlotLook("Events per second", "Events per second of the source's own time.", "/s", digits=0),
    "latency": PlotLook("Latency in ms", "The longest latency in each tenth of a second.", "ms"),
    "probabilities": PlotLook("Class probabilities", "The probability of every class.", most=1.0, named_from=0.2),
    "density": PlotLook("Density", "Share of each layer's neurons that spiked in a frame.", "%", digits=1),
    "membrane": PlotLook("Mean membrane", "The mean membrane potential of each layer.", digits=3, signed=True),
}
SPANS = {"10 s": 10.0, "1 min": 60.0, f"{KEPT_S // 60} min": float(KEPT_S)}
DRAW_S = 0.04  # Least time between two plots, each of which takes the GUI thread some 5 ms
LEAST_PLOT = (190, 104)  # width and height, pixels; where there is less room they are scrolled
_HEIGHT = 210  # of all, pixels; less in a low window
_ASPECT = 2.0  # width of a plot to its height, best
_LIVE_TIP = "Follow the newest values. Zooming or moving a plot stops this. A double click starts it again."


class PlotPanel(QWidget):
    """The plots named in `LOOKS` that are chosen; all show the same stretch of time.

    Each `poll` draws one plot or builds one, so that none holds up the window for long.
    """

    chosen_changed = Signal()
    save_wanted = Signal(str)  # the name of a plot

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__()
        self.chosen = tuple(name for name in LOOKS if name in chosen)
        self.plots: dict[Quantity, Plot] = {}  # those built so far
        self._places = {name: QWidget() for name in LOOKS}  # where they will be, so that none moves another
        self.range_s = (0.0, 60.0)
        self.drawn = 0  # plots, ever
        self._history: PlotHistory | None = None
        self._shown: dict[Quantity, object] = {}  # what each plot was drawn from
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

    def _choose(self, name: Quantity, on: bool) -> None:
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

    def sizeHint(self) -> QSize:
        return QSize(600, min(_HEIGHT, self.window().height() // 4))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _name_curves(self, name: Quantity) -> None:
        names = () if self._history is None else self._history.curves[name]
        readable = [style.readable(each).replace(".", " · ") for each in names]
        self.plots[name].set_curves(readable, self._colours(name, len(names)))
        self._shown.pop(name, None)

    def _colours(self, name: Quantity, count: int) -> list[QColor]:
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

    def _draw(self, name: Quantity, history: PlotHistory) -> None:
        plot, rows = self.plots[name], history.rows(name, *self.range_s)
        plot.show_values(rows.at_s, (100.0 if name == "density" else 1.0) * rows.values)
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

    def save(self, name: Quantity, path: Path) -> None:
        plot, history = self.plots[name], self._history
        at_s = plot.values[0]
        stream_s = np.full(len(at_s), np.nan)
        if history is not None:
            rows = history.rows(name)
            stream_s = rows.stream_s[np.isin(rows.at_s, at_s)]
        plot.save_to(path, stream_s)


def layer_colour(depth: float) -> QColor:
    """Return the colour of a layer, by its place from the input (0) to the output (1)."""
    ink = QColor(style.theme.text).lightnessF()  # light on a dark theme
    return QColor.fromHslF(0.47 + 0.5 * depth, 0.7, 0.35 + 0.33 * ink)
