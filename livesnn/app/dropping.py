"""What is dropped on the window, the target that shows meanwhile, and the files that play one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from livesnn.app import style
from livesnn.app.player import Player
from livesnn.app.widgets.basics import write
from livesnn.errors import ModelError
from livesnn.infer.model import model_folder, read_card

_MARGIN = 14  # pixels around the target
_WEIGHTS = (".onnx", ".safetensors")


class Dropped(NamedTuple):
    """What is dragged or dropped.

    ``recordings`` are files to play, ``models`` folders of models, ``wrong`` folders without one.
    """

    recordings: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What a drop would do, as a person reads it."""
        use = f"use the model {Path(self.models[0]).name}" if self.models else ""
        if len(self.recordings) > 1:
            play = f"play {len(self.recordings)} files one after another"
        else:
            play = f"play {Path(self.recordings[0]).name}" if self.recordings else ""
        do = " and ".join(filter(None, (use, play)))
        return f"Drop to {do}" if do else "This folder holds no model"


def dropped(mime: QMimeData) -> Dropped | None:
    """Return what is dragged, by what it is on the disk; None where it is no file or folder."""
    recordings, models, wrong = [], [], []
    for path in [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]:
        folder = path.parent if path.suffix in _WEIGHTS else path
        if not path.is_dir() and path.suffix not in _WEIGHTS:
            recordings.append(str(path))
        elif _is_model(folder):
            models += [] if str(folder) in models else [str(folder)]
        else:
            wrong.append(str(path))
    found = Dropped(tuple(recordings), tuple(models), tuple(wrong))
    return found if any(found) else None


def why_no_model(folder: str) -> str:
    """Return what is wrong with a model folder, in one line; "": nothing."""
    try:
        read_card(folder)
    except ModelError as error:
        return str(error)
    return ""


def _is_model(folder: Path) -> bool:
    try:
        model_folder(folder)
    except ModelError:
        return False
    return True


class DropTarget(QWidget):
    """Covers the window while something is dragged over it, and says what a drop would do."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._covered = parent
        self.words = ""
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def show_words(self, words: str) -> None:
        """Cover the parent with these words."""
        self.words = words
        self.setAccessibleName(words)
        self.setGeometry(self._covered.rect())
        self.raise_()
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint a veil, a dashed frame and the words."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(style.theme.background)
        veil.setAlpha(215)
        painter.fillRect(self.rect(), veil)
        frame = QRectF(self.rect()).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        painter.setPen(QPen(QColor(style.theme.accent), 3, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(frame, 16, 16)
        where = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        large = style.text_font(26, weight=QFont.Weight.DemiBold)
        write(painter, frame.adjusted(24, 24, -24, -24), self.words, style.theme.text, where, large)


class Playlist:
    """Opens the next file when one has ended; after the last it begins again where recordings are repeated.

    A file that can't be played is passed over: the window says why. It ends when a person plays something else.

    ``open_file`` plays a file.
    """

    def __init__(self, player: Player, open_file: Callable[[str], None]) -> None:
        self._player = player
        self._open_file = open_file
        self._files: tuple[str, ...] = ()
        self._index = self._failed = 0
        self._before: object = None  # the session that played when the file was asked for

    def start(self, files: Sequence[str]) -> None:
        """Play these files, two or more, from the first on."""
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
        self._open_file(self._files[index])

    def _end(self) -> None:
        self._files = ()
        self._player.place_in_list = ""
        self._player.apply(self._player.choices)  # what plays now is repeated as usual
