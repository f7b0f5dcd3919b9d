"""How the window looks: colours, fonts, the style sheet, icons. Not here: what is shown where."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QApplication

BACKGROUND = "#12161f"
SURFACE = "#1a202c"
RAISED = "#252d3c"
LINE = "#2c3546"
TEXT = "#f1f4f9"
SOFT = "#a9b4c6"
FAINT = "#6d7a90"
ACCENT = "#4fd8bd"
ACCENT_DARK = "#1f5b54"
WARNING = "#ffb454"
DANGER_SURFACE = "#43222a"
DANGER = "#ff8f9a"
EVENT_BACKGROUND = "#0b0e14"  # the palettes' background (accumulator.py)

STYLE_SHEET = f"""
QMainWindow, QWidget#root {{ background: {BACKGROUND}; }}
QWidget {{ color: {TEXT}; }}
QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {LINE}; padding: 4px; }}
QFrame#card {{ background: {SURFACE}; border-radius: 14px; }}
QFrame#stage {{ background: {EVENT_BACKGROUND}; border: 1px solid {LINE}; border-radius: 14px; }}
QFrame#banner {{ background: {DANGER_SURFACE}; border: 1px solid #7c3843; border-radius: 10px; }}
QFrame#banner[kind="warning"] {{ background: #3b3120; border-color: #6f5a2e; }}
QFrame#banner QLabel {{ color: #fbeee6; }}
QFrame#rule {{ background: {LINE}; }}
QPushButton {{ background: {RAISED}; border: 1px solid {LINE}; border-radius: 9px; padding: 0 14px; }}
QPushButton:hover, QComboBox:hover {{ background: #303a4d; }}
QPushButton:pressed {{ background: #1f2633; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ background: {SURFACE}; color: {FAINT}; }}
QPushButton:checked {{ background: {ACCENT_DARK}; border-color: {ACCENT}; }}
QPushButton#icon {{ padding: 0; }}
QDialog QPushButton {{ padding: 7px 14px; }}
QDialog QToolButton {{ background: #5c6b84; border-radius: 5px; }}
QPushButton:checked:disabled {{ background: {SURFACE}; border-color: {LINE}; }}
QPushButton#play {{ background: {ACCENT}; border: none; border-radius: 21px; padding: 0; }}
QPushButton#play:hover {{ background: #74e6d0; }}
QPushButton#play:focus {{ border: 2px solid {TEXT}; }}
QPushButton#play:disabled {{ background: {RAISED}; }}
QComboBox {{ background: {RAISED}; border: 1px solid {LINE}; border-radius: 9px; padding: 0 6px 0 12px; }}
QComboBox:focus {{ border-color: {ACCENT}; }}
QComboBox:disabled {{ background: {SURFACE}; color: {FAINT}; }}
QComboBox::drop-down {{ border: none; width: 18px; }}
QComboBox QAbstractItemView {{ background: {RAISED}; border: 1px solid {LINE}; outline: none;
  selection-background-color: {ACCENT_DARK}; }}
QSlider {{ min-height: 24px; }}
QSlider::groove:horizontal {{ height: 6px; border-radius: 3px; background: {RAISED}; }}
QSlider::sub-page:horizontal {{ height: 6px; border-radius: 3px; background: {ACCENT}; }}
QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -5px 0; border-radius: 8px;
  background: {TEXT}; }}
QSlider::handle:horizontal:hover {{ background: {ACCENT}; }}
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {{ background: {RAISED}; }}
"""


def dress(application: QApplication) -> None:
    """Make everything Qt paints dark, dialogs too, wherever the system's own style is light."""
    application.setStyle("Fusion")
    application.setPalette(_palette())


def _palette() -> QPalette:
    palette, role = QPalette(), QPalette.ColorRole
    colours = {
        role.Window: SURFACE,
        role.WindowText: TEXT,
        role.Base: BACKGROUND,
        role.AlternateBase: SURFACE,
        role.Text: TEXT,
        role.PlaceholderText: FAINT,
        role.Button: RAISED,
        role.ButtonText: TEXT,
        role.BrightText: DANGER,
        role.ToolTipBase: RAISED,
        role.ToolTipText: TEXT,
        role.Highlight: ACCENT_DARK,
        role.HighlightedText: TEXT,
        role.Link: ACCENT,
        role.Light: "#3a465b",
        role.Midlight: LINE,
        role.Mid: LINE,
        role.Dark: EVENT_BACKGROUND,
        role.Shadow: EVENT_BACKGROUND,
    }
    for which, colour in colours.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(FAINT))
    return palette


def text_font(pixels: int, *, weight: QFont.Weight = QFont.Weight.Normal, spacing: float = 0.0) -> QFont:
    """Return the system's font with digits of one width, so that changing numbers don't jitter."""
    font = QFont()
    font.setPixelSize(pixels)
    font.setWeight(weight)
    font.setFeature(QFont.Tag("tnum"), 1)
    if spacing:
        font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, spacing)
    return font


def caption_font() -> QFont:
    """Return the small font of captions above a value."""
    return text_font(12, weight=QFont.Weight.DemiBold, spacing=0.4)


def readable(label: str) -> str:
    """Return a class label as a person writes it: hand_clapping becomes "Hand clapping"."""
    words = label.replace("_", " ")
    return words[:1].upper() + words[1:]


def _play(painter: QPainter) -> None:
    painter.drawPolygon(QPolygonF([QPointF(8, 5), QPointF(19, 12), QPointF(8, 19)]))


def _pause(painter: QPainter) -> None:
    painter.drawRoundedRect(QRectF(7, 5, 3.6, 14), 1, 1)
    painter.drawRoundedRect(QRectF(13.4, 5, 3.6, 14), 1, 1)


def _arc(painter: QPainter, start: int, span: int) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath()
    box = QRectF(5, 5, 14, 14)
    path.arcMoveTo(box, start)
    path.arcTo(box, start, span)
    painter.drawPath(path)


def _reset(painter: QPainter) -> None:
    _arc(painter, 150, 290)
    painter.drawPolyline([QPointF(5.2, 4.4), QPointF(5.8, 8.7), QPointF(10.1, 8.2)])


def _again(painter: QPainter) -> None:
    _arc(painter, 30, -290)
    painter.drawPolyline([QPointF(18.8, 4.4), QPointF(18.2, 8.7), QPointF(13.9, 8.2)])


def _loop(painter: QPainter) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline([QPointF(4, 11), QPointF(4, 7.5), QPointF(20, 7.5)])
    painter.drawPolyline([QPointF(17, 4.5), QPointF(20, 7.5), QPointF(17, 10.5)])
    painter.drawPolyline([QPointF(20, 13), QPointF(20, 16.5), QPointF(4, 16.5)])
    painter.drawPolyline([QPointF(7, 13.5), QPointF(4, 16.5), QPointF(7, 19.5)])


def _chevron(painter: QPainter) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolyline([QPointF(8, 10.5), QPointF(12, 14.5), QPointF(16, 10.5)])


def _close(painter: QPainter) -> None:
    painter.drawLine(QPointF(7, 7), QPointF(17, 17))
    painter.drawLine(QPointF(17, 7), QPointF(7, 17))


_SHAPES: dict[str, tuple[Callable[[QPainter], None], bool]] = {  # name → how to draw it, filled or outlined
    "play": (_play, True),
    "pause": (_pause, True),
    "again": (_again, False),
    "reset": (_reset, False),
    "loop": (_loop, False),
    "close": (_close, False),
    "chevron": (_chevron, False),
}


def icon(name: str, colour: str = TEXT) -> QIcon:
    """Return an icon of our own drawing, 24×24 at up to 200 % scaling."""
    draw, filled = _SHAPES[name]
    pixmap = QPixmap(48, 48)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(2.0, 2.0)
    pen = QPen(QColor(colour), 1.9, c=Qt.PenCapStyle.RoundCap, j=Qt.PenJoinStyle.RoundJoin)
    painter.setPen(Qt.PenStyle.NoPen if filled else pen)
    painter.setBrush(QColor(colour))
    draw(painter)
    painter.end()
    return QIcon(pixmap)
