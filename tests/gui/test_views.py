"""Small parts and the read-out: what they make of plain values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.basics import CaptionRow, ShorteningLabel
from livesnn.app.widgets.readout import DecisionView, ReadoutPanel, fitting_pixels
from livesnn.infer.decide import Decision
from livesnn.infer.reason import ADVICE
from livesnn.session.verdict import Verdict

from .shown_results import CARD, GESTURES, even_but, make_result


def colours(widget: QWidget) -> set[str]:
    image = widget.grab().toImage()
    return {image.pixelColor(x, y).name() for y in range(0, image.height(), 2) for x in range(image.width())}


def test_a_decision_of_any_length_is_painted_in_its_box(qtbot: QtBot) -> None:
    view = DecisionView()
    qtbot.addWidget(view)
    view.resize(320, 140)
    empty = colours(view)
    for text in ("2", "right_arm_counter_clockwise", "x" * 60):
        view.show_said(Verdict(text, "", 3, 0.9))
        assert colours(view) - empty


def test_letters_are_as_large_as_fit() -> None:
    short, long = (fitting_pixels(text, 320, 100, largest=64) for text in ("2", "Right arm counter clockwise"))
    assert short == 64
    assert 16 < long < 64
    assert fitting_pixels("", 320, 100, largest=64) == 64


def test_no_decision_is_said_in_words(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    view = panel.decision
    assert view.said.words == "Nothing yet"
    shown = make_result(even_but(GESTURES.index("arm_roll"), 0.9), frames=10)
    panel.show_result(replace(shown, result=replace(shown.result, decision=None)))
    assert view.said.words == "Not sure"
    panel.show_result(shown)
    assert view.said.words == "Arm roll"
    assert view.accessibleName() == "Decision: Arm roll, 90 %"


def test_why_no_gesture_is_named_stands_below_the_decision(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    view = panel.decision
    for reason, words in ADVICE.items():
        panel.show_result(make_result(even_but(10, 0.8), frames=10, reason=reason))
        assert (view.said.words, view.toolTip().lower()) == ("Other", words.lower())
        assert view.accessibleName() == f"Decision: Other, 80 %. {view.toolTip()}"
    panel.show_result(make_result(even_but(0, 0.8), frames=11))
    assert view.toolTip() == ""


@pytest.mark.parametrize("width", [200, 320])
def test_a_reason_is_painted_at_any_width(qtbot: QtBot, width: int) -> None:
    view = DecisionView()
    qtbot.addWidget(view)
    view.resize(width, 62)
    view.show_said(Verdict("Not sure"))
    without = view.grab().toImage()
    view.show_said(Verdict("Not sure", "a movement that the model doesn't know"))
    assert view.grab().toImage() != without


def test_decision_and_classes_are_of_the_same_result(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    for frames, share in ((17, 0.75), (28, 0.5)):
        shown = make_result(even_but(0, share), frames=frames)
        panel.show_result(shown)
        assert panel.rows.probabilities is shown.result.probabilities
        assert panel.rows.texts[0] == f"{100 * share:.0f} %"
        assert panel.rows.decision == "hand_clapping"
        assert panel.decision.said.confidence == pytest.approx(share)


def test_the_last_decision_stays_dimmed_until_there_is_a_newer_one(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    panel.show_result(make_result(even_but(0, 0.4), frames=3))
    assert panel.decision.said.words == "Nothing yet"
    panel.show_result(make_result(even_but(0, 0.4), frames=3, last=Decision("other", 0.9)))
    assert panel.decision.said.words == "last: Other · 90 %"
    assert style.theme.accent not in colours(panel.decision)
    panel.show_result(make_result(even_but(0, 0.8), frames=10, last=Decision(GESTURES[0], 0.8)))
    assert panel.decision.said.words == "Hand clapping"
    assert style.theme.accent in colours(panel.decision)


def test_a_note_says_why_there_is_no_decision_until_there_is_one(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    panel.show_note("Shorter than one window")
    assert panel.decision.said.words == "Shorter than one window"
    panel.wait()
    assert panel.decision.said.words == "Shorter than one window"
    panel.show_result(make_result(even_but(0, 0.8), frames=10))
    panel.show_note("")
    assert panel.decision.said.words == "Hand clapping"
    panel.wait()  # after a reset nothing old is on show
    assert panel.decision.said.words == "Nothing yet"
    assert panel.rows.classes == GESTURES
    assert panel.rows.probabilities is None
    assert set(panel.rows.texts) == {"–"}
    panel.clear(None)
    assert panel.decision.said.words == "Nothing yet"


def test_a_remark_gives_way_to_its_caption(qtbot: QtBot) -> None:
    row = CaptionRow("State", tip="What it is")
    qtbot.addWidget(row)
    row.resize(120, 18)
    before = row.grab().toImage()
    row.set_remark("a remark with more words than there is room for here")
    assert row.grab().toImage() != before
    left = before.copy(0, 0, 40, 18)
    assert row.grab().toImage().copy(0, 0, 40, 18) == left
    assert row.tip_at(QPointF(5, 5)) == "What it is"


def test_a_long_name_is_no_reason_for_a_wide_window(qtbot: QtBot) -> None:
    name = ShorteningLabel(style.text_font(15))
    qtbot.addWidget(name)
    name.setText("x" * 500)
    assert name.minimumSizeHint().width() <= 60
    assert name.sizeHint().width() > 1000
