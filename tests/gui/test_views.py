"""Views take plain values: what they make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from livesnn.app.event_view import EventView
from livesnn.app.panels import Banner, StatusStrip, state_words
from livesnn.app.statistics import Percentiles, Statistics
from livesnn.app.transport import Transport, clock
from livesnn.app.views import ClassBars, DecisionView

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
    bars.set_values(values, None, read=True)
    assert "#4fd8bd" not in colours(bars)
    bars.set_values(values, "right_arm_counter_clockwise", read=True)
    assert "#4fd8bd" in colours(bars)


def test_between_two_readings_bars_move_and_decision_and_numbers_stay(qtbot: QtBot) -> None:
    bars = ClassBars()
    qtbot.addWidget(bars)
    bars.set_classes(GESTURES)
    bars.set_values(np.array([1.0, 0.0, 0.0], np.float32), "hand_clapping", read=True)
    bars.set_values(np.array([0.0, 1.0, 0.0], np.float32), "other", read=False)
    assert bars.decision == "hand_clapping"
    assert bars.probabilities is not None
    assert bars.probabilities[1] == 1.0


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


def test_the_banner_counts_the_warnings_it_does_not_show(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.show_warnings(["the table is missing", "packet 3 is damaged", "packet 4 is damaged"])
    assert banner.message.text() == "the table is missing (and 2 more: livesnn info lists them)"
