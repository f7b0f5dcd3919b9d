"""Record until killed: python tests/gui/clocked_recording.py record|window OUT.aedat4 EVENTS_A_PACKET MODEL_FOLDER.

The source gives a packet a millisecond, whose events have the time of `time.monotonic_ns`, which all processes share,
and whose number is in their x and y. The window labels all of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import numpy as np

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recorder import record
from tests.fake_source import FakeSource

SENSOR = Resolution(640, 480)
PACKET_S = 0.001


class Clocked(FakeSource):
    """A camera whose events have the time when they were given, and the number of their packet."""

    def __init__(self, per_packet: int) -> None:
        super().__init__(self.clocked(per_packet), resolution=SENSOR)

    def clocked(self, per_packet: int) -> Iterator[Events]:
        """Yield packets until the source is closed."""
        for number in count():
            if self.closed.wait(PACKET_S):
                return
            packet = np.zeros(per_packet, EVENTS_DTYPE)
            packet["t"] = time.monotonic_ns() // 1000
            packet["x"], packet["y"] = number % SENSOR.width, number // SENSOR.width % SENSOR.height
            yield packet


def show(source: Clocked, out: str, model: str) -> None:
    """Record by the window, from the moment it can on."""
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from livesnn.app.main_window import MainWindow
    from livesnn.app.settings import SettingsFile

    application = QApplication([])
    settings = SettingsFile()
    settings.change(labels=("something",))
    window = MainWindow(model, settings=settings)
    window.show()
    window.open(source)

    def begin() -> None:
        if window.player.recorder is None and window.player.can_record:
            window.recording.start(Path(out))
            window.recording.label(0)

    timer = QTimer()
    timer.timeout.connect(begin)
    timer.start(5)
    application.exec()


if __name__ == "__main__":
    how, out, per_packet, model = sys.argv[1:]
    sys.setswitchinterval(0.001)  # larger than app/application.py sets
    if how == "window":
        show(Clocked(int(per_packet)), out, model)
    else:
        record(Clocked(int(per_packet)), Path(out))
