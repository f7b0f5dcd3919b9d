"""Decisions set in the window: the threshold, what stands, the smoothing, and which classes may be named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.cli.options import DecisionFlags
from livesnn.events.packet import Resolution
from livesnn.infer.decide import Decider
from tests.synthetic import CARD, moving_bar, write_model, write_recording

from .conftest import MakeWindow
from .test_run import python

STRICT = Decider(threshold=0.9, hysteresis=0.8, smoothing=0.25, leak=0.5)
NO_EVEN = ("0", "2", "4", "6", "8")
RUN = """
import json, sys
from livesnn.app.application import run_app
print(json.dumps(run_app(sys.argv[1], sys.argv[2], decisions=json.loads(sys.argv[3]))))
"""


def ask(window: MainWindow) -> DecisionsDialog:
    window.commands["decisions"].trigger()
    assert isinstance(window.dialog, DecisionsDialog)
    return window.dialog


def play(qtbot: QtBot, window: MainWindow, recording: Path) -> None:
    window.open(str(recording))
    qtbot.waitUntil(lambda: window.readout.decision.said.words.isdigit())


def mark(dialog: DecisionsDialog, labels: tuple[str, ...], *, marked: bool) -> None:
    for label in labels:
        dialog.classes.mark(label, marked=marked)


def test_a_higher_threshold_holds_at_once_in_the_same_session(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, recording)
    session = window.session
    dialog = ask(window)
    dialog.threshold.setValue(100.0)
    dialog.accept()
    qtbot.waitUntil(lambda: window.readout.decision.said.words == "Not sure")
    assert window.session is session
    assert window.readout.decision.said.confidence > 0.2


def test_a_class_without_a_mark_is_never_named_from_then_on(
    qtbot: QtBot, make_window: MakeWindow, recording: Path
) -> None:
    window = make_window(loop=True)
    play(qtbot, window, recording)
    dialog = ask(window)
    mark(dialog, NO_EVEN, marked=False)
    dialog.accept()
    session = window.session
    assert session is not None
    session.take_decisions()
    named: list[str | None] = []

    def enough() -> bool:
        named.extend(decision.label for decision in session.take_decisions())
        return len(named) > 21

    window.timer.stop()  # which takes the decisions, too
    qtbot.waitUntil(enough, timeout=30_000)
    assert not set(named[1:]) & set(NO_EVEN)  # the first window may have ended before
    assert {"1", "3", "5", "7"} <= set(named)


def test_what_is_chosen_is_remembered_with_the_classes(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    window = make_window(settings=settings)
    play(qtbot, window, recording)
    dialog = ask(window)
    dialog.threshold.setValue(90.0)
    dialog.hysteresis.setValue(80.0)
    dialog.smoothing.setValue(25.0)
    dialog.leak.setValue(50.0)
    mark(dialog, NO_EVEN, marked=False)
    dialog.classes.rows["3"][1].setText("70")
    dialog.accept()
    now = SettingsFile(tmp_path / "settings.json").now
    assert now.choices.decider_of(CARD) == replace(STRICT, deny=NO_EVEN, thresholds={"3": 0.7})
    again = ask(make_window(settings=SettingsFile(tmp_path / "settings.json")))
    assert (again.threshold.value(), again.hysteresis.value(), again.smoothing.value()) == (90.0, 80.0, 25.0)
    assert (again.classes.denied, again.classes.thresholds) == (NO_EVEN, {"3": 0.7})


def test_rules_for_classes_hold_only_for_the_model_that_they_were_set_for(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path
) -> None:
    settings = SettingsFile(tmp_path / "settings.json")
    settings.choose(by_model={"another": Decider(deny=("1",), thresholds={"3": 0.6})})
    dialog = ask(make_window(settings=settings))
    assert (dialog.classes.denied, dialog.classes.thresholds) == ((), {})
    mark(dialog, ("2",), marked=False)
    dialog.classes.rows["3"][1].setText("80")
    dialog.accept()
    choices = SettingsFile(tmp_path / "settings.json").now.choices
    assert choices.decider_of(CARD) == Decider(deny=("2",), thresholds={"3": 0.8})
    assert choices.decider_of(replace(CARD, name="another")) == Decider(deny=("1",), thresholds={"3": 0.6})
    assert choices.decider_of(replace(CARD, name="a third")) == Decider()


def test_older_settings_keep_their_rules_and_those_for_classes_that_are_gone_are_left_out(tmp_path: Path) -> None:
    rules = {"columns": {"deny": ["3", "gone"], "thresholds": {"5": 0.7, "gone": 0.1}}, "other": {"deny": ["1"]}}
    old = {"choices": {"loop": False, "decider": {"threshold": 0.8}, "by_model": rules}}
    (tmp_path / "settings.json").write_text(json.dumps(old))
    choices = SettingsFile(tmp_path / "settings.json").now.choices
    assert choices.decider_of(CARD) == Decider(threshold=0.8, deny=("3",), thresholds={"5": 0.7})
    assert not choices.loop


def dialog_of(qtbot: QtBot, decider: Decider) -> DecisionsDialog:
    dialog = DecisionsDialog(decider, CARD)
    qtbot.addWidget(dialog)
    return dialog


def chosen(dialog: DecisionsDialog) -> Decider:
    said: list[Decider] = []
    dialog.chosen.connect(said.append)
    dialog.accept()
    return said[-1]


@pytest.mark.parametrize(
    "decider", [Decider(), STRICT, Decider(0.725, thresholds={"1": 0.9999, "2": 0.0}, deny=("7",))]
)
def test_what_is_not_changed_stays(qtbot: QtBot, decider: Decider) -> None:
    assert chosen(dialog_of(qtbot, decider)) == decider


def test_a_threshold_of_its_own_is_typed_and_deleted(qtbot: QtBot) -> None:
    dialog = dialog_of(qtbot, Decider())
    dialog.threshold.setValue(60.0)
    field = dialog.classes.rows["4"][1]
    assert (field.text(), field.placeholderText()) == ("", "60")
    QTest.keyClicks(field, "abc-7,5")
    assert chosen(dialog) == Decider(threshold=0.6, thresholds={"4": 0.075})
    field.selectAll()
    QTest.keyClick(field, Qt.Key.Key_Delete)
    assert chosen(dialog) == Decider(threshold=0.6)


def test_what_stands_follows_the_threshold_until_it_is_set(qtbot: QtBot) -> None:
    dialog = dialog_of(qtbot, Decider())
    dialog.threshold.setValue(80.0)
    assert dialog.hysteresis.value() == 16.0
    dialog.hysteresis.setValue(70.0)
    dialog.threshold.setValue(90.0)
    assert dialog.hysteresis.value() == 70.0
    dialog.threshold.setValue(60.0)
    assert chosen(dialog) == Decider(threshold=0.6, hysteresis=0.6)


def test_a_threshold_that_is_typed_is_one_number_and_leaves_what_stands_as_it_was_asked_for(
    qtbot: QtBot,
) -> None:
    dialog = dialog_of(qtbot, Decider(threshold=0.5, hysteresis=0.3))
    dialog.threshold.selectAll()
    QTest.keyClicks(dialog.threshold, "75")
    assert chosen(dialog) == Decider(threshold=0.75, hysteresis=0.3)
    dialog = dialog_of(qtbot, Decider(threshold=0.5, hysteresis=0.3))
    dialog.threshold.setValue(0.0)
    dialog.threshold.setValue(90.0)
    assert chosen(dialog) == Decider(threshold=0.9, hysteresis=0.3)


def test_the_defaults_come_back(qtbot: QtBot) -> None:
    dialog = dialog_of(qtbot, replace(STRICT, deny=NO_EVEN, thresholds={"1": 0.2}))
    dialog.defaults.click()
    assert chosen(dialog) == Decider()


def test_at_least_one_class_is_named(qtbot: QtBot) -> None:
    dialog = dialog_of(qtbot, Decider(deny=CARD.classes[1:]))
    mark(dialog, ("0",), marked=False)
    assert not dialog.use.isEnabled()
    mark(dialog, ("4",), marked=True)
    assert dialog.use.isEnabled()


def test_flags_are_on_top_of_what_was_chosen_last() -> None:
    def merged(decider: Decider, **flags: object) -> Decider:
        return decider.merge(DecisionFlags(**flags).given)  # type: ignore[arg-type]

    assert merged(STRICT) == STRICT
    assert merged(STRICT, smoothing=0.5) == replace(STRICT, smoothing=0.5)
    assert merged(STRICT, threshold=0.6) == replace(STRICT, threshold=0.6, hysteresis=None)
    assert merged(STRICT, threshold=0.6, hysteresis=0.1) == replace(STRICT, threshold=0.6, hysteresis=0.1)
    assert merged(STRICT, allow=("1", "2")).denied(CARD) == ("0", *CARD.classes[3:])
    of_classes = replace(STRICT, deny=("2",), thresholds={"3": 0.1})
    assert merged(of_classes, deny=("1",)) == replace(of_classes, deny=("1",))
    assert merged(of_classes, class_threshold=(("4", 0.2),)) == replace(of_classes, thresholds={"4": 0.2})


def test_the_window_opens_with_the_flags_and_its_summary_follows(model_folder: Path, recording: Path) -> None:
    done = python("-c", RUN, str(recording), str(model_folder), '{"allow": ["3"]}', LIVESNN_QUIT_AFTER="8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["majority"] == "3"


def test_a_class_that_the_model_has_not_opens_no_window(model_folder: Path, recording: Path) -> None:
    done = python("-c", RUN, str(recording), str(model_folder), '{"deny": ["x"]}', LIVESNN_QUIT_AFTER="20")
    assert done.returncode == 1
    assert "columns has no class 'x': give one of 0, 1, 2" in done.stderr


@pytest.mark.parametrize(("trained", "said"), [((34, 34), False), ((128, 128), True)])
def test_another_sensor_than_in_training_is_said_as_run_says_it(
    qtbot: QtBot, make_window: MakeWindow, tmp_path: Path, trained: tuple[int, int], said: bool
) -> None:
    card = replace(CARD, sensor=trained)
    window = make_window(write_model(tmp_path / "model", card))
    square = write_recording(tmp_path / "square.npz", moving_bar(300_000), Resolution(34, 34))
    window.open(str(square))
    qtbot.waitUntil(lambda: window.view.shown > 1)
    remark = window.readout.card.caption.remark
    assert remark == (card.on_another_sensor(34, 34) if said else "")
    assert bool(remark) == said
    offered = "This looks like N-MNIST: use nmnist?" if said else ""
    assert window.banner.message.text() == offered
