"""Paints one picture of events: zoom, pan, mirror, the outline of what the model sees. Not here: words, legend."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from livesnn.app.look import style
from livesnn.session.view import Palette

LARGEST_ZOOM = 64.0
NOTCHES_TO_DOUBLE = 3  # of a mouse's wheel
_NOTCH = 120  # Qt's unit: eighths of a degree
_MARGIN = 1.0  # pixels of the screen around the whole picture, for its edge


class PictureCanvas(QWidget):
    """Shows a picture as large as fits, or a part of it larger; the ratio of sides is kept, pixels stay crisp.

    Points of the picture are in its pixels as shown: where it is mirrored, x counts from the person's side.

    Parameters
    ----------
    palette
        Whose background and ink are used around the picture.
    painted
        Called after a picture was painted for the first time, with its ``arrived_s``.
    """

    def __init__(self, palette: Palette, painted: Callable[[float], None]) -> None:
        super().__init__()
        self.mirrored = False
        self.zoom = 1.0  # 1: the whole picture
        self._palette = palette
        self._painted = painted
        self._image = QImage()
        self._crop = QRectF()
        self._centre = QPointF()  # the point of the picture in the middle of the widget
        self._arrived_s: float | None = None  # of a picture not painted yet
        self._held_at: QPointF | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # nothing behind it needs painting
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return a common sensor's size."""
        return QSize(640, 480)

    # What is shown

    def show_picture(self, rgb: npt.NDArray[np.uint8], arrived_s: float) -> None:
        """Show a picture uint8 [H, W, 3], which is copied; one of another size is shown whole."""
        height, width, _ = rgb.shape
        pixels = np.ascontiguousarray(rgb)
        image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        another = self._image.size() != image.size()
        self._image = image.convertToFormat(QImage.Format.Format_RGB32)  # painted four times as fast
        self._arrived_s = arrived_s
        if another:
            self.fit()
        self.update()

    def set_palette(self, palette: Palette) -> None:
        """Take another background and ink."""
        self._palette = palette
        self.update()

    def set_crop(self, crop: QRectF) -> None:
        """Outline this part of the picture, in the sensor's own pixels; an empty one is not outlined."""
        self._crop = crop
        self.update()

    def set_mirrored(self, mirrored: bool) -> None:
        """Exchange left and right, and go on showing the same part."""
        if mirrored != self.mirrored:
            self.mirrored = mirrored
            self._centre.setX(self._image.width() - self._centre.x())
            self.update()

    # Zoom and pan

    def fit(self) -> None:
        """Show the whole picture."""
        self.zoom = 1.0
        self._look_at(QPointF())

    def zoom_about(self, factor: float, at: QPointF | None = None) -> None:
        """Show a part smaller or larger by ``factor``, what is at a point of the widget stays there."""
        middle = QPointF(self.width() / 2, self.height() / 2)
        away = (middle if at is None else at) - middle
        held = self._centre + away / self.scale
        self.zoom = min(max(self.zoom * factor, 1.0), LARGEST_ZOOM)
        self._look_at(held - away / self.scale)

    def _look_at(self, centre: QPointF) -> None:
        """Move a point of the picture to the middle, or near it: no more of what is around is seen than must be."""
        self._centre = QPointF(
            _inside(centre.x(), self.width() / self.scale, self._image.width()),
            _inside(centre.y(), self.height() / self.scale, self._image.height()),
        )
        if self._held_at is None:
            self.setCursor(Qt.CursorShape.OpenHandCursor if self.zoom > 1 else Qt.CursorShape.ArrowCursor)
        self.update()

    @property
    def scale(self) -> float:
        """Pixels of the screen a pixel of the picture; 1 where there is no picture."""
        if self._image.isNull():
            return 1.0
        room_x, room_y = self.width() - 2 * _MARGIN, self.height() - 2 * _MARGIN
        fitting = min(room_x / self._image.width(), room_y / self._image.height())
        return self.zoom * max(fitting, 1e-3)

    @property
    def area(self) -> QRectF:
        """Where the whole picture is on the widget; outside it where zoomed."""
        scale = self.scale
        middle = QPointF(self.width() / 2, self.height() / 2)
        size = QPointF(self._image.width(), self._image.height()) * scale
        corner = middle - self._centre * scale
        return QRectF(corner, corner + size)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Keep the same point in the middle, as far as there is picture around it."""
        self._look_at(self._centre)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Zoom about the cursor."""
        notches = event.angleDelta().y() / _NOTCH
        self.zoom_about(2.0 ** (notches / NOTCHES_TO_DOUBLE), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Take hold of the picture."""
        if event.button() == Qt.MouseButton.LeftButton and self.zoom > 1:
            self._held_at = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Move the picture along."""
        if self._held_at is not None:
            moved, self._held_at = event.position() - self._held_at, event.position()
            self._look_at(self._centre - moved / self.scale)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Let go of it."""
        self._held_at = None
        self._look_at(self._centre)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's name)
        """Show the whole picture."""
        self.fit()

    # Painting

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint the picture, its edge, the outline of the crop and a note in the corner."""
        painter = QPainter(self)
        painter.fillRect(event.rect(), QColor(*self._palette.background))
        if not self._image.isNull():
            self._paint_picture(painter)
            self._paint_note(painter)
        painter.end()
        if self._arrived_s is not None:
            arrived_s, self._arrived_s = self._arrived_s, None
            self._painted(arrived_s)

    def _paint_picture(self, painter: QPainter) -> None:
        area, scale = self.area, self.scale
        painter.save()
        if self.mirrored:
            painter.translate(2 * area.center().x(), 0)
            painter.scale(-1, 1)
        painter.drawImage(area, self._image)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(self._ink(40))
        painter.drawRect(area)
        if not self._crop.isEmpty():
            corner = area.topLeft() + self._crop.topLeft() * scale
            painter.setPen(QPen(self._ink(170), 1, Qt.PenStyle.DashLine))
            painter.drawRect(QRectF(corner, self._crop.size() * scale))
        painter.restore()

    def _paint_note(self, painter: QPainter) -> None:
        notes = ["mirrored picture"] * self.mirrored + [f"zoom {self.zoom:.1f}×"] * (self.zoom > 1)
        if not notes:
            return
        painter.setFont(style.text_font(12))
        text = "  ·  ".join(notes)
        width = painter.fontMetrics().horizontalAdvance(text) + 20
        pill = QRectF(self.width() - width - 10, 10, width, 24)
        ground = QColor(*self._palette.background)
        ground.setAlpha(235)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(ground)
        painter.setPen(self._ink(60))
        painter.drawRoundedRect(pill, 12, 12)
        painter.setPen(self._ink(210))
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, text)

    def _ink(self, alpha: int) -> QColor:
        return QColor(*self._palette.ink, alpha)


def _inside(centre: float, seen: float, size: float) -> float:
    """Return the nearest centre of a window of ``seen`` that stays within 0..size; the middle if it's larger."""
    return size / 2 if seen >= size else min(max(centre, seen / 2), size - seen / 2)
