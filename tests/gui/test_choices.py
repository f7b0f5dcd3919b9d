"""What a person chooses by menu, key and dialog; what of it is remembered."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QActionGroup, QKeySequence
from PySide6.QtTest import QSignalSpy
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from livesnn.__main__ import main
from livesnn.app import source_dialogs as source_chooser
from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.main_window import MainWindow
from livesnn.app.model_dialog import ModelDialog, card_rows
from livesnn.app.recording import RecordingDialog
from livesnn.app.settings import SettingsFile
from livesnn.app.source_dialogs import LOOKING, OR_WEBCAM, CameraDialog
from livesnn.card import Accuracy, SliceRule
from livesnn.errors import SourceError
from livesnn.events.cameras.driver import Device
from livesnn.events.packet import Resolution
from livesnn.infer.load import read_card, shipped_models
from livesnn.paths import models_dir, recordings_dir
from livesnn.threads import Latest
from tests.fake_camera import device
from tests.synthetic import CARD, livesnn_threads, moving_bar, write_model, write_recording

from .conftest import MakeWindow, play


def pause_at(qtbot: QtBot, window: MainWindow, recording: Path, place_s: float) -> None:
    play(qtbot, window, recording)
    window.player.toggle()
    window.player.seek(place_s)
    qtbot.waitUntil(lambda: place_s <= window.transport.line.position_s < place_s + 0.1)


def be_active(qtbot: QtBot, window: MainWindow) -> None:
    """Shortcuts are for the active window alone."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)


def test_every_action_is_in_a_menu_with_words_and_a_shortcut_of_its_own(make_window: MakeWindow) -> None:
    window = make_window()
    entries = window.commands.entries
    keys = Counter(QKeySequence(key).toString() for entry in entries for key in entry.keys)
    assert all(entry.text and entry.keys for entry in entries)
    assert [key for key, times in keys.items() if times > 1 or not key] == []
    waiting, found = [action.menu() for action in window.menuBar().actions()], set()
    while waiting:
        for action in waiting.pop().actions():
            if action.menu() is not None:
                waiting.append(action.menu())
            found.add(action.text())
    assert {entry.text for entry in entries} <= found
    kinds = {entry.kind for entry in entries} - {"do", "toggle"}  # of these groups one is chosen
    groups = window.findChildren(QActionGroup)
    assert len(groups) == len(kinds)
    assert all(len(group.actions()) > 1 for group in groups)


def test_a_key_opens_a_dialog_which_another_or_its_button_closes(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    be_active(qtbot, window)
    for key, kind in {
        "Ctrl+O": QFileDialog,
        "Ctrl+K": CameraDialog,
        "Ctrl+N": QInputDialog,
        "Ctrl+Shift+S": RecordingDialog,
        "Ctrl+M": ModelDialog,
        "Ctrl+T": DecisionsDialog,
        "Ctrl+F1": QMessageBox,
    }.items():
        qtbot.keySequence(window, key)
        assert isinstance(window.dialog, kind), key
        window.commands["about"].trigger()
        assert isinstance(window.dialog, QMessageBox)
        (close,) = window.dialog.findChildren(QPushButton)
        close.click()
        assert window.dialog is None


def test_full_screen_comes_back_to_what_the_window_was(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    window.showMaximized()
    action = window.commands["full_screen"]
    action.trigger()
    assert window.isFullScreen()
    action.trigger()
    assert (window.isFullScreen(), window.isMaximized()) == (False, True)
    window.showFullScreen()  # by the system
    assert action.isChecked()
    window.showNormal()
    assert not action.isChecked()


def test_the_palette_and_how_events_add_up_change_the_picture_and_are_remembered(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window()
    play(qtbot, window, recording)
    window.commands["palette:white background"].trigger()
    qtbot.keySequence(window, "A")
    view = window.player.choices.view
    assert window.settings.now.choices.view == view
    assert (view.palette, view.mode) == ("white background", "accumulate")
    assert not window.commands["mode:decay"].isChecked()
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 1)
    assert window.view.grab().toImage().pixelColor(40, 40).lightness() > 200


def test_the_theme_changes_at_once_and_is_remembered(make_window: MakeWindow) -> None:
    window = make_window()
    window.commands["theme:light"].trigger()
    assert window.grab().toImage().pixelColor(5, window.height() // 2).lightness() > 200
    window.commands["theme:dark"].trigger()
    assert window.grab().toImage().pixelColor(5, window.height() // 2).lightness() < 60
    assert window.settings.now.theme == "dark"


def test_a_pre_roll_and_at_most_nine_labels_are_chosen_and_remembered(make_window: MakeWindow) -> None:
    window = make_window()
    window.player.apply(replace(window.player.choices, pre_roll_s=3.0))  # on the command line
    for typed, labels in (
        (" wave, clap,,wave, point ", ("wave", "clap", "point")),
        ("a,b,c,d,e,f,g,h,i,j", (*"abcdefghi",)),
    ):
        window.commands["recording"].trigger()
        dialog = window.dialog
        assert isinstance(dialog, RecordingDialog)
        assert dialog.pre_roll.currentText() == "3 s"
        dialog.labels.setText(typed)
        dialog.accept()
        assert window.settings.now.labels == labels
    assert window.settings.now.choices.pre_roll_s == 0.0
    window.commands["recording"].trigger()
    dialog = window.dialog
    assert isinstance(dialog, RecordingDialog)
    dialog.pre_roll.choose(5.0)
    dialog.accept()
    assert window.player.choices.pre_roll_s == window.settings.now.choices.pre_roll_s == 5.0


def test_recent_sources_are_listed_newest_first_and_play_again(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    other = write_recording(tmp_path / "wide.npz", moving_bar(300_000), Resolution(64, 48))
    window = make_window()
    play(qtbot, window, other)
    play(qtbot, window, recording)
    qtbot.waitUntil(lambda: window.settings.now.recent == (str(recording), str(other)))
    listed = window.commands.recent.actions()
    assert [action.text().split()[0] for action in listed[:2]] == ["bar.npz", "wide.npz"]
    assert listed[1].shortcut().toString() == "Alt+2"
    listed[1].trigger()
    qtbot.waitUntil(lambda: window.settings.now.recent == (str(other), str(recording)))
    assert window.header.source.text() == "wide.npz"
    later = make_window(settings=window.settings)
    assert [action.text().split()[0] for action in later.commands.recent.actions()[:2]] == [
        "wide.npz",
        "bar.npz",
    ]
    later.commands.recent.actions()[-1].trigger()
    qtbot.waitUntil(lambda: not later.commands.recent.isEnabled())
    assert later.settings.now.recent == ()


def test_the_file_dialog_opens_what_was_chosen(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window()
    window.commands["open"].trigger()
    assert isinstance(window.dialog, QFileDialog)
    window.dialog.fileSelected.emit(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)


@pytest.mark.parametrize("typed", ["tcp://127.0.0.1:1", " 127.0.0.1:1 "])
def test_a_stream_that_is_not_there_is_a_banner_and_the_choices_stay(
    qtbot: QtBot, make_window: MakeWindow, typed: str
) -> None:
    window = make_window()
    for address in ("tcp://", typed):
        assert window.session is None  # an empty address can't be connected to
        window.view.page.choices["stream"].click()
        assert isinstance(window.dialog, QInputDialog)
        window.dialog.setTextValue(address)
        window.dialog.accept()
    qtbot.waitUntil(window.banner.isVisible)
    assert "127.0.0.1:1" in window.banner.message.text()
    assert all(choice.isVisible() for choice in window.view.page.choices.values())
    be_active(qtbot, window)
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.banner.isVisible()


def test_esc_closes_the_message_then_leaves_full_screen(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    be_active(qtbot, window)
    window.commands["full_screen"].trigger()
    window.banner.show_message("Something was lost", "warning")
    seen = []
    for _ in range(2):
        qtbot.keyClick(window, Qt.Key.Key_Escape)
        seen.append((window.banner.isVisible(), window.isFullScreen()))
    assert seen == [(False, True), (False, False)]
    assert not window.commands["full_screen"].isChecked()


class Searches:
    """Finds what each search is told to find, once it is told."""

    def __init__(self) -> None:
        self.begun = 0
        self.found = [Latest[list[Device]](), Latest[list[Device]]()]

    def __call__(self, tell: Callable[[str], None]) -> list[Device]:
        number, self.begun = self.begun, self.begun + 1
        tick = threading.Event()
        while (found := self.found[number].take()) is None:
            tick.wait(0.002)
        return found


def test_looking_again_waits_for_no_search_and_shows_what_the_new_one_finds(qtbot: QtBot) -> None:
    searches = Searches()
    dialog = CameraDialog(discover=searches)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: searches.begun == 1)
    begun_s = time.perf_counter()
    dialog.look()
    assert time.perf_counter() - begun_s < 1.5
    qtbot.waitUntil(lambda: searches.begun == 2)
    searches.found[0].put([device("OLD")])
    qtbot.waitUntil(lambda: livesnn_threads().count("livesnn-discover") == 1)
    polls = QSignalSpy(dialog.findChild(QTimer).timeout)
    qtbot.waitUntil(lambda: polls.count() > 1)
    assert dialog.note.text() == LOOKING
    searches.found[1].put([device("NEW")])
    qtbot.waitUntil(lambda: dialog.cameras.count() == 1)
    assert dialog.cameras.item(0).text().endswith("NEW")
    dialog.close()


def test_webcams_are_found_where_event_cameras_cannot_be_looked_for(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> list[Device]:
        raise SourceError("the driver is broken: install it again")

    monkeypatch.setattr("livesnn.events.cameras.discovery.discover", broken)
    monkeypatch.setattr(
        "livesnn.video.webcam.webcams", lambda: [Device("webcam", "webcam:2", "Integrated", "", None)]
    )
    dialog = CameraDialog()
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.cameras.count() == 1)
    assert dialog.note.text() == "the driver is broken: install it again" + OR_WEBCAM
    assert main(["devices"]) == 1
    said = capsys.readouterr()
    assert said.out.split() == ["webcam:2", "Integrated"]
    assert said.err == "livesnn devices: the driver is broken: install it again\n"


def test_the_demo_needs_no_choice_and_is_not_among_the_recent(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    window.view.page.choices["demo"].click()
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert window.player.model == "gestures"
    assert window.settings.now.recent == ()


def test_the_chosen_model_plays_the_demo_recordings_and_the_next_start_until_another_is_chosen(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    taught = tmp_path / "gestures-flap"
    shutil.copytree(models_dir() / "gestures", taught)
    settings = SettingsFile(tmp_path / "settings.json")
    window = make_window("gestures", settings=settings)
    window.model_requested.emit(str(taught), "auto")  # as after a lesson
    for start in (window, MainWindow(settings=SettingsFile(tmp_path / "settings.json"))):
        qtbot.addWidget(start)
        for source in ("demo", str(recordings_dir() / "arm_roll.aedat4")):
            if source == "demo":
                start.commands["demo"].trigger()
            else:
                start.open(source)
            qtbot.waitUntil(lambda start=start: start.player.opened is not None)
            assert start.player.model == str(taught)
        start.close()
    chosen = MainWindow(settings=settings)
    qtbot.addWidget(chosen)
    chosen.set_model("nmnist", "auto")  # knows no people
    chosen.commands["demo"].trigger()
    assert (chosen.player.model, chosen.player.models.chosen) == ("gestures", "nmnist")
    chosen.close()


def test_a_recent_source_keeps_every_sign_of_its_name(make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    file = tmp_path / "you & me" / "a&b.aedat4"
    file.parent.mkdir()
    file.touch()
    window.remember(str(file))
    action = window.commands.recent.actions()[0]
    assert action.text() == "a&&b.aedat4   (you && me)"  # as Qt shows one
    assert action.toolTip() == str(file)


def test_a_file_is_named_with_its_folder() -> None:
    assert source_chooser.readable_source("/data/monday/a.aedat4") == "a.aedat4   (monday)"
    assert source_chooser.readable_source("tcp://host:7777") == "tcp://host:7777"
    two = "/data/monday/a.aedat4?stream=LEFT/events"
    assert source_chooser.readable_source(two) == "a.aedat4 (LEFT/events)   (monday)"


@pytest.mark.parametrize("place_s", [0.0, 0.5])
def test_however_often_what_is_paused_is_turned_the_same_frame_is_shown(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, place_s: float
) -> None:
    window = make_window()
    pause_at(qtbot, window, recording, place_s)
    places = []
    for _ in range(3):
        shown = window.view.shown
        window.commands["turn"].trigger()
        qtbot.waitUntil(lambda shown=shown: window.view.shown > shown)
        qtbot.waitUntil(lambda: window.header.state.text() == "Paused")
        assert window.player.session is not None
        places.append(window.player.session.control.position_us)
        seen_s = window.transport.line.position_s  # a busy machine sees some of the next frame
        assert 0 < seen_s - places[-1] / 1e6 < 0.1
    assert places == [places[0]] * 3


def test_another_model_is_used_at_once_and_at_the_next_start(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    other = write_model(tmp_path / "letters", replace(CARD, classes=tuple("abcdefghij"), name="letters"))
    window = make_window()
    play(qtbot, window, recording)
    window.header.model.click()
    dialog = window.dialog
    assert isinstance(dialog, ModelDialog)
    dialog.add(str(other), chosen=True)
    assert "A, B, C" in dialog.card.text()
    dialog.engine.choose("onnx")
    dialog.accept()
    qtbot.waitUntil(lambda: window.readout.rows.classes == tuple("abcdefghij"))
    assert (window.settings.now.model, window.settings.now.engine) == (str(other), "onnx")
    later = MainWindow(settings=window.settings)
    qtbot.addWidget(later)
    assert (later.player.model, later.player.models.engine) == (str(other), "onnx")
    later.close()


def test_the_shipped_models_are_listed_and_a_damaged_one_is_said(qtbot: QtBot, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "model.safetensors").write_bytes(b"nothing")
    dialog = ModelDialog(str(bad), "auto")
    qtbot.addWidget(dialog)
    listed = [dialog.models.item(row).text() for row in range(dialog.models.count())]
    assert tuple(listed) == (*shipped_models(), "bad")
    assert "can't be used" in dialog.card.text()
    emitted = QSignalSpy(dialog.chosen)
    dialog.accept()
    assert emitted.count() == 0


def test_a_model_with_weights_alone_is_read_from_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(models_dir() / "nmnist" / "model.safetensors", tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert read_card("~/mine") == read_card("nmnist")


def test_the_card_is_told_in_words() -> None:
    card = replace(
        CARD,
        classes=("arm_roll", "air_drums"),
        accuracy=Accuracy(reset=0.9634, carried=0.97, n=264),
        states={"one": (1, 2, 2), "two": (3, 2, 2), "classify": (2,)},
        density={"one": 0.06, "two": 0.1},
        dataset="dvs-gesture, 264 clips",
    )
    told = dict(card_rows(card))
    assert told["2 classes"] == "Arm roll, Air drums"
    assert told["Accuracy"].startswith("96.3% with the state reset at each clip, 97.0% with the state carried (264")
    assert told["Spike density"] == "9.0% of the neurons in a frame"
    assert told["Frames"] == "one every 10 ms; 10 make a window (0.10 s)"
    by_count = replace(card, input=replace(card.input, slice=SliceRule(n_events=1000)), accuracy=None)
    assert dict(card_rows(by_count))["Frames"] == "one every 1,000 events; 10 make a window"
    assert dict(card_rows(by_count))["Accuracy"] == "not measured"


def test_after_a_demo_the_chosen_model_is_offered_and_kept(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path))
    mine = write_model(tmp_path / "mine", replace(CARD, name="mine"))
    window = make_window(mine)
    window.commands["demo"].trigger()
    window.commands["model"].trigger()
    dialog = window.dialog
    assert isinstance(dialog, ModelDialog)
    assert dialog.models.currentItem().toolTip() == str(mine)
    dialog.engine.choose("onnx")
    dialog.accept()
    assert (window.settings.now.model, window.settings.now.engine) == (str(mine), "onnx")
