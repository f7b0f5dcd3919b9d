"""The way from the window to the documentation: "?", menus and "About" open pages that are there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QLabel, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from livesnn.app.source_dialogs import CameraDialog
from livesnn.app.widgets.basics import PROJECT

from .conftest import MakeWindow
from .monkey import Browser

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def browser(qtbot: QtBot) -> Iterator[Browser]:
    """Return a browser that Qt uses until the end of the test."""
    browser = Browser()
    QDesktopServices.setUrlHandler("https", browser, "show_page")
    yield browser
    QDesktopServices.unsetUrlHandler("https")


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_there(address: str) -> bool:
    page, _, anchor = address.removeprefix(f"{PROJECT}/blob/main/").partition("#")
    return (REPOSITORY / page).is_file() and (not anchor or anchor in anchors(REPOSITORY / page))


def questions(widget: QWidget) -> list[QPushButton]:
    return [each for each in widget.findChildren(QPushButton) if each.text() == "?"]


def test_every_panel_has_a_question_mark_that_opens_a_page_which_is_there(
    qtbot: QtBot, make_window: MakeWindow, browser: Browser
) -> None:
    window = make_window()
    for panel in (
        window.view,
        window.transport,
        window.readout,
        window.window_panel,
        window.state_panel,
        window.numbers,
    ):
        assert questions(panel), panel
    for question in questions(window):
        qtbot.mouseClick(question, Qt.MouseButton.LeftButton)
        assert is_there(browser.opened[-1]), browser.opened[-1]
    assert len(browser.opened) == len(questions(window)) == 7
    window.commands["docs"].trigger()
    assert is_there(browser.opened[-1])


def test_the_addresses_are_those_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Documentation"].startswith(PROJECT)


def test_about_has_links(make_window: MakeWindow) -> None:
    window = make_window()
    window.commands["about"].trigger()
    assert window.dialog is not None
    links = [each for each in window.dialog.findChildren(QLabel) if "href" in each.text()]
    assert [each.openExternalLinks() for each in links] == [True]
    addresses = re.findall('href="([^"]*)"', links[0].text())
    assert addresses[1:3] == [PROJECT, f"{PROJECT}/issues"]
    assert is_there(addresses[0])
    assert is_there(addresses[3])


def test_where_no_camera_is_found_a_page_says_what_to_do(qtbot: QtBot, browser: Browser) -> None:
    dialog = CameraDialog(discover=lambda _: [])
    qtbot.addWidget(dialog)
    (question,) = questions(dialog)
    qtbot.mouseClick(question, Qt.MouseButton.LeftButton)
    assert is_there(browser.opened[-1])
