"""The window on frames instead of events: video files, and digits that turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from livesnn.app.player import Player
from livesnn.app.settings import SettingsFile
from tests.fake_webcam import LoopedFile
from tests.synthetic import next_picture_us
from tests.waiting import eventually

from .conftest import MakeWindow


@pytest.fixture
def player(video_model: Path) -> Iterator[Player]:
    made = Player(str(video_model), "onnx", SettingsFile())
    yield made
    made.end()


def test_however_often_a_paused_video_is_opened_again_the_same_frame_is_shown(player: Player, clip: Path) -> None:
    def first_late_us() -> int:
        assert player.session is not None
        return next(us for us in iter(next_picture_us(player.session), None) if us > 500_000)

    player.play(str(clip))
    eventually(player.newly_opened)
    player.toggle()
    player.seek(0.9)
    assert first_late_us() == 900_000
    player.step(1)
    shown = [first_late_us()]
    for _ in range(2):
        player.play_again()
        eventually(player.newly_opened)
        shown.append(first_late_us())
    assert shown == [920_000] * 3


def test_turning_digits_cannot_be_recorded_and_have_no_legend_of_events(
    make_window: MakeWindow, video_model: Path
) -> None:
    window = make_window(model=str(video_model))
    window.open("simulate:digits")
    eventually(lambda: window.poll() or window.view.shown > 3)
    assert not window.player.can_record
    assert window.view.legend.isHidden()
    assert "turning digits" in window.windowTitle()
    assert window.transport.live.text() == "SIMULATED"


def test_recent_digits_are_opened_with_the_model_that_knows_them(
    make_window: MakeWindow,
) -> None:
    settings = SettingsFile()
    settings.change(recent=["simulate:digits:5"])
    window = make_window(settings=settings)
    window.commands.recent.actions()[0].trigger()
    eventually(lambda: window.poll() or window.view.shown > 3)
    assert window.player.model == "mnist-seq2"


def test_a_webcam_gives_a_chosen_model_of_videos_pictures_and_one_of_events_events(
    make_window: MakeWindow, video_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    webcams = iter([LoopedFile(clip) for _ in range(3)])  # opened anew for each model
    monkeypatch.setattr(cv2, "VideoCapture", lambda number: next(webcams))
    window = make_window("gestures")
    window.open("webcam")
    eventually(lambda: window.poll() or window.player.opened is not None)
    assert window.player.model == "gestures"
    assert window.player.can_record
    for model, events in ((str(video_model), False), ("gestures", True)):
        window.set_model(model, "onnx")
        eventually(lambda model=model: window.poll() or (window.player.opened and window.player.model == model))
        assert window.player.can_record == events
        eventually(lambda: window.poll() or window.view.shown > 3)
