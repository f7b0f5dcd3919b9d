"""The column "Second": what a second model says of the same frames, and how often both agree."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import LEFT, NOTHING, RIGHT, Card, Painted, button, fill
from livesnn.app.widgets.numbers import milliseconds
from livesnn.app.widgets.readout import ReadoutPanel
from livesnn.card import ModelCard
from livesnn.session.comparison import Compared
from livesnn.session.results import ShownResult
from livesnn.session.statistics import LAST_RESULTS

_TIP = (
    "Share of frames in which both decided the same. “Not sure” counts as a decision.\n"
    f"Times are in milliseconds, as if each ran alone: the median over the last {LAST_RESULTS} frames."
)
LATE = "Too slow: events lost"
LATE_TIP = (
    "The two together can't keep up with the source, so events are lost and decisions get worse.\n"
    "Record the source and compare on the recording, or choose a faster engine."
)
_ROW = 17  # height of a row of the table, pixels
_LEFT = (0.46, 0.7, 0.85, 1.0)  # of the table's columns, and the right of the last, in widths
_GAP = 4  # between the sentence and the table, pixels
_WORDS = int(LEFT | Qt.TextFlag.TextWordWrap)


class ComparisonPanel(QWidget):
    """The second's decision and classes, and above them the agreement; `closed` asks to end the comparison."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.card = Card("Second", "window.md#compare-two-models", tip=_TIP)
        self.agreement = AgreementView()
        self.readout = ReadoutPanel()
        close = button(height=22, width=22, name="close", tip="End the comparison")
        close.clicked.connect(self.closed)
        style.set_icon(close, "close", "soft", 14)
        self.card.top.addWidget(close)
        self.card.column.addWidget(self.agreement)
        fill(QVBoxLayout(self), self.card, (self.readout, 1), spacing=12)

    def show_name(self, name: str) -> None:
        """Say which model this is, and with which settings."""
        self.card.caption.set_remark(name)
        self.card.caption.setToolTip(f"{name}\n{_TIP}")

    def clear(self, card: ModelCard | None, note: str = "") -> None:
        """Show nothing but the classes, and a note that says why."""
        self.readout.clear(card)
        self.agreement.show_note(note)

    def show_result(self, shown: ShownResult, compared: Compared) -> None:
        """Show the second's result, and how it compares."""
        self.readout.show_result(shown)
        self.agreement.show_compared(compared)


class AgreementView(Painted):
    """The agreement in large letters, and the times of both in a table; or a note."""

    def __init__(self) -> None:
        super().__init__((260, 3 * _ROW + 8))
        self.setFixedHeight(3 * _ROW + 8)
        self.note = ""
        self.percent, self.total = NOTHING, ""
        self.late = False
        self.times: tuple[tuple[str, str, str], ...] = ()  # caption, of the first, of the second

    def show_note(self, note: str) -> None:
        """Show words in place of numbers; "": no numbers either."""
        self.note, self.percent, self.total, self.times = note, NOTHING, "", ()
        self.setToolTip(note or _TIP)
        self.update()

    def show_compared(self, compared: Compared) -> None:
        """Show the numbers, a dash where one is unknown."""
        agreement = compared.agreement
        known = math.isfinite(agreement.minute)
        self.note = ""
        self.percent = percent(agreement.minute)
        self.total = f"{percent(agreement.total)} of {agreement.frames:,} frames" if known else ""
        self.late = compared.late
        self.times = tuple(
            (caption, *(milliseconds(each.p50) for each in times))  # type: ignore[misc]  # two
            for caption, times in (("Network", compared.network_ms), ("Decision", compared.total_ms))
        )
        self.setToolTip(f"{LATE_TIP}\n{_TIP}" if self.late else _TIP)
        self.setAccessibleName(f"Both agree in {self.percent} of the last minute, in {self.total}")
        self.update()

    def paint(self, painter: QPainter) -> None:
        """Paint the numbers or the note."""
        width = self.width()
        if self.note:
            self._write(painter, QRectF(self.rect()), self.note, style.theme.soft, _WORDS, 13)
            return
        half = width * 0.46
        painter.setFont(style.text_font(26, weight=QFont.Weight.Bold))
        painter.setPen(QColor(style.theme.text))
        painter.drawText(QRectF(0, 0, half, 30), LEFT, self.percent)
        self._write(painter, QRectF(0, 30, half, 14), "same, last minute", style.theme.soft, LEFT, 11)
        words, colour = (LATE, style.theme.warning) if self.late else (self.total, style.theme.faint)
        if QFontMetricsF(style.text_font(11)).horizontalAdvance(words) > half - _GAP:
            words = words.removesuffix(" frames")
        self._write(painter, QRectF(0, 44, half, 14), words, colour, LEFT, 11)
        for place, words in enumerate(("ms", "1st", "2nd")):
            self._cell(painter, 0, place, words, style.theme.faint, 11)
        for row, (caption, *times) in enumerate(self.times, start=1):
            self._cell(painter, row, 0, caption, style.theme.soft, 12)
            for place, text in enumerate(times, start=1):
                self._cell(painter, row, place, text, style.theme.text, 12)

    def _cell(self, painter: QPainter, row: int, place: int, words: str, colour: str, pixels: int) -> None:
        """Write into the table, whose columns are as wide as their words need at least."""
        left, right = ((_LEFT[place + more] * self.width()) for more in (0, 1))
        box = QRectF(left, row * _ROW, right - left, _ROW)
        self._write(painter, box, words, colour, RIGHT if place else LEFT, pixels)

    @staticmethod
    def _write(
        painter: QPainter, box: QRectF, words: str, colour: str, where: Qt.AlignmentFlag | int, pixels: int
    ) -> None:
        painter.setFont(style.text_font(pixels))
        painter.setPen(QColor(colour))
        painter.drawText(box, where, words)


def percent(share: float) -> str:
    """Return a share of 1 in per cent; 100 % only where it is exactly that, and a dash where it is unknown."""
    if not math.isfinite(share):
        return NOTHING
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"
