"""The menu of simulated scenes, and a webcam that is missing."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from livesnn.errors import SourceError
from livesnn.simulate.motions import PEOPLE
from livesnn.simulate.sources import open_simulation

from .conftest import MakeWindow


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


def test_a_webcam_that_is_not_there_is_said(
    qtbot: QtBot, make_window: MakeWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(uri: str, **_: object) -> None:
        raise SourceError("no webcam is plugged in: plug one in")

    monkeypatch.setattr("livesnn.video.webcam.open_webcam", none)
    window = make_window()
    window.view.page.choices["webcam"].click()
    qtbot.waitUntil(lambda: window.banner.message.text() == "no webcam is plugged in: plug one in")
