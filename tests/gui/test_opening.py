"""What plays goes on while another source is opened, and stays where that fails."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QTextDocument
from PySide6.QtGui import Qt as QtText
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from livesnn.app.player import may_go_on
from tests.fake_source import FakeSource
from tests.synthetic import livesnn_threads, moving_bar, write_recording
from tests.waiting import eventually

from .conftest import MakeWindow, play
from .test_recording import start


@pytest.mark.parametrize("wrong", ["missing.aedat4", "damaged.aedat4", "tcp://127.0.0.1:1", "camera:NONE"])
def test_what_plays_goes_on_where_another_cannot_be_opened(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path, wrong: str
) -> None:
    (tmp_path / "damaged.aedat4").write_bytes(b"#!AER-DAT4.0\r\n" + b"\x80" * 40)
    window = make_window(loop=True)
    play(qtbot, window, str(recording))
    session = window.session
    window.open(str(tmp_path / wrong) if wrong.endswith("4") else wrong)
    qtbot.waitUntil(lambda: window.banner.isVisible() and window.banner.kind == "error")
    assert wrong.partition(":")[2].lstrip("/") in window.banner.message.text()
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    assert window.session is session
    assert (window.header.source.text(), window.header.state.text()) == ("bar.npz", "Playing")
    assert window.settings.now.recent == (str(recording),)


def test_it_can_be_tried_again_beside_what_plays(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, str(recording))
    late = tmp_path / "late.npz"
    window.open(str(late))
    qtbot.waitUntil(window.banner.isVisible)
    write_recording(late, moving_bar(300_000))
    assert window.banner.action.text() == "Try again"
    window.banner.action.click()
    qtbot.waitUntil(lambda: window.header.source.text() == "late.npz")
    assert not window.banner.isVisible()


def test_a_recording_of_a_live_source_goes_on_where_another_cannot_be_opened(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    play(qtbot, window, "simulate:gestures")
    qtbot.waitUntil(lambda: window.player.can_record)
    start(qtbot, window, tmp_path / "a.aedat4")
    recorder = window.player.recorder
    window.open(str(tmp_path / "none.npz"))
    qtbot.waitUntil(lambda: "none.npz" in window.banner.message.text())
    assert recorder is not None
    assert window.player.recorder is recorder
    before = recorder.recorded.events
    qtbot.waitUntil(lambda: recorder.recorded.events > before)


def test_of_two_that_are_opened_at_once_the_last_one_plays(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, str(recording))
    for name in ("one.npz", "two.npz"):
        window.open(str(write_recording(tmp_path / name, moving_bar(300_000))))
    qtbot.waitUntil(lambda: window.header.source.text() == "two.npz")
    # One that was dropped may still be ending
    qtbot.waitUntil(lambda: livesnn_threads().count("livesnn-pipeline") == 1)


def test_what_takes_long_to_open_is_said_while_the_other_plays_on(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, str(recording))
    with socket.create_server(("127.0.0.1", 0)) as dumb:
        address = f"tcp://127.0.0.1:{dumb.getsockname()[1]}"
        window.open(address)
        qtbot.waitUntil(lambda: window.banner.message.text() == f"Opening {address} …")
        shown = window.view.shown
        qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    qtbot.waitUntil(lambda: window.banner.kind == "error")
    assert window.header.source.text() == "bar.npz"


def test_closing_while_another_is_opened_leaves_no_thread(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, str(recording))
    window.open("simulate:gestures")
    window.close()
    assert livesnn_threads() == []


@pytest.mark.parametrize(
    ("playing", "source", "may"),
    [
        ("a.aedat4", "a.aedat4", True),
        ("camera", "a.aedat4", True),
        ("a.aedat4", "camera", True),
        ("camera", "camera:DXA1", False),
        ("webcam:0", "webcam", False),
        ("camera", "webcam", True),
        ("tcp://a:1", "tcp://a:1", False),
        ("tcp://a:1", "tcp://a:2", True),
        (None, "a.aedat4", False),
    ],
)
def test_a_camera_is_let_go_of_before_it_is_opened_again(playing: str | None, source: str, may: bool) -> None:
    assert may_go_on(playing, source) is may


def test_a_source_that_is_handed_over_open_replaces_what_plays() -> None:
    assert not may_go_on("a.aedat4", FakeSource())
    assert not may_go_on(FakeSource(), "camera")


@contextmanager
def answering() -> Iterator[None]:
    """Fail if the thread that draws the window is busy for a second."""
    longest_s = answered_s = time.thread_time()

    def answer() -> None:
        nonlocal longest_s, answered_s
        longest_s, answered_s = max(longest_s, time.thread_time() - answered_s), time.thread_time()

    ticking = QTimer()
    ticking.timeout.connect(answer)
    ticking.start(20)
    longest_s = 0.0
    yield
    assert longest_s < 1.0


@pytest.fixture
def hostile(data_dir: Path) -> Path:
    folder = data_dir / "hostile"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}, which holds files that once broke something")
    return folder


def test_each_hostile_file_plays_or_is_refused_while_the_window_answers(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, hostile: Path
) -> None:
    window = make_window()
    play(qtbot, window, str(recording))
    with answering():
        for path in sorted(path for path in hostile.iterdir() if path.is_file()):
            begun_s, before = time.process_time(), window.session
            window.open(str(path))
            qtbot.waitUntil(
                lambda before=before, name=path.name: (
                    window.session is not before
                    or (window.banner.kind == "error" and name in window.banner.message.text())
                ),
            )
            assert time.process_time() - begun_s < 5.0, path.name
    window.close()
    eventually(lambda: not livesnn_threads())  # the one that reads the last of them ends by itself


def test_each_hostile_model_is_refused_while_the_window_answers_and_goes_on(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, hostile: Path
) -> None:
    window = make_window()
    play(qtbot, window, str(recording))
    with answering():
        for folder in sorted((hostile / "models").iterdir()):
            begun_s, before = time.process_time(), window.session
            window.set_model(str(folder), "auto")
            qtbot.waitUntil(
                lambda name=folder.name: window.banner.kind == "error" and name in window.banner.message.text(),
            )
            assert time.process_time() - begun_s < 5.0, folder.name
            assert window.session is before
            window.banner.hide()


HOSTILE = '<img src="x.png"> <b>bar</b>'


def read_as(tip: str) -> str:
    """Return a tooltip as Qt shows it."""
    document = QTextDocument()
    document.setHtml(tip)
    return document.toPlainText() if QtText.mightBeRichText(tip) else tip


def test_html_in_a_files_name_is_shown_as_it_is(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    path = tmp_path / f"{HOSTILE.replace('/', '')}.npz"
    write_recording(path, moving_bar(300_000))
    window = make_window(loop=True)
    play(qtbot, window, str(path))
    window.open(str(tmp_path / f"{HOSTILE.replace('/', '')} missing.npz"))
    qtbot.waitUntil(window.banner.isVisible)
    named = [*window.findChildren(QWidget), *window.findChildren(QAction)]
    tips = [each.toolTip() for each in named if "bar" in each.toolTip() and "<" in each.toolTip()]
    assert any(path.name in read_as(tip) for tip in tips)
    assert all("<img" in read_as(tip) for tip in tips)
    labels = [each for each in window.findChildren(QLabel) if "<img" in each.text()]
    assert {window.header.source, window.banner.message} <= set(labels)
    assert all(each.textFormat() is Qt.TextFormat.PlainText for each in labels)
