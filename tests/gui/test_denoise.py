"""Noise filtered in the window: a key switches it, the numbers show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import Settings, SettingsFile
from livesnn.app.widgets.basics import NOTHING
from livesnn.events.cameras.reconnecting import ReconnectingSource
from tests.synthetic import noisy_bar, write_recording

from .conftest import MakeWindow, play
from .test_live_window import Plug


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("noisy") / "noisy.npz", noisy_bar(20_000_000))


FILTERS = ("denoise", "mirror_picture")


def filters(window: MainWindow) -> list[bool]:
    """Return whether noise is filtered, and the picture mirrored, as the menu says and as it is."""
    checked = [window.commands[name].isChecked() for name in FILTERS]
    assert checked == [window.player.choices.denoise, window.view.canvas.mirrored]
    return checked


def plug_in(qtbot: QtBot, window: MainWindow, serial: str) -> None:
    camera = ReconnectingSource(Plug().connect, serial=serial)
    window.open(camera)
    qtbot.waitUntil(lambda: window.player.source is camera and window.player.opened is not None)


def per_s(text: str) -> float:
    """Return what the numbers mean by "1.50 k/s"."""
    number, unit = text.split()
    return float(number) * {"/s": 1, "k/s": 1e3, "M/s": 1e6}[unit]


def test_a_key_switches_the_filters_and_the_numbers_show_the_events_before_and_after(
    qtbot: QtBot, make_window: MakeWindow, noisy: Path
) -> None:
    window = make_window()
    numbers = window.numbers
    play(qtbot, window, noisy)
    assert "filtered" not in numbers.table.rates
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keySequence(window, "N")
    assert window.commands["denoise"].isChecked()
    assert "filtered" in numbers.table.rates
    qtbot.waitUntil(lambda: NOTHING not in (numbers.texts["filtered"], numbers.texts["events"]))
    qtbot.waitUntil(lambda: 0 < per_s(numbers.texts["filtered"]) < 0.9 * per_s(numbers.texts["events"]))
    qtbot.keySequence(window, "N")
    assert "filtered" not in numbers.table.rates
    assert window.player.choices.denoise is False


def test_a_filter_is_remembered_for_a_camera_and_never_for_a_recording(
    qtbot: QtBot, make_window: MakeWindow, noisy: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    window = make_window(settings=SettingsFile(file))
    play(qtbot, window, noisy)
    for name in FILTERS:
        window.commands[name].trigger()
    assert SettingsFile(file).now == Settings(recent=(str(noisy),), choices=window.settings.now.choices)
    play(qtbot, window, noisy)  # not for the same one either
    assert filters(window) == [False, False]
    plug_in(qtbot, window, "DXA1")
    assert filters(window) == [False, False]
    for name in FILTERS:
        window.commands[name].trigger()
    later = make_window(settings=SettingsFile(file))
    play(qtbot, later, noisy)
    assert filters(later) == [False, False]
    assert later.view.canvas.notes == []
    plug_in(qtbot, later, "DXA2")
    assert filters(later) == [False, False]
    plug_in(qtbot, later, "DXA1")
    assert filters(later) == [True, True]
    assert later.view.canvas.notes == ["noise filtered", "mirrored picture"]
    assert later.session is not None
    qtbot.waitUntil(lambda: later.session.statistics.noise.isolated > 0)
    later.commands["denoise"].trigger()
    assert SettingsFile(file).now.filtered == ()


def test_learning_hot_pixels_again_goes_on_filtering(qtbot: QtBot, make_window: MakeWindow, noisy: Path) -> None:
    window = make_window()
    window.commands["learn_hot_pixels"].trigger()  # without a source it does nothing
    play(qtbot, window, noisy)
    window.commands["denoise"].trigger()
    window.commands["learn_hot_pixels"].trigger()
    assert window.session is not None
    seen = window.session.statistics.noise.events
    qtbot.waitUntil(lambda: window.session.statistics.noise.events > seen + 1000)
