"""Banner: one message over the window. Not here: the row of names above it (header.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton

from livesnn.app.look import style
from livesnn.app.widgets.parts import label

_LOSSES = ("lost", "skipped", "left out")


class Banner(QFrame):
    """One message in words, with at most one thing to do about it, until it is closed or another source opened.

    Attributes
    ----------
    kind
        "error", "warning", "waiting" or "info": of what was shown last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.kind = ""
        self.message = label("", style.text_font(14), wrap=True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.action = QPushButton()
        self.action.setObjectName("do")
        self.action.setFont(style.text_font(14))
        self.action.setFixedHeight(32)
        self.action.clicked.connect(self._act)
        self._do: Callable[[], None] | None = None
        close = QPushButton()
        close.setObjectName("icon")
        close.setFixedSize(32, 32)
        close.setToolTip("Close this message")
        close.setAccessibleName("Close this message")
        close.clicked.connect(self.hide)
        style.set_icon(close, "close", pixels=18)
        for button in (self.action, close):  # not the focus: hidden, they would pass it on to another button
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 10, 6)
        row.addWidget(self.message, 1)
        row.addWidget(self.action)
        row.addWidget(close)
        self.hide()

    def show_error(self, message: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        """Show why nothing goes on, and what to do next; with a button for it, if it can be done here."""
        self._show(message, "error", action, do)

    def show_waiting(self, message: str) -> None:
        """Show what is waited for."""
        self._show(message, "waiting")

    def show_info(self, message: str, action: str, do: Callable[[], None]) -> None:
        """Show what has been done, and a button that closes the message and does something with it."""
        self._show(message, "info", action, do)

    def show_warnings(self, warnings: Sequence[str]) -> None:
        """Show what is lost, damaged or assumed in what is being played; what is lost comes first."""
        lost_first = sorted(warnings, key=lambda warning: not any(word in warning for word in _LOSSES))
        shown = lost_first if len(warnings) == 2 else lost_first[:1]
        hidden = len(warnings) - len(shown)
        more = f" (and {hidden} more: livesnn info lists them)" if hidden else ""
        self._show("\n".join(shown) + more, "warning")

    def _show(self, message: str, kind: str, action: str = "", do: Callable[[], None] | None = None) -> None:
        self.kind, self._do = kind, do
        self.action.setText(action)
        self.action.setVisible(do is not None)
        style.set_rule(self, "kind", kind)
        self.message.setText(message)
        self.show()

    @Slot()
    def _act(self) -> None:
        self.hide()
        if self._do is not None:
            self._do()
