"""A Theme as Qt understands it: a style sheet and a palette. Widgets carry the names and properties."""

from __future__ import annotations

from string import Template

from PySide6.QtGui import QColor, QPalette

from livesnn.app.look.themes import Theme

_RULES = Template("""
QMainWindow, QWidget#root { background: $background; }
QWidget { color: $text; }
QLabel[tone="soft"] { color: $soft; }
QLabel[tone="faint"] { color: $faint; }
QLabel[tone="accent"] { color: $accent; }
QLabel[tone="warning"] { color: $warning; }
QLabel[tone="danger"] { color: $danger; }
QLabel#dot { background: $faint; border-radius: 5px; }
QLabel#dot[tone="soft"] { background: $soft; }
QLabel#dot[tone="accent"] { background: $accent; }
QLabel#dot[tone="warning"] { background: $warning; }
QLabel#dot[tone="danger"] { background: $danger; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QMenuBar { background: $background; padding: 2px 8px; }
QMenuBar::item { background: transparent; padding: 4px 9px; border-radius: 6px; }
QMenuBar::item:selected, QMenuBar::item:pressed { background: $raised; }
QMenu { background: $surface; border: 1px solid $line; padding: 6px; }
QMenu::item { padding: 6px 28px 6px 26px; border-radius: 6px; }
QMenu::item:selected { background: $accent_dark; }
QMenu::item:disabled { color: $faint; }
QMenu::separator { height: 1px; background: $line; margin: 5px 8px; }
QSplitter::handle { background: transparent; }
QSplitter::handle:hover { background: $line; }
QFrame#card { background: $surface; border-radius: 14px; }
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
QPushButton#icon[on="yes"] { background: $danger_surface; border-color: $danger_line; }
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
QDialog QPushButton { padding: 7px 14px; }
QDialog QToolButton { background: $neutral; border-radius: 5px; }
QLineEdit, QListView, QTableView, QTreeView { background: $background; border: 1px solid $line;
  border-radius: 8px; padding: 5px 8px; selection-background-color: $accent_dark; selection-color: $text; }
QListView::indicator:unchecked, QTreeView::indicator:unchecked { border: 1px solid $neutral; border-radius: 3px; }
QLineEdit:focus, QListView:focus, QTableView:focus, QTreeView:focus { border-color: $accent; }
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
    """Return the rules of the whole application in the colours of a theme."""
    return _RULES.substitute(vars(theme))


def palette(theme: Theme) -> QPalette:
    """Return the colours of what the rules don't name: dialogs of Qt's own, selections, disabled words."""
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
