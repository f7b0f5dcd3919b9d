"""Several sources at once: each plays in a window of its own, as tabs or side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

import livesnn
from livesnn.app.main_window import MainWindow
from livesnn.app.player import LAST_PATIENCE_S
from livesnn.app.settings import SettingsFile
from livesnn.app.tabs import Tabs
from livesnn.infer.decide import Decider
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.switching_engine import PREPARING, SwitchingModel, note_of
from tests.fake_source import FakeSource
from tests.synthetic import SENSOR, moving_bar, write_recording

from .conftest import MakeWindow

Pair = tuple[MainWindow, MainWindow]
OpenTwo = Callable[..., Pair]


def tabs_of(window: MainWindow) -> Tabs:
    assert window.tabs is not None
    return window.tabs


def state(window: MainWindow) -> str:
    return "" if window.session is None else window.session.control.state


def decisions_of(recording: Path, model: Path) -> Counter[str]:
    results = livesnn.run(recording, model)
    return Counter(each.decision for each in results if each.window_end and each.decision is not None)


@pytest.fixture
def backwards(tmp_path: Path) -> Path:
    """Return a recording of a bar that goes the other way."""
    events = moving_bar(1_000_000)
    events["x"] = SENSOR.width - 1 - events["x"]
    return write_recording(tmp_path / "backwards.npz", events)


@pytest.fixture
def open_two(qtbot: QtBot, model_folder: Path) -> Iterator[OpenTwo]:
    """Return a function that plays two sources in tabs."""
    opened: list[MainWindow] = []

    def open_both(one: object, other: object, *, loop: bool = False) -> Pair:
        settings = SettingsFile()
        settings.choose(loop=loop)
        first = MainWindow(str(model_folder), settings=settings)
        opened.append(first)
        first.show()
        first.open(one)  # type: ignore[arg-type]
        second = first.new_tab()
        second.open(other)  # type: ignore[arg-type]
        qtbot.waitUntil(lambda: None not in (first.player.opened, second.player.opened))
        return first, second

    yield open_both
    for window in opened:
        tabs_of(window).close()


def test_two_sources_play_at_once_each_with_its_own_decisions(
    qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path, model_folder: Path
) -> None:
    first, second = open_two(recording, backwards)
    assert state(first) == state(second) == "playing"
    sessions = first.session, second.session
    qtbot.waitUntil(lambda: state(first) == state(second) == "ended")
    expected = [decisions_of(each, model_folder) for each in (recording, backwards)]
    assert expected[0] != expected[1]
    assert [session.decisions for session in sessions if session is not None] == expected
    tabs = tabs_of(first)
    tabs.close()
    summary = tabs.summary()
    assert summary["decisions"] == sum(sum(each.values()) for each in expected)
    assert summary["majority"] == sum(expected, Counter()).most_common(1)[0][0]


def test_each_source_has_its_own_state_model_and_choices(open_two: OpenTwo, recording: Path) -> None:
    source = FakeSource([moving_bar(100_000)] * 3, resolution=SENSOR, on_demand=True)
    first, second = open_two(recording, source, loop=True)
    assert first.player.opened is not None
    assert second.player.opened is not None
    assert first.player.opened.model is not second.player.opened.model
    second.choose(state_mode="reset")
    second.player.apply(replace(second.player.choices, decider=Decider(threshold=0.9)))
    assert first.player.choices.state_mode == "carry"
    assert first.player.choices.decider == Decider()


def test_keys_are_for_the_tab_that_is_shown(
    qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path
) -> None:
    first, second = open_two(recording, backwards, loop=True)
    assert tabs_of(first).current is second
    assert not first.isVisible()
    qtbot.keyClick(second, Qt.Key.Key_Space)
    assert (state(first), state(second)) == ("playing", "paused")
    tabs_of(first).bar.setCurrentIndex(0)
    assert (first.isVisible(), second.isVisible()) == (True, False)
    qtbot.keyClick(first, Qt.Key.Key_Space)
    assert (state(first), state(second)) == ("paused", "paused")


def test_full_screen_is_for_all_tabs(qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path) -> None:
    first, second = open_two(recording, backwards, loop=True)
    tabs = tabs_of(first)
    second.commands["full_screen"].trigger()
    qtbot.waitUntil(tabs.isFullScreen)
    qtbot.waitUntil(lambda: first.commands["full_screen"].isChecked())
    tabs.bar.setCurrentIndex(0)
    first.commands["full_screen"].trigger()
    qtbot.waitUntil(lambda: not tabs.isFullScreen() and not second.commands["full_screen"].isChecked())


def test_an_empty_tab_is_called_new_until_something_plays(
    qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path
) -> None:
    first, _ = open_two(recording, backwards)
    third, bar = first.new_tab(), tabs_of(first).bar
    assert bar.tabText(2) == "New tab"
    third.open(str(recording))
    qtbot.waitUntil(lambda: bar.tabText(2).startswith(recording.name))


def test_without_a_second_tab_the_keys_for_tabs_say_how_to_open_one(make_window: MakeWindow) -> None:
    window = make_window()
    window.commands["side_by_side"].trigger()
    assert "Ctrl+Shift+N" in window.banner.message.text()


def test_side_by_side_keys_are_for_the_one_that_was_clicked(
    qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path
) -> None:
    first, second = open_two(recording, backwards, loop=True)
    tabs = tabs_of(first)
    assert not tabs.tiled.isEnabled()  # there is no room
    second.commands["side_by_side"].trigger()
    assert second.banner.message.text() == "Side by side needs a window that is 1,440 pixels wide."
    tabs.resize(1600, 700)
    tabs.activateWindow()
    tabs.tiled.click()
    qtbot.waitUntil(lambda: first.isVisible() and second.isVisible() and tabs.isActiveWindow())
    for chosen, expected in ((first, ("paused", "playing")), (second, ("paused", "paused"))):
        qtbot.mouseClick(chosen.view, Qt.MouseButton.LeftButton)
        assert tabs.current is chosen
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
        assert (state(first), state(second)) == expected


def test_closing_one_ends_its_threads_and_leaves_the_other_playing(
    qtbot: QtBot, open_two: OpenTwo, recording: Path
) -> None:
    source = FakeSource([moving_bar(100_000)] * 3, resolution=SENSOR, on_demand=True)
    first, second = open_two(recording, source, loop=True)
    tabs, shown = tabs_of(first), first.view.shown
    qtbot.keyClick(second, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert source.closed.is_set()
    assert tabs.pages == [first]
    assert first.isVisible()
    assert not tabs.bar.isVisible()
    qtbot.waitUntil(lambda: first.view.shown > shown + 3)
    assert tabs.windowTitle() == first.windowTitle() == "bar.npz (recordings0) – livesnn"


def test_a_source_that_hangs_keeps_nobody_waiting_when_its_tab_is_closed(
    qtbot: QtBot, open_two: OpenTwo, recording: Path
) -> None:
    source = FakeSource([moving_bar(100_000)], resolution=SENSOR, then="wait", deaf=True)
    first, second = open_two(recording, source, loop=True)
    assert source.exhausted.wait(20)
    begun_s = time.monotonic()
    second.close()
    assert time.monotonic() - begun_s < LAST_PATIENCE_S
    assert state(first) == "playing"
    source.release()


def test_closing_one_leaves_the_engine_of_another_in_preparation(
    qtbot: QtBot, model_folder: Path, recording: Path
) -> None:
    stopped = threading.Event()

    def prepare(stop: threading.Event) -> None:
        while not stop.wait(0.01):
            pass
        stopped.set()

    model = SwitchingModel(OnnxModel.load(model_folder / "model.onnx"), prepare)
    first = MainWindow(model, settings=SettingsFile())
    first.show()
    first.open(str(recording))
    second = first.new_tab()
    second.open(str(recording), str(model_folder))
    qtbot.waitUntil(lambda: None not in (first.player.opened, second.player.opened))
    second.close()
    assert not stopped.is_set()
    assert note_of(model) == PREPARING
    tabs_of(first).close()
    assert stopped.is_set()


def test_quitting_closes_every_source(qtbot: QtBot, open_two: OpenTwo, recording: Path, backwards: Path) -> None:
    first, second = open_two(recording, backwards, loop=True)
    second.commands["quit"].trigger()
    assert first.session is None
    assert second.session is None
    qtbot.waitUntil(lambda: not tabs_of(first).isVisible())


def test_the_command_line_opens_several_sources(recording: Path, backwards: Path, model_folder: Path) -> None:
    command = ("-m", "livesnn", "gui", str(recording), str(backwards), "--model", str(model_folder))
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"LIVESNN_QUIT_AFTER": "6"},
    )
    assert done.returncode == 0, done.stderr
    expected = sum((decisions_of(each, model_folder) for each in (recording, backwards)), Counter())
    summary = json.loads(done.stdout)
    assert summary["decisions"] >= expected.total() > 0  # recordings are repeated
