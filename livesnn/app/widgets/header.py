"""Header: what is open, with which model, and the ways to others. Not here: where the ways lead (actions.py)."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QWidget

from livesnn.app.look import style
from livesnn.app.look.style import Tone
from livesnn.app.widgets.parts import ShorteningLabel, dot, label
from livesnn.session.values import ShownState

_STATES: dict[ShownState, tuple[str, Tone]] = {  # → words, tone of the dot
    "empty": ("No source", "faint"),
    "opening": ("Opening", "warning"),
    "playing": ("Playing", "accent"),
    "waiting": ("Waiting for events", "warning"),
    "paused": ("Paused", "warning"),
    "ended": ("Ended", "soft"),
    "failed": ("Error", "danger"),
}


class Header(QWidget):
    """What is open, in what state, with which model; and ways to another source and another model."""

    model_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.source = ShorteningLabel(style.text_font(15, weight=QFont.Weight.DemiBold))
        self.state = label("", style.text_font(13), "soft")
        self.model = QPushButton()
        self.model.clicked.connect(self.model_wanted)
        self.open = QPushButton("Open")
        self.open.setToolTip("Open a recording, a camera or a stream; or drop a file on the window")
        self._dot = dot()
        for button in (self.model, self.open):
            button.setFixedHeight(34)
            button.setFont(style.text_font(14))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow stands behind the words
            style.set_icon(button, "chevron", "soft", 18)
        self._lay_out()
        self.show_names("")
        self.show_state("empty")

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(label("livesnn", style.text_font(19, weight=QFont.Weight.Bold), "accent"))
        row.addSpacing(14)
        row.addWidget(self.source, 1)
        row.addWidget(self._dot)
        row.addWidget(self.state)
        row.addSpacing(12)
        row.addWidget(self.model)
        row.addWidget(self.open)

    def set_open_menu(self, menu: QMenu) -> None:
        """Let the Open button show this menu."""
        self.open.setMenu(menu)

    def show_names(self, source: str, model: str = "", *, engine: str = "", about_model: str = "") -> None:
        """Name the source, the model and what runs it; "": there is none. ``about_model`` is a tooltip."""
        self.source.setText(source)
        self.source.setToolTip(source)
        self._named = f"Model: {model}" if model else "Choose a model"
        self.show_engine(engine)
        choose = "Choose the model and its engine"
        self.model.setToolTip(f"{about_model}\n{choose}" if about_model else choose)

    def show_engine(self, engine: str) -> None:
        """Say what runs the model now; "": nothing does."""
        words = f"{self._named} · {engine}" if engine else self._named
        self.model.setText(words.replace("&", "&&"))  # one would underline

    def show_state(self, state: ShownState) -> None:
        """Show a state of a session in words."""
        words, tone = _STATES[state]
        self.state.setText(words)
        style.set_tone(self._dot, tone)
