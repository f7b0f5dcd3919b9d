"""The time line of a recording: where it plays, what is under the pointer, seeking.

Not here: the event rate, the decisions and the labels behind it (timeline_strip.py), what a seek does (player.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from livesnn.app.look import style
from livesnn.app.widgets.timeline_strip import (
    BASELINE,
    HEIGHT,
    HEIGHT_WITH_LABELS,
    LABELS_END,
    TRACK_END,
    DecisionTrack,
    paint_labels,
    paint_rate,
    paint_track,
)
from livesnn.events.labels import Label
from livesnn.session.rate_profile import RateProfile

DRAG_EVERY_MS = 100
_SIDE = 8  # pixels left and right, for the handle
_KNOB = 6.0  # its radius, pixels
_FOCUS_BY_KEY = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)


def clock(seconds: float, *, total_s: float | None = None) -> str:
    """Return a time as m:ss.s, with hours where the recording has any."""
    hours = (total_s or seconds) >= 3600
    tenths = max(round(seconds * 10), 0)
    minutes, rest = divmod(tenths, 600)
    text = f"{rest / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{text}" if hours else f"{minutes}:{text}"


class Timeline(QWidget):
    """A recording from its start to its end; times are seconds after its start."""

    seek_wanted = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.position_s = 0.0
        self._total_s = 0.0
        self._profile: RateProfile | None = None
        self._track = DecisionTrack(1.0, ())
        self._labels: tuple[Label, ...] = ()
        self._painted_for = (0, 0.0)  # width and device pixels a pixel of the pictures
        self._rates: tuple[QPixmap, QPixmap] | None = None  # yet to be played, played; None: paint anew
        self._marks: QPixmap | None = None
        self._spans: QPixmap | None = None
        self._hover: float | None = None  # x of the pointer
        self._dragged = False
        self._ring = False  # keys brought the focus here
        self._waiting_s: float | None = None  # dragged to, but not said yet
        self._pace = QTimer(self)
        self._pace.setSingleShot(True)
        self._pace.setInterval(DRAG_EVERY_MS)
        self._pace.timeout.connect(self._say_newest)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("Time line: click or drag to seek")
        self.set_recording(None)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return as much width as there is."""
        return QSize(600, self.height())

    @property
    def is_dragging(self) -> bool:
        """Whether a person holds the handle."""
        return self._dragged

    def set_recording(
        self, total_s: float | None, classes: Sequence[str] = (), labels: Sequence[Label] = ()
    ) -> None:
        """Begin a line of this length with these labels alone; None or 0: there is nothing to seek in.

        ``classes`` are the model's, in its order: each keeps its colour.
        """
        self._total_s = max(total_s or 0.0, 0.0)
        self._labels = tuple(label for label in labels if label.start < self._total_s)
        said = dict.fromkeys([*classes, *(label.label for label in self._labels)])
        self._track = DecisionTrack(self._total_s or 1.0, list(said))
        self.setFixedHeight(HEIGHT_WITH_LABELS if self._labels else HEIGHT)
        self._profile, self.position_s = None, 0.0
        self._dragged, self._waiting_s = False, None
        self.setEnabled(self._total_s > 0)
        self._paint_anew()

    def set_profile(self, profile: RateProfile) -> None:
        """Show the event rate, in place of the one before."""
        self._profile, self._rates = profile, None
        self.update()

    def add_decision(self, start_s: float, end_s: float, label: str | None) -> None:
        """Mark what was decided for a time, over what was marked there before; None: nothing was."""
        self._track.add(start_s, end_s, label)
        self._marks = None
        self.update()

    def decision_at(self, seconds: float) -> str | None:
        """Return the label marked at a time."""
        return self._track.at(seconds)

    def labels_at(self, seconds: float) -> list[str]:
        """Return what a person has said of a time."""
        return [label.label for label in self._labels if label.start <= seconds < label.end]

    def show_position(self, seconds: float) -> None:
        """Move the handle, unless a person holds it."""
        if not self._dragged:
            self._move_to(seconds)

    def _move_to(self, seconds: float) -> None:
        self.position_s = min(max(seconds, 0.0), self._total_s)
        self.update()

    # Where things are

    def _span(self) -> int:
        return max(self.width() - 2 * _SIDE, 1)

    def _x_of(self, seconds: float) -> float:
        return _SIDE + self._span() * (seconds / self._total_s if self._total_s else 0.0)

    def _seconds_at(self, x: float) -> float:
        return min(max((x - _SIDE) / self._span(), 0.0), 1.0) * self._total_s

    # What a person does

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Take hold of the handle, wherever it is, and seek."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragged = True
            self._drag_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Seek while dragging; say what is under the pointer."""
        self._hover = event.position().x()
        if self._dragged:
            self._drag_to(self._hover)
        words = self._words_at(self._seconds_at(self._hover))
        QToolTip.showText(event.globalPosition().toPoint(), words, self)
        self.update()

    def _words_at(self, seconds: float) -> str:
        words, decided = [clock(seconds, total_s=self._total_s)], self.decision_at(seconds)
        if decided is not None:
            words.append(f"{'decided: ' if self._labels else ''}{style.readable(decided)}")
        if said := self.labels_at(seconds):
            words.append(f"labelled: {', '.join(style.readable(label) for label in said)}")
        return "  ·  ".join(words)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Let go, at the place last dragged to."""
        if event.button() == Qt.MouseButton.LeftButton and self._dragged:
            self._say_newest()
            self._pace.stop()
            self._dragged = False
            self.update()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Forget the pointer."""
        self._hover = None
        self.update()

    def _drag_to(self, x: float) -> None:
        self._move_to(self._seconds_at(x))
        self._waiting_s = self.position_s
        if not self._pace.isActive():
            self._say_newest()

    @Slot()
    def _say_newest(self) -> None:
        """Seek to the newest place dragged to, and no sooner than DRAG_EVERY_MS again."""
        if self._waiting_s is not None:
            seconds, self._waiting_s = self._waiting_s, None
            self._pace.start()
            self.seek_wanted.emit(seconds)

    def event(self, event: QEvent) -> bool:
        """Keep the keys that move the handle from the window's shortcuts while it has the focus."""
        asked = event.type() == QEvent.Type.ShortcutOverride
        if asked and isinstance(event, QKeyEvent) and self._sought_by(event) is not None:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Seek by a step, or to either end."""
        seconds = self._sought_by(event)
        if seconds is None:
            super().keyPressEvent(event)
            return
        self._move_to(seconds)
        self.seek_wanted.emit(self.position_s)

    def _sought_by(self, event: QKeyEvent) -> float | None:
        step_s = min(1.0, self._total_s / 20)
        places: dict[int, float] = {
            Qt.Key.Key_Left: self.position_s - step_s,
            Qt.Key.Key_Right: self.position_s + step_s,
            Qt.Key.Key_Home: 0.0,
            Qt.Key.Key_End: self._total_s,
        }
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier == Qt.KeyboardModifier.NoModifier
        return places.get(event.key()) if plain else None

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 (Qt's name)
        """Show a ring to a person who came by the keyboard, also when they come back to the window."""
        if event.reason() != Qt.FocusReason.ActiveWindowFocusReason:
            self._ring = event.reason() in _FOCUS_BY_KEY
        super().focusInEvent(event)

    # Painting

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's name)
        """Take other colours or fonts."""
        self._paint_anew()
        super().changeEvent(event)

    def _paint_anew(self) -> None:
        self._rates = self._marks = self._spans = None
        self.update()

    def _pictures(self) -> tuple[tuple[QPixmap, QPixmap], QPixmap, QPixmap]:
        """Return the rates, yet to be played and played, decisions and labels, as painted before where they hold."""
        span, ratio = self._span(), self.devicePixelRatioF()
        if (span, ratio) != self._painted_for:
            self._painted_for, self._rates, self._marks, self._spans = (span, ratio), None, None, None
        if self._rates is None:
            ahead = paint_rate(self._profile, self._total_s, span, ratio, played=False)
            self._rates = (ahead, paint_rate(self._profile, self._total_s, span, ratio, played=True))
        if self._marks is None:
            self._marks = paint_track(self._track, span, ratio)
        if self._spans is None:
            self._spans = paint_labels(self._labels, self._track, self._total_s or 1.0, span, ratio)
        return self._rates, self._marks, self._spans

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint what has been played, what comes, the pointer and the handle."""
        rates, marks, spans = self._pictures()
        painter = QPainter(self)
        x = self._x_of(self.position_s)
        for rate, left, right in ((rates[1], 0.0, x), (rates[0], x, float(self.width()))):
            painter.setClipRect(QRectF(left, 0, right - left, HEIGHT))
            painter.drawPixmap(_SIDE, 0, rate)
        painter.setClipping(False)
        painter.drawPixmap(_SIDE, 0, marks)
        painter.drawPixmap(_SIDE, 0, spans)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._hover is not None and self.isEnabled():
            self._paint_line(painter, min(max(self._hover, _SIDE), _SIDE + self._span()), style.SOFT, 1.0)
        if self._total_s:
            self._paint_handle(painter, x)
        if self.hasFocus() and self._ring:
            painter.setPen(QPen(QColor(style.ACCENT), 1.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 8, 8)

    def _paint_handle(self, painter: QPainter, x: float) -> None:
        self._paint_line(painter, x, style.TEXT, 2.0)
        held = self._dragged or (self._hover is not None and abs(self._hover - x) <= 2 * _KNOB)
        painter.setPen(QPen(QColor(style.SURFACE), 2.0))
        painter.setBrush(QColor(style.ACCENT if held else style.TEXT))
        painter.drawEllipse(QPointF(x, BASELINE), _KNOB + 1, _KNOB + 1)

    def _paint_line(self, painter: QPainter, x: float, colour: str, width: float) -> None:
        painter.setPen(QPen(QColor(colour), width))
        painter.drawLine(QPointF(x, 2), QPointF(x, (LABELS_END if self._labels else TRACK_END) + 2))
