"""What the window remembers from one start to the next. Not here: when it changes (main_window.py, looks.py)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from PySide6.QtCore import QSettings

from livesnn.app.accumulator import ViewMode
from livesnn.app.style import ThemeName
from livesnn.infer import Engine

FILE = "LIVESNN_SETTINGS"
"""Environment variable: a file to remember in, in place of the user's own."""

MOST_RECENT = 10
_KEY = "window"


@dataclass(frozen=True)
class Remembered:
    """Everything that is remembered.

    Attributes
    ----------
    geometry
        Of the window, as Qt saves it; b"" before its first close.
    splitters
        By name, as Qt saves them.
    quarter_turns, mirrored_camera
        How the camera is mounted: what the network sees.
    mirrored_picture
        Whether the picture alone is mirrored.
    recent
        Sources, the newest first; `MOST_RECENT` at most.
    model
        Name or folder of the model last used; "": none yet.
    """

    geometry: bytes = b""
    splitters: dict[str, bytes] = field(default_factory=dict)
    theme: ThemeName = "system"
    palette: str = ""
    view_mode: ViewMode = "decay"
    mirrored_picture: bool = False
    quarter_turns: Annotated[int, Meta(ge=0, le=3)] = 0
    mirrored_camera: bool = False
    loop: bool = True
    recent: Annotated[tuple[str, ...], Meta(max_length=MOST_RECENT)] = ()
    model: str = ""
    engine: Engine = "auto"


def with_recent(recent: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Return the recent sources with this one as the newest."""
    return (source, *(other for other in recent if other != source))[:MOST_RECENT]


class Settings:
    """What is remembered now, kept on disk.

    Parameters
    ----------
    file
        Where; None: nowhere, all is forgotten at the end of the process.

    Attributes
    ----------
    now
        The defaults where there is nothing on disk, or nothing of use.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._store = None if file is None else QSettings(str(file), QSettings.Format.IniFormat)
        self.now = Remembered() if self._store is None else _read(self._store)

    def change(self, **fields: object) -> None:
        """Remember other values of these fields, on disk too; a disk that can't be written is no error here."""
        self.now = replace(self.now, **fields)  # type: ignore[arg-type]  # names and types are those of Remembered
        if self._store is not None:
            self._store.setValue(_KEY, msgspec.json.encode(self.now).decode())
            self._store.sync()


def user_settings() -> Settings:
    """Return the settings of the person at this machine, or of the file in the environment's `FILE`."""
    if file := os.environ.get(FILE):
        return Settings(Path(file))
    own = QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "livesnn", "livesnn")
    return Settings(Path(own.fileName()))


def _read(store: QSettings) -> Remembered:
    text = store.value(_KEY, "")
    try:
        return msgspec.json.decode(text if isinstance(text, str) else "", type=Remembered)
    except (msgspec.DecodeError, UnicodeError):  # of another version, or damaged: no reason not to start
        return Remembered()
