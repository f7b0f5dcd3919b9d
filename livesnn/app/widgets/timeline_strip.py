"""What lies behind the time line's handle: the event rate, the decisions and the labels, as pictures.

Not here: the handle and the pointer (timeline.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPixmap, QPolygonF

from livesnn.app.look import style
from livesnn.events.labels import Label
from livesnn.session.rate_profile import RateProfile

HEIGHT, HEIGHT_WITH_LABELS = 56, 77  # pixels, of the whole line
TOP, BASELINE = 5, 31  # of the event rate
TRACK, TRACK_END = 35, 51  # top and bottom of the decisions
LABELS, LABELS_END = 56, 72  # of the labels, where a recording has some
_CELLS = 1 << 16  # of the decision track, however long the recording: 0.11 s each in two hours
_UNDECIDED = -1
_ROUND = 4.0
_EDGE = 3.0  # pixels, of a label's left end
_LEAST_FOR_WORDS = 48  # pixels: a word or the beginning of one

Columns = npt.NDArray[np.float64]


class DecisionTrack:
    """Which class was decided when, in a fixed number of cells: two hours cost what a second costs."""

    def __init__(self, total_s: float, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self._total_s = total_s
        self._cells = np.full(_CELLS, _UNDECIDED, np.int16)

    def add(self, start_s: float, end_s: float, label: str | None) -> None:
        """Write over what was decided in that time; a label that is new gets the next number."""
        if label is not None and label not in self.classes:
            self.classes.append(label)
        first, last = (self._cell(seconds) for seconds in (start_s, end_s))
        self._cells[first : max(last, first + 1)] = _UNDECIDED if label is None else self.classes.index(label)

    def at(self, seconds: float) -> str | None:
        """Return the label decided for a time; None: none was."""
        decided = int(self._cells[min(self._cell(seconds), _CELLS - 1)])
        return None if decided == _UNDECIDED else self.classes[decided]

    def segments(self, columns: int) -> list[tuple[int, int, int]]:
        """Return (first column, column after the last, class number) of neighbours decided alike.

        A column is what most of its time was decided; undecided ones are gaps.
        """
        kinds = len(self.classes) + 1
        column = np.arange(_CELLS) * columns // _CELLS
        votes = np.bincount(column * kinds + self._cells + 1, minlength=columns * kinds)
        decided = votes.reshape(columns, kinds).argmax(axis=1) - 1
        starts = [0, *(np.flatnonzero(np.diff(decided)) + 1).tolist()]
        ends = [*starts[1:], columns]
        found = zip(starts, ends, decided[starts].tolist(), strict=True)
        return [segment for segment in found if segment[2] != _UNDECIDED]

    def _cell(self, seconds: float) -> int:
        return round(min(max(seconds / self._total_s, 0.0), 1.0) * _CELLS)


def heights(profile: RateProfile, total_s: float, columns: int) -> Columns:
    """Return the rate in each pixel column, 0..1, float64 [columns as far as the profile goes].

    Square roots, because a burst of a camera has ten times the events of a gesture.
    """
    edges_s = np.arange(columns + 1) * (total_s / columns)
    known_s = np.arange(len(profile.counts) + 1) * (profile.bin_us / 1e6)
    read = int(np.searchsorted(edges_s, known_s[-1]))
    sums = np.concatenate([[0], np.cumsum(profile.counts)])
    rates = np.diff(np.interp(edges_s[: read + 1], known_s, sums))
    most = rates.max(initial=0.0)
    return np.sqrt(rates / most) if most > 0 else rates


def paint_rate(
    profile: RateProfile | None, total_s: float, width: int, ratio: float, *, played: bool
) -> QPixmap:
    """Return the rate, ``width`` × HEIGHT at ``ratio`` device pixels each; what is played is brighter."""
    pixmap, painter = _blank(width, ratio)
    painter.fillRect(QRectF(0, BASELINE, width, 1), QColor(style.LINE))
    if profile is not None and total_s > 0:
        tops = BASELINE - heights(profile, total_s, width) * (BASELINE - TOP)
        outline = [QPointF(column + 0.5, top) for column, top in enumerate(tops.tolist())]
        fill = QColor(style.ACCENT)
        fill.setAlphaF(0.65 if played else 0.28)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF([QPointF(0, BASELINE), *outline, QPointF(len(tops), BASELINE)]))
    painter.end()
    return pixmap


def paint_track(track: DecisionTrack, width: int, ratio: float) -> QPixmap:
    """Return the decisions, ``width`` × HEIGHT at ``ratio`` device pixels each."""
    pixmap, painter = _blank(width, ratio)
    shape = QPainterPath()
    shape.addRoundedRect(QRectF(0, TRACK, width, TRACK_END - TRACK), _ROUND, _ROUND)
    painter.fillPath(shape, QColor(style.RAISED))
    painter.setClipPath(shape)
    painter.setFont(style.text_font(11))
    for first, end, number in track.segments(width):
        colour = style.class_colour(number)
        seam = 1 if end - first > 3 else 0  # between neighbours
        segment = QRectF(first, TRACK, end - first - seam, TRACK_END - TRACK)
        painter.fillRect(segment, colour)
        painter.setPen(style.ink_on(colour))
        _write(painter, segment, style.readable(track.classes[number]))
    painter.end()
    return pixmap


def paint_labels(
    labels: Sequence[Label], track: DecisionTrack, total_s: float, width: int, ratio: float
) -> QPixmap:
    """Return what a person said, ``width`` × HEIGHT_WITH_LABELS: paler than a decision, with an edge on the left.

    A label has the colour of the class that it is in ``track``, which knows all of them.
    """
    pixmap, painter = _blank(width, ratio, HEIGHT_WITH_LABELS)
    painter.setFont(style.text_font(11))
    for label in labels:
        first, end = (min(seconds / total_s, 1.0) * width for seconds in (label.start, label.end))
        span = QRectF(first, LABELS, max(end - first - 1, 2.0), LABELS_END - LABELS)
        colour = style.class_colour(track.classes.index(label.label))
        shape = QPainterPath()
        shape.addRoundedRect(span, _ROUND, _ROUND)
        painter.setClipPath(shape)
        painter.fillRect(span, QColor(style.SURFACE))  # so that of two at once the later is read
        painter.setOpacity(0.35)
        painter.fillRect(span, colour)
        painter.setOpacity(1.0)
        painter.fillRect(QRectF(first, LABELS, _EDGE, LABELS_END - LABELS), colour)
        painter.setPen(QColor(style.TEXT))
        _write(painter, span.adjusted(_EDGE, 0, 0, 0), style.readable(label.label))
    painter.end()
    return pixmap


def _write(painter: QPainter, place: QRectF, words: str) -> None:
    """Write as much as fits, in the middle; nothing where that says nothing."""
    if place.width() < _LEAST_FOR_WORDS:
        return
    fitting = QFontMetricsF(painter.font()).elidedText(words, Qt.TextElideMode.ElideRight, place.width() - 8)
    painter.drawText(place, Qt.AlignmentFlag.AlignCenter, fitting)


def _blank(width: int, ratio: float, height: int = HEIGHT) -> tuple[QPixmap, QPainter]:
    pixmap = QPixmap(QSize(round(width * ratio), round(height * ratio)))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return pixmap, painter
