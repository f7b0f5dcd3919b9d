"""The themes: legible, told apart, followed by every widget."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QPushButton, QToolButton, QTreeView
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.comparing import CompareDialog
from livesnn.app.style import DARK, LIGHT, Theme
from livesnn.app.widgets.basics import label
from livesnn.app.widgets.readout import DecisionView
from livesnn.session.comparison import Second
from livesnn.session.control import Choices
from tests.synthetic import CARD

from .conftest import MakeWindow
from .shown_results import GESTURES

THEMES = pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
# OKLab (Ottosson 2020).
TO_LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
TO_LAB = np.array(
    [[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.808675766]]
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _dark_again(qapp: QApplication) -> Iterator[None]:
    before_style, before = qapp.style().objectName(), qapp.palette()
    yield
    style.use("dark", qapp)
    qapp.setStyleSheet("")
    qapp.setStyle(before_style)
    qapp.setPalette(before)


def contrast(one: str, other: str) -> float:
    return style.contrast(QColor(one), QColor(other))


def linear(colour: str) -> npt.NDArray[np.float64]:
    values = np.array(QColor(colour).getRgbF()[:3])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@THEMES
def test_words_can_be_read_on_every_ground(theme: Theme) -> None:
    for ground in ("background", "surface", "raised", "event_background"):
        for words in ("text", "soft", "faint", "accent", "warning", "danger"):
            assert contrast(getattr(theme, words), getattr(theme, ground)) >= 4.5, (words, ground)
    for ground in ("hover", "pressed", "accent_dark", "warning_surface", "danger_surface"):
        assert contrast(theme.text, getattr(theme, ground)) >= 4.5, ground
    for ground in ("accent", "accent_hover"):
        assert contrast(theme.on_accent, getattr(theme, ground)) >= 4.5, ground


@THEMES
def test_class_colours_stand_out_from_a_card_and_carry_words(theme: Theme) -> None:
    assert len(theme.classes) >= len(GESTURES)
    for colour in theme.classes:
        assert contrast(colour, theme.surface) >= 3, colour
        assert style.contrast(style.ink_on(QColor(colour)), QColor(colour)) >= 4.5, colour


@THEMES
def test_class_colours_are_told_apart_in_every_sight(theme: Theme) -> None:
    least = {"normal": 0.1, "protanopia": 0.08, "deuteranopia": 0.08, "tritanopia": 0.045}  # 0.02 is just noticed
    for sight, matrix in SIGHTS.items():
        seen = np.clip(np.array([linear(colour) for colour in theme.classes]) @ np.array(matrix).T, 0, 1)
        lab = np.cbrt(seen @ TO_LMS.T) @ TO_LAB.T
        differences = [np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2)]
        assert min(differences) > least[sight], sight


def test_widgets_on_show_follow_a_change(qtbot: QtBot, qapp: QApplication) -> None:
    style.use("dark", qapp)
    words, quiet = label("Words", style.text_font(20)), label("Words", style.text_font(20), "soft")
    painted, button = DecisionView(), QPushButton()
    style.set_icon(button, "play", "soft")
    for widget in (words, quiet, painted, button):
        qtbot.addWidget(widget)
        widget.show()
    for name, theme in (("light", LIGHT), ("dark", DARK)):
        style.use(name, qapp)  # type: ignore[arg-type]
        assert colour_of(words) == theme.text
        assert colour_of(quiet) == theme.soft
        style.set_rule(quiet, "tone", "danger")
        assert colour_of(quiet) == theme.danger
        style.set_rule(quiet, "tone", "soft")
        icon = button.icon().pixmap(20, 20).toImage()
        assert icon.pixelColor(icon.width() // 2, icon.height() // 2).name() == theme.soft
        image = painted.grab().toImage()
        shown = {image.pixelColor(x, y).name() for y in range(image.height()) for x in range(image.width())}
        assert {theme.faint, theme.raised} <= shown


def colour_of(widget: QLabel) -> str:
    return widget.palette().color(QPalette.ColorRole.WindowText).name()


def test_every_icon_is_drawn_in_its_colour_inside_its_box(qapp: QApplication) -> None:
    for name in style.ICONS:
        image = style.icon(name, "#ff0000").pixmap(24, 24).toImage()
        alpha = np.array([[image.pixelColor(x, y).alpha() for x in range(24)] for y in range(24)])
        assert 15 < (alpha > 128).sum() < 300, name
        edge = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
        assert edge.max() == 0, name
        solid = [image.pixelColor(int(x), int(y)).name() for y, x in np.argwhere(alpha == 255)]
        assert set(solid) <= {"#ff0000"}, name


@THEMES
def test_the_icons_of_file_dialogs_can_be_seen_and_their_columns_are_wide_enough(
    make_window: MakeWindow, qtbot: QtBot, qapp: QApplication, theme: Theme, model_folder: Path
) -> None:
    style.use("dark" if theme is DARK else "light", qapp)
    window = make_window()
    window.commands["open"].trigger()
    assert isinstance(window.dialog, QFileDialog)
    all_icons_can_be_seen(window.dialog, theme)
    files = window.dialog.findChild(QTreeView, "treeView")
    qtbot.waitUntil(lambda: files.model().rowCount(files.rootIndex()) > 0)
    columns = range(files.model().columnCount())
    qtbot.waitUntil(lambda: all(files.columnWidth(each) >= files.sizeHintForColumn(each) for each in columns))
    dialog = CompareDialog(Second(str(model_folder)), CARD, Choices())
    qtbot.addWidget(dialog)
    dialog.show()
    next(button for button in dialog.findChildren(QPushButton) if "folder" in button.text()).click()
    all_icons_can_be_seen(dialog.findChildren(QFileDialog)[0], theme)


def all_icons_can_be_seen(dialog: QFileDialog, theme: Theme) -> None:
    tools = [tool for tool in dialog.findChildren(QToolButton) if tool.isVisible() and not tool.icon().isNull()]
    assert len(tools) == 6
    for tool in tools:
        image = tool.icon().pixmap(24, 24).toImage()
        inks = {
            image.pixelColor(x, y).name()
            for y in range(24)
            for x in range(24)
            if image.pixelColor(x, y).alpha() > 150
        }
        assert inks, tool.objectName()
        assert all(style.contrast(QColor(ink), QColor(theme.raised)) > 4.5 for ink in inks), tool.objectName()
