"""The dialog "Settings": it has every setting, finds it by its words, and changes it at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.main_window import MainWindow
from livesnn.app.model_dialog import ModelDialog
from livesnn.app.settings import Settings, SettingsFile
from livesnn.app.settings_dialog import NOTHING_FOUND, SettingsDialog
from livesnn.events.filters import Orientation
from livesnn.infer.decide import Decider

MakeWindow = Callable[..., MainWindow]


@pytest.fixture
def dialog(make_window: MakeWindow) -> SettingsDialog:
    """Return the dialog over a window without a source."""
    window = make_window()
    window.commands["settings"].trigger()
    assert isinstance(window.dialog, SettingsDialog)
    return window.dialog


def window_of(dialog: SettingsDialog) -> MainWindow:
    window = dialog.parentWidget()
    assert isinstance(window, MainWindow)
    return window


def control(dialog: SettingsDialog, name: str) -> QWidget:
    """Return the field of a setting."""
    (row,) = (row for row in dialog.rows if row.name == name)
    fields = (QComboBox, QCheckBox, QLineEdit, QPushButton)
    return next(
        each for each in row.whole.findChildren(QWidget) if isinstance(each, fields) and each.accessibleName() == name
    )


def found(dialog: SettingsDialog) -> list[str]:
    """Return the names of the settings that the search has left."""
    return [row.name for row in dialog.rows if not row.whole.isHidden()]


def choose(dialog: SettingsDialog, name: str, value: object) -> None:
    box = control(dialog, name)
    assert isinstance(box, QComboBox)
    index = next(index for index in range(box.count()) if box.itemData(index) == value)
    box.setCurrentIndex(index)
    box.activated.emit(index)


def paths_of(settings: object, prefix: str = "") -> list[str]:
    """Return the path of every field of settings that isn't itself made of fields."""
    paths: list[str] = []
    for each in fields(settings):  # type: ignore[arg-type]  # a dataclass
        value = getattr(settings, each.name)
        inner = is_dataclass(value)
        paths += paths_of(value, f"{prefix}{each.name}.") if inner else [prefix + each.name]
    return paths


def test_it_has_every_setting_with_a_hint_and_a_page(dialog: SettingsDialog) -> None:
    for row in dialog.rows:
        assert row.hint.endswith("."), row.name
        names = [button.accessibleName() for button in row.whole.findChildren(QPushButton)]
        assert any(name.startswith(f"Help: {row.name}") for name in names), row.name
    shown = tuple(path for row in dialog.rows for path in row.paths)
    assert [
        path for path in paths_of(Settings()) if not f"{path}.".startswith(tuple(f"{each}." for each in shown))
    ] == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [("hot pixels", ["Filter noise"]), ("SMOOTH", ["Decisions"]), ("appearance palette", ["Palette"])],
)
def test_a_search_leaves_what_has_all_its_words(
    qtbot: QtBot, dialog: SettingsDialog, words: str, expected: list[str]
) -> None:
    qtbot.keyClicks(dialog.search, words)
    assert found(dialog) == expected
    qtbot.keyClicks(dialog.search, " quantum")
    assert found(dialog) == []
    assert (dialog.nothing.isVisible(), dialog.nothing.text()) == (True, NOTHING_FOUND)
    dialog.search.clear()
    assert len(found(dialog)) == len(dialog.rows)


def test_a_change_holds_at_once_and_the_menus_say_so(dialog: SettingsDialog) -> None:
    window = window_of(dialog)
    choose(dialog, "Palette", "recency")
    choose(dialog, "Events", "accumulate")
    choose(dialog, "Pre-roll", 5.0)
    choose(dialog, "State", "reset")
    choose(dialog, "Speed", math.inf)
    for name in ("Filter noise", "Repeat", "Mirror the picture"):
        box = control(dialog, name)
        assert isinstance(box, QCheckBox)
        box.click()
    choices, remembered = window.player.choices, window.settings.now.choices
    assert (choices.view.palette, choices.view.mode) == ("recency", "accumulate")
    assert (choices.pre_roll_s, choices.state_mode, choices.speed) == (5.0, "reset", math.inf)
    assert (choices.denoise, choices.loop, window.view.canvas.mirrored) == (True, True, True)
    for action in ("palette:recency", "mode:accumulate", "state:reset", "denoise", "loop", "mirror_picture"):
        assert window.commands[action].isChecked(), action
    assert window.transport.speed.currentText() == "Max"
    assert (remembered.view, remembered.pre_roll_s, remembered.loop) == (choices.view, 5.0, True)
    assert (remembered.state_mode, remembered.speed) == ("carry", 1.0)  # these two begin anew


def test_labels_are_words_between_commas_and_at_most_nine(qtbot: QtBot, dialog: SettingsDialog) -> None:
    field = control(dialog, "Labels")
    assert isinstance(field, QLineEdit)
    for typed, labels in (
        (" wave, clap,,wave, point ", ("wave", "clap", "point")),
        ("a,b,c,d,e,f,g,h,i,j", (*"abcdefghi",)),
    ):
        field.setText(typed)
        qtbot.keyClick(field, Qt.Key.Key_Return)
        assert window_of(dialog).settings.now.labels == labels
        assert field.text() == ", ".join(labels)


def test_cameras_and_recent_sources_can_be_forgotten(make_window: MakeWindow) -> None:
    settings = SettingsFile()
    settings.change(mounted={"A": Orientation(2)}, recent=("/a.aedat4", "/b.aedat4"))
    window = make_window(settings=settings)
    window.commands["settings"].trigger()
    assert isinstance(window.dialog, SettingsDialog)
    for name, words in (("Camera orientations", "Forget (1)"), ("Recent sources", "Clear (2)")):
        button = control(window.dialog, name)
        assert isinstance(button, QPushButton)
        assert button.text() == words
        button.click()
        assert not button.isEnabled()
    assert (settings.now.mounted, settings.now.recent) == ({}, ())
    assert not window.commands.recent.isEnabled()


def test_defaults_keep_what_is_no_choice(dialog: SettingsDialog) -> None:
    window = window_of(dialog)
    window.settings.change(recent=("/a.aedat4",), labels=("wave",))
    dialog.show_settings(replace(window.settings.now, choices=window.player.choices))
    choose(dialog, "Palette", "recency")
    dialog.reset()
    assert window.player.choices == replace(Settings().choices, loop=True)
    assert (window.settings.now.recent, window.settings.now.labels) == (("/a.aedat4",), ("wave",))


@pytest.mark.parametrize(("name", "kind"), [("Model and engine", ModelDialog), ("Decisions", DecisionsDialog)])
def test_what_has_a_dialog_of_its_own_opens_it(dialog: SettingsDialog, name: str, kind: type) -> None:
    window, button = window_of(dialog), control(dialog, name)
    assert isinstance(button, QPushButton)
    button.click()
    assert isinstance(window.dialog, kind)


def test_the_panels_go_back_to_their_first_sizes(qtbot: QtBot, dialog: SettingsDialog) -> None:
    window = window_of(dialog)
    first = (window.size(), window.splitters["columns"].sizes())
    window.resize(800, 540)
    window.splitters["columns"].setSizes([300, 460])
    button = control(dialog, "Size of the panels")
    assert isinstance(button, QPushButton)
    button.click()
    qtbot.waitUntil(lambda: (window.size(), window.splitters["columns"].sizes()) == first)


def test_what_was_asked_for_on_the_command_line_is_shown_and_not_remembered(make_window: MakeWindow) -> None:
    window = make_window()
    window.player.apply(replace(window.player.choices, pre_roll_s=3.0))
    window.commands["settings"].trigger()
    assert isinstance(window.dialog, SettingsDialog)
    box = control(window.dialog, "Pre-roll")
    assert isinstance(box, QComboBox)
    assert box.currentText() == "3 s"
    choose(window.dialog, "Palette", "recency")
    assert window.settings.now.choices.pre_roll_s == 0.0


def test_what_another_window_changes_while_it_is_open_stays(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window(settings=SettingsFile(tmp_path / "settings.json"))
    window.commands["settings"].trigger()
    assert isinstance(window.dialog, SettingsDialog)
    other = SettingsFile(tmp_path / "settings.json")
    other.change(labels=("wave", "clap"), recent=("/a.aedat4",), theme="light")
    other.choose(decider=Decider(threshold=0.9), loop=True)
    choose(window.dialog, "Palette", "recency")
    now = SettingsFile(tmp_path / "settings.json").now  # a change is on disk
    assert (now.labels, now.recent, now.theme) == (("wave", "clap"), ("/a.aedat4",), "light")
    assert (now.choices.view.palette, now.choices.loop) == ("recency", True)
    assert now.choices.decider == Decider(threshold=0.9)
