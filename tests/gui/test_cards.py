"""The cards and bars: what they make of plain values, how they are painted, and what all of them cost together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QImage
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets import bars
from livesnn.app.widgets.bars import Banner, Header
from livesnn.app.widgets.basics import NOTHING, CaptionRow, ShorteningLabel
from livesnn.app.widgets.network_cards import (
    FULL_DENSITY,
    FrameStrip,
    LayerBars,
    NumbersPanel,
    StatePanel,
    WindowPanel,
    membrane_height,
    picture,
    state_words,
    window_words,
)
from livesnn.app.widgets.readout import (
    ClassRows,
    DecisionView,
    ReadoutPanel,
    fitting_pixels,
    longest,
    probabilities_at,
)
from livesnn.card import InputSpec, SliceRule
from livesnn.events.denoise import DenoiseCounts
from livesnn.events.picture import DEFAULT_PALETTE, FULL_COUNT, PALETTES, count_colours
from livesnn.infer.cost import energy_constants
from livesnn.infer.decide import Decision
from livesnn.infer.reason import ADVICE
from livesnn.infer.statistics import Percentiles
from livesnn.session.results import NO_HISTORY, History
from livesnn.session.statistics import Statistics
from livesnn.session.verdict import Verdict

from .shown_results import CARD, GESTURES, LAYERS, even_but, make_history, make_result

BUSY = Statistics(
    events=990, dropped=10, slice_ms=Percentiles(0.5, 1, 2), network_ms=Percentiles(1, 2, 3),
    total_ms=Percentiles(12.34, 105.5, 1200), events_per_s=1.5e6, filtered_per_s=1.2e6, frames_per_s=33.3,
    density=0.1, synops=10.3e6, dense_synops=205e6, energy_estimate_uj=2.393,
)  # fmt: skip
Made = TypeVar("Made", bound=QWidget)
Make = Callable[..., Made]


@pytest.fixture
def make(qtbot: QtBot) -> Make:
    """Return a function that makes a widget of this kind and size, which shows the card of the gestures' model."""

    def made(kind: type[Made], width: int = 400, height: int = 160) -> Made:
        widget = kind()
        qtbot.addWidget(widget)
        widget.resize(width, height)
        if hasattr(widget, "clear") and not isinstance(widget, DecisionView):
            widget.clear(CARD)
        return widget

    return made


def colours(image: QImage, box: QRectF | None = None) -> set[str]:
    inside = image.rect() if box is None else box.toRect().intersected(image.rect())
    ys, xs = range(inside.top(), inside.bottom() + 1, 2), range(inside.left(), inside.right() + 1)
    return {image.pixelColor(x, y).name() for y in ys for x in xs}


def test_the_header_names_source_model_and_engine_and_stays_narrow(make: Make) -> None:
    header = make(Header)
    assert header.model.text() == "Choose a model"
    header.show_names("walk.aedat4", "gestures", engine="onnx", about_model="11 classes")
    assert (header.source.text(), header.model.text()) == ("walk.aedat4", "Model: gestures · onnx")
    assert header.model.toolTip().startswith("11 classes\n")
    header.show_names("a name " * 100, "pick & place")
    assert header.model.text() == "Model: pick && place"  # as Qt shows one
    said = []
    for state in ("empty", "playing", "failed", "waiting"):
        header.show_state(state)
        said.append(header.state.text())
    assert said == ["No source", "Playing", "Error", "Waiting for events"]
    assert header.minimumSizeHint().width() < 760


def test_news_goes_by_itself_and_what_asks_for_something_stays(
    qtbot: QtBot, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "NEWS_MS", 50)
    news, asks, wrong = make(Banner), make(Banner), make(Banner)
    news.show_message("Saved it", "info")
    asks.show_message("Learned", "info", ("Undo", lambda: None))
    wrong.show_message("Lost", "error")
    qtbot.waitUntil(news.isHidden)
    news.show_message("Saved it", "info")
    news.show_message("Lost", "error")  # takes its place before it goes
    qtbot.wait(100)
    assert not any(banner.isHidden() for banner in (news, asks, wrong))


@pytest.mark.parametrize(
    ("warnings", "text"),
    [
        (["the table is missing", "5,910 bytes lost"], "5,910 bytes lost\nthe table is missing"),
        (["the table is missing", "packet 3 is odd", "7 events skipped"],
         "7 events skipped (and 2 more: livesnn info lists them)"),
    ],
)  # fmt: skip
def test_the_banner_says_what_is_lost_first_and_counts_what_it_does_not_show(
    make: Make, warnings: list[str], text: str
) -> None:
    banner = make(Banner)
    banner.show_warnings(warnings)
    assert (banner.message.text(), banner.kind) == (text, "warning")


def test_a_remark_gives_way_to_its_caption_and_a_long_name_to_the_window() -> None:
    row, name = CaptionRow("State", tip="What it is"), ShorteningLabel(style.text_font(15))
    row.resize(120, 18)
    before = row.grab().toImage()
    row.set_remark("a remark with more words than there is room for here")
    assert row.grab().toImage() != before
    assert row.grab().toImage().copy(0, 0, 40, 18) == before.copy(0, 0, 40, 18)
    name.setText("x" * 500)
    assert name.minimumSizeHint().width() <= 60


def test_unknown_numbers_are_dashes_and_known_ones_have_three_digits(make: Make) -> None:
    panel = make(NumbersPanel)
    known = {name for name, text in panel.texts.items() if text != NOTHING}
    assert known == {"light_flicker", "dropped", "skipped", "repaired"}
    panel.show_statistics(BUSY, Percentiles(9, 17.25, 121))
    shown = {part: [panel.texts[f"{part}.{which}"] for which in ("p50", "p95", "p99")]
             for part in ("slice", "network", "total", "show")}  # fmt: skip
    assert shown == {
        "slice": ["0.50", "1.00", "2.00"],
        "network": ["1.00", "2.00", "3.00"],
        "total": ["12.3", "106", "1,200"],
        "show": ["9.00", "17.2", "121"],
    }
    names = ("events", "frames", "density", "synops", "dropped")
    assert [panel.texts[name] for name in names] == ["1.50 M/s", "33 /s", "10.0 %", "10.3 M of 205 M", "10"]
    panel.clear(CARD)
    assert {name for name, text in panel.texts.items() if text != NOTHING} == known


def test_losses_stand_out_and_every_number_is_explained(make: Make) -> None:
    panel = make(NumbersPanel)
    panel.show()
    table = panel.table
    panel.show_statistics(Statistics(events=990), Percentiles())
    assert style.theme.warning not in colours(table.grab().toImage())
    panel.show_statistics(BUSY, Percentiles())
    assert style.theme.warning in colours(table.grab().toImage())
    height = min(table.height() / 6, 22)
    places = [(5, row) for row in range(5)] + [(table.width() - 5, row) for row in range(6)]
    tips = [table.tip_at(QPointF(x, (row + 0.5) * height)) for x, row in places]
    assert len(set(tips)) == 11
    assert all(tips)
    assert tips[9].endswith("10 events, 1.0 % of all")
    explained = table.explained("synops")
    assert "Estimated energy" in explained
    assert "2.39 µJ" in explained
    assert energy_constants(CARD) in explained


def test_the_rows_of_the_numbers_come_and_go(make: Make) -> None:
    panel = make(NumbersPanel)
    assert panel.table.rates == ["events", "frames", "density", "synops", "dropped", "skipped"]
    panel.table.show_row("filtered", True)
    noise = DenoiseCounts(events=1000, hot=10, refractory=20, isolated=300)
    flickering = Statistics(out_of_order=3, out_of_bounds=1, light_flicker=12.34, noise=noise)
    panel.show_statistics(flickering, Percentiles())
    assert panel.table.rates == [
        "events", "filtered", "frames", "density", "synops", "light_flicker", "dropped", "skipped", "repaired",
    ]  # fmt: skip
    assert (panel.texts["repaired"], panel.texts["light_flicker"]) == ("4", "12.3 per pixel")
    assert "3 out of order" in panel.table.explained("repaired")
    assert "300 (30.0 %) isolated, 20 (2.0 %) too soon after another, 10 (1.0 %) of hot" in panel.table.explained(
        "filtered"
    )
    panel.show_statistics(Statistics(light_flicker=0.04), Percentiles())  # a flash now and then
    assert not {"repaired", "light_flicker"} & set(panel.table.rates)


def test_letters_are_as_large_as_fit(make: Make) -> None:
    short, long = (fitting_pixels(text, 320, 100, largest=64) for text in ("2", "Right arm counter clockwise"))
    assert short == fitting_pixels("", 320, 100, largest=64) == 64
    assert 16 < long < 64
    view = make(DecisionView, 320, 140)
    empty = colours(view.grab().toImage())
    for text in ("2", "right_arm_counter_clockwise", "x" * 60):
        view.show_said(Verdict(text, "", 3, 0.9))
        assert colours(view.grab().toImage()) - empty


def test_decision_and_classes_are_of_the_same_result_and_no_decision_is_said_in_words(make: Make) -> None:
    panel = make(ReadoutPanel)
    view = panel.decision
    assert view.said.words == "Nothing yet"
    for frames, share in ((17, 0.75), (28, 0.5)):
        shown = make_result(even_but(0, share), frames=frames)
        panel.show_result(shown)
        assert panel.rows.probabilities is shown.result.probabilities
        assert (panel.rows.texts[0], panel.rows.decision) == (f"{100 * share:.0f} %", "hand_clapping")
        assert view.accessibleName() == f"Decision: Hand clapping, {100 * share:.0f} %"
    panel.show_result(replace(shown, result=replace(shown.result, decision=None)))
    assert view.said.words == "Not sure"


def test_why_no_gesture_is_named_stands_below_the_decision(make: Make) -> None:
    panel = make(ReadoutPanel)
    view = panel.decision
    for reason, words in ADVICE.items():
        panel.show_result(make_result(even_but(10, 0.8), frames=10, reason=reason))
        assert (view.said.words, view.toolTip().lower()) == ("Other", words.lower())
        assert view.accessibleName() == f"Decision: Other, 80 %. {view.toolTip()}"
    panel.show_result(make_result(even_but(0, 0.8), frames=11))
    assert view.toolTip() == ""
    small = make(DecisionView, 200, 62)
    small.show_said(Verdict("Not sure"))
    without = small.grab().toImage()
    small.show_said(Verdict("Not sure", "a movement that the model doesn't know"))
    assert small.grab().toImage() != without


def test_the_last_decision_stays_dimmed_until_there_is_a_newer_one(make: Make) -> None:
    panel = make(ReadoutPanel)
    panel.show_result(make_result(even_but(0, 0.4), frames=3))
    assert panel.decision.said.words == "Nothing yet"
    panel.show_result(make_result(even_but(0, 0.4), frames=3, last=Decision("other", 0.9)))
    assert panel.decision.said.words == "last: Other · 90 %"
    assert style.theme.accent not in colours(panel.decision.grab().toImage())
    panel.show_result(make_result(even_but(0, 0.8), frames=10, last=Decision(GESTURES[0], 0.8)))
    assert panel.decision.said.words == "Hand clapping"
    assert style.theme.accent in colours(panel.decision.grab().toImage())


def test_a_note_says_why_there_is_no_decision_until_there_is_one(make: Make) -> None:
    panel = make(ReadoutPanel)
    panel.show_note("Shorter than one window")
    panel.wait()
    assert panel.decision.said.words == "Shorter than one window"
    panel.show_result(make_result(even_but(0, 0.8), frames=10))
    panel.show_note("")
    assert panel.decision.said.words == "Hand clapping"
    panel.wait()  # after a reset nothing old is on show
    assert (panel.decision.said.words, panel.rows.classes) == ("Nothing yet", GESTURES)
    assert (panel.rows.probabilities, set(panel.rows.texts)) == (None, {NOTHING})


PAUSED = np.concatenate([np.arange(6) * 100_000, np.arange(46, 51) * 100_000])  # 0.5 s, 4.1 s of nothing, 0.5 s


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (NO_HISTORY, [0.0] * 100),
        (make_history([[0.25]] * 400), [0.25] * 100),
        # every 10 ms: the last second of ten is 1, and the newest is at the right
        (make_history([[0.0]] * 900 + [[1.0]] * 100, every_us=10_000), [0.0] * 90 + [1.0] * 10),
        (make_history([[1.0]] * 51, every_us=100_000), [0.0] * 50 + [1.0] * 50),  # five seconds
        # after a pause a value lasts for a second
        (make_history([[1.0]] * 11)._replace(t_us=PAUSED), [0.0] * 50 + [1.0] * 15 + [0.0] * 31 + [1.0] * 4),
    ],
)
def test_a_curve_is_the_probability_over_the_last_ten_seconds(history: History, expected: list[float]) -> None:
    for since_us in (0, 1 << 60):  # times of any size are drawn alike
        later = history._replace(t_us=history.t_us + since_us)
        (curve,) = probabilities_at(later, 1, 100)
        assert curve.tolist() == expected


@pytest.fixture
def rows(make: Make) -> ClassRows:
    rows = make(ClassRows, 400, 330)
    rows.set_classes(GESTURES)
    return rows


def test_names_are_whole_where_there_is_room_and_can_always_be_told_apart(rows: ClassRows) -> None:
    for width in (421, 402):  # in a window of 1280 and of 1000 pixels
        rows.resize(width, 300)
        assert rows.name_width(13) == longest(tuple(map(style.readable, GESTURES)), 13)
    rows.resize(226, 300)  # beside a second model at 1024 pixels
    metrics, right = QFontMetricsF(style.text_font(13)), Qt.TextElideMode.ElideRight
    shown = {metrics.elidedText(style.readable(name), right, rows.name_width(13)) for name in GESTURES}
    assert len(shown) == len(GESTURES)


def test_only_the_decided_class_stands_out_and_each_row_says_its_number(rows: ClassRows) -> None:
    values = np.array(even_but(4, 0.8), np.float32)

    def bright_rows() -> list[int]:
        image, name = rows.grab().toImage(), QRectF(20, 0, 180, 30)
        tops = (30 * index for index in range(len(GESTURES)))
        return [top // 30 for top in tops if style.theme.text in colours(image, name.translated(0, top))]

    rows.set_values(values, None)
    assert bright_rows() == []
    rows.set_values(values, "right_arm_counter_clockwise")
    assert bright_rows() == [4]
    assert rows.tip_at(QPointF(10, 4.5 * 30)).startswith("Right arm counter clockwise: 80 %")
    assert rows.tip_at(QPointF(10, 5000)) == ""


def test_the_decided_class_is_in_sight_where_there_is_no_room_for_all(make: Make) -> None:
    readout = make(ReadoutPanel)
    readout.resize(400, readout.minimumSizeHint().height())
    readout.show()
    for index in (len(CARD.classes) - 1, 0):
        readout.show_result(make_result(even_but(index, 0.9), frames=20))
        row = QPoint(10, readout.rows.middle(CARD.classes[index]))
        assert readout.rows.visibleRegion().contains(row)


COLOURS = count_colours(DEFAULT_PALETTE)


def test_events_are_shown_in_the_palette_s_colours_and_a_large_frame_loses_none() -> None:
    on, off, nothing = DEFAULT_PALETTE.on, DEFAULT_PALETTE.off, DEFAULT_PALETTE.background
    frame = np.zeros((2, 4, 5), np.uint8)
    frame[1, 0, 0], frame[0, 3, 4], frame[:, 2, 2] = 200, 3, (3, 3)
    pixels = picture(frame, COLOURS)
    between = tuple((one + other) / 2 for one, other in zip(on, off, strict=True))
    seen = [pixels[0, 0], pixels[3, 4], pixels[1, 1], pixels[2, 2]]
    np.testing.assert_allclose(seen, [on, off, nothing, between], atol=0.6)
    large = np.zeros((2, 480, 640), np.uint8)
    large[1, 100, 101] = 9
    pixels = picture(large, COLOURS)
    assert pixels.shape == (68, 91, 3)
    assert tuple(pixels[100 // 7, 101 // 7]) == on
    assert (pixels != nothing).any(axis=-1).sum() == 1


@pytest.mark.parametrize(("channels", "colour"), [(1, (10, 10, 10)), (3, (10, 20, 30))])
def test_video_is_shown_as_it_is(channels: int, colour: tuple[int, int, int]) -> None:
    frame = np.broadcast_to(np.array([10, 20, 30], np.uint8)[:channels, None, None], (channels, 6, 8))
    assert (picture(frame, COLOURS) == colour).all()


@pytest.fixture
def strip(make: Make) -> FrameStrip:
    strip = make(FrameStrip, 380, 112)
    strip.set_input(CARD.input)
    return strip


@pytest.mark.parametrize(("width", "height", "window"), [(128, 128, 10), (640, 480, 10), (34, 34, 7), (64, 64, 1)])
def test_all_places_are_inside_apart_and_of_the_frames_shape(
    strip: FrameStrip, width: int, height: int, window: int
) -> None:
    strip.set_input(InputSpec(width=width, height=height, slice=SliceRule(delta_t_us=1), window=window))
    for size in ((380, 112), (300, 70), (200, 300), (120, 60)):
        strip.resize(*size)
        boxes = strip.boxes()
        assert len(boxes) == window
        whole = QRectF(strip.rect()).adjusted(-0.01, -0.01, 0.01, 0.01)
        for index, box in enumerate(boxes):
            assert whole.contains(box)
            assert box.width() / box.height() == pytest.approx(width / height)
            assert not any(box.adjusted(1, 1, -1, -1).intersects(other) for other in boxes[index + 1 :])


def test_frames_seen_are_painted_once_and_the_newest_is_framed(strip: FrameStrip) -> None:
    frames = tuple(np.zeros((2, 128, 128), np.uint8) for _ in range(7))

    def middles() -> list[str]:
        image = strip.grab().toImage()
        return [image.pixelColor(box.center().toPoint()).name() for box in strip.boxes()]

    strip.show_frames(frames[:4])
    for frame in frames:
        frame[1] = FULL_COUNT  # a frame that is on show is not looked at again
    strip.show_frames(frames)
    dark, lit = (QColor(*colour).name() for colour in (DEFAULT_PALETTE.background, DEFAULT_PALETTE.on))
    assert middles() == [dark] * 4 + [lit] * 3 + [style.theme.raised] * 3
    corner = strip.boxes()[6].topLeft().toPoint() + QPoint(1, 1)
    assert strip.grab().toImage().pixelColor(corner).name() == style.theme.accent
    strip.set_palette(PALETTES["white background"])
    strip.show_frames((np.zeros((2, 34, 34), np.uint8),))
    assert middles()[0] == QColor(*PALETTES["white background"].background).name()


def test_the_card_says_which_frame_of_the_window_it_is(make: Make) -> None:
    panel = make(WindowPanel)
    assert panel.caption.remark == NOTHING
    assert panel.caption.toolTip().startswith("A window is 10 frames of 29 ms (0.29 s).")
    panel.show_result(make_result(even_but(0, 0.5), frames=17))
    assert (panel.caption.remark, panel.strip.seen) == ("frame 7 of 10", 7)
    panel.wait()
    assert (panel.caption.remark, panel.strip.seen) == (NOTHING, 0)
    by_events = replace(CARD.input, slice=SliceRule(n_events=20_000))
    assert window_words(by_events).startswith("A window is 10 frames of 20,000 events.")


def test_a_reset_is_asked_for_only_while_there_is_a_state(make: Make) -> None:
    panel = make(StatePanel)
    states = ("empty", "opening", "playing", "paused", "waiting", "failed")
    for state, enabled in zip(states, (False, False, True, True, True, False), strict=True):
        panel.show_state(state)
        assert panel.reset.isEnabled() is enabled, state


@pytest.mark.parametrize(
    ("frames", "carried", "reset_by", "words"),
    [
        (1, 1, "", "carried for 1 frame"),
        (1234, 1234, "", "carried for 1,234 frames"),
        (3, 3, "seeking", "reset by seeking, 3 frames ago"),
    ],
)
def test_the_state_says_how_long_it_has_been_carried_and_why_it_was_reset(
    make: Make, frames: int, carried: int, reset_by: str, words: str
) -> None:
    shown = make_result(even_but(0, 0.5), frames=frames, carried=carried, reset_by=reset_by)
    assert state_words(shown) == words
    panel = make(StatePanel)
    panel.show_result(shown)
    assert (panel.caption.remark, panel.bars.density) == (words, shown.result.density)
    panel.wait()
    assert (panel.caption.remark, panel.bars.density) == ("reset, waiting for frames", None)


@pytest.fixture
def layers(make: Make) -> LayerBars:
    layers = make(LayerBars, 360, 118)
    layers.set_model(CARD)
    return layers


def test_a_bar_is_as_high_as_its_density_and_has_its_mark(layers: LayerBars) -> None:
    heights = [membrane_height(mean, 0.5) for mean in (0.0, 0.5, -0.5, 0.25, 9, -9)]
    assert heights == [0.5, 1.0, 0.0, 0.75, 1.0, 0.0]
    density = np.zeros(len(LAYERS) - 1, np.float32)
    density[2], density[5] = FULL_DENSITY / 2, 1.0
    membrane = np.full(len(LAYERS), -9.0, np.float32)
    membrane[3] = 0.0
    layers.set_values(density, membrane)
    image = layers.grab().toImage()

    def share(index: int, colour: str) -> float:
        box = layers.boxes()[index]
        column = [image.pixelColor(int(box.center().x()), y).name() for y in range(int(box.height()))]
        return column.count(colour) / len(column)

    accent = style.theme.accent
    assert (share(1, accent), share(len(LAYERS) - 1, accent)) == (0, 0)
    assert share(2, accent) == pytest.approx(0.5, abs=0.04)
    assert share(5, accent) > 0.95
    middle = layers.boxes()[3].center()
    assert image.pixelColor(int(middle.x()), int(middle.y())).name() == style.theme.warning


def test_each_layer_says_its_name_and_numbers(layers: LayerBars) -> None:
    assert layers.tip_at(QPointF(10, 10)) == "stem"
    density = np.linspace(0.0, 0.16, len(LAYERS) - 1, dtype=np.float32)
    layers.set_values(density, np.linspace(-0.17, 0, len(LAYERS), dtype=np.float32))
    assert layers.tip_at(layers.boxes()[1].center()) == (
        "block1 · 1 · first\n1.0 % of its neurons spiked\nmean membrane -0.160, threshold 0.5"
    )
    assert layers.tip_at(layers.boxes()[-1].center()) == "readout\nmean membrane 0.000, threshold 0.5"
    assert "A full bar is 30 %" in layers.tip_at(QPointF(10, 115))
