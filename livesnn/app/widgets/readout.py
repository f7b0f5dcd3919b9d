"""The right column: the decision, and the classes over the last 10 s. All of it from one Answer at a time."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from livesnn.app.look import style
from livesnn.app.widgets.history import ClassRows
from livesnn.app.widgets.parts import LEFT, NOTHING, NOTHING_YET, RIGHT, Card, Painted
from livesnn.card import ModelCard
from livesnn.session.values import Answer

_SMALLEST_PIXELS = 16  # of letters
_WORDS = int(LEFT | Qt.TextFlag.TextWordWrap)


class ReadoutPanel(QWidget):
    """Decision and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.decision = DecisionView()
        self.rows = ClassRows()
        self._note = ""
        self.card = Card("Decision")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        for stretch, card, widget in (
            (0, self.card, self.decision),
            (1, Card("Classes", remark="last 10 s"), _scrolled(self.rows)),
        ):
            card.column.addWidget(widget, 1)
            column.addWidget(card, stretch)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Start over, with the classes of this model."""
        self._note = ""
        self.show_doubt("")
        self.rows.set_classes(() if card is None else card.classes)
        self.decision.clear()

    def wait(self) -> None:
        """Forget what was shown: a reset has been asked for, and no frame has come since."""
        self.rows.set_classes(self.rows.classes)
        self.decision.clear(self._note or NOTHING_YET)

    def show_note(self, note: str) -> None:
        """Say from now on, while there is no decision, why; "": because it takes a whole window."""
        if self.decision.text in (NOTHING_YET, self._note):
            self.decision.clear(note or NOTHING_YET)
        self._note = note

    def show_doubt(self, doubt: str) -> None:
        """Say beside the caption why the decisions are less sure than they look; "": they aren't."""
        self.card.caption.set_remark(doubt)
        self.card.caption.setToolTip(doubt)

    def show_answer(self, answer: Answer) -> None:
        """Show an answer."""
        result = answer.result
        self.rows.set_values(result.probabilities, result.decision, answer.history)
        if result.window_seen:
            self.decision.set_decision(result.decision, result.confidence)
        elif answer.last is not None:
            self.decision.set_last(answer.last.label, answer.last.confidence)
        else:
            self.decision.clear(self._note or NOTHING_YET)


def _scrolled(rows: ClassRows) -> QScrollArea:
    """Return the rows where they can be scrolled, if there are more than fit."""
    area = QScrollArea()
    area.setWidget(rows)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumHeight(rows.minimumHeight())
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


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
        _draw_bar(painter, QRectF(0, height - 18, width - 64, 8), self.confidence, colour)


@lru_cache(maxsize=64)
def fitting_pixels(text: str, width: int, height: int, *, largest: int) -> int:
    """Return the largest size of bold letters in which the text, wrapped between words, fits into a box."""
    box = QRectF(0, 0, width, height)
    for pixels in range(largest, _SMALLEST_PIXELS, -2):
        metrics = QFontMetricsF(style.text_font(pixels, weight=QFont.Weight.Bold))
        longest_word = max((metrics.horizontalAdvance(word) for word in text.split()), default=0.0)
        if longest_word <= width and metrics.boundingRect(box, _WORDS, text).height() <= height:
            return pixels
    return _SMALLEST_PIXELS


def _draw_bar(painter: QPainter, track: QRectF, share: float, colour: QColor) -> None:
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
