"""A second model beside the first in the window: agreement, reasons why not, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.comparing import LATE, AgreementView, CompareDialog, ComparisonPanel, percent
from livesnn.app.main_window import MainWindow
from livesnn.infer.statistics import Percentiles
from livesnn.session.comparison import Agreement, Difference, Second
from livesnn.session.control import Choices
from tests.synthetic import CARD, write_model

from .conftest import MakeWindow

NO_CLASS = "columns and other can't be compared: they have no class in common"


@pytest.fixture
def other_classes(tmp_path: Path) -> Path:
    return write_model(tmp_path / "other", replace(CARD, name="other", classes=tuple("abcdefghij")))


def panel_of(window: MainWindow) -> ComparisonPanel:
    assert window.comparing.panel is not None
    return window.comparing.panel


def compare(window: MainWindow, model: Path) -> None:
    """Choose a model in the dialog."""
    window.commands["compare"].trigger()
    dialog = window.dialog
    assert isinstance(dialog, CompareDialog)
    dialog.choose(str(model))
    dialog.accept()


def test_a_model_beside_itself_agrees_and_shows_the_same_decision(
    qtbot: QtBot, make_window: MakeWindow, model_folder: Path, recording: Path
) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    compare(window, model_folder)
    panel = panel_of(window)
    qtbot.waitUntil(lambda: panel.agreement.total.endswith(" frames"))
    window.commands["play"].trigger()
    qtbot.waitUntil(lambda: panel.readout.decision.said.words == window.readout.decision.said.words)
    assert panel.card.caption.remark == "columns, Automatic"
    assert [caption for caption, *_ in panel.agreement.times] == ["Network", "Decision"]


def test_the_comparison_goes_on_with_the_next_source_until_it_is_closed(
    qtbot: QtBot, make_window: MakeWindow, model_folder: Path, recording: Path
) -> None:
    window = make_window(loop=True)
    columns = window.splitters["columns"]
    assert (window.comparing.panel, columns.count()) == (None, 2)
    window.comparing.use(Second(str(model_folder)))
    window.open(str(recording))
    qtbot.waitUntil(lambda: panel_of(window).agreement.percent == "100 %")
    window.open(str(recording))
    assert panel_of(window).agreement.percent == "100 %"
    qtbot.waitUntil(lambda: panel_of(window).agreement.percent != "100 %")
    qtbot.waitUntil(lambda: panel_of(window).agreement.percent == "100 %")
    panel_of(window).closed.emit()
    assert window.session is not None
    assert (window.comparing.panel, window.session.comparer.now, columns.count()) == (None, None, 2)


def test_the_window_says_why_two_models_cannot_be_compared(
    qtbot: QtBot, make_window: MakeWindow, recording: Path, other_classes: Path
) -> None:
    window = make_window(loop=True)
    window.open(str(recording))
    window.comparing.use(Second(str(other_classes)))
    qtbot.waitUntil(lambda: panel_of(window).agreement.note == NO_CLASS)
    assert window.session is not None
    assert window.session.control.state == "playing"


def test_the_dialog_does_not_offer_what_cannot_be_compared(qtbot: QtBot, other_classes: Path) -> None:
    dialog = CompareDialog(Second(str(other_classes)), CARD, Choices())
    qtbot.addWidget(dialog)
    assert not dialog.use.isEnabled()
    assert dialog.note.text() == NO_CLASS


def test_what_is_not_changed_in_the_dialog_follows_the_first(qtbot: QtBot, model_folder: Path) -> None:
    dialog = CompareDialog(Second(str(model_folder)), CARD, Choices())
    qtbot.addWidget(dialog)
    with qtbot.waitSignal(dialog.chosen) as unchanged:
        dialog.accept()
    assert unchanged.args == [Second(str(model_folder))]
    dialog.threshold.setValue(90)
    dialog.state.setCurrentText("Reset each window")
    dialog.denoise.setChecked(True)
    with qtbot.waitSignal(dialog.chosen) as changed:
        dialog.accept()
    assert changed.args == [Second(str(model_folder), state_mode="reset", threshold=0.9, denoise=True)]


def test_a_second_that_is_too_slow_is_said(qtbot: QtBot) -> None:
    view = AgreementView()
    qtbot.addWidget(view)
    times = Percentiles(30.0), Percentiles(40.0)
    view.show_difference(Difference(Agreement(0.9, 0.8, 1000), times, times, late=True))
    assert (view.percent, view.late) == ("90.0 %", True)
    assert view.toolTip().startswith("The two together can't keep up")
    assert LATE.startswith("Too slow")


def test_only_all_frames_are_100_per_cent() -> None:
    assert (percent(1.0), percent(0.9999), percent(float("nan"))) == ("100 %", "99.9 %", "–")


def test_the_command_line_names_a_second_model(recording: Path, model_folder: Path) -> None:
    environment = os.environ | {"LIVESNN_QUIT_AFTER": "0.5"}
    command = [sys.executable, "-m", "livesnn", "gui", str(recording), "--model", str(model_folder), "--compare"]
    done = subprocess.run([*command, str(model_folder)], capture_output=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*command, "no-such-model"], capture_output=True, timeout=60, env=environment)
    assert done.returncode == 1
    assert b"no-such-model" in done.stderr
    assert done.stdout == b""
