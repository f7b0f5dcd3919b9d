"""Make the screenshots of README and docs/ without a screen: python packaging/screenshots.py [--shot NAME].

Writes docs/images/*.png, each in a process of its own: Qt reads its scale once. Run it again whenever the
window changes. Where QT_QPA_PLATFORM is xcb, the screen needs 2560×1600 pixels: windows are cut to it.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtWidgets import QApplication

from livesnn.app import style
from livesnn.app.demo import DEMO
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import ThemeName
from livesnn.events.slicer import frames
from livesnn.infer.load import DEFAULT_MODEL, read_card
from livesnn.paths import recordings_dir
from livesnn.session.comparison import Second
from livesnn.simulate import DIGITS_URI
from livesnn.simulate.sources import SimulatedPerson
from livesnn.teach.correct import teach
from livesnn.teach.lesson import clips_of

FOLDER = Path(__file__).resolve().parents[1] / "docs/images"
SETTLED_S = 8.0
PLOTTED_S = 45.0
GIVE_UP_S = 90.0
TEACHER = 3
ROLL, CIRCLES, SHIP = (
    str(recordings_dir() / f"{name}.aedat4") for name in ("arm_roll", "left_arm_clockwise", "ship")
)
FLICKER = "simulate:gestures:293"
"""Somebody in the light of a lamp that flickers."""


class Played(NamedTuple):
    """A source, and the name or folder of its model."""

    source: str = DEMO
    model: str = DEFAULT_MODEL


class Shot(NamedTuple):
    """Size of the window in its own pixels, looks, pixels of the screen a pixel; what is played.

    ``taught``: what a simulated person teaches first, and then performs. ``beside``: another source, side by side.
    ``second``: what the model is compared with. ``plots``: those in the dock, by name; they are shown once they go
    back for `PLOTTED_S`. ``stage``: whether the stage is shown.
    """

    width: int
    height: int
    theme: ThemeName
    scale: int = 1
    played: Played = Played()
    taught: str = ""
    beside: Played | None = None
    second: Second | None = None
    plots: tuple[str, ...] = ()
    stage: bool = False


SHOTS = {
    "window-1280x800": Shot(1280, 800, "dark"),
    "window-1920x1080": Shot(1920, 1080, "dark"),
    "window-1280x800-light-2x": Shot(1280, 800, "light", 2),
    "taught-1280x800": Shot(1280, 800, "dark", taught="flap"),
    "flicker-1280x800": Shot(1280, 800, "dark", played=Played(FLICKER)),
    "plots-1280x800": Shot(1280, 800, "dark", plots=("rate", "latency", "density", "probabilities")),
    "stage-1920x1080": Shot(1920, 1080, "dark", stage=True),
    "tabs-1920x1080": Shot(1920, 1080, "dark", played=Played(ROLL), beside=Played(CIRCLES)),
    "compared-1280x800": Shot(1280, 800, "dark", second=Second(DEFAULT_MODEL, state_mode="reset", threshold=0.95)),
    "ship-1280x800": Shot(1280, 800, "dark", played=Played(SHIP, "cifar10-dvs")),
    "digits-1280x800": Shot(1280, 800, "dark", played=Played(DIGITS_URI, "mnist-seq2")),
}


def main() -> None:
    """Take every shot, or one, once the network has decided."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--shot", choices=SHOTS, help="default: all of them")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    if arguments.shot:
        take(arguments.shot, arguments.folder)
        return
    for name, shot in SHOTS.items():
        environment = {**os.environ, "QT_SCALE_FACTOR": str(shot.scale)}
        subprocess.run([sys.executable, *sys.argv, "--shot", name], env=environment, check=True)


def take(name: str, folder: Path) -> None:
    """Teach what is to be taught, and take one shot."""
    shot = SHOTS[name]
    with tempfile.TemporaryDirectory() as made:
        taught = Path(made) / f"gestures-{shot.taught}"
        shoot(shot, teach_movement(shot.taught, taught) if shot.taught else shot.played, folder / f"{name}.png")


def shoot(shot: Shot, played: Played, out: Path) -> None:
    """Play something in a window, and keep a picture of it."""
    application = QApplication([])
    style.use(shot.theme, application)
    window = MainWindow()
    window.resize(shot.width, shot.height)
    window.show()
    window.open(*played)
    if shot.plots:
        window.settings.change(plots=tuple(shot.plots))
        window.plots.show()
    if shot.stage:
        window.presenting.enter()
        window.showNormal()  # the screen has another size
        window.resize(shot.width, shot.height)
    window.comparing.use(shot.second)
    windows = [window]
    if shot.beside is not None:
        windows.append(window.new_tab())
        windows[1].open(*shot.beside)
        windows[1].commands["side_by_side"].trigger()
    for each in windows * (4 if shot.second else 1):  # some hundred frames are compared
        play_until_decided(application, each, PLOTTED_S if shot.plots else SETTLED_S)
    whole = window.tabs or window
    whole.grab().save(str(out))
    whole.close()


def teach_movement(movement: str, folder: Path) -> Played:
    """Teach `gestures` a movement by ten seconds of somebody who goes on with it."""
    spec = read_card("gestures").input
    person = SimulatedPerson(TEACHER, gestures=(movement,), duration_us=10_000_000, paced=False)
    teach(movement, clips_of(frames(person, spec)), "gestures", folder)
    return Played(f"simulate:{movement}:{TEACHER}", str(folder))


def play_until_decided(application: QApplication, window: MainWindow, settled_s: float) -> None:
    """Play for so long, then to the next frame with a decision in the middle of a window."""
    called_s = time.perf_counter()
    begun_s = math.inf  # when the first frame was shown
    while True:
        application.processEvents()
        time.sleep(0.004)
        now_s = time.perf_counter()
        if window.window_panel.strip.seen:
            begun_s = min(begun_s, now_s)
        if window.banner.isVisible():
            raise SystemExit(window.banner.message.text())
        said = window.readout.decision.said
        decided = said.confidence > 0.5 and said.words != "Other"
        if window.presenting.on:
            decided = window.presenting.stage.caption.said.number is not None
        if now_s - begun_s > settled_s and decided and window.window_panel.strip.seen >= 6:
            return
        if now_s - called_s > GIVE_UP_S:
            raise SystemExit(f"no decision within {GIVE_UP_S:g} s: look at the window")


if __name__ == "__main__":
    main()
