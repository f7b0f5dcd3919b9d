"""What is remembered from one start to the next, on disk."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.settings import Settings, SettingsFile, user_settings, with_recent
from livesnn.infer.decide import Decider
from livesnn.session.control import Choices

from .conftest import MakeWindow

DAMAGES = [
    b"",
    b"{",
    b'{"mounted": {"A": {"quarter_turns": 9}}}',
    b'{"theme": "pink"}',
    b'{"choices": {"loop": "for ever"}}',
    b"\xff",
    b'{"model": "\xff"}',
    b'{"a": ' * 5000 + b"1" + b"}" * 5000,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: repr(damage[:20]))
def test_damaged_settings_are_the_defaults_and_can_be_changed(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(damage)
    settings = SettingsFile(file)
    assert settings.now == Settings()
    settings.change(model="one")
    assert SettingsFile(file).now == Settings(model="one")
    assert (tmp_path / "settings.json.unread").read_bytes() == damage  # nothing is lost


@pytest.mark.parametrize(
    ("wrong", "reset"),
    [
        ({"theme": "pink"}, "theme"),
        ({"mounted": {"A": {"quarter_turns": 9}}}, "mounted"),
        ({"choices": {"decider": {"threshold": 7, "leak": 0.1}}}, "choices.decider.threshold"),
        ({"choices": {"view": {"palette": "pink", "mode": 3}}}, "choices.view.palette, choices.view.mode"),
        ({"choices": 3}, "choices"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_wrong_field_is_reset_alone_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, object], reset: str
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"labels": ["wave"], "engine": "onnx", **wrong}))
    now = SettingsFile(file).now
    assert (now.labels, now.engine, now.theme, now.mounted) == (("wave",), "onnx", "system", {})
    assert now.choices == Choices(loop=True, decider=replace(Decider(), leak=now.choices.decider.leak))
    assert capsys.readouterr().err == (
        f"{file}: these settings can't be used and are reset: {reset}; the old file is kept as settings.json.unread\n"
    )
    assert (tmp_path / "settings.json.unread").read_bytes() == file.read_bytes()


def test_two_programs_on_one_file_keep_what_the_other_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    one, other = SettingsFile(file), SettingsFile(file)
    one.change(labels=("wave", "clap"))
    other.change(theme="light")
    one.choose(decider=Decider(threshold=0.9))
    other.choose(loop=False)
    other.change(recent=with_recent(other.now.recent, "/a.aedat4"))
    one.change(recent=with_recent(one.now.recent, "/b.aedat4"))
    for settings in (one.now, other.now, SettingsFile(file).now):
        assert (settings.labels, settings.theme) == (("wave", "clap"), "light")
        assert settings.choices == Choices(loop=False, decider=Decider(threshold=0.9))
        assert settings.recent == ("/b.aedat4", "/a.aedat4")


def test_a_file_that_another_program_damages_or_deletes_changes_nothing_here(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    settings = SettingsFile(file)
    settings.change(labels=("wave",))
    file.write_bytes(b"{")
    assert settings.now.labels == ("wave",)
    file.unlink()
    assert settings.now.labels == ("wave",)
    settings.change(theme="dark")
    assert SettingsFile(file).now == Settings(labels=("wave",), theme="dark")


@pytest.mark.parametrize("change", [{"recent": ("/clips/\udcff.npz",)}, {"theme": "dark"}])
def test_what_cannot_be_written_holds_until_the_end(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "a file").write_bytes(b"")
    file = tmp_path / ("a file" if "theme" in change else "folder") / "settings.json"
    settings = SettingsFile(file)
    settings.change(**change)
    assert {name: getattr(settings.now, name) for name in change} == change
    assert not file.exists()


def test_at_most_ten_recent_sources_are_kept() -> None:
    recent: tuple[str, ...] = ()
    for number in (*range(12), 5):
        recent = with_recent(recent, str(number))
    assert recent == ("5", "11", "10", "9", "8", "7", "6", "4", "3", "2")


def test_the_layout_is_remembered(qtbot: QtBot, make_window: MakeWindow, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    first = make_window(settings=SettingsFile(file))
    first.resize(800, 700)  # the offscreen screen has 800 × 800 pixels
    first.splitters["columns"].setSizes([430, 320])
    first.splitters["rows"].setSizes([380, 240])
    sizes = {name: splitter.sizes() for name, splitter in first.splitters.items()}
    first.close()
    second = make_window(settings=SettingsFile(file))
    assert (second.width(), second.height()) == (800, 700)
    assert {name: splitter.sizes() for name, splitter in second.splitters.items()} == sizes


def test_a_short_window_leaves_the_lower_cards_out_and_has_them_again(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    first = make_window(settings=SettingsFile(file))
    first.resize(800, 540)  # 1600 × 1080 pixels at 200 %
    assert not first.numbers.isVisible()
    qtbot.waitUntil(lambda: first.readout.rows.height() >= 10 * 16)
    first.close()
    second = make_window(settings=SettingsFile(file))
    second.resize(800, 780)
    qtbot.waitUntil(lambda: second.numbers.isVisible() and second.numbers.height() > 100)


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes are others there")
def test_a_link_stays_one_and_what_is_no_file_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link, pipe = tmp_path / "real.json", tmp_path / "link.json", tmp_path / "pipe"
    real.write_bytes(b"{}")
    link.symlink_to(real)
    SettingsFile(link).change(theme="light")
    assert link.is_symlink()
    assert SettingsFile(real).now.theme == "light"
    os.mkfifo(pipe)
    for asked_for in (user_settings, lambda: SettingsFile(pipe)):
        monkeypatch.setenv("LIVESNN_SETTINGS", str(pipe))
        settings = asked_for()
        settings.change(theme="light")
        assert settings.now.theme == "light"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
