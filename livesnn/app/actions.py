"""What an action of the window is, and the menus and shortcuts that are made of a list of them.

The list itself, with what each action does, is in main_window.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from livesnn.app import style
from livesnn.app.demo import GROUPS, WHOLE
from livesnn.app.widgets.basics import plain_tip
from livesnn.session.camera_settings import SIMULATED

MENUS = ("File", "Playback", "View", "Camera", "Network", "Help")
SOURCES = ("open", "camera", "webcam", "stream", "demo", "turning")  # and scenes and recent ones


@dataclass(frozen=True)
class Action:
    """One action: what it is called, where it is, its shortcuts, and what it does."""

    name: str  # in the code
    menu: str  # title of its menu, or "menu/submenu"
    text: str  # what a person reads
    keys: tuple[str, ...]  # shortcuts as Qt writes them; the first is shown
    do: Callable[..., object]  # a "toggle" passes whether it is checked now
    kind: str = "do"  # "do", "toggle" (checkable), or the name of a group in which one action is checked
    rule: bool = False  # whether there is a line above it
    help: str = ""  # the tooltip
    why_not: Callable[[], str] | None = None  # says why it can't be done now; "": it can


class Actions:
    """The actions, owned by the window, and the menu bar that holds them; shortcuts work wherever the focus is."""

    def __init__(self, window: QWidget, bar: QMenuBar, entries: Sequence[Action]) -> None:
        self.entries = entries
        self._window = window
        self._actions: dict[str, QAction] = {}
        self._groups: defaultdict[str, QActionGroup] = defaultdict(lambda: QActionGroup(window))
        self._menus = {title: bar.addMenu(f"&{title}") for title in MENUS}
        for title in ("File", "Camera", "Network"):
            self._menus[title].setToolTipsVisible(True)  # they say why something can't be done
        self.recent = QMenu("Open recent", window)
        self.scenes = QMenu("Demo scenes", window)
        self.sources = QMenu("Open", window)  # for the button "Open"
        for entry in self.entries:
            self._add(entry)
            if entry.name in SOURCES:
                self.sources.addAction(self[entry.name])
            if entry.name == SOURCES[-1]:
                for menu in (self.sources, self._menus["File"]):
                    menu.addMenu(self.scenes)
                    menu.addMenu(self.recent)

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def poll(self) -> None:
        """Enable what can be done now; where something can't, its tooltip says why."""
        for entry in self.entries:
            if entry.why_not is not None:
                why_not = entry.why_not()
                self[entry.name].setEnabled(not why_not)
                self[entry.name].setToolTip(why_not or entry.help)

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

    def _add(self, entry: Action) -> None:
        """Add an action; what it does follows `triggered`, so that `setChecked` only shows it as checked."""
        action = QAction(entry.text, self._window)
        action.setShortcuts([QKeySequence(key) for key in entry.keys])
        action.setCheckable(entry.kind != "do")
        if entry.kind == "toggle":
            action.triggered.connect(lambda checked: entry.do(checked))  # Qt would pass its own slots no argument
        else:
            action.triggered.connect(lambda _=False: entry.do())
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


def fill_scenes(menu: QMenu, watch: Callable[[str], None]) -> None:

    def add(where: QMenu, words: str, address: str) -> None:
        action = where.addAction(words)
        action.setToolTip(address)
        action.triggered.connect(lambda _=False: watch(address))

    for address, words in WHOLE.items():
        add(menu, words, address)
    for group, names in GROUPS.items():
        inner = menu.addMenu(group)
        for name in names:
            add(inner, style.readable(name), SIMULATED + name)
