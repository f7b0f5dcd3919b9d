"""What is dropped on the window: a file plays, several follow one another, a model is used, a target shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.source_dialogs import dropped
from livesnn.paths import models_dir
from tests.synthetic import CARD, moving_bar, write_model, write_recording

MakeWindow = Callable[..., MainWindow]
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


def names(qtbot: QtBot, window: MainWindow) -> Iterator[str]:
    """Yield each name that the header shows, as it changes."""
    shown = ""
    while True:
        qtbot.waitUntil(
            lambda shown=shown: window.header.source.text() != shown and window.player.opened is not None,
        )
        shown = window.header.source.text()
        yield shown


@pytest.mark.parametrize("loop", [True, False])
def test_several_files_play_one_after_another(
    qtbot: QtBot, make_window: MakeWindow, clips: list[Path], loop: bool
) -> None:
    window = make_window(loop=loop)
    drop(window, *clips)
    assert window.banner.message.text() == "3 files play one after another: a.npz, b.npz, c.npz"
    order = names(qtbot, window)
    expected = ["a.npz (1 of 3)", "b.npz (2 of 3)", "c.npz (3 of 3)"]
    assert [next(order) for _ in expected] == expected
    if loop:
        assert next(order) == expected[0]
    else:
        qtbot.waitUntil(lambda: window.header.state.text() == "Ended")


def test_a_file_of_several_that_cannot_be_played_is_said_and_passed_over(
    qtbot: QtBot, make_window: MakeWindow, clips: list[Path]
) -> None:
    clips[1].write_bytes(b"nothing")
    window = make_window()
    drop(window, *clips)
    qtbot.waitUntil(lambda: window.header.source.text() == "c.npz (3 of 3)")
    assert window.banner.isVisible()
    assert "b.npz" in window.banner.message.text()


def test_where_none_can_be_played_it_ends(qtbot: QtBot, make_window: MakeWindow, clips: list[Path]) -> None:
    for clip in clips:
        clip.write_bytes(b"nothing")
    window = make_window(loop=True)
    drop(window, *clips)
    qtbot.waitUntil(lambda: "c.npz" in window.banner.message.text())
    qtbot.waitUntil(lambda: window.header.state.text() == "Error")


def test_a_wrong_file_does_not_end_the_list(
    qtbot: QtBot, make_window: MakeWindow, clips: list[Path], tmp_path: Path
) -> None:
    window = make_window()
    drop(window, *clips)
    qtbot.waitUntil(lambda: window.view.shown > 1)
    window.open(str(tmp_path / "none.npz"))
    qtbot.waitUntil(lambda: "none.npz" in window.banner.message.text())
    qtbot.waitUntil(lambda: window.header.source.text() == "c.npz (3 of 3)")


def test_what_is_opened_after_several_is_repeated_as_usual(
    qtbot: QtBot, make_window: MakeWindow, clips: list[Path], recording: Path
) -> None:
    window = make_window(loop=True)
    drop(window, *clips)
    qtbot.waitUntil(lambda: window.view.shown > 1)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.header.source.text() == "bar.npz")
    qtbot.waitUntil(lambda: "starting again" in window.state_panel.caption.remark)
    assert window.header.source.text() == "bar.npz"


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


def test_a_model_and_a_recording_are_dropped_together(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, letters: Path
) -> None:
    window = make_window()
    drop(window, recording, letters / "model.onnx")
    qtbot.waitUntil(lambda: window.readout.rows.classes == tuple("abcdefghij"))
    assert window.player.source == str(recording)


def test_a_folder_without_a_model_is_said_and_what_plays_goes_on(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    session = window.session
    drop(window, tmp_path)
    assert "is not a model folder" in window.banner.message.text()
    assert window.session is session


def test_a_target_shows_while_something_is_held_over_the_window(
    make_window: MakeWindow, clips: list[Path], letters: Path
) -> None:
    window = make_window()
    target = window.drop_target
    assert not target.isVisible()
    assert drag(window, clips[0])
    assert target.isVisible()
    assert target.text() == "Drop to play a.npz"
    assert target.size() == window.size()
    window.dragLeaveEvent(QDragLeaveEvent())
    assert not target.isVisible()
    assert drag(window, *clips)
    assert target.text() == "Drop to play 3 files one after another"
    drop(window, clips[0])
    assert not target.isVisible()
    assert drag(window, letters)
    assert target.text() == "Drop to use the model letters"


def test_words_that_are_dragged_are_nothing_to_drop(make_window: MakeWindow) -> None:
    data = QMimeData()
    data.setText("a.npz")
    assert dropped(data) is None
    assert not drag(make_window())


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


def test_a_model_whose_card_cannot_be_read_is_an_error(
    make_window: MakeWindow, letters: Path, model_folder: Path
) -> None:
    window = make_window()
    (letters / "model.onnx").write_bytes(b"")
    drop(window, letters)
    assert window.banner.kind == "error"
    assert window.player.model == str(model_folder)


def test_of_many_files_and_folders_only_the_first_are_named(
    make_window: MakeWindow, tmp_path: Path, clips: list[Path]
) -> None:
    window = make_window()
    folders = [tmp_path / f"folder {number}" for number in range(1000)]
    for folder in folders:
        folder.mkdir()
    drop(window, *(clips * 400), *folders)
    words = window.banner.message.text()
    assert "1200 files play one after another: a.npz, b.npz, c.npz, a.npz, b.npz, and 1,195 more" in words
    assert "and 995 more" in words
    assert len(words.splitlines()) == 7


def test_a_name_that_looks_like_html_is_shown_as_it_is(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    file = tmp_path / "<b>x.aedat4"
    file.write_bytes(b"nothing")
    drop(window, file)
    qtbot.waitUntil(lambda: "<b>x" in window.banner.message.text())
    for shown in (window.banner.message, window.acting.toast):
        assert shown.textFormat() == Qt.TextFormat.PlainText
