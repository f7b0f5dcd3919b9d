"""Watchdog: how long the GUI thread was ever busy without coming back to its event loop. Not here: why."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Qt, QTimer, Slot

ENVIRONMENT = "LIVESNN_WATCHDOG"
"""Environment variable: when set, the window says at its end how long it was blocked."""

TICK_MS = 5


class Watchdog(QObject):
    """Ticks in the GUI thread; a tick that comes late tells how long the thread was blocked.

    Parameters
    ----------
    parent
        Ends it.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._longest_s = 0.0
        self._ticked_s = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.look)
        self._timer.start(TICK_MS)

    @property
    def blocked_ms_max(self) -> float:
        """Longest time between two ticks since the start, what a tick takes not counted; ms."""
        return max(1000 * self._longest_s - TICK_MS, 0.0)

    @Slot()
    def look(self) -> None:
        """Measure the time since the last look."""
        now_s = time.perf_counter()
        self._longest_s = max(self._longest_s, now_s - self._ticked_s)
        self._ticked_s = now_s
