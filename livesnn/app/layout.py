"""The window's parts and where they are. Not here: what they do (main_window.py)."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.event_view import EventView
from livesnn.app.panels import Banner, Header, StatusStrip
from livesnn.app.readout import ReadoutPanel
from livesnn.app.transport import Transport


class WindowLayout(QMainWindow):
    """An empty window: header, event view with its controls, read-out, numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.header = Header()
        self.banner = Banner()
        self.view = EventView()
        self.transport = Transport()
        self.readout = ReadoutPanel()
        self.strip = StatusStrip()
        self.setWindowTitle("livesnn")
        self.setStyleSheet(style.STYLE_SHEET)
        self.setAcceptDrops(True)
        self.setMinimumSize(1000, 700)
        self.resize(1280, 800)
        self.setCentralWidget(self._root())
        self.view.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.view.setFocus()  # not a button: no frame around it until a person tabs there

    def _root(self) -> QWidget:
        left = QVBoxLayout()
        left.setSpacing(14)
        left.addWidget(self.banner)
        left.addWidget(self.view, 1)
        left.addWidget(self.transport)
        body = QHBoxLayout()
        body.setSpacing(14)
        body.addLayout(left, 7)
        body.addWidget(self.readout, 3)
        root = QWidget()
        root.setObjectName("root")
        column = QVBoxLayout(root)
        column.setContentsMargins(18, 12, 18, 18)
        column.setSpacing(14)
        column.addWidget(self.header)
        column.addLayout(body, 1)
        column.addWidget(self.strip)
        return root
