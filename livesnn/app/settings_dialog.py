"""The dialog "Settings": every setting of the window in groups, with a search. A change holds at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QHBoxLayout, QListWidget, QPushButton, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.settings import MOST_LABELS, Settings, ThemeName
from livesnn.app.widgets.bars import SPEEDS
from livesnn.app.widgets.basics import (
    STRETCH,
    ChoiceBox,
    Dialog,
    dialog_button,
    fill,
    heading,
    help_button,
    label,
    line_edit,
    note,
    scrolled,
)
from livesnn.console import capitalised
from livesnn.events.picture import PALETTES

NOTHING_FOUND = "No setting matches these words."
THEMES: dict[ThemeName, str] = {"system": "Same as the system", "light": "Light", "dark": "Dark"}
PRE_ROLLS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
_BOX = 210  # width of the fields, pixels


@dataclass(frozen=True)
class Row:
    """One setting: its group, name and hint, and the fields of `Settings` that it shows, such as "choices.loop"."""

    group: str
    name: str
    hint: str
    paths: tuple[str, ...]
    whole: QWidget  # with everything of it

    def has(self, words: str) -> bool:
        text = f"{self.group} {self.name} {self.hint}".casefold()
        return all(word in text for word in words.casefold().split())


def field_of(settings: Settings, path: str) -> Any:
    return reduce(getattr, path.split("."), settings)


def with_field(settings: Any, path: str, value: object) -> Any:
    first, _, rest = path.partition(".")
    return replace(settings, **{first: with_field(getattr(settings, first), rest, value) if rest else value})


class SettingsDialog(Dialog):
    """Shows settings, and emits each change as ``changed``; ``asked`` has the name of an action to do instead."""

    changed = Signal(object, object)  # Settings before and after
    asked = Signal(str)

    def __init__(self, settings: Settings, parent: QWidget | None = None, *, group: str = "") -> None:
        super().__init__("Settings", parent)
        self.settings = settings
        self.rows: list[Row] = []
        self._shows: list[Callable[[], None]] = []  # each lets a field show its setting
        self._headings: dict[str, QWidget] = {}
        self._list = fill(QVBoxLayout(), spacing=6)
        self.search = line_edit("", "Search, for example: noise", "Search the settings")
        self.nothing = label(NOTHING_FOUND, style.text_font(14), "soft")
        self.nothing.hide()
        inner = QWidget()
        fill(QVBoxLayout(inner), self._list, self.nothing, STRETCH, spacing=0)
        self._area = scrolled(inner, down_only=True)
        self.groups = QListWidget()
        self.groups.setFont(style.text_font(15))
        self.groups.setFixedWidth(140)
        self.groups.setAccessibleName("Groups of settings")
        self.put(self.search, (fill(QHBoxLayout(), self.groups, (self._area, 1), spacing=20), 1))
        self.add_close()
        self.buttons.button(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)
        defaults = self.add_defaults(self.reset)
        defaults.setToolTip("Reset look, playback and decisions to their defaults")
        for title, build in {
            "Appearance": self._look,
            "Playback": self._playing,
            "Sources": self._sources,
            "Recording": self._recording,
            "Network": self._network,
            "Decisions": self._decisions,
        }.items():
            self._headings[title] = label(title, style.bold_font(16), "accent")
            self._list.addWidget(self._headings[title])
            build()
        self.show_settings(settings)
        self.groups.addItems([*self._headings])
        self.groups.currentTextChanged.connect(self._go_to)
        self.search.textChanged.connect(self._search)
        self.search.setFocus()
        self.resize(800, 580)
        if group:  # once it is laid out
            QTimer.singleShot(0, self, lambda: self.groups.setCurrentRow([*self._headings].index(group)))

    # The settings

    def _look(self) -> None:
        page = "window.md#the-picture"
        self._choice("Theme", "The colours of the window.", page, "theme", THEMES)
        palettes = {name: capitalised(name) for name in PALETTES}
        hint = "The colours of events in the picture."
        self._choice("Palette", hint, page, "choices.view.palette", palettes)
        hint = "Events fade one by one, or accumulate over a short time."
        self._choice("Events", hint, page, "choices.view.mode", {"decay": "Fade", "accumulate": "Accumulate"})
        hint = "Mirrors the picture on the screen, but not the network's input. Remembered for each camera."
        self._tick("Mirror the picture", hint, page, "choices.mirrored", "mirrored")
        page = "window.md#the-parts"
        hint = "livesnn remembers the size of the window and its panels. Reset restores those of the first start."
        paths = ("geometry", "splitters", "docks", "plots")
        self._row("Size of the panels", hint, page, paths, self._asking("Reset", "layout"))

    def _playing(self) -> None:
        page = "window.md#recordings"
        hint = "At its end, a recording starts again with a fresh state."
        self._tick("Repeat", hint, page, "choices.loop")
        speeds = {speed: "As fast as possible" if math.isinf(speed) else f"{speed:g}×" for speed in SPEEDS}
        hint = "How fast recordings play. livesnn always starts with 1×."
        self._choice("Speed", hint, page, "choices.speed", speeds)

    def _sources(self) -> None:
        hint = (
            "Removes hot pixels and isolated events from the picture and the network's input. Recordings keep them. "
            "Remembered for each camera."
        )
        self._tick("Filter noise", hint, "cameras.md#noise", "choices.denoise", "filtered")
        hint = (
            "livesnn remembers how each camera and stream is rotated and mirrored. "
            "A change takes effect the next time you open one."
        )
        page = "cameras.md#a-camera-that-is-mounted-sideways"
        self._row("Camera orientations", hint, page, ("mounted",), self._emptying("Forget", "mounted"))
        hint = "The sources in the menu “Open recent”."
        self._row("Recent sources", hint, "window.md#sources", ("recent",), self._emptying("Clear", "recent"))

    def _recording(self) -> None:
        page, now = "window.md#record-a-live-source", self.settings.choices.pre_roll_s
        hint = (
            "A recording begins this long before you press the button. Until then the events are kept in memory, "
            "128 MB at most."
        )
        pre_rolls = {seconds: f"{seconds:g} s" if seconds else "None" for seconds in sorted({*PRE_ROLLS_S, now})}
        self._choice("Pre-roll", hint, page, "choices.pre_roll_s", pre_rolls)
        hint = (
            f"At most {MOST_LABELS}, separated by commas. While you record, the keys 1 to 9 begin and end them. "
            "livesnn writes them to a table beside the recording, which livesnn train reads."
        )
        words = line_edit("", "wave, clap, point", "Labels", least_width=_BOX)
        words.editingFinished.connect(
            lambda: self._change("labels", tuple(listed_labels(words.text())[:MOST_LABELS]))
        )
        self._shows.append(lambda: words.setText(", ".join(self.settings.labels)))
        self._row("Labels", hint, page, ("labels",), words)

    def _network(self) -> None:
        page, choose = "window.md#model-and-decisions", self._asking("Choose …", "model")
        self._row("Model and engine", "The network, and what runs it.", "models.md", ("model", "engine"), choose)
        states = {"carry": "Carry", "reset": "Reset each window"}
        hint = "Whether membrane potentials are carried from window to window. livesnn always starts with Carry."
        self._choice("State", hint, page, "choices.state_mode", states)

    def _decisions(self) -> None:
        hint = "When a class is named, and which may be: threshold, hysteresis, smoothing and leak."
        page, choose = "robots.md#stricter-or-steadier-decisions", self._asking("Choose …", "decisions")
        self._row("Decisions", hint, page, ("choices.decider", "choices.by_model"), choose)
        hint, page = "What happens when a gesture is decided.", "window.md#act-on-a-gesture"
        self._row("Actions", hint, page, ("actions",), self._asking("Choose …", "act"))

    # A row for each

    def _row(self, name: str, hint: str, page: str, paths: tuple[str, ...], control: QWidget) -> None:
        whole, group = QWidget(), [*self._headings][-1]
        control.setAccessibleName(name)
        control.setAccessibleDescription(hint)
        column = fill(QVBoxLayout(), heading(name), note(hint), spacing=2)
        field = fill(QHBoxLayout(), STRETCH, control, spacing=0)
        parts = ((column, 1), field, help_button(page, name))
        fill(QHBoxLayout(whole), *parts, spacing=14, margins=(0, 4, 8, 8))
        self._list.addWidget(whole)
        self.rows.append(Row(group, name, hint, paths, whole))

    def _choice(self, name: str, hint: str, page: str, path: str, options: Mapping[Any, str]) -> None:
        box = ChoiceBox(name, options, width=_BOX)
        box.activated.connect(lambda _: self._change(path, box.currentData()))
        self._shows.append(lambda: box.choose(field_of(self.settings, path)))
        self._row(name, hint, page, (path,), box)

    def _tick(self, name: str, hint: str, page: str, path: str, *kept: str) -> None:
        """Add a row for a field that is on or off; ``kept`` are those that remember it."""
        box = QCheckBox()
        box.clicked.connect(lambda on: self._change(path, on))
        self._shows.append(lambda: box.setChecked(field_of(self.settings, path)))
        self._row(name, hint, page, (path, *kept), box)

    def _asking(self, words: str, action: str) -> QPushButton:
        """Return a button that closes the dialog and asks for an action."""

        def ask() -> None:
            self.accept()
            self.asked.emit(action)

        return dialog_button(words, ask)

    def _emptying(self, words: str, path: str) -> QPushButton:
        """Return a button that forgets all that a field holds, and says how many there are."""
        widget = dialog_button(words, lambda: self._change(path, field_of(Settings(), path)))

        def show() -> None:
            count = len(field_of(self.settings, path))
            widget.setText(f"{words} ({count})" if count else words)
            widget.setEnabled(count > 0)

        self._shows.append(show)
        return widget

    # What a person does

    def show_settings(self, settings: Settings) -> None:
        self.settings = settings
        for show in self._shows:
            show()

    def reset(self) -> None:
        """Reset the look and how sources are played, but not what came about, such as recent sources."""
        usual = Settings()
        self._use(replace(self.settings, theme=usual.theme, choices=usual.choices))

    def _change(self, path: str, value: object) -> None:
        if field_of(self.settings, path) != value:
            self._use(with_field(self.settings, path, value))

    def _use(self, settings: Settings) -> None:
        before = self.settings
        self.show_settings(settings)
        self.changed.emit(before, settings)

    @Slot(str)
    def _go_to(self, group: str) -> None:
        if group in self._headings:
            self._area.verticalScrollBar().setValue(self._headings[group].y())

    @Slot(str)
    def _search(self, words: str) -> None:
        found = [row for row in self.rows if row.has(words)]
        for row in self.rows:
            row.whole.setVisible(row in found)
        for group, words_above in self._headings.items():
            words_above.setVisible(any(row.group == group for row in found))
        self.nothing.setVisible(not found)
        self._area.verticalScrollBar().setValue(0)


def listed_labels(text: str) -> list[str]:
    return list(dict.fromkeys(part for each in text.split(",") if (part := each.strip())))
