"""The controls under the event view: play, frame by frame, speed, loop, time line. Not here: what they do.

A source without an end has a line that says LIVE (or SIMULATED) and for how long, instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from livesnn.app.look import style
from livesnn.app.widgets.parts import NOTHING, ChoiceBox, ShorteningLabel, dot, label
from livesnn.app.widgets.timeline import Timeline, clock
from livesnn.events.labels import Label
from livesnn.session.values import RUNNING, ShownState

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf)
LIVE, SIMULATED = "LIVE", "SIMULATED"
ROW_HEIGHT = 44  # pixels
RECORD, STOP = "Record to a file (Ctrl+S)", "Stop recording (Ctrl+S)"
_PLAY = {  # state: icon and words
    "playing": ("pause", "Pause"),
    "waiting": ("pause", "Pause"),
    "ended": ("again", "Play again"),
}


class SpeedBox(ChoiceBox):
    """The speeds."""

    def __init__(self) -> None:
        super().__init__("Speed")
        self.setToolTip("Speed of the replay ([ and ]); Max is as fast as the network can")
        for speed in SPEEDS:
            self.addItem("Max" if math.isinf(speed) else f"{speed:g}×", speed)
        self.setCurrentIndex(SPEEDS.index(1.0))


class Transport(QFrame):
    """The controls; each only says what the person wants.

    Before something is open it looks as for a recording, so that nothing moves when one is opened.
    """

    play_wanted = Signal()
    step_wanted = Signal(int)  # frames on, or back below 0
    seek_wanted = Signal(float)  # s from the start
    speed_wanted = Signal(float)  # inf: as fast as possible
    loop_wanted = Signal(bool)
    record_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.back = _button("One frame back (,)")
        self.play = _button("Play or pause (Space)", size=42, name="play")
        self.forward = _button("One frame on (.)")
        self.position = label(NOTHING, style.text_font(14, weight=QFont.Weight.DemiBold))
        self.slash = label("/", style.text_font(14), "faint")
        self.total = label(NOTHING, style.text_font(14), "soft")
        self.dot = dot()
        self.live = label(LIVE, style.text_font(13, weight=QFont.Weight.Bold, spacing=1.2))
        self.elapsed = label(NOTHING, style.text_font(14), "soft")
        self.recorded = ShorteningLabel(style.text_font(14))
        self.record = _button(RECORD)
        self.speed = SpeedBox()
        self.loop = _button("Start again at the end (L): each loop starts with a fresh state")
        self.loop.setCheckable(True)
        self.line = Timeline()
        self._live_widgets: tuple[QWidget, ...] = (
            *(self.dot, self.live, self.elapsed),
            *(self.recorded, self.record),
        )
        self._recording_widgets: tuple[QWidget, ...] = (
            *(self.back, self.forward, self.position, self.slash, self.total),
            *(self.speed, self.loop, self.line),
        )
        self._total_s: float | None = None
        self._live_from_s: float | None = None  # first position of a live source: cameras count from anywhere
        self._state: ShownState = "empty"
        self._lay_out()
        self._connect()
        self.set_recording(None)
        self.show_recording("")

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        for button in (self.back, self.play, self.forward):
            row.addWidget(button)
        row.addSpacing(6)
        for words in (self.position, self.slash, self.total):
            row.addWidget(words)
        for words in (self.dot, self.live, self.elapsed):
            row.addWidget(words)
        row.addStretch(1)
        row.addWidget(self.recorded)
        row.addWidget(self.record)
        row.addWidget(self.speed)
        row.addWidget(self.loop)
        controls = QWidget()
        controls.setFixedHeight(ROW_HEIGHT)
        controls.setLayout(row)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 5, 12, 5)
        column.setSpacing(2)
        column.addWidget(controls)
        column.addWidget(self.line)

    def _connect(self) -> None:
        self.back.clicked.connect(self.step_back)
        self.play.clicked.connect(self.play_wanted)
        self.forward.clicked.connect(self.step_forward)
        self.loop.toggled.connect(self.loop_wanted)
        self.line.seek_wanted.connect(self._sought)
        self.speed.activated.connect(self._speed_chosen)
        self.record.clicked.connect(self.record_wanted)

    # What is played

    def set_recording(
        self,
        duration_s: float | None,
        classes: Sequence[str] = (),
        labels: Sequence[Label] = (),
        *,
        simulated: bool = False,
    ) -> None:
        """Fit to a recording of this length; None: nothing is open, or it has no end.

        ``classes`` are the model's, in its order, for their colours on the time line, ``labels`` the recording's.
        """
        self.live.setText(SIMULATED if simulated else LIVE)
        self._total_s, self._live_from_s = duration_s, None
        self.line.set_recording(duration_s, classes, labels)
        self.total.setText(NOTHING if duration_s is None else clock(duration_s))
        for words in (self.position, self.elapsed):
            words.setText(NOTHING if duration_s is None else clock(0.0, total_s=duration_s))
        self._fit()

    def show_position(self, seconds: float) -> None:
        """Move the handle, unless a person holds it, and the numbers with it."""
        if self._total_s is None:
            if self._live_from_s is None or seconds < self._live_from_s:
                self._live_from_s = seconds
            self.elapsed.setText(clock(seconds - self._live_from_s))
        elif not self.line.is_dragging:
            self.line.show_position(seconds)
            self.position.setText(clock(seconds, total_s=self._total_s))

    def show_recording(self, words: str) -> None:
        """Show what is being recorded of a live source; "": nothing is."""
        self.recorded.setText(words)
        self.recorded.setToolTip(words)  # all of them, where there is no room
        style.set_icon(self.record, *(("stop", "danger") if words else ("record", "text")))
        style.set_rule(self.record, "on", "yes" if words else "no")
        tip = STOP if words else RECORD
        self.record.setToolTip(tip)
        self.record.setAccessibleName(tip)

    def show_state(self, state: ShownState) -> None:
        """Show what the buttons would do."""
        self._state = state
        self._fit()

    @property
    def is_live(self) -> bool:
        """Whether what runs has no end."""
        return self._total_s is None and self._state in RUNNING

    def _fit(self) -> None:
        """Show and enable what makes sense for what is played, in its state."""
        seekable, live = self._total_s is not None, self.is_live
        for widget in self._live_widgets:
            widget.setVisible(live)
        for widget in self._recording_widgets:
            widget.setVisible(not live)
        running = self._state in RUNNING
        for button, icon, usable in (
            (self.back, "back", seekable and running),
            (self.forward, "forward", seekable and running),
            (self.loop, "loop", seekable),
        ):
            button.setEnabled(usable)
            style.set_icon(button, icon, "text" if usable else "faint")
        self.speed.setEnabled(seekable)
        self.line.setEnabled(bool(self._total_s) and running)
        style.set_tone(self.dot, "danger" if self._state == "playing" else "faint")
        icon, words = _PLAY.get(self._state, ("play", "Play"))
        self.play.setEnabled(running)
        style.set_icon(self.play, icon, "on_accent" if running else "faint")
        self.play.setToolTip(f"{words} (Space)")
        self.play.setAccessibleName(words)

    # What a person wants

    @Slot()
    def step_back(self) -> None:
        """Ask for the frame before."""
        self.step_wanted.emit(-1)

    @Slot()
    def step_forward(self) -> None:
        """Ask for the next frame."""
        self.step_wanted.emit(1)

    @Slot()
    def slower(self) -> None:
        """Choose the next lower speed, if there is one."""
        self._choose_speed(self.speed.currentIndex() - 1)

    @Slot()
    def faster(self) -> None:
        """Choose the next higher speed, if there is one."""
        self._choose_speed(self.speed.currentIndex() + 1)

    def _choose_speed(self, index: int) -> None:
        if self.speed.isEnabled() and 0 <= index < len(SPEEDS):
            self.speed.setCurrentIndex(index)
            self._speed_chosen(index)

    @Slot(float)
    def _sought(self, seconds: float) -> None:
        self.position.setText(clock(seconds, total_s=self._total_s))
        self.seek_wanted.emit(seconds)

    @Slot(int)
    def _speed_chosen(self, index: int) -> None:
        self.speed_wanted.emit(SPEEDS[index])


def _button(tip: str, *, size: int = 36, name: str = "icon") -> QPushButton:
    button = QPushButton()
    button.setObjectName(name)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFixedSize(size, size)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
