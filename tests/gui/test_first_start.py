"""The first start, from a fresh configuration: the window fits the screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QRect

from .test_run import variables

SCREENS = pytest.mark.parametrize(("width", "height"), [(1024, 768), (1366, 768)])

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
