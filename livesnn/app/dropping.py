"""What is dropped on the window, recordings and models; and the target that shows while something is held over it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from livesnn.app import style
from livesnn.errors import ModelError
from livesnn.infer.model import model_folder, read_card

_MARGIN = 14  # pixels around the target
MOST_NAMED = 5
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


def some(names: Sequence[str], separator: str) -> str:
    """Return the first names, and how many more there are."""
    more = [f"and {len(names) - MOST_NAMED:,} more"] if len(names) > MOST_NAMED else []
    return separator.join([*names[:MOST_NAMED], *more])


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
        painter.setPen(QColor(style.theme.text))
        painter.setFont(style.text_font(26, weight=QFont.Weight.DemiBold))
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(frame.adjusted(24, 24, -24, -24), int(flags), self.words)
        painter.end()
