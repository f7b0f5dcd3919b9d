"""The first start, from a fresh configuration: the window fits the screen, and a tour shows its parts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, Qt
from pytestqt.qtbot import QtBot

from livesnn.app.application import automated
from livesnn.app.main_window import MainWindow
from livesnn.app.tour import beside

from .test_choices import be_active
from .test_run import variables, x_server

MakeWindow = Callable[..., MainWindow]
SCREENS = pytest.mark.parametrize(("width", "height"), [(1024, 768), (1280, 800), (1366, 768)])

LOOK = """
import json, sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from livesnn.app import style
from livesnn.app.main_window import MainWindow
from tests.gui.shown_results import GESTURES

application = QApplication([])
style.use("dark", application)
window = MainWindow()
window.show()
rows = window.readout.rows
rows.set_classes(GESTURES)

def look():
    room, frame = window.screen().availableGeometry(), window.frameGeometry()
    image = rows.grab().toImage()
    middle = image.height() // len(GESTURES) // 2
    curve = sum(image.pixelColor(x, middle).name() == style.theme.raised for x in range(image.width()))
    print(json.dumps({"room": room.getRect(), "frame": frame.getRect(), "curve": curve}))
    window.close()

QTimer.singleShot(int(sys.argv[1]), look)
application.exec()
"""


def look(after_ms: int, **environment: str) -> tuple[QRect, QRect, int]:
    """Start the window in a process of its own; return the screen, the window with its frame, a curve's width."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(after_ms)],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    return QRect(*seen["room"]), QRect(*seen["frame"]), seen["curve"]


@SCREENS
def test_the_window_fits_the_screen_with_its_frame_and_has_wide_curves(
    tmp_path: Path, width: int, height: int
) -> None:
    screen = {"name": "one", "x": 0, "y": 0, "width": width, "height": height, "dpr": 1}
    (tmp_path / "screens.json").write_text(json.dumps({"screens": [screen]}))
    platform = f"offscreen:configfile={tmp_path / 'screens.json'}"
    room, frame, curve = look(500, **variables(tmp_path / "settings.json") | {"QT_QPA_PLATFORM": platform})
    assert room == QRect(0, 0, width, height)
    assert frame.width() <= width
    assert frame.height() <= height
    assert curve > 100


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("openbox")), reason="needs Xvfb or openbox: make counterparts"
)
@SCREENS
def test_a_window_manager_puts_all_of_it_on_the_screen(tmp_path: Path, width: int, height: int) -> None:
    with x_server(tmp_path, f"{width}x{height}x24") as display:
        manager = subprocess.Popen(["openbox", "--sm-disable"], env=os.environ | {"DISPLAY": display})
        try:
            x11 = {"QT_QPA_PLATFORM": "xcb", "DISPLAY": display}
            room, frame, _ = look(1500, **variables(tmp_path / "settings.json") | x11)
        finally:
            manager.terminate()
            manager.wait(10)
    assert (room.width(), room.height()) == (width, height)
    assert room.contains(frame)


def test_the_tour_has_five_steps_beside_parts_that_are_seen(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    tour = window.tour
    assert not tour.isVisible()
    tour.begin()
    said, skippable = [], []
    while tour.isVisible():
        skippable.append(tour.skip.isVisible())
        assert window.rect().contains(tour.geometry())
        said.append(tour.count.text())
        qtbot.mouseClick(tour.next, Qt.MouseButton.LeftButton)
    assert said == [f"{number} of 5" for number in range(1, 6)]
    assert skippable == [True] * 4 + [False]
    assert window.settings.now.toured


def test_the_tour_can_be_skipped_by_its_button_or_esc_and_taken_again(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    be_active(qtbot, window)
    window.tour.begin()
    qtbot.mouseClick(window.tour.skip, Qt.MouseButton.LeftButton)
    assert (window.tour.isVisible(), window.settings.now.toured) == (False, True)
    window.commands["tour"].trigger()
    assert window.tour.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.tour.isVisible()


def test_the_tour_takes_no_key_from_the_window(qtbot: QtBot, make_window: MakeWindow) -> None:
    window = make_window()
    be_active(qtbot, window)
    focused = window.focusWidget()
    window.tour.begin()
    assert window.focusWidget() is focused
    loop = window.settings.now.choices.loop
    qtbot.keyClick(window, Qt.Key.Key_L)
    assert window.settings.now.choices.loop != loop


def test_the_tour_follows_the_window_s_size(make_window: MakeWindow) -> None:
    window = make_window()
    window.tour.begin()
    for size in ((800, 520), (800, 780)):
        window.resize(*size)
        assert window.rect().contains(window.tour.geometry())


@pytest.mark.parametrize("part", [QRect(10, 10, 500, 400), QRect(900, 10, 80, 30), QRect(0, 0, 1000, 700)])
def test_a_card_stands_beside_its_part_inside_the_window(part: QRect) -> None:
    card, window = QRect(0, 0, 300, 160), QRect(0, 0, 1000, 700)
    placed = card.translated(beside(part, card, window))
    assert window.contains(placed)
    assert not placed.intersects(part) or part == window


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DISPLAY": ":0"}, False),
        ({"QT_QPA_PLATFORM": "xcb", "DISPLAY": ":0"}, False),
        ({"QT_QPA_PLATFORM": "offscreen"}, True),
        ({"DISPLAY": ":0", "LIVESNN_QUIT_AFTER": "first-frame"}, True),
        ({"DISPLAY": ":0", "LIVESNN_WATCHDOG": "1"}, True),
    ],
)
def test_the_tour_is_for_persons_only(environment: dict[str, str], expected: bool) -> None:
    assert automated(environment) == expected


TOURED = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from livesnn.app.application import run_app
from livesnn.app.main_window import MainWindow

def look():
    (window,) = [each for each in QApplication.topLevelWidgets() if isinstance(each, MainWindow)]
    print(window.tour.isVisible())
    window.tour.end()
    window.close()

application = QApplication([])
QTimer.singleShot(6000, look)
run_app(sys.argv[1], sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb: make counterparts")
def test_only_the_first_start_begins_with_the_tour(model_folder: Path, recording: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TOURED, str(recording), str(model_folder)]
    said = []
    with x_server(tmp_path) as display:
        environment = {**variables(tmp_path / "settings.json"), "QT_QPA_PLATFORM": "xcb", "DISPLAY": display}
        for _ in range(2):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            said += done.stdout.split()
    assert said == ["True", "False"]
