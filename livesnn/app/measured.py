"""The window, measured while events come at a given rate: a process of its own, for `livesnn bench sustained`.

python -m livesnn.app.measured ORDER.json REPORT.json. Not here: at which rates (bench/sustained.py).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from livesnn.app.run import make_application
from livesnn.app.screen import check_screen
from livesnn.app.settings import Settings
from livesnn.errors import LivesnnError
from livesnn.events.memory_source import MemorySource
from livesnn.events.packet import Resolution
from livesnn.infer.model import load_model
from livesnn.session.sustained import Look, Measured, Order, Timed, sum_up

if TYPE_CHECKING:
    from livesnn.app.main_window import MainWindow

POLL_MS = 5


def measure_window(order: Order) -> Measured:
    """Show the window until it has been measured.

    Raises LivesnnError when there is no screen, the model can't be loaded, or nothing was shown.
    """
    check_screen()
    cores = _use_cores(order.cores)
    from livesnn.app.main_window import MainWindow  # not before: without Qt's libraries it can't be imported

    settings = Settings()
    application = make_application(settings)
    events, resolution = np.load(order.events), Resolution(*order.resolution)
    source = MemorySource(events, resolution, duration_us=order.duration_us, repeated=True)
    model = Timed(load_model(order.model, order.engine, threads=order.threads))
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
    """Run on so many processors at most, and return on how many; None where that can't be told."""
    if sys.platform != "linux":
        return None
    usable = sorted(os.sched_getaffinity(0))[:number]
    os.sched_setaffinity(0, usable)
    return len(usable)


def _look_and_close(window: MainWindow, source: MemorySource, order: Order, looks: list[Look]) -> None:
    """Leave a look after the warm-up, which begins with the first picture, and one at the end; then close."""
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
    """Measure what is ordered in a JSON file, and leave the report in another: `Measured`, or {"error": why}."""
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=Order)
    try:
        report: object = measure_window(order)
    except LivesnnError as error:
        report = {"error": str(error)}
    Path(report_file).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
