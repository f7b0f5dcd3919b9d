"""Words where there is no picture, and the ways to get one. Not here: what is opened then (main_window.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QAbstractButton,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from livesnn.app.look import icons, style
from livesnn.app.widgets.parts import label

_BELOW = int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop | Qt.TextFlag.TextWordWrap)
_BESIDE = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_ICON = 40  # pixels


@dataclass(frozen=True)
class Way:
    """A way to get a picture: the name of its action and icon, and what a person reads, long and short."""

    name: str
    title: str
    hint: str
    short: str


WAYS = (
    Way("camera", "Event camera", "Connect one by USB", "Camera"),
    Way("open", "Open a recording", "Or drop it on this window", "Recording"),
    Way("webcam", "Use a webcam", "Events are made of its pictures", "Webcam"),
    Way("stream", "Network stream", "Events from another computer", "Stream"),
)
DEMO = Way("demo", "Watch the demo", "Nothing to connect: see the network decide", "Demo")
Choose = Callable[[str], None]
"""Told the name of the way that is chosen."""


class Choice(QAbstractButton):
    """A large button: icon, title and hint; below each other, or side by side where it is ``wide``.

    Where it is too low for the hint, that is the tooltip alone.
    """

    def __init__(self, way: Way, *, wide: bool = False) -> None:
        super().__init__()
        self._way = way
        self._wide = wide
        self.setText(way.title)
        self.setToolTip(way.hint)
        self.setAccessibleDescription(way.hint)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for every word."""
        return QSize(200, 64 if self._wide else 156)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for icon and title."""
        return QSize(90, 48 if self._wide else 92)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Choose with Enter too, as with the space bar."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's name)
        """Paint in the colours of the moment."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lively = self.underMouse() or self.hasFocus()
        painter.setBrush(QColor(style.RAISED if self.isDown() else style.SURFACE))
        painter.setPen(QPen(QColor(style.ACCENT if lively else style.LINE), 2 if self.hasFocus() else 1.2))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 14, 14)
        icon, title, hint = self._places()
        icons.icon(self._way.name, style.ACCENT).paint(painter, icon)
        flags = _BESIDE if self._wide else _BELOW
        painter.setFont(style.text_font(16, weight=QFont.Weight.DemiBold))
        painter.setPen(QColor(style.TEXT))
        fits = painter.fontMetrics().horizontalAdvance(self._way.title) <= title.width()
        painter.drawText(title, flags, self._way.title if fits else self._way.short)
        painter.setFont(style.text_font(13))
        painter.setPen(QColor(style.SOFT))
        painter.drawText(hint, flags, self._way.hint)
        painter.end()

    def _places(self) -> tuple[QRect, QRect, QRect]:
        """Return where icon, title and hint are; an empty hint where there is no room."""
        width, height = self.width(), self.height()
        roomy = height >= (60 if self._wide else 145)
        if not self._wide:
            top = 22 if roomy else (height - _ICON - 26) // 2
            title = QRect(3, top + _ICON + (14 if roomy else 2), width - 6, 24)
            hint = QRect(12, title.bottom() + 3, width - 24, height - title.bottom() - 8)
            return QRect((width - _ICON) // 2, top, _ICON, _ICON), title, hint if roomy else QRect()
        icon = QRect(22, (height - _ICON) // 2, _ICON, _ICON)
        title = QRect(80, height // 2 - (23 if roomy else 12), width - 92, 24)
        return icon, title, title.translated(0, 23) if roomy else QRect()


class WordsPage(QWidget):
    """A title, a hint, and the ways to get a picture where they are of use."""

    def __init__(self, choose: Choose) -> None:
        super().__init__()
        self.title = label("", style.text_font(26, weight=QFont.Weight.DemiBold), wrap=True)
        self.hint = label("", style.text_font(15), "soft", wrap=True)
        self.choices = {way.name: Choice(way, wide=way is DEMO) for way in (*WAYS, DEMO)}
        for name, choice in self.choices.items():
            choice.clicked.connect(lambda _=False, name=name: choose(name))
        self._ways = self._offer()
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 12, 20, 12)
        column.setSpacing(8)
        column.addStretch(1)
        for words in (self.title, self.hint):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
            column.addWidget(words)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self._ways, 1000)  # as wide as it may be
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(1)

    def _offer(self) -> QWidget:
        ways = QWidget()
        ways.setMaximumWidth(720)
        column = QVBoxLayout(ways)
        column.setContentsMargins(0, 20, 0, 0)
        column.setSpacing(12)
        row = QHBoxLayout()
        row.setSpacing(12)
        for way in WAYS:
            row.addWidget(self.choices[way.name])
        column.addLayout(row)
        column.addWidget(self.choices[DEMO.name])
        return ways

    def set_words(self, title: str, hint: str, *, ways: bool) -> None:
        """Show these words, with or without the ways."""
        self.title.setText(title)
        self.hint.setText(hint)
        self._ways.setVisible(ways)


class WaysStrip(QWidget):
    """One line above the demo: that it is one, and the same ways as small buttons."""

    def __init__(self, choose: Choose) -> None:
        super().__init__()
        self.words = label("This is a simulated person. Connect:", style.text_font(14), wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.buttons = {way.name: QPushButton(way.short) for way in WAYS}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        for way in WAYS:
            button = self.buttons[way.name]
            button.setFixedHeight(30)
            button.setFont(style.text_font(13))
            button.setToolTip(way.title)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, name=way.name: choose(name))
            row.addWidget(button)
