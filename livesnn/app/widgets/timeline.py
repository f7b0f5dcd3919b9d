"""The timeline of a recording: event rate, decisions and labels, the playing position, and seeking.

It is no plot of pyqtgraph: one takes 1 ms to move the position 60 times a second, this takes 0.07 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import elided, plain_tip, translucent, write
from livesnn.events.filters import Stretch
from livesnn.events.labels import Label
from livesnn.session.rate_profile import RateProfile

HEIGHT, HEIGHT_WITH_LABELS = 56, 77  # pixels, of the whole line
TOP, BASELINE = 5, 31  # of the event rate
TRACK, TRACK_END = 35, 51  # top and bottom of the decisions
LABELS, LABELS_END = 56, 72  # of the labels, where a recording has some
_CELLS = 1 << 16  # of the decision track: 0.11 s each in a recording of two hours
_UNDECIDED = -1
_ROUND = 4.0
_EDGE = 3.0  # pixels, of a label's left end
_LEAST_FOR_WORDS = 48  # pixels: fits the beginning of a word

Columns = npt.NDArray[np.float64]
DRAG_EVERY_MS = 100
_SIDE = 8  # pixels left and right, for the handle
_KNOB = 6.0  # its radius, pixels
_FOOT = 5.0  # of a mark's bracket, pixels


class DecisionTrack:
    """Which class was decided when, in a fixed number of cells, so that two hours cost as much as a second."""

    def __init__(self, total_s: float, classes: Sequence[str]) -> None:
        self.classes = list(classes)
        self._total_s = total_s
        self._cells = np.full(_CELLS, _UNDECIDED, np.int16)

    def add(self, start_s: float, end_s: float, label: str | None) -> None:
        """Overwrite the decisions of that time; a new label gets the next number."""
        if label is not None and label not in self.classes:
            self.classes.append(label)
        first, last = (self._cell(seconds) for seconds in (start_s, end_s))
        self._cells[first : max(last, first + 1)] = _UNDECIDED if label is None else self.classes.index(label)

    def lengthen(self, total_s: float) -> None:
        """Make room for more time, as where a recording turns out to be longer."""
        at = (np.arange(_CELLS) * (total_s / self._total_s)).astype(np.int64)
        self._cells = np.where(at < _CELLS, self._cells[at.clip(max=_CELLS - 1)], _UNDECIDED)
        self._total_s = total_s

    def at(self, seconds: float) -> str | None:
        decided = int(self._cells[min(self._cell(seconds), _CELLS - 1)])
        return None if decided == _UNDECIDED else self.classes[decided]

    def segments(self, columns: int) -> list[tuple[int, int, int]]:
        """Return (first column, column after the last, class number) of neighbours with the same decision.

        A column has the decision of most of its time; undecided ones are left out.
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
    """Return the rate in each pixel column, 0..1, float64 [columns that the profile covers].

    It is a square root, because a burst of a camera has ten times the events of a gesture.
    """
    edges_s = np.arange(columns + 1) * (total_s / columns)
    known_s = np.arange(len(profile.counts) + 1) * (profile.bin_us / 1e6)
    read = int(np.searchsorted(edges_s, known_s[-1]))
    sums = np.concatenate([[0], np.cumsum(profile.counts)])
    rates = np.diff(np.interp(edges_s[: read + 1], known_s, sums))
    most = rates.max(initial=0.0)
    return np.sqrt(rates / most) if most > 0 else rates


def clock(seconds: float, *, total_s: float | None = None) -> str:
    """Return a time as m:ss.s, with hours where the recording has any."""
    hours = (total_s or seconds) >= 3600
    tenths = max(round(seconds * 10), 0)
    minutes, rest = divmod(tenths, 600)
    text = f"{rest / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{text}" if hours else f"{minutes}:{text}"


def _clip(painter: QPainter, place: QRectF) -> None:
    shape = QPainterPath()
    shape.addRoundedRect(place, _ROUND, _ROUND)
    painter.setClipPath(shape)


def _write(painter: QPainter, place: QRectF, label: str, colour: str | QColor) -> None:
    if place.width() >= _LEAST_FOR_WORDS:
        words = elided(painter, style.readable(label), place.width() - 8)
        write(painter, place, words, colour, Qt.AlignmentFlag.AlignCenter)


class Timeline(QWidget):
    """A recording from start to end, with the playing position; times are seconds after its start."""

    seek_requested = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.marks = Stretch()
        self._profile: RateProfile | None = None
        self._rates: tuple[QPixmap, QPixmap] | None = None  # not yet played, played; None: paint again
        self._marks: QPixmap | None = None  # decisions and labels
        self._hover: float | None = None  # x of the pointer
        self._waiting_s: float | None = None  # dragged to, but not emitted yet
        self._drag_timer = QTimer(self, singleShot=True, interval=DRAG_EVERY_MS)
        self._drag_timer.timeout.connect(self._seek_to_newest)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName("Timeline: click or drag to seek")
        self.set_recording(None)

    def sizeHint(self) -> QSize:
        return QSize(600, self.height())

    def set_recording(self, total_s: float | None, classes: Sequence[str] = (), labels: Sequence[Label] = ()) -> None:
        """Begin a line of this length with only these labels; None or 0: there is nothing to seek in.

        ``classes`` are the model's in its order, so that each keeps its colour.
        """
        self._total_s, self._all_labels = max(total_s or 0.0, 0.0), tuple(labels)
        self._show_labels()
        known = dict.fromkeys([*classes, *(label.label for label in self._labels)])
        self._track = DecisionTrack(self._total_s or 1.0, list(known))
        self._profile, self.position_s = None, 0.0
        self.is_dragging, self._waiting_s = False, None
        self.setEnabled(self._total_s > 0)
        self._paint_anew()

    def _show_labels(self) -> None:
        self._labels = tuple(label for label in self._all_labels if label.start < self._total_s)
        self.setFixedHeight(HEIGHT_WITH_LABELS if self._labels else HEIGHT)

    def lengthen(self, total_s: float) -> None:
        """Show a recording that turns out to be so long; what is on the line stays."""
        self._total_s = total_s
        self._show_labels()
        self._track.lengthen(total_s)
        self._paint_anew()

    def set_profile(self, profile: RateProfile) -> None:
        self._profile = profile
        self._paint_anew()

    def set_marks(self, marks: Stretch) -> None:
        self.marks = marks
        self.update()

    def add_decision(self, start_s: float, end_s: float, label: str | None) -> None:
        """Mark the decision for a time, over earlier marks; None: nothing was decided."""
        self._track.add(start_s, end_s, label)
        self._marks = None
        self.update()

    def decision_at(self, seconds: float) -> str | None:
        return self._track.at(seconds)

    def labels_at(self, seconds: float) -> list[str]:
        return [label.label for label in self._labels if label.start <= seconds < label.end]

    def show_position(self, seconds: float) -> None:
        self.position_s = min(max(seconds, 0.0), self._total_s)
        self.update()

    def _span(self) -> int:
        return max(self.width() - 2 * _SIDE, 1)

    def _x_of(self, seconds: float) -> float:
        return _SIDE + self._span() * (seconds / self._total_s if self._total_s else 0.0)

    def _seconds_at(self, x: float) -> float:
        return min(max((x - _SIDE) / self._span(), 0.0), 1.0) * self._total_s

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.is_dragging = True
            self._drag_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover = event.position().x()
        if self.is_dragging:
            self._drag_to(self._hover)
        words = self._words_at(self._seconds_at(self._hover))
        QToolTip.showText(event.globalPosition().toPoint(), plain_tip(words), self)
        self.update()

    def _words_at(self, seconds: float) -> str:
        words, decided = [clock(seconds, total_s=self._total_s)], self.decision_at(seconds)
        if decided is not None:
            words.append(f"{'decided: ' if self._labels else ''}{style.readable(decided)}")
        if labels := self.labels_at(seconds):
            words.append(f"labelled: {', '.join(style.readable(label) for label in labels)}")
        return "  ·  ".join(words)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.is_dragging:
            self._seek_to_newest()
            self._drag_timer.stop()
            self.is_dragging = False
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._hover = None
        self.update()

    def _drag_to(self, x: float) -> None:
        self.show_position(self._seconds_at(x))
        self._waiting_s = self.position_s
        if not self._drag_timer.isActive():
            self._seek_to_newest()

    @Slot()
    def _seek_to_newest(self) -> None:
        """Seek to the newest place dragged to, at most every DRAG_EVERY_MS."""
        if self._waiting_s is not None:
            seconds, self._waiting_s = self._waiting_s, None
            self._drag_timer.start()
            self.seek_requested.emit(seconds)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._paint_anew()

    def changeEvent(self, event: QEvent) -> None:
        self._paint_anew()
        super().changeEvent(event)

    def _paint_anew(self) -> None:
        self._rates = self._marks = None
        self.update()

    def _layer(self, *paint: Callable[[QPainter, int], None]) -> QPixmap:
        """Return a picture of all the time that there is; ``paint`` is told how many pixels that are."""
        span, ratio = self._span(), self.devicePixelRatioF()
        pixmap = QPixmap(QSize(round(span * ratio), round(self.height() * ratio)))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(style.text_font(11))
        for each in paint:
            each(painter, span)
        painter.end()
        return pixmap

    def _paint_rate(self, opacity: float, painter: QPainter, span: int) -> None:
        painter.fillRect(QRectF(0, BASELINE, span, 1), QColor(style.theme.line))
        if self._profile is None or not self._total_s:
            return
        tops = BASELINE - heights(self._profile, self._total_s, span) * (BASELINE - TOP)
        outline = [QPointF(column + 0.5, top) for column, top in enumerate(tops.tolist())]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(translucent(style.theme.accent, opacity))
        painter.drawPolygon(QPolygonF([QPointF(0, BASELINE), *outline, QPointF(len(tops), BASELINE)]))

    def _paint_track(self, painter: QPainter, span: int) -> None:
        track = QRectF(0, TRACK, span, TRACK_END - TRACK)
        _clip(painter, track)
        painter.fillRect(track, QColor(style.theme.raised))
        for first, end, number in self._track.segments(span):
            colour = style.class_colour(number)
            seam = 1 if end - first > 3 else 0  # between neighbours
            segment = QRectF(first, TRACK, end - first - seam, TRACK_END - TRACK)
            painter.fillRect(segment, colour)
            _write(painter, segment, self._track.classes[number], style.ink_on(colour))

    def _paint_labels(self, painter: QPainter, span: int) -> None:
        for label in self._labels:
            first, end = (min(seconds / self._total_s, 1.0) * span for seconds in (label.start, label.end))
            place = QRectF(first, LABELS, max(end - first - 1, 2.0), LABELS_END - LABELS)
            colour = style.class_colour(self._track.classes.index(label.label))
            _clip(painter, place)
            painter.fillRect(place, QColor(style.theme.surface))  # so that the later of two can be read
            painter.fillRect(place, translucent(colour, 0.35))
            painter.fillRect(QRectF(first, LABELS, _EDGE, LABELS_END - LABELS), colour)
            _write(painter, place.adjusted(_EDGE, 0, 0, 0), label.label, style.theme.text)

    def paintEvent(self, event: QPaintEvent) -> None:
        span = self._span()
        if self._rates is None or self._rates[0].devicePixelRatio() != self.devicePixelRatioF():
            ahead, played = (self._layer(partial(self._paint_rate, opacity)) for opacity in (0.28, 0.65))
            self._rates, self._marks = (ahead, played), None
        if self._marks is None:
            self._marks = self._layer(self._paint_track, self._paint_labels)
        painter = QPainter(self)
        x = self._x_of(self.position_s)
        for was_played, left, right in ((True, 0.0, x), (False, x, float(self.width()))):
            painter.setClipRect(QRectF(left, 0, right - left, self.height()))
            painter.drawPixmap(_SIDE, 0, self._rates[was_played])
        painter.setClipping(False)
        painter.drawPixmap(_SIDE, 0, self._marks)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._hover is not None and self.isEnabled():
            self._paint_line(painter, min(max(self._hover, _SIDE), _SIDE + span), style.theme.soft, 1.0)
        if self._total_s:
            self._paint_marks(painter)
            self._paint_line(painter, x, style.theme.text, 2.0)
            held = self.is_dragging or (self._hover is not None and abs(self._hover - x) <= 2 * _KNOB)
            painter.setPen(QPen(QColor(style.theme.surface), 2.0))
            painter.setBrush(QColor(style.theme.accent if held else style.theme.text))
            painter.drawEllipse(QPointF(x, BASELINE), _KNOB + 1, _KNOB + 1)

    def _paint_marks(self, painter: QPainter) -> None:
        """Dim what isn't in the marked stretch, and put a bracket at each of its ends."""
        if self.marks == Stretch():
            return
        bottom = (LABELS_END if self._labels else TRACK_END) + 2
        left, right = (self._x_of(min(end, self._total_s)) for end in (self.marks.from_s, self.marks.to_s))
        ground = translucent(style.theme.surface, 0.7)
        for first, end in ((_SIDE, left), (right, _SIDE + self._span())):
            painter.fillRect(QRectF(first, 2, end - first, bottom - 2), ground)
        painter.setPen(QPen(QColor(style.theme.accent), 2.0))
        for x, foot in ((left, _FOOT), (right, -_FOOT)):
            painter.drawPolyline([QPointF(x + foot, 3), QPointF(x, 3), QPointF(x, bottom), QPointF(x + foot, bottom)])

    def _paint_line(self, painter: QPainter, x: float, colour: str, width: float) -> None:
        painter.setPen(QPen(QColor(colour), width))
        painter.drawLine(QPointF(x, 2), QPointF(x, (LABELS_END if self._labels else TRACK_END) + 2))
