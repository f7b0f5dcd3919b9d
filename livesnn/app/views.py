"""What the right column and the strip show, from plain values. Not here: where the values come from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from livesnn.app import style

NOTHING = "–"
NOTHING_YET = "Nothing yet"
_WORDS = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap)
Probabilities = npt.NDArray[np.float32]


def card(*, margins: int = 20) -> tuple[QFrame, QVBoxLayout]:
    """Return an empty panel and its layout."""
    frame = QFrame()
    frame.setObjectName("card")
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(margins, margins - 2, margins, margins)
    layout.setSpacing(12)
    return frame, layout


def label(text: str, font: QFont, colour: str = style.TEXT) -> QLabel:
    """Return a label in a font and colour of style.py."""
    widget = QLabel(text)
    widget.setFont(font)
    widget.setStyleSheet(f"color: {colour};")
    return widget


class DecisionView(QWidget):
    """The decision in letters as large as fit, and how sure the network is."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.confidence = 0.0
        self._percent = NOTHING
        self._waiting = True
        self.setMinimumHeight(92)
        self.setMaximumHeight(150)
        self.clear()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for large letters."""
        return QSize(320, 140)

    def clear(self, words: str = NOTHING_YET) -> None:
        """Nothing has been decided, and why."""
        self.text, self.confidence, self._percent, self._waiting = words, 0.0, NOTHING, True
        self.update()

    def set_last(self, decision: str | None, confidence: float) -> None:
        """Show, dimmed, what was decided last, while there is nothing newer."""
        label = "not sure" if decision is None else style.readable(decision)
        self.clear(f"last: {label} · {100 * confidence:.0f} %")

    def set_decision(self, decision: str | None, confidence: float) -> None:
        """Show a class label, or that nothing is confident enough; ``confidence`` 0..1."""
        self.text = "Not sure" if decision is None else style.readable(decision)
        self._waiting = decision is None
        self.confidence = confidence
        self._percent = f"{100 * confidence:.0f} %"
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint the label, the bar of the confidence and its number."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = float(self.width()), float(self.height())
        words = QRectF(0, 0, width, height - 36)
        font = _fitting(self.text, words, largest=34 if self._waiting else 72)
        painter.setFont(font)
        painter.setPen(QColor(style.FAINT if self._waiting else style.TEXT))
        painter.drawText(words, _WORDS, self.text)
        painter.setFont(style.text_font(15, weight=QFont.Weight.DemiBold))
        painter.setPen(QColor(style.SOFT))
        number = QRectF(width - 60, height - 30, 60, 24)
        painter.drawText(number, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, self._percent)
        colour = style.FAINT if self._waiting else style.ACCENT
        draw_bar(painter, QRectF(0, height - 22, width - 72, 8), self.confidence, colour)


def _fitting(text: str, box: QRectF, *, largest: int, smallest: int = 16) -> QFont:
    """Return the largest font in which the text, wrapped between words, fits into the box."""
    for pixels in range(largest, smallest, -2):
        font = style.text_font(pixels, weight=QFont.Weight.Bold)
        metrics = QFontMetricsF(font)
        longest_word = max(metrics.horizontalAdvance(word) for word in text.split())
        if longest_word <= box.width() and metrics.boundingRect(box, _WORDS, text).height() <= box.height():
            return font
    return style.text_font(smallest, weight=QFont.Weight.Bold)


def draw_bar(painter: QPainter, track: QRectF, share: float, colour: str) -> None:
    """Draw a rounded track filled from the left to ``share`` (0..1)."""
    radius = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(style.RAISED))
    painter.drawRoundedRect(track, radius, radius)
    filled = track.width() * min(max(share, 0.0), 1.0)
    if filled >= 1.0:
        painter.setBrush(QColor(colour))
        painter.drawRoundedRect(
            QRectF(track.x(), track.y(), max(filled, track.height()), track.height()), radius, radius
        )


class ClassBars(QWidget):
    """One bar a class, in the order of the model's card; the decision's in the accent colour."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: tuple[str, ...] = ()
        self.probabilities: Probabilities | None = None
        self.decision: str | None = None
        self.texts: list[str] = []
        self.setMinimumHeight(160)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for comfortable rows."""
        return QSize(320, max(240, 32 * len(self.classes)))

    def set_classes(self, classes: Sequence[str]) -> None:
        """Start over with these class labels and no values."""
        self.classes = tuple(classes)
        self.probabilities, self.decision = None, None
        self.texts = [NOTHING] * len(self.classes)
        self.setMinimumHeight(16 * max(len(self.classes), 10))
        self.update()

    def set_values(self, probabilities: Probabilities, decision: str | None) -> None:
        """Show float [K], 0..1, as bars and as numbers."""
        self.probabilities = probabilities
        self.decision = decision
        self.texts = [f"{100 * value:.0f} %" for value in probabilities]
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint name, bar and number of each class."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.classes:
            painter.setFont(style.text_font(14))
            painter.setPen(QColor(style.FAINT))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, NOTHING_YET)
            return
        row_height = min(self.height() / len(self.classes), 46.0)
        font = style.text_font(14 if row_height >= 22 else 12)
        names = [style.readable(name) for name in self.classes]
        longest = max(QFontMetricsF(font).horizontalAdvance(name) for name in names)
        name_width = min(longest, self.width() * 0.57)
        painter.setFont(font)
        for index, name in enumerate(names):
            row = QRectF(0, index * row_height, self.width(), row_height)
            self._paint_row(painter, row, index, name, name_width)

    def _paint_row(self, painter: QPainter, row: QRectF, index: int, name: str, name_width: float) -> None:
        chosen = self.classes[index] == self.decision
        share = 0.0 if self.probabilities is None else float(self.probabilities[index])
        painter.setPen(QColor(style.TEXT if chosen else style.SOFT))
        middle = Qt.AlignmentFlag.AlignVCenter
        elided = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, int(name_width) + 2)
        painter.drawText(
            QRectF(0, row.y(), name_width + 2, row.height()), Qt.AlignmentFlag.AlignLeft | middle, elided
        )
        number = QRectF(row.width() - 48, row.y(), 48, row.height())
        painter.drawText(number, Qt.AlignmentFlag.AlignRight | middle, self.texts[index])
        left = name_width + 14
        thick = min(max(row.height() * 0.3, 6.0), 12.0)
        track = QRectF(left, row.center().y() - thick / 2, max(row.width() - 60 - left, 20), thick)
        draw_bar(painter, track, share, style.ACCENT if chosen else "#5c6b84")


class WindowDots(QWidget):
    """One dot a frame of the current window; filled ones have been seen."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 10
        self.seen = 0
        self.setFixedHeight(14)

    def set_progress(self, seen: int, length: int) -> None:
        """Show that ``seen`` of ``length`` frames are in."""
        if (seen, length) != (self.seen, self.length):
            self.seen, self.length = seen, length
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint the dots over the whole width."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        radius = 5.0
        step = (self.width() - 2 * radius) / max(self.length - 1, 1)
        for index in range(self.length):
            painter.setBrush(QColor(style.ACCENT if index < self.seen else style.RAISED))
            painter.drawEllipse(QPointF(radius + index * step, self.height() / 2), radius, radius)


class Reading(QWidget):
    """A caption above a number, and a line of small print below."""

    def __init__(self, caption: str, *, tip: str = "") -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        self.value = label(NOTHING, style.text_font(20, weight=QFont.Weight.DemiBold))
        self.note = label("", style.text_font(12), style.FAINT)
        for widget in (label(caption, style.caption_font(), style.SOFT), self.value, self.note):
            layout.addWidget(widget)
        self.setToolTip(tip)

    def set_texts(self, value: str, note: str, *, colour: str = style.TEXT) -> None:
        """Show both texts; ``colour`` is the value's."""
        self.value.setText(value)
        self.value.setStyleSheet(f"color: {colour};")
        self.note.setText(note)


class SplitRow(QWidget):
    """A caption at the left and a quiet remark at the right."""

    def __init__(self, caption: str, *, tip: str = "") -> None:
        super().__init__()
        self.setToolTip(tip)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label(caption, style.caption_font(), style.SOFT))
        layout.addStretch(1)
        self.remark = label("", style.text_font(13), style.FAINT)
        layout.addWidget(self.remark)
