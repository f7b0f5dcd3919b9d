"""Acting on gestures in the window: follows every result by the rules, and shows what fires and what fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QLabel, QWidget

from livesnn.app import style
from livesnn.app.actions_dialog import ActionsDialog
from livesnn.app.player import Player
from livesnn.app.recording_controls import RecordingControls
from livesnn.app.session_display import WindowLayout
from livesnn.app.settings import SettingsFile
from livesnn.infer.run import Result
from livesnn.outputs.action import RECORDING, ActionRunner, Firing, Rule

TOAST_MS = 4000
LATE = "Actions take longer than the time between them: some are left out"
MOST_SHOWN = 100  # that wait for the window; the oldest go first


class Acting:
    """Does what the rules in the settings say about the player's results; call `close` at the end.

    ``tell`` gets a line about each firing, for where the window's parts aren't shown.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        settings: SettingsFile,
        recording: RecordingControls,
        tell: Callable[[str], None],
    ) -> None:
        self._window, self._player, self._settings = window, player, settings
        self._recording, self._tell = recording, tell
        self._fired: deque[Firing] = deque(maxlen=MOST_SHOWN)
        self._failures: deque[str] = deque(maxlen=MOST_SHOWN)
        self._cannot_record = False
        self._dropped = 0
        self._rules = settings.now.actions
        self._runner = ActionRunner(self._rules, self._failures.append, elsewhere=RECORDING)
        self.toast = Toast(window.view)
        player.see = self._see

    def ask(self) -> None:
        """Ask for the rules."""
        card = self._player.card
        dialog = ActionsDialog(self._settings.now.actions, () if card is None else card.classes, self._window)
        dialog.chosen.connect(self.use)
        self._window.show_dialog(dialog)

    def use(self, rules: list[Rule]) -> None:
        """Follow these rules from the next look on, and after the next start of livesnn."""
        self._settings.change(actions=tuple(rules))

    def poll(self) -> None:
        """Show what has fired and failed, and record where a rule says so."""
        if self._rules != (rules := self._settings.now.actions):  # another tab may have changed them
            self._rules = rules
            self._runner.use(rules)
        fired = [self._fired.popleft() for _ in range(len(self._fired))]
        if fired:
            words = "  ·  ".join(
                f"{style.readable(each.decision)} → {each.rule.action.words}" for each in fired
            )
            self.toast.show_words(words)
            self._tell(words)
        for firing in fired:
            self._record(firing)
        while self._failures:
            self._window.banner.show_message(f"Couldn't {self._failures.popleft()}", "warning")
        if self._runner.dropped and not self._dropped:
            self._window.banner.show_message(LATE, "warning")
        self._dropped = self._runner.dropped

    def close(self) -> None:
        """End the thread that does what fires."""
        self._player.see = lambda result: None
        self._runner.close()

    def _see(self, result: Result) -> None:
        """Take a result, in the session's thread."""
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
            case _:
                pass  # the runner's thread does it


class Toast(QLabel):
    """A few words over the lower edge of another widget, for some seconds."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setObjectName("toast")
        self.setTextFormat(Qt.TextFormat.PlainText)  # a class or an address may look like HTML
        self.setFont(style.text_font(14))
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()
        over.installEventFilter(self)
        self._gone = QTimer(self, singleShot=True, interval=TOAST_MS)
        self._gone.timeout.connect(self.hide)

    def show_words(self, words: str) -> None:
        """Show these words."""
        most = self._over.width() - 80
        self.setText(self.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, most))
        self.adjustSize()
        self._place()
        self.show()
        self.raise_()
        self._gone.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay at the lower edge when a message above makes the other widget smaller."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        over = self._over
        self.move((over.width() - self.width()) // 2, over.height() - self.height() - 52)
