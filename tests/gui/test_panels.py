"""Header, banner and numbers: what they say; and what all cards together cost."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtWidgets import QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets import bars
from livesnn.app.widgets.bars import Banner, Header
from livesnn.app.widgets.network_cards import NumbersPanel, StatePanel, WindowPanel, milliseconds, scaled
from livesnn.app.widgets.readout import ReadoutPanel
from livesnn.infer.cost import energy_constants
from livesnn.infer.statistics import Percentiles
from livesnn.session.statistics import Statistics

from .shown_results import CARD, even_but, make_result

BUSY = Statistics(
    events=990,
    dropped=10,
    slice_ms=Percentiles(0.5, 1, 2),
    network_ms=Percentiles(1, 2, 3),
    total_ms=Percentiles(12.34, 105.5, 1200),
    events_per_s=1.5e6,
    filtered_per_s=1.2e6,
    frames_per_s=33.3,
    density=0.1,
    synops=10.3e6,
    dense_synops=205e6,
    energy_estimate_uj=2.393,
)
COST_MS = 3.0


def test_the_header_names_source_model_and_engine(qtbot: QtBot) -> None:
    header = Header()
    qtbot.addWidget(header)
    assert header.model.text() == "Choose a model"
    header.show_names("walk.aedat4", "gestures", engine="onnx", about_model="11 classes")
    assert header.source.text() == "walk.aedat4"
    assert header.model.text() == "Model: gestures · onnx"
    assert header.model.toolTip().startswith("11 classes\n")
    header.show_names("walk.aedat4", "gestures")
    assert header.model.text() == "Model: gestures"
    header.show_names("walk.aedat4", "pick & place")
    assert header.model.text() == "Model: pick && place"  # as Qt shows one


def test_news_goes_by_itself_and_what_asks_for_something_stays(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "NEWS_MS", 50)
    news, asks, wrong = Banner(), Banner(), Banner()
    for banner in (news, asks, wrong):
        qtbot.addWidget(banner)
    news.show_message("Saved it", "info")
    asks.show_message("Learned", "info", ("Undo", lambda: None))
    wrong.show_message("Lost", "error")
    qtbot.waitUntil(news.isHidden)
    assert not asks.isHidden()
    assert not wrong.isHidden()
    news.show_message("Saved it", "info")
    news.show_message("Lost", "error")  # takes its place before it goes
    qtbot.wait(100)
    assert not news.isHidden()


def test_every_state_is_said_in_words_and_a_long_name_leaves_the_header_narrow(qtbot: QtBot) -> None:
    header = Header()
    qtbot.addWidget(header)
    header.show_names("a name " * 100, "gestures", engine="onnx")
    said = []
    for state in ("empty", "playing", "failed", "waiting"):
        header.show_state(state)
        said.append(header.state.text())
    assert said == ["No source", "Playing", "Error", "Waiting for events"]
    assert header.minimumSizeHint().width() < 760


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
    assert banner.kind == "warning"


def test_unknown_numbers_are_dashes(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    known = {name for name, text in panel.texts.items() if text != "–"}
    assert known == {"light_flicker", "dropped", "skipped", "repaired"}
    panel.show_statistics(BUSY, Percentiles(9, 17, 21))
    assert "–" not in panel.texts.values()
    panel.clear(CARD)
    assert {name for name, text in panel.texts.items() if text != "–"} == known


def test_every_part_of_the_latency_has_three_percentiles(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    panel.show_statistics(BUSY, Percentiles(9, 17.25, 121))
    shown = {part: [panel.texts[f"{part}.{which}"] for which in ("p50", "p95", "p99")]
             for part in ("slice", "network", "total", "show")}  # fmt: skip
    assert shown == {
        "slice": ["0.50", "1.00", "2.00"],
        "network": ["1.00", "2.00", "3.00"],
        "total": ["12.3", "106", "1,200"],
        "show": ["9.00", "17.2", "121"],
    }
    assert panel.texts["events"] == "1.50 M/s"
    assert panel.texts["frames"] == "33 /s"
    assert panel.texts["density"] == "10.0 %"
    assert panel.texts["synops"] == "10.3 M of 205 M"
    assert panel.texts["dropped"] == "10"


def test_losses_stand_out_and_say_their_share(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    table = panel.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)[-1]
    panel.resize(400, 160)

    def has_warning() -> bool:
        image = table.grab().toImage()
        return any(
            image.pixelColor(x, y).name() == style.theme.warning
            for y in range(image.height())
            for x in range(image.width())
        )

    panel.show()
    panel.show_statistics(Statistics(events=990), Percentiles())
    assert not has_warning()
    panel.show_statistics(BUSY, Percentiles())
    assert has_warning()
    row = QPointF(table.width() - 5, 4.5 * min(table.height() / 6, 22))
    assert table.tip_at(row).endswith("10 events, 1.0 % of all")


def test_every_number_is_explained(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    panel.resize(400, 160)
    panel.show()
    table = panel.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)[-1]
    height = min(table.height() / 6, 22)
    places = [(5, row) for row in range(5)] + [(table.width() - 5, row) for row in range(6)]
    tips = [table.tip_at(QPointF(x, (row + 0.5) * height)) for x, row in places]
    assert all(tips)
    assert len(set(tips)) == 11


def test_the_energy_is_said_to_be_an_estimate_and_by_what(qtbot: QtBot) -> None:
    panel = NumbersPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    panel.show_statistics(BUSY, Percentiles())
    explained = panel.table.explained("synops")
    assert "Estimated energy" in explained
    assert "2.39 µJ" in explained
    assert energy_constants(CARD) in explained


def test_another_sensor_is_said_beside_the_decision_until_another_source(qtbot: QtBot) -> None:
    readout = ReadoutPanel()
    qtbot.addWidget(readout)
    doubt = "the sensor is 346×260"
    readout.show_doubt(doubt)
    caption = readout.card.caption
    assert (caption.remark, caption.toolTip()) == (doubt, doubt)
    readout.clear(CARD)
    assert (caption.remark, caption.toolTip()) == ("", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "–"),
        (0.0, "0.00"),
        (9.994, "9.99"),
        (55.55, "55.5"),
        (12345.6, "12,346"),
        (float("inf"), "–"),
    ],
)
def test_times_have_three_digits(value: float, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0, "", "0"), (999, "", "999"), (1000, "", "1.00 k"), (2.5e6, "/s", "2.50 M/s"), (3e9, "", "3.00 G"),
     (12, "/s", "12 /s"), (float("nan"), "/s", "–")],
)  # fmt: skip
def test_rates_are_scaled(value: float, unit: str, text: str) -> None:
    assert scaled(value, unit) == text


@pytest.mark.parametrize("classes", [11, 101])
def test_classes_that_do_not_fit_can_be_scrolled_to(qtbot: QtBot, classes: int) -> None:
    readout = ReadoutPanel()
    qtbot.addWidget(readout)
    readout.resize(430, 480)
    readout.show()
    readout.clear(replace(CARD, classes=tuple(f"class {number}" for number in range(classes))))
    area = readout.rows.parentWidget().parentWidget()
    assert isinstance(area, QScrollArea)
    qtbot.waitUntil(lambda: readout.rows.height() >= 15 * classes)
    assert readout.height() == 480
    assert (area.verticalScrollBar().maximum() > 0) == (classes > 11)
    assert area.verticalScrollBar().maximum() == max(readout.rows.height() - area.viewport().height(), 0)


def test_all_cards_together_cost_little(qtbot: QtBot) -> None:
    readout, window, state, numbers = ReadoutPanel(), WindowPanel(), StatePanel(), NumbersPanel()
    for card, size in (
        (readout, (430, 540)),
        (window, (420, 160)),
        (state, (400, 160)),
        (numbers, (400, 160)),
    ):
        qtbot.addWidget(card)
        card.clear(CARD)
        card.resize(*size)
        card.show()
    results = [make_result(even_but(index % 11, 0.7), frames=100 + 3 * index, seed=index) for index in range(40)]
    costs_ms = []
    for shown in results:
        begun_s = time.thread_time()
        for panel in (readout, window, state):
            panel.show_result(shown)
        numbers.show_statistics(BUSY, Percentiles(9, 17, 21))
        for widget in (readout, window, state, numbers):
            for painted in (widget, *widget.findChildren(QWidget)):
                painted.repaint()
        costs_ms.append((time.thread_time() - begun_s) * 1e3)
    assert sorted(costs_ms)[len(costs_ms) // 4] < COST_MS  # the processor's time of this thread, without the slowest


def test_the_decided_class_is_in_sight_where_there_is_no_room_for_all(qtbot: QtBot) -> None:
    readout = ReadoutPanel()
    qtbot.addWidget(readout)
    readout.clear(CARD)
    readout.resize(400, readout.minimumSizeHint().height())
    readout.show()
    for index in (len(CARD.classes) - 1, 0):
        readout.show_result(make_result(even_but(index, 0.9), frames=20))
        row = QPoint(10, readout.rows.middle(CARD.classes[index]))
        assert readout.rows.visibleRegion().contains(row)
