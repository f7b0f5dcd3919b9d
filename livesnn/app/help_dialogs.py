"""The dialogs of the Help menu: every shortcut, and what livesnn is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from livesnn import __version__
from livesnn.app import style
from livesnn.app.actions import MENUS, Action
from livesnn.app.settings import MOST_LABELS
from livesnn.app.widgets.basics import FRAME, PROJECT, STRETCH, Dialog, docs_address, fill, label, note, scrolled
from livesnn.paths import notices_file

_ABOUT = "Real-time event-camera recognition with a stateful spiking network (STS-ResNet)."
_LICENCE = "Licence: Apache-2.0. It uses Qt under LGPL-3.0. livesnn sends data only where you tell it to."
_LINKS = {
    "Documentation": docs_address("index.md"),
    "Source code": PROJECT,
    "Report a problem": f"{PROJECT}/issues",
}
_AROUND = (76, 150)  # what the dialog has beside and above the shortcuts, pixels


def listed(menu: str, entries: Sequence[Action]) -> list[tuple[str, str]]:
    """Return a menu's actions as a person reads them, each with its shortcut; the labels as one line."""
    lines = []
    for entry in (each for each in entries if each.menu.split("/")[0] == menu):
        group = entry.menu.partition("/")[2]
        keys = QKeySequence(entry.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)
        if entry.kind != "label":
            lines.append((f"{group}: {entry.text}" if group else entry.text, keys))
        elif entry.keys == ("1",):
            lines.append(("Label what is recorded", f"{keys} … {MOST_LABELS}"))
    return lines


class ShortcutsDialog(Dialog):
    """Lists every action with its shortcut, by menu; it scrolls where the screen is too small for all."""

    def __init__(self, entries: Sequence[Action], parent: QWidget | None = None) -> None:
        super().__init__("Shortcuts", parent)
        listed_all = QWidget()
        parts = (MENUS[:1], (MENUS[1], *MENUS[3:5]), (MENUS[2], MENUS[5]))  # about the same height
        columns = (
            fill(QVBoxLayout(), *(_shortcuts_of(menu, entries) for menu in menus), STRETCH, spacing=24)
            for menus in parts
        )
        fill(QHBoxLayout(listed_all), *columns, spacing=24, margins=(0, 0, 8, 0))
        self.put((scrolled(listed_all), 1))
        self.add_close()
        room, size = self.screen().availableGeometry(), listed_all.sizeHint() + QSize(*_AROUND)
        self.resize(size.boundedTo(room.size() - QSize(*FRAME)))


def _shortcuts_of(menu: str, entries: Sequence[Action]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(5)
    grid.setContentsMargins(0, 0, 0, 14)
    grid.setColumnStretch(0, 1)
    grid.addWidget(label(menu, style.bold_font(12), "soft"), 0, 0, 1, 2)
    for row, (name, key) in enumerate(listed(menu, entries), start=1):
        grid.addWidget(label(name, style.text_font(12)), row, 0)
        grid.addWidget(label(key, style.text_font(12), "soft"), row, 1, Qt.AlignmentFlag.AlignRight)
    return grid


class AboutDialog(Dialog):
    """Says what livesnn is, its version, and where to read more."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(f"livesnn {__version__}", parent)
        notices = notices_file()
        licences = notices.as_uri() if notices.exists() else docs_address("start.md#licences")
        links = (f'<a href="{address}">{name}</a>' for name, address in {**_LINKS, "Licences": licences}.items())
        self.links = label(" &nbsp;·&nbsp; ".join(links), style.text_font(14))
        self.links.setTextFormat(Qt.TextFormat.RichText)
        self.links.setOpenExternalLinks(True)
        self.put(label(_ABOUT, style.text_font(14), wrap=True), note(_LICENCE, 14), self.links)
        self.add_close()
        self.setMinimumWidth(420)
