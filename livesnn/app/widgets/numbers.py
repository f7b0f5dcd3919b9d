"""The card "Numbers": latencies, rates, losses. Not here: who measures them (playing/statistics.py)."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QSizePolicy

from livesnn.app.look import style
from livesnn.app.playing.statistics import LAST_RESULTS, RATE_S, Statistics
from livesnn.app.widgets.parts import LEFT, NOTHING, RIGHT, Card, Painted
from livesnn.card import ModelCard
from livesnn.infer.tally import Percentiles

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


class NumbersPanel(Card):
    """Where the time goes, how much comes in, and what is lost."""

    def __init__(self) -> None:
        super().__init__("Numbers")
        self._table = _Numbers()
        self.texts = self._table.texts
        self.column.setSpacing(4)
        self.column.addWidget(self._table, 1)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Show dashes."""
        self.show_statistics(Statistics(), Percentiles())
        self.show_engine("")

    def show_engine(self, engine: str, note: str = "") -> None:
        """Say what runs the network, "" if nothing does; and what is being done about it."""
        self.caption.set_remark(", ".join(filter(None, [engine, note or "latency in ms"])))

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
