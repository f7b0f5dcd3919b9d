"""What the window's tests share: a window, and a guard against threads left behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.session.session import SourceLike
from tests.synthetic import livesnn_threads
from tests.waiting import PATIENCE_S

PATIENCE_MS = round(1000 * PATIENCE_S)
MakeWindow = Callable[..., MainWindow]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()  # here: Qt's objects that a thread of a later test collects may crash it
    for thread in threading.enumerate():
        if thread.name == "livesnn-discover":  # a dialog that is closed waits for no search
            thread.join(20.0)
    assert livesnn_threads() == []


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """Wait longer: a machine can stand still for the five seconds that are usual."""
    qtbot.waitUntil = partial(qtbot.waitUntil, timeout=PATIENCE_MS)  # type: ignore[method-assign]
    qtbot.waitSignal = partial(qtbot.waitSignal, timeout=PATIENCE_MS)  # type: ignore[method-assign]
    return qtbot


@pytest.fixture
def make_window(qtbot: QtBot, model_folder: Path) -> Iterator[MakeWindow]:
    """Return a function that makes a window on show, which is closed after the test."""
    windows: list[MainWindow] = []

    def make(
        model: str | Path = model_folder, *, loop: bool = False, settings: SettingsFile | None = None
    ) -> MainWindow:
        kept = settings or SettingsFile()
        kept.choose(loop=loop)
        window = MainWindow(str(model), settings=kept)
        qtbot.addWidget(window)
        windows.append(window)
        window.show()
        return window

    yield make
    for window in windows:
        window.close()


def play(qtbot: QtBot, window: MainWindow, source: SourceLike) -> None:
    """Open a source, and wait for its second picture."""
    before, shown = window.session, window.view.shown
    window.open(source)
    qtbot.waitUntil(lambda: window.session is not before and window.view.shown > shown + 1)
    qtbot.waitUntil(lambda: window.player.opened is not None)
