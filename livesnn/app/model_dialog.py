"""The dialogs "Model and engine", which shows each model's card, and "Taught gestures" of one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.teaching import Learning, Renaming, as_flags
from livesnn.app.widgets.basics import (
    STRETCH,
    ChoiceBox,
    Dialog,
    dialog_button,
    fill,
    heading,
    label,
    note,
    open_folder,
    plain_tip,
    scrolled,
)
from livesnn.card import ModelCard
from livesnn.console import sentences
from livesnn.errors import LivesnnError, ModelError
from livesnn.infer.cost import mean_density
from livesnn.infer.load import Engine, model_folder, own_models, read_card, shipped_models
from livesnn.paths import models_dir, own_models_dir
from livesnn.teach.lesson import Recordings, recordings_of
from livesnn.teach.model import Report, describe, describe_measured, own_folder

ENGINES: dict[Engine, tuple[str, str]] = {  # name → words, the module it needs
    "auto": ("Automatic", ""),
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "spike": ("Spike-driven", "livesnn.infer.spike_engine"),
    "torch": ("PyTorch", "torch"),
}

POLL_MS = 100
HOW_CHANGED = "Each change makes a new model, which is in the list of models beside the old one."
IS, IS_NOT = "shows it", "isn't it"


def engine_box(engine: Engine) -> ChoiceBox:
    """Return a box with the engines that are installed, of which one is chosen, else the automatic one."""
    installed = {name: words for name, (words, module) in ENGINES.items() if not module or find_spec(module)}
    box = ChoiceBox("Engine", installed, width=260)
    box.setCurrentIndex(max(box.findData(engine), 0))
    return box


def engine_name(engine: str) -> str:
    return next((text for name, (text, _) in ENGINES.items() if name == engine), engine)


def card_rows(card: ModelCard) -> list[tuple[str, str]]:
    accuracy = card.accuracy
    of_layers = [card.density.get(name, np.nan) for name in [*card.states][:-1]]
    density = mean_density(np.array(of_layers), card)
    network = card.network
    long = f" ({card.input.window_s:.2f} s)" if card.input.window_s else ""
    return [
        (f"{len(card.classes)} classes", ", ".join(style.readable(name) for name in card.classes)),
        (
            "Accuracy",
            f"{accuracy.reset:.1%} with the state reset at each clip, {accuracy.carried:.1%} with the state carried "
            f"({accuracy.n:,} clips)"
            if accuracy
            else "not measured",
        ),
        ("Spike density", f"{density:.1%} of the neurons in a frame" if not np.isnan(density) else "not measured"),
        ("Trained on", card.dataset or "unknown"),
        *((f"Taught: {name}", lesson_words(name, card)) for name in card.taught),
        *(("Another name", f"{name}, for {first}") for name, first in card.renamed.items()),
        ("Input", _input_words(card)),
        ("Frames", f"one every {card.input.slice}; {card.input.window} make a window{long}"),
        (
            "Network",
            f"{network.kind}, {len(card.states)} layers, decay {card.neuron.alpha:g}, "
            f"threshold {card.neuron.threshold:g}",
        ),
    ]


def _input_words(card: ModelCard) -> str:
    spec = card.input
    what = "counts of darker and brighter events" if spec.kind == "events" else "video"
    steady = ", without flicker" * spec.without_flicker + ", scaled up in low light" * bool(spec.lift_to)
    return f"{spec.width} × {spec.height} × {spec.channels}, {what}{steady}, at most {spec.count_max} per pixel"


def all_models() -> list[str]:
    """Return the names of the shipped models, and the folders of those that were taught here."""
    return [*shipped_models(), *(str(own_models_dir().resolve() / name) for name in own_models())]


def listed(model: str) -> str:
    """Return the path of a model that was taught here; any other name unchanged."""
    try:
        folder = model_folder(model).resolve()
    except ModelError:
        return model
    return str(folder) if folder.parent == own_models_dir().resolve() else model


def choose_folder(parent: QWidget, use: Callable[[str], None]) -> None:
    dialog = QFileDialog(parent, "Choose a model folder", str(models_dir()))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.fileSelected.connect(use)
    style.open_dialog(dialog)


class ModelDialog(Dialog):
    """Lists the models, shows the card of one, and asks for a model and an engine.

    ``model`` and ``engine`` are in use. ``chosen`` is the model of the next source, which is selected at first; "":
    the one in use.
    """

    chosen = Signal(str, str)  # name or folder, engine

    def __init__(self, model: str, engine: Engine, parent: QWidget | None = None, *, chosen: str = "") -> None:
        super().__init__("Model and engine", parent)
        self.models = QListWidget()
        self.models.setFont(style.text_font(15))
        self.models.setFixedWidth(200)
        self.card = label("", style.text_font(14), wrap=True)
        self.engine = engine_box(engine)
        self.card.setTextFormat(Qt.TextFormat.RichText)
        self.card.setAlignment(Qt.AlignmentFlag.AlignTop)
        another = dialog_button("Another folder …", lambda: choose_folder(self, partial(self.add, chosen=True)))
        self.folder = dialog_button("Show its folder", lambda: open_folder(model_folder(self._shown)))
        self.taught = dialog_button("Taught gestures …", self._show_taught)
        left = fill(QVBoxLayout(), (self.models, 1), another, self.folder, self.taught, spacing=8)
        self.put((fill(QHBoxLayout(), left, (scrolled(self.card), 1), spacing=20), 1))
        self.put(fill(QHBoxLayout(), heading("Engine"), self.engine, STRETCH, spacing=22))
        self._use = self.add_buttons("Use this model")
        for name in all_models():
            self.add(name)
        self.models.currentItemChanged.connect(self._show)
        self.models.itemDoubleClicked.connect(self.accept)
        self.add(listed(model))
        self.add(listed(chosen or model), chosen=True)
        self.resize(820, 560)

    def add(self, model: str, *, chosen: bool = False) -> None:
        rows = [row for row in range(self.models.count()) if self._model(self.models.item(row)) == model]
        if not rows:
            item = QListWidgetItem(Path(model).name)
            item.setData(Qt.ItemDataRole.UserRole, model)
            item.setToolTip(plain_tip(model))
            self.models.addItem(item)
        if chosen:
            self.models.setCurrentRow(rows[0] if rows else self.models.count() - 1)

    def accept(self) -> None:
        if self._use.isEnabled():
            self.chosen.emit(self._shown, self.engine.currentData())
            super().accept()

    @property
    def _shown(self) -> str:
        return self._model(self.models.currentItem())

    @staticmethod
    def _model(item: QListWidgetItem) -> str:
        return str(item.data(Qt.ItemDataRole.UserRole))

    @Slot()
    def _show(self) -> None:
        try:
            card = read_card(self._shown)
            rows, usable, taught = card_rows(card), True, bool(card.taught)
        except ModelError as error:
            rows, usable, taught = [("This model can't be used", str(error))], False, False
        self.folder.setEnabled(usable or Path(self._shown).is_dir())
        self._use.setEnabled(usable)
        self.taught.setEnabled(taught)
        self.taught.setToolTip("" if taught else "This model hasn't been taught a gesture (Ctrl+G)")
        self._show_rows(rows)

    def _show_rows(self, rows: list[tuple[str, str]]) -> None:
        self.card.setText(
            "".join(
                f'<p style="margin:0 0 2px 0; font-size:12px"><b>{escape(caption, quote=False)}</b></p>'
                f'<p style="margin:0 0 12px 0">{"<br>".join(escape(text, quote=False).splitlines())}</p>'
                for caption, text in rows
            )
        )

    def _show_taught(self) -> None:
        try:
            dialog = TaughtDialog(self._shown, self)
        except ModelError as error:
            self._show_rows([("Its lessons can't be listed", str(error))])
            return
        dialog.made.connect(lambda model: self.add(listed(model), chosen=True))
        self.finished.connect(dialog.reject)  # it ends what is being learned
        style.open_dialog(dialog)


class TaughtDialog(Dialog):
    """Lists the gestures that a model was taught, with their recordings, and changes them.

    Each change makes a model, whose gestures are listed from then on.
    """

    made = Signal(str)  # the folder of a model

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
        self.again = dialog_button("Learn again", self._learn_again)
        self.name = dialog_button("Rename", lambda: self.gestures.editItem(self.gestures.currentItem()))
        self.remove = dialog_button("Remove", lambda: self._begin("--remove"))
        left = fill(QVBoxLayout(), (self.gestures, 1), self.name, self.remove, spacing=8)
        right = fill(QVBoxLayout(), self.words, heading("Recordings"), (self.files, 1), self.again, spacing=8)
        self.put((fill(QHBoxLayout(), left, (right, 1), spacing=20), 1), self.said)
        self.add_close()
        self.gestures.currentItemChanged.connect(self._show)
        self.gestures.itemChanged.connect(self._rename)
        self.files.itemChanged.connect(lambda _: self._follow_choice())
        self._list("")
        self.resize(720, 480)

    def _list(self, chosen: str) -> None:
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
        idle, only, ticked = self._learning is None, len(self._card.taught) == 1, self._ticked()
        self.again.setEnabled(idle and bool(ticked.shown) and ticked != self._recorded.get(self._gesture))
        self.again.setToolTip("Learn it again, only from the recordings with a tick, once these have changed")
        self.name.setEnabled(idle)
        self.remove.setEnabled(idle and not only)
        self.remove.setToolTip(
            "It is the only gesture that the model was taught: move the model to the trash instead" if only else ""
        )
        self.gestures.setEnabled(idle)

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
    measured = card.lessons.get(gesture)
    words = describe_measured(measured, card.input.window_s) if measured else []
    words.append(f"learned from {card.taught[gesture]} windows")
    return sentences(words)
