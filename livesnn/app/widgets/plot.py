"""One plot in a card: curves over time or a histogram, with axes, zoom, pan, a cross-hair, and saving to a file.

Importing it takes some 0.3 s, most of it pyqtgraph's: session_display.py does so when plots are first shown.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPicture
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolTip, QVBoxLayout

from livesnn.app import style
from livesnn.app.widgets.basics import LEFT, Painted, fill, icon_button, png, rounded, translucent, write
from livesnn.app.widgets.timeline import clock
from livesnn.files import replace_file

GAP_S = 1.0  # where values are farther apart, the curve is broken
AXIS_WIDTH = 58  # pixels, so that plots below each other begin at the same place
_SAVED_SCALE = 2  # pixels of a saved picture, a pixel of the screen
_OPACITY = 0.25  # below the curves of a histogram
_BULLET = "●"
_LINE, _MARGIN = 20, 6  # height of a line of the legend, and room on its left, pixels

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlotLook:
    """What a plot says, and how its values are written."""

    title: str
    tip: str  # what it shows
    unit: str = ""  # Of the values, behind each of them: "ms"
    # "time": s since the source was opened, or "latency": a histogram over ms, on a logarithmic axis
    over: str = "time"
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


class LatencyAxis(pyqtgraph.AxisItem):
    """A logarithmic axis of milliseconds."""

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        return [f"{value:g} ms" for value in 10.0 ** np.array(values)]


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


class View(pyqtgraph.ViewBox):
    """Wheel and drag change the horizontal axis; over the vertical axis they change that one."""

    taken = Signal(int)  # a person chose another part of the horizontal axis (0), or of the vertical one (1)

    def wheelEvent(self, event: Any, axis: int | None = None) -> None:
        super().wheelEvent(event, axis=axis or 0)
        self.taken.emit(axis or 0)

    def mouseDragEvent(self, event: Any, axis: int | None = None) -> None:
        super().mouseDragEvent(event, axis=axis or 0)
        self.taken.emit(axis or 0)


class Curves(pyqtgraph.GraphicsObject):
    """All curves of a plot, painted in one go.

    With an item each, Qt asks 18 curves four times each where they are, and every answer waits for the interpreter's
    lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: Sequence[QPainterPath] = ()
        self._colours: Sequence[QColor] = ()
        self._opacity = 0.0
        self._place = QRectF()

    def set_paths(self, paths: Sequence[QPainterPath]) -> None:
        self.prepareGeometryChange()
        self._paths = paths
        self._place = functools.reduce(QRectF.united, (path.boundingRect() for path in paths), QRectF())
        self.update()

    def set_look(self, colours: Sequence[QColor], opacity: float) -> None:
        """Draw in these colours; ``opacity`` is that of the ground below a curve, 0: none."""
        self._colours, self._opacity = colours, opacity
        self.update()

    def boundingRect(self) -> QRectF:
        return self._place

    def paint(self, painter: QPainter, *_: object) -> None:
        for path, colour in reversed([*zip(self._paths, self._colours, strict=False)]):
            if self._opacity:
                painter.fillPath(path, translucent(colour, self._opacity))
            painter.setPen(pyqtgraph.mkPen(colour, width=1))
            painter.drawPath(path)


class Plot(QFrame):
    """A plot with its legend; ``curves`` are names, `set_curves` changes them."""

    range_taken = Signal(float, float)  # a person chose this part of the horizontal axis
    whole_wanted = Signal()  # a person double-clicked
    pointed = Signal(float)  # at this place on the horizontal axis; nan: the pointer has left
    save_wanted = Signal()

    def __init__(self, look: PlotLook) -> None:
        super().__init__()
        self.setObjectName("card")
        self.look = look
        self.names: tuple[str, ...] = ()
        self.values: tuple[FloatArray, FloatArray] = (np.zeros(0), np.zeros((0, 0)))  # [N], [N, curves]
        self._colours: Sequence[QColor] = ()
        self._fits = True  # the vertical axis follows the values
        self.legend = Legend(look.title)
        self.view = View(enableMenu=False)
        self._left = ValueAxis(" %" if look.unit == "%" else "")
        self._bottom = (TimeAxis if look.over == "time" else LatencyAxis)("bottom")
        self.widget = pyqtgraph.GraphicsLayoutWidget()  # a PlotWidget, with its menus, takes three times as long
        self._lines = [pyqtgraph.InfiniteLine(angle=angle) for angle in (90, 0)]
        self._curves = Curves()
        tip = f"Save “{look.title}” as PNG or CSV"
        self.save = icon_button("save", tip, 24, 16, self.save_wanted.emit)
        self._set_up()
        heading = fill(QHBoxLayout(), (self.legend, 1), self.save, spacing=4)
        fill(QVBoxLayout(self), heading, (self.widget, 1), spacing=2, margins=(8, 6, 8, 4))

    def _set_up(self) -> None:
        look = self.look
        self._left.setWidth(AXIS_WIDTH)
        if look.over != "time":
            self._bottom.setLogMode(x=True)
        layout = self.widget.ci.layout
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for item, row, column in ((self.view, 0, 1), (self._left, 0, 0), (self._bottom, 1, 1)):
            self.widget.addItem(item, row, column)
        for axis in (self._left, self._bottom):
            axis.linkToView(self.view)
            axis.setZValue(-1)  # the grid is behind the curves
        limits = {"minXRange": 0.01}
        if not look.signed:
            limits["yMin"] = 0.0
        if look.over == "time":
            limits["xMin"] = 0.0
        self.view.setLimits(**limits)
        self.view.setDefaultPadding(0.0)
        self.view.disableAutoRange()
        self._fit_values(0.0, look.most or 1.0)
        self.view.addItem(self._curves, ignoreBounds=True)
        for line in self._lines:
            line.setVisible(False)
            self.view.addItem(line, ignoreBounds=True)
        self.view.taken.connect(self._take)
        self.widget.scene().sigMouseMoved.connect(self._point)
        self.widget.setMinimumSize(160, 60)
        self.widget.viewport().installEventFilter(self)
        self.setToolTip(look.tip)
        self._restyle()

    # What it shows

    def set_curves(self, names: Sequence[str], colours: Sequence[QColor]) -> None:
        """Show curves of these names and colours, without values."""
        self.names, self._colours = tuple(names), tuple(colours)
        self.clear()
        self._restyle()

    def clear(self) -> None:
        self._curves.set_paths(())
        self.values = (np.zeros(0), np.zeros((0, len(self.names))))

    def set_colours(self, colours: Sequence[QColor]) -> None:
        self._colours = tuple(colours)
        self._restyle()

    def show_values(self, at: FloatArray, values: FloatArray) -> None:
        """Show values [N, curves] at times [N]; of a histogram, between edges [N + 1]. nan: there is none."""
        self.values = (at, values)
        if self.look.over == "time":
            drawn_at, drawn = thinned(at, values, max(self.widget.width(), 1))
            self._curves.set_paths([_line(drawn_at, column) for column in drawn.T])
        else:
            edges = np.log10(at)
            self._curves.set_paths([_steps(edges, column) for column in values.T])
            if self._fits:
                self.view.setXRange(edges[0], edges[-1], padding=0)
        self.legend.show_curves(self._named())
        if self._fits and self.look.most is None and np.isfinite(values).any():
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

    def show_all(self) -> None:
        self._fits = True
        if self.look.most is not None:
            self._fit_values(0.0, self.look.most)
        if len(self.values[1]):
            self.show_values(*self.values)

    def show_cross_hair(self, x: float) -> None:
        """Draw the vertical line of the cross-hair at a place of the horizontal axis; nan: nowhere."""
        line = self._lines[0]
        line.setVisible(not np.isnan(x))
        if not np.isnan(x):
            line.setValue(x)

    def words_at(self, x: float) -> str:
        """Return what the curves say at a place of the horizontal axis, as rich text; "": nothing."""
        at, values = self.values
        if not len(values):
            return ""
        if self.look.over == "time":
            index = int(np.abs(at - x).argmin())
            heading = clock(float(at[index]))
        else:
            index = int(np.clip(np.searchsorted(np.log10(at), x) - 1, 0, len(values) - 1))
            heading = f"{at[index]:.3g} to {at[index + 1]:.3g} ms"
        row = values[index]
        known = [place for place in range(len(self.names)) if np.isfinite(row[place])]
        if len(known) > 12:  # more lines than fit on a screen: the largest ones
            known = sorted(sorted(known, key=lambda place: -abs(row[place]))[:12])
        lines = [
            f'<tr><td style="color:{self._colours[place].name()}">{_BULLET}</td><td>{escape(self.names[place])}</td>'
            f'<td align="right">&nbsp;{self._written(float(row[place]))}</td></tr>'
            for place in known
        ]
        return f"<b>{heading}</b><table>{''.join(lines)}</table>"

    def _written(self, value: float) -> str:
        return f"{value:,.{self.look.digits}f} {self.look.unit}".rstrip()

    # What a person does

    def _take(self, axis: int) -> None:
        if axis == 1 or self.look.over != "time":
            self._fits = False
        else:
            self.range_taken.emit(*self.shown_range)

    def _point(self, place: QPointF) -> None:
        if not self.view.sceneBoundingRect().contains(place):
            self._leave()
            return
        point = self.view.mapSceneToView(place)
        self.show_cross_hair(point.x())
        self._lines[1].setVisible(True)
        self._lines[1].setValue(point.y())
        corner = self.widget.viewport().mapToGlobal(self.widget.mapFromScene(place))
        QToolTip.showText(corner, self.words_at(point.x()), self.widget)
        self.pointed.emit(point.x())

    def _leave(self) -> None:
        """Hide the cross-hair."""
        for line in self._lines:
            line.setVisible(False)
        self.pointed.emit(float("nan"))

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        """Hide the cross-hair when the pointer leaves; on a double click show all again."""
        if event.type() == QEvent.Type.Leave:
            self._leave()
        elif event.type() == QEvent.Type.MouseButtonDblClick:
            self.show_all()
            self.whole_wanted.emit()
        return bool(super().eventFilter(watched, event))

    # How it looks

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
        self._curves.set_look(self._colours, 0.0 if self.look.over == "time" else _OPACITY)
        for line in self._lines:
            line.setPen(pyqtgraph.mkPen(theme.faint, style=Qt.PenStyle.DashLine))
        self.legend.show_curves(self._named())

    # Saving

    def save_to(self, path: Path, axis_values: Sequence[tuple[str, FloatArray]]) -> None:
        """Write the plot as PNG as it is on the screen, or its values as CSV.

        The suffix is the format. ``axis_values`` are the first columns of a CSV file with their
        names, [N] each: one row for each of `values`. Raises OSError if it can't be written.
        """
        if path.suffix.lower() == ".csv":
            replace_file(path, self._table(axis_values).encode())
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

    def _table(self, axis_values: Sequence[tuple[str, FloatArray]]) -> str:
        unit = f" ({self.look.unit})" if self.look.unit else ""
        header = [name for name, _ in axis_values] + [f"{name}{unit}" for name in self.names]
        columns = [*(column for _, column in axis_values), *self.values[1].T]
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


def _steps(edges: FloatArray, y: FloatArray) -> QPainterPath:
    x = np.repeat(edges, 2)
    return pyqtgraph.arrayToQPath(x, np.concatenate([[0.0], np.repeat(y, 2), [0.0]]))


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
