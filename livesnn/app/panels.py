"""Header, the card "Numbers". Not here: the banner, the read-out, the window's frames, the state."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.statistics import LAST_RESULTS, RATE_S, Percentiles, Statistics
from livesnn.app.style import Tone
from livesnn.app.views import LEFT, NOTHING, RIGHT, CaptionRow, Painted, ShorteningLabel, label
from livesnn.card import ModelCard

_STATES: dict[str, tuple[str, Tone]] = {  # of a session → words, tone of the dot
    "empty": ("No source", "faint"),
    "opening": ("Opening", "warning"),
    "playing": ("Playing", "accent"),
    "waiting": ("Waiting for the camera", "warning"),
    "paused": ("Paused", "warning"),
    "ended": ("Ended", "soft"),
    "failed": ("Error", "danger"),
}


class Header(QWidget):
    """What is open, in what state, with which model; and ways to another source and another model."""

    model_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.source = ShorteningLabel(style.text_font(15, weight=QFont.Weight.DemiBold))
        self.state = label("", style.text_font(13), "soft")
        self.model = QPushButton()
        self.model.setToolTip("Choose the model and its engine")
        self.model.clicked.connect(self.model_wanted)
        self.open = QPushButton("Open")
        self.open.setToolTip("Open a recording, a camera or a stream; or drop a file on the window")
        self._dot = QLabel()
        self._dot.setObjectName("dot")
        self._dot.setFixedSize(10, 10)
        for button in (self.model, self.open):
            button.setFixedHeight(34)
            button.setFont(style.text_font(14))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow stands behind the words
            style.set_icon(button, "chevron", "soft", 18)
        self._lay_out()
        self.show_names("")
        self.show_state("empty")

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(label("livesnn", style.text_font(19, weight=QFont.Weight.Bold), "accent"))
        row.addSpacing(14)
        row.addWidget(self.source, 1)
        row.addWidget(self._dot)
        row.addWidget(self.state)
        row.addSpacing(12)
        row.addWidget(self.model)
        row.addWidget(self.open)

    def set_open_menu(self, menu: QMenu) -> None:
        """Let the Open button show this menu."""
        self.open.setMenu(menu)

    def show_names(self, source: str, model: str = "", *, engine: str = "", about_model: str = "") -> None:
        """Name the source, the model and what runs it; "": there is none. ``about_model`` is a tooltip."""
        self.source.setText(source)
        self.source.setToolTip(source)
        named = f"Model: {model}" if model else "Choose a model"
        self.model.setText(f"{named} · {engine}" if engine else named)
        choose = "Choose the model and its engine"
        self.model.setToolTip(f"{about_model}\n{choose}" if about_model else choose)

    def show_state(self, state: str) -> None:
        """Show a state of a session in words, or "empty"."""
        words, tone = _STATES[state]
        self.state.setText(words)
        style.set_tone(self._dot, tone)


_PARTS = {  # rows of the table → caption, tooltip
    "slice": ("Slice", "From an event's arrival to its frame being handed to the network."),
    "network": ("Network", "One step of the network, and the decision."),
    "total": ("Decision", "From an event's arrival to the decision it led to."),
    "show": ("Show", "From an event's arrival to the picture with it being painted."),
}
_RATES = {
    "events": ("Events", f"Events in a second of the source's own time; mean over its last {RATE_S:g} s."),
    "frames": ("Frames", f"Frames the network has seen in a second; mean over the last {RATE_S:g} s."),
    "density": (
        "Density",
        "Share of the network's hidden neurons that spike in a frame; "
        f"mean over the last {LAST_RESULTS} frames.",
    ),
    "dropped": ("Dropped", "Events lost because livesnn was late, since the source was opened."),
    "skipped": ("Skipped", "Events of a live source thrown away while it was paused."),
}
_PERCENTILES = ("p50", "p95", "p99")
_TABLE_TIP = f"p95: 95 of 100 took no longer. Over the last {LAST_RESULTS}."


class NumbersPanel(QFrame):
    """Where the time goes, how much comes in, and what is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        caption = CaptionRow("Numbers")
        caption.set_remark("latency in ms")
        self._table = _Numbers()
        self.texts = self._table.texts
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 10, 16, 12)
        layout.setSpacing(4)
        layout.addWidget(caption)
        layout.addWidget(self._table, 1)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Show dashes."""
        self.show_statistics(Statistics(), Percentiles())

    def show_statistics(self, statistics: Statistics, show: Percentiles) -> None:
        """Show the numbers; what is unknown is a dash. ``show``: from arrival to painted, ms."""
        parts = {
            "slice": statistics.slice_ms,
            "network": statistics.network_ms,
            "total": statistics.total_ms,
            "show": show,
        }
        for part, values in parts.items():
            for which in _PERCENTILES:
                self.texts[f"{part}.{which}"] = milliseconds(getattr(values, which))
        self.texts["events"] = scaled(statistics.events_per_s, "/s")
        self.texts["frames"] = scaled(statistics.frames_per_s, "/s")
        density = statistics.density
        self.texts["density"] = f"{100 * density:.1f} %" if math.isfinite(density) else NOTHING
        self.texts["dropped"] = scaled(statistics.dropped)
        self.texts["skipped"] = scaled(statistics.skipped)
        came = max(statistics.events + statistics.dropped + statistics.skipped + statistics.unread, 1)
        self._table.show_losses(dropped=statistics.dropped, skipped=statistics.skipped, came=came)


class _Numbers(Painted):
    """A table of latencies at the left, single numbers at the right; `texts` are by row, or row.percentile."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self._losses: dict[str, str] = {}
        self.setMinimumSize(272, 5 * 14)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for comfortable rows."""
        return QSize(360, 5 * 20)

    def show_losses(self, *, dropped: int, skipped: int, came: int) -> None:
        """Paint what `texts` says, and the losses that there are in the colour of a warning."""
        self._losses = {
            name: f"{count:,} events, {100 * count / came:.1f} % of all"
            for name, count in (("dropped", dropped), ("skipped", skipped))
            if count
        }
        self.update()

    def _rows(self) -> tuple[float, float]:
        """Return the height of a row, and where the single numbers begin."""
        return min(self.height() / 5, 22.0), self.width() - min(max(0.38 * self.width(), 104), 170)

    def tip_at(self, place: QPointF) -> str:
        """Explain the number at a place."""
        height, half = self._rows()
        row = min(max(int(place.y() / height), 0), 4)
        if place.x() < half:
            explained = list(_PARTS.values())[row - 1][1] if row else "Latency in milliseconds."
            return f"{explained}\n{_TABLE_TIP}"
        name = list(_RATES)[row]
        return "\n".join([_RATES[name][1], *([self._losses[name]] if name in self._losses else [])])

    def paint(self, painter: QPainter) -> None:
        """Paint both halves."""
        painter.setFont(style.text_font(12 if self.width() >= 300 else 11))
        height, half = self._rows()
        left = half - max(self.width() * 0.06, 14)
        name_width = max(left * 0.32, 52)
        column = (left - name_width) / len(_PERCENTILES)
        for place, which in enumerate(_PERCENTILES):
            self._write(painter, QRectF(name_width + place * column, 0, column, height), which, style.FAINT)
        for row, (part, (caption, _)) in enumerate(_PARTS.items(), start=1):
            self._write(painter, QRectF(0, row * height, name_width, height), caption, style.SOFT, LEFT)
            for place, which in enumerate(_PERCENTILES):
                box = QRectF(name_width + place * column, row * height, column, height)
                self._write(
                    painter, box, self.texts[f"{part}.{which}"], style.TEXT if place == 0 else style.SOFT
                )
        for row, (name, (caption, _)) in enumerate(_RATES.items()):
            box = QRectF(half, row * height, self.width() - half, height)
            self._write(painter, box, caption, style.SOFT, LEFT)
            self._write(painter, box, self.texts[name], style.WARNING if name in self._losses else style.TEXT)

    def _write(
        self, painter: QPainter, box: QRectF, words: str, colour: str, where: Qt.AlignmentFlag = RIGHT
    ) -> None:
        painter.setPen(QColor(colour))
        painter.drawText(box, where, words)


def milliseconds(value: float) -> str:
    """Return three digits of a time in ms, or a dash."""
    return _digits(value) if math.isfinite(value) else NOTHING


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def scaled(value: float, unit: str = "") -> str:
    """Return a number of things, in thousands or millions from there on; a dash if it isn't known."""
    if not math.isfinite(value):
        return NOTHING
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()
