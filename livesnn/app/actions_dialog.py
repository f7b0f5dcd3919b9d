"""The dialog "Act on gestures": the list of rules, and a form for the chosen one."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from PySide6.QtCore import QLocale, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.widgets.basics import ChoiceBox, Dialog, fill, label, line_edit
from livesnn.errors import LivesnnError, error_message
from livesnn.outputs.action import (
    ANY,
    COMMAND_LIMIT_S,
    RECORDING,
    Action,
    ActionKind,
    Firing,
    Rule,
    perform,
    split_command,
)
from livesnn.threads import Latest, Worker

NO_RULES = "Add a rule: when a gesture is decided, something happens."
ANY_GESTURE = "Any gesture"
KINDS: dict[ActionKind, tuple[str, str, str]] = {  # words, an example, a hint
    "command": (
        "Run a program",
        "notify-send Waved",
        "There is no shell. The variables LIVESNN_DECISION, LIVESNN_CONFIDENCE and LIVESNN_T describe the "
        f"decision. After {COMMAND_LIMIT_S:g} s the program is ended.",
    ),
    "sound": ("Play a sound", "A WAV file; empty: a chime", "The system's player plays it."),
    "get": (
        "Call an address (GET)",
        "http://lamp.local/on?gesture={decision}",
        "{decision}, {confidence} and {t} in the address are replaced.",
    ),
    "post": (
        "Call an address (POST)",
        "http://lamp.local/gesture",
        "The decision is sent as JSON, as livesnn run --json prints it.",
    ),
    "record": ("Start recording", "", "A new file is written to the folder of the last recording."),
    "stop_recording": ("Stop recording", "", ""),
}
HELD_HINT = "For how long the gesture must be decided first."
EVERY_HINT = "The action is done at most once in this time."
LONGEST_HELD_MS, LONGEST_EVERY_S = 60_000, 3600.0
TRYING, DONE = "Trying …", "Done."
LOOK_MS = 50


@dataclass(frozen=True)
class Draft:
    """A rule as it is typed, which may be impossible yet."""

    kind: ActionKind = "command"
    text: str = ""
    label: str = ANY
    held_ms: int = 300
    every_s: float = 1.0
    active: bool = True

    @property
    def rule(self) -> Rule:
        """The rule; raises LivesnnError if it is impossible."""
        match self.kind:
            case "command":
                arguments = split_command(self.text)
            case "record" | "stop_recording":
                arguments = ()
            case _:
                arguments = tuple(filter(None, [self.text.strip()]))
        return Rule(Action(self.kind, arguments), self.label, self.held_ms, self.every_s, self.active)

    @property
    def problem(self) -> str:
        """Why it is impossible; "": it isn't."""
        try:
            self.rule  # noqa: B018 (it may raise)
        except LivesnnError as error:
            return str(error)
        return ""

    @property
    def words(self) -> str:
        """The rule as a person reads it."""
        held = f" for {self.held_ms} ms" if self.held_ms else ""
        words = KINDS[self.kind][0]
        done = words[:1].lower() + words[1:] if self.problem else self.rule.action.words
        return f"{gesture(self.label)}{held} → {done}"


def draft_of(rule: Rule) -> Draft:
    """Return a rule as it was typed."""
    action = rule.action
    text = shlex.join(action.arguments) if action.kind == "command" else action.address
    return Draft(action.kind, text, rule.label, rule.held_ms, rule.every_s, rule.active)


def gesture(name: str) -> str:
    """Return a rule's class as a person reads it."""
    return ANY_GESTURE if name == ANY else style.readable(name)


class ActionsDialog(Dialog):
    """Asks what is done when a gesture is decided; ``classes`` are the model's."""

    chosen = Signal(list)  # [Rule]

    def __init__(
        self, rules: Sequence[Rule], classes: Sequence[str] = (), parent: QWidget | None = None
    ) -> None:
        super().__init__("Act on gestures", parent)
        self.list = QListWidget()
        self.list.setFont(style.text_font(14))
        self.list.setAccessibleName("Rules")
        self.list.setHorizontalScrollBarPolicy(
            Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )  # the tooltip has it all
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.add, self.remove = QPushButton("Add"), QPushButton("Remove")
        self.form = RuleForm(classes)
        self.problem = label("", style.text_font(13), "warning", wrap=True)
        self._lay_out()
        for rule in rules:
            self._list(draft_of(rule))
        self.add.clicked.connect(lambda: self._append(Draft()))
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(self._show_row)
        self.list.itemChanged.connect(self._mark)
        self.form.changed.connect(self._change)
        self.list.setCurrentRow(0)
        self._show_row(self.list.currentRow())
        self.resize(880, 520)

    def _lay_out(self) -> None:
        for widget in (self.add, self.remove):
            widget.setAutoDefault(False)  # Enter is for Save
        buttons = fill(QHBoxLayout(), (self.add, 1), (self.remove, 1), spacing=8)
        left = fill(QVBoxLayout(), (self.list, 1), buttons, spacing=8)
        self.nothing = label(NO_RULES, style.text_font(14), "soft", wrap=True)
        right = fill(QVBoxLayout(), self.nothing, self.form, (self.problem, 0), spacing=8)
        right.addStretch(1)
        self.column.addLayout(fill(QHBoxLayout(), (left, 1), (right, 1), spacing=24), 1)
        self.save = self.add_buttons("Save")

    @property
    def drafts(self) -> list[Draft]:
        """Every rule as it is typed."""
        return [self._draft(self.list.item(row)) for row in range(self.list.count())]

    def accept(self) -> None:
        """Emit the rules, if all are possible."""
        if self.save.isEnabled():
            self.chosen.emit([draft.rule for draft in self.drafts])
            super().accept()

    def done(self, result: int) -> None:
        """End what is being tried."""
        self.form.end()
        super().done(result)

    def _append(self, draft: Draft) -> None:
        self.list.setCurrentItem(self._list(draft))
        self._check()

    def _list(self, draft: Draft) -> QListWidgetItem:
        item = QListWidgetItem()
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        self._keep(item, draft)
        self.list.addItem(item)
        return item

    @Slot()
    def _remove(self) -> None:
        self.list.takeItem(self.list.currentRow())
        self._check()

    @staticmethod
    def _draft(item: QListWidgetItem) -> Draft:
        draft: Draft = item.data(Qt.ItemDataRole.UserRole)
        return draft

    def _keep(self, item: QListWidgetItem, draft: Draft) -> None:
        with QSignalBlocker(self.list):
            item.setData(Qt.ItemDataRole.UserRole, draft)
            item.setText(draft.words)
            item.setToolTip(draft.words)
            item.setCheckState(Qt.CheckState.Checked if draft.active else Qt.CheckState.Unchecked)

    @Slot(QListWidgetItem)
    def _mark(self, item: QListWidgetItem) -> None:
        active = item.checkState() == Qt.CheckState.Checked
        self._keep(item, replace(self._draft(item), active=active))

    @Slot(int)
    def _show_row(self, row: int) -> None:
        if row >= 0:
            self.form.show_draft(self._draft(self.list.item(row)))
        self._check()

    @Slot()
    def _change(self) -> None:
        item = self.list.currentItem()
        self._keep(item, replace(self.form.draft, active=self._draft(item).active))
        self._check()

    def _check(self) -> None:
        """Show the form if a rule is chosen, and what is wrong with it."""
        drafts, any_rule = self.drafts, self.list.currentRow() >= 0
        self.form.setVisible(any_rule)
        self.nothing.setVisible(not any_rule)
        self.remove.setEnabled(any_rule)
        shown = drafts[self.list.currentRow()].problem if any_rule else ""
        self.problem.setText(shown[:1].upper() + shown[1:])
        self.save.setEnabled(not any(draft.problem for draft in drafts))
        self.form.allow_trial(any_rule and not shown)


class RuleForm(QWidget):
    """Fields for one rule, and a button that tries its action."""

    changed = Signal()

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.gesture = _wide(ChoiceBox("When"))
        for name in (ANY, *classes):
            self.gesture.addItem(gesture(name), name)
        self.held = _spin(QSpinBox(), "Decided for", LONGEST_HELD_MS, " ms", 100, HELD_HINT)
        self.kind = _wide(ChoiceBox("Then"))
        for kind in get_args(ActionKind):
            self.kind.addItem(KINDS[kind][0], kind)
        self.text = line_edit("", "", "What", least_width=280)
        self.hint = label("", style.text_font(13), "soft", wrap=True)
        self.every = _spin(QDoubleSpinBox(), "At most every", LONGEST_EVERY_S, " s", 1, EVERY_HINT)
        self.every.setDecimals(1)
        self.trial = QPushButton("Try")
        self.trial.setAutoDefault(False)
        self.outcome = label("", style.text_font(13), "soft", wrap=True)
        self._outcomes: Latest[str] = Latest()
        self._worker: Worker | None = None
        self._look = QTimer(self, interval=LOOK_MS)
        self._look.timeout.connect(self._show_outcome)
        self._lay_out()
        self.gesture.currentIndexChanged.connect(self._edited)
        self.kind.currentIndexChanged.connect(self._edited)
        self.held.valueChanged.connect(self._edited)
        self.every.valueChanged.connect(self._edited)
        self.text.textChanged.connect(self._edited)
        self.trial.clicked.connect(self._try)

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(10)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for field in (self.gesture, self.held, self.kind, self.text):
            form.addRow(self._caption("" if field is self.text else field.accessibleName()), field)
        form.addRow(self._caption(""), self.hint)
        form.addRow(self._caption(self.every.accessibleName()), self.every)
        form.addRow(self._caption(""), fill(QHBoxLayout(), self.trial, (self.outcome, 1), spacing=12))

    @staticmethod
    def _caption(words: str) -> QWidget:
        return label(words, style.text_font(14, weight=QFont.Weight.DemiBold))

    @property
    def draft(self) -> Draft:
        """What the fields say."""
        return Draft(
            kind=self.kind.currentData(),
            text=self.text.text(),
            label=self.gesture.currentData(),
            held_ms=self.held.value(),
            every_s=self.every.value(),
        )

    def show_draft(self, draft: Draft) -> None:
        """Let the fields say this."""
        if self.gesture.findData(draft.label) < 0:  # of another model
            self.gesture.addItem(gesture(draft.label), draft.label)
        fields = (self.gesture, self.held, self.kind, self.text, self.every)
        blockers = [QSignalBlocker(field) for field in fields]
        self.gesture.setCurrentIndex(self.gesture.findData(draft.label))
        self.kind.setCurrentIndex(self.kind.findData(draft.kind))
        self.held.setValue(min(draft.held_ms, LONGEST_HELD_MS))  # a file may say more than Qt can hold
        self.every.setValue(draft.every_s)
        self.text.setText(draft.text)
        del blockers
        self.outcome.setText("")
        self._explain()

    def allow_trial(self, allowed: bool) -> None:
        """Let the action be tried; recording can't be."""
        self.trial.setVisible(self.kind.currentData() not in RECORDING)
        self.trial.setEnabled(allowed and self._worker is None)

    def end(self) -> None:
        """End what is being tried, without waiting for it."""
        self._look.stop()
        if self._worker is not None:
            self._worker.close(0.0)
            self._worker = None

    @Slot()
    def _edited(self) -> None:
        self.outcome.setText("")
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        _, example, hint = KINDS[self.kind.currentData()]
        self.text.setPlaceholderText(example)
        self.text.setVisible(bool(example))
        self.hint.setText(hint)

    @Slot()
    def _try(self) -> None:
        """Do the action now, in a thread."""
        rule, outcomes = self.draft.rule, self._outcomes
        classes = [self.gesture.itemData(place) for place in range(self.gesture.count())]
        decision = rule.label or next(filter(None, classes), "wave")

        def work(stop: threading.Event) -> None:
            perform(Firing(rule, decision, 1.0, 0), stop)
            outcomes.put(DONE)

        self.outcome.setText(TRYING)
        self.trial.setEnabled(False)
        self._worker = Worker("try-action", work, on_error=lambda error: outcomes.put(error_message(error)))
        self._worker.start()
        self._look.start()

    @Slot()
    def _show_outcome(self) -> None:
        if (outcome := self._outcomes.take()) is not None:
            self.end()
            self.outcome.setText(outcome[:1].upper() + outcome[1:])
            self.trial.setEnabled(True)


def _wide(box: ChoiceBox) -> ChoiceBox:
    box.setFixedSize(280, 36)
    return box


def _spin(box: Any, name: str, most: float, unit: str, step: int, tip: str) -> Any:
    """Return a QSpinBox or QDoubleSpinBox from 0 to ``most``."""
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setFont(style.text_font(14))
    box.setRange(0, type(box.value())(most))
    box.setSingleStep(step)
    box.setSuffix(unit)
    box.setFixedSize(120, 30)
    box.setLocale(QLocale.c())
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    return box
