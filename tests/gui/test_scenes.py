"""The menu of simulated scenes, and choosing a webcam."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.source_dialogs import NO_WEBCAM, OF_WEBCAMS, CameraDialog
from livesnn.events.cameras.driver import Device
from livesnn.simulate.motions import PEOPLE
from livesnn.simulate.sources import open_simulation

MakeWindow = Callable[..., MainWindow]


def actions(menu: QMenu) -> list[QAction]:
    """Return a menu's actions with those of the menus in it."""
    inner = [action.menu() for action in menu.actions()]
    return [action for action in menu.actions() if action.menu() is None] + [
        action for each in inner if isinstance(each, QMenu) for action in actions(each)
    ]


def test_everything_that_can_be_simulated_is_in_the_menu(make_window: MakeWindow) -> None:
    window = make_window()
    offered = {action.toolTip() for action in actions(window.commands.scenes)}
    assert offered == {"simulate:gestures", "simulate:digits", *(f"simulate:{name}" for name in PEOPLE)}
    for address in offered:
        open_simulation(address).close()


def test_a_scene_plays_with_a_model_that_knows_people_and_says_what_it_is(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window("nmnist")
    (flap,) = (action for action in actions(window.commands.scenes) if action.text() == "Flap")
    flap.trigger()
    qtbot.waitUntil(lambda: window.view.shown > 1, timeout=60_000)
    assert window.player.model == "gestures"
    assert window.header.source.text() == "Demo: flap"
    assert window.settings.now.recent == ()
    window.open("simulate:walking:2")
    qtbot.waitUntil(lambda: window.header.source.text() == "Demo: walking, number 2", timeout=60_000)


def webcam(number: int) -> Device:
    return Device("webcam", f"webcam:{number}", f"Camera {number}", "", None)


def test_of_several_webcams_one_is_chosen(qtbot: QtBot) -> None:
    dialog = CameraDialog(discover=lambda _: [webcam(0), webcam(2)], words=OF_WEBCAMS)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.cameras.count() == 2)
    assert dialog.note.text() == OF_WEBCAMS.choose
    dialog.cameras.setCurrentRow(1)
    with qtbot.waitSignal(dialog.chosen) as chosen:
        dialog.accept()
    assert chosen.args == ["webcam:2"]


def test_the_only_webcam_is_used_at_once(qtbot: QtBot) -> None:
    dialog = CameraDialog(discover=lambda _: [webcam(1)], words=OF_WEBCAMS)
    qtbot.addWidget(dialog)
    with qtbot.waitSignal(dialog.chosen) as chosen:
        dialog.show()
    assert chosen.args == ["webcam:1"]
    assert not dialog.isVisible()


def test_where_there_is_no_webcam_the_dialog_says_what_to_do(
    qtbot: QtBot, make_window: MakeWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livesnn.video.webcam.webcams", lambda: [])
    monkeypatch.setattr("sys.platform", "linux")
    window = make_window()
    window.view.page.choices["webcam"].click()
    dialog = window.dialog
    assert isinstance(dialog, CameraDialog)
    qtbot.waitUntil(lambda: dialog.note.text() == NO_WEBCAM)
    assert window.session is None
