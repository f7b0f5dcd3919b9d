"""How the window looks now: the theme in use, its colours, fonts, icons. Not here: what is shown where.

``style.TEXT`` is the ``text`` of the theme in use, looked up at each read, and so for every other colour of
`themes.Theme`: read them while painting, never keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QAbstractButton, QApplication, QWidget

from livesnn.app.look import icons
from livesnn.app.look.sheet import palette, style_sheet
from livesnn.app.look.themes import DARK, LIGHT
from livesnn.app.settings import ThemeName

Tone = Literal["text", "soft", "faint", "accent", "warning", "danger", "on_accent"]

SURFACE: str
RAISED: str
LINE: str
TEXT: str
SOFT: str
FAINT: str
ACCENT: str
NEUTRAL: str
WARNING: str

_CHOICE = "livesnn_theme"  # properties of the application and of buttons
_ICON = "livesnn_icon"
_theme = DARK

if not TYPE_CHECKING:  # the names above are all there are

    def __getattr__(name: str) -> str:
        """Return a colour of the theme in use."""
        if name.isupper() and hasattr(_theme, name.lower()):
            return getattr(_theme, name.lower())
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def use(name: ThemeName, application: QApplication) -> None:
    """Give every window of the application this theme, now; "system" is as the desktop says, and follows it."""
    global _theme
    hints = application.styleHints()
    if application.property(_CHOICE) is None:
        hints.colorSchemeChanged.connect(_follow_system)
    application.setProperty(_CHOICE, name)
    hints.setColorScheme(_SCHEMES[name])  # for what the desktop paints: title bars
    light = name == "light" or (name == "system" and hints.colorScheme() == Qt.ColorScheme.Light)
    _theme = LIGHT if light else DARK
    application.setStyle("Fusion")
    application.setPalette(palette(_theme))
    application.setStyleSheet(style_sheet(_theme))
    for widget in application.allWidgets():
        if isinstance(widget, QAbstractButton) and widget.property(_ICON):
            set_icon(widget, *widget.property(_ICON))


_SCHEMES = {
    "dark": Qt.ColorScheme.Dark,
    "light": Qt.ColorScheme.Light,
    "system": Qt.ColorScheme.Unknown,
}


def _follow_system() -> None:
    application = QApplication.instance()
    if isinstance(application, QApplication) and application.property(_CHOICE) == "system":
        use("system", application)


def class_colour(index: int) -> QColor:
    """Return the colour of a class by its place in the model's list; after twelve they come again."""
    return QColor(_theme.classes[index % len(_theme.classes)])


def ink_on(ground: QColor) -> QColor:
    """Return black or white, whichever reads better on a ground."""
    return max((QColor("#000000"), QColor("#ffffff")), key=lambda ink: contrast(ground, ink))


def contrast(one: QColor, other: QColor) -> float:
    """Return the contrast of two colours, 1..21 (WCAG 2.1)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: QColor) -> float:
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.redF(), colour.greenF(), colour.blueF())
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def set_tone(widget: QWidget, tone: Tone) -> None:
    """Let a label's words, or a dot, have a colour of the theme, whichever is in use."""
    set_rule(widget, "tone", tone)


def set_rule(widget: QWidget, name: str, value: str) -> None:
    """Set a property that the style sheet looks at."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().polish(widget)


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


def set_icon(button: QAbstractButton, name: str, tone: Tone = "text", pixels: int = 20) -> None:
    """Give a button an icon (icons.NAMES) that follows the theme; ``pixels`` is its size."""
    button.setProperty(_ICON, (name, tone, pixels))
    button.setIcon(icons.icon(name, getattr(_theme, tone)))
    button.setIconSize(QSize(pixels, pixels))
