"""The window's parts, where they are and how large; what they show of a session is in session_display.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDialog,
    QDockWidget,
    QMainWindow,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.actions import Actions
from livesnn.app.player import Player
from livesnn.app.settings import SettingsFile
from livesnn.app.widgets.bars import Banner, Header, Transport
from livesnn.app.widgets.basics import FRAME, fill
from livesnn.app.widgets.event_view import EventView
from livesnn.app.widgets.network_cards import NumbersPanel, StatePanel, WindowPanel
from livesnn.app.widgets.readout import ReadoutPanel
from livesnn.errors import reason_of

GAP = 12  # pixels between cards
MARGIN = 16  # pixels at the left and the right
USUAL_SIZE = (1280, 800)  # of the window, pixels
READOUT = 440  # width of the right column, pixels, where it takes no more than 45 %: curves of 120 pixels
LEAST_WITH_CARDS = (780, 610)  # width and height of the window's middle, pixels


class WindowLayout(QMainWindow):
    """An empty window: header, event view with its controls, decision; below them the frames, state and numbers.

    What works in it asks for the rest by these signals.
    """

    open_requested = Signal(object, object)  # a source; the name of a model that it needs, or None
    model_requested = Signal(str, str)  # a model and its engine, from now on
    source_opened = Signal()
    recording_written = Signal(str)  # a file
    player: Player
    settings: SettingsFile
    commands: Actions

    def __init__(self) -> None:
        super().__init__()
        self.header = Header()
        self.banner = Banner()
        self.view = EventView()
        self.transport = Transport()
        self.readout = ReadoutPanel()
        self.window_panel = WindowPanel()
        self.state_panel = StatePanel()
        self.numbers = NumbersPanel()
        self.dialog: QDialog | None = None  # the one that is open; None: none is
        left = QWidget()
        fill(QVBoxLayout(left), (self.view, 1), self.transport, spacing=GAP)
        across, down = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        columns = _splitter(across, (left, 7), (self.readout, 4))
        cards = _splitter(across, (self.window_panel, 5), (self.state_panel, 4), (self.numbers, 4))
        rows = _splitter(down, (columns, 1), (cards, 0))
        rows.setCollapsible(1, True)
        self.splitters = {"columns": columns, "cards": cards, "rows": rows}
        self.setWindowTitle("livesnn")
        self.setAcceptDrops(True)
        self.setMinimumSize(800, 520)
        self.setCentralWidget(self._root())
        self._fit_screen()
        self.view.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.view.setFocus()  # not a button, which would be framed before a person tabs there

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Hide the lower cards where the window, or what docks leave of it, is too small for them."""
        if isinstance(event, QResizeEvent):
            width, height = LEAST_WITH_CARDS
            roomy = event.size().width() >= width and event.size().height() >= height
            self.splitters["cards"].setVisible(roomy)
        return super().eventFilter(watched, event)

    def save(self, path: Path, what: str, write: Callable[[], None]) -> None:
        """Write a file by ``write``, and say that it is saved, or why it can't be."""
        try:
            write()
        except OSError as error:
            why = f"{path}: {what} can't be saved ({reason_of(error)}): choose another folder"
            self.banner.show_message(why, "error")
        else:
            self.banner.show_message(f"Saved {path}", "info")

    def event(self, event: QEvent) -> bool:
        """Leave the space bar to the button that has the focus; elsewhere it is a shortcut."""
        space = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Space
        on_button = space and isinstance(self.focusWidget(), QAbstractButton | QComboBox)
        if on_button and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def show_dialog(self, dialog: QDialog) -> None:
        """Show a dialog over the window, which goes on playing; an open dialog is closed."""
        if self.dialog is not None:
            self.dialog.close()
        dialog.finished.connect(self._forget_dialog)
        self.dialog = dialog
        style.open_dialog(dialog)

    def _forget_dialog(self) -> None:
        self.dialog = None

    def lay_out(self) -> None:
        """Let the window and its parts have the sizes of the first start."""
        self.window().setWindowState(Qt.WindowState.WindowNoState)
        for dock in self.findChildren(QDockWidget):
            dock.setFloating(False)
            dock.hide()
        self._fit_screen()
        self.splitters["cards"].setSizes([5000, 4000, 4000])
        cards = self.splitters["cards"].sizeHint().height()
        self.splitters["rows"].setSizes([self.height() - cards, cards])

    def _fit_screen(self) -> None:
        """Take the usual size, or what the screen has room for with the window's frame: at 200 %, half its pixels."""
        room = self.screen().availableGeometry().size() - QSize(*FRAME)
        self.resize(QSize(*USUAL_SIZE).boundedTo(room))
        columns = self.width() - 2 * MARGIN - GAP
        readout = max(columns * 4 // 11, min(READOUT, columns * 9 // 20))
        self.splitters["columns"].setSizes([columns - readout, readout])

    def _root(self) -> QWidget:
        root = QWidget()
        root.setObjectName("root")
        root.installEventFilter(self)
        parts = (self.header, self.banner, (self.splitters["rows"], 1))
        fill(QVBoxLayout(root), *parts, spacing=GAP, margins=(MARGIN, 6, MARGIN, 14))
        return root


def _splitter(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    splitter = QSplitter(orientation)
    splitter.setHandleWidth(GAP)
    splitter.setChildrenCollapsible(False)
    for index, (widget, share) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(index, share)
    if all(share for _, share in parts):
        splitter.setSizes([1000 * share for _, share in parts])  # in proportion
    return splitter
