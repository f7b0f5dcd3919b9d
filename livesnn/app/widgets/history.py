"""The classes, one a row: name, probability over the last 10 s, probability now. Not here: the decision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter
from PySide6.QtWidgets import QSizePolicy

from livesnn.app.look import style
from livesnn.app.widgets.parts import LEFT, NOTHING, NOTHING_YET, RIGHT, Painted
from livesnn.session.values import HISTORY_US, History

EMPTY = History(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))
_LEAST_ROWS = 8  # there is room for
_ROW = (15, 48)  # least and greatest height of a row, pixels
_DOT, _GAP, _LEAST_STRIP = 8, 10, 24  # widths, pixels
_NUMBER = 4  # width of the numbers' column, in heights of their letters
_PLAIN, _BOLD = QFont.Weight.Normal, QFont.Weight.DemiBold
_FILL = 0.4  # opacity below the curve
_LINE = 1.6  # thickness of the curve, pixels

Probabilities = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint32]


class ClassRows(Painted):
    """One row a class, in the order of the model's card; the decision's stands out."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: tuple[str, ...] = ()
        self.probabilities: Probabilities | None = None
        self.decision: str | None = None
        self.texts: list[str] = []
        self._names: list[str] = []
        self._history = EMPTY
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.set_classes(())

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for comfortable rows."""
        return QSize(320, max(220, 28 * len(self.classes)))

    def set_classes(self, classes: Sequence[str]) -> None:
        """Start over with these class labels and no values."""
        self.classes = tuple(classes)
        self._names = [style.readable(name) for name in classes]
        self.probabilities, self.decision, self._history = None, None, EMPTY
        self.texts = [NOTHING] * len(self.classes)
        self.setMinimumHeight(_ROW[0] * max(len(self.classes), _LEAST_ROWS))
        self.updateGeometry()
        self.update()

    def set_values(
        self, probabilities: Probabilities, decision: str | None, history: History = EMPTY
    ) -> None:
        """Show float [K], 0..1, as numbers, and how they became so."""
        self.probabilities, self.decision, self._history = probabilities, decision, history
        self.texts = [f"{100 * value:.0f} %" for value in probabilities]
        self.update()

    def tip_at(self, place: QPointF) -> str:
        """Return the class and its probability."""
        if not self.classes:
            return ""
        index = int(place.y() / self._row_height())
        if not 0 <= index < len(self.classes):
            return ""
        return f"{self._names[index]}: {self.texts[index]}\nThe strip is its probability over the last 10 s."

    def _row_height(self) -> float:
        return min(max(self.height() / len(self.classes), _ROW[0]), _ROW[1])

    def name_width(self, pixels: int) -> float:
        """Return the width of the names' column in this size: the longest one's, if a strip has room beside it."""
        room = self.width() - _DOT - _NUMBER * pixels - 2 * _GAP - _LEAST_STRIP
        return min(longest(tuple(self._names), pixels), room)

    def paint(self, painter: QPainter) -> None:
        """Paint dot, name, strip and number of each class."""
        if not self.classes:
            painter.setFont(style.text_font(14))
            painter.setPen(QColor(style.FAINT))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, NOTHING_YET)
            return
        height = self._row_height()
        pixels = 15 if height >= 38 else 13 if height >= 20 else 12
        name_width = self.name_width(pixels)
        left = _DOT + 8 + name_width + _GAP
        strip = QRectF(left, 0, self.width() - left - _NUMBER * pixels, min(height - 4, 36))
        plain, bold = (style.text_font(pixels, weight=weight) for weight in (_PLAIN, _BOLD))
        for index, label in enumerate(self.classes):
            painter.setFont(bold if label == self.decision else plain)
            row = QRectF(0, index * height, self.width(), height)
            self._paint_words(painter, row, index, name_width)
        self._paint_strips(painter, strip, height)

    def _paint_words(self, painter: QPainter, row: QRectF, index: int, name_width: float) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.class_colour(index))
        painter.drawEllipse(QPointF(_DOT / 2, row.center().y()), _DOT / 2, _DOT / 2)
        painter.setPen(QColor(style.TEXT if self.classes[index] == self.decision else style.SOFT))
        name = self._names[index]
        if name_width < longest(tuple(self._names), painter.font().pixelSize()):
            right = Qt.TextElideMode.ElideRight
            name = painter.fontMetrics().elidedText(name, right, int(name_width) + 1)
        painter.drawText(QRectF(_DOT + 8, row.y(), name_width, row.height()), LEFT, name)
        wide = _NUMBER * painter.font().pixelSize()
        number = QRectF(row.width() - wide, row.y(), wide, row.height())
        painter.drawText(number, RIGHT, self.texts[index])

    def _paint_strips(self, painter: QPainter, strip: QRectF, row_height: float) -> None:
        ratio = self.devicePixelRatioF()
        columns, rows = max(int(strip.width() * ratio), 1), max(int(strip.height() * ratio), 1)
        colours = [style.class_colour(index).rgb() for index in range(len(self.classes))]
        pixels = strips(self._history, colours, columns=columns, rows=rows, line=_LINE * ratio)
        image = QImage(
            pixels.data, columns, pixels.shape[0], 4 * columns, QImage.Format.Format_ARGB32_Premultiplied
        )
        painter.setPen(Qt.PenStyle.NoPen)
        for index in range(len(self.classes)):
            box = strip.translated(0, index * row_height + (row_height - strip.height()) / 2)
            painter.setBrush(QColor(style.RAISED))
            painter.drawRoundedRect(box, 3, 3)
            painter.drawImage(box, image, QRectF(0, index * rows, columns, rows))


@lru_cache(maxsize=16)
def longest(names: tuple[str, ...], pixels: int) -> float:
    """Return the width of the longest name in letters of this size, bold ones as of a decision."""
    metrics = QFontMetricsF(style.text_font(pixels, weight=_BOLD))
    return max(metrics.horizontalAdvance(name) for name in names) + 2


def strips(
    history: History, colours: Sequence[int], *, columns: int, rows: int, line: float = _LINE
) -> Pixels:
    """Return the curves of all classes as one image, one below the other.

    Parameters
    ----------
    history
        Its newest sample is at the right edge, HISTORY_US before it at the left; before its oldest there is none.
    colours
        0xRRGGBB a class.
    columns, rows
        Of one class's curve, pixels; 0 is at the bottom, 1 at the top.
    line
        Thickness of the curve, pixels.

    Returns
    -------
    uint32 [K · rows, columns], premultiplied ARGB.
    """
    kinds = len(colours)
    opacity = np.zeros((kinds, rows, columns), np.float32)
    if len(history.t_us):
        level = _levels(history, columns) * rows  # [K, columns], in pixels above the bottom
        above_bottom = np.arange(rows, 0, -1, dtype=np.float32)[:, None]  # the upper edge of each pixel
        depth = level[:, None, :] - above_bottom + 1.0  # pixels of the curve's body in this one and above it
        body = np.clip(depth, 0.0, 1.0)
        edge = np.clip(line + 1.0 - depth, 0.0, 1.0) * np.clip(level / (2 * line), 0.0, 1.0)[:, None, :]
        opacity = body * (_FILL + (1 - _FILL) * edge)
    alpha = (opacity * 255 + 0.5).astype(np.uint32)
    packed = np.array([_shades(colour) for colour in colours], np.uint32).reshape(kinds, 256)
    return np.ascontiguousarray(packed[np.arange(kinds)[:, None, None], alpha].reshape(-1, columns))


def _levels(history: History, columns: int) -> npt.NDArray[np.float32]:
    """Return the probabilities [K, columns] in the middle of each pixel column."""
    newest = int(history.t_us[-1])
    ages = (np.arange(columns)[::-1] + 0.5) * (HISTORY_US / columns)
    since = history.t_us - newest  # small enough to be exact as float
    return np.stack([np.interp(-ages, since, values, left=0.0) for values in history.probabilities.T]).astype(
        np.float32
    )


@cache
def _shades(colour: int) -> npt.NDArray[np.uint32]:
    """Return a colour at the 256 opacities, premultiplied; not to be changed."""
    alpha = np.arange(256)
    red, green, blue = ((colour >> shift & 255) * alpha // 255 for shift in (16, 8, 0))
    return (alpha << 24 | red << 16 | green << 8 | blue).astype(np.uint32)
