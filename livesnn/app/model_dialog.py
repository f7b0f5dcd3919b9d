"""The choice of a model and an engine. Not here: the model's card in words (card_words.py), loading (infer)."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
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

from livesnn.app.card_words import ENGINES, card_rows
from livesnn.app.dialogs import Dialog
from livesnn.app.look import style
from livesnn.app.own_models import listed, move_to_trash, renamed, show_folder, why_kept
from livesnn.app.widgets.parts import label
from livesnn.errors import ModelError
from livesnn.infer.model import Engine, model_folder, own_models, read_card, shipped_models
from livesnn.paths import models_dir, own_models_dir


class ModelDialog(Dialog):
    """Lists the models, shows the card of one, and asks for an engine; renames and takes away what was taught here.

    Parameters
    ----------
    model, engine
        In use.
    chosen
        Of the next source, where that is another model: it is the one that is offered; "": the one in use.
    to_trash, show_folder
        As in own_models.py.
    """

    chosen = Signal(str, str)  # name or folder, engine

    def __init__(
        self,
        model: str,
        engine: Engine,
        parent: QWidget | None = None,
        *,
        chosen: str = "",
        to_trash: Callable[[str], bool] = move_to_trash,
        show_folder: Callable[[Path], None] = show_folder,
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
        self._lay_out()
        self._use = self.add_buttons("Use this model")
        own = (str(own_models_dir().resolve() / name) for name in own_models())
        for name in (*shipped_models(), *own):
            self.add(name)
        self.engines[engine if self.engines[engine].isEnabled() else "auto"].setChecked(True)
        self.models.currentItemChanged.connect(self._show)
        self.models.itemDoubleClicked.connect(self.accept)
        self.models.itemChanged.connect(self._rename)
        self.add(self._in_use)
        self.add(self._chosen, chosen=True)
        self.resize(820, 560)

    def _lay_out(self) -> None:
        self.card.setTextFormat(Qt.TextFormat.RichText)
        self.card.setAlignment(Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setWidget(self.card)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        self.folder, self.name = QPushButton("Show its folder"), QPushButton("Rename")
        self.trash = QPushButton("Move to the trash")
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.models, 1)
        for button, do in (
            (QPushButton("Another folder …"), self._choose_folder),
            (self.folder, lambda: self._show_folder(model_folder(self._shown))),
            (self.name, lambda: self.models.editItem(self.models.currentItem())),
            (self.trash, self._throw_away),
        ):
            button.clicked.connect(do)
            button.setAutoDefault(False)  # Enter is for the model
            left.addWidget(button)
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
            if not why_kept(model, self._in_use, self._chosen):
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
            self.models.addItem(item)
        if chosen:
            self.models.setCurrentRow(rows[0] if rows else self.models.count() - 1)

    def accept(self) -> None:
        """Say what was chosen, where it can be used."""
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
        kept = why_kept(self._shown, self._in_use, self._chosen)
        for button in (self.name, self.trash):
            button.setEnabled(not kept)
            button.setToolTip(kept or self._shown)
        try:
            rows, usable = card_rows(read_card(self._shown)), True
        except ModelError as error:
            rows, usable = [("This model can't be used", str(error))], False
        self.folder.setEnabled(usable or Path(self._shown).is_dir())
        self._use.setEnabled(usable)
        self._show_rows(rows)

    def _show_rows(self, rows: list[tuple[str, str]]) -> None:
        self.card.setText(
            "".join(
                f'<p style="margin:0 0 2px 0; font-size:12px"><b>{escape(caption, quote=False)}</b></p>'
                f'<p style="margin:0 0 12px 0">{escape(text, quote=False)}</p>'
                for caption, text in rows
            )
        )

    @Slot(QListWidgetItem)
    def _rename(self, item: QListWidgetItem) -> None:
        """Give the folder the name that was typed; where it can't have that, the list its own again."""
        model, name = Path(self._model(item)), item.text().strip()
        self.models.blockSignals(True)
        try:
            if name != model.name:
                model = renamed(model, name)
        except ModelError as error:
            self._show_rows([("It can't be renamed", str(error))])
        item.setText(model.name)
        item.setData(Qt.ItemDataRole.UserRole, str(model))
        item.setToolTip(str(model))
        self.models.blockSignals(False)

    @Slot()
    def _throw_away(self) -> None:
        """Move the model that is shown to the trash, from where a person can take it back."""
        model = self._shown
        if self._to_trash(model) or not Path(model).exists():
            self.models.takeItem(self.models.currentRow())
            self.add(self._chosen, chosen=True)  # not the next one, which another click would throw away too
        else:
            self._show_rows([("It can't be moved to the trash", f"Delete the folder yourself: {model}")])

    @Slot()
    def _choose_folder(self) -> None:
        dialog = QFileDialog(self, "A model's folder", str(models_dir()))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda folder: self.add(folder, chosen=True))
        dialog.open()
