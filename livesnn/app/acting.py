"""Acting on gestures in the window: follows every result by the rules, shows what fires, and asks for the rules."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QHBoxLayout, QSpinBox, QWidget

from livesnn.app import style
from livesnn.app.recording import RecordingControls
from livesnn.app.widgets.basics import (
    ChoiceBox,
    Dialog,
    dialog_button,
    fill,
    heading,
    icon_button,
    label,
    line_edit,
    number_box,
    scrolled,
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


def gesture(name: str) -> str:
    return "Any gesture" if name == ANY else style.readable(name)


class RuleFields:
    """The fields for one rule, a row of the dialog; ``changed`` is called when one has changed."""

    def __init__(self, rule: Rule | None, classes: Sequence[str], changed: Callable[[], None]) -> None:
        label, kind = (ANY, "command") if rule is None else (rule.label, rule.action.kind)
        self.active = QCheckBox()
        self.active.setChecked(rule is None or rule.active)
        self.active.setToolTip("Whether the rule is followed")
        names = dict.fromkeys((ANY, *classes, label))  # the last may be of another model
        self.gesture = ChoiceBox("When", {name: gesture(name) for name in names}, width=190, height=30)
        self.gesture.choose(label)
        self.held = number_box(QSpinBox(), "Decided for", 0, LONGEST_HELD_MS, unit=" ms", width=96)
        self.held.setSingleStep(100)
        self.held.setToolTip("How long the gesture must be the decision before the action starts.")
        self.held.setValue(300 if rule is None else min(rule.held_ms, LONGEST_HELD_MS))
        kinds = {kind: words for kind, (words, _, _) in KINDS.items()}
        self.kind = ChoiceBox("Then", kinds, width=170, height=30)
        self.kind.choose(kind)
        self.text = line_edit("", "", "What", least_width=240)
        if rule is not None:
            self.text.setText(shlex.join(rule.action.arguments) if kind == "command" else rule.action.address)
        self.every = number_box(QDoubleSpinBox(), "At most once every", 0, LONGEST_EVERY_S, unit=" s", width=96)
        self.every.setToolTip("The action runs at most once in this time.")
        self.every.setDecimals(1)
        self.every.setValue(1.0 if rule is None else rule.every_s)
        self.remove = icon_button("close", "Remove this rule", 30, 16, name="close")
        for box in (self.gesture, self.kind):
            box.currentIndexChanged.connect(lambda _: changed())
        self.text.textChanged.connect(lambda _: changed())

    @property
    def widgets(self) -> tuple[QWidget, ...]:
        return self.active, self.gesture, self.held, self.kind, self.text, self.every, self.remove

    def rule(self) -> Rule:
        """Return the rule; raises LivesnnError if it is impossible."""
        kind, text = self.kind.currentData(), self.text.text()
        arguments = tuple(split_command(text)) if kind == "command" else (text.strip(),)
        action = Action(kind, () if kind in RECORDING else arguments)
        return Rule(
            action, self.gesture.currentData(), self.held.value(), self.every.value(), self.active.isChecked()
        )

    def check(self) -> str:
        """Fit the field for a text to the kind of action; return why the rule is impossible, "" if it isn't."""
        _, example, hint = KINDS[self.kind.currentData()]
        self.text.setPlaceholderText(example)
        self.text.setEnabled(bool(example))
        self.text.setToolTip(hint)
        try:
            self.rule()
        except LivesnnError as error:
            return str(error)
        return ""


class ActionsDialog(Dialog):
    """Asks what is done when a gesture is decided; ``classes`` are the model's."""

    chosen = Signal(list)  # [Rule]

    def __init__(self, rules: Sequence[Rule], classes: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__("Act on gestures", parent)
        self._classes = classes
        self.rows: list[RuleFields] = []
        listed = QWidget()
        self._grid = QGridLayout(listed)
        for column, words in enumerate(("", "When", "Decided for", "Then", "", "At most every")):
            self._grid.addWidget(heading(words), 0, column)
        self._grid.setColumnStretch(4, 1)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.add = dialog_button("Add a rule", lambda: self._list(None))
        self.problem = label("", style.text_font(13), "warning", wrap=True)
        self.put((scrolled(listed), 1), fill(QHBoxLayout(), self.add, (self.problem, 1), spacing=14))
        self.save = self.add_buttons("Save")
        for rule in rules:
            self._list(rule)
        self._check()
        self.resize(980, 420)

    def accept(self) -> None:
        if self.save.isEnabled():
            self.chosen.emit([row.rule() for row in self.rows])
            super().accept()

    def _list(self, rule: Rule | None) -> None:
        row = RuleFields(rule, self._classes, self._check)
        row.remove.clicked.connect(lambda _=False: self._remove(row))
        number = self._grid.rowCount()
        for column, widget in enumerate(row.widgets):
            self._grid.addWidget(widget, number, column)
        self.rows.append(row)
        self._check()

    def _remove(self, row: RuleFields) -> None:
        self.rows.remove(row)
        for widget in row.widgets:
            widget.hide()
            widget.deleteLater()
        self._check()

    def _check(self) -> None:
        problems = [problem for row in self.rows if (problem := row.check())]
        self.problem.setText(capitalised(problems[0]) if problems else "")
        self.save.setEnabled(not problems)
