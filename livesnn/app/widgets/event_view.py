"""The picture of events, with zoom and legend; and where there is none, the ways to get one.

Its pixels and their colours come from events/picture.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.widgets.basics import RIGHT, STRETCH, button, elided, fill, help_button, label, rgb_image, write
from livesnn.card import InputSpec
from livesnn.events.packet import Resolution
from livesnn.events.picture import DEFAULT_PALETTE, Palette, Rgb

LARGEST_ZOOM = 64.0
LEAST_LOSS = 0.01  # share of the events that is worth a word
NOTCHES_TO_DOUBLE = 3  # of a mouse's wheel
_NOTCH = 120  # Qt's unit: eighths of a degree
LEAST_PICTURE, ROOMY = 150, 250  # height of the view: at least, and with more than the picture, pixels
_MARGIN = 1.0  # pixels of the screen around the whole picture, for its edge
_NEWS_MS = 4000


class PictureCanvas(QWidget):
    """Shows a picture as large as it fits, or a part of it larger, in its own proportions and with crisp pixels.

    Points of the picture are in its pixels as shown, that is after mirroring. Around it is the palette's background.
    """

    painted = Signal(float)
    """Emitted with a picture's ``arrived_s`` once it is painted for the first time; one that is replaced before the
    screen refreshes never is."""

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.mirrored = False
        self.framed = True  # whether the picture's edge is shown
        self.zoom = 1.0  # 1: the whole picture
        self._palette = palette
        self._image = QImage()
        self._crop = QRectF()
        self._changes: list[str] = []
        self._loss = self._news = ""
        self._read = QTimer(self, singleShot=True, interval=_NEWS_MS)
        self._read.timeout.connect(lambda: self.tell(""))
        self._centre = QPointF()  # the point of the picture in the middle of the widget
        self._arrived_s: float | None = None  # of a picture not painted yet
        self._held_at: QPointF | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # nothing behind it needs painting
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(640, 480)

    def show_picture(self, rgb: npt.NDArray[np.uint8], arrived_s: float) -> None:
        """Show a copy of a picture uint8 [H, W, 3]; after one of another size, show it whole."""
        last, self._image = self._image, rgb_image(np.ascontiguousarray(rgb))
        self._arrived_s = arrived_s
        if self._image.size() != last.size():
            self.fit()
        self.update()

    def picture(self, least_pixels: int) -> QImage:
        """Return the whole picture as shown, each pixel as large a square as keeps its longer side within this.

        It is never smaller than the sensor.
        """
        longer = max(self._image.width(), self._image.height(), 1)
        image = self._image.flipped(Qt.Orientation.Horizontal) if self.mirrored else self._image
        return image.scaled(self._image.size() * max(least_pixels // longer, 1))

    def set_palette(self, palette: Palette) -> None:
        self._palette = palette
        self.update()

    def set_crop(self, crop: QRectF) -> None:
        self._crop = crop
        self.update()

    def set_changes(self, *changes: str) -> None:
        """Say on the picture what is done to the events before the network sees them; "" says nothing."""
        self._changes = [change for change in changes if change]
        self.update()

    def set_loss(self, share: float) -> None:
        """Say on the picture which share of the events is dropped; of less than a hundredth, nothing."""
        loss = f"{share:.0%} of the events dropped: too many to keep up" if share >= LEAST_LOSS else ""
        if loss != self._loss:
            self._loss = loss
            self.update()

    def tell(self, news: str) -> None:
        self._news = news
        self._read.start()
        self.update()

    def set_mirrored(self, mirrored: bool) -> None:
        if mirrored != self.mirrored:
            self.mirrored = mirrored
            self._centre.setX(self._image.width() - self._centre.x())
            self.update()

    @property
    def notes(self) -> list[str]:
        """What the badge on the picture says: what was just done, and why it isn't as the sensor sees it."""
        said = [self._news, *self._changes, self._loss, "mirrored picture" * self.mirrored]
        return [*filter(None, said), *[f"zoom {self.zoom:.1f}×"] * (self.zoom > 1)]

    def fit(self) -> None:
        self.zoom = 1.0
        self._look_at(QPointF())

    def zoom_about(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom by ``factor``; the point of the picture at ``at`` stays there."""
        middle = QPointF(self.width() / 2, self.height() / 2)
        away = (middle if at is None else at) - middle
        held = self._centre + away / self.scale
        self.zoom = min(max(self.zoom * factor, 1.0), LARGEST_ZOOM)
        self._look_at(held - away / self.scale)

    def _look_at(self, centre: QPointF) -> None:
        """Move a point of the picture to the middle, or as near as the picture's edges allow."""
        self._centre = QPointF(
            _inside(centre.x(), self.width() / self.scale, self._image.width()),
            _inside(centre.y(), self.height() / self.scale, self._image.height()),
        )
        if self._held_at is None:
            self.setCursor(Qt.CursorShape.OpenHandCursor if self.zoom > 1 else Qt.CursorShape.ArrowCursor)
        self.update()

    @property
    def scale(self) -> float:
        """Screen pixels per pixel of the picture; 1 without a picture."""
        if self._image.isNull():
            return 1.0
        room_x, room_y = self.width() - 2 * _MARGIN, self.height() - 2 * _MARGIN
        fitting = min(room_x / self._image.width(), room_y / self._image.height())
        return self.zoom * max(fitting, 1e-3)

    @property
    def area(self) -> QRectF:
        """Where the whole picture is, relative to the widget; larger than it when zoomed."""
        scale = self.scale
        middle = QPointF(self.width() / 2, self.height() / 2)
        size = QPointF(self._image.width(), self._image.height()) * scale
        corner = middle - self._centre * scale
        return QRectF(corner, corner + size)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._look_at(self._centre)

    def wheelEvent(self, event: QWheelEvent) -> None:
        notches = event.angleDelta().y() / _NOTCH
        self.zoom_about(2.0 ** (notches / NOTCHES_TO_DOUBLE), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.zoom > 1:
            self._held_at = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held_at is not None:
            moved, self._held_at = event.position() - self._held_at, event.position()
            self._look_at(self._centre - moved / self.scale)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held_at = None
        self._look_at(self._centre)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.fit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(*self._palette.background))
        if not self._image.isNull():
            self._paint_picture(painter)
            self._paint_note(painter)
        painter.end()
        if self._arrived_s is not None:
            arrived_s, self._arrived_s = self._arrived_s, None
            self.painted.emit(arrived_s)

    def _paint_picture(self, painter: QPainter) -> None:
        area, scale = self.area, self.scale
        painter.save()
        if self.mirrored:
            painter.translate(2 * area.center().x(), 0)
            painter.scale(-1, 1)
        painter.drawImage(area, self._image)
        if self.framed:
            painter.setPen(self._ink(40))
            painter.drawRect(area)
        if not self._crop.isEmpty():
            corner = area.topLeft() + self._crop.topLeft() * scale
            painter.setPen(QPen(self._ink(170), 1, Qt.PenStyle.DashLine))
            painter.drawRect(QRectF(corner, self._crop.size() * scale))
        painter.restore()

    def _paint_note(self, painter: QPainter) -> None:
        notes = self.notes
        if not notes:
            return
        painter.setFont(style.text_font(12))
        text = elided(painter, "  ·  ".join(notes), self.width() - 40)
        width = painter.fontMetrics().horizontalAdvance(text) + 20
        pill = QRectF(self.width() - width - 10, 10, width, 24)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(*self._palette.background, 235))
        painter.setPen(self._ink(60))
        painter.drawRoundedRect(pill, 12, 12)
        write(painter, pill, text, self._ink(210), Qt.AlignmentFlag.AlignCenter)

    def _ink(self, alpha: int) -> QColor:
        return QColor(*self._palette.ink, alpha)


def _inside(centre: float, seen: float, size: float) -> float:
    """Return the nearest centre at which a stretch of ``seen`` stays within 0..size; the middle if it is longer."""
    return size / 2 if seen >= size else min(max(centre, seen / 2), size - seen / 2)


WAYS = {  # to get a picture: the name of an action and icon → its words, and a hint
    "camera": ("Event camera", "Connect one by USB"),
    "open": ("Open a recording", "Or drop it on this window"),
    "webcam": ("Use a webcam", "livesnn turns its pictures into events"),
    "stream": ("Network stream", "Events from another computer"),
    "demo": ("Watch the demo", "Needs no camera: see the network decide"),
}


class WordsPage(QWidget):
    """A title, a hint, and where they help the ways to get a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.title = label("", style.bold_font(26), wrap=True)
        self.hint = label("", style.text_font(15), "soft", wrap=True)
        self.choices: dict[str, QPushButton] = {}
        self.ways = QWidget()
        self.ways.setMaximumWidth(560)
        grid = QGridLayout(self.ways)
        grid.setContentsMargins(0, 12, 0, 0)
        for number, (name, (title, hint)) in enumerate(WAYS.items()):
            choice = self.choices[name] = button(title, height=44, pixels=16, name="choice", tip=hint)
            choice.setAccessibleDescription(hint)
            choice.setAutoDefault(True)  # Enter chooses, as the space bar does
            style.set_icon(choice, name, "accent", 28)
            grid.addWidget(choice, number // 2, number % 2, 1, 2 if name == "demo" else 1)
        for words in (self.title, self.hint):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = fill(QHBoxLayout(), STRETCH, (self.ways, 1000), STRETCH, spacing=0)  # as wide as it may be
        parts = (STRETCH, self.title, self.hint, row, STRETCH)
        fill(QVBoxLayout(self), *parts, spacing=8, margins=(20, 12, 20, 12))


class EventView(QFrame):
    """Shows pictures uint8 [H, W, 3], or words with the ways to get one.

    The wheel zooms about the cursor, dragging pans, a double click shows the whole picture again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("stage")
        self.shown = 0  # number of pictures so far
        self._sensor: Resolution | None = None
        self._input: InputSpec | None = None
        self.page = WordsPage()
        self.canvas = PictureCanvas(DEFAULT_PALETTE)
        self.legend = label("", style.text_font(13))
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.size_note = label("", style.text_font(13), wrap=True)
        self.size_note.setAlignment(RIGHT)
        self._picture = QFrame()
        self._picture.setObjectName("picture")
        about = help_button("window.md#the-picture", "the picture")
        self._below = QWidget()
        fill(QHBoxLayout(self._below), self.legend, (self.size_note, 1), about, spacing=10)
        parts = ((self.canvas, 1), self._below)
        self._column = fill(QVBoxLayout(self._picture), *parts, spacing=10, margins=(14, 14, 14, 12))
        self._stack = QStackedLayout(self)
        self._stack.setContentsMargins(1, 1, 1, 1)  # the frame's line
        self._stack.addWidget(self.page)
        self._stack.addWidget(self._picture)
        self.set_palette(DEFAULT_PALETTE)

    def take_canvas_back(self) -> None:
        """Show the canvas here again, after another widget has had it."""
        self._column.insertWidget(0, self.canvas, 1)
        self.canvas.fit()
        self.canvas.show()

    def show_picture(self, rgb: npt.NDArray[np.uint8], arrived_s: float = 0.0) -> None:
        """Show a picture uint8 [H, W, 3]; its newest event arrived at ``arrived_s`` (`time.perf_counter()`)."""
        self.canvas.show_picture(rgb, arrived_s)
        height, width, _ = rgb.shape
        if self._sensor != (width, height):
            self._sensor = Resolution(width, height)
            self._show_size()
        self._stack.setCurrentIndex(1)
        self.shown += 1

    def set_input(self, spec: InputSpec | None) -> None:
        self._input = spec
        self.legend.setVisible(spec is None or spec.kind == "events")
        self._show_size()

    def set_palette(self, palette: Palette) -> None:
        self.canvas.set_palette(palette)
        self.legend.setText(legend_words(palette))
        red, green, blue = palette.ink
        self._picture.setStyleSheet(
            f"QFrame#picture {{ background: {_name(palette.background)}; border-radius: 13px; }}"
            f"QFrame#picture QLabel {{ color: rgba({red}, {green}, {blue}, 165); }}"
        )

    def minimumSizeHint(self) -> QSize:
        least = super().minimumSizeHint()
        return QSize(least.width(), LEAST_PICTURE) if self.has_picture else least

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._below.setVisible(self.height() >= ROOMY)
        super().resizeEvent(event)

    @property
    def has_picture(self) -> bool:
        return self._stack.currentIndex() == 1

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
            text = f"{sensor.width} × {sensor.height}, scaled to {spec.width} × {spec.height}"
            tip = "The model sees the largest centred part with the proportions of its input"
            tip += "." if whole else " (the dashed frame)."
        self.size_note.setText(text)
        self.size_note.setToolTip(tip)

    def show_words(self, title: str, hint: str, *, ways: bool = False) -> None:
        self.page.title.setText(title)
        self.page.hint.setText(hint)
        self.page.ways.setVisible(ways)
        self._stack.setCurrentIndex(0)


def legend_words(palette: Palette) -> str:
    if not palette.tells_polarity:
        return f"{_squares([*palette.between, palette.on])} ON and OFF"
    gap = 3 * "&nbsp;"
    return f"{_squares([palette.on])} brighter (ON){gap}{_squares([palette.off])} darker (OFF)"


def _squares(colours: list[Rgb]) -> str:
    return "".join(f'<span style="color: {_name(colour)}">■</span>' for colour in colours)


def _name(colour: Rgb) -> str:
    return QColor(*colour).name()


def crop(sensor: Resolution, spec: InputSpec) -> QRectF:
    """Return the part of a sensor that a model sees, in pixels of the sensor."""
    width, height = spec.cropped(*sensor)
    return QRectF((sensor.width - width) // 2, (sensor.height - height) // 2, width, height)
