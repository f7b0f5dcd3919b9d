"""The choice of when a decision is made, and of which classes. Not here: who keeps it (deciding.py)."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QDialogButtonBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from livesnn.app.dialogs import Dialog
from livesnn.app.look import style
from livesnn.app.widgets.class_rules import BOX_PIXELS, ClassRules, ShareBox
from livesnn.app.widgets.parts import label
from livesnn.card import ModelCard
from livesnn.infer.decide import KEPT, Decider

THRESHOLD_HINT = (
    "A class is named once this much of the probability is its own; below, the window says “Not sure”."
)
KEEP_HINT = (
    "What has been named stands until it falls below this, or another reaches the threshold; "
    f"{100 * KEPT:g} % of its threshold until you set it, then the same for all."
)
SMOOTHING_HINT = (
    "The share of a frame's probabilities that is those of the frame before: steadier, and later."
)
CLASSES_HINT = (
    "Where a class without a mark is the likeliest, nothing is named. "
    "A threshold here is in place of the one on the left."
)
NO_CLASSES = "Once a model is open, its classes can be chosen here."


class DecisionsDialog(Dialog):
    """Asks when a class is named, and which may be; ``card`` None: the model can't be read."""

    chosen = Signal(object)  # Decider

    def __init__(self, decider: Decider, card: ModelCard | None, parent: QWidget | None = None) -> None:
        super().__init__("Decisions", parent)
        self._decider = decider
        self.threshold = ShareBox("Threshold")
        self.keep = ShareBox("Kept down to")
        self.smoothing = ShareBox("Smoothing", 99.9)
        self.classes = ClassRules(card.classes if card is not None else ())
        self._keep_percent: float | None = None  # as it was asked for; None: it follows the threshold
        self._lay_out(card)
        self._show_values(decider)
        self.threshold.valueChanged.connect(self._follow_threshold)
        self.keep.valueChanged.connect(self._keep_is_set)
        self.classes.itemChanged.connect(self._look_at_classes)
        self._look_at_classes()
        self.threshold.selectAll()
        self.resize(860, 590)

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
        # It is the default button, with which Tab would never come to this one.
        buttons.setFocusProxy(None)  # type: ignore[arg-type]  # PySide's stubs know of no None
        self.defaults.clicked.connect(self.reset)

    @Slot()
    def reset(self) -> None:
        """Show the defaults, all classes among them."""
        self._decider = Decider()
        self._show_values(self._decider)

    def _show_values(self, decider: Decider) -> None:
        self._keep_percent = None if decider.keep is None else 100 * decider.keep
        self.threshold.show_share(decider.threshold)
        self._follow_threshold()
        self.smoothing.show_share(decider.smoothing)
        self.classes.show_rules(decider.deny, decider.thresholds)

    def accept(self) -> None:
        """Say what was chosen."""
        for box in self.findChildren(QDoubleSpinBox):
            box.interpretText()
        decider = replace(
            self._decider,
            threshold=self.threshold.share,
            keep=None if self._keep_percent is None else self.keep.share,
            smoothing=self.smoothing.share,
            thresholds=self.classes.thresholds,
            deny=self.classes.denied,
        )
        self.chosen.emit(decider)
        super().accept()

    @Slot()
    def _follow_threshold(self) -> None:
        threshold = self.threshold.value()
        with QSignalBlocker(self.keep):
            self.keep.setMaximum(threshold)
            self.keep.setValue(KEPT * threshold if self._keep_percent is None else self._keep_percent)
        self.classes.use_threshold(threshold)

    @Slot()
    def _keep_is_set(self) -> None:
        self._keep_percent = self.keep.value()

    @Slot()
    def _look_at_classes(self) -> None:
        classes = self.classes.topLevelItemCount()
        self._use.setEnabled(not classes or len(self.classes.denied) < classes)
