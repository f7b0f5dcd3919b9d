"""What is remembered from one start to the next, on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.settings import Remembered, Settings, with_recent

MakeWindow = Callable[..., MainWindow]


@pytest.mark.parametrize("damage", ["", "{", '{"quarter_turns": 9}', '{"theme": "pink"}', "\udcff"])
def test_damaged_settings_are_the_defaults(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "settings.ini"
    file.write_bytes(f"[General]\nwindow={damage}\n".encode(errors="surrogateescape"))
    assert Settings(file).now == Remembered()


def test_settings_are_on_disk_at_once(tmp_path: Path) -> None:
    file = tmp_path / "settings.ini"
    Settings(file).change(recent=("/a b/c,d.aedat4", "tcp://[::1]:7777"), geometry=b"\x00\xff", theme="light")
    assert Settings(file).now == Remembered(
        recent=("/a b/c,d.aedat4", "tcp://[::1]:7777"), geometry=b"\x00\xff", theme="light"
    )


def test_at_most_ten_recent_sources_are_kept() -> None:
    recent: tuple[str, ...] = ()
    for number in (*range(12), 5):
        recent = with_recent(recent, str(number))
    assert recent == ("5", "11", "10", "9", "8", "7", "6", "4", "3", "2")


def test_the_layout_is_remembered(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    file = tmp_path / "settings.ini"
    first = make_window(settings=Settings(file))
    first.resize(800, 700)  # the offscreen screen has 800 × 800 pixels
    first.splitters["columns"].setSizes([430, 320])
    first.splitters["rows"].setSizes([380, 240])
    sizes = {name: splitter.sizes() for name, splitter in first.splitters.items()}
    first.close()
    second = make_window(settings=Settings(file))
    assert (second.width(), second.height()) == (800, 700)
    assert {name: splitter.sizes() for name, splitter in second.splitters.items()} == sizes


def test_a_short_window_leaves_the_lower_cards_out_and_has_them_again(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    file = tmp_path / "settings.ini"
    first = make_window(settings=Settings(file))
    first.resize(800, 540)  # 1600 × 1080 pixels at 200 %
    assert not first.numbers.isVisible()
    qtbot.waitUntil(lambda: first.readout.rows.height() >= 10 * 16)
    first.close()
    second = make_window(settings=Settings(file))
    second.resize(800, 780)
    qtbot.waitUntil(lambda: second.numbers.isVisible() and second.numbers.height() > 100)
