"""Comparing what plays with a second model or other settings: the dialog, and the column beside the decision."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QGridLayout, QWidget

from livesnn.app import style
from livesnn.app.decisions_dialog import ShareBox
from livesnn.app.model_dialog import ENGINES, choose_folder, engine_name, listed
from livesnn.app.player import Player
from livesnn.app.session_display import SessionDisplay, WindowLayout
from livesnn.app.widgets.basics import ChoiceBox, Dialog, dialog_button, heading, label, note
from livesnn.app.widgets.comparison import ComparisonPanel
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.model import own_models, read_card, shipped_models
from livesnn.infer.run import StateMode
from livesnn.paths import own_models_dir
from livesnn.session.comparison import Comparison, Second, why_not
from livesnn.session.control import Choices
from livesnn.session.results import ShownResult
from livesnn.session.session import Session

SHARE = 4  # of the window's width, beside the picture's 7 and the decision's 4
STATES: dict[StateMode | None, str] = {
    None: "Same as the first",
    "carry": "Carried",
    "reset": "Reset each window",
}
HINT = "The second model gets the same events. Its decision is shown beside the first one."
NOISE = "Filter noise for the second only"
NOISE_FOR_BOTH = "Filter noise for the second only (now on for both)"


class Comparing:
    """Shows a second model beside the first, from a person's request until they end it."""

    def __init__(self, window: WindowLayout, player: Player, display: SessionDisplay) -> None:
        self._window, self._player, self._display = window, player, display
        self.panel: ComparisonPanel | None = None  # None: nothing is compared
        self._session: Session | None = None
        self._comparison: Comparison | None = None  # what the panel shows: None: its note
        self._note = ""
        self._result: ShownResult | None = None

    def ask(self) -> None:
        """Ask for the second model and its settings."""
        player = self._player
        has_events = player.opened is None or player.opened.playback.has_events
        second = player.second or Second(player.model, player.engine)
        dialog = CompareDialog(second, player.card, player.choices, self._window, has_events=has_events)
        dialog.chosen.connect(self.use)
        self._window.show_dialog(dialog)

    def use(self, second: Second | None) -> None:
        """Compare with this from now on; None: with nothing."""
        self._player.compare(second)
        self._session, self._comparison, self._note, self._result = None, None, "", None
        if self.panel is not None and second is None:
            self.panel.setParent(None)
            self.panel.deleteLater()
            self.panel = None
        elif self.panel is None and second is not None:
            self.panel = ComparisonPanel()
            self.panel.closed.connect(lambda: self.use(None))
            columns = self._window.splitters["columns"]
            columns.addWidget(self.panel)
            columns.setStretchFactor(columns.indexOf(self.panel), SHARE)
            columns.setSizes([7000, 4000, 1000 * SHARE])  # in proportion
        if self.panel is not None and second is not None:
            self.panel.show_name(words_of(second, self._player.choices))

    def poll(self) -> None:
        """Show the newest."""
        session = self._player.session
        if self.panel is None or session is None:
            return
        comparison, note = session.comparer.now, session.comparer.note
        if (session, comparison, note) != (self._session, self._comparison, self._note):
            self._session, self._comparison, self._note, self._result = session, comparison, note, None
            self.panel.clear(None if comparison is None else comparison.model.card, note)
        shown = self._display.shown
        if comparison is not None and shown is not self._result:
            self._result = shown
            if shown is None or shown.second is None:
                self.panel.readout.wait()
            else:
                self.panel.show_result(shown.second, comparison.compared)
        if comparison is not None and (silence := session.silence) is not None:
            self.panel.readout.show_silence(silence)


def words_of(second: Second, choices: Choices) -> str:
    """Return a model's name, and its settings so far as they are not the first's."""
    parts = [Path(second.model).name, engine_name(second.engine)]
    if second.state_mode not in (None, choices.state_mode):
        parts.append({"carry": "state carried", "reset": "state reset each window"}[second.state_mode])
    parts += [
        f"{name} {100 * value:g} %"
        for name, value in (("threshold", second.threshold), ("leak", second.leak))
        if value is not None
    ]
    parts += ["noise filtered"] * second.denoise
    return ", ".join(parts)


class CompareDialog(Dialog):
    """Asks for a model and its settings; ``first`` is the card of the model in use."""

    chosen = Signal(object)  # Second

    def __init__(
        self,
        second: Second,
        first: ModelCard | None,
        choices: Choices,
        parent: QWidget | None = None,
        *,
        has_events: bool = True,
    ) -> None:
        super().__init__("Compare with …", parent)
        self._first, self._choices, self._has_events = first, choices, has_events
        self.model = _box("Model")
        self.engine, self.state = _box("Engine"), _box("State")
        self.threshold, self.leak = ShareBox("Threshold"), ShareBox("Leak", 99.9)
        self.denoise = QCheckBox(NOISE_FOR_BOTH if choices.denoise else NOISE)
        self.note = label("", style.text_font(13), "warning", wrap=True)
        self._lay_out()
        self.use = self.add_buttons("Compare")
        for name in (*shipped_models(), *(str(own_models_dir().resolve() / own) for own in own_models())):
            self.add(name)
        self.model.currentIndexChanged.connect(self._look)
        self._show(second)

    def _lay_out(self) -> None:
        self.denoise.setFont(style.text_font(14))
        self.denoise.setEnabled(self._has_events and not self._choices.denoise)
        for engine, (words, module) in ENGINES.items():
            if not module or find_spec(module) is not None:
                self.engine.addItem(words, engine)
        for mode, words in STATES.items():
            self.state.addItem(words, mode)
        self.column.addWidget(note(HINT, 14))
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        for row, box in enumerate((self.model, self.engine, self.state, self.threshold, self.leak)):
            grid.addWidget(heading(box.accessibleName()), row, 0)
            grid.addWidget(box, row, 1, Qt.AlignmentFlag.AlignLeft)
        use = partial(self.add, chosen=True)
        grid.addWidget(dialog_button("Another folder …", lambda: choose_folder(self, use)), 0, 2)
        self.column.addLayout(grid)
        self.column.addWidget(self.denoise)
        self.column.addWidget(self.note)
        self.setMinimumWidth(560)

    def _show(self, second: Second) -> None:
        decider = self._choices.decider
        self.add(listed(second.model), chosen=True)
        self.engine.setCurrentIndex(max(self.engine.findData(second.engine), 0))
        self.state.setCurrentIndex([*STATES].index(second.state_mode))
        self.threshold.show_share(decider.threshold if second.threshold is None else second.threshold)
        self.leak.show_share(decider.leak if second.leak is None else second.leak)
        self.denoise.setChecked(second.denoise)
        self._look()

    def accept(self) -> None:
        """Emit what was chosen, if it can be compared."""
        if not self.use.isEnabled():
            return
        for box in (self.threshold, self.leak):
            box.interpretText()
        decider = self._choices.decider
        same_threshold, same_leak = self.threshold.share == decider.threshold, self.leak.share == decider.leak
        self.chosen.emit(
            Second(
                self.model.currentData(),
                self.engine.currentData(),
                [*STATES][self.state.currentIndex()],
                None if same_threshold else self.threshold.share,
                None if same_leak else self.leak.share,
                self.denoise.isEnabled() and self.denoise.isChecked(),
            )
        )
        super().accept()

    def add(self, model: str, *, chosen: bool = False) -> None:
        """List a model, but only once."""
        if self.model.findData(model) < 0:
            self.model.addItem(Path(model).name, model)
        if chosen:
            self.model.setCurrentIndex(self.model.findData(model))

    @Slot()
    def _look(self) -> None:
        """Say why the chosen model can't be compared, if so."""
        try:
            card = read_card(self.model.currentData())
            why = "" if self._first is None else why_not(self._first, card, has_events=self._has_events)
        except ModelError as error:
            why = str(error)
        self.note.setText(why)
        self.note.setVisible(bool(why))
        self.use.setEnabled(not why)


def _box(name: str) -> ChoiceBox:
    box = ChoiceBox(name)
    box.setFixedSize(260, 34)
    return box
