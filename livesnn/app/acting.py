"""Acting on gestures in the window: follows every result by the rules, shows what fires, and asks for the rules."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QSignalBlocker, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.recording import RecordingControls
from livesnn.app.widgets.basics import (
    STRETCH,
    ChoiceBox,
    Dialog,
    dialog_button,
    fill,
    heading,
    label,
    line_edit,
    note,
    number_box,
    plain_tip,
)
from livesnn.app.window_layout import WindowLayout
from livesnn.console import capitalised
from livesnn.errors import LivesnnError
from livesnn.infer.run import Result
from livesnn.outputs.action import (
    ANY,
    COMMAND_LIMIT_S,
    RECORDING,
    Action,
    ActionKind,
    ActionRunner,
    Firing,
    Rule,
    split_command,
)

LATE = "Actions take longer than the time between gestures, so some are skipped"
MOST_SHOWN = 100  # that wait for the window; the oldest go first
KINDS: dict[ActionKind, tuple[str, str, str]] = {  # words, an example, a hint
    "command": (
        "Run a program",
        "notify-send Waved",
        "The program runs without a shell. LIVESNN_DECISION, LIVESNN_CONFIDENCE and LIVESNN_T describe the "
        f"decision. livesnn stops it after {COMMAND_LIMIT_S:g}\u00a0s.",
    ),
    "post": (
        "Call an address",
        "http://lamp.local/gesture",
        "The decision is sent as the JSON that livesnn run --json prints.",
    ),
    "record": ("Start recording", "", "A new file is written to the folder of the last recording."),
    "stop_recording": ("Stop recording", "", ""),
}
LONGEST_HELD_MS, LONGEST_EVERY_S = 60_000, 3600.0


class Acting:
    """Does what the rules in the settings say about the player's results; call `close` at the end."""

    def __init__(self, window: WindowLayout, recording: RecordingControls) -> None:
        self._window, self._player, self._settings = window, window.player, window.settings
        self._recording = recording
        self._fired: deque[Firing] = deque(maxlen=MOST_SHOWN)
        self._failures: deque[str] = deque(maxlen=MOST_SHOWN)
        self._cannot_record = False
        self._dropped = 0
        self._rules = self._settings.now.actions
        self._runner = ActionRunner(self._rules, self._failures.append)
        self._player.see = self._see

    def ask(self) -> None:
        card = self._player.card
        dialog = ActionsDialog(self._settings.now.actions, () if card is None else card.classes, self._window)
        dialog.chosen.connect(lambda rules: self._settings.change(actions=tuple(rules)))
        self._window.show_dialog(dialog)

    def poll(self) -> None:
        """Show what has fired and failed, and record where a rule says so."""
        if self._rules != (rules := self._settings.now.actions):  # another tab may have changed them
            self._rules = rules
            self._runner.use(rules)
        fired = [self._fired.popleft() for _ in range(len(self._fired))]
        if fired:
            each = (f"{style.readable(firing.decision)} → {firing.rule.action.words}" for firing in fired)
            self._window.view.canvas.tell("  ·  ".join(each))
        for firing in fired:
            self._record(firing)
        while self._failures:
            self._window.banner.show_message(f"Couldn't {self._failures.popleft()}", "warning")
        if self._runner.dropped and not self._dropped:
            self._window.banner.show_message(LATE, "warning")
        self._dropped = self._runner.dropped

    def close(self) -> None:
        self._runner.close()

    def _see(self, result: Result) -> None:
        self._fired.extend(self._runner.see(result))

    def _record(self, firing: Firing) -> None:
        match firing.rule.action.kind:
            case "record":
                why = self._recording.start_unasked()
                if why and not self._cannot_record:
                    self._failures.append(f"{firing.rule.action.words}: {why}")
                self._cannot_record = bool(why)
            case "stop_recording":
                self._player.stop_recording()


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
        words = split_command(self.text) if self.kind == "command" else (self.text.strip(),)
        arguments = () if self.kind in RECORDING else words
        return Rule(Action(self.kind, arguments), self.label, self.held_ms, self.every_s, self.active)

    @property
    def problem(self) -> str:
        try:
            self.rule  # noqa: B018 (it may raise)
        except LivesnnError as error:
            return str(error)
        return ""

    @property
    def words(self) -> str:
        held = f" for {self.held_ms} ms" if self.held_ms else ""
        words = KINDS[self.kind][0]
        done = words[:1].lower() + words[1:] if self.problem else self.rule.action.words
        return f"{gesture(self.label)}{held} → {done}"


def draft_of(rule: Rule) -> Draft:
    action = rule.action
    text = shlex.join(action.arguments) if action.kind == "command" else action.address
    return Draft(action.kind, text, rule.label, rule.held_ms, rule.every_s, rule.active)


def gesture(name: str) -> str:
    return "Any gesture" if name == ANY else style.readable(name)


class ActionsDialog(Dialog):
    """Asks what is done when a gesture is decided; ``classes`` are the model's."""

    chosen = Signal(list)  # [Rule]

    def __init__(self, rules: Sequence[Rule], classes: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__("Act on gestures", parent)
        self.list = QListWidget()
        self.list.setFont(style.text_font(14))
        self.list.setAccessibleName("Rules")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # the tooltip has it all
        self.add = dialog_button("Add", lambda: self.list.setCurrentItem(self._list(Draft())))
        self.remove = dialog_button("Remove", self._remove)
        self.form = RuleForm(classes)
        self.problem = label("", style.text_font(13), "warning", wrap=True)
        buttons = fill(QHBoxLayout(), (self.add, 1), (self.remove, 1), spacing=8)
        left = fill(QVBoxLayout(), (self.list, 1), buttons, spacing=8)
        self.nothing = note("Add a rule to start an action when a gesture is decided.", 14)
        right = fill(QVBoxLayout(), self.nothing, self.form, self.problem, STRETCH, spacing=8)
        self.put((fill(QHBoxLayout(), (left, 1), (right, 1), spacing=24), 1))
        self.save = self.add_buttons("Save")
        for rule in rules:
            self._list(draft_of(rule))
        self.list.currentRowChanged.connect(self._show_row)
        self.list.itemChanged.connect(self._mark)
        self.form.changed.connect(self._change)
        self.list.setCurrentRow(0)
        self._check()
        self.resize(880, 520)

    @property
    def drafts(self) -> list[Draft]:
        return [self._draft(self.list.item(row)) for row in range(self.list.count())]

    def accept(self) -> None:
        if self.save.isEnabled():
            self.chosen.emit([draft.rule for draft in self.drafts])
            super().accept()

    def _list(self, draft: Draft) -> QListWidgetItem:
        item = QListWidgetItem()
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
            item.setToolTip(plain_tip(draft.words))
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
        self.problem.setText(capitalised(shown))
        self.save.setEnabled(not any(draft.problem for draft in drafts))


class RuleForm(QWidget):
    """Fields for one rule."""

    changed = Signal()

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.gesture = ChoiceBox("When", {name: gesture(name) for name in (ANY, *classes)}, width=280)
        self.held = number_box(QSpinBox(), "Decided for", 0, LONGEST_HELD_MS, unit=" ms", width=120)
        self.held.setSingleStep(100)
        self.held.setToolTip("How long the gesture must be the decision before the action starts.")
        self.kind = ChoiceBox("Then", {kind: words for kind, (words, _, _) in KINDS.items()}, width=280)
        self.text = line_edit("", "", "What", least_width=280)
        self.hint = note("")
        self.every = number_box(QDoubleSpinBox(), "At most once every", 0, LONGEST_EVERY_S, unit=" s", width=120)
        self.every.setToolTip("The action runs at most once in this time.")
        self.every.setDecimals(1)
        for number in (self.held, self.every):
            number.setKeyboardTracking(True)  # the list shows what is being typed
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(10)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        for field in (self.gesture, self.held, self.kind):
            form.addRow(heading(field.accessibleName()), field)
        form.addRow(heading(""), self.text)
        form.addRow(heading(""), self.hint)
        form.addRow(heading(self.every.accessibleName()), self.every)
        self._fields = (self.gesture, self.held, self.kind, self.text, self.every)
        for box, spin in ((self.gesture, self.held), (self.kind, self.every)):
            box.currentIndexChanged.connect(self._edited)
            spin.valueChanged.connect(self._edited)
        self.text.textChanged.connect(self._edited)

    @property
    def draft(self) -> Draft:
        kind, gesture = self.kind.currentData(), self.gesture.currentData()
        return Draft(kind, self.text.text(), gesture, self.held.value(), self.every.value())

    def show_draft(self, draft: Draft) -> None:
        blockers = [QSignalBlocker(field) for field in self._fields]
        self.gesture.choose(draft.label, gesture(draft.label))  # which may be of another model
        self.kind.choose(draft.kind)
        self.held.setValue(min(draft.held_ms, LONGEST_HELD_MS))  # a file may say more than Qt can hold
        self.every.setValue(draft.every_s)
        self.text.setText(draft.text)
        del blockers
        self._explain()

    @Slot()
    def _edited(self) -> None:
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        _, example, hint = KINDS[self.kind.currentData()]
        self.text.setPlaceholderText(example)
        self.text.setVisible(bool(example))
        self.hint.setText(hint)
