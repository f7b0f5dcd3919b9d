"""Record until killed: python tests/gui/clocked_recording.py record|window OUT.aedat4 EVENTS_A_PACKET MODEL_FOLDER.

The source gives a packet a millisecond, whose events have the time of `time.monotonic_ns`, which all processes share,
and whose number is in their x and y. The window labels all of it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import numpy as np

from livesnn.events.packet import EVENTS_DTYPE, Closing, Packet, Resolution, SourceCounters
from livesnn.events.recorder import record

SENSOR = Resolution(640, 480)
PACKET_S = 0.001


class Clocked(Closing):
    """A camera whose events say when they were given, and which one each is."""

    resolution = SENSOR
    name, live, warnings = "", True, ()

    def __init__(self, per_packet: int) -> None:
        self.counters = SourceCounters()
        self._per_packet = per_packet
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Packet]:
        number = 0
        while not self._closed.wait(PACKET_S):
            packet = np.zeros(self._per_packet, EVENTS_DTYPE)
            packet["t"] = time.monotonic_ns() // 1000
            packet["x"], packet["y"] = number % SENSOR.width, number // SENSOR.width % SENSOR.height
            number += 1
            yield Packet(packet, time.perf_counter())

    def close(self) -> None:
        self._closed.set()


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
            window.recording.start(out)
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
