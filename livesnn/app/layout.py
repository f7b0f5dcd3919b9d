"""The window's parts and where they are. Not here: what they do (main_window.py)."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDialog,
    QMainWindow,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from livesnn.app.widgets.banner import Banner
from livesnn.app.widgets.event_view import EventView
from livesnn.app.widgets.frame_strip import WindowPanel
from livesnn.app.widgets.header import Header
from livesnn.app.widgets.numbers import NumbersPanel
from livesnn.app.widgets.readout import ReadoutPanel
from livesnn.app.widgets.state_panel import StatePanel
from livesnn.app.widgets.transport import Transport

GAP = 12  # pixels between cards
LEAST_WITH_CARDS = 640  # height of the window, pixels


class WindowLayout(QMainWindow):
    """An empty window: header, event view with its controls, read-out; below them window, state and numbers.

    Attributes
    ----------
    dialog
        The one on show; None: there is none.
    """

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
        self.dialog: QDialog | None = None
        self.splitters = {
            "columns": _splitter(Qt.Orientation.Horizontal, (self._stage(), 7), (self.readout, 4)),
            "cards": _splitter(
                Qt.Orientation.Horizontal, (self.window_panel, 5), (self.state_panel, 4), (self.numbers, 4)
            ),
        }
        self.splitters["rows"] = _splitter(
            Qt.Orientation.Vertical, (self.splitters["columns"], 1), (self.splitters["cards"], 0)
        )
        self.splitters["rows"].setCollapsible(1, True)
        self.setWindowTitle("livesnn")
        self.setAcceptDrops(True)
        self.setMinimumSize(800, 520)
        self._fit_screen(1280, 800)
        self.setCentralWidget(self._root())
        self.view.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.view.setFocus()  # not a button: no frame around it until a person tabs there

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Leave the lower cards out where they would take the room of what is above them."""
        super().resizeEvent(event)
        self.splitters["cards"].setVisible(self.height() >= LEAST_WITH_CARDS)

    def event(self, event: QEvent) -> bool:
        """Leave the space bar to the button that has the focus: elsewhere it is a shortcut."""
        space = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Space
        on_button = space and isinstance(self.focusWidget(), QAbstractButton | QComboBox)
        if on_button and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def show_dialog(self, dialog: QDialog) -> None:
        """Show a dialog over the window, which goes on; one at a time, another closes it."""
        if self.dialog is not None:
            self.dialog.close()
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.finished.connect(self._forget_dialog)
        self.dialog = dialog
        dialog.open()

    def _forget_dialog(self) -> None:
        self.dialog = None

    def _fit_screen(self, width: int, height: int) -> None:
        """Take this size, or what the screen has: at 200 % that is half of its pixels."""
        available = self.screen().availableGeometry()
        self.resize(min(width, available.width()), min(height, available.height()))

    def _stage(self) -> QWidget:
        stage = QWidget()
        column = QVBoxLayout(stage)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.view, 1)
        column.addWidget(self.transport)
        return stage

    def _root(self) -> QWidget:
        root = QWidget()
        root.setObjectName("root")
        column = QVBoxLayout(root)
        column.setContentsMargins(16, 6, 16, 14)
        column.setSpacing(GAP)
        for widget in (self.header, self.banner):
            column.addWidget(widget)
        column.addWidget(self.splitters["rows"], 1)
        return root


def _splitter(orientation: Qt.Orientation, *parts: tuple[QWidget, int]) -> QSplitter:
    """Return a splitter of widgets, each with its share of the room."""
    splitter = QSplitter(orientation)
    splitter.setHandleWidth(GAP)
    splitter.setChildrenCollapsible(False)
    for index, (widget, share) in enumerate(parts):
        splitter.addWidget(widget)
        splitter.setStretchFactor(index, share)
    if all(share for _, share in parts):
        splitter.setSizes([1000 * share for _, share in parts])  # in proportion
    return splitter
