"""The ways to get a picture: a page of words and large buttons where there is none, and a strip above the demo."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import RIGHT, STRETCH, button, fill, label

_ICON = 40  # pixels
_HINT_FITS = 130  # least width of a button with a hint, pixels
_APART = 8  # space between the parts of the strip, pixels
SIMULATED, OPEN_ELSE = "This person is simulated.", " Open something else:"


@dataclass(frozen=True)
class Way:
    """A way to get a picture: the name of its action and icon, and its words, long and short."""

    name: str
    title: str
    hint: str
    short: str


WAYS = (
    Way("camera", "Event camera", "Connect one by USB", "Camera"),
    Way("open", "Open a recording", "Or drop it on this window", "Recording"),
    Way("webcam", "Use a webcam", "livesnn turns its pictures into events", "Webcam"),
    Way("stream", "Network stream", "Events from another computer", "Stream"),
)
DEMO = Way("demo", "Watch the demo", "Needs no camera: see the network decide", "Demo")


class Choice(QPushButton):
    """A large button with icon, title and hint; one below the other, or side by side if it is ``wide``.

    Where it is too low for the hint, only the tooltip has it.
    """

    def __init__(self, way: Way, *, wide: bool = False) -> None:
        super().__init__()
        self.setObjectName("choice")
        self.setToolTip(way.hint)
        self.setAccessibleName(way.title)
        self.setAccessibleDescription(way.hint)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAutoDefault(True)  # Enter chooses, as the space bar does
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumSize(90, 48 if wide else 92)
        self._roomy = QSize(200, 64 if wide else 156)
        title = label(way.title, style.bold_font(16), wrap=not wide)
        self._hint = label(way.hint, style.text_font(13), "soft", wrap=not wide)
        icon = button(height=_ICON, width=_ICON, name="icon_only")
        icon.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        style.set_icon(icon, way.name, "accent", _ICON)
        for part in (icon, title, self._hint):
            part.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        box = QHBoxLayout(self)
        if wide:
            words = fill(QVBoxLayout(), title, self._hint, spacing=0)
            fill(box, icon, (words, 1), spacing=18, margins=(22, 8, 12, 8))
        else:
            for part in (title, self._hint):
                part.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
            column = fill(QVBoxLayout(), icon, title, self._hint, STRETCH, spacing=4)
            column.setAlignment(icon, Qt.AlignmentFlag.AlignHCenter)
            fill(box, column, spacing=0, margins=(3, 14, 3, 0))

    def sizeHint(self) -> QSize:
        return self._roomy

    def hasHeightForWidth(self) -> bool:
        """Return False: it may be lower than its words need."""
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:
        wide, high = event.size().width(), event.size().height()
        self._hint.setVisible(wide >= _HINT_FITS and high >= self._roomy.height() - 11)
        super().resizeEvent(event)


class WordsPage(QWidget):
    """A title, a hint, and where they help the ways to get a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.title = label("", style.bold_font(26), wrap=True)
        self.hint = label("", style.text_font(15), "soft", wrap=True)
        self.choices = {way.name: Choice(way, wide=way is DEMO) for way in (*WAYS, DEMO)}
        self.ways = QWidget()
        self.ways.setMaximumWidth(720)
        others = fill(QHBoxLayout(), *(self.choices[way.name] for way in WAYS), spacing=12)
        fill(QVBoxLayout(self.ways), others, self.choices[DEMO.name], spacing=12, margins=(0, 20, 0, 0))
        for words in (self.title, self.hint):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = fill(QHBoxLayout(), STRETCH, (self.ways, 1000), STRETCH, spacing=0)  # as wide as it may be
        parts = (STRETCH, self.title, self.hint, row, STRETCH)
        fill(QVBoxLayout(self), *parts, spacing=8, margins=(20, 12, 20, 12))


class WaysStrip(QWidget):
    """One line above the demo that says what it is, with the same ways as small buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.words = label("", style.text_font(14), wrap=True)
        self.words.setAlignment(RIGHT)
        self.buttons = {way.name: button(way.short, height=30, pixels=13, name="way", tip=way.title) for way in WAYS}
        fill(QHBoxLayout(self), (self.words, 1), *self.buttons.values(), spacing=_APART)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Say less where all of it would take more than two lines."""
        room = event.size().width() - sum(each.sizeHint().width() + _APART for each in self.buttons.values())
        needed = self.words.fontMetrics().horizontalAdvance(SIMULATED)
        self.words.setText(SIMULATED + (OPEN_ELSE if room > needed + _APART else ""))
        super().resizeEvent(event)
