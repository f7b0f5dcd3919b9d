"""run_app from start to end, in a process of its own; and what importing the app does not load."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from livesnn.app.demo import demo_of, model_for
from livesnn.app.screen import check_xcb, uses_xcb, xcb_plugin
from livesnn.app.settings import SettingsFile
from livesnn.errors import LivesnnError
from livesnn.infer.load import model_folder as folder_of
from tests.waiting import eventually


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env={**variables(Path(folder) / "settings.ini"), **environment},
            check=False,
        )


def variables(settings: Path) -> dict[str, str]:
    """Return an environment in which the window remembers in a file of ours."""
    repository = str(Path(__file__).resolve().parents[2])
    ours = {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": repository, "LIVESNN_SETTINGS": str(settings)}
    return {**os.environ, **ours}


def test_it_quits_when_told_and_sums_up(model_folder: Path, recording: Path) -> None:
    done = python(
        "-m", "livesnn", "gui", str(recording), "--model", str(model_folder), "--engine", "onnx",
        LIVESNN_QUIT_AFTER="3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["frames_shown"] > 0
    assert summary["decisions"] > 0
    assert summary["majority"] in [str(digit) for digit in range(10)]
    assert summary["dropped"] == 0


def test_the_command_line_says_in_one_line_why_nothing_was_shown(recording: Path) -> None:
    done = python("-m", "livesnn", "gui", str(recording), "--model", "no-such-model", LIVESNN_QUIT_AFTER="2")
    assert done.returncode == 1
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if "propagateSizeHints" not in line]
    assert len(said) == 1
    assert "no-such-model" in said[0]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
def test_without_a_screen_it_says_so_in_one_line(model_folder: Path, recording: Path) -> None:
    nothing = {"QT_QPA_PLATFORM": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = python("-m", "livesnn", "gui", str(recording), "--model", str(model_folder), **nothing)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no screen" in done.stderr
    assert "livesnn run FILE" in done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, False),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "xcb"}, True),
        ({"QT_QPA_PLATFORM": "offscreen"}, False),
        ({"QT_QPA_PLATFORM": "wayland;xcb", "DISPLAY": ":0"}, False),
    ],
)
def test_x11_is_used_where_qt_would_use_it(environment: dict[str, str], expected: bool) -> None:
    assert uses_xcb(environment) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="the plugin is Linux's")
def test_a_library_that_the_plugin_misses_is_named_with_what_to_install(tmp_path: Path) -> None:
    plugin = tmp_path / "libqxcb.so"
    shutil.copy(xcb_plugin(), plugin)  # Qt's own libraries aren't found from there
    check = "import sys, pathlib; from livesnn.app.screen import check_xcb; check_xcb(pathlib.Path(sys.argv[1]))"
    # In a process of its own: here another test may have loaded Qt's libraries already.
    done = subprocess.run([sys.executable, "-c", check, str(plugin)], capture_output=True, text=True, check=False)
    assert re.search(r"the window needs libQt6\w+\.so\.6: sudo apt install libxcb-cursor0", done.stderr)


def test_the_demo_of_a_model_is_what_it_knows() -> None:
    for model in ("gestures", "objects", "no-such-model"):
        assert demo_of(model) == "simulate:gestures"
    assert demo_of("mnist-seq2") == "simulate:digits"
    assert demo_of("ucf6") is None
    for model, clip in (("nmnist", "digit-3.aedat4"), ("cifar10-dvs", "ship.aedat4")):
        assert Path(demo_of(str(folder_of(model))) or "").name == clip


@pytest.mark.parametrize(
    ("source", "chosen", "model"),
    [
        ("simulate:gestures", "gestures", None),
        ("simulate:gestures", "nmnist", "gestures"),
        ("simulate:flap:3", "ucf6", "gestures"),
        ("simulate:gestures", "no-such-model", None),
        ("simulate:digits", "gestures", "mnist-seq2"),
        ("a.aedat4", "nmnist", None),
    ],
)
def test_a_scene_is_played_to_the_chosen_model_if_that_knows_it(source: str, chosen: str, model: str | None) -> None:
    assert model_for(source, chosen) == model


def test_without_a_source_the_demo_plays_until_its_first_picture() -> None:
    done = python("-m", "livesnn", "gui", LIVESNN_QUIT_AFTER="first-frame")
    assert done.returncode == 0, done.stderr
    assert 1 <= json.loads(done.stdout)["frames_shown"] <= 5


CLOSED = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from livesnn.__main__ import main
from livesnn.app.main_window import MainWindow

def look():
    for window in QApplication.topLevelWidgets():
        if isinstance(window, MainWindow) and window.view.shown:
            return window.close()

application = QApplication([])
timer = QTimer()
timer.timeout.connect(look)
timer.start(50)
sys.exit(main(["gui", *sys.argv[1:]]))
"""


def test_who_closes_the_window_reads_no_json_unless_they_asked_for_it(model_folder: Path, recording: Path) -> None:
    command = ("-c", CLOSED, str(recording), "--model", str(model_folder))
    by_hand, asked = python(*command), python(*command, "--json")
    assert (by_hand.returncode, by_hand.stdout) == (0, ""), by_hand.stderr
    assert json.loads(asked.stdout)["frames_shown"] > 0


def test_a_wrong_time_to_quit_is_refused_before_a_window_opens(model_folder: Path, recording: Path) -> None:
    done = python("-m", "livesnn", "gui", str(recording), "--model", str(model_folder), LIVESNN_QUIT_AFTER="soon")
    assert done.returncode == 1
    assert "LIVESNN_QUIT_AFTER='soon'" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs Xvfb or xdotool: make counterparts"
)
def test_the_keys_of_a_real_keyboard_do_what_the_menu_says(
    model_folder: Path, recording: Path, tmp_path: Path
) -> None:
    """A real window: the keys come from the X server, what they did is read from what is remembered."""
    settings = tmp_path / "settings.ini"
    with x_server(tmp_path) as display:
        environment = {**variables(settings), "QT_QPA_PLATFORM": "xcb", "DISPLAY": display}
        command = ["-m", "livesnn", "gui", str(recording), "--model", str(model_folder), "--json"]
        app = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def press(*keys: str) -> None:
            subprocess.run(["xdotool", "key", "--delay", "60", *keys], env=environment, check=True, timeout=20)

        try:
            search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "bar.npz .* – livesnn"]
            window = subprocess.run(search, env=environment, capture_output=True, text=True, timeout=30)
            subprocess.run(
                ["xdotool", "windowfocus", "--sync", window.stdout.split()[0]], env=environment, timeout=20
            )
            eventually(lambda: SettingsFile(settings).now.recent == (str(recording),))
            loop = SettingsFile(settings).now.choices.loop
            press("l", "a", "ctrl+2")
            eventually(lambda: SettingsFile(settings).now.choices.view.palette == "white and grey")
            choices = SettingsFile(settings).now.choices
            assert (choices.loop, choices.view.mode) == (not loop, "accumulate")
            press("space", "period", "comma", "r", "ctrl+q")
            out, said = app.communicate(timeout=30)
        finally:
            app.kill()
            app.communicate()
        assert app.returncode == 0, said
        assert json.loads(out)["frames_shown"] > 0


@contextmanager
def x_server(folder: Path, screen: str = "1400x900x24") -> Iterator[str]:
    """Run an X server on a free display, without a screen; yield its name. Skips where Qt can't use one."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            display = f":{said.readline().strip()}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DISPLAY", display)
            try:
                check_xcb(xcb_plugin())
            except LivesnnError as error:
                pytest.skip(str(error))
            yield display
    finally:
        server.terminate()
        server.wait(10)
