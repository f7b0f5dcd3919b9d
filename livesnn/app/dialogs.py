"""Small dialogs: camera, stream, how to record, shortcuts, about. Not here: the model's (model_dialog.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from livesnn import __version__
from livesnn.app.actions import MENUS, listed
from livesnn.app.look import style
from livesnn.app.settings import MOST_LABELS
from livesnn.app.widgets.parts import ChoiceBox, label
from livesnn.errors import LivesnnError
from livesnn.events.cameras.driver import Device
from livesnn.sources import discover
from livesnn.threads import Latest, Worker

SCHEME = "tcp://"
POLL_MS = 50
LOOKING = "Looking for cameras …"
NO_CAMERA = (
    "No event camera was found. Plug it in, or look at its cable; on Linux it also needs permission to be used: "
    "see “Cameras” in the README. Then look again."
)
OR_WEBCAM = " Or take a webcam, whose pictures become events."
Tell = Callable[[str], None]
PRE_ROLLS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
_STREAM_HINT = "Where another program offers events: a dv-processing NetworkWriter, or DV's “Network output”."
_PRE_ROLL_HINT = (
    "A recording begins this long before the button is pressed. Events wait in memory, 128 MB at most."
)
_LABELS_HINT = (
    "While you record, the keys 1 to 9 begin a label; the same key again ends it. They are written to a table "
    "beside the recording, which livesnn train reads."
)
_TOO_MANY = f"These are {{count}} labels, and there are keys for {MOST_LABELS}: leave some out."
_ABOUT = "Real-time event-camera recognition with a stateful spiking network (STS-ResNet)."
_LICENCE = "Apache-2.0. It sends nothing anywhere."


class Dialog(QDialog):
    """A dialog with a heading, shown with `open`, so that the window goes on playing."""

    def __init__(self, title: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(24, 20, 24, 20)
        self.column.setSpacing(14)
        self.column.addWidget(label(title, style.text_font(19, weight=QFont.Weight.DemiBold), wrap=True))

    def add_buttons(self, accept: str) -> QPushButton:
        """Add a button that accepts, with these words, and one that cancels; return the first."""
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        button = box.addButton(accept, QDialogButtonBox.ButtonRole.AcceptRole)
        button.setObjectName("primary")
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.column.addWidget(box)
        self.cancel = box.button(QDialogButtonBox.StandardButton.Cancel)
        self.cancel.setAutoDefault(False)  # Enter is for the other
        button.setDefault(True)
        return button

    def add_close(self) -> None:
        """Add a button that closes it."""
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        box.rejected.connect(self.reject)
        self.column.addWidget(box)


class StreamDialog(Dialog):
    """Asks for the address of a network stream."""

    chosen = Signal(str)  # tcp://HOST:PORT

    def __init__(self, address: str, parent: QWidget | None = None) -> None:
        super().__init__("Network stream", parent)
        self.address = QLineEdit(address)
        self.address.setFont(style.text_font(15))
        self.address.setPlaceholderText("tcp://localhost:7777")
        self.address.setAccessibleName("Address of the stream")
        self.address.setMinimumWidth(380)
        self.address.selectAll()
        self.column.addWidget(label(_STREAM_HINT, style.text_font(14), "soft", wrap=True))
        self.column.addWidget(self.address)
        self._connect = self.add_buttons("Connect")
        self.address.textChanged.connect(self._typed)
        self._typed(address)

    def accept(self) -> None:
        """Say which address was given."""
        text = self.address.text().strip()
        self.chosen.emit(text if text.startswith(SCHEME) else SCHEME + text)
        super().accept()

    @Slot(str)
    def _typed(self, text: str) -> None:
        self._connect.setEnabled(bool(text.strip().removeprefix(SCHEME)))


class _Found(NamedTuple):
    """Cameras, and why there may be others; "" where that isn't so."""

    devices: list[Device]
    why: str


class CameraDialog(Dialog):
    """Shows the cameras that are plugged in, found in a thread of its own: USB can take its time.

    ``discover`` returns them, and tells why some can't be looked for.
    """

    chosen = Signal(str)  # camera:SERIAL, webcam:NUMBER

    def __init__(
        self, parent: QWidget | None = None, *, discover: Callable[[Tell], list[Device]] = discover
    ) -> None:
        super().__init__("Connect a camera", parent)
        self._discover = discover
        self._found: Latest[_Found] = Latest()
        self._worker: Worker | None = None
        self.note = label(LOOKING, style.text_font(14), "soft", wrap=True)
        self.cameras = QListWidget()
        self.cameras.setFont(style.text_font(15))
        self.cameras.setMinimumSize(420, 130)
        self.cameras.itemDoubleClicked.connect(self.accept)
        self._again = QPushButton("Look again")
        self._again.clicked.connect(self.look)
        self.column.addWidget(self.note)
        self.column.addWidget(self.cameras)
        self.column.addWidget(self._again, alignment=Qt.AlignmentFlag.AlignLeft)
        self._connect = self.add_buttons("Connect")
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._poll)
        self.finished.connect(self._stop)
        self.look()

    @Slot()
    def look(self) -> None:
        """Look for cameras again."""
        self._stop()
        self.cameras.clear()
        self.note.setText(LOOKING)
        self._connect.setEnabled(False)
        self._again.setEnabled(False)
        found: Latest[_Found] = Latest()  # its own: a search given up may still find something
        self._found = found
        self._worker = Worker(
            "discover", partial(self._search, found), on_error=partial(_fail, found)
        ).start()
        self._timer.start(POLL_MS)

    def accept(self) -> None:
        """Say which camera was chosen."""
        if self.cameras.currentRow() >= 0:
            self.chosen.emit(self.cameras.currentItem().data(Qt.ItemDataRole.UserRole))
            super().accept()

    def _search(self, found: Latest[_Found], _stop: threading.Event) -> None:
        why: list[str] = []
        found.put(_Found(self._discover(why.append), " ".join(why)))

    @Slot()
    def _poll(self) -> None:
        found = self._found.take()
        if found is None:
            return
        self._timer.stop()
        self._again.setEnabled(True)
        if any(device.kind != "webcam" for device in found.devices):
            self.note.setText("Choose one:")
        else:
            self.note.setText((found.why or NO_CAMERA) + OR_WEBCAM * bool(found.devices))
        self._show(found.devices)

    def _show(self, found: Iterable[Device]) -> None:
        for device in found:
            item = QListWidgetItem(f"{device.name}   {device.serial}")
            item.setData(Qt.ItemDataRole.UserRole, device.uri)
            self.cameras.addItem(item)
        if self.cameras.count():
            self.cameras.setCurrentRow(0)
            self._connect.setEnabled(True)

    @Slot()
    def _stop(self) -> None:
        self._timer.stop()
        if self._worker is not None:
            self._worker.close(timeout_s=0)  # USB has no way to be told


def _fail(found: Latest[_Found], error: BaseException) -> None:
    found.put(_Found([], str(error) if isinstance(error, LivesnnError) else f"{NO_CAMERA} ({error})"))


class RecordingDialog(Dialog):
    """Asks for the pre-roll, and for what is labelled."""

    chosen = Signal(float, list)  # s, [label]

    def __init__(self, pre_roll_s: float, labels: Iterable[str], parent: QWidget | None = None) -> None:
        super().__init__("Pre-roll and labels", parent)
        self.pre_roll = ChoiceBox("Pre-roll")
        for seconds in sorted({*PRE_ROLLS_S, pre_roll_s}):
            self.pre_roll.addItem(f"{seconds:g} s" if seconds else "None", seconds)
        self.pre_roll.setCurrentIndex(self.pre_roll.findData(pre_roll_s))
        self.labels = QLineEdit(", ".join(labels))
        self.labels.setFont(style.text_font(15))
        self.labels.setPlaceholderText("wave, clap, point")
        self.labels.setAccessibleName("Labels, with commas between them")
        self.labels.setMinimumWidth(440)
        self.hint = label(_LABELS_HINT, style.text_font(13), "soft", wrap=True)
        for name, asked, hint in (
            ("Pre-roll", self.pre_roll, label(_PRE_ROLL_HINT, style.text_font(13), "soft", wrap=True)),
            ("Labels", self.labels, self.hint),
        ):
            self.column.addWidget(label(name, style.text_font(14, weight=QFont.Weight.DemiBold)))
            self.column.addWidget(asked)
            self.column.addWidget(hint)
        self._keep = self.add_buttons("Keep")
        self.labels.textChanged.connect(self._typed)

    def accept(self) -> None:
        """Say what was chosen."""
        self.chosen.emit(self.pre_roll.currentData(), _listed(self.labels.text()))
        super().accept()

    @Slot(str)
    def _typed(self, text: str) -> None:
        count = len(_listed(text))
        self._keep.setEnabled(count <= MOST_LABELS)
        self.hint.setText(_LABELS_HINT if count <= MOST_LABELS else _TOO_MANY.format(count=count))


def _listed(text: str) -> list[str]:
    """Return what stands between commas, each once."""
    return list(dict.fromkeys(part for each in text.split(",") if (part := each.strip())))


class ShortcutsDialog(Dialog):
    """Every action with its shortcut, by menu."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Shortcuts", parent)
        columns = QHBoxLayout()
        columns.setSpacing(40)
        for menus in (MENUS[:2], MENUS[2:3], MENUS[3:]):
            column = QVBoxLayout()
            for menu in menus:
                column.addLayout(_shortcuts_of(menu))
            column.addStretch(1)
            columns.addLayout(column)
        self.column.addLayout(columns)
        self.add_close()


def _shortcuts_of(menu: str) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(18)
    grid.setVerticalSpacing(7)
    grid.setContentsMargins(0, 0, 0, 14)
    grid.setColumnStretch(0, 1)
    grid.addWidget(label(menu, style.text_font(12, weight=QFont.Weight.DemiBold), "soft"), 0, 0, 1, 2)
    for row, (name, key) in enumerate(listed(menu), start=1):
        grid.addWidget(label(name, style.text_font(13)), row, 0)
        grid.addWidget(label(key, style.text_font(13), "soft"), row, 1, Qt.AlignmentFlag.AlignRight)
    return grid


class AboutDialog(Dialog):
    """What livesnn is, and which."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(f"livesnn {__version__}", parent)
        self.column.addWidget(label(_ABOUT, style.text_font(14), wrap=True))
        self.column.addWidget(label(_LICENCE, style.text_font(14), "soft", wrap=True))
        self.add_close()
        self.setMinimumWidth(420)
