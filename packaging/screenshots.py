"""Make the README's screenshots without a screen: python packaging/screenshots.py [RECORDING] [--model M].

Writes packaging/screenshots/*.png. Run it again whenever the window changes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

import pyqtgraph as pg
from PySide6.QtWidgets import QApplication

from livesnn.app import style
from livesnn.app.main_window import MainWindow
from livesnn.app.run import DEMO
from livesnn.paths import recordings_dir

FOLDER = Path(__file__).resolve().parent / "screenshots"
SIZES = ((1280, 800), (1920, 1080))
SETTLED_S = 2.5
GIVE_UP_S = 60.0


def main() -> None:
    """Play the recording at each size, and take a picture once the network has decided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", nargs="?", help=f"default: {DEMO} of recordings/")
    parser.add_argument("--model", default="nmnist")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    recording = arguments.recording or str(recordings_dir() / DEMO)
    arguments.folder.mkdir(exist_ok=True)
    application = pg.mkQApp("livesnn")
    style.dress(application)
    for width, height in SIZES:
        window = MainWindow(arguments.model)
        window.resize(width, height)
        window.show()
        window.open(recording)
        play_until_decided(application, window)
        window.grab().save(str(arguments.folder / f"window-{width}x{height}.png"))
        window.close()


def play_until_decided(application: QApplication, window: MainWindow) -> None:
    """Play until the numbers have settled, then to the next frame with a decision in the middle of a window."""
    begun_s = time.perf_counter()
    while True:
        application.processEvents()
        time.sleep(0.004)
        elapsed_s = time.perf_counter() - begun_s
        if window.banner.isVisible():
            raise SystemExit(window.banner.message.text())
        if (
            elapsed_s > SETTLED_S
            and window.readout.bars.decision is not None
            and window.readout.dots.seen >= 6
        ):
            return
        if elapsed_s > GIVE_UP_S:
            raise SystemExit(f"no decision within {GIVE_UP_S:g} s: choose another recording or model")


if __name__ == "__main__":
    main()
