"""Recordings of lessons: their folder, and which ones each class of a model was learned from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path

import msgspec

from livesnn.errors import ModelError, SourceError
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.labels import labels_file
from livesnn.files import proposed_name
from livesnn.json_text import decode_json
from livesnn.paths import own_models_dir
from livesnn.untrusted import STRUCTURE_BYTES

RECORDINGS = "lessons.json"
"""File of a taught model that names the recordings which each class was learned from."""


def lessons_dir() -> Path:
    """Return the folder of recorded lessons, beside the taught models; what these recordings show is upright."""
    return own_models_dir() / "lessons"


def new_recording(gesture: str) -> Path:
    """Return where the next lesson of a gesture is recorded; raises SourceError if its folder can't be made."""
    folder = lessons_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder} can't be made ({error.strerror}): set LIVESNN_MODELS to another folder"
        ) from error
    first = folder / proposed_name(gesture, datetime.now())
    names = (first.with_stem(f"{first.stem}-{number}") if number > 1 else first for number in count(1))
    return next(path for path in names if not path.exists())


def forget(recording: Path) -> None:
    """Delete a recording and its labels."""
    for file in (recording, labels_file(recording)):
        file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Recordings:
    """What a class was learned from: recordings of it, and others that don't show it."""

    shown: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    denoise: bool = False  # whether noise was filtered first

    def __add__(self, more: Recordings) -> Recordings:
        shown, others = (tuple(dict.fromkeys(part)) for part in (self.shown + more.shown, self.others + more.others))
        return Recordings(shown, others, self.denoise or more.denoise)

    def each(self, named: Callable[[str], str | None]) -> Recordings:
        """Return all files by other names, without those that have none."""
        shown, others = (
            tuple(name for file in part if (name := named(file)) is not None) for part in (self.shown, self.others)
        )
        return replace(self, shown=shown, others=others)

    @property
    def there(self) -> Recordings:
        """Without the files that have gone."""
        return self.each(lambda file: file if os.path.isfile(parse_recording_path(Path(file)).file) else None)


def recordings_of(folder: Path) -> dict[str, Recordings]:
    """Return what each class of a model was learned from, as far as it was recorded.

    Files may have gone since. Raises ModelError if the list can't be read.
    """
    file = folder / RECORDINGS
    try:
        if file.exists() and (not file.is_file() or file.stat().st_size > STRUCTURE_BYTES):
            raise ModelError(f"{file} is no list of recordings: remove it, or copy the model again")
        kept = decode_json(file.read_bytes(), dict[str, Recordings]) if file.exists() else {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{file} can't be read ({error}): remove it, or copy the model again") from error
    beside = folder.resolve().parent
    return {name: each.each(lambda file: str(beside / file)) for name, each in kept.items()}


def recordings_file(kept: Mapping[str, Recordings], beside: Path) -> bytes:
    """Return the content of `RECORDINGS`; what is below the folder ``beside`` the model is named from there."""
    begins = f"{beside.resolve()}{os.sep}"
    return msgspec.json.encode(
        {name: each.each(lambda file: file.removeprefix(begins)) for name, each in kept.items()}
    )
