"""The watchdog measures how long the GUI thread didn't come back."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer
from pytestqt.qtbot import QtBot

from livesnn.app.application import Watchdog


def test_a_blocked_thread_is_measured(qtbot: QtBot) -> None:
    watchdog = Watchdog()
    done: list[float] = []

    def block() -> None:
        begun_s = time.perf_counter()
        while time.perf_counter() - begun_s < 0.15:
            pass
        done.append(time.perf_counter() - begun_s)

    QTimer.singleShot(20, block)
    qtbot.waitUntil(lambda: bool(done) and watchdog.blocked_ms_max >= 100)
    assert watchdog.blocked_ms_max < 1000 * done[0] + 500
