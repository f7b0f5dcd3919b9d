"""How the window looks: themes, fonts, style sheet and icons."""

from __future__ import annotations

from string import Template
from typing import Literal, get_args

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QFileDialog,
    QHeaderView,
    QToolButton,
    QTreeView,
    QWidget,
)

from livesnn.app.settings import ThemeName
from livesnn.session.verdict import CLASSES_ON_DARK, CLASSES_ON_LIGHT
from livesnn.session.verdict import readable as readable


class Theme:
    """Colours as #rrggbb. Text has a contrast of at least 4.5 on each ground it appears on (WCAG 2.1, AA).

    Grounds: the window's, a card's (``surface``), a button's (``raised``, ``hover``, ``pressed``), the picture's
    (``event_background``; its own is its palette's). Text: the main one, explanations (``soft``), and what may be
    overlooked (``faint``). ``accent`` is what is chosen or playing, ``accent_dark`` a ground of ``text``, ``neutral``
    other bars. ``classes`` are in the model's order (session/verdict.py).
    """

    def __init__(self, *, light: bool) -> None:
        def either(on_dark: str, on_light: str) -> str:
            return on_light if light else on_dark

        self.background = either("#12161f", "#eef1f6")
        self.surface = either("#1a202c", "#ffffff")
        self.raised = either("#252d3c", "#e5e9f0")
        self.hover = either("#303a4d", "#d9dfe9")
        self.pressed = either("#1f2633", "#ccd4e0")
        self.line = either("#2f394b", "#cfd6e1")
        self.text = either("#f1f4f9", "#151a23")
        self.soft = either("#a9b4c6", "#465162")
        self.faint = either("#8c98ad", "#5a6577")
        self.accent = either("#4fd8bd", "#08705f")
        self.accent_hover = either("#74e6d0", "#0a7f6c")
        self.accent_dark = either("#1f5b54", "#bfe6dd")
        self.on_accent = either("#0c1a18", "#ffffff")
        self.neutral = either("#5c6b84", "#9aa6b8")
        self.warning = either("#ffb454", "#854d00")
        self.warning_surface = either("#3b3120", "#fff3dc")
        self.warning_line = either("#6f5a2e", "#e8c88a")
        self.danger = either("#ff8f9a", "#b01c2e")
        self.danger_surface = either("#43222a", "#fde8ea")
        self.danger_line = either("#7c3843", "#eeb0b7")
        self.event_background = either("#0b0e14", "#e3e8f0")
        self.classes = CLASSES_ON_LIGHT if light else CLASSES_ON_DARK


DARK, LIGHT = Theme(light=False), Theme(light=True)


Tone = Literal["text", "soft", "faint", "accent", "warning", "danger", "on_accent"]

_CHOICE = "livesnn_theme"  # names of properties of the application and of buttons
_ICON = "livesnn_icon"
theme = DARK  # The theme in use. Read its colours while painting and never keep them: `use` replaces it.


def use(name: ThemeName, application: QApplication) -> None:
    """Give the application this theme; "system" follows the desktop's."""
    global theme
    hints = application.styleHints()
    if application.property(_CHOICE) is None:
        hints.colorSchemeChanged.connect(_follow_system)
    application.setProperty(_CHOICE, name)
    hints.setColorScheme(_SCHEMES[name])  # for title bars, which the desktop paints
    light = name == "light" or (name == "system" and hints.colorScheme() == Qt.ColorScheme.Light)
    theme = LIGHT if light else DARK
    application.setStyle("Fusion")
    application.setPalette(palette(theme))
    application.setStyleSheet(style_sheet(theme))
    for widget in application.allWidgets():
        if isinstance(widget, QAbstractButton) and widget.property(_ICON):
            set_icon(widget, *widget.property(_ICON))


_SCHEMES = {"dark": Qt.ColorScheme.Dark, "light": Qt.ColorScheme.Light, "system": Qt.ColorScheme.Unknown}


def _follow_system() -> None:
    application = QApplication.instance()
    if isinstance(application, QApplication) and application.property(_CHOICE) == "system":
        use("system", application)


def class_colour(index: int) -> QColor:
    """Return the colour of a class by its place in the model's list; they repeat after twelve."""
    return QColor(theme.classes[index % len(theme.classes)])


def ink_on(ground: QColor) -> QColor:
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


def set_rule(widget: QWidget, name: str, value: str) -> None:
    """Set a property that the style sheet uses, such as the tone of a label or a dot."""
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
    return text_font(12, weight=QFont.Weight.DemiBold, spacing=0.4)


def bold_font(pixels: int) -> QFont:
    return text_font(pixels, weight=QFont.Weight.DemiBold)


def set_icon(button: QAbstractButton, name: str, tone: Tone = "text", pixels: int = 20) -> None:
    """Give a button an icon of `ICONS` that follows the theme; ``pixels`` is its size."""
    button.setProperty(_ICON, (name, tone, pixels))
    button.setIcon(icon(name, getattr(theme, tone)))
    button.setIconSize(QSize(pixels, pixels))


def open_dialog(dialog: QDialog) -> None:
    """Show a dialog, which is deleted when it is closed.

    The buttons of Qt's file dialog get icons that follow the theme, because its own are black on any ground. Its
    columns become wide enough for sizes and dates.
    """
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.open()
    if not isinstance(dialog, QFileDialog):
        return
    for files in dialog.findChildren(QTreeView):
        files.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    for tool in dialog.findChildren(QToolButton):
        if (name := _FILE_DIALOG.get(tool.objectName())) is not None:
            set_icon(tool, name)


_FILE_DIALOG = {  # Qt's names of its buttons → icons.
    "backButton": "left",
    "forwardButton": "right",
    "toParentButton": "up",
    "newFolderButton": "new_folder",
    "listModeButton": "grid",
    "detailModeButton": "lines",
}

# The style sheet. Widgets carry the names and properties.

_RULES = Template("""
QMainWindow, QWidget#root { background: $background; }
QWidget { color: $text; }
QLabel#dot { border-radius: 5px; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QTabBar { background: $background; }
QTabBar::tab { background: transparent; color: $soft; border: 1px solid transparent; border-radius: 8px;
  padding: 5px 4px 5px 12px; margin-right: 4px; min-width: 90px; max-width: 340px; }
QTabBar::tab:selected { background: $surface; color: $text; border-color: $line; }
QTabBar::tab:hover { color: $text; }
QMenuBar { background: $background; padding: 2px 8px; }
QMenuBar::item { background: transparent; padding: 4px 9px; border-radius: 6px; }
QMenuBar::item:selected, QMenuBar::item:pressed { background: $raised; }
QMenu { background: $surface; border: 1px solid $line; padding: 6px; menu-scrollable: 0; }
QMenu::item { padding: 6px 28px 6px 26px; border-radius: 6px; }
QMenu::item:selected { background: $accent_dark; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 5px 8px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $line; }
QFrame#card { background: $surface; border-radius: 14px; }
QDockWidget, QDockWidget > QWidget { background: $background; }
QMainWindow::separator { background: transparent; width: 8px; height: 8px; }
QMainWindow::separator:hover { background: $line; }
QFrame#stage { background: $event_background; border: 1px solid $line; border-radius: 14px; }
QFrame#banner { background: $danger_surface; border: 1px solid $danger_line; border-radius: 10px; }
QFrame#banner[kind="warning"], QFrame#banner[kind="waiting"] {
  background: $warning_surface; border-color: $warning_line; }
QFrame#banner[kind="info"] { background: $surface; border-color: $line; }
QFrame#banner QPushButton { background: transparent; border-color: transparent; }
QFrame#banner QPushButton:hover, QFrame#banner QPushButton:focus { border-color: $text; }
QFrame#banner QPushButton#do { color: $accent; border-color: $line; }
QPushButton { background: $raised; border: 1px solid $line; border-radius: 9px; padding: 0 14px; }
QPushButton:hover, QComboBox:hover { background: $hover; }
QPushButton:pressed { background: $pressed; }
QPushButton:focus { border-color: $accent; }
QPushButton:disabled { background: $surface; color: $faint; }
QPushButton:checked { background: $accent_dark; border-color: $accent; }
QPushButton:checked:disabled { background: $surface; border-color: $line; }
QPushButton::menu-indicator { image: none; width: 0; }
QPushButton#icon { padding: 0; }
QPushButton#choice { background: $surface; border-radius: 14px; }
QPushButton#choice:hover { border-color: $accent; }
QPushButton#choice:focus { border: 2px solid $accent; }
QPushButton#choice:pressed { background: $raised; }
QPushButton#close { background: transparent; border-color: transparent; padding: 0; }
QPushButton#close:hover, QPushButton#close:focus { background: $hover; }
QPushButton#icon[on="yes"] { background: $danger_surface; border-color: $danger_line; }
QPushButton#help { background: transparent; color: $faint; border: 1px solid $line; border-radius: 9px; padding: 0; }
QPushButton#help:hover, QPushButton#help:focus { color: $text; border-color: $accent; }
QPushButton#play { background: $accent; border: none; border-radius: 21px; padding: 0; }
QPushButton#play:hover, QPushButton#primary:hover { background: $accent_hover; }
QPushButton#play:focus, QPushButton#primary:focus { border: 2px solid $text; }
QPushButton#play:disabled, QPushButton#primary:disabled { background: $raised; color: $faint; }
QPushButton#primary { background: $accent; border: 1px solid $accent; color: $on_accent; }
QPushButton#narrow, QPushButton#segment { padding: 0 4px; }
QPushButton#segment { border-radius: 0; }
QPushButton#segment[side="left"] { border-top-left-radius: 9px; border-bottom-left-radius: 9px; }
QPushButton#segment[side="right"] { border-top-right-radius: 9px; border-bottom-right-radius: 9px;
  border-left: none; }
QPushButton#segment[side="right"]:checked { border-left: 1px solid $accent; }
QDialog { background: $surface; }
QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QDialog QPushButton { padding: 7px 14px; }
QDialog QToolButton { background: $raised; border: 1px solid $line; border-radius: 5px; padding: 3px; }
QDialog QToolButton:hover { background: $hover; }
QDialog QToolButton:checked { background: $accent_dark; border-color: $accent; }
QLineEdit, QListView, QTreeView { background: $background; border: 1px solid $line;
  border-radius: 8px; padding: 5px 8px; selection-background-color: $accent_dark; selection-color: $text; }
QListView QLineEdit { border: none; border-radius: 0; padding: 0 4px; }
QListView::indicator:unchecked, QTreeView::indicator:unchecked { border: 1px solid $neutral; border-radius: 3px; }
QCheckBox::indicator { width: 16px; height: 16px; background: $raised; border: 1px solid $neutral;
  border-radius: 5px; }
QCheckBox::indicator:hover, QCheckBox::indicator:focus { border-color: $accent; }
QCheckBox::indicator:checked { background: $accent; border: 4px solid $raised; }
QLineEdit:focus, QListView:focus, QTreeView:focus { border-color: $accent; }
QHeaderView::section { background: $surface; color: $soft; border: none; padding: 4px 8px; }
QComboBox { background: $raised; border: 1px solid $line; border-radius: 9px; padding: 0 6px 0 12px; }
QComboBox:focus { border-color: $accent; }
QComboBox:disabled { background: $surface; color: $faint; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $line; outline: none;
  selection-background-color: $accent_dark; selection-color: $text; }
QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 2px; }
QScrollBar::handle:vertical { background: $neutral; border-radius: 3px; min-height: 24px; }
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical { height: 0; }
""")


def style_sheet(theme: Theme) -> str:
    tones = (
        f'QLabel[tone="{tone}"] {{ color: {colour}; }} QLabel#dot[tone="{tone}"] {{ background: {colour}; }}'
        for tone, colour in vars(theme).items()
        if tone in get_args(Tone) and tone != "text"
    )
    return _RULES.substitute(vars(theme)) + "\n".join(tones)


def palette(theme: Theme) -> QPalette:
    result, role = QPalette(), QPalette.ColorRole
    colours = {
        role.Window: theme.surface,
        role.WindowText: theme.text,
        role.Base: theme.background,
        role.AlternateBase: theme.surface,
        role.Text: theme.text,
        role.PlaceholderText: theme.faint,
        role.Button: theme.raised,
        role.ButtonText: theme.text,
        role.BrightText: theme.danger,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.text,
        role.Highlight: theme.accent_dark,
        role.HighlightedText: theme.text,
        role.Link: theme.accent,
        role.Light: theme.hover,
        role.Midlight: theme.line,
        role.Mid: theme.line,
        role.Dark: theme.neutral,
        role.Shadow: theme.event_background,
    }
    for which, colour in colours.items():
        result.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        result.setColor(QPalette.ColorGroup.Disabled, which, QColor(theme.faint))
    return result


# Icons: SVG elements on 24 × 24 units, outlined unless they are in _FILLED.

ICONS = {
    "play": '<path d="M8 5 19 12 8 19z"/>',
    "pause": '<rect x="7" y="5" width="3.6" height="14" rx="1"/>'
    '<rect x="13.4" y="5" width="3.6" height="14" rx="1"/>',
    "back": '<rect x="15.5" y="6" width="3" height="12" rx="1"/><path d="M13.5 6 5 12 13.5 18z"/>',
    "forward": '<rect x="5.5" y="6" width="3" height="12" rx="1"/><path d="M10.5 6 19 12 10.5 18z"/>',
    "record": '<circle cx="12" cy="12" r="6"/>',
    "stop": '<rect x="6.5" y="6.5" width="11" height="11" rx="2"/>',
    "again": '<path d="M18.06 8.5A7 7 0 1 1 10.78 5.11M18.8 4.4 18.2 8.7 13.9 8.2"/>',
    "loop": '<path d="M4 11V7.5H20M17 4.5 20 7.5 17 10.5M20 13V16.5H4M7 13.5 4 16.5 7 19.5"/>',
    "close": '<path d="M7 7 17 17M17 7 7 17"/>',
    "save": '<path d="M12 4V14.5M7.5 10.5 12 15 16.5 10.5M4.5 15V19.5H19.5V15"/>',
    "window": '<rect x="4.5" y="8.5" width="11" height="11" rx="1.5"/><path d="M8.5 8.5V4.5H19.5V15.5H15.5"/>',
    "tiles": '<rect x="3.5" y="5" width="7.2" height="14" rx="1.6"/>'
    '<rect x="13.3" y="5" width="7.2" height="14" rx="1.6"/>',
    "chevron": '<path d="M8 10.5 12 14.5 16 10.5"/>',
    "camera": '<rect x="3.5" y="7" width="17" height="12" rx="2.5"/><circle cx="12" cy="13" r="3.4"/>'
    '<path d="M8.5 7 10 4.5H14L15.5 7"/>',
    "webcam": '<circle cx="12" cy="10" r="6.2"/><circle cx="12" cy="10" r="2.2"/>'
    '<path d="M12 16.2V19.5M7.5 19.5H16.5"/>',
    "open": '<path d="M3.5 8V18.5H20.5V8H12L10 5.5H3.5V8"/>',
    "stream": '<circle cx="12" cy="17.5" r=".9"/><path d="M15.18 14.32A4.5 4.5 0 0 0 8.82 14.32'
    'M18.36 11.14A9 9 0 0 0 5.64 11.14M21.19 8.31A13 13 0 0 0 2.81 8.31"/>',
    "left": '<path d="M14.5 6 8.5 12 14.5 18"/>',
    "right": '<path d="M9.5 6 15.5 12 9.5 18"/>',
    "up": '<path d="M12 18.5V6M6.5 11.5 12 6 17.5 11.5"/>',
    "new_folder": '<path d="M3.5 8V18.5H20.5V8H12L10 5.5H3.5V8M12 10.8V15.8M9.5 13.3H14.5"/>',
    "grid": '<path d="M5 5H10V10H5zM14 5H19V10H14zM5 14H10V19H5zM14 14H19V19H14z"/>',
    "lines": '<path d="M5 6.5H19M5 12H19M5 17.5H19"/>',
    "demo": '<circle cx="12" cy="5.8" r="2.3"/>'
    '<path d="M4.5 8 9 11H15L19.5 8M12 11V15.5M8.5 20.5 12 15.5 15.5 20.5"/>',
}
_FILLED = ("play", "pause", "back", "forward", "record", "stop")


def icon(name: str, colour: str) -> QIcon:
    """Return the icon of one of `ICONS` in one colour; where its button is disabled, it is faint."""
    result = QIcon(_drawn(name, colour))
    result.addPixmap(_drawn(name, theme.faint), QIcon.Mode.Disabled)
    return result


def _drawn(name: str, colour: str) -> QPixmap:
    """Return an icon that is sharp at twice its size on a screen at 200 %."""
    look = f'fill="{colour}"' if name in _FILLED else f'fill="none" stroke="{colour}" stroke-width="1.8"'
    image = f'<g {look} stroke-linecap="round" stroke-linejoin="round">{ICONS[name]}</g>'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{image}</svg>'
    pixmap = QPixmap(96, 96)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(svg.encode()).render(painter)
    painter.end()
    return pixmap
