"""The choice of a model and an engine, with the model's card in words. Not here: loading (infer)."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PySide6.QtCore import QFile, Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from livesnn.app.dialogs import Dialog
from livesnn.app.look import style
from livesnn.app.widgets.parts import label
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer import Engine, model_folder, own_models, read_card, shipped_models
from livesnn.infer.synops import mean_density
from livesnn.paths import models_dir, own_models_dir

ENGINES: dict[Engine, tuple[str, str]] = {  # name → what a person reads, the module it needs
    "auto": ("Automatic", ""),
    "onnx": ("ONNX Runtime", "onnxruntime"),
    "spike": ("Spike-driven", "livesnn.infer.spike_engine"),
    "torch": ("PyTorch", "torch"),
}


def engine_name(engine: str) -> str:
    """Return what a person reads of an engine; its own name of any other."""
    return next((text for name, (text, _) in ENGINES.items() if name == engine), engine)


def card_rows(card: ModelCard) -> list[tuple[str, str]]:
    """Return what a person wants to know of a model, as captions and words."""
    accuracy = card.accuracy
    of_layers = [card.density.get(name, np.nan) for name in [*card.states][:-1]]
    density = mean_density(np.array(of_layers), card)
    network = card.network
    return [
        (f"{len(card.classes)} classes", ", ".join(style.readable(name) for name in card.classes)),
        (
            "Accuracy",
            f"{accuracy.reset:.1%} with the state reset at each clip, {accuracy.carried:.1%} with it carried "
            f"({accuracy.n:,} clips)"
            if accuracy
            else "not measured",
        ),
        (
            "Spike density",
            f"{density:.1%} of the neurons in a frame" if not np.isnan(density) else "not measured",
        ),
        ("Trained on", card.dataset or "not said"),
        *([("Taught since", ", ".join(card.taught))] if card.taught else []),
        ("Input", _input_words(card)),
        ("Frames", slice_words(card)),
        (
            "Network",
            f"{network.kind}, {len(card.states)} layers, decay {card.neuron.alpha:g}, "
            f"threshold {card.neuron.threshold:g}",
        ),
    ]


def slice_words(card: ModelCard) -> str:
    """Say where a frame ends, and how many make a window."""
    rule, window = card.input.slice, card.input.window
    if rule.delta_t_us is None:
        return f"one every {rule.n_events:,} events; {window} make a window"
    window_s = window * rule.delta_t_us / 1e6
    return f"one every {rule.delta_t_us / 1000:g} ms; {window} make a window ({window_s:.2f} s)"


def _input_words(card: ModelCard) -> str:
    spec = card.input
    what = "counts of darker and brighter events" if spec.kind == "events" else "video"
    steady = ", less a flickering light's" if spec.without_flicker else ""
    return f"{spec.width} × {spec.height} × {spec.channels}, {what}{steady}, at most {spec.count_max} a pixel"


def move_to_trash(folder: str) -> bool:
    """Move a folder to the system's trash; tell whether it could."""
    return bool(QFile.moveToTrash(folder))


def _listed(model: str) -> str:
    """Return the whole path of a model that was taught here, however it was named; any other as it is."""
    try:
        folder = model_folder(model).resolve()
    except ModelError:
        return model
    return str(folder) if folder.parent == own_models_dir().resolve() else model


def _why_kept(model: str, in_use: str) -> str:
    """Say why a model can't be taken away from the window; "" where it can."""
    if Path(model).parent != own_models_dir().resolve():
        return "Only what was taught here can be moved to the trash"
    if model == in_use:
        return "It is in use: choose another model first"
    return ""


class ModelDialog(Dialog):
    """Lists the models, shows the card of one, and asks for an engine; takes away what was taught here.

    ``to_trash``: as `move_to_trash`.
    """

    chosen = Signal(str, str)  # name or folder, engine

    def __init__(
        self,
        model: str,
        engine: Engine,
        parent: QWidget | None = None,
        *,
        to_trash: Callable[[str], bool] = move_to_trash,
    ) -> None:
        super().__init__("Model and engine", parent)
        self._in_use, self._to_trash = _listed(model), to_trash
        self.models = QListWidget()
        self.models.setFont(style.text_font(15))
        self.models.setFixedWidth(200)
        self.card = label("", style.text_font(14), wrap=True)
        self.engines: dict[str, QRadioButton] = {}
        self._lay_out()
        self._use = self.add_buttons("Use this model")
        own = (str(own_models_dir().resolve() / name) for name in own_models())
        for name in (*shipped_models(), *own):
            self.add(name)
        self.engines[engine if self.engines[engine].isEnabled() else "auto"].setChecked(True)
        self.models.currentItemChanged.connect(self._show)
        self.models.itemDoubleClicked.connect(self.accept)
        self.add(self._in_use, chosen=True)
        self.resize(820, 560)

    def _lay_out(self) -> None:
        self.card.setTextFormat(Qt.TextFormat.RichText)
        self.card.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidget(self.card)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        other = QPushButton("Another folder …")
        other.clicked.connect(self._choose_folder)
        self.trash = QPushButton("Move to the trash")
        self.trash.clicked.connect(self._throw_away)
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.models, 1)
        left.addWidget(other)
        left.addWidget(self.trash)
        body = QHBoxLayout()
        body.setSpacing(20)
        body.addLayout(left)
        body.addWidget(scroll, 1)
        self.column.addLayout(body, 1)
        self.column.addLayout(self._engine_row())

    def _engine_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(22)
        row.addWidget(label("Engine", style.text_font(14, weight=QFont.Weight.DemiBold)))
        for name, (text, module) in ENGINES.items():
            missing = bool(module) and find_spec(module) is None
            button = QRadioButton(f"{text} (not installed)" if missing else text)
            button.setFont(style.text_font(14))
            button.setEnabled(not missing)
            self.engines[name] = button
            row.addWidget(button)
        row.addStretch(1)
        return row

    def add(self, model: str, *, chosen: bool = False) -> None:
        """List a model, once."""
        rows = [row for row in range(self.models.count()) if self._model(self.models.item(row)) == model]
        if not rows:
            item = QListWidgetItem(Path(model).name)
            item.setData(Qt.ItemDataRole.UserRole, model)
            item.setToolTip(model)
            self.models.addItem(item)
        if chosen:
            self.models.setCurrentRow(rows[0] if rows else self.models.count() - 1)

    def accept(self) -> None:
        """Say what was chosen."""
        engine = next(name for name, button in self.engines.items() if button.isChecked())
        self.chosen.emit(self._model(self.models.currentItem()), engine)
        super().accept()

    @staticmethod
    def _model(item: QListWidgetItem) -> str:
        return str(item.data(Qt.ItemDataRole.UserRole))

    @Slot()
    def _show(self) -> None:
        model = self._model(self.models.currentItem())
        kept = _why_kept(model, self._in_use)
        self.trash.setEnabled(not kept)
        self.trash.setToolTip(kept or model)
        try:
            rows = card_rows(read_card(model))
        except ModelError as error:
            rows = [("This model can't be used", str(error))]
        self._show_rows(rows)

    def _show_rows(self, rows: list[tuple[str, str]]) -> None:
        self.card.setText(
            "".join(
                f'<p style="margin:0 0 2px 0; font-size:12px"><b>{escape(caption, quote=False)}</b></p>'
                f'<p style="margin:0 0 12px 0">{escape(text, quote=False)}</p>'
                for caption, text in rows
            )
        )

    @Slot()
    def _throw_away(self) -> None:
        """Move the model that is shown to the trash, from where a person can take it back."""
        row = self.models.currentRow()
        model = self._model(self.models.item(row))
        if self._to_trash(model) or not Path(model).exists():
            self.models.takeItem(row)
            self.add(self._in_use, chosen=True)  # not the next one, which another click would throw away too
        else:
            self._show_rows([("It can't be moved to the trash", f"Delete the folder yourself: {model}")])

    @Slot()
    def _choose_folder(self) -> None:
        dialog = QFileDialog(self, "A model's folder", str(models_dir()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda folder: self.add(folder, chosen=True))
        dialog.open()
