"""The card "State": what a person can ask of it, and what it says about the membranes."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.network_cards import FULL_DENSITY, LayerBars, StatePanel, membrane_height, state_words

from .shown_results import CARD, LAYERS, even_but, make_result


@pytest.fixture
def panel(qtbot: QtBot) -> StatePanel:
    panel = StatePanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    return panel


def test_a_mode_is_asked_for_by_click_and_shown_without_asking(qtbot: QtBot, panel: StatePanel) -> None:
    asked: list[bool] = []
    panel.modes["reset"].clicked.connect(lambda: asked.append(True))
    assert panel.modes["carry"].isChecked()
    qtbot.mouseClick(panel.modes["reset"], Qt.MouseButton.LeftButton)
    assert asked == [True]
    assert not panel.modes["carry"].isChecked()
    panel.show_mode("carry")
    assert panel.modes["carry"].isChecked()
    assert not panel.modes["reset"].isChecked()
    assert asked == [True]


def test_a_reset_is_asked_for_only_while_there_is_a_state(qtbot: QtBot, panel: StatePanel) -> None:
    asked: list[bool] = []
    panel.reset.clicked.connect(lambda _=False: asked.append(True))
    states = ("empty", "opening", "playing", "paused", "waiting", "failed")
    for state, enabled in zip(states, (False, False, True, True, True, False), strict=True):
        panel.show_state(state)
        qtbot.mouseClick(panel.reset, Qt.MouseButton.LeftButton)
        assert panel.reset.isEnabled() is enabled, state
    assert len(asked) == 3


def test_no_button_is_narrower_than_its_words(panel: StatePanel) -> None:
    for button in (*panel.modes.values(), panel.reset):
        assert button.minimumWidth() > button.fontMetrics().horizontalAdvance(button.text()) + 8


@pytest.mark.parametrize(
    ("frames", "carried", "reset_by", "words"),
    [
        (1, 1, "", "carried for 1 frame"),
        (1234, 1234, "", "carried for 1,234 frames"),
        (3, 3, "seeking", "reset by seeking, 3 frames ago"),
        (23, 3, "", "carried for 3 frames"),
    ],
)
def test_the_state_says_how_long_it_has_been_carried_and_why_it_was_reset(
    frames: int, carried: int, reset_by: str, words: str
) -> None:
    shown = make_result(even_but(0, 0.5), frames=frames, carried=carried, reset_by=reset_by)
    assert state_words(shown) == words


def test_what_is_shown_is_the_results_and_is_forgotten(panel: StatePanel) -> None:
    shown = make_result(even_but(0, 0.5), frames=12)
    panel.show_result(shown)
    assert panel.caption.remark == "carried for 12 frames"
    assert panel.bars.density is shown.result.density
    assert panel.bars.membrane is shown.result.membrane
    panel.wait()
    assert panel.caption.remark == "reset, waiting for frames"
    assert panel.bars.density is None
    panel.clear(None)
    assert panel.caption.remark == "–"


@pytest.mark.parametrize(("mean", "height"), [(0.0, 0.5), (0.5, 1.0), (-0.5, 0.0), (0.25, 0.75), (9, 1.0), (-9, 0.0)])
def test_the_membranes_scale_goes_from_minus_threshold_to_threshold(mean: float, height: float) -> None:
    assert membrane_height(mean, 0.5) == height


def test_a_bar_is_as_high_as_its_density_and_has_its_mark(qtbot: QtBot) -> None:
    bars = LayerBars()
    qtbot.addWidget(bars)
    bars.resize(360, 118)
    bars.set_model(CARD)
    density = np.zeros(len(LAYERS) - 1, np.float32)
    density[2], density[5] = FULL_DENSITY / 2, 1.0
    membrane = np.full(len(LAYERS), -9.0, np.float32)
    membrane[3] = 0.0
    bars.set_values(density, membrane)
    image = bars.grab().toImage()

    def share(index: int, colour: str) -> float:
        box = bars.boxes()[index]
        column = [image.pixelColor(int(box.center().x()), y).name() for y in range(int(box.height()))]
        return column.count(colour) / len(column)

    assert share(1, style.theme.accent) == 0
    assert share(2, style.theme.accent) == pytest.approx(0.5, abs=0.04)
    assert share(5, style.theme.accent) > 0.95
    assert share(len(LAYERS) - 1, style.theme.accent) == 0
    box = bars.boxes()[3]
    assert image.pixelColor(int(box.center().x()), int(box.center().y())).name() == style.theme.warning


def test_each_layer_says_its_name_and_numbers(qtbot: QtBot) -> None:
    bars = LayerBars()
    qtbot.addWidget(bars)
    bars.resize(360, 118)
    assert "full bar" in bars.tip_at(QPointF(10, 10))
    bars.set_model(CARD)
    assert bars.tip_at(QPointF(10, 10)) == "stem"
    density = np.linspace(0.0, 0.16, len(LAYERS) - 1, dtype=np.float32)
    bars.set_values(density, np.linspace(-0.17, 0, len(LAYERS), dtype=np.float32))
    assert bars.tip_at(bars.boxes()[1].center()) == (
        "block1 · 1 · first\n1.0 % of its neurons spiked\nmean membrane -0.160, threshold 0.5"
    )
    assert bars.tip_at(bars.boxes()[-1].center()) == "readout\nmean membrane 0.000, threshold 0.5"
    assert "threshold" in bars.tip_at(QPointF(10, 115))
