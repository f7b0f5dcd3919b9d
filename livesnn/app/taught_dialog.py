"""The dialog "Taught gestures": plays a gesture's lessons, learns it again from them, renames and removes it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.learning import Learning, Renaming, as_flags
from livesnn.app.widgets.basics import FILE_FILTER, Dialog, dialog_button, fill, heading, note, plain_tip
from livesnn.card import ModelCard
from livesnn.console import sentences
from livesnn.errors import LivesnnError
from livesnn.infer.load import model_folder, read_card
from livesnn.teach.lesson import Recordings, recordings_of
from livesnn.teach.model import Report, describe, describe_measured, own_folder

POLL_MS = 100
HOW_CHANGED = "Each change makes a new model, which is in the list of models beside the old one."
IS, IS_NOT = "shows it", "isn't it"


class TaughtDialog(Dialog):
    """Lists the gestures that a model was taught, with their recordings, and changes them.

    Each change makes a model, whose gestures are listed from then on.
    """

    made = Signal(str)  # the folder of a model
    play_requested = Signal(str)  # a recording

    def __init__(self, model: str, parent: QWidget | None = None) -> None:
        super().__init__("Taught gestures", parent)
        self._model = model
        self._learning: Learning | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._follow)
        self.gestures, self.files = QListWidget(), QListWidget()
        for each in (self.gestures, self.files):
            each.setFont(style.text_font(14))
        self.gestures.setFixedWidth(180)
        self.gestures.setEditTriggers(QListWidget.EditTrigger.EditKeyPressed)
        self.words = note("")
        self.said = note(HOW_CHANGED)
        self.play = dialog_button("Play", self._play)
        self.add = dialog_button("Add recordings …", self._ask_for_more)
        self.again = dialog_button("Learn again", self._learn_again)
        self.name = dialog_button("Rename", lambda: self.gestures.editItem(self.gestures.currentItem()))
        self.remove = dialog_button("Remove", lambda: self._begin("--remove"))
        left = fill(QVBoxLayout(), (self.gestures, 1), self.name, self.remove, spacing=8)
        below = fill(QHBoxLayout(), self.play, self.add, self.again, spacing=8)
        right = fill(QVBoxLayout(), self.words, heading("Recordings"), (self.files, 1), below, spacing=8)
        self.put((fill(QHBoxLayout(), left, (right, 1), spacing=20), 1), self.said)
        self.add_close()
        self.gestures.currentItemChanged.connect(self._show)
        self.gestures.itemChanged.connect(self._rename)
        self.files.itemDoubleClicked.connect(self._play)
        self.files.currentItemChanged.connect(lambda: self._follow_choice())
        self.files.itemChanged.connect(lambda _: self._follow_choice())
        self._list("")
        self.resize(720, 480)

    def _list(self, chosen: str) -> None:
        """List the model's gestures, and choose one."""
        self._card = read_card(self._model)
        self._recorded = recordings_of(model_folder(self._model))
        names = [*self._card.taught]
        with QSignalBlocker(self.gestures):
            self.gestures.clear()
            for name in names:
                item = QListWidgetItem(name)
                item.setData(Qt.ItemDataRole.UserRole, name)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                self.gestures.addItem(item)
            self.gestures.setCurrentRow(names.index(chosen) if chosen in names else 0)
        self._show()

    @property
    def _gesture(self) -> str:
        item = self.gestures.currentItem()
        return "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))

    @Slot()
    def _show(self) -> None:
        gesture = self._gesture
        self.words.setText(lesson_words(gesture, self._card) if gesture else "")
        files = self._recorded.get(gesture, Recordings())
        self.files.clear()
        for part, what in ((files.shown, IS), (files.others, IS_NOT)):
            for file in part:
                self._add(file, what)
        self._follow_choice()

    def _add(self, file: str, what: str) -> None:
        there = bool(Recordings((file,)).there.shown)
        item = QListWidgetItem(f"{Path(file).name}  ·  {what if there else 'missing'}")
        item.setData(Qt.ItemDataRole.UserRole, (file, what))
        item.setToolTip(plain_tip(file))
        item.setCheckState(Qt.CheckState.Checked if there else Qt.CheckState.Unchecked)
        if not there:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.files.addItem(item)

    def _ticked(self) -> Recordings:
        items = [self.files.item(row) for row in range(self.files.count())]
        ticked = [item.data(Qt.ItemDataRole.UserRole) for item in items if item.checkState() == Qt.CheckState.Checked]
        shown, others = (tuple(file for file, what in ticked if what == kind) for kind in (IS, IS_NOT))
        return Recordings(shown, others, self._recorded.get(self._gesture, Recordings()).denoise)

    def _follow_choice(self) -> None:
        idle, chosen = self._learning is None, self.files.currentItem()
        only = len(self._card.taught) == 1
        there = chosen is not None and bool(chosen.flags() & Qt.ItemFlag.ItemIsEnabled)
        self.play.setEnabled(idle and there)
        ticked = self._ticked()
        self.again.setEnabled(idle and bool(ticked.shown) and ticked != self._recorded.get(self._gesture))
        self.again.setToolTip("Learn it again, only from the recordings with a tick, once these have changed")
        self.name.setEnabled(idle)
        self.remove.setEnabled(idle and not only)
        self.remove.setToolTip(
            "It is the only gesture that the model was taught: move the model to the trash instead" if only else ""
        )
        for each in (self.gestures, self.add):
            each.setEnabled(idle)

    @Slot()
    def _play(self) -> None:
        if self.play.isEnabled():
            self.play_requested.emit(self.files.currentItem().data(Qt.ItemDataRole.UserRole)[0])

    def _ask_for_more(self) -> None:
        dialog = QFileDialog(self, f"Recordings of {self._gesture}", filter=FILE_FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(self.take)
        style.open_dialog(dialog)

    def take(self, files: list[str]) -> None:
        """List more recordings of the gesture, with a tick."""
        for file in files:
            self._add(file, IS)
        self._follow_choice()

    def _learn_again(self) -> None:
        ticked = self._ticked()
        self._begin("--again", *as_flags(ticked), sources=ticked.shown)

    @Slot(QListWidgetItem)
    def _rename(self, item: QListWidgetItem) -> None:
        name = item.text().strip()
        if name and name != self._gesture:
            self._begin("--rename", name)
        else:
            self._list(self._gesture)

    def _begin(self, *flags: str, sources: tuple[str, ...] = ()) -> None:
        out = own_folder(self._model, self._gesture)
        self._learning = Learning(self._gesture, sources, self._model, out, *flags)
        self.said.setText(f"Learning {self._gesture} again …" if sources else "Making the new model …")
        self._timer.start(POLL_MS)
        self._follow_choice()

    def _follow(self) -> None:
        if self._learning is None or (made := self._learning.take()) is None:
            return
        self._end()
        gesture, words = self._gesture, ""
        if isinstance(made, LivesnnError):
            words = str(made)
        elif isinstance(made, Report | Renaming):
            self._model = made.folder
            if isinstance(made, Renaming):
                gesture = made.name or ""
                words = f"{made.gesture} is now called {made.name}" if made.name else f"{made.gesture} is removed"
            else:
                words = describe(made)[0]
            words += f" in the new model “{Path(made.folder).name}”. {HOW_CHANGED}"
            self.made.emit(made.folder)
        self._list(gesture)
        self.said.setText(words)

    def _end(self) -> None:
        self._timer.stop()
        learning, self._learning = self._learning, None
        if learning is not None:
            learning.close()

    def done(self, result: int) -> None:
        """End what is being learned when the dialog is closed."""
        self._end()
        super().done(result)


def lesson_words(gesture: str, card: ModelCard) -> str:
    """Return how well a taught class was learned, one sentence a line."""
    measured = card.lessons.get(gesture)
    words = describe_measured(measured, card.input.window_s) if measured else []
    words.append(f"learned from {card.taught[gesture]} windows")
    return sentences(words)
