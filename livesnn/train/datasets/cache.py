"""Arrays of frames kept in the user's cache, so that they are made only once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from livesnn.errors import DAMAGED_ARRAY, DataError
from livesnn.paths import cache_dir
from livesnn.train.datasets.clips import Frames


def cached(name: str, settings: object, make: Callable[[], Frames]) -> Frames:
    """Return the array of these ``settings`` (told apart by their repr) from the cache, or else make and keep it.

    A damaged file in the cache is made again. Raises DataError if the cache can't be written.
    """
    file = cache_file(name, settings)
    with suppress(*DAMAGED_ARRAY):  # or there is no file
        array: Frames = np.load(file)
        if array.dtype == np.uint8:
            return array
    made = make()
    keep(file, made)
    return made


def keep(file: Path, made: Frames) -> None:
    """Write an array into the cache, whole or not at all; raises DataError if it can't be written."""
    partly = file.with_suffix(f".{os.getpid()}.npy")  # an interrupted write is never taken for a whole file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(partly, made)
        partly.replace(file)
    except OSError as error:
        with suppress(OSError):
            partly.unlink()
        raise DataError(
            f"{file.parent} can't be written ({error.strerror or error}): free some space there, or set "
            "LIVESNN_CACHE to another folder"
        ) from error


def cache_file(name: str, settings: object) -> Path:
    """Return the file in which `cached` keeps the array of these settings."""
    return cache_dir() / f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}.npy"
