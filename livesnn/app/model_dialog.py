"""The dialog "Model and engine": shows each model's card; renames and deletes the models taught here."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from html import escape
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PySide6.QtCore import QFile, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.taught_dialog import TaughtDialog, lesson_words
from livesnn.app.widgets.basics import (
    STRETCH,
    Dialog,
    dialog_button,
    fill,
    heading,
    label,
    open_folder,
    plain_tip,
    scrolled,
)
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.cost import mean_density
from livesnn.infer.load import Engine, model_folder, own_models, read_card, shipped_models
from livesnn.paths import models_dir, own_models_dir

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
