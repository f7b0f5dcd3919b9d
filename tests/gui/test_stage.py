"""The stage: what it shows, how it is left, and the kiosk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QCloseEvent, QColor, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.app.stage import LEAVE, RESTARTING, Caption
from livesnn.app.tabs import Tabs
from livesnn.events.picture import DEFAULT_PALETTE
from livesnn.session.verdict import Verdict
from tests.fake_source import FakeSource, at, cut
from tests.synthetic import moving_bar

from .conftest import MakeWindow
from .test_deciding import play
from .test_run import python

LOOK = """
import json, sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from livesnn.__main__ import main
from livesnn.app import application

def look(window):
    print(json.dumps([window.presenting.on, window.presenting.locked, window.isFullScreen()]), flush=True)

usual = application._close_after
application._close_after = lambda window, after: (QTimer.singleShot(200, lambda: look(window)), usual(window, after))
sys.exit(main(sys.argv[1:]))
"""


def on_stage(window: MainWindow, *, kiosk: bool = False) -> None:
    window.activateWindow()
    window.presenting.enter(kiosk=kiosk)


def press(window: MainWindow, key: str) -> None:
    """Press a key as a person does, who doesn't know which part has the focus."""
    QTest.keySequence(window.focusWidget() or window, key)


def test_the_stage_fills_the_screen_with_the_picture_and_the_decision_and_nothing_else(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    stage, caption = window.presenting.stage, window.presenting.stage.caption
    window.commands["stage"].trigger()
    assert caption.said.words == window.view.page.title.text()
    play(qtbot, window, recording)
    assert window.isFullScreen()
    assert stage.size() == window.size()
    assert (window.view.canvas.isVisible(), stage.caption.isVisible()) == (True, True)
    assert not any(part.isVisible() for part in (window.menuBar(), window.header, window.transport))
    assert stage.cursor().shape() == Qt.CursorShape.BlankCursor
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    window.player.toggle()
    decision = window.readout.decision
    qtbot.waitUntil(lambda: caption.said.words == decision.said.words)
    assert caption.said.number == int(decision.said.words)  # the model's classes are digits
    assert caption.said.confidence == decision.said.confidence


def test_a_source_that_fails_is_said_in_place_of_a_decision(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, recording)
    on_stage(window)
    window.open(FakeSource([at(10, 20)], then=OSError("the cable is out")))  # type: ignore[arg-type]
    caption = window.presenting.stage.caption
    qtbot.waitUntil(lambda: "the cable is out" in caption.said.why)
    assert caption.said.number is None


SILENT = [f"No events for {seconds} s" for seconds in range(2, 60)]


def test_a_silent_source_has_no_decision_on_the_stage(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    on_stage(window)
    window.open(FakeSource(cut(moving_bar(400_000), 400_000), then="silence"))
    caption = window.presenting.stage.caption
    qtbot.waitUntil(lambda: caption.said.number is not None)
    qtbot.waitUntil(lambda: caption.said.words in SILENT)
    assert caption.said.number is None


def shown(caption: Caption) -> QImage:
    return caption.grab().toImage()


def rows_with(image: QImage, colour: QColor) -> list[int]:
    """Return the rows in which at least a few pixels have this colour."""
    pixels = np.frombuffer(image.convertToFormat(QImage.Format.Format_RGB32).constBits(), np.uint32)
    found = pixels.reshape(image.height(), image.width()) == colour.rgb()
    return [int(row) for row in np.flatnonzero(found.sum(axis=1) > 1)]


@pytest.fixture
def caption(qtbot: QtBot) -> Caption:
    """Return a caption as it is on a screen of 1920×1080."""
    style.use("dark", QApplication.instance())  # type: ignore[arg-type]
    caption = Caption(None)  # type: ignore[arg-type]
    qtbot.addWidget(caption)
    caption.resize(1920, 432)
    caption.set_palette(DEFAULT_PALETTE)
    caption.show()
    return caption


@pytest.mark.parametrize("words", ["Hand clapping", "Left arm counter clockwise"])
def test_a_decision_is_written_in_its_colour_in_letters_to_be_read_from_ten_metres(
    caption: Caption, words: str
) -> None:
    caption.show_said(Verdict(words, "", 3, 0.5))
    rows = rows_with(shown(caption), style.class_colour(3))
    assert len(rows) > 75  # 7 hundredths of the screen: 5 cm on 55 inches


@pytest.mark.parametrize("how", ["Esc", "F11", "a double click"])
def test_a_key_or_a_double_click_leaves_the_stage_and_the_window_is_as_it_was(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, how: str
) -> None:
    window = make_window(loop=True)
    window.showMaximized()
    play(qtbot, window, recording)
    qtbot.waitUntil(window.isActiveWindow)
    press(window, "F11")
    assert window.presenting.on
    assert LEAVE in window.view.canvas.notes
    if how == "a double click":
        QTest.mouseDClick(window.presenting.stage, Qt.MouseButton.LeftButton)
    else:
        press(window, how)
    assert (window.presenting.on, window.isFullScreen(), window.isMaximized()) == (False, False, True)
    for part in (window.menuBar(), window.header, window.transport, window.view.canvas):
        assert part.isVisible()
    before = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > before + 3)


def test_plots_go_with_the_window_s_parts_and_come_back(
    make_window: MakeWindow,
) -> None:
    window = make_window()
    window.commands["plots"].trigger()
    assert window.plots.isVisible()
    on_stage(window)
    assert not window.plots.isVisible()
    window.presenting.leave()
    assert window.plots.isVisible()
    assert window.commands["plots"].isChecked()


def test_a_window_that_is_closed_on_the_stage_comes_back_as_it_was(make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window(settings=SettingsFile(tmp_path / "settings.json"))
    window.resize(800, 560)
    on_stage(window)
    window.close()
    later = make_window(settings=SettingsFile(tmp_path / "settings.json"))
    assert not later.isFullScreen()
    assert (later.width(), later.height()) == (800, 560)


class ByAPerson(QCloseEvent):
    """What the desktop sends for a click on the window's button, or Alt+F4."""

    def spontaneous(self) -> bool:
        return True


@pytest.fixture
def kiosk(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> MainWindow:
    window = make_window(loop=True)
    play(qtbot, window, recording)
    on_stage(window, kiosk=True)
    qtbot.waitUntil(window.isActiveWindow)
    return window


def test_in_a_kiosk_nobody_can_do_anything_until_the_program_ends(kiosk: MainWindow) -> None:
    stage = kiosk.presenting.stage
    for key in ("Esc", "F11", "Shift+F11", "Ctrl+Q", "Ctrl+O", "Ctrl+D", "F1", "Shift+Q", "Space", "Alt+1"):
        press(kiosk, key)
        assert kiosk.presenting.locked, key
        assert (kiosk.isVisible(), kiosk.isFullScreen(), kiosk.dialog) == (True, True, None), key
        assert kiosk.session is not None
        assert kiosk.session.control.state == "playing", key
    QTest.mouseDClick(stage, Qt.MouseButton.LeftButton)
    assert kiosk.presenting.locked
    assert not kiosk.acceptDrops()
    assert kiosk.childAt(QPoint(200, 200)) is stage  # not the canvas, which would zoom
    kiosk.closeEvent(ByAPerson())
    assert (kiosk.isVisible(), kiosk.presenting.locked) == (True, True)
    kiosk.close()
    assert not kiosk.isVisible()


def test_three_keys_leave_a_kiosk_when_they_are_released(kiosk: MainWindow) -> None:
    stage, held = kiosk.presenting.stage, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyPress(stage, Qt.Key.Key_Q, held)
    assert kiosk.presenting.locked  # a Q that repeats would quit
    QTest.keyRelease(stage, Qt.Key.Key_Q, held)
    assert not kiosk.presenting.on
    assert kiosk.menuBar().isVisible()
    assert kiosk.acceptDrops()


def test_a_kiosk_starts_its_source_again_after_an_error(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livesnn.app.stage.RESTART_S", 0.2)
    window = make_window()
    window.open(str(tmp_path / "late.npz"))
    on_stage(window, kiosk=True)
    caption = window.presenting.stage.caption
    qtbot.waitUntil(lambda: "late.npz" in caption.said.why and caption.said.words == RESTARTING)
    shutil.copy(recording, tmp_path / "late.npz")
    qtbot.waitUntil(lambda: caption.said.number is not None)


def test_a_kiosk_repeats_a_recording_and_the_choice_stays_as_it_was(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=False)
    on_stage(window, kiosk=True)
    window.open(str(recording))
    passed = 0

    def began_again() -> bool:
        nonlocal passed
        back = window.player.t_us < passed
        passed = window.player.t_us
        return back

    qtbot.waitUntil(began_again)
    assert not window.settings.now.choices.loop
    window.presenting.leave()
    assert not window.player.choices.loop


@pytest.mark.parametrize(("flag", "locked"), [("--stage", False), ("--kiosk", True)])
def test_the_window_can_begin_on_the_stage(recording: Path, model_folder: Path, flag: str, locked: bool) -> None:
    done = python("-c", LOOK, "gui", str(recording), "--model", str(model_folder), flag, LIVESNN_QUIT_AFTER="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"[true, {str(locked).lower()}, true]"


@pytest.fixture
def two_tabs(model_folder: Path) -> Iterator[tuple[MainWindow, MainWindow, Tabs]]:
    """Return a window with two tabs, the second one shown."""
    settings = SettingsFile()
    settings.choose(loop=True)
    first = MainWindow(str(model_folder), settings=settings)
    first.show()
    second = first.new_tab()
    assert first.tabs is not None
    yield first, second, first.tabs
    first.tabs.close()


def test_the_stage_of_a_tab_fills_the_screen_without_the_others(
    qtbot: QtBot, two_tabs: tuple[MainWindow, MainWindow, Tabs], recording: Path
) -> None:
    first, second, tabs = two_tabs
    play(qtbot, second, recording)
    second.commands["stage"].trigger()
    assert tabs.isFullScreen()
    stage = second.presenting.stage
    assert (stage.isVisible(), first.isVisible(), tabs.bar.isVisible()) == (True, False, False)
    qtbot.waitUntil(lambda: stage.size() == tabs.size())
    second.commands["close_message"].trigger()
    assert not tabs.isFullScreen()
    assert tabs.bar.isVisible()


def test_a_kiosk_in_a_tab_stays_when_a_person_closes_the_window(
    two_tabs: tuple[MainWindow, MainWindow, Tabs],
) -> None:
    _, second, tabs = two_tabs
    on_stage(second, kiosk=True)
    tabs.closeEvent(ByAPerson())
    assert tabs.isVisible()
    assert second.presenting.locked
