"""Recording from the window to a disk that is full, fills up, or stands still: the app goes on, the file is good."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.events.recording import open_recording
from tests.disks import fill, real_disk, small_disk, standing_still

from .conftest import MakeWindow
from .test_overload import Flood
from .test_recording import stop, wait_for_banner


def flooded(qtbot: QtBot, make_window: MakeWindow) -> MainWindow:
    """Return a window on a camera of half a million events a second: some 4 MB."""
    window = make_window()
    window.open(Flood(500_000))
    qtbot.waitUntil(lambda: window.player.can_record and window.view.shown > 3)
    return window


def goes_on(qtbot: QtBot, window: MainWindow) -> None:
    shown = window.view.shown
    qtbot.waitUntil(lambda: window.view.shown > shown + 5)
    assert window.header.state.text() == "Playing"


def test_a_disk_that_fills_up_ends_the_recording_with_a_banner_and_a_good_file(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = flooded(qtbot, make_window)
    with small_disk(tmp_path / "disk", 6_000_000) as disk:
        window.recording.start(disk / "a.aedat4")
        recorder = window.player.recorder
        assert recorder is not None
        wait_for_banner(qtbot, window, "only 0.")
        goes_on(qtbot, window)
        assert window.player.recorder is None
        assert window.banner.kind == "error"
        words = window.banner.message.text()
        assert (
            "MB left on its disk, which is too little for this file: free some space, or choose another disk" in words
        )
        assert f"{recorder.recorded.events:,} events until then are in {disk / 'a.aedat4'}" in words
        with open_recording(disk / "a.aedat4") as recording:
            assert sum(packet.events.size for packet in recording) == recorder.recorded.events > 100_000
            assert recording.warnings == []
        assert str(disk / "a.aedat4") in window.settings.now.recent
        window.banner.hide()
        fill(disk)  # to the last octet: what a.aedat4 kept for its table may be free again
        window.recording.start(disk / "b.aedat4")
        wait_for_banner(qtbot, window, "b.aedat4: only 0.")
        assert not (disk / "b.aedat4").exists()
        goes_on(qtbot, window)
        window.banner.hide()
        window.recording.start(tmp_path / "c.aedat4")  # another disk is all it takes
        goes_on(qtbot, window)
        stop(qtbot, window)


def test_a_disk_that_stands_still_does_not_hold_up_the_picture(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    window = flooded(qtbot, make_window)
    with real_disk(tmp_path / "disk") as disk:
        window.recording.start(disk / "a.aedat4")
        recorder = window.player.recorder
        assert recorder is not None
        qtbot.waitUntil(lambda: recorder.recorded.events > 0)
        with standing_still(disk):
            goes_on(qtbot, window)
            goes_on(qtbot, window)
            assert not recorder.finished
        stop(qtbot, window)
        with open_recording(disk / "a.aedat4") as recording:
            assert sum(packet.events.size for packet in recording) == recorder.recorded.events
        assert recorder.recorded.dropped == 0  # 256 MB may wait
