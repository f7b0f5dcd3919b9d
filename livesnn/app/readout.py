"""The right column: the decision, where in a window it is, the classes. All of it from one Answer at a time."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.values import Answer
from livesnn.app.views import (
    NOTHING,
    NOTHING_YET,
    ClassBars,
    DecisionView,
    SplitRow,
    WindowDots,
    card,
    label,
)
from livesnn.card import InputSpec

WAITING = "reset, waiting for frames"
_WINDOW_TIP = (
    "Frames come in windows; each decision is over as many frames as a window has, up to the newest."
)
_STATE_TIP = (
    "The membrane potentials of the network's neurons: carried from frame to frame until they are reset."
)


class ReadoutPanel(QWidget):
    """Decision, the window's frames, the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.decision = DecisionView()
        self.dots = WindowDots()
        self.bars = ClassBars()
        self.window_row = SplitRow("Window", tip=_WINDOW_TIP)
        self.state_row = SplitRow("State", tip=_STATE_TIP)
        self._note = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(14)
        for widgets in (
            (label("Decision", style.caption_font(), style.SOFT), self.decision),
            (self.window_row, self.dots, self.state_row),
            (label("Classes", style.caption_font(), style.SOFT), self.bars),
        ):
            panel, layout = card()
            for widget in widgets:
                layout.addWidget(widget, 1 if widget is self.bars else 0)
            column.addWidget(panel, 1 if self.bars in widgets else 0)
        self.clear(())

    def clear(self, classes: Sequence[str], spec: InputSpec | None = None) -> None:
        """Start over, with these class labels and windows."""
        self._note = ""
        self.bars.set_classes(classes)
        self._empty(10 if spec is None else spec.window, NOTHING)
        for widget in (self.window_row, self.dots):
            widget.setToolTip(_WINDOW_TIP if spec is None else window_words(spec))

    def wait(self) -> None:
        """Forget what was shown: a reset has been asked for, and no frame has come since."""
        self.bars.set_classes(self.bars.classes)
        self._empty(self.dots.length, WAITING)

    def show_note(self, note: str) -> None:
        """Say from now on, while there is no decision, why; "": because it takes a whole window."""
        if self.decision.text in (NOTHING_YET, self._note):
            self.decision.clear(note or NOTHING_YET)
        self._note = note

    def show_answer(self, answer: Answer) -> None:
        """Show an answer."""
        result = answer.result
        self.dots.set_progress(answer.frames_in_window, answer.window)
        self.window_row.remark.setText(f"frame {answer.frames_in_window} of {answer.window}")
        self.state_row.remark.setText(state_words(answer.frames_since_reset, answer.reset_by))
        self.bars.set_values(answer.probabilities, result.decision)
        if answer.first_window_full:
            self.decision.set_decision(result.decision, result.confidence)
        elif answer.last is not None:
            self.decision.set_last(answer.last.label, answer.last.confidence)
        else:
            self.decision.clear(self._note or NOTHING_YET)

    def _empty(self, window: int, state: str) -> None:
        self.decision.clear(self._note or NOTHING_YET)
        self.dots.set_progress(0, window)
        self.window_row.remark.setText(NOTHING)
        self.state_row.remark.setText(state)


def window_words(spec: InputSpec) -> str:
    """Say what a window of this model is."""
    rule = spec.slice
    if rule.delta_t_us is None:
        frames = f"frames of {rule.n_events:,} events"
    else:
        frames = f"frames of {rule.delta_t_us / 1000:g} ms ({spec.window * rule.delta_t_us / 1e6:.2f} s)"
    return f"A window is {spec.window} {frames}. {_WINDOW_TIP}"


def state_words(frames: int, reset_by: str) -> str:
    """Say how long the network's state has been carried, and why it was last reset."""
    count = "1 frame" if frames == 1 else f"{frames:,} frames"
    return f"reset by {reset_by}, {count} ago" if reset_by else f"carried for {count}"
