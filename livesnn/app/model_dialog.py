"""The dialog "Model and engine": shows each model's card; renames and deletes the models taught here.

The dialog "Taught gestures" plays a gesture's lessons, learns it again from them, renames and removes it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PySide6.QtCore import QFile, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from livesnn import subprocesses
from livesnn.app import style
from livesnn.app.widgets.basics import (
    FILE_FILTER,
    STRETCH,
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
from livesnn.errors import LivesnnError, ModelError, error_message
from livesnn.infer.cost import mean_density
from livesnn.infer.load import Engine, model_folder, own_models, read_card, shipped_models
from livesnn.paths import models_dir, own_models_dir
from livesnn.teach.model import own_folder
from livesnn.teach.recordings import Recordings, recordings_of
from livesnn.teach.report import Report, Resemblance, describe, describe_measured
from livesnn.threads import Worker

ENGINES: dict[Engine, tuple[str, str]] = {  # name → words, the module it needs
    "auto": ("Automatic", ""),
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "spike": ("Spike-driven", "livesnn.infer.spike_engine"),
    "torch": ("PyTorch", "torch"),
}


def installed(engine: Engine) -> bool:
    module = ENGINES[engine][1]
    return not module or find_spec(module) is not None


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


def lesson_words(gesture: str, card: ModelCard) -> str:
    """Return how well a taught class was learned, one sentence a line."""
    measured = card.lessons.get(gesture)
    words = describe_measured(measured, card.input.window_s) if measured else []
    words.append(f"learned from {card.taught[gesture]} windows")
    return sentences(words)


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


def why_unchangeable(model: str, in_use: str, chosen: str) -> str:
    """Say why a listed model can't be renamed or deleted here; "": it can."""
    if Path(model).parent != own_models_dir().resolve():
        return "Only models that were taught on this computer can be changed"
    if model == in_use:
        return "This model is in use: choose another one first"
    return "This model is chosen for the next source: choose another one first" if model == chosen else ""


def renamed(folder: Path, name: str) -> Path:
    """Rename a model's folder and return it; raises ModelError, and changes nothing, if that is impossible."""
    if not re.fullmatch(r"\w[\w .-]*", name) or name.endswith((" ", ".")):
        raise ModelError(
            f"{name!r} isn't a valid name: begin with a letter or digit, then use letters, digits, spaces, - . and _"
        )
    target = folder.with_name(name)
    try:
        if name in shipped_models() or target.exists():  # a shipped model would be found first
            raise ModelError(f"there is a model {name} already: give it another name")
        return folder.rename(target)
    except OSError as error:
        raise ModelError(f"{folder} can't be renamed ({error.strerror}): give it another name") from error


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
    play_requested = Signal(str)  # a recording

    def __init__(
        self,
        model: str,
        engine: Engine,
        parent: QWidget | None = None,
        *,
        chosen: str = "",
        to_trash: Callable[[str], bool] = lambda folder: bool(QFile.moveToTrash(folder)),
        show_folder: Callable[[Path], None] = open_folder,
    ) -> None:
        super().__init__("Model and engine", parent)
        self._in_use, self._chosen = listed(model), listed(chosen or model)
        self._to_trash, self._show_folder = to_trash, show_folder
        self.models = QListWidget()
        self.models.setFont(style.text_font(15))
        self.models.setFixedWidth(200)
        self.models.setEditTriggers(QListWidget.EditTrigger.EditKeyPressed)
        self.card = label("", style.text_font(14), wrap=True)
        self.engines: dict[str, QRadioButton] = {}
        self.card.setTextFormat(Qt.TextFormat.RichText)
        self.card.setAlignment(Qt.AlignmentFlag.AlignTop)
        another = dialog_button("Another folder …", lambda: choose_folder(self, partial(self.add, chosen=True)))
        self.folder = dialog_button("Show its folder", lambda: self._show_folder(model_folder(self._shown)))
        self.name = dialog_button("Rename", lambda: self.models.editItem(self.models.currentItem()))
        self.trash = dialog_button("Move to the trash", self._throw_away)
        self.taught = dialog_button("Taught gestures …", self._show_taught)
        changing = (self.folder, self.name, self.trash, self.taught)
        left = fill(QVBoxLayout(), (self.models, 1), another, *changing, spacing=8)
        self.put((fill(QHBoxLayout(), left, (scrolled(self.card), 1), spacing=20), 1), self._engine_row())
        self._use = self.add_buttons("Use this model")
        for name in all_models():
            self.add(name)
        self.engines[engine if self.engines[engine].isEnabled() else "auto"].setChecked(True)
        self.models.currentItemChanged.connect(self._show)
        self.models.itemDoubleClicked.connect(self.accept)
        self.models.itemChanged.connect(self._rename)
        self.add(self._in_use)
        self.add(self._chosen, chosen=True)
        self.resize(820, 560)

    def _engine_row(self) -> QHBoxLayout:
        for name, (text, _) in ENGINES.items():
            button = QRadioButton(text if installed(name) else f"{text} (not installed)")
            button.setFont(style.text_font(14))
            button.setEnabled(installed(name))
            self.engines[name] = button
        return fill(QHBoxLayout(), heading("Engine"), *self.engines.values(), STRETCH, spacing=22)

    def add(self, model: str, *, chosen: bool = False) -> None:
        rows = [row for row in range(self.models.count()) if self._model(self.models.item(row)) == model]
        if not rows:
            item = QListWidgetItem(Path(model).name)
            item.setData(Qt.ItemDataRole.UserRole, model)
            item.setToolTip(plain_tip(model))
            if not why_unchangeable(model, self._in_use, self._chosen):
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self.models.addItem(item)
        if chosen:
            self.models.setCurrentRow(rows[0] if rows else self.models.count() - 1)

    def accept(self) -> None:
        if self._use.isEnabled():
            engine = next(name for name, button in self.engines.items() if button.isChecked())
            self.chosen.emit(self._shown, engine)
            super().accept()

    @property
    def _shown(self) -> str:
        return self._model(self.models.currentItem())

    @staticmethod
    def _model(item: QListWidgetItem) -> str:
        return str(item.data(Qt.ItemDataRole.UserRole))

    @Slot()
    def _show(self) -> None:
        why_not = why_unchangeable(self._shown, self._in_use, self._chosen)
        for button in (self.name, self.trash):
            button.setEnabled(not why_not)
            button.setToolTip(plain_tip(why_not or self._shown))
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

    @Slot(QListWidgetItem)
    def _rename(self, item: QListWidgetItem) -> None:
        """Give the folder the typed name; if that is impossible, say why and show the old name again."""
        model, name = Path(self._model(item)), item.text().strip()
        try:
            if name != model.name:
                model = renamed(model, name)
        except ModelError as error:
            self._show_rows([("This model can't be renamed", str(error))])
        with QSignalBlocker(self.models):
            item.setText(model.name)
            item.setData(Qt.ItemDataRole.UserRole, str(model))
            item.setToolTip(plain_tip(str(model)))

    @Slot()
    def _throw_away(self) -> None:
        model = self._shown
        if self._to_trash(model) or not Path(model).exists():
            self.models.takeItem(self.models.currentRow())
            self.add(self._chosen, chosen=True)  # the next own one would be deleted by another click
        else:
            self._show_rows([("This model can't be moved to the trash", f"Delete its folder yourself: {model}")])

    def _show_taught(self) -> None:
        try:
            dialog = TaughtDialog(self._shown, self)
        except ModelError as error:
            self._show_rows([("Its lessons can't be listed", str(error))])
            return
        dialog.made.connect(lambda model: self.add(listed(model), chosen=True))
        dialog.play_requested.connect(self.play_requested)
        self.finished.connect(dialog.reject)  # it ends what is being learned
        style.open_dialog(dialog)


LEARNING_LIMIT_S = 600.0  # Learning takes up to 40 s of a processor, which it has to share


@dataclass(frozen=True)
class Changed:
    """A model in which a class has another name; None: in which it is missing."""

    folder: str
    gesture: str
    name: str | None = None


Learned = Report | Resemblance | Changed


class Learning:
    """Runs `livesnn teach` in another process: in this one it would make the picture stutter.

    ``sources`` are its recordings and ``flags`` its other flags. The model is written to ``out``.
    """

    def __init__(
        self, gesture: str, sources: Sequence[str | Path], model: str, out: Path, *flags: str | Path
    ) -> None:
        self._learned: Learned | None = None
        arguments = [*flags, "--model", model, "--out", out, "--json", "--", gesture, *sources]
        self._command = subprocesses.command("teach", *map(str, arguments))
        self._worker = Worker("teach", self._learn).start()

    def take(self) -> Learned | LivesnnError | None:
        """Return what was learned, or why nothing was; None while it isn't done."""
        if self._worker.running:
            return None
        if self._worker.error is not None:
            return LivesnnError(error_message(self._worker.error).removeprefix("livesnn teach: "))
        return self._learned

    def close(self) -> None:
        self._worker.close()

    def _learn(self, stop: threading.Event) -> None:
        written = subprocesses.run_apart(self._command, stop, limit_s=LEARNING_LIMIT_S)
        if not stop.is_set():
            fields = msgspec.json.decode(written, type=dict[str, Any])
            known = fields.get("recognised")
            kind: type[Learned] = Resemblance if known else Changed if "name" in fields else Report
            self._learned = msgspec.convert(known or fields, kind)


def as_flags(files: Recordings) -> list[str]:
    """Return the flags of `livesnn teach` for what isn't the gesture, and for its noise."""
    return [*(["--others", *files.others] if files.others else []), *["--denoise"] * files.denoise]


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
        elif isinstance(made, Report | Changed):
            self._model = made.folder
            if isinstance(made, Changed):
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
