"""Acting on gestures in the window: what fires, how that is shown, and the dialog with the rules."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from PySide6.QtTest import QSignalSpy
from pytestqt.qtbot import QtBot

from livesnn.app.acting import ActionsDialog, RuleFields
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.outputs.action import ANY, Action, Rule
from tests.fake_source import FakeSource, endless
from tests.synthetic import moving_bar

from .conftest import MakeWindow

NOTHING = Action("command", (sys.executable, "-c", ""))


def with_rules(make_window: MakeWindow, *rules: Rule, file: Path | None = None) -> MainWindow:
    """Return a window that names a class in each frame once a window is full."""
    settings = SettingsFile(file)
    settings.change(actions=rules)
    window = make_window(settings=settings, loop=True)
    certain = replace(window.player.choices.decider, threshold=0.0)
    window.player.apply(replace(window.player.choices, decider=certain))
    return window


def writing(file: Path) -> Action:
    program = f"import os; print(os.environ['LIVESNN_DECISION'], file=open({str(file)!r}, 'a'))"
    return Action("command", (sys.executable, "-c", program))


def test_a_decision_runs_a_program_and_the_window_says_so(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    window = with_rules(make_window, Rule(writing(tmp_path / "told"), "5", every_s=0))
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.view.canvas.notes == [f"5 → run {Path(sys.executable).name}"])
    qtbot.waitUntil(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text().startswith("5\n"))
    assert not window.banner.isVisible()


def test_an_action_that_fails_is_said_once(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = with_rules(make_window, Rule(Action("command", ("no-such-program",)), every_s=0))
    window.open(str(recording))
    qtbot.waitUntil(window.banner.isVisible)
    assert window.banner.message.text().startswith("Couldn't run no-such-program: there is no such program")
    window.banner.hide()
    passed, laps = 0, 0

    def twice_more() -> bool:
        nonlocal passed, laps
        laps += window.player.t_us < passed
        passed = window.player.t_us
        return laps >= 2

    qtbot.waitUntil(twice_more)
    assert not window.banner.isVisible()


def test_a_gesture_starts_a_recording_and_another_stops_it(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    rules = (Rule(Action("record"), "2", every_s=0), Rule(Action("stop_recording"), "7", every_s=0))
    window = with_rules(make_window, *rules)
    window.recording.folder = tmp_path
    source = FakeSource(endless(moving_bar(1_000_000), 1_000_000), on_demand=True)
    window.open(source)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: window.player.can_record)
    given = 0

    def recording() -> bool:
        nonlocal given
        source.give()
        given += 1
        return window.player.recorder is not None

    qtbot.waitUntil(recording)
    qtbot.waitUntil(lambda: not recording())
    qtbot.waitUntil(lambda: "written to" in window.banner.message.text())
    written = [str(file) for file in tmp_path.glob("*.aedat4")]  # another may have begun since
    assert any(file in window.banner.message.text() for file in written)


def test_what_cannot_be_recorded_is_said_once(qtbot: QtBot, make_window: MakeWindow, recording: Path) -> None:
    window = with_rules(make_window, Rule(Action("record"), every_s=0))
    window.open(str(recording))
    qtbot.waitUntil(window.banner.isVisible)
    assert window.banner.message.text().startswith("Couldn't start recording: Only live events")


def ask(window: MainWindow) -> ActionsDialog:
    window.commands["act"].trigger()
    assert isinstance(window.dialog, ActionsDialog)
    return window.dialog


def add(dialog: ActionsDialog, kind: str, text: str, label: str = ANY) -> RuleFields:
    dialog.add.click()
    row = dialog.rows[-1]
    row.kind.choose(kind)
    row.gesture.choose(label)
    row.text.setText(text)
    return row


def test_rules_are_added_changed_removed_and_kept(make_window: MakeWindow, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    window = with_rules(make_window, file=file)
    dialog = ask(window)
    row = add(dialog, "command", "say 'hello you'", "3")
    row.held.setValue(500)
    row.every.setValue(2.5)
    add(dialog, "post", "http://lamp/on")
    add(dialog, "record", "")
    assert not dialog.rows[-1].text.isEnabled()
    dialog.rows[-1].remove.click()
    dialog.accept()
    kept = (
        Rule(Action("command", ("say", "hello you")), "3", held_ms=500, every_s=2.5),
        Rule(Action("post", ("http://lamp/on",)), ANY, held_ms=300, every_s=1.0),
    )
    assert SettingsFile(file).now.actions == kept
    dialog = ask(window)
    assert tuple(row.rule() for row in dialog.rows) == kept
    assert dialog.rows[0].text.text() == "say 'hello you'"
    dialog.rows[0].remove.click()
    dialog.accept()
    assert SettingsFile(file).now.actions == kept[1:]


def test_a_rule_whose_mark_is_removed_is_kept_and_does_nothing(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    rules = Rule(writing(tmp_path / "first"), every_s=0), Rule(writing(tmp_path / "second"), every_s=0)
    window = with_rules(make_window, *rules)
    dialog = ask(window)
    dialog.rows[0].active.setChecked(False)
    dialog.accept()
    assert window.settings.now.actions == (replace(rules[0], active=False), rules[1])
    window.open(str(recording))
    qtbot.waitUntil((tmp_path / "second").exists)
    assert not (tmp_path / "first").exists()


def test_a_rule_that_is_impossible_says_why_and_cannot_be_saved(qtbot: QtBot) -> None:
    dialog = ActionsDialog(())
    qtbot.addWidget(dialog)
    saved = QSignalSpy(dialog.chosen)
    for kind, text, why in (
        ("command", "", "no command"),
        ("command", "say 'hello", "quotation"),
        ("post", "lamp", "'lamp' isn't an address"),
        ("post", "", "There is no address"),
    ):
        row = add(dialog, kind, text)
        assert why in dialog.problem.text()
        assert not dialog.save.isEnabled()
        dialog.accept()
        row.remove.click()
    assert saved.count() == 0
    assert dialog.save.isEnabled()


def test_a_rule_of_another_model_or_edited_by_hand_can_be_shown(qtbot: QtBot) -> None:
    dialog = ActionsDialog((Rule(NOTHING, "arm_roll"), Rule(NOTHING, held_ms=10**30)), ("3", "5"))
    qtbot.addWidget(dialog)
    assert dialog.rows[0].gesture.currentText() == "Arm roll"
    assert dialog.rows[1].held.value() == dialog.rows[1].held.maximum()
