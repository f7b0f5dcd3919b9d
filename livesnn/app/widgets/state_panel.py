"""The card "State": whether the membranes are carried, for how long they have been, and each layer's activity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QSizePolicy

from livesnn.app.look import style
from livesnn.app.widgets.parts import LEFT, NOTHING, Card, Painted
from livesnn.card import ModelCard
from livesnn.infer.run import StateMode
from livesnn.session.values import RUNNING, Answer, ShownState

WAITING = "reset, waiting for frames"
FULL_DENSITY = 0.3  # share of neurons that fills a bar
_STATE_TIP = (
    "The membrane potentials of the network's neurons: carried from frame to frame until they are reset."
)
_MODES: dict[StateMode, tuple[str, str]] = {
    "carry": ("Carry", "Keep the state from window to window, for ever"),
    "reset": ("Reset each window", "Set the state to zero at the beginning of each window"),
}
_LEGEND = 18  # height, pixels
FloatArray = npt.NDArray[np.float32]


class StatePanel(Card):
    """Chooses what happens to the state, and shows it; it only says what the person wants."""

    mode_wanted = Signal(str)  # a StateMode
    reset_wanted = Signal()

    def __init__(self) -> None:
        super().__init__("State", tip=_STATE_TIP)
        self.bars = LayerBars()
        self.modes = {mode: _segment(mode) for mode in _MODES}
        self.reset = QPushButton("Reset now")
        self.reset.setObjectName("narrow")
        self.reset.setToolTip("Set the state to zero now: the network forgets everything it has seen")
        self._group = QButtonGroup(self)
        self._group.idClicked.connect(self._mode_clicked)
        for index, button in enumerate(self.modes.values()):
            self._group.addButton(button, index)
        self.reset.clicked.connect(self.reset_wanted)
        self._lay_out()
        self.show_mode("carry")
        self.show_state("empty")
        self.clear(None)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(0)
        for button in (*self.modes.values(), self.reset):
            button.setFixedHeight(28)
            button.setFont(style.text_font(12))
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            words = button.fontMetrics().horizontalAdvance(button.text())
            button.setMinimumWidth(words + 12)
            row.addWidget(button, words)
        row.insertSpacing(2, 8)
        self.column.addLayout(row)
        self.column.addWidget(self.bars, 1)

    def show_mode(self, mode: StateMode) -> None:
        """Show what has been chosen, and say nothing."""
        self.modes[mode].setChecked(True)

    def show_state(self, state: ShownState) -> None:
        """Let the state be reset in those states of a session in which there is one."""
        self.reset.setEnabled(state in RUNNING)

    def clear(self, card: ModelCard | None) -> None:
        """Start over, with the layers of this model."""
        self.bars.set_model(card)
        self.caption.set_remark(NOTHING)

    def wait(self) -> None:
        """Forget what was shown: a reset has been asked for, and no frame has come since."""
        self.bars.forget()
        self.caption.set_remark(WAITING)

    def show_answer(self, answer: Answer) -> None:
        """Show for how long the state has been carried, and what is in it."""
        self.caption.set_remark(state_words(answer))
        self.bars.set_values(answer.result.density, answer.result.membrane)

    @Slot(int)
    def _mode_clicked(self, index: int) -> None:
        self.mode_wanted.emit(list(_MODES)[index])


def _segment(mode: StateMode) -> QPushButton:
    words, tip = _MODES[mode]
    button = QPushButton(words)
    button.setObjectName("segment")
    button.setProperty("side", "left" if mode == "carry" else "right")
    button.setCheckable(True)
    button.setToolTip(tip)
    return button


class LayerBars(Painted):
    """One bar a layer: the share of its neurons that spiked, and a mark at its mean membrane."""

    def __init__(self) -> None:
        super().__init__()
        self.density: FloatArray | None = None
        self.membrane: FloatArray | None = None
        self._layers: tuple[str, ...] = ()
        self._threshold = 1.0
        self.setMinimumSize(120, 44)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return room for bars that can be told apart."""
        return QSize(300, 70)

    def set_model(self, card: ModelCard | None) -> None:
        """Fit to a model's layers, and show no values."""
        self._layers = () if card is None else tuple(card.states)
        self._threshold = 1.0 if card is None else card.neuron.threshold
        self.forget()

    def forget(self) -> None:
        """Show no values."""
        self.density, self.membrane = None, None
        self.update()

    def set_values(self, density: FloatArray, membrane: FloatArray) -> None:
        """Show float [layers that spike], 0..1, and float [layers], in the order of the model's card."""
        self.density, self.membrane = density, membrane
        self.update()

    def boxes(self) -> list[QRectF]:
        """Return where the bars are."""
        count = max(len(self._layers), 1)
        step = self.width() / count
        width = min(max(step * 0.62, 3.0), 22.0)
        height = self.height() - _LEGEND
        return [QRectF((i + 0.5) * step - width / 2, 0, width, height) for i in range(len(self._layers))]

    def tip_at(self, place: QPointF) -> str:
        """Return a layer's name and its two numbers."""
        if not self._layers or place.y() > self.height() - _LEGEND:
            return f"Bars: neurons that spiked in the last frame; a full bar is {100 * FULL_DENSITY:.0f} %.\n{_SCALE}"
        index = min(int(place.x() * len(self._layers) / self.width()), len(self._layers) - 1)
        words = [self._layers[index].replace(".", " · ")]
        if self.density is not None and index < len(self.density):
            words.append(f"{100 * self.density[index]:.1f} % of its neurons spiked")
        if self.membrane is not None and index < len(self.membrane):
            words.append(f"mean membrane {self.membrane[index]:.3f}, threshold {self._threshold:g}")
        return "\n".join(words)

    def paint(self, painter: QPainter) -> None:
        """Paint the bars and what they mean."""
        boxes = self.boxes()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(style.RAISED))
        for box in boxes:
            painter.drawRoundedRect(box, 2, 2)
        painter.setBrush(QColor(style.ACCENT))
        for box, share in zip(boxes, self.density if self.density is not None else (), strict=False):
            filled = min(float(share) / FULL_DENSITY, 1.0) * box.height()
            painter.drawRoundedRect(box.adjusted(0, box.height() - filled, 0, 0), 2, 2)
        painter.setPen(QPen(QColor(style.WARNING), 2.0))
        for box, mean in zip(boxes, self.membrane if self.membrane is not None else (), strict=False):
            y = box.bottom() - 1 - membrane_height(float(mean), self._threshold) * (box.height() - 2)
            painter.drawLine(QPointF(box.left() - 2, y), QPointF(box.right() + 2, y))
        self._paint_legend(painter)

    def _paint_legend(self, painter: QPainter) -> None:
        painter.setFont(style.text_font(11))
        middle = self.height() - _LEGEND / 2 + 2
        x = 0.0
        for words, colour, height in (
            ("spiking neurons", style.ACCENT, 8),
            ("mean membrane", style.WARNING, 2),
        ):
            painter.fillRect(QRectF(x, middle - height / 2, 10, height), QColor(colour))
            painter.setPen(QColor(style.FAINT))
            painter.drawText(QRectF(x + 15, middle - _LEGEND / 2, self.width(), _LEGEND), LEFT, words)
            x += 15 + painter.fontMetrics().horizontalAdvance(words) + 14


_SCALE = (
    "Marks: the mean membrane potential; the middle is zero, the top the threshold, the bottom minus that."
)


def membrane_height(mean: float, threshold: float) -> float:
    """Return where a mean membrane is on its scale: 0 at −threshold or below, 1 at the threshold or above."""
    return min(max((mean / threshold + 1) / 2, 0.0), 1.0)


def state_words(answer: Answer) -> str:
    """Say for how long the state has been carried, and why it was last reset."""
    carried = answer.result.carried
    count = "1 frame" if carried == 1 else f"{carried:,} frames"
    if answer.reset_by:
        return f"reset by {answer.reset_by}, {count} ago"
    return f"carried for {count}"
