"""Comparing what plays with a second model or other settings: the dialog, and the column beside the decision."""

from __future__ import annotations

import math
from pathlib import Path

from PySide6.QtCore import QRectF, Qt, Signal, Slot
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import QCheckBox, QGridLayout, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.decisions_dialog import ShareBox
from livesnn.app.model_dialog import all_models, choose_folder, engine_box, engine_name, listed
from livesnn.app.session_display import SessionDisplay
from livesnn.app.widgets.basics import (
    LEFT,
    NOTHING,
    RIGHT,
    Card,
    ChoiceBox,
    Dialog,
    Painted,
    dialog_button,
    fill,
    heading,
    icon_button,
    label,
    note,
    write,
)
from livesnn.app.widgets.network_cards import milliseconds
from livesnn.app.widgets.readout import ReadoutPanel
from livesnn.app.window_layout import WindowLayout
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.load import read_card
from livesnn.infer.run import StateMode
from livesnn.session.comparison import Comparison, Difference, Second, why_not
from livesnn.session.control import Choices
from livesnn.session.results import ShownResult
from livesnn.session.session import Session
from livesnn.session.statistics import LAST_RESULTS

SHARE = 4  # of the window's width, beside the picture's 7 and the decision's 4
STATES: dict[StateMode | None, str] = {None: "Same as the first", "carry": "Carried", "reset": "Reset each window"}
HINT = "The second model gets the same events. Its decision is shown beside the first one."
NOISE = "Filter noise for the second only"
NOISE_FOR_BOTH = "Filter noise for the second only (now on for both)"


class Comparing:
    """Shows a second model beside the first, from a person's request until they end it."""

    def __init__(self, window: WindowLayout, display: SessionDisplay) -> None:
        self._window, self._player, self._display = window, window.player, display
        self.panel: ComparisonPanel | None = None  # None: nothing is compared
        self._shown: tuple[Session, Comparison | None, str] | None = None  # of what the panel shows something
        self._result: ShownResult | None = None

    def ask(self) -> None:
        player = self._player
        has_events = player.opened is None or player.opened.playback.has_events
        second = player.second or Second(player.model, player.models.engine)
        dialog = CompareDialog(second, player.card, player.choices, self._window, has_events=has_events)
        dialog.chosen.connect(self.use)
        self._window.show_dialog(dialog)

    def use(self, second: Second | None) -> None:
        """Compare with this from now on; None: with nothing."""
        self._player.compare(second)
        self._shown = self._result = None
        if second is None:
            if self.panel is not None:
                self.panel.setParent(None)
                self.panel.deleteLater()
                self.panel = None
            return
        if self.panel is None:
            self.panel = ComparisonPanel()
            self.panel.closed.connect(lambda: self.use(None))
            columns = self._window.splitters["columns"]
            columns.addWidget(self.panel)
            columns.setStretchFactor(columns.indexOf(self.panel), SHARE)
            columns.setSizes([7000, 4000, 1000 * SHARE])  # in proportion
        name, caption = words_of(second, self._player.choices), self.panel.card.caption
        caption.set_remark(name)
        caption.setToolTip(f"{name}\n{_TIP}")

    def poll(self) -> None:
        session = self._player.session
        if self.panel is None or session is None:
            return
        comparison, note = session.comparer.now, session.comparer.note
        if (session, comparison, note) != self._shown:
            self._shown, self._result = (session, comparison, note), None
            self.panel.clear(None if comparison is None else comparison.model.card, note)
        if comparison is None:
            return
        shown = self._display.shown
        if shown is not self._result:
            self._result = shown
            if shown is None or shown.second is None:
                self.panel.readout.wait()
            else:
                self.panel.readout.show_result(shown.second)
                self.panel.agreement.show_difference(comparison.difference)
        if (silence := session.silence) is not None:
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
        self.model = ChoiceBox("Model", {name: Path(name).name for name in all_models()}, width=260)
        self.engine = engine_box(second.engine)
        self.state = ChoiceBox("State", STATES, width=260)
        self.threshold, self.leak = ShareBox("Threshold"), ShareBox("Leak", 99.9)
        self.denoise = QCheckBox(NOISE_FOR_BOTH if choices.denoise else NOISE)
        self.note = label("", style.text_font(13), "warning", wrap=True)
        self.denoise.setFont(style.text_font(14))
        self.denoise.setEnabled(self._has_events and not self._choices.denoise)
        grid = QGridLayout()
        grid.setHorizontalSpacing(18)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        for row, box in enumerate((self.model, self.engine, self.state, self.threshold, self.leak)):
            grid.addWidget(heading(box.accessibleName()), row, 0)
            grid.addWidget(box, row, 1, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(dialog_button("Another folder …", lambda: choose_folder(self, self.choose)), 0, 2)
        self.put(note(HINT, 14), grid, self.denoise, self.note)
        self.setMinimumWidth(560)
        self.use = self.add_buttons("Compare")
        self.model.currentIndexChanged.connect(self._look)
        self._show(second)

    def _show(self, second: Second) -> None:
        decider = self._choices.decider
        self.choose(listed(second.model))
        self.state.choose(second.state_mode)
        self.threshold.show_share(decider.threshold if second.threshold is None else second.threshold)
        self.leak.show_share(decider.leak if second.leak is None else second.leak)
        self.denoise.setChecked(second.denoise)
        self._look()

    def accept(self) -> None:
        for box in (self.threshold, self.leak):
            box.interpretText()
        threshold, leak, decider = self.threshold.share, self.leak.share, self._choices.decider
        second = Second(
            self.model.currentData(),
            self.engine.currentData(),
            self.state.currentData(),
            None if threshold == decider.threshold else threshold,
            None if leak == decider.leak else leak,
            self.denoise.isEnabled() and self.denoise.isChecked(),
        )
        self.chosen.emit(second)
        super().accept()

    def choose(self, model: str) -> None:
        self.model.choose(model, Path(model).name)

    @Slot()
    def _look(self) -> None:
        try:
            card = read_card(self.model.currentData())
            why = "" if self._first is None else why_not(self._first, card, has_events=self._has_events)
        except ModelError as error:
            why = str(error)
        self.note.setText(why)
        self.note.setVisible(bool(why))
        self.use.setEnabled(not why)


_TIP = (
    "Share of frames in which both decided the same. “Not sure” counts as a decision.\n"
    f"Times are in milliseconds, as if each ran alone: the median over the last {LAST_RESULTS} frames."
)
LATE = "Too slow: events lost"
LATE_TIP = (
    "The two together can't keep up with the source, so events are lost and decisions get worse.\n"
    "Record the source and compare on the recording, or choose a faster engine."
)
_ROW = 17  # height of a row of the table, pixels
_LEFT = (0.46, 0.7, 0.85, 1.0)  # of the table's columns, and the right of the last, in widths
_GAP = 4  # between the sentence and the table, pixels
_WORDS = int(LEFT | Qt.TextFlag.TextWordWrap)


class ComparisonPanel(QWidget):
    """The second's decision and classes, and above them the agreement; `closed` asks to end the comparison."""

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.card = Card("Second", "window.md#compare-two-models", tip=_TIP)
        self.agreement = AgreementView()
        self.readout = ReadoutPanel()
        self.card.top.addWidget(icon_button("close", "End the comparison", 22, 14, self.closed.emit, name="close"))
        self.card.column.addWidget(self.agreement)
        fill(QVBoxLayout(self), self.card, (self.readout, 1), spacing=12)

    def clear(self, card: ModelCard | None, note: str = "") -> None:
        self.readout.clear(card)
        self.agreement.show_note(note)


class AgreementView(Painted):
    """The agreement in large letters, and the times of both in a table; or a note."""

    def __init__(self) -> None:
        super().__init__((260, 3 * _ROW + 8))
        self.setFixedHeight(3 * _ROW + 8)
        self.note = ""
        self.percent, self.total = NOTHING, ""
        self.late = False
        self.times: tuple[tuple[str, str, str], ...] = ()  # caption, of the first, of the second

    def show_note(self, note: str) -> None:
        self.note, self.percent, self.total, self.times = note, NOTHING, "", ()
        self.setToolTip(note or _TIP)
        self.update()

    def show_difference(self, difference: Difference) -> None:
        agreement = difference.agreement
        known = math.isfinite(agreement.minute)
        self.note = ""
        self.percent = percent(agreement.minute)
        self.total = f"{percent(agreement.total)} of {agreement.frames:,} frames" if known else ""
        self.late = difference.late
        self.times = tuple(
            (caption, *(milliseconds(each.p50) for each in times))  # type: ignore[misc]  # two
            for caption, times in (("Network", difference.network_ms), ("Decision", difference.total_ms))
        )
        self.setToolTip(f"{LATE_TIP}\n{_TIP}" if self.late else _TIP)
        self.setAccessibleName(f"Both agree in {self.percent} of the last minute, in {self.total}")
        self.update()

    def paint(self, painter: QPainter) -> None:
        theme, small = style.theme, style.text_font(11)
        if self.note:
            write(painter, QRectF(self.rect()), self.note, theme.soft, _WORDS, style.text_font(13))
            return
        half = _LEFT[0] * self.width()
        large = style.text_font(26, weight=QFont.Weight.Bold)
        write(painter, QRectF(0, 0, half, 30), self.percent, theme.text, LEFT, large)
        write(painter, QRectF(0, 30, half, 14), "same, last minute", theme.soft, LEFT, small)
        words, colour = (LATE, theme.warning) if self.late else (self.total, theme.faint)
        if painter.fontMetrics().horizontalAdvance(words) > half - _GAP:
            words = words.removesuffix(" frames").removeprefix("Too slow: ")
        write(painter, QRectF(0, 44, half, 14), words, colour)
        for row, texts in enumerate((("ms", "1st", "2nd"), *self.times)):
            painter.setFont(style.text_font(12) if row else small)
            for place, text in enumerate(texts):
                left, right = (share * self.width() for share in _LEFT[place : place + 2])
                box = QRectF(left, row * _ROW, right - left, _ROW)
                colour = theme.faint if not row else theme.text if place else theme.soft
                write(painter, box, text, colour, RIGHT if place else LEFT)


def percent(share: float) -> str:
    """Return a share of 1 in per cent; 100 % only where it is exactly that, and a dash where it is unknown."""
    if not math.isfinite(share):
        return NOTHING
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"
