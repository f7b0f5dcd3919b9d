"""Views take plain values: what they make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from livesnn.app.event_view import EventView
from livesnn.app.panels import Banner, StatusStrip
from livesnn.app.readout import ReadoutPanel, state_words, window_words
from livesnn.app.statistics import Percentiles, Statistics
from livesnn.app.style import dress
from livesnn.app.transport import Transport, clock
from livesnn.app.values import Answer
from livesnn.app.views import ClassBars, DecisionView
from livesnn.card import InputSpec, SliceRule
from livesnn.events import Resolution
from livesnn.events.frames import Frame
from livesnn.infer.decide import Decision
from livesnn.infer.pipeline import Latency, Result

# Qt's offscreen platform says so of every window with a least size.

GESTURES = ("hand_clapping", "right_arm_counter_clockwise", "other")


def colours(widget: ClassBars | DecisionView | EventView) -> set[str]:
    image = widget.grab().toImage()
    return {image.pixelColor(x, y).name() for y in range(0, image.height(), 2) for x in range(image.width())}


@pytest.mark.parametrize("text", ["2", "right_arm_counter_clockwise", "x" * 60])
def test_a_decision_of_any_length_is_painted_in_its_box(qtbot: QtBot, text: str) -> None:
    view = DecisionView()
    qtbot.addWidget(view)
    view.resize(320, 140)
    empty = colours(view)
    view.set_decision(text, 0.9)
    assert colours(view) - empty


def test_no_decision_is_said_in_words(qtbot: QtBot) -> None:
    view = DecisionView()
    qtbot.addWidget(view)
    assert view.text == "Nothing yet"
    view.set_decision(None, 0.3)
    assert view.text == "Not sure"
    view.set_decision("arm_roll", 0.9)
    assert view.text == "Arm roll"


def test_only_the_decided_class_has_the_accent_colour(qtbot: QtBot) -> None:
    bars = ClassBars()
    qtbot.addWidget(bars)
    bars.resize(320, 240)
    bars.set_classes(GESTURES)
    values = np.array([0.2, 0.7, 0.1], np.float32)
    bars.set_values(values, None)
    assert "#4fd8bd" not in colours(bars)
    bars.set_values(values, "right_arm_counter_clockwise")
    assert "#4fd8bd" in colours(bars)


def answer(probabilities: tuple[float, ...], *, frames: int, last: Decision | None = None) -> Answer:
    """Return an answer `frames` after the start, whose decision is the first class, once a window is full."""
    values = np.array(probabilities, np.float32)
    full = frames >= 10
    result = Result(
        t=0,
        window=(frames - 1) // 10,
        rates=values,
        decision=GESTURES[0] if full else None,
        confidence=probabilities[0] if full else 0.0,
        frame=Frame(0, np.zeros((2, 1, 1), np.uint8), 0),
        latency=Latency(0, 0, 0),
        dropped=0,
        reset=False,
        density=np.zeros(0, np.float32),
        window_end=frames % 10 == 0,
    )
    return Answer(result, values, 10, (frames - 1) % 10 + 1, frames, "", last, 0)


def test_decision_bars_numbers_dots_and_words_are_of_the_same_answer(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(GESTURES)
    for frames, share in ((17, 0.75), (28, 0.5)):
        panel.show_answer(answer((share, 1 - share, 0.0), frames=frames))
        assert panel.bars.probabilities is not None
        assert panel.bars.probabilities[0] == share
        assert panel.bars.texts[0] == f"{100 * share:.0f} %"
        assert panel.decision.confidence == share
        assert panel.dots.seen == frames % 10
        assert panel.window_row.remark.text() == f"frame {frames % 10} of 10"
        assert panel.state_row.remark.text() == f"carried for {frames} frames"


def test_the_last_decision_stays_dimmed_until_there_is_a_newer_one(qtbot: QtBot) -> None:
    panel = ReadoutPanel()
    qtbot.addWidget(panel)
    panel.clear(GESTURES)
    panel.show_answer(answer((0.4, 0.3, 0.3), frames=3))
    assert panel.decision.text == "Nothing yet"
    panel.show_answer(answer((0.4, 0.3, 0.3), frames=3, last=Decision("other", 0.9)))
    assert panel.decision.text == "last: Other · 90 %"
    assert "#4fd8bd" not in colours(panel.decision)
    panel.show_answer(answer((0.8, 0.1, 0.1), frames=10, last=Decision(GESTURES[0], 0.8)))
    assert panel.decision.text == "Hand clapping"


def test_a_window_is_explained_in_frames_and_seconds() -> None:
    spec = InputSpec(width=34, height=34, slice=SliceRule(delta_t_us=29_000))
    assert window_words(spec).startswith("A window is 10 frames of 29 ms (0.29 s).")


def test_dialogs_are_dark_too(qapp: QApplication) -> None:
    before_style, before = qapp.style().objectName(), qapp.palette()
    try:
        dress(qapp)
        palette = qapp.palette()
        for text, ground in (
            (QPalette.ColorRole.Text, QPalette.ColorRole.Base),
            (QPalette.ColorRole.WindowText, QPalette.ColorRole.Window),
            (QPalette.ColorRole.ButtonText, QPalette.ColorRole.Button),
        ):
            assert palette.color(text).lightness() - palette.color(ground).lightness() > 120
    finally:
        qapp.setStyle(before_style)
        qapp.setPalette(before)


def test_every_number_of_the_strip_is_explained(qtbot: QtBot) -> None:
    strip = StatusStrip()
    qtbot.addWidget(strip)
    tips = {name: reading.toolTip() for name, reading in strip.readings.items()}
    assert all(tips.values())
    assert all("p95" in tips[name] and "200 results" in tips[name] for name in ("total", "slice", "network"))


def test_the_event_view_says_that_the_model_sees_another_size(qtbot: QtBot) -> None:
    view = EventView()
    qtbot.addWidget(view)
    view.set_input(Resolution(34, 34))
    view.show_picture(np.zeros((34, 34, 3), np.uint8))
    assert view.size_note.text() == "34 × 34 pixels"
    view.show_picture(np.zeros((260, 346, 3), np.uint8))
    assert view.size_note.text() == "346 × 260, scaled to the model's 34 × 34"


def test_the_event_view_paints_the_picture_it_is_given(qtbot: QtBot) -> None:
    view = EventView()
    qtbot.addWidget(view)
    view.resize(400, 400)
    view.show()
    view.show_words("Nothing", "at all")
    assert not view.has_picture
    view.show_picture(np.full((34, 34, 3), (17, 201, 99), np.uint8))
    assert view.has_picture
    assert "#11c963" in colours(view)


@pytest.mark.parametrize(
    ("seconds", "total_s", "text"),
    [(0.0, 5.0, "0:00.0"), (59.96, 80.0, "1:00.0"), (61.25, 80.0, "1:01.2"), (3725.5, 7200.0, "1:02:05.5")],
)
def test_times_are_written_as_on_a_clock(seconds: float, total_s: float, text: str) -> None:
    assert clock(seconds, total_s=total_s) == text


def test_a_source_without_an_end_has_no_time_line(qtbot: QtBot) -> None:
    transport = Transport()
    qtbot.addWidget(transport)
    transport.set_recording(None)
    assert not transport.line.isEnabled()
    transport.set_recording(5.0)
    assert transport.line.isEnabled()
    assert transport.line.maximum() == 5000
    assert transport.speed.itemData(0) == 0.1
    assert transport.speed.itemData(transport.speed.count() - 1) == math.inf


def test_unknown_numbers_are_dashes_and_drops_stand_out(qtbot: QtBot) -> None:
    strip = StatusStrip()
    qtbot.addWidget(strip)
    assert {strip.readings[name].value.text() for name in ("total", "slice", "network", "events")} == {"–"}
    strip.show_statistics(
        Statistics(
            Percentiles(0.5, 1, 2),
            Percentiles(1, 2, 3),
            Percentiles(12.34, 105.5, 120),
            1.5e6,
            33.3,
            0.1,
            990,
            10,
        )
    )
    texts = {name: (reading.value.text(), reading.note.text()) for name, reading in strip.readings.items()}
    assert texts["total"] == ("12.3 ms", "p95 106 ms")
    assert texts["events"] == ("1.50 M", "events a second")
    assert texts["dropped"] == ("10", "1.0 % of events")
    assert "#ffb454" in strip.readings["dropped"].value.styleSheet()


def test_the_state_says_how_long_it_has_been_carried_and_why_it_was_reset() -> None:
    assert state_words(1, "") == "carried for 1 frame"
    assert state_words(1234, "") == "carried for 1,234 frames"
    assert state_words(3, "seeking") == "reset by seeking, 3 frames ago"


@pytest.mark.parametrize(
    ("warnings", "text"),
    [
        (["the table is missing"], "the table is missing"),
        (["the table is missing", "5,910 bytes lost"], "5,910 bytes lost\nthe table is missing"),
        (["the table is missing", "packet 3 is odd", "7 events skipped"],
         "7 events skipped (and 2 more: livesnn info lists them)"),
    ],
)  # fmt: skip
def test_the_banner_says_what_is_lost_first_and_counts_what_it_does_not_show(
    qtbot: QtBot, warnings: list[str], text: str
) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.show_warnings(warnings)
    assert banner.message.text() == text
