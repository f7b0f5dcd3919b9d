"""The card "Window": the frames of the current window, as the network saw them. Not here: who cuts them."""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy

from livesnn.app.look import style
from livesnn.app.widgets.parts import NOTHING, Card, Painted
from livesnn.card import InputSpec, ModelCard
from livesnn.session.values import Answer
from livesnn.session.view import DEFAULT_PALETTE, FULL_COUNT, Palette

_GAP = 6.0  # pixels between thumbnails
_LARGEST = 96  # pixels: frames with more are shown at half, a third, …
_WINDOW_TIP = (
    "Frames come in windows; each decision is over as many frames as a window has, up to the newest."
)
Bytes = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint32]


class WindowPanel(Card):
    """The frames of the current window, and how many there are."""

    def __init__(self) -> None:
        super().__init__("Window")
        self.strip = FrameStrip()
        self.column.addWidget(self.strip, 1)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Start over, with the windows of this model."""
        self.strip.set_input(None if card is None else card.input)
        self.caption.set_remark(NOTHING)
        self.caption.setToolTip(_WINDOW_TIP if card is None else window_words(card.input))

    def wait(self) -> None:
        """Forget what was shown: a reset has been asked for, and no frame has come since."""
        self.strip.show_frames(())
        self.caption.set_remark(NOTHING)

    def set_palette(self, palette: Palette) -> None:
        """Show events in these colours."""
        self.strip.set_palette(palette)

    def show_answer(self, answer: Answer) -> None:
        """Show the frames of an answer's window."""
        self.strip.show_frames(answer.frames)
        self.caption.set_remark(f"frame {answer.result.frame_in_window} of {self.strip.length}")


class FrameStrip(Painted):
    """One thumbnail a frame of a window, as large as fit, in one row or more; the newest is framed."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 10
        self._ratio = 1.0  # of a frame's width to its height
        self._palette = DEFAULT_PALETTE
        self._shades = shades(DEFAULT_PALETTE)
        self._frames: tuple[Bytes, ...] = ()
        self._images: list[tuple[Pixels, QImage]] = []  # of these frames; a QImage needs its pixels to stay
        self.setMinimumSize(120, 60)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for two rows of small ones."""
        return QSize(380, 112)

    @property
    def seen(self) -> int:
        """How many frames are on show."""
        return len(self._frames)

    def set_input(self, spec: InputSpec | None) -> None:
        """Fit to a model's windows and frames, and show none."""
        self.length = 10 if spec is None else spec.window
        self._ratio = 1.0 if spec is None else spec.width / spec.height
        self.show_frames(())

    def set_palette(self, palette: Palette) -> None:
        """Show events in these colours."""
        self._palette, self._shades = palette, shades(palette)
        frames, self._frames, self._images = self._frames, (), []
        self.show_frames(frames)

    def show_frames(self, frames: tuple[Bytes, ...]) -> None:
        """Show uint8 [C, H, W] each, oldest first; C = 2: counts of OFF and ON events, else brightness."""
        same = 0
        for old, new in zip(self._frames, frames, strict=False):
            if old is not new:
                break
            same += 1
        self._images[same:] = [_image(frame, self._shades) for frame in frames[same:]]
        self._frames = frames
        self.update()

    def boxes(self) -> list[QRectF]:
        """Return where the thumbnails are: in so many rows that they are largest, with the first at the left."""
        rows, width = max(
            ((rows, self._thumbnail_width(rows)) for rows in range(1, self.length + 1)),
            key=lambda fit: fit[1],
        )
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

    def tip_at(self, place: QPointF) -> str:
        """Return which frame it is."""
        for index, box in enumerate(self.boxes()):
            if box.contains(place):
                yet = "" if index < self.seen else ", yet to come"
                return f"Frame {index + 1} of {self.length}{yet}"
        return ""

    def paint(self, painter: QPainter) -> None:
        """Paint the frames, and empty places for those to come."""
        boxes = self.boxes()
        pixels = self._images[0][1].width() if self._images else 0
        shrunk = pixels > boxes[0].width() * self.devicePixelRatioF()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, shrunk)  # else pixels stay crisp
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(style.RAISED))
        for index, box in enumerate(boxes):
            if index < len(self._images):
                painter.drawImage(box, self._images[index][1])
            else:
                painter.drawRect(box)
        if 0 < len(self._images) <= len(boxes):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(style.ACCENT), 2.0, j=Qt.PenJoinStyle.MiterJoin))
            painter.drawRect(boxes[len(self._images) - 1].adjusted(1, 1, -1, -1))


def shades(palette: Palette) -> Pixels:
    """Return the colours of counts, uint32 [FULL_COUNT + 1 OFF, FULL_COUNT + 1 ON], as 0xRRGGBB."""
    levels = np.linspace(0.0, 1.0, FULL_COUNT + 1)
    off, on = (palette.shades(levels, on=polarity) for polarity in (False, True))
    counts = np.arange(FULL_COUNT + 1)
    on_wins = (counts[None, :] >= counts[:, None])[..., None]
    rgb = np.where(on_wins, on[None, :], off[:, None]).round().astype(np.uint32)
    return _packed(rgb)


def _packed(rgb: npt.NDArray[np.uint32]) -> Pixels:
    opaque = np.uint32(0xFF000000)
    return opaque | rgb[..., 0] << np.uint32(16) | rgb[..., 1] << np.uint32(8) | rgb[..., 2]


def picture(frame: Bytes, colours: Pixels) -> Pixels:
    """Return a frame uint8 [C, H, W] as 0xFFRRGGBB [h, w], no larger than `_LARGEST`; the most of a place counts."""
    pool = -(-max(frame.shape[1:]) // _LARGEST)
    height, width = (size // pool for size in frame.shape[1:])
    places = [(y, x) for y in range(pool) for x in range(pool)]
    pooled = reduce(
        np.maximum, (frame[:, y : height * pool : pool, x : width * pool : pool] for y, x in places)
    )
    if len(frame) == 2:
        off, on = np.minimum(pooled, FULL_COUNT)
        return colours.ravel().take(off * np.uint8(FULL_COUNT + 1) + on)
    bright = pooled[:3] if len(frame) >= 3 else np.broadcast_to(pooled[:1], (3, height, width))
    return np.ascontiguousarray(_packed(np.moveaxis(bright, 0, -1).astype(np.uint32)))


def _image(frame: Bytes, colours: Pixels) -> tuple[Pixels, QImage]:
    pixels = picture(frame, colours)
    height, width = pixels.shape
    return pixels, QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)


def window_words(spec: InputSpec) -> str:
    """Say what a window of this model is."""
    rule = spec.slice
    if rule.delta_t_us is None:
        frames = f"frames of {rule.n_events:,} events"
    else:
        frames = f"frames of {rule.delta_t_us / 1000:g} ms ({spec.window * rule.delta_t_us / 1e6:.2f} s)"
    return f"A window is {spec.window} {frames}. {_WINDOW_TIP}"
