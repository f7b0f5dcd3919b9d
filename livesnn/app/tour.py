"""The tour of the first start: five steps, each a card beside a part of the window, which goes on playing."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.session_display import WindowLayout
from livesnn.app.widgets.basics import STRETCH, button, fill, label, note

WIDTH = 340  # of the card, pixels
GAP = 12  # between the card and the part, pixels


def stops(window: WindowLayout) -> tuple[tuple[QWidget, str, str], ...]:
    """Return for each step a part of the window, and what a newcomer should know about it: a title, and words."""
    return (
        (
            window.view,
            "What the camera sees",
            "Each dot is an event: a pixel saw its brightness change. Orange is brighter, blue is darker. "
            "You need no camera: the demo simulates a person.",
        ),
        (
            window.readout,
            "What the network says",
            "The decision is at the top, with its confidence. Below it are the probabilities of all classes over "
            "the last ten seconds.",
        ),
        (
            window.header.open,
            "Open your own",
            "Choose a recording, an event camera or a webcam here, or drop a file on the window. "
            "“Demo scenes” lists everything that can be simulated.",
        ),
        (
            window.transport,
            "Play, record, teach",
            "Space pauses. The button with the dot records a live source to a file. "
            "Ctrl+G teaches the network a gesture of your own.",
        ),
        (
            window.header.model,
            "Make it yours",
            "Choose another model here. The settings (Ctrl+,) have everything else. F1 lists the shortcuts. "
            "A “?” beside a panel opens its page of the documentation.",
        ),
    )


class Tour(QFrame):
    """A card that goes from part to part; it takes no key until a person tabs to it."""

    def __init__(self, window: WindowLayout) -> None:
        super().__init__(window)
        self.setObjectName("tour")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._window, self._stops = window, stops(window)
        self.step = 0
        self._outline = QFrame(window)
        self._outline.setObjectName("outline")
        self._outline.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.count = label("", style.bold_font(12), "faint")
        self.title = label("", style.bold_font(18), wrap=True)
        self.words = note("", 14)
        self.skip = button("Skip the tour", height=32, do=self.end)
        self.back = button("Back", height=32, do=lambda: self._show(self.step - 1))
        self.next = button("Next", height=32, name="primary", do=lambda: self._show(self.step + 1))
        row = fill(QHBoxLayout(), self.skip, STRETCH, self.back, self.next, spacing=8)
        parts = (self.count, self.title, self.words, 6, row)
        fill(QVBoxLayout(self), *parts, spacing=6, margins=(18, 14, 18, 14))
        self.setFixedWidth(WIDTH)
        self.hide()
        self._outline.hide()

    @Slot()
    def begin(self) -> None:
        self._window.installEventFilter(self)
        self._show(0)

    @Slot()
    def end(self) -> None:
        self._window.removeEventFilter(self)
        self.hide()
        self._outline.hide()
        self._window.settings.change(toured=True)

    def _show(self, step: int) -> None:
        if step == len(self._stops):
            self.end()
            return
        self.step = step
        _, title, words = self._stops[step]
        self.count.setText(f"{step + 1} of {len(self._stops)}")
        self.title.setText(title)
        self.words.setText(words)
        last = step + 1 == len(self._stops)
        self.skip.setVisible(not last)
        self.back.setVisible(step > 0)
        self.next.setText("Done" if last else "Next")
        for part in (self._outline, self):
            part.show()
            part.raise_()
        self._place()

    def _place(self) -> None:
        part, _, _ = self._stops[self.step]
        around = QRect(part.mapTo(self._window, QPoint()), part.size())
        self._outline.setGeometry(around.adjusted(-4, -4, 4, 4))
        self.resize(WIDTH, self.heightForWidth(WIDTH))
        self.move(beside(around, QRect(QPoint(), self.size()), self._window.rect()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._place()
        return super().eventFilter(watched, event)


def beside(part: QRect, card: QRect, window: QRect) -> QPoint:
    """Return where a card is best put: below the part, right, left or above where it fits, else in its corner."""
    room = window.adjusted(GAP, GAP, -GAP - card.width(), -GAP - card.height())  # for its corner
    along_x = min(max(part.left(), room.left()), room.right())
    along_y = min(max(part.top(), room.top()), room.bottom())
    for place in (
        QPoint(along_x, part.bottom() + GAP),
        QPoint(part.right() + GAP, along_y),
        QPoint(part.left() - GAP - card.width(), along_y),
        QPoint(along_x, part.top() - GAP - card.height()),
    ):
        if room.contains(place):
            return place
    return QPoint(along_x, room.bottom())
