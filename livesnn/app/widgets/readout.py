"""The right column: the decision, and the classes over the last 10 s. All of it from one Answer at a time."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from livesnn.app.playing.values import Answer
from livesnn.app.widgets.history import ClassRows
from livesnn.app.widgets.parts import NOTHING_YET, CaptionRow, DecisionView, card
from livesnn.card import ModelCard


class ReadoutPanel(QWidget):
    """Decision and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.decision = DecisionView()
        self.rows = ClassRows()
        self._note = ""
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        for caption, remark, widget in (("Decision", "", self.decision), ("Classes", "last 10 s", self.rows)):
            panel, layout = card()
            row = CaptionRow(caption)
            row.set_remark(remark)
            layout.addWidget(row)
            layout.addWidget(widget, 1)
            column.addWidget(panel, 1 if widget is self.rows else 0)
        self.clear(None)

    def clear(self, card: ModelCard | None) -> None:
        """Start over, with the classes of this model."""
        self._note = ""
        self.rows.set_classes(() if card is None else card.classes)
        self.decision.clear()

    def wait(self) -> None:
        """Forget what was shown: a reset has been asked for, and no frame has come since."""
        self.rows.set_classes(self.rows.classes)
        self.decision.clear(self._note or NOTHING_YET)

    def show_note(self, note: str) -> None:
        """Say from now on, while there is no decision, why; "": because it takes a whole window."""
        if self.decision.text in (NOTHING_YET, self._note):
            self.decision.clear(note or NOTHING_YET)
        self._note = note

    def show_answer(self, answer: Answer) -> None:
        """Show an answer."""
        result = answer.result
        self.rows.set_values(answer.probabilities, result.decision, answer.history)
        if result.window_seen:
            self.decision.set_decision(result.decision, result.confidence)
        elif answer.last is not None:
            self.decision.set_last(answer.last.label, answer.last.confidence)
        else:
            self.decision.clear(self._note or NOTHING_YET)
