"""Choosing a source in the window: file, camera, stream, demo, recent ones, and dropped files."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QListWidget, QListWidgetItem, QWidget

from livesnn.app import style
from livesnn.app.menus import SIMULATED, another_scene, knows_people
from livesnn.app.player import Demo, Player, demo, turning_demo
from livesnn.app.session_display import WindowLayout
from livesnn.app.settings import SettingsFile, with_recent
from livesnn.app.widgets.basics import Dialog, dialog_button, fill, help_button, line_edit, note
from livesnn.errors import LivesnnError, ModelError
from livesnn.events.cameras.driver import Device
from livesnn.events.formats.registry import parse_recording_path
from livesnn.files import expanded
from livesnn.infer.model import DEFAULT_MODEL, only_model_for, read_card
from livesnn.paths import recordings_dir
from livesnn.sources import discover, is_live
from livesnn.threads import Latest, Worker

FILE_FILTER = (
    "Recordings (*.aedat4 *.aedat *.raw *.dat *.bin *.es *.npz *.csv *.txt *.h5 *.hdf5);;"
    "Videos (*.avi *.mp4 *.mov *.m4v *.mkv *.webm);;All files (*)"
)
SCHEME = "tcp://"
POLL_MS = 50
LOOKING = "Looking for cameras …"
NO_CAMERA = (
    "No event camera was found. Plug one in, or check its cable, then search again. Linux also needs permission to "
    "use it: “?” says how."
)
OR_WEBCAM = " You can also use a webcam: livesnn turns its pictures into events."
Tell = Callable[[str], None]
_STREAM_HINT = (
    "The address of a program that sends events: a dv-processing NetworkWriter, or DV's “Network output”."
)


class SourceChooser:
    """Asks for a source and plays it; keeps the recent ones in the settings.

    ``play`` is called with the source, and with the name of a model if the source needs that one.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        settings: SettingsFile,
        play: Callable[[str, str | None], None],
    ) -> None:
        self._window = window
        self._player = player
        self._settings = settings
        self._play = play
        self.folder = recordings_dir()  # where the file dialog starts

    def slots(self) -> dict[str, Callable[..., object]]:
        """Return what the actions that open a source do."""
        return {
            "open": self.choose_file,
            "camera": self.choose_camera,
            "webcam": self.choose_webcam,
            "stream": self.choose_stream,
            "demo": lambda: self._watch(demo()),
            "turning": lambda: self._watch(turning_demo()),
            "another": lambda: self.watch_scene(another_scene(self._player.source)),
        }

    def choose_file(self) -> None:
        """Ask for a recording."""
        dialog = QFileDialog(self._window, "Open a recording", str(self.folder), FILE_FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self._open)
        self._window.show_dialog(dialog)

    def choose_camera(self) -> None:
        """Ask which camera."""
        dialog = CameraDialog(self._window)
        dialog.chosen.connect(self._open)
        self._window.show_dialog(dialog)

    def choose_webcam(self) -> None:
        """Use the only webcam; where there are several, or the system lists none, ask which."""
        dialog = CameraDialog(self._window, discover=listed_webcams, words=OF_WEBCAMS)
        dialog.chosen.connect(self._open)
        self._window.show_dialog(dialog)

    def watch_scene(self, source: str) -> None:
        """Play a simulated scene with the model that it needs; the chosen one, if that knows people."""
        needed = only_model_for(source)
        with suppress(ModelError):
            if needed is None and not knows_people(read_card(self._player.chosen)):
                needed = DEFAULT_MODEL
        self._play(source, needed)

    def choose_stream(self) -> None:
        """Ask for the address of a stream, and propose the last one."""
        streams = [source for source in self._settings.now.recent if source.startswith(SCHEME)]
        dialog = StreamDialog(streams[0] if streams else "tcp://localhost:7777", self._window)
        dialog.chosen.connect(self._open)
        self._window.show_dialog(dialog)

    def _watch(self, shown: Demo | None) -> None:
        if shown is None:
            self._window.banner.show_message(
                "This demo's recording or model is missing: reinstall livesnn", "error"
            )
        else:
            self._play(shown.source, shown.model)

    def _open(self, source: str) -> None:
        self._play(source, None)

    def visit(self, source: str) -> None:
        """Let the next file dialog start at this source's folder."""
        folder = parse_recording_path(expanded(source)).file.absolute().parent
        if not is_live(source) and folder.is_dir():
            self.folder = folder

    def remember(self, source: str) -> None:
        """Add a source that could be opened to the recent ones, unless the menu always has it."""
        if not is_live(source):
            source = str(expanded(source).absolute())
        shown = demo()
        if not source.startswith(SIMULATED) and (shown is None or source != shown.source):
            self._settings.change(recent=with_recent(self._settings.now.recent, source))


def readable_source(source: str) -> str:
    """Return a source as a person reads it: of a file, the name and the folder."""
    if is_live(source):
        return source
    recording = parse_recording_path(Path(source))
    folder = recording.file.parent
    return f"{recording.name}   ({folder.name or folder})"


class StreamDialog(Dialog):
    """Asks for the address of a network stream."""

    chosen = Signal(str)  # tcp://HOST:PORT

    def __init__(self, address: str, parent: QWidget | None = None) -> None:
        super().__init__("Network stream", parent)
        self.address = line_edit(address, "tcp://localhost:7777", "Address of the stream", least_width=380)
        self.address.selectAll()
        self.column.addWidget(note(_STREAM_HINT, 14))
        self.column.addWidget(self.address)
        self._connect = self.add_buttons("Connect")
        self.address.textChanged.connect(self._typed)
        self._typed(address)

    def accept(self) -> None:
        """Emit the address."""
        text = self.address.text().strip()
        self.chosen.emit(text if text.startswith(SCHEME) else SCHEME + text)
        super().accept()

    @Slot(str)
    def _typed(self, text: str) -> None:
        self._connect.setEnabled(bool(text.strip().removeprefix(SCHEME)))


_Found = tuple[list[Device], str]
"""Cameras, and why others may be missing; "": none are."""


class Words(NamedTuple):
    """What a dialog that lists cameras says."""

    title: str
    looking: str
    choose: str
    only: bool  # whether the only one is chosen at once
    page: str  # of the documentation


OF_CAMERAS = Words("Connect a camera", LOOKING, "Choose a camera:", False, "cameras.md#event-cameras")
OF_WEBCAMS = Words(
    "Use a webcam",
    "Looking for webcams …",
    "Which webcam should livesnn turn into events?",
    True,
    "cameras.md#webcams",
)
NO_WEBCAM = "No webcam was found. Plug one in, close other programs that use it, then search again."
UNLISTED = 4  # webcams to choose from where the system lists none


def listed_webcams(tell: Tell) -> list[Device]:
    """Return the webcams that the system lists; where it never does, the first numbers."""
    from livesnn.video.webcam import webcams  # with OpenCV, a quarter of a second

    if sys.platform != "linux":
        numbers = range(UNLISTED)
        return [Device("webcam", f"webcam:{number}", f"Webcam {number + 1}", "", None) for number in numbers]
    found = webcams()
    if not found:
        tell(NO_WEBCAM)
    return found


class CameraDialog(Dialog):
    """Lists the connected cameras. They are found in a thread, because USB can be slow.

    ``discover`` returns them, and passes on why it couldn't look for some.
    """

    chosen = Signal(str)  # camera:SERIAL, webcam:NUMBER

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        discover: Callable[[Tell], list[Device]] = discover,
        words: Words = OF_CAMERAS,
    ) -> None:
        super().__init__(words.title, parent)
        self._discover = discover
        self._words = words
        self._found: Latest[_Found] = Latest()
        self._worker: Worker | None = None
        self.note = note(words.looking, 14)
        self.cameras = QListWidget()
        self.cameras.setFont(style.text_font(15))
        self.cameras.setMinimumSize(420, 130)
        self.cameras.itemDoubleClicked.connect(self.accept)
        self._again = dialog_button("Search again", self.look)
        self.column.addWidget(self.note)
        self.column.addWidget(self.cameras)
        below = fill(QHBoxLayout(), self._again, help_button(words.page, "cameras"), spacing=8)
        below.addStretch(1)
        self.column.addLayout(below)
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
        self.note.setText(self._words.looking)
        self._connect.setEnabled(False)
        self._again.setEnabled(False)
        found: Latest[_Found] = Latest()  # its own: an abandoned search may still find something
        self._found = found

        def search(stop: threading.Event) -> None:
            why: list[str] = []
            found.put((self._discover(why.append), " ".join(why)))

        def fail(error: BaseException) -> None:
            known = isinstance(error, LivesnnError)
            found.put(([], str(error) if known else f"{NO_CAMERA} ({error})"))

        self._worker = Worker("discover", search, on_error=fail).start()
        self._timer.start(POLL_MS)

    def accept(self) -> None:
        """Emit the chosen camera."""
        if self.cameras.currentRow() >= 0:
            self.chosen.emit(self.cameras.currentItem().data(Qt.ItemDataRole.UserRole))
            super().accept()

    @Slot()
    def _poll(self) -> None:
        found = self._found.take()
        if found is None:
            return
        devices, why = found
        self._timer.stop()
        self._again.setEnabled(True)
        if any(device.kind != "webcam" for device in devices) or (devices and self._words.only):
            self.note.setText(self._words.choose)
        elif self._words.only:
            self.note.setText(why)
        else:
            self.note.setText((why or NO_CAMERA) + OR_WEBCAM * bool(devices))
        for device in devices:
            item = QListWidgetItem(f"{device.name}   {device.serial}")
            item.setData(Qt.ItemDataRole.UserRole, device.uri)
            self.cameras.addItem(item)
        self.cameras.setCurrentRow(0)
        self._connect.setEnabled(bool(devices))
        if self._words.only and len(devices) == 1:
            self.accept()

    @Slot()
    def _stop(self) -> None:
        self._timer.stop()
        if self._worker is not None:
            self._worker.close(timeout_s=0)  # a search of USB can't be stopped
