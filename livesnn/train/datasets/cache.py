"""What has been made of a data set, kept in the user's cache. Not here: making it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.console import Console
from rich.progress import track

from livesnn.console import say
from livesnn.errors import DAMAGED_ARRAY, DataError
from livesnn.paths import cache_dir
from livesnn.train.datasets.clips import Frames

T = TypeVar("T")


def cached(name: str, settings: object, make: Callable[[], Frames]) -> Frames:
    """Return what ``make`` makes of ``settings`` (told apart by their repr), from the cache where it is there.

    A damaged file of the cache is made again.

    Raises
    ------
    DataError
        The cache can't be written.
    """
    file = cache_file(name, settings)
    if (found := _read(file)) is not None:
        return found
    made = make()
    keep(file, made)
    return made


def keep(file: Path, made: Frames) -> None:
    """Write an array into the cache as a whole, or not at all; raises DataError when it can't be written."""
    partly = file.with_suffix(f".{os.getpid()}.npy")  # an interrupted one is never mistaken for a whole one
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(partly, made)
        partly.replace(file)
    except OSError as error:
        with suppress(OSError):
            partly.unlink()
        raise DataError(
            f"{file.parent} can't be written ({error.strerror or error}): free some space there, or name another in "
            "the environment's LIVESNN_CACHE"
        ) from error


def tracked(items: Iterable[T], doing: str, count: int) -> Iterable[T]:
    """Yield the items; say what is done with how many on stderr, on a terminal with a bar."""
    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"{doing}: {count}")
    return track(items, doing, count, console=console, disable=not console.is_terminal)


def cache_file(name: str, settings: object) -> Path:
    """Return where `cached` keeps what is made of these settings."""
    return cache_dir() / f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}.npy"


def _read(file: Path) -> Frames | None:
    """Return the array; None where there is none, or a damaged one."""
    if not file.exists():
        return None
    try:
        array: Frames = np.load(file)
    except DAMAGED_ARRAY:
        return None
    return array if array.dtype == np.uint8 else None
