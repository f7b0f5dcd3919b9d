"""Choosing a source in the window: file, camera, stream, demo and recent ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QInputDialog, QListWidget, QListWidgetItem, QWidget

from livesnn.app import style
from livesnn.app.demo import model_for
from livesnn.app.player import folder_of
from livesnn.app.settings import with_recent
from livesnn.app.widgets.basics import FILE_FILTER, STRETCH, Dialog, dialog_button, fill, help_button, note
from livesnn.app.window_layout import WindowLayout
from livesnn.errors import LivesnnError
from livesnn.events.cameras.driver import Device
from livesnn.files import expanded
from livesnn.paths import recordings_dir
from livesnn.progress import Notify
from livesnn.session.camera_settings import SIMULATED
from livesnn.session.session import source_name
from livesnn.sources import discover, is_live
from livesnn.threads import Worker

SCHEME = "tcp://"
POLL_MS = 50
LOOKING = "Looking for cameras …"
NO_CAMERA = (
    "No event camera was found. Plug one in, or check its cable, then search again. Linux also needs permission to "
    "use it: “?” says how."
)
OR_WEBCAM = " You can also use a webcam: livesnn turns its pictures into events."
_STREAM_HINT = "The address of a program that sends events:\na dv-processing NetworkWriter, or DV's “Network output”."


class SourceChooser:
    """Asks for a source and plays it; keeps the recent ones in the settings."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player, self._settings = window, window.player, window.settings
        self.folder = recordings_dir()  # where the file dialog starts

    def choose_file(self) -> None:
        dialog = QFileDialog(self._window, "Open a recording", str(self.folder), FILE_FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._open)
        self._window.show_dialog(dialog)

    def choose_camera(self) -> None:
        dialog = CameraDialog(self._window)
        dialog.chosen.connect(self._open)
        self._window.show_dialog(dialog)

    def use_webcam(self) -> None:
        self._open("webcam")

    def choose_stream(self) -> None:
        streams = (source for source in self._settings.now.recent if source.startswith(SCHEME))
        dialog = QInputDialog(self._window)
        dialog.setWindowTitle("Network stream")
        dialog.setLabelText(_STREAM_HINT)
        dialog.setTextValue(next(streams, "tcp://localhost:7777"))
        dialog.setOkButtonText("Connect")
        dialog.textValueSelected.connect(self._connect)
        self._window.show_dialog(dialog)

    def _connect(self, typed: str) -> None:
        if address := typed.strip().removeprefix(SCHEME):
            self._open(SCHEME + address)

    def watch(self, scene: str) -> None:
        """Play a simulated scene with the model that it needs; the chosen one, if that knows it."""
        self._window.open_requested.emit(scene, model_for(scene, self._player.models.chosen_name))

    def _open(self, source: str) -> None:
        self._window.open_requested.emit(source, None)

    def visit(self, source: str) -> None:
        if (folder := folder_of(source)) is not None and folder.is_dir():
            self.folder = folder

    def remember(self, source: str) -> None:
        """Add a source that could be opened to the recent ones, unless the menu always has it."""
        if not is_live(source):
            source = str(expanded(source).absolute())
        if not source.startswith(SIMULATED):
            self._settings.update(lambda now: replace(now, recent=with_recent(now.recent, source)))


def readable_source(source: str) -> str:
    folder = folder_of(source)
    return source if folder is None else f"{source_name(source)}   ({folder.name or folder})"


class CameraDialog(Dialog):
    """Lists the connected cameras. They are found in a thread, because USB can be slow.

    ``discover`` returns them, and passes on why it couldn't look for some.
    """

    chosen = Signal(str)  # camera:SERIAL, webcam:NUMBER

    def __init__(
        self, parent: QWidget | None = None, *, discover: Callable[[Notify], list[Device]] = discover
    ) -> None:
        super().__init__("Connect a camera", parent)
        self._discover = discover
        self._worker: Worker | None = None
        self.note = note(LOOKING, 14)
        self.cameras = QListWidget()
        self.cameras.setFont(style.text_font(15))
        self.cameras.setMinimumSize(420, 130)
        self.cameras.itemDoubleClicked.connect(self.accept)
        self._again = dialog_button("Search again", self.look)
        below = (self._again, help_button("cameras.md#event-cameras", "cameras"), STRETCH)
        self.put(self.note, self.cameras, fill(QHBoxLayout(), *below, spacing=8))
        self._connect = self.add_buttons("Connect")
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._poll)
        self.finished.connect(self._stop)
        self.look()

    @Slot()
    def look(self) -> None:
        self._stop()
        self.cameras.clear()
        self.note.setText(LOOKING)
        self._connect.setEnabled(False)
        self._again.setEnabled(False)
        found: list[Device] = []  # its own: an abandoned search may still find something
        why: list[str] = []  # others may be missing
        self._found, self._why = found, why

        def search(stop: threading.Event) -> None:
            found.extend(self._discover(why.append))

        self._worker = Worker("discover", search).start()
        self._timer.start(POLL_MS)

    def accept(self) -> None:
        if self.cameras.currentRow() >= 0:
            self.chosen.emit(self.cameras.currentItem().data(Qt.ItemDataRole.UserRole))
            super().accept()

    @Slot()
    def _poll(self) -> None:
        if self._worker is None or self._worker.running:
            return
        devices, why, error = self._found, " ".join(self._why), self._worker.error
        if error is not None:
            why = str(error) if isinstance(error, LivesnnError) else f"{NO_CAMERA} ({error})"
        self._timer.stop()
        self._again.setEnabled(True)
        if any(device.kind != "webcam" for device in devices):
            self.note.setText("Choose a camera:")
        else:
            self.note.setText((why or NO_CAMERA) + OR_WEBCAM * bool(devices))
        for device in devices:
            item = QListWidgetItem(f"{device.name}   {device.serial}")
            item.setData(Qt.ItemDataRole.UserRole, device.uri)
            self.cameras.addItem(item)
        self.cameras.setCurrentRow(0)
        self._connect.setEnabled(bool(devices))

    @Slot()
    def _stop(self) -> None:
        self._timer.stop()
        if self._worker is not None:
            self._worker.close(timeout_s=0)  # a search of USB can't be stopped
