"""Measures the window while events come at a given rate: the process that `livesnn bench sustained` starts.

python -m livesnn.app.benchmark ORDER.json REPORT.json
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from livesnn.app.application import check_screen, make_application
from livesnn.app.settings import SettingsFile
from livesnn.errors import LivesnnError
from livesnn.events.packet import Resolution
from livesnn.events.playback_clock import MemorySource
from livesnn.infer.model import load_model
from livesnn.session.sustained import Look, Measured, Order, TimedModel, sum_up

if TYPE_CHECKING:
    from livesnn.app.main_window import MainWindow

POLL_MS = 5


def measure_window(order: Order) -> Measured:
    """Show the window until it has been measured.

    Raises LivesnnError if there is no screen, the model can't be loaded, or nothing was shown.
    """
    check_screen()
    cores = _use_cores(order.cores)
    from livesnn.app.main_window import MainWindow  # not before: without Qt's libraries it can't be imported

    settings = SettingsFile()
    application = make_application(settings)
    events, resolution = np.load(order.events), Resolution(*order.resolution)
    source = MemorySource(events, resolution, duration_us=order.duration_us, repeated=True)
    model = TimedModel(load_model(order.model, order.engine, threads=order.threads))
    window = MainWindow(model, settings=settings)
    window.show()
    window.open(source)
    looks: list[Look] = []
    _look_and_close(window, source, order, looks)
    application.exec()
    window.close()
    if len(looks) < 2:
        raise LivesnnError(window.player.last_error or "the window was closed before it was measured")
    first, last = looks
    return sum_up(order, model, first, last, cores)


def _use_cores(number: int) -> int | None:
    """Use at most so many processors; return how many are used, None if that isn't known."""
    if sys.platform != "linux":
        return None
    usable = sorted(os.sched_getaffinity(0))[:number]
    os.sched_setaffinity(0, usable)
    return len(usable)


def _look_and_close(window: MainWindow, source: MemorySource, order: Order, looks: list[Look]) -> None:
    """Append a look after the warm-up, which begins with the first picture, and one at the end; then close."""
    from PySide6.QtCore import QTimer

    def look() -> None:
        if window.session is not None:
            counts, pictures = window.session.statistics, window.view.shown
            came = source.counters.events
            looks.append(Look(time.perf_counter(), came, counts.dropped, pictures, counts.density))

    def end() -> None:
        look()
        window.close()

    def wait() -> None:
        if window.session is None or window.session.error is not None:
            window.close()
        elif window.view.shown:
            watch.stop()
            QTimer.singleShot(round(1000 * order.warm_up_s), window, look)
            QTimer.singleShot(round(1000 * (order.warm_up_s + order.seconds)), window, end)

    watch = QTimer(window)
    watch.timeout.connect(wait)
    watch.start(POLL_MS)


def main(order_file: str, report_file: str) -> None:
    """Measure what a JSON file orders, and write the report to another: `Measured`, or {"error": why}."""
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=Order)
    try:
        report: object = measure_window(order)
    except LivesnnError as error:
        report = {"error": str(error)}
    Path(report_file).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
