"""The dialog of a lesson: what the gesture is called, what to do now, what was learned. Not here: the lesson."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QLineEdit, QProgressBar, QWidget

from livesnn.app.dialogs import Dialog
from livesnn.app.look import style
from livesnn.app.widgets.parts import label
from livesnn.teach import LONGEST_NAME

HINT = (
    "Name the gesture, press Start, and perform it again and again for {seconds:g} seconds, as you will later. "
    "The network stays as it is and learns one class more; or, by its name, more of a gesture that the model in use "
    "was taught."
)


class TeachDialog(Dialog):
    """Asks for a name; then shows the steps that it is told.

    ``begun`` is emitted with the name, and ``accepted`` once what was learned is to be used.
    """

    begun = Signal(str)

    def __init__(self, seconds: float, parent: QWidget | None = None) -> None:
        super().__init__("Teach a gesture", parent)
        self.name = QLineEdit()
        self.name.setFont(style.text_font(15))
        self.name.setPlaceholderText("thumbs up")
        self.name.setAccessibleName("Name of the gesture")
        self.name.setMaxLength(LONGEST_NAME)
        self.words = label(HINT.format(seconds=seconds), style.text_font(14), "soft", wrap=True)
        self.now = label("", style.text_font(26, weight=QFont.Weight.DemiBold), wrap=True)
        self.share = QProgressBar()
        self.share.setTextVisible(False)
        self.share.setFixedHeight(8)
        for part in (self.now, self.words, self.name, self.share):
            self.column.addWidget(part)
        self.now.hide()
        self.share.hide()
        self.button = self.add_buttons("Start")
        self.button.setEnabled(False)
        self.name.textChanged.connect(self._typed)
        self._learned = False
        self.setMinimumWidth(520)

    def show_step(self, now: str, share: float | None, words: str = "") -> None:
        """Say what is to be done now, how much of it has been (None: nobody knows), and more in small words."""
        self.name.hide()
        self.button.hide()
        self.now.setText(now)
        self.now.show()
        self.words.setText(words)
        self.share.setRange(0, 0 if share is None else 1000)
        self.share.setValue(round(1000 * (share or 0)))
        self.share.show()

    def show_learned(self, now: str, words: str) -> None:
        """Say what was learned, and offer to use it."""
        self.show_step(now, 1.0, words)
        self.share.hide()
        self._learned = True
        self.button.setText("Use it")
        self.cancel.setText("Not now")
        self.button.show()
        self.button.setFocus()

    def show_failed(self, words: str) -> None:
        """Say why nothing was learned, and offer to begin again."""
        self.words.setText(words)
        self.now.hide()
        self.share.hide()
        self.name.show()
        self.button.show()

    def accept(self) -> None:
        """Begin; or use what was learned."""
        if self._learned:
            super().accept()
        else:
            self.begun.emit(self.name.text().strip())

    @Slot(str)
    def _typed(self, text: str) -> None:
        self.button.setEnabled(bool(text.strip()))
