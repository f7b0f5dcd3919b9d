"""How a camera is mounted belongs to it: remembered of it alone, said in the window, and none of it is recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.filters import Orientation, orient
from livesnn.events.recording import open_recording
from livesnn.session.session import SourceLike
from tests.synthetic import SENSOR

from .conftest import MakeWindow
from .test_live_window import PACKET_US, Plug
from .test_recording import given, read, start, stop

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


def test_anything_else_is_turned_while_it_is_open_as_view_and_menu_say(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window()
    turn, mirrored = window.commands["turn"], window.commands["mirrored_camera"]
    qtbot.waitUntil(lambda: not turn.isEnabled())  # nothing is open
    for source in (str(recording), "simulate:gestures"):
        play(qtbot, window, source)
        qtbot.waitUntil(turn.isEnabled)
        turn.trigger()
        mirrored.trigger()
        qtbot.waitUntil(lambda: window.player.opened is not None)
        assert turned(window) == HUNG
        assert window.view.canvas.notes == ["turned 90°, mirrored"]
        assert (turn.text(), mirrored.isChecked()) == ("Rotate clockwise (now 90°)", True)
        assert window.settings.now.mounted == {}
        play(qtbot, window, source)
        assert turned(window) == Orientation()
        assert window.view.canvas.notes == []
        assert (turn.text(), mirrored.isChecked()) == ("Rotate clockwise", False)
    window.open("simulate:digits", "mnist-seq2", HUNG)  # a video
    qtbot.waitUntil(lambda: "a video can't be rotated" in window.banner.message.text())
    window.open("simulate:digits", "mnist-seq2")
    qtbot.waitUntil(lambda: window.player.source == "simulate:digits" and window.player.opened is not None)
    qtbot.waitUntil(lambda: not turn.isEnabled())


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
