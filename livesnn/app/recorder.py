"""Recording what is live: asking where to, saying how it goes and what became of it. Not here: the file (tape.py)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog

from livesnn.app.layout import WindowLayout
from livesnn.app.playing.faults import in_words
from livesnn.app.playing.player import Player
from livesnn.events.tape import Tape

SUFFIX = ".aedat4"
ON, OFF = "Stop recording", "Record …"
HOW = "Write what arrives to a file, while it plays"
LIVE_ALONE = "Only what is live can be recorded: open a camera or a stream"
_SCHEME = re.compile("^(simulate:|tcp://)")
_NOT_IN_A_NAME = re.compile("[^A-Za-z0-9._]+")


class Recorder:
    """Records the player's live source when a person wants it.

    Parameters
    ----------
    window
        Where the state of things is shown.
    player
        Has the source, and the tapes.
    on_written
        Called with each file that is complete.
    open_
        Plays such a file.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        on_written: Callable[[str], None],
        open_: Callable[[str], None],
    ) -> None:
        self._window = window
        self._player = player
        self._on_written = on_written
        self._open = open_
        self._written: list[Tape] = []  # to be told of when the banner is free
        self._shown = ""
        self.folder = documents()  # where the file dialog starts

    def toggle(self) -> None:
        """Ask where to record, or stop recording."""
        if self._player.tape is not None:
            self._player.stop_recording()
        elif self._player.can_record:
            self._ask()

    def start(self, file: str) -> None:
        """Record to a new file, from now on."""
        path = Path(file)
        self.folder = path.parent
        self._player.record(path)

    def poll(self, action: QAction) -> None:
        """Show how the recording goes and what became of the last; ``action`` is a person's way to `toggle`."""
        for tape in self._player.take_finished():
            self._tell(tape)
        banner = self._window.banner
        if self._written and (banner.isHidden() or banner.kind == "info"):
            self._show_written(self._written.pop(0))
        self._show(self._player.tape, action)

    def _ask(self) -> None:
        source = self._player.source
        name = proposed_name(source if isinstance(source, str) else "camera", datetime.now())
        dialog = QFileDialog(self._window, "Record to a new file", str(self.folder))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(f"Recordings (*{SUFFIX})")
        dialog.setDefaultSuffix(SUFFIX)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # nothing is ever overwritten
        dialog.selectFile(name)
        dialog.fileSelected.connect(self.start)
        self._window.show_dialog(dialog)

    def _tell(self, tape: Tape) -> None:
        if tape.error is not None:
            self._window.banner.show_error(in_words(tape.error))
        else:
            self._written.append(tape)
            self._on_written(str(tape.path))

    def _show_written(self, tape: Tape) -> None:
        recorded, path = tape.recorded, str(tape.path)
        lost = f", {recorded.dropped:,} dropped" if recorded.dropped else ""
        message = f"{recorded.events:,} events written to {path}{lost}"
        self._window.banner.show_info(message, "Open it", lambda: self._open(path))

    def _show(self, tape: Tape | None, action: QAction) -> None:
        words = "" if tape is None else progress(tape.seconds, tape.file_bytes, tape.dropped)
        if words != self._shown:
            self._shown = words
            self._window.transport.show_recording(words)
        able = self._player.can_record
        action.setText(OFF if tape is None else ON)
        action.setEnabled(able or tape is not None)
        action.setToolTip(HOW if able else LIVE_ALONE)


def progress(seconds: float, file_bytes: int, dropped: int) -> str:
    """Say how long a recording has been running, how large its file is, and how many events it lacks."""
    minutes, rest = divmod(int(seconds), 60)
    size = f"{file_bytes / 1e6:.1f} MB" if file_bytes < 1e9 else f"{file_bytes / 1e9:.2f} GB"
    return f"Recording {minutes}:{rest:02d} · {size} · {dropped:,} dropped"


def proposed_name(source: str, now: datetime) -> str:
    """Return a file's name from a source and the time: gestures-2026-11-25-141530.aedat4."""
    words = _NOT_IN_A_NAME.sub("-", _SCHEME.sub("", source)).strip("-.")
    return f"{words}-{now:%Y-%m-%d-%H%M%S}{SUFFIX}"


def documents() -> Path:
    """Return where a person keeps files."""
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
    return folder if folder.is_dir() else Path.home()
