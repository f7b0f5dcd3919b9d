"""Header, error banner, status strip. Not here: the read-out (readout.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QWidget

from livesnn.app import style
from livesnn.app.statistics import LAST_RESULTS, RATE_S, Percentiles, Statistics
from livesnn.app.views import NOTHING, Reading, label

LONGEST_NAME = 48  # characters
_LOSSES = ("lost", "skipped", "left out")
_STATES = {  # of session.py → words, colour of the dot
    "empty": ("No source", style.FAINT),
    "opening": ("Opening", style.WARNING),
    "playing": ("Playing", style.ACCENT),
    "paused": ("Paused", style.WARNING),
    "ended": ("Ended", style.SOFT),
    "failed": ("Error", style.DANGER),
}


class Header(QWidget):
    """What is open, with which model, in what state; and a way to open something else."""

    open_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.source = label("", style.text_font(15, weight=QFont.Weight.DemiBold))
        self.model = label("", style.text_font(14), style.SOFT)
        self.state = label("", style.text_font(14), style.SOFT)
        self._dot = QLabel()
        self._dot.setFixedSize(10, 10)
        button = QPushButton("Open …")
        button.setFixedHeight(36)
        button.setFont(style.text_font(14))
        button.setToolTip("Open a recording (Ctrl+O), or drop one on the window")
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(self._open_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(label("livesnn", style.text_font(19, weight=QFont.Weight.Bold), style.ACCENT))
        row.addSpacing(14)
        row.addWidget(self.source)
        row.addWidget(self.model)
        row.addStretch(1)
        row.addWidget(self._dot)
        row.addWidget(self.state)
        row.addSpacing(12)
        row.addWidget(button)

    def show_names(self, source: str, model: str, *, about_model: str = "") -> None:
        """Name the source and the model; more about the model is its tooltip."""
        shortened = source if len(source) <= LONGEST_NAME else f"{source[:30]} … {source[-15:]}"
        self.source.setText(shortened)
        self.source.setToolTip(source)
        self.model.setText(f"with model {model}" if model else "")
        self.model.setToolTip(about_model)

    def show_state(self, state: str) -> None:
        """Show a state of session.py in words."""
        words, colour = _STATES[state]
        self.state.setText(words)
        self._dot.setStyleSheet(f"background: {colour}; border-radius: 5px;")

    @Slot()
    def _open_clicked(self) -> None:
        self.open_wanted.emit()


class Banner(QFrame):
    """One error or warning in words, until it is closed or something else is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.message = QLabel()
        self.message.setFont(style.text_font(14))
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = QPushButton()
        close.setObjectName("icon")
        close.setIcon(style.icon("close"))
        close.setIconSize(QSize(18, 18))
        close.setFixedSize(32, 32)
        close.setToolTip("Close this message")
        close.setAccessibleName("Close this message")
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 10, 8)
        row.addWidget(self.message, 1)
        row.addWidget(close)
        self.hide()

    def show_error(self, message: str) -> None:
        """Show why nothing goes on."""
        self._show(message, "error")

    def show_warnings(self, warnings: Sequence[str]) -> None:
        """Show what is lost, damaged or assumed in what is being played; what is lost comes first."""
        lost_first = sorted(warnings, key=lambda warning: not any(word in warning for word in _LOSSES))
        shown = lost_first if len(warnings) == 2 else lost_first[:1]
        hidden = len(warnings) - len(shown)
        more = f" (and {hidden} more: livesnn info lists them)" if hidden else ""
        self._show("\n".join(shown) + more, "warning")

    def _show(self, message: str, kind: str) -> None:
        self.setProperty("kind", kind)
        self.style().polish(self)
        self.message.setText(message)
        self.show()


_MEDIAN = f"The median of the last {LAST_RESULTS} results, one a frame; p95: 95 of 100 of them took less."
_READINGS = {  # name → caption, tooltip
    "total": ("Event to decision", f"From an event's arrival to the decision it led to. {_MEDIAN}"),
    "slice": ("Slice", f"From an event's arrival to its frame being handed to the network. {_MEDIAN}"),
    "network": ("Network", f"One step of the network. {_MEDIAN}"),
    "events": (
        "Event rate",
        f"Events in a second of the recording's own time. Mean over its last {RATE_S:g} seconds.",
    ),
    "frames": (
        "Frames decided",
        f"Frames the network has seen in a second. Mean over the last {RATE_S:g} seconds.",
    ),
    "density": (
        "Spike density",
        f"Share of the network's hidden neurons that spike in a frame. Mean over the last {LAST_RESULTS} results.",
    ),
    "dropped": ("Dropped", "Events lost because livesnn was late, since the source was opened."),
}


class StatusStrip(QFrame):
    """The measured numbers in one row: latency in parts, event rate, frames, dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        grid = QGridLayout(self)
        grid.setContentsMargins(20, 12, 20, 12)
        grid.setHorizontalSpacing(16)
        self.readings = {name: Reading(caption, tip=tip) for name, (caption, tip) in _READINGS.items()}
        for column, reading in enumerate(self.readings.values()):
            grid.addWidget(reading, 0, column)
            grid.setColumnStretch(column, 1)
        self.show_statistics(Statistics())

    def show_statistics(self, statistics: Statistics) -> None:
        """Show the numbers; what is unknown is a dash."""
        readings = self.readings
        for name, part in (
            ("total", statistics.total_ms),
            ("slice", statistics.slice_ms),
            ("network", statistics.network_ms),
        ):
            readings[name].set_texts(*_latency_texts(part))
        readings["events"].set_texts(*_scaled(statistics.events_per_s))
        known = math.isfinite(statistics.frames_per_s)
        readings["frames"].set_texts(f"{statistics.frames_per_s:.0f}" if known else NOTHING, "a second")
        density = statistics.density
        readings["density"].set_texts(
            f"{100 * density:.1f} %" if math.isfinite(density) else NOTHING, "of neurons"
        )
        share = statistics.dropped / max(statistics.events + statistics.dropped, 1)
        readings["dropped"].set_texts(
            f"{statistics.dropped:,}",
            f"{100 * share:.1f} % of events" if statistics.dropped else "events",
            colour=style.WARNING if statistics.dropped else style.TEXT,
        )


def _latency_texts(part: Percentiles) -> tuple[str, str]:
    if not math.isfinite(part.p50):
        return NOTHING, "p95 –"
    return f"{_digits(part.p50)} ms", f"p95 {_digits(part.p95)} ms"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _scaled(events_per_s: float) -> tuple[str, str]:
    if not math.isfinite(events_per_s):
        return NOTHING, "events a second"
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if events_per_s >= scale:
            return f"{_digits(events_per_s / scale)} {unit}", "events a second"
    return f"{events_per_s:.0f}", "events a second"
