"""A model and a source that don't fit: what the window says, and what a person can do about it with a button."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.paths import recordings_dir

from .conftest import MakeWindow, play

DIGIT = str(recordings_dir() / "digit-3.aedat4")
PERSON = str(recordings_dir() / "hand_clapping.aedat4")


@pytest.fixture
def unasked(qtbot: QtBot) -> MainWindow:
    """Return a window with no model on the command line."""
    window = MainWindow(settings=SettingsFile())
    qtbot.addWidget(window)
    window.show()
    return window


def said(window: MainWindow) -> str:
    return window.banner.message.text() if window.banner.isVisible() else ""


def test_with_no_model_named_the_fitting_one_is_used_and_said(qtbot: QtBot, unasked: MainWindow) -> None:
    play(qtbot, unasked, DIGIT)
    qtbot.waitUntil(lambda: said(unasked) == "This looks like N-MNIST, so nmnist is used.")
    assert unasked.player.model == "nmnist"
    assert unasked.readout.rows.classes[:2] == ("0", "1")
    assert unasked.settings.now.model == ""
    play(qtbot, unasked, PERSON)
    assert unasked.player.model == "gestures"
    assert said(unasked) == ""
    unasked.close()


def test_a_button_goes_back_to_the_other_model_without_another_word(qtbot: QtBot, unasked: MainWindow) -> None:
    play(qtbot, unasked, DIGIT)
    qtbot.waitUntil(unasked.banner.isVisible)
    assert unasked.banner.action.text() == "Use gestures"
    unasked.banner.action.click()
    qtbot.waitUntil(lambda: unasked.player.opened is not None and unasked.player.model == "gestures")
    unasked.poll()
    assert said(unasked) == ""
    unasked.close()


def test_with_a_model_named_it_is_kept_and_a_button_offers_the_other(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window("gestures")
    play(qtbot, window, DIGIT)
    qtbot.waitUntil(lambda: said(window) == "This looks like N-MNIST: use nmnist?")
    assert window.player.model == "gestures"
    window.banner.action.click()
    qtbot.waitUntil(lambda: window.player.opened is not None and window.player.model == "nmnist")
    play(qtbot, window, PERSON)
    assert window.player.model == "gestures"


def test_a_video_with_a_model_of_events_offers_the_model_of_videos(
    qtbot: QtBot, make_window: MakeWindow, clip: Path
) -> None:
    window = make_window("gestures")
    window.open(str(clip))
    qtbot.waitUntil(window.banner.action.isVisible)
    assert said(window) == f"{clip.name} is a video, but gestures reads events."
    assert [window.banner.action.text(), window.banner.other.text()] == ["Use ucf6", "Convert it to events"]
    window.banner.action.click()
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert window.player.model == "ucf6"


def test_a_video_can_be_turned_into_events(qtbot: QtBot, make_window: MakeWindow, clip: Path) -> None:
    window = make_window("gestures")
    play(qtbot, window, PERSON)
    window.open(str(clip))
    qtbot.waitUntil(window.banner.other.isVisible)
    assert window.player.source == PERSON  # it plays on
    window.banner.other.click()
    qtbot.waitUntil(
        lambda: window.player.source == f"{clip}?stream=emulated" and window.player.opened is not None,
    )
    assert window.player.opened is not None
    assert window.player.opened.playback.resolution == (128, 128)
    assert window.player.model == "gestures"
    assert "simulated from 50 pictures a second" in said(window)


def test_events_with_a_model_of_videos_offer_one_of_events(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window("ucf6")
    window.open(PERSON)
    qtbot.waitUntil(lambda: "has events, but ucf6 reads videos" in said(window))
    window.banner.action.click()
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert window.player.model == "gestures"


def test_a_model_that_cannot_take_what_plays_waits_for_the_next(
    qtbot: QtBot, make_window: MakeWindow, clip: Path
) -> None:
    window = make_window("gestures")
    play(qtbot, window, PERSON)
    session = window.session
    window.set_model("ucf6", "onnx")
    qtbot.waitUntil(lambda: said(window).startswith("ucf6 can't read this source"))
    assert (window.session, window.player.model, window.player.models.chosen) == (session, "gestures", "ucf6")
    play(qtbot, window, str(clip))
    assert window.player.model == "ucf6"
