"""The right column: the decision, and each class with its probability now and over the last 10 s.

The curves are no plots of pyqtgraph, eleven of which take 2.9 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter, QPolygonF
from PySide6.QtWidgets import QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import (
    LEFT,
    NOTHING,
    RIGHT,
    Card,
    Painted,
    draw_bar,
    elided,
    fill,
    rounded,
    scrolled,
    translucent,
    write,
)
from livesnn.card import ModelCard
from livesnn.console import capitalised
from livesnn.infer.decide import STALE_US, Silence
from livesnn.infer.reason import ADVICE, Reason
from livesnn.session.results import HISTORY_US, NO_HISTORY, History, ShownResult
from livesnn.session.verdict import NO_EVENTS, NOT_SURE, NOTHING_YET, Verdict, verdict_of

_LEAST_ROWS = 8  # that there is always room for
_ROW = (15, 48)  # least and greatest height of a row, pixels
_DOT, _GAP, _LEAST_STRIP = 8, 10, 40  # widths, pixels
_TOLD_APART = 0.6  # of the longest name
_PLAIN, _BOLD = QFont.Weight.Normal, QFont.Weight.DemiBold
_DIM = 0.4  # opacity of what is past
_FILL = 0.7  # opacity below the curve

Probabilities = npt.NDArray[np.float32]
_WHY = 20  # height of the sentence below a decision, pixels
_SMALLEST_PIXELS = 16  # of letters
_WORDS = int(LEFT | Qt.TextFlag.TextWordWrap)


class ClassRows(Painted):
    """One row for each class, in the order of the model's card; the decided one stands out."""

    def __init__(self) -> None:
        super().__init__((320, 220))
        self.probabilities: Probabilities | None = None
        self.decision: str | None = None
        self.set_classes(())

    def set_classes(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._names = [style.readable(name) for name in classes]
        self.probabilities, self.decision, self._history = None, None, NO_HISTORY
        self.dimmed = False  # what is shown is past
        self.texts = [NOTHING] * len(self.classes)
        self.hint.setHeight(max(220, 28 * len(self.classes)))
        self.setMinimumHeight(_ROW[0] * max(len(self.classes), _LEAST_ROWS))
        self.updateGeometry()
        self.update()

    def set_values(self, probabilities: Probabilities, decision: str | None, history: History = NO_HISTORY) -> None:
        self.probabilities, self.decision, self._history = probabilities, decision, history
        self.texts = [f"{100 * value:.0f} %" for value in probabilities]
        self.dimmed = False
        self.update()

    def dim(self) -> None:
        """Show the last values as the past, until there are others."""
        if not self.dimmed:
            self.dimmed, self.decision = True, None
            self.texts = [NOTHING] * len(self.classes)
            self.update()

    def tip_at(self, place: QPointF) -> str:
        if not self.classes:
            return ""
        index = int(place.y() / self._row_height())
        if not 0 <= index < len(self.classes):
            return ""
        return f"{self._names[index]}: {self.texts[index]}\nThe curve is its probability over the last 10 s."

    def _row_height(self) -> float:
        return min(max(self.height() / len(self.classes), _ROW[0]), _ROW[1])

    def middle(self, label: str) -> int:
        return round((self.classes.index(label) + 0.5) * self._row_height())

    def name_width(self, pixels: int) -> float:
        """Return the width of the names' column: the longest name's, if the strip has room beside it.

        Where names would be too short to tell them apart, there is no strip.
        """
        room = self.width() - _DOT - longest(("100 %",), pixels) - 2 * _GAP
        needed = longest(tuple(self._names), pixels)
        return min(needed, room - _LEAST_STRIP if room - _LEAST_STRIP >= _TOLD_APART * needed else room)

    def paint(self, painter: QPainter) -> None:
        if not self.classes:
            middle, font = Qt.AlignmentFlag.AlignCenter, style.text_font(14)
            write(painter, QRectF(self.rect()), NOTHING_YET, style.theme.faint, middle, font)
            return
        painter.setOpacity(_DIM if self.dimmed else 1.0)
        height = self._row_height()
        pixels = 13 if height >= 20 else 12
        name_width = self.name_width(pixels)
        left = _DOT + 8 + name_width + _GAP
        strip = QRectF(left, 0, self.width() - left - longest(("100 %",), pixels), min(height - 4, 36))
        plain, bold = (style.text_font(pixels, weight=weight) for weight in (_PLAIN, _BOLD))
        for index, label in enumerate(self.classes):
            painter.setFont(bold if label == self.decision else plain)
            row = QRectF(0, index * height, self.width(), height)
            self._paint_words(painter, row, index, name_width)
        if strip.width() >= _LEAST_STRIP:
            self._paint_strips(painter, strip, height)

    def _paint_words(self, painter: QPainter, row: QRectF, index: int, name_width: float) -> None:
        dot = QRectF(0, row.center().y() - _DOT / 2, _DOT, _DOT)
        rounded(painter, dot, _DOT / 2, style.class_colour(index))
        colour = style.theme.text if self.classes[index] == self.decision else style.theme.soft
        name = self._names[index]
        if name_width < longest(tuple(self._names), painter.font().pixelSize()):
            name = elided(painter, name, name_width + 1)
        write(painter, QRectF(_DOT + 8, row.y(), name_width, row.height()), name, colour)
        wide = longest(("100 %",), painter.font().pixelSize())
        write(painter, QRectF(row.width() - wide, row.y(), wide, row.height()), self.texts[index], colour, RIGHT)

    def _paint_strips(self, painter: QPainter, strip: QRectF, row_height: float) -> None:
        levels = probabilities_at(self._history, len(self.classes), int(strip.width()))
        for index, level in enumerate(levels):
            box = strip.translated(0, index * row_height + (row_height - strip.height()) / 2)
            rounded(painter, box, 3, style.theme.raised)
            tops = (box.bottom() - level * box.height()).tolist()
            curve = [QPointF(box.left() + column, top) for column, top in enumerate(tops)]
            painter.setBrush(translucent(style.class_colour(index), _FILL))
            painter.drawPolygon(QPolygonF([box.bottomLeft(), *curve, box.bottomRight()]))


@lru_cache(maxsize=16)
def longest(names: tuple[str, ...], pixels: int) -> float:
    metrics = QFontMetricsF(style.text_font(pixels, weight=_BOLD))
    return max(metrics.horizontalAdvance(name) for name in names) + 2


def probabilities_at(history: History, classes: int, columns: int) -> Probabilities:
    """Return the probabilities [classes, columns] of the last HISTORY_US; the newest is at the right.

    Between frames that are far apart, as around a pause, a value lasts for STALE_US; then there is none.
    """
    if not len(history.t_us):
        return np.zeros((classes, columns), np.float32)
    at = -(np.arange(columns)[::-1] + 0.5) * (HISTORY_US / columns)
    since = history.t_us - int(history.t_us[-1])  # small enough to be exact as float
    levels = np.stack([np.interp(at, since, values, left=0.0) for values in history.probabilities.T])
    following = np.searchsorted(since, at)
    last = np.maximum(following - 1, 0)
    apart = since[following] - since[last] > STALE_US
    held = np.where(at - since[last] <= STALE_US, history.probabilities[last].T, 0.0)
    return np.where(apart, held, levels).astype(np.float32)


class ReadoutPanel(QWidget):
    """The cards "Decision" and "Classes"."""

    def __init__(self) -> None:
        super().__init__()
        self.decision = DecisionView()
        self.rows = ClassRows()
        self._note = ""
        self.card = Card("Decision", "window.md#why-no-gesture-is-named")
        classes = Card("Classes", "window.md#the-parts", remark="last 10 s")
        self.card.column.addWidget(self.decision, 1)
        self._scrolled = scrolled(self.rows, down_only=True)
        self._scrolled.setMinimumHeight(self.rows.minimumHeight())
        self._scrolled.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        classes.column.addWidget(self._scrolled, 1)
        fill(QVBoxLayout(self), self.card, (classes, 1), spacing=12)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        self._note = ""
        self.show_doubt("")
        self.rows.set_classes(() if card is None else card.classes)
        self.decision.clear()

    def wait(self) -> None:
        self.rows.set_classes(self.rows.classes)
        self.decision.clear(self._note or NOTHING_YET)

    def show_note(self, note: str) -> None:
        """From now on, say why there is no decision; "": it takes a whole window."""
        if note != self._note and self.decision.said.words in (NOTHING_YET, self._note):
            self.decision.clear(note or NOTHING_YET)
        self._note = note

    def show_doubt(self, doubt: str) -> None:
        """Say beside the caption why decisions are less certain than they look; "": they aren't."""
        self.card.caption.set_remark(doubt)
        self.card.caption.setToolTip(doubt)

    def show_silence(self, silence: Silence) -> None:
        self.rows.dim()
        why = capitalised(ADVICE[Reason.NO_EVENTS].partition(": ")[2])
        self.decision.show_said(Verdict(NO_EVENTS, why), ago(silence.seconds))

    def show_result(self, shown: ShownResult) -> None:
        result = shown.result
        if result.decision in self.rows.classes and result.decision != self.rows.decision:
            self._scrolled.ensureVisible(0, self.rows.middle(result.decision), 0, _ROW[1])
        self.rows.set_values(result.probabilities, result.decision, shown.history)
        if result.window_seen:
            self.decision.show_said(verdict_of(result, self.rows.classes))
        elif shown.last is not None:
            label = NOT_SURE.lower() if shown.last.label is None else style.readable(shown.last.label)
            self.decision.clear(f"last: {label} · {100 * shown.last.confidence:.0f} %")
        else:
            self.decision.clear(self._note or NOTHING_YET)


class DecisionView(Painted):
    """The decision in letters as large as they fit, and the network's confidence."""

    def __init__(self) -> None:
        super().__init__((320, 124))
        self.setMinimumHeight(62)
        self.setMaximumHeight(180)
        self.clear()

    def clear(self, words: str = NOTHING_YET) -> None:
        self.show_said(Verdict(words), NOTHING)

    def show_said(self, said: Verdict, beside: str = "") -> None:
        """Show what the network says; ``beside`` stands beside the bar in place of the confidence."""
        self.said, self._beside = said, beside or f"{100 * said.confidence:.0f} %"
        self.setToolTip(said.why)  # where it doesn't fit
        self.setAccessibleName(". ".join(filter(None, [f"Decision: {said.words}, {self._beside}", said.why])))
        self.update()

    def paint(self, painter: QPainter) -> None:
        width, top = self.width(), self.height() - 32
        said, waiting = self.said, self.said.number is None
        room = top - (_WHY if said.why else 0)
        pixels = fitting_pixels(said.words, width, room, largest=32 if waiting else 64)
        colour = style.theme.faint if waiting else style.theme.text
        large = style.text_font(pixels, weight=QFont.Weight.Bold)
        write(painter, QRectF(0, 0, width, room), said.words, colour, _WORDS, large)
        if said.why:
            painter.setFont(style.text_font(13))
            write(painter, QRectF(0, room, width, _WHY), elided(painter, said.why, width), style.theme.soft)
        painter.setFont(style.text_font(15, weight=_BOLD))
        wide = max(60, painter.fontMetrics().horizontalAdvance(self._beside) + 12)
        write(painter, QRectF(width - wide, top + 6, wide, 24), self._beside, style.theme.soft, RIGHT)
        colour = style.theme.neutral if waiting else style.theme.accent
        track = QRectF(0, top + 14, width - wide - 4, 8)
        draw_bar(painter, track, said.confidence, style.theme.raised, colour)


def ago(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"for {seconds // size:.0f} {unit}"
    return f"for {seconds:.0f} s"


@lru_cache(maxsize=64)
def fitting_pixels(text: str, width: int, height: int, *, largest: int) -> int:
    """Return the largest size of bold letters in which the wrapped text fits into a box."""
    box = QRectF(0, 0, width, height)
    for pixels in range(largest, _SMALLEST_PIXELS, -2):
        metrics = QFontMetricsF(style.text_font(pixels, weight=QFont.Weight.Bold))
        longest_word = max((metrics.horizontalAdvance(word) for word in text.split()), default=0.0)
        if longest_word <= width and metrics.boundingRect(box, _WORDS, text).height() <= height:
            return pixels
    return _SMALLEST_PIXELS
