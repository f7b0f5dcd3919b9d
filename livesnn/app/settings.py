"""What the window remembers from one start to the next. Not here: when it changes (main_window.py, appearance.py)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from livesnn.console import say
from livesnn.errors import LivesnnError
from livesnn.events.filters import Orientation
from livesnn.events.recorder import LONGEST_S
from livesnn.files import replace_file
from livesnn.infer.decide import Decider
from livesnn.infer.model import Engine
from livesnn.session.view import ViewMode

FILE = "LIVESNN_SETTINGS"
"""Environment variable: a file to remember in, in place of the user's own."""

MOST_RECENT = 10
MOST_LABELS = 9  # a key each
ThemeName = Literal["dark", "light", "system"]


@dataclass(frozen=True)
class Remembered:
    """Everything that is remembered.

    Attributes
    ----------
    geometry
        Of the window, as Qt saves it; b"" before its first close.
    splitters
        By name, as Qt saves them.
    mounted
        How cameras and streams are mounted that aren't upright, by serial number or address (`mounting.camera_name`).
    denoise
        Whether noise is filtered.
    mirrored_picture
        Whether the picture alone is mirrored.
    recent
        Sources, the newest first; `MOST_RECENT` at most.
    model
        Name or folder of the model last used; "": none yet.
    pre_roll_s
        How much of what came before a recording's start is in it.
    labels
        What the keys from 1 on say of a recording.
    decider, denied, thresholds
        When there is a decision, the classes that are never decided, and those with a threshold of their own, by the
        name of their model.
    """

    geometry: bytes = b""
    splitters: dict[str, bytes] = field(default_factory=dict)
    theme: ThemeName = "system"
    palette: str = ""
    view_mode: ViewMode = "decay"
    mirrored_picture: bool = False
    mounted: dict[str, Orientation] = field(default_factory=dict)
    denoise: bool = False
    loop: bool = True
    recent: Annotated[tuple[str, ...], Meta(max_length=MOST_RECENT)] = ()
    model: str = ""
    engine: Engine = "auto"
    pre_roll_s: Annotated[float, Meta(ge=0, le=LONGEST_S)] = 0.0
    labels: Annotated[tuple[str, ...], Meta(max_length=MOST_LABELS)] = ()
    decider: Decider = field(default_factory=Decider)
    denied: dict[str, tuple[str, ...]] = field(default_factory=dict)
    thresholds: dict[str, dict[str, Annotated[float, Meta(ge=0, le=1)]]] = field(default_factory=dict)


def with_recent(recent: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Return the recent sources with this one as the newest."""
    return (source, *(other for other in recent if other != source))[:MOST_RECENT]


class Settings:
    """What is remembered now, kept on disk.

    Parameters
    ----------
    file
        Where, as JSON; None: nowhere, all is forgotten at the end of the process.

    Attributes
    ----------
    now
        The defaults where there is nothing on disk, or nothing of use.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self.now = Remembered() if file is None else _read(file)

    @property
    def folder(self) -> Path | None:
        """Where more may be remembered; None: nowhere."""
        return None if self._file is None else self._file.parent

    def change(self, **fields: object) -> None:
        """Remember other values of these fields, on disk too; a disk that can't be written is no error here."""
        self.now = replace(self.now, **fields)  # type: ignore[arg-type]  # names and types are those of Remembered
        if self._file is not None:
            with suppress(OSError, UnicodeError):  # a path may have bytes that JSON hasn't
                text = msgspec.json.format(msgspec.json.encode(self.now))
                self._file.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._file, text)


def user_settings() -> Settings:
    """Return the settings of the person at this machine, or of the file in the environment's `FILE`."""
    own = platformdirs.user_config_path("livesnn", appauthor=False) / "settings.json"
    return Settings(Path(os.environ.get(FILE) or own))


def _read(file: Path) -> Remembered:
    """Return what is in a file; one that can't be read is kept beside it, and said."""
    if not file.is_file():  # reading a pipe would wait for ever
        return Remembered()
    try:
        return msgspec.json.decode(file.read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError, UnicodeError, LivesnnError) as error:
        aside = file.with_name(f"{file.name}.unread")
        with suppress(OSError):
            replace_file(aside, file.read_bytes())
            say(f"{file}: {error}: begins with the defaults; what was there is in {aside.name}")
        return Remembered()


@dataclass(frozen=True)
class WantedDecisions:
    """The flags as far as they are given; None, () or {}: what was chosen last."""

    threshold: float | None = None
    keep: float | None = None
    smoothing: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def of_classes(self) -> bool:
        """Whether it says anything of single classes."""
        return bool(self.allow or self.deny or self.thresholds)

    def decider(self, last: Decider) -> Decider:
        """Return what decides; raises LivesnnError as `Decider` does.

        Another threshold forgets what stood by the last one; other classes, those that were named last.
        """
        chosen = bool(self.allow or self.deny)
        keep = last.keep if self.threshold is None else None
        return replace(
            last,
            threshold=last.threshold if self.threshold is None else self.threshold,
            keep=keep if self.keep is None else self.keep,
            smoothing=last.smoothing if self.smoothing is None else self.smoothing,
            thresholds=self.thresholds or last.thresholds,
            allow=self.allow if chosen else last.allow,
            deny=self.deny if chosen else last.deny,
        )
