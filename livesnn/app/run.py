"""run_app: the application from its first window to its last. Not here: what is in the window."""

from __future__ import annotations

import os
import sys
from typing import Final, Literal, cast

import pyqtgraph as pg
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from livesnn.app.main_window import MainWindow, Summary
from livesnn.errors import LivesnnError
from livesnn.paths import recordings_dir

QUIT_AFTER = "LIVESNN_QUIT_AFTER"
FIRST_FRAME: Final = "first-frame"


def run_app(source: str | None, model: str) -> Summary:
    """Show the window until it is closed; return what it did.

    Parameters
    ----------
    source
        Recording to open; None: the first of the shipped ones, if there are any.
    model
        Name of a shipped model, or a model folder.

    Raises
    ------
    LivesnnError
        The environment's LIVESNN_QUIT_AFTER, after which the window closes, is neither a number of seconds nor
        "first-frame".
    """
    quit_after = _quit_after()
    # The pipeline's thread keeps the interpreter busy. Measured with 20 Mev/s, two cores: 17 pictures a second and
    # 90 ms without the window at Python's 5 ms, 50 and 18 ms at 1 ms.
    sys.setswitchinterval(0.001)
    application = cast(QApplication, pg.mkQApp("livesnn"))
    window = MainWindow(model)
    window.show()
    opened = source or _demo()
    if opened is not None:
        window.open(opened)
    if quit_after == FIRST_FRAME:
        watch = QTimer(window)
        watch.timeout.connect(lambda: window.close() if window.view.shown else None)
        watch.start(5)
    elif quit_after is not None:
        QTimer.singleShot(round(1000 * quit_after), window, window.close)
    application.exec()
    window.close()
    return window.summary()


def _quit_after() -> float | Literal["first-frame"] | None:
    text = os.environ.get(QUIT_AFTER, "")
    if not text or text == FIRST_FRAME:
        return FIRST_FRAME if text else None
    try:
        return max(float(text), 0.0)
    except ValueError:
        raise LivesnnError(
            f"{QUIT_AFTER}={text!r} in the environment: give a number of seconds, or {FIRST_FRAME!r}"
        ) from None


def _demo() -> str | None:
    clips = sorted(recordings_dir().glob("*.aedat4"))
    return str(clips[0]) if clips else None
