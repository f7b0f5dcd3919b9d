"""Asking a person for a source: file, camera, stream, demo, recent ones, drops. Not here: playing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QMimeData
from PySide6.QtWidgets import QFileDialog

from livesnn.app.dialogs import SCHEME, CameraDialog, StreamDialog
from livesnn.app.layout import WindowLayout
from livesnn.app.player import SIMULATION, TURNING, Demo, demo, turning_demo
from livesnn.app.settings import Settings, with_recent
from livesnn.events.formats.registry import parse_recording_path
from livesnn.files import expanded
from livesnn.paths import recordings_dir
from livesnn.sources import is_live

WEBCAM = "webcam:0"
FILE_FILTER = (
    "Recordings (*.aedat4 *.aedat *.raw *.dat *.bin *.es *.npz *.csv *.txt *.h5 *.hdf5);;"
    "Videos (*.avi *.mp4 *.mov *.m4v *.mkv *.webm);;All files (*)"
)


class SourceChooser:
    """Asks, and passes on what was answered.

    Parameters
    ----------
    window
        Owner of the dialogs.
    settings
        Keeps the recent sources.
    play
        Called with the source, and with a model's name where the source needs one.
    """

    def __init__(
        self, window: WindowLayout, settings: Settings, play: Callable[[str, str | None], None]
    ) -> None:
        self._window = window
        self._settings = settings
        self._play = play
        self.folder = recordings_dir()  # where the file dialog starts

    def slots(self) -> dict[str, Callable[..., None]]:
        """Return what to do for the actions that are here."""
        return {
            "open": self.choose_file,
            "camera": self.choose_camera,
            "webcam": lambda: self.open(WEBCAM),
            "stream": self.choose_stream,
            "demo": lambda: self._watch(demo()),
            "turning": lambda: self._watch(turning_demo()),
        }

    def choose_file(self) -> None:
        """Ask for a recording."""
        dialog = QFileDialog(self._window, "Open a recording", str(self.folder), FILE_FILTER)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.open)
        self._window.show_dialog(dialog)

    def choose_camera(self) -> None:
        """Ask which camera."""
        dialog = CameraDialog(self._window)
        dialog.chosen.connect(self.open)
        self._window.show_dialog(dialog)

    def choose_stream(self) -> None:
        """Ask for the address of a stream, the last one being proposed."""
        streams = [source for source in self._settings.now.recent if source.startswith(SCHEME)]
        dialog = StreamDialog(streams[0] if streams else "tcp://localhost:7777", self._window)
        dialog.chosen.connect(self.open)
        self._window.show_dialog(dialog)

    def _watch(self, shown: Demo | None) -> None:
        """Play what shows livesnn without a camera."""
        if shown is None:
            self._window.banner.show_error(
                "There is no such demo: this installation lacks recordings or models, install it again"
            )
        else:
            self._play(shown.source, shown.model)

    def open(self, source: str) -> None:
        """Play a source that a person named."""
        self._play(source, None)

    def visit(self, source: str) -> None:
        """Start the next file dialog where this source is."""
        folder = parse_recording_path(expanded(source)).file.absolute().parent
        if not is_live(source) and folder.is_dir():
            self.folder = folder

    def remember(self, source: str) -> None:
        """Keep a source that could be opened among the recent ones; those of the menu are always there."""
        if not is_live(source):
            source = str(expanded(source).absolute())
        shown = demo()
        if source not in (SIMULATION, TURNING, WEBCAM) and (shown is None or source != shown.source):
            self._settings.change(recent=with_recent(self._settings.now.recent, source))


def dropped_file(mime: QMimeData) -> str | None:
    """Return the first file in what is dragged; None: there is none."""
    return next((url.toLocalFile() for url in mime.urls() if url.isLocalFile()), None)


def readable_source(source: str) -> str:
    """Return a source as a person knows it: a file by its name and folder."""
    if is_live(source):
        return source
    recording = parse_recording_path(Path(source))
    folder = recording.file.parent
    return f"{recording.name}   ({folder.name or folder})"
