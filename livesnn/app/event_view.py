"""The event view: the newest picture, as large as fits, and words when there is none."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsRectItem,
    QHBoxLayout,
    QLabel,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.accumulator import DEFAULT_PALETTE, Palette, Rgb
from livesnn.app.views import label
from livesnn.events import Resolution


class EventView(QFrame):
    """Shows pictures uint8 [H, W, 3]; the ratio of sides is kept and pixels stay crisp."""

    def __init__(self, palette: Palette = DEFAULT_PALETTE) -> None:
        super().__init__()
        self.setObjectName("stage")
        self.shown = 0  # pictures put on show so far
        self._shape: tuple[int, ...] = ()
        self._input: Resolution | None = None
        self._title, self._hint, words = _words()
        self._image = pg.ImageItem(axisOrder="row-major")
        self._edge = QGraphicsRectItem()
        self._edge.setPen(pg.mkPen(style.LINE))
        self._box = _box()
        self._box.addItem(self._image)
        self._box.addItem(self._edge)
        self.canvas = canvas = pg.GraphicsView(background=style.EVENT_BACKGROUND)
        canvas.setCentralItem(self._box)
        canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        canvas.setAcceptDrops(False)  # a dropped file is the window's
        self.size_note = label("", style.text_font(13), style.FAINT)
        picture = QWidget()
        column = QVBoxLayout(picture)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(canvas, 1)
        column.addLayout(_legend(palette, self.size_note))
        self._stack = QStackedLayout()
        self._stack.addWidget(words)
        self._stack.addWidget(picture)
        frame = QVBoxLayout(self)
        frame.setContentsMargins(14, 14, 14, 12)
        frame.addLayout(self._stack)

    def show_picture(self, rgb: npt.NDArray[np.uint8]) -> None:
        """Show a picture uint8 [H, W, 3], which must not be changed afterwards."""
        self._image.setImage(rgb, autoLevels=False, levels=None)
        if rgb.shape != self._shape:
            self._shape = rgb.shape
            height, width, _ = rgb.shape
            self._edge.setRect(0, 0, width, height)
            self._box.setRange(xRange=(0, width), yRange=(0, height), padding=0.005)
            self._show_size()
        self._stack.setCurrentIndex(1)
        self.shown += 1

    def set_input(self, size: Resolution | None) -> None:
        """Say that the model sees the pictures scaled to this size; None: there is no model."""
        self._input = size
        self._show_size()

    def _show_size(self) -> None:
        if not self._shape:
            return
        height, width, _ = self._shape
        size = self._input
        if size is None or size == (width, height):
            self.size_note.setText(f"{width} × {height} pixels")
            self.size_note.setToolTip("")
            return
        self.size_note.setText(f"{width} × {height}, scaled to the model's {size.width} × {size.height}")
        self.size_note.setToolTip("The model sees the largest centred part that has its own ratio of sides.")

    def show_words(self, title: str, hint: str) -> None:
        """Show words instead of a picture."""
        self._title.setText(title)
        self._hint.setText(hint)
        self._stack.setCurrentIndex(0)

    @property
    def words(self) -> tuple[str, str]:
        """Title and hint shown while there is no picture."""
        return self._title.text(), self._hint.text()

    @property
    def has_picture(self) -> bool:
        """Whether a picture is on show, not words."""
        return self._stack.currentIndex() == 1


def _box() -> pg.ViewBox:
    return pg.ViewBox(lockAspect=True, invertY=True, enableMouse=False, enableMenu=False, defaultPadding=0)


def _words() -> tuple[QLabel, QLabel, QWidget]:
    title = label("", style.text_font(26, weight=QFont.Weight.DemiBold))
    hint = label("", style.text_font(15), style.SOFT)
    page = QWidget()
    column = QVBoxLayout(page)
    column.setSpacing(10)
    column.addStretch(1)
    for widget in (title, hint):
        widget.setAlignment(Qt.AlignmentFlag.AlignCenter)
        widget.setWordWrap(True)
        column.addWidget(widget)
    column.addStretch(1)
    return title, hint, page


def _legend(palette: Palette, size: QLabel) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    for words, colour in (("brighter (ON)", palette.on), ("darker (OFF)", palette.off)):
        row.addWidget(_swatch(colour))
        row.addWidget(label(words, style.text_font(13), style.SOFT))
        row.addSpacing(10)
    row.addStretch(1)
    row.addWidget(size)
    return row


def _swatch(colour: Rgb) -> QWidget:
    swatch = QWidget()
    swatch.setFixedSize(10, 10)
    swatch.setStyleSheet(f"background: {QColor(*colour).name()}; border-radius: 2px;")
    return swatch
