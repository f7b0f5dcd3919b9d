"""Hot pixels of a camera are known at the next start; the key learns them anew; nothing else keeps any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.events.cameras.reconnecting import ReconnectingSource
from livesnn.events.filters import Orientation
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.session.camera_settings import FOLDER, CameraFiles
from tests.synthetic import SENSOR, moving_bar, write_recording

from .test_live_window import Plug

MakeWindow = Callable[..., MainWindow]


def with_hot_pixel(packet: Events, x: int, y: int) -> Events:
    """Return a packet with an event a millisecond of one pixel."""
    if not packet.size:
        return packet
    t = np.arange(packet["t"][0], packet["t"][-1], 1000)
    hot = np.zeros(t.size, EVENTS_DTYPE)
    hot["t"], hot["x"], hot["y"] = t, x, y
    return np.sort(np.concatenate([packet, hot]), order="t", kind="stable")


def play(window: MainWindow, *, serial: str, x: int = 30) -> None:
    plug = Plug()
    plug.packets = [with_hot_pixel(packet, x, 1) for packet in plug.packets]
    window.open(ReconnectingSource(plug.connect, serial=serial))


def hot_in(folder: Path, serial: str) -> list[list[int]]:
    known = CameraFiles(folder).load_hot_pixels(serial, SENSOR, Orientation())
    return [] if known is None else np.argwhere(known).tolist()


def test_what_was_learned_of_a_camera_is_known_at_the_next_start_and_the_key_replaces_it(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    settings.change(filtered=("DXA/1",), mounted={"DXA/1": Orientation(1, mirrored=True)})  # they are the sensor's
    play(make_window(settings=settings), serial="DXA/1")
    qtbot.waitUntil(lambda: hot_in(tmp_path, "DXA/1") == [[1, 30]])
    later = make_window(settings=settings)
    play(later, serial="DXA/1", x=2)
    qtbot.waitUntil(lambda: later.session is not None and later.session.statistics.noise.events > 5000)
    assert hot_in(tmp_path, "DXA/1") == [[1, 30]]
    later.commands["learn_hot_pixels"].trigger()
    qtbot.waitUntil(lambda: hot_in(tmp_path, "DXA/1") == [[1, 2]])
    assert hot_in(tmp_path, "DXA_2") == []


def test_a_damaged_file_is_said_and_learned_over(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    settings.change(filtered=("DXA1",))
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "DXA1.json").write_text('{"width": 34')
    window = make_window(settings=settings)
    play(window, serial="DXA1")
    qtbot.waitUntil(lambda: "learns the hot pixels again" in window.banner.message.text())
    qtbot.waitUntil(lambda: (tmp_path / FOLDER / "DXA1.json").read_text() != '{"width": 34')
    assert hot_in(tmp_path, "DXA1") == [[1, 30]]


def test_recordings_and_sources_without_a_serial_number_keep_none(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    window = make_window(settings=settings)
    recording = write_recording(tmp_path / "bar.npz", with_hot_pixel(moving_bar(2_000_000), 30, 1))
    for source in (lambda: window.open(str(recording)), lambda: play(window, serial="")):
        source()
        qtbot.waitUntil(lambda: window.player.opened is not None)
        window.commands["denoise"].trigger()
        qtbot.waitUntil(lambda: window.session is not None and window.session.statistics.noise.hot > 10)
    assert not (tmp_path / FOLDER).exists()
