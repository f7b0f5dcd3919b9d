"""What is dropped on the window: recordings play, several in turn, and a model is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtWidgets import QLabel, QWidget

from livesnn.app import style
from livesnn.app.window_layout import WindowLayout
from livesnn.errors import ModelError
from livesnn.infer.load import read_card


class Drop(NamedTuple):
    """Files to play, the folder of a model, and why a folder is none; "" where there is no such thing."""

    recordings: tuple[str, ...]
    model: str
    wrong: str


def files_of(mime: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def dropped(paths: Sequence[Path]) -> Drop:
    """Return what files and folders are, by what is on the disk."""
    recordings, model, wrong = [], "", ""
    for path in paths:
        if not path.is_dir() and path.suffix not in (".onnx", ".safetensors"):
            recordings.append(str(path))
            continue
        folder = str(path if path.is_dir() else path.parent)
        try:
            read_card(folder)
            model = model or folder
        except ModelError as error:
            wrong = wrong or str(error)
    return Drop(tuple(recordings), model, wrong)


class DropTarget(QLabel):
    """Covers the window while something is dragged over it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__("Drop to open", parent)
        self._covered = parent
        self.setObjectName("drop")
        self.setFont(style.bold_font(26))
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def cover(self) -> None:
        self.setGeometry(self._covered.rect())
        self.raise_()
        self.show()


class Playlist:
    """Opens the next file when one has ended; after the last it begins again where recordings are repeated.

    A file that can't be played is passed over: the window says why. It ends when a person plays something else.
    """

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._files: tuple[str, ...] = ()
        self._index = self._failed = 0
        self._before: object = None  # the session that played when the file was asked for

    def start(self, files: Sequence[str]) -> None:
        self._files, self._failed = tuple(files), 0
        self._open(0)

    def poll(self) -> None:
        """Go on with the next file, if the one that plays has ended or can't be played."""
        player = self._player
        if not self._files or player.opening is not None:
            return
        state = None if player.session is None else player.session.control.state
        if player.source != self._files[self._index]:
            if player.session is self._before:
                self._follow(failed=True)
            else:
                self._end()
        elif state in ("ended", "failed"):
            self._follow(failed=state == "failed")

    def _follow(self, *, failed: bool) -> None:
        """Open the next file, unless all are over, or none can be played."""
        self._failed = self._failed + 1 if failed else 0
        following = (self._index + 1) % len(self._files)
        if self._failed >= len(self._files):
            self._end()
        elif following or self._player.choices.loop:
            self._open(following)

    def _open(self, index: int) -> None:
        self._index, self._before = index, self._player.session
        self._player.place_in_list = f"{index + 1} of {len(self._files)}"
        self._window.open_requested.emit(self._files[index], None)

    def _end(self) -> None:
        self._files = ()
        self._player.place_in_list = ""
        self._player.apply(self._player.choices)  # what plays now is repeated as usual
