"""Clips that are made once, by all processors, and kept in the user's cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from livesnn.console import share_done
from livesnn.errors import DataError, reason_of
from livesnn.files import replacing
from livesnn.paths import cache_dir
from livesnn.subprocesses import MOST_PROCESSES, process_pool
from livesnn.threads import usable_processors
from livesnn.train.datasets.clips import Frames, OnDisk, Stack
from livesnn.untrusted import DAMAGE

T = TypeVar("T")
R = TypeVar("R")


def made_in_parts(
    name: str,
    parts: Sequence[T],
    settings: Callable[[T], object],
    make: Callable[[T], Frames],
    doing: str,
    *,
    at_once: int = 1,
) -> Stack:
    """Return the clips of all ``parts`` in a row; what the cache lacks is made as by `in_processes`, and kept.

    A part has a file for itself, by its ``settings``. Raises DataError if the cache can't be written.
    """
    files = [cache_file(name, settings(part)) for part in parts]
    missing = [each for each in zip(files, parts, strict=True) if not _has_clips(each[0])]
    if missing:
        in_processes(partial(_keep_made, make), missing, doing, at_once=at_once)
    return Stack([OnDisk(file) for file in files])


def _has_clips(file: Path) -> bool:
    with suppress(*DAMAGE):  # or there is no file
        return len(OnDisk(file)) > 0
    return False


def _keep_made(make: Callable[[T], Frames], missing: tuple[Path, T]) -> None:
    file, part = missing
    keep(file, make(part))


def keep(file: Path, made: Frames) -> None:
    """Write an array into the cache, whole or not at all; raises DataError if it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as new, new.open("wb") as octets:
            np.save(octets, made)
    except OSError as error:
        raise DataError(
            f"{file.parent} can't be written ({reason_of(error)}): free some space there, or set "
            "LIVESNN_CACHE to another folder"
        ) from error


def cache_file(name: str, settings: object) -> Path:
    """Return the file in which an array of these ``settings``, told apart by their repr, is kept."""
    return cache_dir() / f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}.npy"


def in_processes(make: Callable[[T], R], items: Sequence[T], doing: str, *, at_once: int = 1) -> list[R]:
    """Return the result of ``make`` for each item, computed by several processes that end with this one.

    A process gets ``at_once`` items at a time. ``make`` must be importable by name; what it raises is raised here
    too, and ends the other processes. ``doing`` is shown with the progress. Raises DataError if a process was killed.
    """
    processes = min(MOST_PROCESSES, usable_processors(), len(items))
    parts = [items[first : first + at_once] for first in range(0, len(items), at_once)]
    made: list[R] = []
    try:
        with share_done(f"{doing}: {len(items):,}", after_s=0.0) as show:
            show(0.0)
            if len(parts) == 1:  # sooner done than a process has begun
                return _each(make, items)
            with process_pool(processes) as pool:
                for future in [pool.submit(_each, make, part) for part in parts]:
                    made += future.result()
                    show(len(made) / len(items))
    except BrokenProcessPool as error:
        raise DataError(
            f"{doing}: one of {processes} processes was killed, maybe for lack of memory: free some and start again, "
            "finished work is kept"
        ) from error
    return made


def _each(make: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [make(item) for item in items]
