"""Recording from the window: Ctrl+S while something live plays, and what is in the file afterwards."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.recording import LIVE_ONLY, progress
from livesnn.events.labels import read_labels
from livesnn.events.packet import Events
from livesnn.events.recording import open_recording
from livesnn.files import proposed_name
from tests.synthetic import SENSOR

from .conftest import MakeWindow
from .test_live_window import PACKET_US, Plug, stream


def start(qtbot: QtBot, window: MainWindow, path: Path) -> None:
    """Record by the action and the file dialog; return once something is on the disk."""
    qtbot.waitUntil(lambda: window.player.can_record)
    window.commands["record"].trigger()
    assert isinstance(window.dialog, QFileDialog)
    window.dialog.fileSelected.emit(str(path))
    window.dialog.close()
    recorder = window.player.recorder
    assert recorder is not None
    qtbot.waitUntil(lambda: recorder.recorded.events > 0 or recorder.finished)


def stop(qtbot: QtBot, window: MainWindow) -> None:
    window.commands["record"].trigger()
    wait_for_banner(qtbot, window, "written to")


def wait_for_banner(qtbot: QtBot, window: MainWindow, words: str) -> None:
    qtbot.waitUntil(lambda: window.banner.isVisible() and words in window.banner.message.text())


def read(path: Path) -> Events:
    with open_recording(path) as recording:
        packets = [packet.events for packet in recording]
        assert recording.warnings == []  # it has its table: it was finished
        assert recording.resolution == SENSOR
    return np.concatenate(packets)


def given(plug: Plug, times: np.ndarray) -> Events:
    """Return all that the plug has given from the packet of the first of these times to that of the last."""
    packets = []
    for number in range(int(times[0]) // PACKET_US, int(times[-1]) // PACKET_US + 1):
        packet = plug.packets[number % len(plug.packets)].copy()
        packet["t"] += 1_000_000 * (number // len(plug.packets))
        packets.append(packet)
    return np.concatenate(packets)


def test_what_arrives_is_in_the_file_while_it_plays(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 10)
    stop(qtbot, window)
    events = read(tmp_path / "a.aedat4")
    np.testing.assert_array_equal(events, given(plug, events["t"]))
    assert f"{events.size:,} events written to {tmp_path / 'a.aedat4'}" == window.banner.message.text()


def test_the_key_the_button_and_the_words_follow_each_other(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    stream(qtbot, window)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.keySequence(window, "Ctrl+S")
    dialog = window.dialog
    assert isinstance(dialog, QFileDialog)
    assert dialog.acceptMode() == QFileDialog.AcceptMode.AcceptSave
    dialog.close()
    assert window.player.recorder is None
    start(qtbot, window, tmp_path / "a.aedat4")
    record = window.transport.record
    qtbot.waitUntil(lambda: window.transport.recorded.text().startswith("Recording 0:0"))
    assert window.commands["record"].text() == record.toolTip().removesuffix(" (Ctrl+S)") == "Stop recording"
    qtbot.mouseClick(record, Qt.MouseButton.LeftButton)
    wait_for_banner(qtbot, window, "written to")
    assert window.banner.kind == "info"
    assert window.transport.recorded.text() == ""
    assert record.toolTip().startswith("Record")


def test_what_was_recorded_is_among_the_recent_and_opens_from_the_message(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    stop(qtbot, window)
    assert window.settings.now.recent == (str(tmp_path / "a.aedat4"),)
    window.banner.action.click()
    qtbot.waitUntil(lambda: window.header.source.text() == "a.aedat4")
    assert not window.banner.isVisible()
    qtbot.waitUntil(lambda: not window.commands["record"].isEnabled())


def test_a_recording_cannot_be_recorded_and_the_action_says_why(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window()
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    action = window.commands["record"]
    assert not action.isEnabled()
    assert action.toolTip() == LIVE_ONLY
    assert not window.transport.record.isVisible()
    window.recording.toggle()
    assert window.dialog is None


def test_a_lost_camera_is_recorded_on_in_the_same_file(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    plug.plugged.clear()
    wait_for_banner(qtbot, window, "unplugged")
    recorder = window.player.recorder
    assert recorder is not None
    before = recorder.recorded.events
    plug.plugged.set()
    qtbot.waitUntil(lambda: recorder.recorded.events > before + 1000)
    plug.plugged.clear()
    wait_for_banner(qtbot, window, "unplugged")
    window.commands["record"].trigger()
    qtbot.waitUntil(lambda: str(recorder.path) in window.settings.now.recent)
    assert window.banner.kind == "waiting"  # what matters more is read first
    plug.plugged.set()
    wait_for_banner(qtbot, window, "written to")
    events = read(tmp_path / "a.aedat4")
    assert events.size == recorder.recorded.events > before
    assert (np.diff(events["t"]) >= 0).all()


def test_what_is_thrown_away_while_paused_is_recorded(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    window.commands["play"].trigger()
    session, recorder = window.session, window.player.recorder
    assert session is not None
    assert recorder is not None
    before = recorder.recorded.events
    qtbot.waitUntil(lambda: recorder.recorded.events > before + 2000)
    assert session.statistics.skipped > 0
    stop(qtbot, window)
    events = read(tmp_path / "a.aedat4")
    np.testing.assert_array_equal(events, given(plug, events["t"]))


def test_an_existing_file_is_one_line_and_the_playing_goes_on(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    (tmp_path / "a.aedat4").write_bytes(b"somebody's work")
    window = make_window()
    stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    wait_for_banner(qtbot, window, "exists already")
    assert window.banner.kind == "error"
    assert window.player.recorder is None
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 3)
    assert window.header.state.text() == "Playing"
    assert (tmp_path / "a.aedat4").read_bytes() == b"somebody's work"
    start(qtbot, window, tmp_path / "b.aedat4")  # another name is all it takes
    window.banner.hide()
    stop(qtbot, window)


def test_why_a_recording_failed_stays_to_be_read_when_the_camera_comes_back(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    (tmp_path / "a.aedat4").write_bytes(b"somebody's work")
    window = make_window()
    plug = stream(qtbot, window)
    plug.plugged.clear()
    wait_for_banner(qtbot, window, "unplugged")
    assert window.transport.record.isVisible()
    start(qtbot, window, tmp_path / "a.aedat4")
    wait_for_banner(qtbot, window, "exists already")
    plug.plugged.set()
    qtbot.waitUntil(lambda: window.header.state.text() == "Playing")
    assert "exists already" in window.banner.message.text()
    assert window.banner.isVisible()


@pytest.mark.parametrize("how", ["another source", "the window closes"])
def test_the_end_of_the_source_ends_the_recording(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path, recording: Path, how: str
) -> None:
    window = make_window()
    plug = stream(qtbot, window)
    start(qtbot, window, tmp_path / "a.aedat4")
    if how == "another source":
        window.open(str(recording))
        wait_for_banner(qtbot, window, "written to")
    else:
        window.close()
    events = read(tmp_path / "a.aedat4")
    np.testing.assert_array_equal(events, given(plug, events["t"]))
    assert window.player.recorder is None


def test_a_name_is_proposed_from_source_and_time() -> None:
    sources = ("simulate:gestures", "camera:DXA00093", "tcp://localhost:7777")
    names = [proposed_name(source, datetime(2026, 11, 25, 14, 15, 30)) for source in sources]
    assert names == [f"{name}-2026-11-25-141530.aedat4" for name in ("gestures", "camera-DXA00093", "localhost-7777")]


class Progress(NamedTuple):
    """What is said of a recorder."""

    seconds: float
    file_bytes: int
    dropped: int
    room_bytes: int = 1 << 62


@pytest.mark.parametrize(
    ("of", "label", "words"),
    [
        (Progress(12.9, 3_400_000, 0), None, "Recording 0:12 · 3.4 MB · 0 dropped"),
        (Progress(3671, 1_234_000_000, 12_345), "wave", "Recording 61:11 · wave · 1.23 GB · 12,345 dropped"),
        (Progress(60, 0, 0, 40_000_000), None, "Recording 1:00 · 0.0 MB · 0 dropped · 40.0 MB free"),
    ],
)
def test_the_progress_is_said_in_words(of: Progress, label: str | None, words: str) -> None:
    assert progress(of, label) == words


def test_what_came_before_the_button_is_in_the_file(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    window = make_window()
    window.choose(pre_roll_s=60.0)
    plug = stream(qtbot, window)
    qtbot.waitUntil(lambda: plug.given > 50)
    before = plug.given
    start(qtbot, window, tmp_path / "a.aedat4")
    stop(qtbot, window)
    events = read(tmp_path / "a.aedat4")
    assert events["t"][0] < PACKET_US  # the very first packet
    assert events["t"][-1] >= (before - 1) * PACKET_US  # of the last packet before the button, or later
    np.testing.assert_array_equal(events, given(plug, events["t"]))


def test_a_key_labels_what_is_recorded_until_it_is_pressed_again(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = make_window()
    window.settings.change(labels=("wave", "clap"))
    plug = stream(qtbot, window)
    assert not window.commands["label:1"].isEnabled()  # nothing is recorded
    start(qtbot, window, tmp_path / "a.aedat4")
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    for key, shown in (("2", "clap"), ("1", "wave"), ("1", ""), ("3", ""), ("2", "clap")):
        qtbot.waitUntil(window.commands["label:1"].isEnabled)
        qtbot.keySequence(window, key)
        before = plug.given
        qtbot.waitUntil(lambda before=before: plug.given > before + 5)
        words = window.transport.recorded.text().split(" · ")
        assert words[1:-2] == ([shown] if shown else [])
        assert window.commands["label:2"].isChecked() == (shown == "clap")
    stop(qtbot, window)
    events = read(tmp_path / "a.aedat4")
    labels = read_labels(tmp_path / "a.aedat4")
    assert [label.label for label in labels] == ["clap", "wave", "clap"]
    assert labels[0].end == labels[1].start < labels[1].end < labels[2].start
    assert all(label.end - label.start > 0.02 for label in labels)
    assert 0 < labels[0].start < labels[2].end < (events["t"][-1] - events["t"][0]) / 1e6 + 0.2
    assert "events and 3 labels written to" in window.banner.message.text()
    assert window.commands["label:1"].text() == "wave"
    assert window.commands["label:3"].text() == "Label 3"
