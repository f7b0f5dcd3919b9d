"""How a camera is mounted belongs to it: remembered of it alone, said in the window, and none of it is recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.filters import Orientation, orient
from livesnn.events.recording import open_recording
from livesnn.session.camera_settings import CameraFiles
from livesnn.session.session import SourceLike
from tests.synthetic import SENSOR

from .test_hot_pixels import with_hot_pixel
from .test_live_window import PACKET_US, Plug
from .test_recording import given, read, start, stop

MakeWindow = Callable[..., MainWindow]
HUNG = Orientation(1, mirrored=True)
SERIAL = "DXA1"


def camera(plug: Plug, serial: str = SERIAL) -> ReconnectingSource:
    return ReconnectingSource(plug.connect, serial=serial)


def play(qtbot: QtBot, window: MainWindow, source: SourceLike, orientation: Orientation | None = None) -> None:
    before = window.session
    window.open(source, None, orientation)
    qtbot.waitUntil(
        lambda: window.session is not before and window.player.opened is not None and window.view.has_picture,
    )


def turned(window: MainWindow) -> Orientation:
    """Return how the network sees what is open."""
    assert window.player.opened is not None
    return window.player.opened.playback.orientation


def test_a_remembered_camera_is_upright_and_recordings_simulations_and_other_cameras_are_not_turned(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    settings = SettingsFile()
    settings.change(mounted={SERIAL: HUNG})
    window = make_window(settings=settings)
    play(qtbot, window, camera(Plug()))
    assert turned(window) == HUNG
    for other in (str(recording), "simulate:gestures", camera(Plug(), "DXA2"), camera(Plug(), "")):
        play(qtbot, window, other)
        assert turned(window) == Orientation()
        assert window.view.canvas.notes == []
    assert settings.now.mounted == {SERIAL: HUNG}


def test_a_camera_s_turn_is_remembered_until_it_is_upright_again(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    window = make_window(settings=SettingsFile(file))
    play(qtbot, window, camera(Plug()))
    window.commands["turn"].trigger()
    assert SettingsFile(file).now.mounted == {SERIAL: Orientation(1)}
    play(qtbot, window, camera(Plug()))
    assert turned(window) == Orientation(1)
    window.commands["upright"].trigger()
    assert SettingsFile(file).now.mounted == {}


@pytest.mark.parametrize("kind", ["recording", "simulation"])
def test_anything_else_is_turned_while_it_is_open(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, kind: str
) -> None:
    source = str(recording) if kind == "recording" else "simulate:gestures"
    window = make_window()
    play(qtbot, window, source)
    window.commands["turn"].trigger()
    window.commands["mirrored_camera"].trigger()
    qtbot.waitUntil(lambda: window.player.opened is not None)
    assert turned(window) == HUNG
    assert window.settings.now.mounted == {}
    play(qtbot, window, source)
    assert turned(window) == Orientation()


def test_view_and_menu_say_how_it_is_turned(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window()
    turn, mirrored = window.commands["turn"], window.commands["mirrored_camera"]
    assert not turn.isEnabled()  # nothing is open
    play(qtbot, window, str(recording), Orientation(2, mirrored=True))
    assert window.view.canvas.notes == ["turned 180°, mirrored"]
    assert turn.text() == "Rotate clockwise (now 180°)"
    assert mirrored.isChecked()
    window.commands["upright"].trigger()
    assert window.view.canvas.notes == []
    assert (turn.text(), mirrored.isChecked()) == ("Rotate clockwise", False)
    window.open("simulate:digits", "mnist-seq2")
    qtbot.waitUntil(lambda: window.player.opened is not None)
    assert not turn.isEnabled()  # a video


def test_a_video_that_is_to_be_turned_is_an_error(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    window.open("simulate:digits", None, HUNG)
    qtbot.waitUntil(lambda: "a video can't be rotated" in window.banner.message.text())


def test_what_is_recorded_of_a_turned_camera_is_what_the_network_sees(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window, plug = make_window(), Plug()
    window.player.choose(pre_roll_s=5.0)
    play(qtbot, window, camera(plug), HUNG)
    qtbot.waitUntil(lambda: plug.given > 20)
    start(qtbot, window, tmp_path / "a.aedat4")
    stop(qtbot, window)
    events = read(tmp_path / "a.aedat4")
    assert events["t"][0] < PACKET_US  # from before the button
    np.testing.assert_array_equal(events, orient(given(plug, events["t"]), SENSOR, HUNG))
    play(qtbot, window, str(tmp_path / "a.aedat4"))
    assert turned(window) == Orientation()


def test_hot_pixels_are_those_of_the_sensor_however_it_is_turned(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    settings.change(mounted={SERIAL: HUNG}, filtered=(SERIAL,))
    plug = Plug()
    plug.packets = [with_hot_pixel(packet, 30, 1) for packet in plug.packets]
    make_window(settings=settings).open(camera(plug))

    def hot() -> list[list[int]]:
        known = CameraFiles(tmp_path).load_hot_pixels(SERIAL, SENSOR, Orientation())
        return [] if known is None else np.argwhere(known).tolist()

    qtbot.waitUntil(lambda: hot() == [[1, 30]])


def test_a_recording_goes_on_as_it_began_when_the_source_is_turned(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    play(qtbot, window, "simulate:gestures")
    start(qtbot, window, tmp_path / "a.aedat4")
    recorder = window.player.recorder
    assert recorder is not None
    for _ in range(3):
        window.commands["turn"].trigger()
    assert window.player.recorder is recorder
    assert recorder.orientation == Orientation()
    before = recorder.recorded.events
    qtbot.waitUntil(lambda: window.player.can_record)
    qtbot.waitUntil(lambda: recorder.recorded.events > before + 2000)
    assert turned(window) == Orientation(3)
    stop(qtbot, window)
    with open_recording(tmp_path / "a.aedat4") as written:
        assert sum(packet.events.size for packet in written) == recorder.recorded.events
