"""Every action of the window: its words, shortcut and menu; the menu of simulated scenes; the Help menu's dialogs.

What an action does is in main_window.py.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QMenuBar, QVBoxLayout, QWidget

from livesnn import __version__
from livesnn.app import style
from livesnn.app.settings import MOST_LABELS
from livesnn.app.widgets.basics import (
    FRAME,
    PROJECT,
    STRETCH,
    Dialog,
    docs_address,
    fill,
    label,
    note,
    plain_tip,
    scrolled,
)
from livesnn.card import ModelCard
from livesnn.console import capitalised
from livesnn.paths import notices_file
from livesnn.session.camera_settings import SIMULATED
from livesnn.session.event_picture import PALETTES
from livesnn.simulate import DIGITS_URI, GESTURES_URI
from livesnn.simulate.motions import EVERYDAY, GESTURES, NOTHING

TURN = "Rotate clockwise"
MENUS = ("File", "Playback", "View", "Camera", "Network", "Help")
SOURCES = ("open", "camera", "webcam", "stream", "demo", "turning", "another")  # and scenes and recent ones
_ABOUT = "Real-time event-camera recognition with a stateful spiking network (STS-ResNet)."
_AROUND = (76, 150)  # what the dialog has beside and above the shortcuts, pixels
_LICENCE = "Licence: Apache-2.0. It uses Qt under LGPL-3.0. livesnn sends data only where you tell it to."
_LINKS = {
    "Documentation": docs_address("index.md"),
    "Source code": PROJECT,
    "Report a problem": f"{PROJECT}/issues",
}


@dataclass(frozen=True)
class Entry:
    """One action."""

    name: str  # in the code
    menu: str  # title of its menu, or "menu/submenu"
    text: str  # what a person reads
    keys: tuple[str, ...]  # shortcuts as Qt writes them; the first is shown
    kind: str = "do"  # "do", "toggle" (checkable), or the name of a group in which one action is checked
    rule: bool = False  # whether there is a line above it


ENTRIES = (
    Entry("open", "File", "Open a recording …", ("Ctrl+O",)),
    Entry("camera", "File", "Connect a camera …", ("Ctrl+K",)),
    Entry("webcam", "File", "Use a webcam …", ("Ctrl+Shift+K",)),
    Entry("stream", "File", "Network stream …", ("Ctrl+N",)),
    Entry("demo", "File", "Watch the demo", ("Ctrl+D",)),
    Entry("turning", "File", "Watch turning digits", ("Ctrl+Shift+T",)),
    Entry("another", "File", "Simulate another person", ("Ctrl+Shift+P",)),
    Entry("record", "File", "Record …", ("Ctrl+S",), rule=True),
    Entry("recording", "File", "Pre-roll and labels …", ("Ctrl+Shift+S",)),
    *(
        Entry(f"label:{number}", "File/Label", f"Label {number}", (str(number),), "label")
        for number in range(1, MOST_LABELS + 1)
    ),
    Entry("copy_picture", "File/Export", "Copy the picture", ("Ctrl+C",)),
    Entry("save_picture", "File/Export", "Picture …", ("Ctrl+I",)),
    Entry("save_window", "File/Export", "Window …", ("Ctrl+Shift+I",)),
    Entry("film", "File/Export", "Video …", ("Ctrl+E",), rule=True),
    Entry("table", "File/Export", "Table of decisions …", ("Ctrl+Shift+E",)),
    Entry("stretch", "File/Export", "Marked section …", ("Ctrl+Shift+X",)),
    Entry("mark_in", "File/Export", "Mark the start", ("I",), rule=True),
    Entry("mark_out", "File/Export", "Mark the end", ("O",)),
    Entry("forget_marks", "File/Export", "Remove the marks", ("U",)),
    Entry("cancel_export", "File/Export", "Cancel the export", ("Ctrl+Shift+C",), rule=True),
    Entry("new_tab", "File", "New tab for another source", ("Ctrl+Shift+N",), rule=True),
    Entry("next_tab", "File", "Next tab", ("Ctrl+Tab",)),
    Entry("side_by_side", "File", "Tabs side by side", ("Ctrl+B",)),
    Entry("close_tab", "File", "Close this tab", ("Ctrl+W",)),
    Entry("settings", "File", "Settings …", ("Ctrl+,",), rule=True),
    Entry("quit", "File", "Quit", ("Ctrl+Q",), rule=True),
    Entry("play", "Playback", "Play or pause", ("Space",)),
    Entry("back", "Playback", "Back by a second", ("Left",), rule=True),
    Entry("on", "Playback", "Forward by a second", ("Right",)),
    Entry("frame_back", "Playback", "One frame back", (",",)),
    Entry("frame_on", "Playback", "One frame forward", (".",)),
    Entry("slower", "Playback", "Slower", ("[",), rule=True),
    Entry("faster", "Playback", "Faster", ("]",)),
    Entry("loop", "Playback", "Repeat", ("L",), "toggle"),
    *(
        Entry(f"palette:{name}", "View/Palette", capitalised(name), (f"Ctrl+{number}",), "palette")
        for number, name in enumerate(PALETTES, start=1)
    ),
    Entry("mode:decay", "View", "Events fade", ("D",), "mode", rule=True),
    Entry("mode:accumulate", "View", "Events accumulate", ("A",), "mode"),
    Entry("zoom_in", "View", "Zoom in", ("+", "=", "Ctrl++", "Ctrl+="), rule=True),
    Entry("zoom_out", "View", "Zoom out", ("-", "Ctrl+-")),
    Entry("fit", "View", "Whole picture", ("0", "Ctrl+0")),
    Entry("mirror_picture", "View", "Mirror the picture", ("M",), "toggle", rule=True),
    Entry("theme:system", "View/Theme", "Same as the system", ("Ctrl+Shift+Y",), "theme"),
    Entry("theme:light", "View/Theme", "Light", ("Ctrl+Shift+L",), "theme"),
    Entry("theme:dark", "View/Theme", "Dark", ("Ctrl+Shift+D",), "theme"),
    Entry("plots", "View", "Plots", ("Ctrl+P",), "toggle", rule=True),
    Entry("stage", "View", "Stage", ("F11",), rule=True),
    Entry("full_screen", "View", "Full screen", ("Shift+F11",), "toggle"),
    Entry("layout", "View", "Reset the size of the panels", ("Ctrl+Shift+0",)),
    Entry("close_message", "View", "Close the message, the stage or full screen", ("Esc",)),
    Entry("turn", "Camera", TURN, ("Ctrl+R",)),
    Entry("mirrored_camera", "Camera", "Swap left and right", ("Ctrl+Shift+M",), "toggle"),
    Entry("upright", "Camera", "Original orientation", ("Ctrl+Shift+R",)),
    Entry("denoise", "Camera", "Filter noise", ("N",), "toggle", rule=True),
    Entry("learn_hot_pixels", "Camera", "Learn hot pixels again", ("H",)),
    Entry("sensitivity", "Camera", "Sensitivity", ("S",), "toggle", rule=True),
    Entry("model", "Network", "Model and engine …", ("Ctrl+M",)),
    Entry("decisions", "Network", "Decisions …", ("Ctrl+T",)),
    Entry("compare", "Network", "Compare with …", ("Ctrl+Shift+V",)),
    Entry("teach", "Network", "Teach a gesture …", ("Ctrl+G",)),
    Entry("wrong", "Network", "That was wrong", ("X",)),
    Entry("undo_wrong", "Network", "Undo the correction", ("Ctrl+Z",)),
    Entry("act", "Network", "Act on gestures …", ("Ctrl+Shift+A",)),
    Entry("state:carry", "Network", "Carry the state", ("C",), "state", rule=True),
    Entry("state:reset", "Network", "Reset the state each window", ("W",), "state"),
    Entry("reset", "Network", "Reset the state now", ("R",)),
    Entry("filters", "Camera", "About the noise filter", ("Ctrl+Shift+F1",), rule=True),
    Entry("tour", "Help", "Take the tour", ("Ctrl+F2",)),
    Entry("docs", "Help", "Documentation", ("Shift+F1",)),
    Entry("shortcuts", "Help", "Shortcuts", ("F1", "?")),
    Entry("about", "Help", "About livesnn", ("Ctrl+F1",)),
)
LABELS = tuple(entry for entry in ENTRIES if entry.kind == "label")


class Actions:
    """The actions, owned by the window, and the menu bar that holds them; shortcuts work wherever the focus is.

    ``do`` has what each action does, by name; a "toggle" passes whether it is checked now.
    """

    def __init__(self, window: QWidget, bar: QMenuBar, do: Mapping[str, Callable[..., object]]) -> None:
        self._window = window
        self._actions: dict[str, QAction] = {}
        self._groups: defaultdict[str, QActionGroup] = defaultdict(lambda: QActionGroup(window))
        self._menus = {title: bar.addMenu(f"&{title}") for title in MENUS}
        for title in ("File", "Camera", "Network"):
            self._menus[title].setToolTipsVisible(True)  # they say why nothing can be recorded, set or taught
        self.recent = QMenu("Open recent", window)
        self.scenes = QMenu("Demo scenes", window)
        self.sources = QMenu("Open", window)  # for the button "Open"
        for entry in ENTRIES:
            self._add(entry, do[entry.name])
            if entry.name in SOURCES:
                self.sources.addAction(self[entry.name])
            if entry.name == SOURCES[-1]:
                for menu in (self.sources, self._menus["File"]):
                    menu.addMenu(self.scenes)
                    menu.addMenu(self.recent)

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def show_recent(
        self,
        sources: Sequence[str],
        shown: Callable[[str], str],
        open_: Callable[[str], None],
        clear: Callable[[], None],
    ) -> None:
        """Fill the menu of recent sources; ``shown`` returns a source as a person reads it."""
        self.recent.clear()
        for number, source in enumerate(sources, start=1):
            action = QAction(shown(source).replace("&", "&&"), self.recent)  # one would underline
            action.setShortcut(QKeySequence(f"Alt+{number % 10}"))
            action.setToolTip(plain_tip(source))
            action.triggered.connect(lambda _=False, source=source: open_(source))
            self.recent.addAction(action)
        self.recent.addSeparator()
        self.recent.addAction("Clear the list").triggered.connect(lambda _=False: clear())
        self.recent.setEnabled(bool(sources))

    def _add(self, entry: Entry, slot: Callable[..., object]) -> None:
        """Add an action; what it does follows `triggered`, so that `setChecked` only shows it as checked."""
        action = QAction(entry.text, self._window)
        action.setShortcuts([QKeySequence(key) for key in entry.keys])
        action.setCheckable(entry.kind != "do")
        if entry.kind == "toggle":
            action.triggered.connect(lambda checked: slot(checked))  # Qt would pass its own slots no argument
        else:
            action.triggered.connect(lambda _=False: slot())
        if entry.kind not in ("do", "toggle"):
            self._groups[entry.kind].addAction(action)
        title, _, inner = entry.menu.partition("/")
        if entry.menu not in self._menus:
            self._menus[entry.menu] = self._menus[title].addMenu(inner)
            self._menus[entry.menu].setToolTipsVisible(True)
        menu = self._menus[entry.menu]
        if entry.rule:
            menu.addSeparator()
        menu.addAction(action)
        self._window.addAction(action)  # so that it works while the menu bar is hidden
        self._actions[entry.name] = action


# Simulated scenes

OTHERS = "Another movement"  # seventy, by name
GROUPS = {"One gesture": GESTURES, OTHERS: EVERYDAY, "No gesture": NOTHING}
WHOLE = {GESTURES_URI: "All gestures in turn", DIGITS_URI: "Turning digits"}


def fill_scenes(menu: QMenu, watch: Callable[[str], None]) -> None:
    def add(where: QMenu, words: str, address: str) -> None:
        action = where.addAction(words)
        action.setToolTip(address)
        action.triggered.connect(lambda _=False: watch(address))

    for address, words in WHOLE.items():
        add(menu, words, address)
    for group, names in GROUPS.items():
        inner = menu.addMenu(group)
        for name in names if group != OTHERS else sorted(names):
            add(inner, style.readable(name), SIMULATED + name)


def title_of(source: str) -> str:
    """Return what a source is called in the window: of a scene, what it shows and, if one is named, whose it is."""
    scene, seed = _parts(source)
    if not scene:
        return source
    words = WHOLE.get(scene) or scene.removeprefix(SIMULATED).replace("_", " ")
    words = "a simulated person" if scene == GESTURES_URI else words.lower()
    return f"Demo: {words}" + (f", number {seed}" if seed else "")


def another_scene(source: object) -> str:
    """Return the scene that plays with the next person or hand; where none plays, all gestures of the first one."""
    scene, seed = _parts(source if isinstance(source, str) else "")
    return f"{scene or GESTURES_URI}:{int(seed or 0) + 1}"


def knows_people(card: ModelCard | None) -> bool:
    """Return whether a model recognises what simulated people do."""
    return card is not None and bool({*GESTURES[:-1]} & {*card.classes})


def _parts(source: str) -> tuple[str, str]:
    """Return a scene without its seed, and the seed; "" where there is none."""
    found = re.fullmatch(r"(simulate:\w+)(?::(\d+))?", source, re.ASCII)
    return (found[1], found[2] or "") if found else ("", "")


# The Help menu


def listed(menu: str) -> list[tuple[str, str]]:
    """Return a menu's actions as a person reads them, each with its shortcut; the labels as one line."""
    lines = []
    for entry in (each for each in ENTRIES if each.menu.split("/")[0] == menu):
        group = entry.menu.partition("/")[2]
        keys = QKeySequence(entry.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)
        if entry == LABELS[0]:
            lines.append(("Label what is recorded", f"{keys} … {LABELS[-1].keys[0]}"))
        elif entry not in LABELS:
            lines.append((f"{group}: {entry.text}" if group else entry.text, keys))
    return lines


class ShortcutsDialog(Dialog):
    """Lists every action with its shortcut, by menu; it scrolls where the screen is too small for all."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Shortcuts", parent)
        listed_all = QWidget()
        parts = (MENUS[:1], (MENUS[1], *MENUS[3:5]), (MENUS[2], MENUS[5]))  # about the same height
        columns = (fill(QVBoxLayout(), *map(_shortcuts_of, menus), STRETCH, spacing=24) for menus in parts)
        fill(QHBoxLayout(listed_all), *columns, spacing=24, margins=(0, 0, 8, 0))
        self.put((scrolled(listed_all), 1))
        self.add_close()
        room, size = self.screen().availableGeometry(), listed_all.sizeHint() + QSize(*_AROUND)
        self.resize(size.boundedTo(room.size() - QSize(*FRAME)))


def _shortcuts_of(menu: str) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(5)
    grid.setContentsMargins(0, 0, 0, 14)
    grid.setColumnStretch(0, 1)
    grid.addWidget(label(menu, style.bold_font(12), "soft"), 0, 0, 1, 2)
    for row, (name, key) in enumerate(listed(menu), start=1):
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
