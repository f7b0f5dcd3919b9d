"""The card "Numbers": latencies, rates and losses. They are measured in session/statistics.py."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter

from livesnn.app import style
from livesnn.app.widgets.basics import NOTHING, RIGHT, Card, Painted, write
from livesnn.card import ModelCard
from livesnn.events.slicer import SEEN_FLICKER
from livesnn.infer.cost import energy_constants
from livesnn.infer.decide import Percentiles
from livesnn.session.statistics import LAST_RESULTS, RATE_S, Statistics

_PARTS = {  # rows of the table → caption, tooltip
    "slice": ("Slice", "From the arrival of a frame's last events to the start of the network's step."),
    "network": ("Network", "One step of the network."),
    "total": ("Decision", "From the arrival of a frame's last events to the decision."),
    "show": ("Show", "From the arrival of a picture's last events to the screen."),
}
_RATES = {
    "events": ("Events", f"Events per second of the source's own time; mean over its last {RATE_S:g} s."),
    "filtered": ("After filter", "Events per second that the noise filter lets through."),
    "frames": ("Frames", f"Frames per second that the network has seen; mean over the last {RATE_S:g} s."),
    "density": (
        "Density",
        "Share of the network's hidden neurons that spike in a frame; "
        f"mean over the last {LAST_RESULTS} frames.",
    ),
    "synops": (
        "Synops",
        "Synaptic operations in a frame: one addition for each synapse that a spike reaches. The second number\n"
        f"is for a network whose hidden neurons all spike. Mean over the last {LAST_RESULTS} frames.",
    ),
    "light_flicker": (
        "Flicker",
        "Events per pixel of a flickering light or of noise, which livesnn removes from the network's input;\n"
        f"mean over the last {LAST_RESULTS} frames.",
    ),
    "dropped": ("Dropped", "Events lost because livesnn was too slow, since the source was opened."),
    "skipped": ("Skipped", "Events of a live source that arrived while it was paused."),
    "repaired": ("Repaired", "Events that arrived damaged."),
}
_ON_DEMAND = ("filtered", "light_flicker", "repaired")  # shown only if there are any
_EXPLAINED = ("filtered", "synops")  # their notes are no warnings
_OF = " of "  # what follows is left out where it doesn't fit
_PERCENTILES = ("p50", "p95", "p99")
_TABLE_TIP = f"p95: 95 % took no longer. Over the last {LAST_RESULTS}."


class NumbersPanel(Card):
    """The card "Numbers": latencies, rates and losses."""

    def __init__(self) -> None:
        super().__init__("Numbers", "window.md#numbers")
        self.table = _Numbers()
        self.texts = self.table.texts
        self.column.setSpacing(4)
        self.column.addWidget(self.table, 1)
        self._constants = ""
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Show no values."""
        self._constants = energy_constants(card) if card is not None else ""
        self.show_statistics(Statistics(), Percentiles())
        self.show_engine("")

    def show_engine(self, engine: str, note: str = "") -> None:
        """Name the engine that runs the network; "": none does. ``note`` says what it is doing."""
        self.caption.set_remark(", ".join(filter(None, [engine, note or "latency in ms"])))

    def show_denoise(self, denoise: bool) -> None:
        """Show or hide how many events the noise filters let through."""
        self.table.show_row("filtered", denoise)

    def show_statistics(self, statistics: Statistics, show: Percentiles) -> None:
        """Show the numbers, a dash where one is unknown. ``show``: from arrival to the screen, ms."""
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
        self.texts["filtered"] = scaled(statistics.filtered_per_s, "/s")
        self.texts["frames"] = scaled(statistics.frames_per_s, "/s")
        density = statistics.density
        self.texts["density"] = f"{100 * density:.1f} %" if math.isfinite(density) else NOTHING
        known = math.isfinite(statistics.synops)
        self.texts["synops"] = (
            f"{scaled(statistics.synops)}{_OF}{scaled(statistics.dense_synops)}" if known else NOTHING
        )
        self.texts["light_flicker"] = f"{_digits(statistics.light_flicker)} per pixel"
        self.table.show_row("light_flicker", statistics.light_flicker >= SEEN_FLICKER)
        self.texts["dropped"] = scaled(statistics.dropped)
        self.texts["skipped"] = scaled(statistics.skipped)
        repaired = statistics.out_of_order + statistics.out_of_bounds
        self.texts["repaired"] = scaled(repaired)
        self.table.show_row("repaired", repaired > 0)
        self.table.show_notes(_notes(statistics, self._constants))


def _notes(statistics: Statistics, constants: str) -> dict[str, str]:
    """Return what more there is to say about a number, by its row."""
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
        notes["filtered"] = (
            f"Removed: {isolated} isolated, {refractory} too soon after another, {hot} of hot pixels."
        )
    if math.isfinite(statistics.energy_estimate_uj):
        notes["synops"] = (
            f"Estimated energy, with the first layer's multiplications: {statistics.energy_estimate_uj:.3g} µJ "
            f"per frame.\n{constants}."
        )
    if out_of_order or outside:
        notes["repaired"] = (
            f"{out_of_order:,} out of order, sorted by time; {outside:,} outside the sensor, left out."
        )
    return notes


class _Numbers(Painted):
    """A table of latencies at the left, single numbers at the right; `texts` are by row or row.percentile."""

    def __init__(self) -> None:
        super().__init__((360, 5 * 20))
        self.texts: dict[str, str] = {}
        self._notes: dict[str, str] = {}
        self._hidden = {*_ON_DEMAND}
        self.setMinimumSize(272, 5 * 14)

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide a single number."""
        (self._hidden.discard if shown else self._hidden.add)(name)
        self.update()

    def show_notes(self, notes: dict[str, str]) -> None:
        """Paint `texts` with these notes as tooltips; losses have the colour of a warning."""
        self._notes = notes
        self.update()

    @property
    def rates(self) -> list[str]:
        """The single numbers shown, from the top."""
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
            box = QRectF(name_width + place * column, 0, column, height)
            write(painter, box, which, style.theme.faint, RIGHT)
        for row, (part, (caption, _)) in enumerate(_PARTS.items(), start=1):
            write(painter, QRectF(0, row * height, name_width, height), caption, style.theme.soft)
            for place, which in enumerate(_PERCENTILES):
                box = QRectF(name_width + place * column, row * height, column, height)
                colour = style.theme.soft if place else style.theme.text
                write(painter, box, self.texts[f"{part}.{which}"], colour, RIGHT)
        for row, name in enumerate(self.rates):
            caption, warned = _RATES[name][0], name in self._notes and name not in _EXPLAINED
            box = QRectF(half, row * height, self.width() - half, height)
            write(painter, box, caption, style.theme.soft)
            room = box.width() - painter.fontMetrics().horizontalAdvance(f"{caption}  ")
            text = self.texts[name]
            if painter.fontMetrics().horizontalAdvance(text) > room:
                text = text.split(_OF)[0]
            write(painter, box, text, style.theme.warning if warned else style.theme.text, RIGHT)


def milliseconds(value: float) -> str:
    """Return a time in ms with three digits, or a dash."""
    return _digits(value) if math.isfinite(value) else NOTHING


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def scaled(value: float, unit: str = "") -> str:
    """Return a count with three digits and k, M or G; a dash if it is unknown."""
    if not math.isfinite(value):
        return NOTHING
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{_digits(value / scale)} {prefix}{unit}"
    return f"{value:.0f} {unit}".rstrip()
