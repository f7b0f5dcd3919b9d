"""A lesson in the window: a name, ten seconds of the gesture, and a model that knows it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QPoint, QRect
from pytestqt.qtbot import QtBot

from livesnn.app import teaching
from livesnn.app.main_window import MainWindow
from livesnn.app.model_dialog import ModelDialog
from livesnn.app.recording import IN_A_LESSON
from livesnn.app.teaching import ENDED, HOW, LIVE_ONLY, NOT_THIS, PAUSED, Learning, TeachDialog
from livesnn.errors import LivesnnError
from livesnn.events.labels import read_labels
from livesnn.infer.load import own_models
from livesnn.teach.lesson import lessons_dir, recordings_of
from tests.waiting import eventually

from .conftest import MakeWindow
from .test_live_window import stream


@pytest.fixture(autouse=True)
def _own_models_and_no_long_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(tmp_path / "own"))
    monkeypatch.setattr(teaching, "READY_S", 0.3)
    monkeypatch.setattr(teaching, "PERFORMED_S", 5.0)


def flapping(qtbot: QtBot, make_window: MakeWindow) -> MainWindow:
    window = make_window("gestures")
    window.open("simulate:flap:3")
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == HOW, timeout=60_000)
    return window


def recorded() -> list[Path]:
    return list(lessons_dir().glob("*.aedat4"))


def learners() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "teach" in child.cmdline()]


def begin(window: MainWindow, name: str) -> TeachDialog:
    window.commands["teach"].trigger()
    assert isinstance(window.dialog, TeachDialog)
    assert not window.dialog.button.isEnabled()
    window.dialog.name.setText(name)
    window.dialog.button.click()
    return window.dialog


def wait_for(qtbot: QtBot, dialog: TeachDialog, words: str, timeout: int = 20_000) -> None:
    qtbot.waitUntil(lambda: words in dialog.now.text(), timeout=timeout)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gesture_is_taught_shown_again_and_used(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = flapping(qtbot, make_window)
    window.player.choose(pre_roll_s=2.0)
    dialog = begin(window, "flap")
    wait_for(qtbot, dialog, "Stand still")
    assert window.recording.start_unasked() == IN_A_LESSON
    qtbot.waitUntil(lambda: dialog.now.text() == "flap")
    wait_for(qtbot, dialog, "Learning flap", 30_000)
    assert not dialog.share.isVisible()  # nobody knows how far it is
    wait_for(qtbot, dialog, "flap is learned", 300_000)
    said = dialog.words.text()
    assert said.startswith("100 % of the 1 s of the lesson that were held out for a test were recognised")
    assert re.search(r"of \d+ windows of other movements w", said)
    (recording,) = recorded()
    assert said.endswith(f"the recording is {recording}.")
    (label,) = read_labels(recording)
    assert label.label == "flap"
    assert 0.1 < label.start < 2.0  # the rest before is recorded, too, but nothing before that
    assert own_models() == ("gestures-flap",)
    assert dialog.other.text() == "Show it again"
    dialog.other.click()
    wait_for(qtbot, dialog, "Stand still")
    wait_for(qtbot, dialog, "flap is learned", 300_000)
    made = "gestures-flap-2"
    kept = ("gestures-flap",) if "before this recording it was" in dialog.words.text().lower() else ()
    assert own_models() == (*kept, made)  # the one before only if more was recognised with it
    shown = recordings_of(tmp_path / "own" / made)["flap"].shown
    assert sorted(shown) == sorted(map(str, recorded()))
    assert len(shown) == 2
    dialog.button.click()
    qtbot.waitUntil(lambda: window.readout.decision.said.words == "Flap", timeout=60_000)
    assert Path(window.player.model) == tmp_path / "own" / made
    again = begin(window, "Flap")  # as the window shows it
    qtbot.waitUntil(lambda: again.now.text() == "flap")
    again.reject()
    assert len(recorded()) == 2


def test_giving_up_ends_the_recording_and_keeps_nothing(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = flapping(qtbot, make_window)
    dialog = begin(window, "flap")
    qtbot.waitUntil(lambda: dialog.now.text() == "flap")
    qtbot.waitUntil(lambda: bool(recorded()))  # by another thread
    dialog.reject()
    assert not recorded()
    assert own_models() == ()


def test_closing_the_window_ends_the_learning(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = flapping(qtbot, make_window)
    dialog = begin(window, "flap")
    wait_for(qtbot, dialog, "Learning flap", 30_000)
    qtbot.waitUntil(lambda: bool(learners()))
    window.close()  # the fixture of all tests looks for threads
    assert not learners()
    assert own_models() == ()
    assert not recorded()


def test_a_name_that_is_taken_is_asked_for_again(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = flapping(qtbot, make_window)
    dialog = begin(window, "arm_roll")
    qtbot.waitUntil(lambda: "knows arm_roll already" in dialog.words.text())
    assert dialog.name.isVisible()
    dialog.name.setText("flap")
    dialog.button.click()
    wait_for(qtbot, dialog, "Stand still")


def clapping(qtbot: QtBot, make_window: MakeWindow) -> tuple[MainWindow, TeachDialog]:
    """Return a window that has asked whether to learn what its model recognises already, and the dialog."""
    window = make_window("gestures")
    window.open("simulate:hand_clapping:3")
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == HOW, timeout=60_000)
    dialog = begin(window, "applause")
    wait_for(qtbot, dialog, "Already recognised as hand_clapping (", 120_000)
    return window, dialog


def test_before_a_known_gesture_is_taken_the_dialog_asks_and_keeps_nothing_if_not_wanted(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window, dialog = clapping(qtbot, make_window)
    assert re.fullmatch(r"Already recognised as hand_clapping \(\d+ %\)", dialog.now.text())
    assert (dialog.other.text(), dialog.other.isVisible()) == ("Learn it anyway", True)
    assert (own_models(), len(recorded()), learners()) == ((), 1, [])
    dialog.cancel.click()
    assert (own_models(), recorded(), window.player.model) == ((), [], "gestures")


@pytest.mark.release
@pytest.mark.timeout(600)
def test_a_known_gesture_is_learned_once_a_person_goes_on(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    _, dialog = clapping(qtbot, make_window)
    dialog.other.click()
    wait_for(qtbot, dialog, "applause is", 300_000)
    assert own_models() == ("gestures-applause",)
    assert len(recorded()) == 1


def test_a_known_gesture_gets_another_name(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window, dialog = clapping(qtbot, make_window)
    assert (dialog.button.text(), dialog.button.isVisible()) == ("Rename it", True)
    dialog.button.click()
    wait_for(qtbot, dialog, "hand_clapping is now called applause", 60_000)
    assert not dialog.other.isVisible()
    assert not recorded()
    dialog.button.click()
    qtbot.waitUntil(lambda: window.readout.decision.said.words == "Applause", timeout=60_000)
    assert own_models() == ("gestures-applause",)


def test_the_dialog_leaves_the_picture_in_sight(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = flapping(qtbot, make_window)
    for size in ((800, 520), (800, 780)):
        window.resize(*size)
        qtbot.waitUntil(lambda size=size: (window.width(), window.height()) == size and window.readout.width() > 300)
        window.commands["teach"].trigger()
        dialog, view = window.dialog, window.view
        assert isinstance(dialog, TeachDialog)
        assert not dialog.frameGeometry().intersects(QRect(view.mapToGlobal(QPoint()), view.size()))
        words = dialog.words
        assert words.height() >= words.heightForWidth(words.width())  # none is cut off
        dialog.reject()


def test_nothing_is_taught_in_a_pause_and_a_source_that_ends_ends_the_lesson(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = flapping(qtbot, make_window)
    window.commands["play"].trigger()
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == PAUSED)
    window.commands["play"].trigger()
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == HOW)
    dialog = begin(window, "flap")
    qtbot.waitUntil(lambda: dialog.now.text() == "flap")
    window.player.leave()
    qtbot.waitUntil(lambda: "source ended" in dialog.words.text())
    assert not recorded()


def test_a_camera_that_is_lost_ends_the_lesson(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window("gestures")
    plug = stream(qtbot, window)
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == HOW, timeout=60_000)
    dialog = begin(window, "flap")
    qtbot.waitUntil(lambda: dialog.now.text() == "flap")
    plug.plugged.clear()
    qtbot.waitUntil(lambda: dialog.words.text() == ENDED)
    assert not recorded()


def test_a_lesson_that_is_too_short_is_not_kept(
    qtbot: QtBot, make_window: MakeWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "PERFORMED_S", 1.0)
    dialog = begin(flapping(qtbot, make_window), "flap")
    qtbot.waitUntil(lambda: "too few to learn from" in dialog.words.text(), timeout=120_000)
    assert not recorded()


def test_a_name_that_looks_like_a_flag_is_a_name(tmp_path: Path) -> None:
    learning = Learning("--help", [tmp_path / "nowhere.aedat4"], "gestures", tmp_path / "out")
    said = eventually(learning.take, 60)
    learning.close()
    assert isinstance(said, LivesnnError)
    assert str(said).startswith(f"{tmp_path / 'nowhere.aedat4'}: no such file")


def test_a_taught_model_is_listed_once(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path, model_folder: Path
) -> None:
    shutil.copytree(model_folder, tmp_path / "own" / "mine")
    window = make_window(tmp_path / "own" / "mine")
    window.commands["model"].trigger()
    assert isinstance(window.dialog, ModelDialog)
    models = window.dialog.models
    assert [models.item(row).text() for row in range(models.count())].count("mine") == 1


def test_recordings_and_other_models_say_how_they_are_taught(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window("objects")
    stream(qtbot, window)
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == NOT_THIS)
    window.commands["teach"].trigger()
    assert window.banner.message.text() == NOT_THIS
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.commands["teach"].toolTip() == LIVE_ONLY)
