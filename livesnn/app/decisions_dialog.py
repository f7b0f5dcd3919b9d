"""The dialog "Decisions": when a class is named, and which classes may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from PySide6.QtCore import QRegularExpression, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QRegularExpressionValidator, QValidator
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.widgets.basics import Dialog, dialog_button, fill, heading, line_edit, note, number_box, plain_tip
from livesnn.card import ModelCard
from livesnn.infer.decide import HYSTERESIS, Decider

_THRESHOLD_HINT = "A class is named once its probability reaches this. Until then the window says “Not sure”."
_HYSTERESIS_HINT = (
    "A named class stays until its probability falls below this, or another class reaches the threshold. "
    f"Default: {100 * HYSTERESIS:g}\u00a0% of the class's threshold."
)
_SMOOTHING_HINT = (
    "How much of the previous frame's probabilities is mixed in. More makes decisions steadier, but later."
)
_LEAK_HINT = (
    "How much less a frame counts than the one after it. More makes decisions earlier, but less steady. "
    "At 0\u00a0% all frames of the window count the same."
)
SHARES = {  # field of a `Decider` → name, most per cent, hint
    "threshold": ("Threshold", 100.0, _THRESHOLD_HINT),
    "hysteresis": ("Hysteresis", 100.0, _HYSTERESIS_HINT),
    "smoothing": ("Smoothing", 99.9, _SMOOTHING_HINT),
    "leak": ("Leak", 99.9, _LEAK_HINT),
}
CLASSES_HINT = (
    "While an unticked class is the likeliest, no class is named. "
    "A threshold here replaces the one on the left for its class."
)
_NAME, _THRESHOLD = range(2)


class DecisionsDialog(Dialog):
    """Asks when a class is named, and which may be; without a ``card`` the classes are unknown."""

    chosen = Signal(object)  # Decider

    def __init__(self, decider: Decider, card: ModelCard | None, parent: QWidget | None = None) -> None:
        super().__init__("Decisions", parent)
        self._decider = decider
        self._boxes = [ShareBox(name, most) for name, most, _ in SHARES.values()]
        self.threshold, self.hysteresis, self.smoothing, self.leak = self._boxes
        self.classes = ClassRules(card.classes if card is not None else ())
        self._hysteresis_percent: float | None = None  # as a person set it; None: it follows the threshold
        self._lay_out(card)
        self._show_values(decider)
        self.threshold.valueChanged.connect(self._follow_threshold)
        self.hysteresis.valueChanged.connect(self._hysteresis_is_set)
        self.classes.itemChanged.connect(self._look_at_classes)
        self._look_at_classes()
        self.threshold.selectAll()
        self.resize(860, 590)

    def _lay_out(self, card: ModelCard | None) -> None:
        left = fill(QVBoxLayout(), spacing=6)
        for box, (name, _, hint) in zip(self._boxes, SHARES.values(), strict=True):
            row = fill(QHBoxLayout(), (heading(name), 1), box, spacing=6)
            fill(left, row, note(hint), 12, spacing=6)
        left.addStretch(1)
        above = heading(f"Classes of {card.name}" if card is not None else "Classes")
        above.setFixedHeight(30)  # in line with the first box
        below = note(CLASSES_HINT if card is not None else "The classes appear here once a model is open.")
        right = fill(QVBoxLayout(), above, (self.classes, 1), below, spacing=6)
        self.put((fill(QHBoxLayout(), (left, 1), (right, 1), spacing=28), 1))
        self.use = self.add_buttons("Use these")
        self.defaults = dialog_button("Defaults", lambda: self._show_values(Decider()))
        self.buttons.addButton(self.defaults, QDialogButtonBox.ButtonRole.ResetRole)
        # The proxy is the default button; with it Tab would never reach this one.
        self.buttons.setFocusProxy(None)  # type: ignore[arg-type]  # PySide's stubs don't allow None

    def _show_values(self, decider: Decider) -> None:
        self._hysteresis_percent = None if decider.hysteresis is None else 100 * decider.hysteresis
        self.threshold.show_share(decider.threshold)
        self._follow_threshold()
        self.smoothing.show_share(decider.smoothing)
        self.leak.show_share(decider.leak)
        self.classes.show_rules(decider.deny, decider.thresholds)

    def accept(self) -> None:
        for box in self.findChildren(QDoubleSpinBox):
            box.interpretText()
        decider = replace(
            self._decider,
            threshold=self.threshold.share,
            hysteresis=None if self._hysteresis_percent is None else self.hysteresis.share,
            smoothing=self.smoothing.share,
            leak=self.leak.share,
            thresholds=self.classes.thresholds,
            allow=(),
            deny=self.classes.denied,
        )
        self.chosen.emit(decider)
        super().accept()

    @Slot()
    def _follow_threshold(self) -> None:
        threshold = self.threshold.value()
        with QSignalBlocker(self.hysteresis):
            self.hysteresis.setMaximum(threshold)
            self.hysteresis.setValue(
                HYSTERESIS * threshold if self._hysteresis_percent is None else self._hysteresis_percent
            )
        self.classes.use_threshold(threshold)

    @Slot()
    def _hysteresis_is_set(self) -> None:
        self._hysteresis_percent = self.hysteresis.value()

    @Slot()
    def _look_at_classes(self) -> None:
        classes = self.classes.topLevelItemCount()
        self.use.setEnabled(not classes or len(self.classes.denied) < classes)


class ClassRules(QTreeWidget):
    """A row for each class, with a mark and a threshold; `itemChanged` tells that a mark has changed."""

    def __init__(self, classes: Collection[str]) -> None:
        super().__init__()
        self.setFont(style.text_font(14))
        self.setAccessibleName("Classes that may be named")
        self.setHeaderLabels(["May be named", "Threshold, %"])
        self.setRootIsDecorated(False)
        self.setSelectionMode(self.SelectionMode.NoSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_THRESHOLD, QHeaderView.ResizeMode.ResizeToContents)
        self.rows = {name: self._row(name) for name in classes}  # each with its threshold

    def _row(self, name: str) -> tuple[QTreeWidgetItem, QLineEdit]:
        item = QTreeWidgetItem([style.readable(name)])
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        field = line_edit("", "", f"Threshold of {style.readable(name)}, per cent")
        field.setToolTip("Empty: the threshold on the left")
        field.setFixedWidth(84)
        field.setValidator(QRegularExpressionValidator(QRegularExpression(r"(100|\d{1,2}([.,]\d*)?)?")))
        item.setToolTip(_NAME, plain_tip(name))
        self.addTopLevelItem(item)
        self.setItemWidget(item, _THRESHOLD, field)
        return item, field

    def show_rules(self, denied: Collection[str], thresholds: Mapping[str, float]) -> None:
        for name, (_, field) in self.rows.items():
            self.mark(name, marked=name not in denied)
            field.setText(f"{100 * thresholds[name]:g}" if name in thresholds else "")

    def mark(self, name: str, *, marked: bool) -> None:
        state = Qt.CheckState.Checked if marked else Qt.CheckState.Unchecked
        self.rows[name][0].setCheckState(_NAME, state)

    def use_threshold(self, percent: float) -> None:
        for _, field in self.rows.values():
            field.setPlaceholderText(f"{percent:g}")

    @property
    def denied(self) -> tuple[str, ...]:
        unmarked = Qt.CheckState.Unchecked
        return tuple(name for name, (item, _) in self.rows.items() if item.checkState(_NAME) == unmarked)

    @property
    def thresholds(self) -> dict[str, float]:
        typed = {name: field.text().replace(",", ".") for name, (_, field) in self.rows.items()}
        return {name: round(float(text) / 100, 6) for name, text in typed.items() if text}


class ShareBox(QDoubleSpinBox):
    """Asks for a share of 1 in per cent; ``name`` is for screen readers too."""

    def __init__(self, name: str, most_percent: float = 100.0) -> None:
        super().__init__()
        number_box(self, name, 0.0, most_percent, unit=" %", width=96)
        self.setDecimals(1)
        self.setSingleStep(5.0)

    def show_share(self, share: float) -> None:
        self.setValue(100 * share)

    @property
    def share(self) -> float:
        """The share, 0..1, rounded to 0.1 %."""
        return abs(round(self.value() / 100, 3))

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        return super().validate(text.replace(",", "."), position)

    def textFromValue(self, value: float) -> str:
        return f"{value:.1f}".removesuffix(".0")
