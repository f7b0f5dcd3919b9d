"""Small parts the cards are built of, from plain values. Not here: the cards, where the values come from."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QHelpEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from livesnn.app.look import style
from livesnn.app.look.style import Tone

NOTHING = "–"
NOTHING_YET = "Nothing yet"
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_WORDS = int(LEFT | Qt.TextFlag.TextWordWrap)


def card(*, margins: int = 16) -> tuple[QFrame, QVBoxLayout]:
    """Return an empty panel and its layout."""
    frame = QFrame()
    frame.setObjectName("card")
    layout = QVBoxLayout(frame)
    layout.setContentsMargins(margins, margins - 4, margins, margins - 2)
    layout.setSpacing(8)
    return frame, layout


def label(text: str, font: QFont, tone: Tone = "text") -> QLabel:
    """Return a label in a font of style.py, and in a colour of the theme in use, whichever that is."""
    widget = QLabel(text)
    widget.setFont(font)
    widget.setProperty("tone", tone)
    return widget


class Painted(QWidget):
    """A part of a card that is painted by hand, in `paint`; its tooltip depends on the place.

    What changes ten times a second is painted, not put into a QLabel: each new text of a label makes Qt lay out the
    whole window again. And it is opaque: else the card below is painted again each time, which takes as long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def paint(self, painter: QPainter) -> None:
        """Paint all of it, onto a card's own colour."""
        raise NotImplementedError

    def tip_at(self, place: QPointF) -> str:
        """Return the tooltip of a place, "" for none."""
        return self.toolTip()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint ground and contents."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(style.SURFACE))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint(painter)

    def event(self, event: QEvent) -> bool:
        """Show the tooltip of the place."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)


class CaptionRow(Painted):
    """A caption at the left and a quiet remark at the right."""

    def __init__(self, caption: str, *, tip: str = "") -> None:
        super().__init__()
        self.caption = caption
        self.remark = ""
        self.setToolTip(tip)
        self.setFixedHeight(18)

    def set_remark(self, words: str) -> None:
        """Show a remark; it is shortened where there is no room for it."""
        if words != self.remark:
            self.remark = words
            self.update()

    def paint(self, painter: QPainter) -> None:
        """Paint both."""
        box = QRectF(self.rect())
        painter.setFont(style.caption_font())
        painter.setPen(QColor(style.SOFT))
        painter.drawText(box, LEFT, self.caption)
        room = box.width() - painter.fontMetrics().horizontalAdvance(self.caption) - 12
        painter.setFont(style.text_font(12))
        painter.setPen(QColor(style.FAINT))
        shown = painter.fontMetrics().elidedText(self.remark, Qt.TextElideMode.ElideRight, int(room))
        painter.drawText(box, RIGHT, shown)


class ShorteningLabel(QLabel):
    """One line of words that gives way: its middle is left out where there is no room."""

    def __init__(self, font: QFont) -> None:
        super().__init__()
        self.setFont(font)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for a few letters."""
        return QSize(min(60, super().minimumSizeHint().width()), super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint what fits."""
        painter = QPainter(self)
        painter.setPen(QColor(style.TEXT))
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(self.rect(), LEFT, shown)


class DecisionView(Painted):
    """The decision in letters as large as fit, and how sure the network is."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.confidence = 0.0
        self._percent = NOTHING
        self._waiting = True
        self.setMinimumHeight(62)
        self.setMaximumHeight(180)
        self.clear()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for large letters."""
        return QSize(320, 124)

    def clear(self, words: str = NOTHING_YET) -> None:
        """Nothing has been decided, and why."""
        self._show(words, NOTHING, 0.0, waiting=True)

    def set_last(self, decision: str | None, confidence: float) -> None:
        """Show, dimmed, what was decided last, while there is nothing newer."""
        label = "not sure" if decision is None else style.readable(decision)
        self.clear(f"last: {label} · {100 * confidence:.0f} %")

    def set_decision(self, decision: str | None, confidence: float) -> None:
        """Show a class label, or that nothing is confident enough; ``confidence`` 0..1."""
        words = "Not sure" if decision is None else style.readable(decision)
        self._show(words, f"{100 * confidence:.0f} %", confidence, waiting=decision is None)

    def _show(self, text: str, percent: str, confidence: float, *, waiting: bool) -> None:
        self.text, self.confidence, self._percent, self._waiting = text, confidence, percent, waiting
        self.setAccessibleName(f"Decision: {text}, {percent}")
        self.update()

    def paint(self, painter: QPainter) -> None:
        """Paint the label, the bar of the confidence and its number."""
        width, height = self.width(), self.height()
        pixels = fitting_pixels(self.text, width, height - 32, largest=32 if self._waiting else 64)
        painter.setFont(style.text_font(pixels, weight=QFont.Weight.Bold))
        painter.setPen(QColor(style.FAINT if self._waiting else style.TEXT))
        painter.drawText(QRectF(0, 0, width, height - 32), _WORDS, self.text)
        painter.setFont(style.text_font(15, weight=QFont.Weight.DemiBold))
        painter.setPen(QColor(style.SOFT))
        painter.drawText(QRectF(width - 60, height - 26, 60, 24), RIGHT, self._percent)
        colour = QColor(style.NEUTRAL if self._waiting else style.ACCENT)
        draw_bar(painter, QRectF(0, height - 18, width - 64, 8), self.confidence, colour)


@lru_cache(maxsize=64)
def fitting_pixels(text: str, width: int, height: int, *, largest: int, smallest: int = 16) -> int:
    """Return the largest size of bold letters in which the text, wrapped between words, fits into a box."""
    box = QRectF(0, 0, width, height)
    for pixels in range(largest, smallest, -2):
        metrics = QFontMetricsF(style.text_font(pixels, weight=QFont.Weight.Bold))
        longest_word = max((metrics.horizontalAdvance(word) for word in text.split()), default=0.0)
        if longest_word <= width and metrics.boundingRect(box, _WORDS, text).height() <= height:
            return pixels
    return smallest


def draw_bar(painter: QPainter, track: QRectF, share: float, colour: QColor) -> None:
    """Draw a rounded track filled from the left to ``share`` (0..1)."""
    radius = track.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(style.RAISED))
    painter.drawRoundedRect(track, radius, radius)
    filled = track.width() * min(max(share, 0.0), 1.0)
    if filled >= 1.0:
        painter.setBrush(colour)
        bar = QRectF(track.x(), track.y(), max(filled, track.height()), track.height())
        painter.drawRoundedRect(bar, radius, radius)
