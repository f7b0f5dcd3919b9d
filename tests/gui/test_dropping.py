"""What is dropped on the window: a file plays, several follow one another, a model is used."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.paths import models_dir
from tests.synthetic import CARD, moving_bar, write_model, write_recording

from .conftest import MakeWindow

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def mime(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def drop(window: MainWindow, *paths: Path) -> None:
    data = mime(*paths)  # the event doesn't own it
    event = QDropEvent(QPointF(40, 40), Qt.DropAction.CopyAction, data, LEFT, NONE)
    window.dropEvent(event)


def drag(window: MainWindow, *paths: Path) -> bool:
    """Hold files over the window; return whether it would take them."""
    data = mime(*paths)
    event = QDragEnterEvent(QPoint(40, 40), Qt.DropAction.CopyAction, data, LEFT, NONE)
    event.setAccepted(False)
    window.dragEnterEvent(event)
    return event.isAccepted()


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    return [write_recording(tmp_path / f"{name}.npz", moving_bar(250_000)) for name in "abc"]


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return write_model(tmp_path / "letters", replace(CARD, classes=tuple("abcdefghij"), name="letters"))


def test_of_several_files_the_first_plays_and_that_is_said(
    qtbot: QtBot, make_window: MakeWindow, clips: list[Path]
) -> None:
    window = make_window()
    drop(window, *clips)
    qtbot.waitUntil(lambda: window.header.source.text() == "a.npz" and window.view.shown > 1)
    assert "open each of the others in a tab" in window.banner.message.text()


def test_a_dropped_model_is_used_for_what_plays(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, letters: Path
) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    drop(window, letters)
    qtbot.waitUntil(lambda: window.readout.rows.classes == tuple("abcdefghij"))
    assert window.player.source == str(recording)
    assert window.settings.now.model == str(letters)
    assert window.banner.message.text() == "Now using the model letters"


def test_a_model_and_a_recording_are_dropped_together_and_a_folder_without_a_model_is_said(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, letters: Path, tmp_path: Path
) -> None:
    window = make_window(loop=True)
    drop(window, recording, letters / "model.onnx")
    qtbot.waitUntil(lambda: window.readout.rows.classes == tuple("abcdefghij"))
    assert window.player.source == str(recording)
    session = window.session
    folders = [tmp_path / f"folder {number}" for number in range(100)]
    for folder in folders:
        folder.mkdir()
    drop(window, *folders)
    assert window.banner.message.text().startswith(f"{folders[0]} is not a model folder")
    assert window.session is session


def test_files_are_taken_and_words_are_not(make_window: MakeWindow, clips: list[Path]) -> None:
    window = make_window()
    assert not drag(window)
    assert drag(window, *clips)


def test_a_model_that_cannot_be_loaded_leaves_the_one_in_use(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path, model_folder: Path
) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    damaged = Path(shutil.copytree(models_dir() / "gestures", tmp_path / "damaged"))
    (damaged / "model.onnx").write_bytes(b"nothing")  # its card is in the other file
    drop(window, damaged)
    qtbot.waitUntil(lambda: "can't be loaded" in window.banner.message.text())
    assert window.banner.kind == "error"
    qtbot.waitUntil(lambda: window.player.opened is not None)
    assert window.header.state.text() != "Error"
    assert window.player.model == window.settings.now.model == str(model_folder)
