"""Exporting from the window: what is asked, what is in the files, and what the window says of them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

import livesnn
from livesnn.app.exporting import NO_MARKS, NO_PAST, NO_SOURCE
from livesnn.app.main_window import MainWindow
from livesnn.events.filters import Stretch
from livesnn.events.labels import Label, keep_labels, read_labels
from livesnn.events.recording import open_recording
from tests.fake_source import joined
from tests.synthetic import moving_bar, write_recording

from .conftest import MakeWindow
from .test_live_window import stream

EXPORTS = ("copy_picture", "save_picture", "film", "table", "stretch")


def play(qtbot: QtBot, window: MainWindow, recording: Path) -> None:
    """Play a recording to its end."""
    window.open(recording)
    qtbot.waitUntil(lambda: window.session is not None and window.session.control.state == "ended")
    window.poll()


def at(qtbot: QtBot, window: MainWindow, seconds: float) -> float:
    """Pause at a time, and return the time of the picture."""
    session = window.session
    assert session is not None
    window.player.seek(seconds)
    if session.control.state != "paused":
        window.player.toggle()
    qtbot.waitUntil(lambda: session.control.state == "paused" and window.player.t_us >= 1e6 * seconds - 20_000)
    return window.player.t_us / 1e6


def press(qtbot: QtBot, window: MainWindow, *keys: str) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    for key in keys:
        qtbot.keySequence(window, key)


def export(window: MainWindow, action: str, out: Path) -> None:
    """Choose a file as a person does."""
    window.poll()
    assert window.commands[action].isEnabled()
    window.commands[action].trigger()
    assert isinstance(window.dialog, QFileDialog)
    window.dialog.fileSelected.emit(str(out))
    window.dialog.close()


def wait_for_words(qtbot: QtBot, window: MainWindow, words: str) -> None:
    qtbot.waitUntil(lambda: window.banner.isVisible() and words in window.banner.message.text(), timeout=30_000)


def test_ctrl_c_copies_the_picture_that_is_seen(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window()
    play(qtbot, window, recording)
    press(qtbot, window, "Ctrl+C")
    copied = QGuiApplication.clipboard().image()
    assert (copied.width(), copied.height()) == (952, 952)  # 34 × 28, at most 960
    press(qtbot, window, "M", "Ctrl+C")
    assert QGuiApplication.clipboard().image() == copied.flipped(Qt.Orientation.Horizontal)
    assert window.banner.message.text() == "Picture copied"


def test_the_picture_is_saved_as_png(qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path) -> None:
    window = make_window()
    play(qtbot, window, recording)
    export(window, "save_picture", tmp_path / "picture.png")
    wait_for_words(qtbot, window, f"Picture written to {tmp_path / 'picture.png'}")
    read = cv2.imread(str(tmp_path / "picture.png"))
    assert read is not None
    assert read.shape == (952, 952, 3)
    assert len(np.unique(read.reshape(-1, 3), axis=0)) > 10


def test_i_and_o_mark_a_stretch_which_is_exported_with_its_labels(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    recording = write_recording(tmp_path / "bar.npz", moving_bar(1_000_500))
    keep_labels(recording, [Label("wave", 0.1, 0.9)])
    window = make_window()
    play(qtbot, window, recording)
    assert window.commands["stretch"].toolTip() == NO_MARKS
    from_s = at(qtbot, window, 0.3)
    press(qtbot, window, "I")
    to_s = at(qtbot, window, 0.6)
    press(qtbot, window, "O")
    assert window.transport.line.marks == window.exporting.marks == Stretch(from_s, to_s)
    export(window, "stretch", tmp_path / "part.aedat4")
    wait_for_words(qtbot, window, f"events written to {tmp_path / 'part.aedat4'}")
    with open_recording(recording) as whole, open_recording(tmp_path / "part.aedat4") as part:
        events, exported = joined(whole), joined(part)
    since_us = events["t"] - events["t"][0]
    inside = events[(since_us >= round(1e6 * from_s)) & (since_us < round(1e6 * to_s))]
    np.testing.assert_array_equal(exported, inside)
    assert [label.label for label in read_labels(tmp_path / "part.aedat4")] == ["wave"]
    window.banner.action.click()  # "Open it"
    qtbot.waitUntil(lambda: window.header.source.text() == "part.aedat4")
    window.poll()
    assert window.exporting.marks == window.transport.line.marks == Stretch()


def test_a_mark_on_the_wrong_side_removes_the_other(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window()
    play(qtbot, window, recording)
    early = at(qtbot, window, 0.2)
    press(qtbot, window, "O")
    assert window.exporting.marks == Stretch(0.0, early)
    late = at(qtbot, window, 0.5)
    press(qtbot, window, "I")
    assert window.exporting.marks == Stretch(late)
    press(qtbot, window, "U")
    assert window.exporting.marks == Stretch()


def test_a_film_is_of_what_is_marked_and_at_the_chosen_speed(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window()
    play(qtbot, window, recording)
    from_s = at(qtbot, window, 0.4)
    press(qtbot, window, "I")
    window.player.apply(replace(window.player.choices, speed=0.5))
    export(window, "film", tmp_path / "film.mp4")
    wait_for_words(qtbot, window, f"pictures written to {tmp_path / 'film.mp4'}")
    capture = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    with open_recording(recording) as opened:
        seconds = opened.duration_us / 1e6 - from_s
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == round(2 * 30 * seconds)
    capture.release()
    assert window.banner.action.text() == "Open the folder"


def test_a_table_has_the_decisions_of_livesnn_run(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, model_folder: Path, tmp_path: Path
) -> None:
    window = make_window()
    play(qtbot, window, recording)
    export(window, "table", tmp_path / "bar.csv")
    wait_for_words(qtbot, window, f"91 decisions written to {tmp_path / 'bar.csv'}")
    with (tmp_path / "bar.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    results = [result for result in livesnn.run(recording, model_folder) if result.window_seen]
    assert [(int(row["t_us"]), row["decision"] or None) for row in rows] == [
        (result.t, result.decision) for result in results
    ]


def test_a_name_without_the_formats_suffix_gets_it_and_no_file_is_ever_replaced(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window()
    play(qtbot, window, recording)
    export(window, "table", tmp_path / "bar.v2")
    wait_for_words(qtbot, window, f"91 decisions written to {tmp_path / 'bar.v2.csv'}")
    assert [path.name for path in tmp_path.iterdir()] == ["bar.v2.csv"]
    (tmp_path / "bar.v2.csv").write_text("mine")
    export(window, "table", tmp_path / "bar.v2")
    wait_for_words(qtbot, window, "bar.v2.csv exists already")
    assert (tmp_path / "bar.v2.csv").read_text() == "mine"


def writing_a_long_film(qtbot: QtBot, make_window: MakeWindow, folder: Path) -> MainWindow:
    """Return a window that has begun to write slow.mp4, from bar.npz beside it."""
    window = make_window()
    play(qtbot, window, write_recording(folder / "bar.npz", moving_bar(1_000_500)))
    window.player.apply(replace(window.player.choices, speed=0.1))
    export(window, "film", folder / "slow.mp4")
    wait_for_words(qtbot, window, "Writing slow.mp4: ")
    return window


def test_an_export_can_be_cancelled_and_leaves_nothing(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = writing_a_long_film(qtbot, make_window, tmp_path)
    window.poll()
    assert [window.commands[name].isEnabled() for name in EXPORTS] == [True, *[False] * 4]
    window.banner.action.click()  # "Cancel"
    wait_for_words(qtbot, window, "Cancelled: slow.mp4 was not written")
    assert [path.name for path in tmp_path.iterdir()] == ["bar.npz"]


def test_closing_the_window_ends_an_export_and_leaves_nothing(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = writing_a_long_film(qtbot, make_window, tmp_path)
    window.close()
    assert [path.name for path in tmp_path.iterdir()] == ["bar.npz"]


def test_without_a_source_nothing_can_be_exported(make_window: MakeWindow) -> None:
    window = make_window()
    window.poll()
    assert [name for name in EXPORTS if window.commands[name].isEnabled()] == []
    assert window.commands["film"].toolTip() == NO_SOURCE


def test_of_a_live_source_pictures_and_decisions_are_exported_and_why_no_film_is_said(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    stream(qtbot, window)
    qtbot.waitUntil(lambda: window.commands["table"].isEnabled())
    assert [name for name in EXPORTS if not window.commands[name].isEnabled()] == ["film", "stretch"]
    assert window.commands["film"].toolTip() == NO_PAST
    export(window, "table", tmp_path / "live.csv")
    wait_for_words(qtbot, window, f"decisions written to {tmp_path / 'live.csv'}")
    numbers = np.genfromtxt(tmp_path / "live.csv", delimiter=",", skip_header=1, ndmin=2)
    assert len(numbers) > 0
    np.testing.assert_allclose(numbers[:, 3:].sum(axis=1), 1.0, atol=1e-4)
    assert np.all(np.diff(numbers[:, 0]) == 10_000)  # a row a frame
