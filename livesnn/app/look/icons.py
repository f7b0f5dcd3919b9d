"""Icons of our own drawing, on 24 × 24 units. Not here: their colours (style.py)."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

_SCALE = 4  # pixels a unit: sharp at 200 % in twice the size


def _line(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline([QPointF(x, y) for x, y in points])


def _play(painter: QPainter) -> None:
    painter.drawPolygon(QPolygonF([QPointF(8, 5), QPointF(19, 12), QPointF(8, 19)]))


def _pause(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(7, 5, 3.6, 14), 1, 1)
    painter.drawRoundedRect(QRectF(13.4, 5, 3.6, 14), 1, 1)


def _forward(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(5.5, 6, 3, 12), 1, 1)
    painter.drawPolygon(QPolygonF([QPointF(10.5, 6), QPointF(19, 12), QPointF(10.5, 18)]))


def _back(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(15.5, 6, 3, 12), 1, 1)
    painter.drawPolygon(QPolygonF([QPointF(13.5, 6), QPointF(5, 12), QPointF(13.5, 18)]))


def _arc(painter: QPainter, start: int, span: int, box: QRectF | None = None) -> None:
    path = QPainterPath()
    box = box or QRectF(5, 5, 14, 14)
    path.arcMoveTo(box, start)
    path.arcTo(box, start, span)
    painter.drawPath(path)


def _again(painter: QPainter) -> None:
    _arc(painter, 30, -290)
    _line(painter, (18.8, 4.4), (18.2, 8.7), (13.9, 8.2))


def _loop(painter: QPainter) -> None:
    _line(painter, (4, 11), (4, 7.5), (20, 7.5))
    _line(painter, (17, 4.5), (20, 7.5), (17, 10.5))
    _line(painter, (20, 13), (20, 16.5), (4, 16.5))
    _line(painter, (7, 13.5), (4, 16.5), (7, 19.5))


def _chevron(painter: QPainter) -> None:
    _line(painter, (8, 10.5), (12, 14.5), (16, 10.5))


def _close(painter: QPainter) -> None:
    _line(painter, (7, 7), (17, 17))
    _line(painter, (17, 7), (7, 17))


def _camera(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(3.5, 7, 17, 12), 2.5, 2.5)
    painter.drawEllipse(QPointF(12, 13), 3.4, 3.4)
    _line(painter, (8.5, 7), (10, 4.5), (14, 4.5), (15.5, 7))


def _webcam(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(12, 10), 6.2, 6.2)
    painter.drawEllipse(QPointF(12, 10), 2.2, 2.2)
    _line(painter, (12, 16.2), (12, 19.5))
    _line(painter, (7.5, 19.5), (16.5, 19.5))


def _file(painter: QPainter) -> None:
    _line(painter, (3.5, 8), (3.5, 18.5), (20.5, 18.5), (20.5, 8), (12, 8), (10, 5.5), (3.5, 5.5), (3.5, 8))


def _stream(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(12, 17.5), 0.9, 0.9)
    for radius in (4.5, 9.0, 13.0):
        _arc(painter, 45, 90, QRectF(12 - radius, 17.5 - radius, 2 * radius, 2 * radius))


def _demo(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(12, 5.8), 2.3, 2.3)
    _line(painter, (4.5, 8), (9, 11), (15, 11), (19.5, 8))
    _line(painter, (12, 11), (12, 15.5))
    _line(painter, (8.5, 20.5), (12, 15.5), (15.5, 20.5))


def _record(painter: QPainter) -> None:
    painter.drawEllipse(QPointF(12, 12), 6, 6)


def _stop(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(6.5, 6.5, 11, 11), 2, 2)


_FILLED: dict[str, Callable[[QPainter], None]] = {
    "play": _play,
    "pause": _pause,
    "back": _back,
    "forward": _forward,
    "record": _record,
    "stop": _stop,
}
_OUTLINED: dict[str, Callable[[QPainter], None]] = {
    "again": _again,
    "loop": _loop,
    "close": _close,
    "chevron": _chevron,
    "camera": _camera,
    "webcam": _webcam,
    "open": _file,
    "stream": _stream,
    "demo": _demo,
}
NAMES = (*_FILLED, *_OUTLINED)


def icon(name: str, colour: str) -> QIcon:
    """Return the icon of one of `NAMES` in one colour."""
    pixmap = QPixmap(24 * _SCALE, 24 * _SCALE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_SCALE, _SCALE)
    if name in _FILLED:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour))
        _FILLED[name](painter)
    else:
        painter.setPen(QPen(QColor(colour), 1.8, c=Qt.PenCapStyle.RoundCap, j=Qt.PenJoinStyle.RoundJoin))
        _OUTLINED[name](painter)
    painter.end()
    return QIcon(pixmap)
