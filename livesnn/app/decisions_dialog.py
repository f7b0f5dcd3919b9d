"""The choice of when a decision is made, and of which classes. Not here: who keeps it (deciding.py)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from livesnn.app.dialogs import Dialog
from livesnn.app.look import style
from livesnn.app.widgets.parts import label
from livesnn.card import ModelCard
from livesnn.infer.decide import KEPT, Decider

THRESHOLD_HINT = (
    "A class is named once this much of the probability is its own; below, the window says “Not sure”."
)
KEEP_HINT = (
    "What has been named stands until it falls below this, or another reaches the threshold; "
    f"{100 * KEPT:g} % of the threshold until you set it."
)
SMOOTHING_HINT = (
    "The share of a frame's probabilities that is those of the frame before: steadier, and later."
)
CLASSES_HINT = "Where a class without a mark is the likeliest, nothing is named."
BOX_PIXELS = 30
NO_CLASSES = "Once a model is open, its classes can be chosen here."


class DecisionsDialog(Dialog):
    """Asks when a class is named, and which may be; ``card`` None: the model can't be read."""

    chosen = Signal(object, object)  # Decider, labels that are never named

    def __init__(
        self, decider: Decider, card: ModelCard | None, denied: Collection[str], parent: QWidget | None = None
    ) -> None:
        super().__init__("Decisions", parent)
        self._decider = decider
        self.threshold = ShareBox("Threshold", 100.0)
        self.keep = ShareBox("Kept down to", 100.0)
        self.smoothing = ShareBox("Smoothing", 99.9)
        self.classes = QListWidget()
        self.classes.setFont(style.text_font(14))
        self.classes.setAccessibleName("Classes that may be named")
        self._keep_percent: float | None = None  # as it was asked for; None: it follows the threshold
        self._fill(card)
        self._lay_out(card)
        self._show_values(decider, denied)
        self.threshold.valueChanged.connect(self._follow_threshold)
        self.keep.valueChanged.connect(self._keep_is_set)
        self.classes.itemChanged.connect(self._look_at_classes)
        self._look_at_classes()
        self.threshold.selectAll()
        self.resize(800, 500)

    def _fill(self, card: ModelCard | None) -> None:
        for name in card.classes if card is not None else ():
            item = QListWidgetItem(style.readable(name))
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setFlags(
                Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable
            )
            self.classes.addItem(item)

    def _lay_out(self, card: ModelCard | None) -> None:
        bold = style.text_font(14, weight=QFont.Weight.DemiBold)
        left = QVBoxLayout()
        left.setSpacing(6)
        for box, hint in (
            (self.threshold, THRESHOLD_HINT),
            (self.keep, KEEP_HINT),
            (self.smoothing, SMOOTHING_HINT),
        ):
            row = QHBoxLayout()
            row.addWidget(label(box.accessibleName(), bold), 1)
            row.addWidget(box)
            left.addLayout(row)
            left.addWidget(label(hint, style.text_font(13), "soft", wrap=True))
            left.addSpacing(12)
        left.addStretch(1)
        right = QVBoxLayout()
        right.setSpacing(6)
        heading = label(f"Classes of {card.name}" if card is not None else "Classes", bold)
        heading.setFixedHeight(BOX_PIXELS)  # in line with the first box
        right.addWidget(heading)
        right.addWidget(self.classes, 1)
        hint = CLASSES_HINT if card is not None else NO_CLASSES
        right.addWidget(label(hint, style.text_font(13), "soft", wrap=True))
        body = QHBoxLayout()
        body.setSpacing(28)
        body.addLayout(left, 1)
        body.addLayout(right, 1)
        self.column.addLayout(body, 1)
        self._use = self.add_buttons("Use these")
        buttons = self.findChildren(QDialogButtonBox)[0]
        self.defaults = buttons.addButton("Defaults", QDialogButtonBox.ButtonRole.ResetRole)
        self.defaults.setAutoDefault(False)
        self.defaults.clicked.connect(self.reset)

    @Slot()
    def reset(self) -> None:
        """Show the defaults, all classes among them."""
        self._decider = Decider()
        self._show_values(self._decider, ())

    def _show_values(self, decider: Decider, denied: Collection[str]) -> None:
        self._keep_percent = None if decider.keep is None else 100 * decider.keep
        self.threshold.setValue(100 * decider.threshold)
        self._follow_threshold()
        self.smoothing.setValue(100 * decider.smoothing)
        for item in self._items():
            checked = item.data(Qt.ItemDataRole.UserRole) not in denied
            item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)

    def accept(self) -> None:
        """Say what was chosen."""
        for box in (self.threshold, self.keep, self.smoothing):
            box.interpretText()
        decider = replace(
            self._decider,
            threshold=self.threshold.share,
            keep=None if self._keep_percent is None else self.keep.share,
            smoothing=self.smoothing.share,
        )
        self.chosen.emit(decider, self.denied)
        super().accept()

    @property
    def denied(self) -> tuple[str, ...]:
        """The classes without a mark."""
        unmarked = (item for item in self._items() if item.checkState() == Qt.CheckState.Unchecked)
        return tuple(item.data(Qt.ItemDataRole.UserRole) for item in unmarked)

    def _items(self) -> list[QListWidgetItem]:
        return [self.classes.item(row) for row in range(self.classes.count())]

    @Slot()
    def _follow_threshold(self) -> None:
        threshold = self.threshold.value()
        with QSignalBlocker(self.keep):
            self.keep.setMaximum(threshold)
            self.keep.setValue(KEPT * threshold if self._keep_percent is None else self._keep_percent)

    @Slot()
    def _keep_is_set(self) -> None:
        self._keep_percent = self.keep.value()

    @Slot()
    def _look_at_classes(self) -> None:
        self._use.setEnabled(not self.classes.count() or len(self.denied) < self.classes.count())


class ShareBox(QDoubleSpinBox):
    """A share of 1, asked for in per cent; ``name`` is for screen readers too."""

    def __init__(self, name: str, most_percent: float) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFont(style.text_font(14))
        self.setDecimals(1)
        self.setRange(0.0, most_percent)
        self.setSingleStep(5.0)
        self.setSuffix(" %")
        self.setFixedSize(96, BOX_PIXELS)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setKeyboardTracking(False)  # a number half typed is none yet

    @property
    def share(self) -> float:
        """What is asked for, 0..1."""
        return self.value() / 100

    def textFromValue(self, value: float) -> str:  # noqa: N802 (Qt's name)
        """Return no more digits than it has."""
        return f"{value:.1f}".removesuffix(".0")
