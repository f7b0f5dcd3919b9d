"""The window on real threads: what a person does, and what they see."""

from __future__ import annotations

import math
import shutil
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from pytestqt.qtbot import QtBot

import livesnn
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.app.widgets.basics import NOTHING
from livesnn.errors import FormatError, ModelError
from livesnn.events.labels import Label, keep_labels, labels_file
from livesnn.events.picture import Picture
from livesnn.infer.onnx_engine import OnnxModel
from livesnn.infer.switching_engine import PREPARING, SwitchingModel
from livesnn.paths import recordings_dir
from tests.fake_source import FakeSource
from tests.synthetic import livesnn_threads, moving_bar, write_long_recording, write_recording

from .conftest import MakeWindow

# Qt's offscreen platform says so of every window with a least size.


def state(window: MainWindow) -> str:
    return "" if window.session is None else window.session.control.state


def words(window: MainWindow) -> tuple[str, str]:
    return window.view.page.title.text(), window.view.page.hint.text()


def at_full_speed(window: MainWindow) -> None:
    box = window.transport.speed
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.currentIndex())


def test_it_opens_a_recording_and_shows_frames_and_decisions(
    qtbot: QtBot, make_window: MakeWindow, model_folder: Path, recording: Path
) -> None:
    window = make_window()
    assert not window.view.has_picture
    assert (window.header.state.text(), window.readout.decision.said.words) == ("No source", "Nothing yet")
    assert not window.transport.play.isEnabled()
    assert window.source_chooser.folder == recordings_dir()
    window.open(str(recording))
    assert window.source_chooser.folder == recording.parent  # the next file is asked for there
    qtbot.waitUntil(lambda: window.readout.decision.said.confidence > 0)
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert window.header.source.text() == "bar.npz"
    assert window.header.model.text() == f"Model: {model_folder.name} · ONNX Runtime"
    assert window.header.model.toolTip().startswith("columns recognises 0, 1, 2")
    assert window.transport.total.text() == "0:01.0"
    assert window.numbers.texts["dropped"] == "0"


def test_what_is_prepared_is_shown_and_why_it_failed(qtbot: QtBot, model_folder: Path, recording: Path) -> None:
    fail = threading.Event()

    def prepare(stop: threading.Event) -> None:
        while not fail.wait(0.05) and not stop.is_set():
            pass
        raise ModelError("there is no compiler")

    window = MainWindow(SwitchingModel(OnnxModel.load(model_folder / "model.onnx"), prepare), settings=SettingsFile())
    qtbot.addWidget(window)
    window.show()
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.numbers.caption.remark == f"ONNX Runtime, {PREPARING}")
    fail.set()
    qtbot.waitUntil(lambda: "there is no compiler" in window.banner.message.text())
    assert window.banner.isVisible()
    assert window.numbers.caption.remark == "ONNX Runtime, latency in ms"
    assert window.header.model.text() == "Model: columns · ONNX Runtime"
    window.close()


def test_the_majority_is_that_of_run_on_the_same_recording(
    qtbot: QtBot, make_window: MakeWindow, model_folder: Path, recording: Path
) -> None:
    results = livesnn.run(recording, model_folder)
    decided = [result.decision for result in results if result.window_end and result.decision is not None]
    window = make_window(loop=True)
    at_full_speed(window)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.session is not None and window.session.n_decisions > 2 * len(decided))
    session = window.session
    window.close()
    assert session is not None
    assert sorted(session.decisions.elements()) == sorted(decided)  # only the first pass
    assert window.summary()["majority"] == max(session.decisions, key=session.decisions.__getitem__)


def test_space_pauses_and_goes_on(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window()
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 3)
    qtbot.keyClick(window, Qt.Key.Key_Space)
    assert state(window) == "paused"
    session = window.session
    assert session is not None
    qtbot.waitUntil(lambda: window.header.state.text() == "Paused")
    shown = window.view.shown
    ticks: list[None] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(None))
    timer.start(10)
    qtbot.waitUntil(lambda: len(ticks) > 6)  # as many packets would have come
    assert window.view.shown <= shown + 1
    qtbot.keyClick(window, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.view.shown > shown + 2)
    assert state(window) == "playing"


def test_space_presses_the_button_that_has_the_focus(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 3)
    loop = window.transport.loop
    loop.setFocus()
    qtbot.keyClick(loop, Qt.Key.Key_Space)
    assert (state(window), window.settings.now.choices.loop) == ("playing", False)
    qtbot.keyClick(loop, Qt.Key.Key_L)
    assert window.settings.now.choices.loop
    assert window.transport.speed.focusPolicy() == Qt.FocusPolicy.TabFocus  # no click takes the space bar away


def test_a_picture_from_before_a_seek_takes_no_step_back(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    window.open(str(write_recording(tmp_path / "long.npz", moving_bar(8_000_000))))
    qtbot.waitUntil(lambda: window.view.shown > 3)
    qtbot.keyClick(window, Qt.Key.Key_Space)
    session, before_us = window.session, window.player.t_us
    assert session is not None
    for step in range(1, 4):
        window.commands["on"].trigger()
        session.pictures.put(Picture(np.zeros((34, 34, 3), np.uint8), before_us, 0.0, jumps=step - 1))
        window.poll()
        assert window.player.t_us - before_us >= step * 1_000_000
    qtbot.waitUntil(lambda: window.transport.line.position_s > 3.0)


@pytest.mark.parametrize("doing", ["seek", "reset"])
def test_a_reset_or_a_seek_while_paused_is_seen_at_once(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, doing: str
) -> None:
    window = make_window()
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.readout.decision.said.confidence > 0)
    window.player.toggle()
    if doing == "seek":
        window.player.seek(0.5)
    else:
        qtbot.keyClick(window, Qt.Key.Key_R)
    window.poll()
    seen = (window.readout.decision.said.words, window.state_panel.caption.remark, window.window_panel.strip.seen)
    assert seen == ("Nothing yet", "reset, waiting for frames", 0)
    if doing == "seek":
        qtbot.waitUntil(lambda: 0.5 <= window.transport.line.position_s <= 0.56)
    assert state(window) == "paused"
    window.player.toggle()
    by = "seeking" if doing == "seek" else "hand"
    qtbot.waitUntil(lambda: f"reset by {by}" in window.state_panel.caption.remark)


def test_a_looping_clip_of_one_window_keeps_its_last_decision_in_sight(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    clip = write_recording(tmp_path / "clip.npz", moving_bar(105_000))
    window = make_window(loop=True)
    window.open(str(clip))
    qtbot.waitUntil(lambda: window.readout.decision.said.words.startswith("last: "))
    texts: set[str] = set()
    shown = window.view.shown

    def loops_later() -> bool:
        texts.add(window.readout.decision.said.words)
        return window.view.shown > shown + 50

    qtbot.waitUntil(loops_later)
    assert "Nothing yet" not in texts


@pytest.mark.parametrize(
    ("duration_us", "said"), [(60_000, "Shorter than one window (0.10 s)"), (0, "No events in this recording")]
)
@pytest.mark.parametrize("loop", [False, True])
def test_a_recording_that_is_too_short_says_so(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path, loop: bool, duration_us: int, said: str
) -> None:
    short = write_recording(tmp_path / "short.npz", moving_bar(60_000)[: None if duration_us else 0])
    window = make_window(loop=loop)
    window.open(str(short))
    qtbot.waitUntil(lambda: window.readout.decision.said.words == said)


def test_without_loop_it_ends_and_plays_again(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = make_window(loop=False)
    at_full_speed(window)
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.header.state.text() == "Ended")
    assert "again" in window.transport.play.toolTip().lower()
    session = window.session
    assert session is not None
    once = session.n_decisions
    assert once == 10
    qtbot.waitUntil(lambda: window.numbers.texts["show.p99"] != NOTHING)
    assert float(window.numbers.texts["show.p99"]) < 60_000  # the last picture, which has nothing new, doesn't count
    qtbot.mouseClick(window.transport.play, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.n_decisions == 2 * once and session.control.state == "ended")
    assert sum(session.decisions.values()) == once


@pytest.mark.parametrize("kind", ["missing", "empty", "damaged"])
def test_a_file_that_cannot_be_read_is_a_banner_and_the_app_lives_on(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path, kind: str
) -> None:
    bad = tmp_path / f"{kind}.npz"
    if kind != "missing":
        bad.write_bytes(b"" if kind == "empty" else recording.read_bytes()[:3000])
    window = make_window()
    window.open(str(bad))
    qtbot.waitUntil(window.banner.isVisible)
    assert bad.name in window.banner.message.text()
    assert window.header.state.text() == "Error"
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert not window.banner.isVisible()


def test_two_recordings_of_one_name_have_different_titles(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window, titles = make_window(), []
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        shutil.copy(recording, tmp_path / folder / "bar.npz")
        window.open(str(tmp_path / folder / "bar.npz"))
        qtbot.waitUntil(lambda folder=folder: folder in str(window.player.source))
        titles.append(window.windowTitle())
        qtbot.waitUntil(lambda: window.player.opened is not None)
        titles.append(window.windowTitle())
    assert titles == ["bar.npz (monday) – livesnn"] * 2 + ["bar.npz (tuesday) – livesnn"] * 2


def test_what_was_assumed_about_a_recording_is_said(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    events = moving_bar(200_000)
    sizeless = tmp_path / "sizeless.npz"
    np.savez(sizeless, **{name: events[name] for name in ("t", "x", "y", "p")})
    window = make_window()
    window.open(str(sizeless))
    qtbot.waitUntil(window.banner.isVisible)
    assert "34×34" in window.banner.message.text()
    qtbot.waitUntil(lambda: window.view.shown > 1)


def test_an_error_in_the_middle_leaves_the_picture_and_shows_the_message(
    qtbot: QtBot, make_window: MakeWindow
) -> None:
    window = make_window()
    error = FormatError("here: the file ends in the middle of a packet: copy it again")
    window.open(FakeSource(np.array_split(moving_bar(100_000), 3), then=error))
    qtbot.waitUntil(window.banner.isVisible)
    window.poll()
    assert "middle of a packet" in window.banner.message.text()
    assert window.view.has_picture


@pytest.mark.parametrize("doing", ["opening", "playing", "paused", "ended"])
def test_closing_leaves_no_thread(qtbot: QtBot, make_window: MakeWindow, recording: Path, doing: str) -> None:
    window = make_window()
    if doing == "ended":
        at_full_speed(window)
    window.open(str(recording))
    assert livesnn_threads()
    if doing != "opening":
        qtbot.waitUntil(lambda: window.view.shown > 1 or state(window) == "ended")
    if doing == "paused":
        window.player.toggle()
    if doing != "opening":
        qtbot.waitUntil(lambda: state(window) == doing)
    window.close()
    assert livesnn_threads() == []


def test_the_speed_can_change_while_it_plays(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    minute = write_recording(tmp_path / "minute.npz", moving_bar(60_000_000))
    window = make_window()
    window.open(str(minute))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    window.transport.speed.choose(math.inf)
    qtbot.waitUntil(lambda: state(window) == "ended", timeout=40_000)


def test_another_file_plays_at_its_own_speed_again(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window()
    at_full_speed(window)
    assert window.player.choices.speed == math.inf
    other = tmp_path / "other.npz"
    shutil.copy(recording, other)
    window.open(str(other))
    assert (window.player.choices.speed, window.transport.speed.currentText()) == (1.0, "1×")


def test_of_several_event_streams_the_one_asked_for_has_its_labels_and_the_others_are_said(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    path = tmp_path / "two.h5"
    with h5py.File(path, "w") as file:
        for name, start_us in ("a", 5_000_000), ("b", 7_000_000):
            events = moving_bar(1_000_500, start_us=start_us)
            for axis in "txyp":
                file[f"{name}/{axis}"] = events[axis].astype("i8" if axis == "t" else "u2")
            file[f"{name}/t"].attrs["unit"] = "us"
    keep_labels(path, [Label("3", 0.2, 0.5), Label("4", 2.2, 2.5)])
    window = make_window()
    window.open(f"{path}?stream=b")
    qtbot.waitUntil(lambda: window.transport.line.labels_at(0.3) == ["4"])
    qtbot.waitUntil(lambda: f"to read it, give {path}?stream=a" in window.banner.message.text())


def test_the_labels_beside_a_recording_are_on_its_time_line(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copy(recording, tmp_path))
    keep_labels(own, [Label("3", 0.2, 0.5)])
    window = make_window()
    window.open(own)
    qtbot.waitUntil(lambda: window.transport.line.labels_at(0.3) == ["3"])
    labels_file(own).write_text("no table")
    window.open(own)
    qtbot.waitUntil(lambda: "no labels: " in window.banner.message.text())
    assert window.transport.line.labels_at(0.3) == []


def test_a_long_file_shows_how_much_of_it_is_read_until_another_is_opened(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = make_window()
    window.open(str(write_long_recording(tmp_path / "long.raw")))
    left = window.session
    qtbot.waitUntil(lambda: words(window)[0].startswith("Reading: "))
    assert words(window) == (f"Reading: {words(window)[0][9:-1]}%", "long.raw")
    assert window.header.state.text() == "Opening"
    window.open(str(recording))
    assert left is not None
    assert left.opened is None
    qtbot.waitUntil(lambda: window.view.shown > 1)
    assert not window.banner.isVisible()
