"""The cards "Window", "State" and "Numbers": what the network sees, its layers, latencies and rates."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QHBoxLayout, QPushButton

from livesnn.app import style
from livesnn.app.widgets.basics import NOTHING, RIGHT, Card, Painted, button, fill, rgb_image, rounded, write
from livesnn.card import InputSpec, ModelCard
from livesnn.events.event_rate import RATE_S
from livesnn.events.picture import DEFAULT_PALETTE, FULL_COUNT, Palette, count_colours, video_picture
from livesnn.events.slicer import SEEN_FLICKER
from livesnn.infer.cost import energy_constants
from livesnn.infer.run import StateMode
from livesnn.infer.statistics import Percentiles
from livesnn.session.control import RUNNING, ShownState
from livesnn.session.results import ShownResult
from livesnn.session.statistics import LAST_RESULTS, Statistics

_GAP = 6.0  # pixels between thumbnails
_LARGEST = 96  # pixels: larger frames are shown at a half, a third, …
_WINDOW_TIP = "Each decision is made on the last window of frames, up to the newest."
Bytes = npt.NDArray[np.uint8]
FULL_DENSITY = 0.3  # share of neurons that fills a bar
_STATE_TIP = "The membrane potentials of the network's neurons. They are carried from frame to frame until a reset."
_MODES: dict[StateMode, tuple[str, str]] = {
    "carry": ("Carry", "Keep the state from window to window"),
    "reset": ("Reset each window", "Set the state to zero at the start of each window"),
}
_LEGEND = 18  # height, pixels
FloatArray = npt.NDArray[np.float32]
_SCALE = "Marks: mean membrane potential, from minus the threshold at the bottom to the threshold at the top."


class WindowPanel(Card):
    """The card "Window": the frames of the current window, as the network sees them."""

    def __init__(self) -> None:
        super().__init__("Window", "start.md#what-the-words-mean")
        self.strip = FrameStrip()
        self.column.addWidget(self.strip, 1)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        self.strip.set_input(None if card is None else card.input)
        self.caption.set_remark(NOTHING)
        self.caption.setToolTip(_WINDOW_TIP if card is None else window_words(card.input))

    def wait(self) -> None:
        self.strip.show_frames(())
        self.caption.set_remark(NOTHING)

    def show_result(self, shown: ShownResult) -> None:
        self.strip.show_frames(shown.frames)
        self.caption.set_remark(f"frame {shown.result.frame_in_window} of {self.strip.length}")


class FrameStrip(Painted):
    """One thumbnail for each frame of a window, as large as they fit, in rows; the newest is outlined."""

    def __init__(self) -> None:
        super().__init__((380, 112))
        self.length = 10
        self._ratio = 1.0  # of a frame's width to its height
        self._colours = count_colours(DEFAULT_PALETTE)
        self._frames: tuple[Bytes, ...] = ()
        self._images: list[QImage] = []  # of these frames
        self.setMinimumSize(120, 60)

    @property
    def seen(self) -> int:
        return len(self._frames)

    def set_input(self, spec: InputSpec | None) -> None:
        """Fit the places to a model's windows and frames, and leave them empty."""
        self.length = 10 if spec is None else spec.window
        self._ratio = 1.0 if spec is None else spec.width / spec.height
        self.show_frames(())

    def set_palette(self, palette: Palette) -> None:
        self._colours = count_colours(palette)
        frames, self._frames, self._images = self._frames, (), []
        self.show_frames(frames)

    def show_frames(self, frames: tuple[Bytes, ...]) -> None:
        """Show frames uint8 [C, H, W], oldest first; C = 2: counts of OFF and ON events, else brightness."""
        same = 0
        for old, new in zip(self._frames, frames, strict=False):
            if old is not new:
                break
            same += 1
        self._images[same:] = [rgb_image(picture(frame, self._colours)) for frame in frames[same:]]
        self._frames = frames
        self.update()

    def boxes(self) -> list[QRectF]:
        fits = ((rows, self._thumbnail_width(rows)) for rows in range(1, self.length + 1))
        rows, width = max(fits, key=lambda fit: fit[1])
        columns = -(-self.length // rows)
        height = width / self._ratio
        gap = min((self.width() - columns * width) / max(columns - 1, 1), 3 * _GAP)
        top = (self.height() - rows * height - (rows - 1) * _GAP) / 2
        return [
            QRectF((i % columns) * (width + gap), top + (i // columns) * (height + _GAP), width, height)
            for i in range(self.length)
        ]

    def _thumbnail_width(self, rows: int) -> float:
        columns = -(-self.length // rows)
        width = (self.width() - (columns - 1) * _GAP) / columns
        height = (self.height() - (rows - 1) * _GAP) / rows
        return max(min(width, height * self._ratio), 2.0)

    def paint(self, painter: QPainter) -> None:
        boxes = self.boxes()
        pixels = self._images[0].width() if self._images else 0
        shrunk = pixels > boxes[0].width() * self.devicePixelRatioF()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrunk)  # enlarged pixels stay crisp
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for index, box in enumerate(boxes):
            if index < len(self._images):
                painter.drawImage(box, self._images[index])
            else:
                painter.fillRect(box, QColor(style.theme.raised))
        if 0 < len(self._images) <= len(boxes):
            painter.setPen(QPen(QColor(style.theme.accent), 2.0, j=Qt.PenJoinStyle.MiterJoin))
            painter.drawRect(boxes[len(self._images) - 1].adjusted(1, 1, -1, -1))


def picture(frame: Bytes, colours: Bytes) -> Bytes:
    """Return a frame uint8 [C, H, W] as uint8 [h, w, 3], no larger than `_LARGEST`, by the largest counts."""
    pool = -(-max(frame.shape[1:]) // _LARGEST)
    height, width = (size // pool for size in frame.shape[1:])
    places = [(y, x) for y in range(pool) for x in range(pool)]
    pooled = reduce(np.maximum, (frame[:, y : height * pool : pool, x : width * pool : pool] for y, x in places))
    if len(frame) == 2:
        off, on = np.minimum(pooled, FULL_COUNT)
        return colours.reshape(-1, 3).take(off * np.uint8(FULL_COUNT + 1) + on, axis=0)  # as `colours[off, on]`
    return video_picture(pooled)


def window_words(spec: InputSpec) -> str:
    long = f" ({spec.window_s:.2f} s)" if spec.window_s else ""
    return f"A window is {spec.window} frames of {spec.slice}{long}. {_WINDOW_TIP}"


class StatePanel(Card):
    """The card "State": whether the membranes are carried, for how long they have been, and each layer's activity."""

    def __init__(self) -> None:
        super().__init__("State", "start.md#what-the-words-mean", tip=_STATE_TIP)
        self.bars = LayerBars()
        reset_tip = "Set the state to zero now, so that the network forgets what it has seen"
        self.reset = button("Reset now", height=28, pixels=12, name="narrow", tip=reset_tip)
        self.modes: dict[StateMode, QPushButton] = {}
        for mode, (words, tip) in _MODES.items():
            segment = button(words, height=28, pixels=12, name="segment", tip=tip)
            segment.setProperty("side", "left" if mode == "carry" else "right")
            segment.setCheckable(True)
            segment.setAutoExclusive(True)
            self.modes[mode] = segment
        row = fill(QHBoxLayout(), spacing=0)
        for widget in (*self.modes.values(), self.reset):
            width = widget.fontMetrics().horizontalAdvance(widget.text())
            widget.setMinimumWidth(width + 12)
            row.addWidget(widget, width)
        row.insertSpacing(2, 8)
        self.column.addLayout(row)
        self.column.addWidget(self.bars, 1)
        self.show_mode("carry")
        self.show_state("empty")
        self.clear(None)

    def show_mode(self, mode: StateMode) -> None:
        self.modes[mode].setChecked(True)

    def show_state(self, state: ShownState) -> None:
        self.reset.setEnabled(state in RUNNING)

    def clear(self, card: ModelCard | None) -> None:
        self.bars.set_model(card)
        self.caption.set_remark(NOTHING)

    def wait(self) -> None:
        self.bars.set_values(None, None)
        self.caption.set_remark("reset, waiting for frames")

    def show_result(self, shown: ShownResult) -> None:
        self.caption.set_remark(state_words(shown))
        self.bars.set_values(shown.result.density, shown.result.membrane)


class LayerBars(Painted):
    """One bar for each layer: the share of its neurons that spiked, and a mark at its mean membrane potential."""

    def __init__(self) -> None:
        super().__init__((300, 70))
        self.density: FloatArray | None = None
        self.membrane: FloatArray | None = None
        self._layers: tuple[str, ...] = ()
        self._threshold = 1.0
        self.setMinimumSize(120, 44)

    def set_model(self, card: ModelCard | None) -> None:
        self._layers = () if card is None else tuple(card.states)
        self._threshold = 1.0 if card is None else card.neuron.threshold
        self.set_values(None, None)

    def set_values(self, density: FloatArray | None, membrane: FloatArray | None) -> None:
        """Show float [spiking layers], 0..1, and float [layers], both in the order of the card; None: nothing."""
        self.density, self.membrane = density, membrane
        self.update()

    def boxes(self) -> list[QRectF]:
        count = max(len(self._layers), 1)
        step = self.width() / count
        width = min(max(step * 0.62, 3.0), 22.0)
        height = self.height() - _LEGEND
        return [QRectF((i + 0.5) * step - width / 2, 0, width, height) for i in range(len(self._layers))]

    def tip_at(self, place: QPointF) -> str:
        if not self._layers or place.y() > self.height() - _LEGEND:
            return f"Bars: neurons that spiked in the last frame. A full bar is {100 * FULL_DENSITY:.0f} %.\n{_SCALE}"
        index = min(int(place.x() * len(self._layers) / self.width()), len(self._layers) - 1)
        words = [self._layers[index].replace(".", " · ")]
        if self.density is not None and index < len(self.density):
            words.append(f"{100 * self.density[index]:.1f} % of its neurons spiked")
        if self.membrane is not None and index < len(self.membrane):
            words.append(f"mean membrane {self.membrane[index]:.3f}, threshold {self._threshold:g}")
        return "\n".join(words)

    def paint(self, painter: QPainter) -> None:
        boxes = self.boxes()
        for box in boxes:
            rounded(painter, box, 2, style.theme.raised)
        for box, share in zip(boxes, self.density if self.density is not None else (), strict=False):
            filled = min(float(share) / FULL_DENSITY, 1.0) * box.height()
            rounded(painter, box.adjusted(0, box.height() - filled, 0, 0), 2, style.theme.accent)
        painter.setPen(QPen(QColor(style.theme.warning), 2.0))
        for box, mean in zip(boxes, self.membrane if self.membrane is not None else (), strict=False):
            y = box.bottom() - 1 - membrane_height(float(mean), self._threshold) * (box.height() - 2)
            painter.drawLine(QPointF(box.left() - 2, y), QPointF(box.right() + 2, y))
        self._paint_legend(painter)

    def _paint_legend(self, painter: QPainter) -> None:
        painter.setFont(style.text_font(11))
        middle = self.height() - _LEGEND / 2 + 2
        x = 0.0
        for words, colour, height in (
            ("spiking neurons", style.theme.accent, 8),
            ("mean membrane", style.theme.warning, 2),
        ):
            painter.fillRect(QRectF(x, middle - height / 2, 10, height), QColor(colour))
            box = QRectF(x + 15, middle - _LEGEND / 2, self.width(), _LEGEND)
            write(painter, box, words, style.theme.faint)
            x += 15 + painter.fontMetrics().horizontalAdvance(words) + 14


def membrane_height(mean: float, threshold: float) -> float:
    """Return the height of a mean membrane potential: 0 at −threshold or below, 1 at the threshold or above."""
    return min(max((mean / threshold + 1) / 2, 0.0), 1.0)


def state_words(shown: ShownResult) -> str:
    """Say for how long the state has been carried, or why it was last reset."""
    carried = shown.result.carried
    count = "1 frame" if carried == 1 else f"{carried:,} frames"
    if shown.reset_by:
        return f"reset by {shown.reset_by}, {count} ago"
    return f"carried for {count}"


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
        f"Share of the network's hidden neurons that spike in a frame; mean over the last {LAST_RESULTS} frames.",
    ),
    "synops": (
        "SynOps",
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
        self._constants = energy_constants(card) if card is not None else ""
        self.show_statistics(Statistics(), Percentiles())
        self.show_engine("")

    def show_engine(self, engine: str, note: str = "") -> None:
        self.caption.set_remark(", ".join(filter(None, [engine, note or "latency in ms"])))

    def show_statistics(self, statistics: Statistics, show: Percentiles) -> None:
        """Show the numbers, a dash where one is unknown. ``show``: from arrival to the screen, ms."""
        parts = (statistics.slice_ms, statistics.network_ms, statistics.total_ms, show)
        for part, values in zip(_PARTS, parts, strict=True):
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
    noise, out_of_order, outside = statistics.noise, statistics.out_of_order, statistics.out_of_bounds
    came = max(statistics.events + statistics.unread + statistics.dropped + statistics.skipped, 1)
    notes = {
        name: f"{count:,} events, {100 * count / came:.1f} % of all"
        for name, count in (("dropped", statistics.dropped), ("skipped", statistics.skipped))
        if count
    }
    if noise.events:
        shares = ((count, 100 * count / noise.events) for count in (noise.hot, noise.refractory, noise.isolated))
        hot, refractory, isolated = (f"{count:,} ({share:.1f} %)" for count, share in shares)
        notes["filtered"] = f"Removed: {isolated} isolated, {refractory} too soon after another, {hot} of hot pixels."
    if math.isfinite(statistics.energy_estimate_uj):
        notes["synops"] = (
            f"Estimated energy, with all multiplications: {statistics.energy_estimate_uj:.3g} µJ per frame.\n"
            f"{constants}."
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
        self._hidden = {"filtered", "light_flicker", "repaired"}
        self.setMinimumSize(272, 5 * 14)

    def show_row(self, name: str, shown: bool) -> None:
        (self._hidden.discard if shown else self._hidden.add)(name)
        self.update()

    def show_notes(self, notes: dict[str, str]) -> None:
        self._notes = notes
        self.update()

    @property
    def rates(self) -> list[str]:
        return [name for name in _RATES if name not in self._hidden]

    def _rows(self) -> tuple[float, float]:
        height = min(self.height() / max(len(self.rates), 5), 22.0)
        return height, self.width() - min(max(self.width() - 195, 104), 170)

    def tip_at(self, place: QPointF) -> str:
        height, half = self._rows()
        row = max(int(place.y() / height), 0)
        if place.x() < half:
            row = min(row, len(_PARTS))
            explained = list(_PARTS.values())[row - 1][1] if row else "Latency in milliseconds."
            return f"{explained}\n{_TABLE_TIP}"
        return self.explained(self.rates[min(row, len(self.rates) - 1)])

    def explained(self, name: str) -> str:
        return "\n".join([_RATES[name][1], *([self._notes[name]] if name in self._notes else [])])

    def paint(self, painter: QPainter) -> None:
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
