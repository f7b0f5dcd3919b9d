"""The controls under the event view: play, time line, speed, loop, reset. Not here: what they do."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QStyle,
    QVBoxLayout,
)

from livesnn.app import style
from livesnn.app.views import NOTHING, label

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf)


def clock(seconds: float, *, total_s: float | None = None) -> str:
    """Return a time as m:ss.s, with hours where the recording has any."""
    hours = (total_s or seconds) >= 3600
    tenths = max(round(seconds * 10), 0)
    minutes, rest = divmod(tenths, 600)
    text = f"{rest / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{text}" if hours else f"{minutes}:{text}"


class TimeLine(QSlider):
    """A slider in ms that jumps to where it is clicked."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # arrow keys are the window's
        self.setToolTip("Click or drag to seek (← and → move by a second)")

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Move the handle under the pointer first, then let Qt drag it."""
        self.setSliderPosition(self._value_at(event.position()))
        super().mousePressEvent(event)

    def _value_at(self, point: QPointF) -> int:
        handle = 16
        span = self.width() - handle
        position = round(point.x() - handle / 2)
        return QStyle.sliderValueFromPosition(self.minimum(), self.maximum(), position, span)


class SpeedBox(QComboBox):
    """The speeds, with an arrow of our own (a styled QComboBox has none)."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(84, 36)
        self.setFont(style.text_font(14))
        self.setToolTip("Speed of the replay; Max is as fast as the network can")
        self.setAccessibleName("Speed")

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint the arrow over Qt's box."""
        super().paintEvent(event)
        painter = QPainter(self)
        colour = style.SOFT if self.isEnabled() else style.FAINT
        style.icon("chevron", colour).paint(painter, self.width() - 28, (self.height() - 20) // 2, 20, 20)


def _line_ms(seconds: float) -> int:
    """Return a place on the line: ms, as far as Qt's integers go (24 days; a damaged file may claim more)."""
    return round(min(max(1000 * seconds, 0), 2**31 - 1))


class Transport(QFrame):
    """The controls; each only says what the person wants."""

    play_wanted = Signal()
    seek_wanted = Signal(float)  # s from the start
    speed_wanted = Signal(float)  # inf: as fast as possible
    loop_wanted = Signal(bool)
    reset_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.play = _button("play", "Play or pause (Space)", size=42, name="play")
        self.reset = _button(
            "reset", "Reset the network's state (R): it forgets everything it has seen", text="Reset state"
        )
        self.loop = _button("loop", "Start again at the end (L): each loop starts with a fresh state")
        self.loop.setCheckable(True)
        self.line = TimeLine()
        self.position = _time_label()
        self.total = _time_label()
        self.speed = SpeedBox()
        for speed in SPEEDS:
            self.speed.addItem("Max" if math.isinf(speed) else f"{speed:g}×", speed)
        self.speed.setCurrentIndex(SPEEDS.index(1.0))
        self._total_s: float | None = None
        self._lay_out()
        self._connect()
        self.set_recording(None)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(10)
        for widget in (self.play, self.position, self.line, self.total, self.speed, self.loop, self.reset):
            row.addWidget(widget, 1 if widget is self.line else 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addLayout(row)

    def _connect(self) -> None:
        self.play.clicked.connect(self._play_clicked)
        self.reset.clicked.connect(self._reset_clicked)
        self.loop.toggled.connect(self.loop_wanted)
        self.line.sliderReleased.connect(self._line_released)
        self.line.sliderMoved.connect(self._line_moved)
        self.speed.activated.connect(self._speed_chosen)

    def set_recording(self, duration_s: float | None) -> None:
        """Fit to a recording of this length; None: nothing is open, or it has no end."""
        self._total_s = duration_s
        seekable = duration_s is not None
        self.line.setRange(0, _line_ms(duration_s or 0.0))
        for widget in (self.line, self.speed, self.loop):
            widget.setEnabled(seekable)
        self.total.setText(clock(duration_s) if duration_s is not None else NOTHING)
        self.show_position(0.0)

    def show_position(self, seconds: float) -> None:
        """Move the handle, unless a person holds it."""
        if self.line.isSliderDown():
            return
        self.line.setValue(_line_ms(seconds))
        known = self._total_s is not None
        self.position.setText(clock(seconds, total_s=self._total_s) if known or seconds else NOTHING)

    def show_state(self, state: str) -> None:
        """Show what the play button would do in a state of session.py."""
        name = {"playing": "pause", "ended": "again"}.get(state, "play")
        self.play.setIcon(style.icon(name, style.BACKGROUND))
        self.play.setToolTip(
            {"pause": "Pause (Space)", "again": "Play again (Space)"}.get(name, "Play (Space)")
        )
        active = state in ("playing", "paused", "ended")
        self.play.setEnabled(active)
        self.reset.setEnabled(active)

    @Slot()
    def _play_clicked(self) -> None:
        self.play_wanted.emit()

    @Slot()
    def _reset_clicked(self) -> None:
        self.reset_wanted.emit()

    @Slot()
    def _line_released(self) -> None:
        self.seek_wanted.emit(self.line.value() / 1000)

    @Slot(int)
    def _line_moved(self, milliseconds: int) -> None:
        self.position.setText(clock(milliseconds / 1000, total_s=self._total_s))

    @Slot(int)
    def _speed_chosen(self, index: int) -> None:
        self.speed_wanted.emit(SPEEDS[index])


def _button(icon: str, tip: str, *, size: int = 36, name: str = "icon", text: str = "") -> QPushButton:
    button = QPushButton(f" {text}" if text else "")
    button.setObjectName("" if text else name)
    button.setFont(style.text_font(14))
    button.setIcon(style.icon(icon))
    button.setIconSize(QSize(20, 20))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFixedHeight(size)
    if not text:
        button.setFixedWidth(size)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def _time_label() -> QLabel:
    widget = label(NOTHING, style.text_font(14), style.SOFT)
    widget.setMinimumWidth(52)
    widget.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return widget
