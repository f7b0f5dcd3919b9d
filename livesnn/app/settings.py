"""What the window remembers from one start to the next, and the file that keeps it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from livesnn.console import say
from livesnn.errors import LivesnnError
from livesnn.events.filters import Orientation
from livesnn.files import replace_file, stamp
from livesnn.infer.load import Engine
from livesnn.outputs.action import Rule
from livesnn.paths import settings_file
from livesnn.session.control import Choices

MOST_RECENT = 10
MOST_LABELS = 9  # a key each
ThemeName = Literal["dark", "light", "system"]


@dataclass(frozen=True)
class Settings:
    """Everything that is remembered."""

    geometry: bytes = b""  # of the window, as Qt saves it; b"" before its first close
    splitters: dict[str, bytes] = field(default_factory=dict)  # by name, as Qt saves them
    docks: bytes = b""  # where they are, as Qt saves it
    plots: tuple[str, ...] = ("rate", "latency", "probabilities")  # those shown in the dock "Plots"
    theme: ThemeName = "system"
    # Of cameras and streams, by `camera_name`: serial number or address. Nothing of it holds for a recording.
    mounted: dict[str, Orientation] = field(default_factory=dict)  # the orientation, where it isn't upright
    filtered: tuple[str, ...] = ()  # those whose noise is filtered
    mirrored: tuple[str, ...] = ()  # those whose picture is mirrored on the screen, but not for the network
    recent: Annotated[tuple[str, ...], Meta(max_length=MOST_RECENT)] = ()  # sources, the newest first
    model: str = ""  # name or folder of the model last used; "": none yet
    engine: Engine = "auto"
    labels: Annotated[tuple[str, ...], Meta(max_length=MOST_LABELS)] = ()  # of the keys from 1 on
    actions: tuple[Rule, ...] = ()  # what is done when a gesture is decided
    # How sources are played. The speed, the state mode and what belongs to a camera always begin with their defaults.
    choices: Choices = field(default_factory=lambda: Choices(loop=True))


def with_recent(recent: tuple[str, ...], source: str) -> tuple[str, ...]:
    return (source, *(other for other in recent if other != source))[:MOST_RECENT]


class SettingsFile:
    """The settings now, written to disk whenever they change.

    ``path`` is a JSON file, or a link to one. None, or what is no file, such as /dev/null: the settings are forgotten
    when the process ends.
    """

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path = Path(os.path.realpath(path))
            if os.path.exists(path) and not os.path.isfile(path):
                say(f"{path} isn't a file: settings are forgotten at the end")
                path = None
        self._path = path
        self._written = self._stamp()  # what `_now` was read from, or written to
        self._now = Settings() if path is None else _read(path) or Settings()

    @property
    def now(self) -> Settings:
        """The settings, with what another livesnn has written since."""
        written = self._stamp()
        if self._path is not None and written not in (None, self._written):
            self._written = written
            self._now = _read(self._path) or self._now
        return self._now

    def _stamp(self) -> tuple[int, int, int] | None:
        return None if self._path is None else stamp(self._path)

    @property
    def folder(self) -> Path | None:
        """Where other files may be kept; None: nowhere."""
        return None if self._path is None else self._path.parent

    def update(self, changed: Callable[[Settings], Settings]) -> None:
        """Change the settings, on disk too; a disk that can't be written is no error here."""
        self._now = changed(self.now)
        if self._path is not None:
            with suppress(OSError, UnicodeError):  # a path may have bytes that JSON can't hold
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, msgspec.json.format(msgspec.json.encode(self._now)))
                self._written = self._stamp()

    def change(self, **fields: Any) -> None:
        self.update(lambda now: replace(now, **fields))

    def choose(self, **fields: Any) -> None:
        self.update(lambda now: replace(now, choices=replace(now.choices, **fields)))


def user_settings() -> SettingsFile:
    return SettingsFile(settings_file())


_UNREADABLE = (OSError, msgspec.DecodeError, UnicodeError, RecursionError, LivesnnError)


def _read(path: Path) -> Settings | None:
    """Return the settings in a file; None: there is none, or nothing of it can be used.

    A field that can't be used has its default. That is said, and a copy of the file is kept beside it.
    """
    if stamp(path) is None:  # reading a pipe would wait for ever
        return None
    settings, problem = None, ""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        fields, wrong = _usable(found, Settings)
        settings = msgspec.convert(fields, Settings)
        if wrong:
            problem = f"these settings can't be used and are reset: {', '.join(wrong)}"
    except _UNREADABLE as error:
        problem = f"{error}: starting with the default settings"
    if problem:
        kept = ""
        with suppress(OSError):
            aside = path.with_name(f"{path.name}.unread")
            replace_file(aside, path.read_bytes())
            kept = f"; the old file is kept as {aside.name}"
        say(f"{path}: {problem}{kept}")
    return settings


def _usable(fields: dict[str, Any], kind: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the fields that a dataclass can have together, and the paths of the others, "choices.speed"."""
    usable: dict[str, Any] = {}
    wrong = []
    kinds = get_type_hints(kind)
    for name, value in fields.items():
        try:
            msgspec.convert({**usable, name: value}, kind)
            usable[name] = value
        except _UNREADABLE:
            if isinstance(value, dict) and is_dataclass(inner := kinds[name]):
                below_usable, below = _usable(value, inner)
                usable[name] = msgspec.to_builtins(getattr(kind(), name)) | below_usable
                wrong += [f"{name}.{each}" for each in below]
            else:
                wrong.append(name)
    return usable, wrong
