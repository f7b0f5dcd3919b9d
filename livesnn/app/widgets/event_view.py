"""The event view: the newest picture with its legend, or words. Not here: painting it (canvas.py, welcome.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFrame, QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from livesnn.app.look import style
from livesnn.app.widgets.canvas import PictureCanvas
from livesnn.app.widgets.parts import label
from livesnn.app.widgets.welcome import WaysStrip, WordsPage
from livesnn.card import InputSpec
from livesnn.events.filters import Orientation
from livesnn.events.packet import Resolution
from livesnn.session.view import DEFAULT_PALETTE, Palette, Rgb

WELCOME = "What shall we look at?"
WELCOME_HINT = "Whatever moves in front of an event camera becomes events, and events become a decision."


class EventView(QFrame):
    """Shows pictures uint8 [H, W, 3], or words with the ways to get one.

    The wheel zooms about the cursor, dragging pans, a double click shows the whole picture again.

    Attributes
    ----------
    shown
        Pictures put on show so far.
    on_painted
        Called after a picture was painted for the first time, with the ``arrived_s`` it was shown with. A
        picture replaced before the screen was due is never painted.
    """

    way_wanted = Signal(str)  # to a picture: `Way.name`

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("stage")
        self.shown = 0
        self.on_painted: Callable[[float], None] | None = None
        self._sensor: Resolution | None = None
        self._input: InputSpec | None = None
        self._turned = ""
        self.page = WordsPage(self.way_wanted.emit)
        self.strip = WaysStrip(self.way_wanted.emit)
        self.strip.hide()
        self.canvas = PictureCanvas(DEFAULT_PALETTE, self._picture_painted)
        self.legend = Legend()
        self.size_note = label("", style.text_font(13), wrap=True)
        self.size_note.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._picture = self._picture_page()
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(1, 1, 1, 1)  # the frame's line
        self._stack.addWidget(self.page)
        self._stack.addWidget(self._picture)
        self.set_palette(DEFAULT_PALETTE)

    def _picture_page(self) -> QWidget:
        page = QFrame()
        page.setObjectName("picture")
        below = QHBoxLayout()
        below.addWidget(self.legend)
        below.addWidget(self.size_note, 1)
        column = QVBoxLayout(page)
        column.setContentsMargins(14, 14, 14, 12)
        column.setSpacing(10)
        column.addWidget(self.strip)
        column.addWidget(self.canvas, 1)
        column.addLayout(below)
        return page

    # Pictures

    def show_picture(self, rgb: npt.NDArray[np.uint8], arrived_s: float = 0.0) -> None:
        """Show a picture uint8 [H, W, 3] of events whose newest arrived at ``arrived_s`` (`time.perf_counter()`)."""
        self.canvas.show_picture(rgb, arrived_s)
        height, width, _ = rgb.shape
        if self._sensor != (width, height):
            self._sensor = Resolution(width, height)
            self._show_size()
        self._stack.setCurrentIndex(1)
        self.shown += 1

    def set_input(self, spec: InputSpec | None) -> None:
        """Say that the model sees the pictures scaled to its size; None: there is no model."""
        self._input = spec
        self.legend.setVisible(spec is None or spec.kind == "events")
        self._show_size()

    def set_orientation(self, orientation: Orientation) -> None:
        """Say how what comes is turned, for the network and the picture."""
        self._turned = orientation.words
        self._show_size()

    def set_palette(self, palette: Palette) -> None:
        """Take the colours that the next pictures are painted in."""
        self.canvas.set_palette(palette)
        self.legend.set_palette(palette)
        red, green, blue = palette.ink
        self._picture.setStyleSheet(
            f"QFrame#picture {{ background: {_name(palette.background)}; border-radius: 13px; }}"
            f"QFrame#picture QLabel {{ color: rgba({red}, {green}, {blue}, 165); }}"
        )

    def set_mirrored(self, mirrored: bool) -> None:
        """Mirror the picture, as people know themselves, and say so; what the network sees stays as it is."""
        self.canvas.set_mirrored(mirrored)

    def zoom(self, factor: float) -> None:
        """Show a part of the picture larger (or smaller) by ``factor``, about its middle."""
        self.canvas.zoom_about(factor)

    def fit(self) -> None:
        """Show the whole picture."""
        self.canvas.fit()

    def show_ways_on(self, on: bool) -> None:
        """Say above the pictures that they are of a simulated person, and offer the ways to see another."""
        self.strip.setVisible(on)

    @property
    def has_picture(self) -> bool:
        """Whether a picture is on show, not words."""
        return self._stack.currentIndex() == 1

    def _picture_painted(self, arrived_s: float) -> None:
        if self.on_painted is not None:
            self.on_painted(arrived_s)

    def _show_size(self) -> None:
        sensor, spec = self._sensor, self._input
        if sensor is None:
            return
        part = QRectF() if spec is None else crop(sensor, spec)
        whole = part == QRectF(0, 0, *sensor)
        self.canvas.set_crop(QRectF() if whole else part)
        text, tip = f"{sensor.width} × {sensor.height} pixels", ""
        if spec is not None and spec.kind == "video":
            text = f"as the network sees it, {text}"
        if spec is not None and (spec.width, spec.height) != sensor:
            text = f"{sensor.width} × {sensor.height}, scaled to the model's {spec.width} × {spec.height}"
            tip = "The model sees the largest centred part that has its own ratio of sides"
            tip += "." if whole else ": the dashed frame."
        if self._turned:
            text = f"{self._turned} · {text}"
            tip = f"What comes is turned (Camera menu), for the network too. {tip}".strip()
        self.size_note.setText(text)
        self.size_note.setToolTip(tip)

    # Words

    def show_words(self, title: str, hint: str, *, ways: bool = False) -> None:
        """Show words instead of a picture; with the ways to get one, where it's up to the person."""
        self.page.set_words(title, hint, ways=ways)
        self._stack.setCurrentIndex(0)

    def show_welcome(self) -> None:
        """Show the ways to begin."""
        self.show_words(WELCOME, WELCOME_HINT, ways=True)


class Legend(QWidget):
    """What the palette's colours mean."""

    def __init__(self) -> None:
        super().__init__()
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._entries = [(_swatch(), label("", style.text_font(13))) for _ in range(2)]
        for swatch, words in self._entries:
            self._row.addWidget(swatch)
            self._row.addWidget(words)
            self._row.addSpacing(10)

    @property
    def texts(self) -> list[str]:
        """The words that can be read."""
        return [words.text() for _, words in self._entries if not words.isHidden()]

    def set_palette(self, palette: Palette) -> None:
        """Explain these colours."""
        (first, on), (second, off) = self._entries
        second.setVisible(palette.tells_polarity)
        off.setVisible(palette.tells_polarity)
        on.setText("brighter (ON)" if palette.tells_polarity else "ON and OFF alike")
        off.setText("darker (OFF)")
        _colour(first, [palette.on] if palette.tells_polarity else [*palette.between, palette.on])
        _colour(second, [palette.off])


def _swatch() -> QWidget:
    swatch = QFrame()
    swatch.setFixedHeight(10)
    return swatch


def _colour(swatch: QWidget, colours: list[Rgb]) -> None:
    swatch.setFixedWidth(10 if len(colours) == 1 else 56)
    last = max(len(colours) - 1, 1)
    stops = ", ".join(f"stop: {index / last:.3f} {_name(colour)}" for index, colour in enumerate(colours))
    swatch.setStyleSheet(
        f"background: qlineargradient(x1: 0, y1: 0, x2: 1, y2: 0, {stops}); border-radius: 2px;"
    )


def _name(colour: Rgb) -> str:
    return QColor(*colour).name()


def crop(sensor: Resolution, spec: InputSpec) -> QRectF:
    """Return the part of a sensor that a model sees: the Slicer's, in the sensor's pixels."""
    width, height = spec.cropped(*sensor)
    return QRectF((sensor.width - width) // 2, (sensor.height - height) // 2, width, height)
