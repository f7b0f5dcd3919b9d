"""Make the README's screenshots without a screen: python packaging/screenshots.py [SOURCE] [--model M].

Writes packaging/screenshots/*.png. Run it again whenever the window changes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtWidgets import QApplication

from livesnn.app.look import style
from livesnn.app.main_window import MainWindow
from livesnn.app.playing.demo import demo
from livesnn.app.playing.settings import ThemeName

FOLDER = Path(__file__).resolve().parent / "screenshots"
SHOTS: tuple[tuple[int, int, ThemeName, str], ...] = (  # the last is added to the file's name
    (1280, 800, "dark", ""),
    (1920, 1080, "dark", ""),
    (1280, 800, "light", "-light"),
)
SETTLED_S = 4.0
GIVE_UP_S = 60.0


def main() -> None:
    """Play the source at each size, and take a picture once the network has decided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", help="default: what `livesnn gui` plays")
    parser.add_argument("--model", help="default: that of the demo, or the one that `livesnn gui` uses")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    shown = demo(arguments.model)
    if arguments.source is None and shown is None:
        raise SystemExit("there is no demo in this installation: name a source")
    arguments.folder.mkdir(exist_ok=True)
    application = QApplication([])
    for width, height, theme, kind in SHOTS:
        style.use(theme, application)
        window = MainWindow(arguments.model)
        window.resize(width, height)
        window.show()
        if arguments.source is not None:
            window.open(arguments.source)
        elif shown is not None:
            window.open(shown.source, shown.model)
        play_until_decided(application, window)
        window.grab().save(str(arguments.folder / f"window-{width}x{height}{kind}.png"))
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
        decided = window.readout.decision.confidence > 0.5
        if elapsed_s > SETTLED_S and decided and window.window_panel.strip.seen >= 6:
            return
        if elapsed_s > GIVE_UP_S:
            raise SystemExit(f"no decision within {GIVE_UP_S:g} s: choose another source or model")


if __name__ == "__main__":
    main()
