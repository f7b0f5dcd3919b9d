"""Show frames and a comparison as fast as they come: python tests/gui/soak.py MODEL_FOLDER FRAMES.

All plots are open, and the stage is shown at first and in the middle third.
Prints {frames, painted, plots_drawn, rss_after_first, rss_at_end, dropped, decisions} as JSON.
The process must end with 0: a crash while painting is what this is for.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import psutil
from PySide6.QtWidgets import QApplication

from livesnn.app.main_window import MainWindow
from livesnn.app.widgets.plots import LOOKS
from livesnn.events.packet import Events
from livesnn.session import session
from livesnn.session.comparison import Second
from tests.fake_source import FakeSource, endless
from tests.synthetic import moving_bar

WARM_UP = 1000  # frames, after which memory must not grow
PACKET_US = 10_000
AHEAD = 2  # packets
PAUSE_S = 0.0002
LOST_S = 0.5  # a packet without a picture for so long was dropped, or its picture replaced


class OnDemand(FakeSource):
    """A camera without end, whose next packet comes as soon as the last picture has been painted.

    A flood would fight the window for the interpreter's lock, and most of its pictures would never be painted.
    """

    def __init__(self) -> None:
        super().__init__(self.packets())
        self.wanted = threading.Semaphore(AHEAD)

    def packets(self) -> Iterator[Events]:
        """Yield each packet once it is wanted."""
        for packet in endless(moving_bar(1_000_000, start_us=0), 1_000_000, PACKET_US):
            self.wanted.acquire()
            yield packet

    def close(self) -> None:
        super().close()
        self.wanted.release()


def main(model: str, frames: int) -> dict[str, int]:
    """Show so many frames, each painted, and return what was measured."""
    application = QApplication([])
    session.PICTURE_EVERY_S = 0.0  # one for each packet
    window = MainWindow(model)
    window.resize(1000, 700)
    window.commands["plots"].trigger()
    window.settings.change(plots=tuple(LOOKS))
    window.show()
    window.timer.stop()  # polled here, without waiting
    window.comparing.use(Second(model, state_mode="reset"))
    source = OnDemand()
    window.open(source)
    process = psutil.Process()
    after_first = painted = 0
    shown_s, tick = time.perf_counter(), threading.Event()
    while window.view.shown < frames:
        before = window.view.shown
        if window.presenting.on != (100 <= before < 500 or frames // 3 <= before < 2 * frames // 3):
            window.presenting.toggle()
        window.poll()
        if window.view.shown != before:
            window.view.canvas.repaint()
            painted += 1
            shown_s = time.perf_counter()
            source.wanted.release()
        elif time.perf_counter() - shown_s > LOST_S:
            shown_s = time.perf_counter()
            source.wanted.release()
        else:  # leave the interpreter's lock to the threads that make the next picture
            tick.wait(PAUSE_S)
        application.processEvents()
        if window.view.shown == WARM_UP:
            after_first = process.memory_info().rss
        if window.banner.isVisible():
            raise SystemExit(window.banner.message.text())
    at_end = process.memory_info().rss
    window.close()
    summary = window.summary()
    return {
        "frames": summary["frames_shown"],
        "painted": painted,
        "plots_drawn": 0 if window.plots.panel is None else window.plots.panel.drawn,
        "rss_after_first": after_first,
        "rss_at_end": at_end,
        "dropped": summary["dropped"],
        "decisions": summary["decisions"],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))  # noqa: T201
