"""The card "Numbers": latencies, rates, losses. Not here: who measures them (playing/statistics.py)."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QSizePolicy

from livesnn.app.look import style
from livesnn.app.widgets.parts import LEFT, NOTHING, RIGHT, Card, Painted
from livesnn.card import ModelCard
from livesnn.events.slicer import SEEN_FLICKER
from livesnn.infer.decide import Percentiles
from livesnn.infer.operations import energy_constants
from livesnn.session.statistics import LAST_RESULTS, RATE_S, Statistics

_PARTS = {  # rows of the table → caption, tooltip
    "slice": ("Slice", "From the arrival of a frame's last events to the network."),
    "network": ("Network", "One step of the network."),
    "total": ("Decision", "From the arrival of a frame's last events to the decision."),
    "show": ("Show", "From the arrival of a picture's last events to the screen."),
}
_RATES = {
    "events": ("Events", f"Events in a second of the source's own time; mean over its last {RATE_S:g} s."),
    "kept": ("Filtered", "Events in a second that the noise filters have let through."),
    "frames": ("Frames", f"Frames the network has seen in a second; mean over the last {RATE_S:g} s."),
    "density": (
        "Density",
        "Share of the network's hidden neurons that spike in a frame; "
        f"mean over the last {LAST_RESULTS} frames.",
    ),
    "synops": (
        "Synops",
        "Synaptic operations of a frame, an addition for each spike and synapse it reaches, of how many if every\n"
        f"hidden neuron spiked; mean over the last {LAST_RESULTS} frames.",
    ),
    "light_flicker": (
        "Flicker",
        "Events in most pixels of the network's picture, of a flickering light or of noise, that are kept from it;\n"
        f"mean over the last {LAST_RESULTS} frames.",
    ),
    "dropped": ("Dropped", "Events lost because livesnn was late, since the source was opened."),
    "skipped": ("Skipped", "Events of a live source thrown away while it was paused."),
    "put_right": ("Put right", "Events that came damaged."),
}
_ON_DEMAND = ("kept", "light_flicker", "put_right")  # shown where there is something to say
_EXPLAINED = ("kept", "synops")  # their notes warn of nothing
_OF = " of "  # what follows is left out where there is no room
_PERCENTILES = ("p50", "p95", "p99")
_TABLE_TIP = f"p95: 95 of 100 took no longer. Over the last {LAST_RESULTS}."


class NumbersPanel(Card):
    """Where the time goes, how much comes in, and what is lost."""

    def __init__(self) -> None:
        super().__init__("Numbers")
        self.table = _Numbers()
        self.texts = self.table.texts
        self.column.setSpacing(4)
        self.column.addWidget(self.table, 1)
        self._constants = ""
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Show dashes."""
        self._constants = energy_constants(card) if card is not None else ""
        self.show_statistics(Statistics(), Percentiles())
        self.show_engine("")

    def show_engine(self, engine: str, note: str = "") -> None:
        """Say what runs the network, "" if nothing does; and what is being done about it."""
        self.caption.set_remark(", ".join(filter(None, [engine, note or "latency in ms"])))

    def show_denoise(self, denoise: bool) -> None:
        """Show, or no longer, how many events the noise filters let through."""
        self.table.show_row("kept", denoise)

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
        self.texts["kept"] = scaled(statistics.kept_per_s, "/s")
        self.texts["frames"] = scaled(statistics.frames_per_s, "/s")
        density = statistics.density
        self.texts["density"] = f"{100 * density:.1f} %" if math.isfinite(density) else NOTHING
        known = math.isfinite(statistics.synops)
        self.texts["synops"] = (
            f"{scaled(statistics.synops)}{_OF}{scaled(statistics.dense_synops)}" if known else NOTHING
        )
        self.texts["light_flicker"] = f"{_digits(statistics.light_flicker)} a pixel"
        self.table.show_row("light_flicker", statistics.light_flicker >= SEEN_FLICKER)
        self.texts["dropped"] = scaled(statistics.dropped)
        self.texts["skipped"] = scaled(statistics.skipped)
        put_right = statistics.out_of_order + statistics.out_of_bounds
        self.texts["put_right"] = scaled(put_right)
        self.table.show_row("put_right", put_right > 0)
        self.table.show_notes(_notes(statistics, self._constants))


def _notes(statistics: Statistics, constants: str) -> dict[str, str]:
    """Return what more there is to say of a number, by its row."""
    noise, out_of_order, outside = statistics.noise, statistics.out_of_order, statistics.out_of_bounds
    came = max(statistics.events + statistics.unread + statistics.dropped + statistics.skipped, 1)
    notes = {
        name: f"{count:,} events, {100 * count / came:.1f} % of all"
        for name, count in (("dropped", statistics.dropped), ("skipped", statistics.skipped))
        if count
    }
    if noise.events:
        shares = (
            (count, 100 * count / noise.events) for count in (noise.hot, noise.refractory, noise.isolated)
        )
        hot, refractory, isolated = (f"{count:,} ({share:.1f} %)" for count, share in shares)
        notes["kept"] = (
            f"Dropped: {isolated} isolated, {refractory} too soon after another, {hot} of hot pixels."
        )
    if math.isfinite(statistics.energy_estimate_uj):
        notes["synops"] = (
            f"Energy, an estimate, with the first layer's multiplications: {statistics.energy_estimate_uj:.3g} µJ "
            f"a frame.\n{constants}."
        )
    if out_of_order or outside:
        notes["put_right"] = (
            f"{out_of_order:,} out of order, put in order of time; {outside:,} outside the sensor, left out."
        )
    return notes


class _Numbers(Painted):
    """A table of latencies at the left, single numbers at the right; `texts` are by row, or row.percentile."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._hidden = {*_ON_DEMAND}
        self.setMinimumSize(272, 5 * 14)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for comfortable rows."""
        return QSize(360, 5 * 20)

    def show_row(self, name: str, shown: bool) -> None:
        """Show a single number, or leave it out."""
        (self._hidden.discard if shown else self._hidden.add)(name)
        self.update()

    def show_notes(self, notes: dict[str, str]) -> None:
        """Paint what `texts` says; what has a note is explained by it, and losses have the colour of a warning."""
        self._notes = notes
        self.update()

    @property
    def rates(self) -> list[str]:
        """The single numbers on show, from the top."""
        return [name for name in _RATES if name not in self._hidden]

    def _rows(self) -> tuple[float, float]:
        """Return the height of a row, and where the single numbers begin."""
        height = min(self.height() / max(len(self.rates), 5), 22.0)
        return height, self.width() - min(max(self.width() - 195, 104), 170)

    def tip_at(self, place: QPointF) -> str:
        """Explain the number at a place."""
        height, half = self._rows()
        row = max(int(place.y() / height), 0)
        if place.x() < half:
            row = min(row, len(_PARTS))
            explained = list(_PARTS.values())[row - 1][1] if row else "Latency in milliseconds."
            return f"{explained}\n{_TABLE_TIP}"
        return self.explained(self.rates[min(row, len(self.rates) - 1)])

    def explained(self, name: str) -> str:
        """Explain a single number."""
        return "\n".join([_RATES[name][1], *([self._notes[name]] if name in self._notes else [])])

    def paint(self, painter: QPainter) -> None:
        """Paint both halves."""
        height, half = self._rows()
        painter.setFont(style.text_font(12 if self.width() >= 300 and height >= 15 else 11))
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
        for row, name in enumerate(self.rates):
            caption, warned = _RATES[name][0], name in self._notes and name not in _EXPLAINED
            box = QRectF(half, row * height, self.width() - half, height)
            self._write(painter, box, caption, style.SOFT, LEFT)
            room = box.width() - painter.fontMetrics().horizontalAdvance(f"{caption}  ")
            text = self.texts[name]
            if painter.fontMetrics().horizontalAdvance(text) > room:
                text = text.split(_OF)[0]
            self._write(painter, box, text, style.WARNING if warned else style.TEXT)

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
