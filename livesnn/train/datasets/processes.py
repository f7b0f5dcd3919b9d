"""Work on many recordings by several processes, which end with this one. Not here: what is done to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

from livesnn.errors import DataError
from livesnn.threads import usable_processors
from livesnn.train.datasets.cache import tracked
from livesnn.train.launched import end_with

T = TypeVar("T")
R = TypeVar("R")

MOST = 61
"""Processes that Windows can wait for."""


def in_processes(make: Callable[[T], R], items: Sequence[T], doing: str, *, at_once: int = 1) -> list[R]:
    """Return what ``make``, which must be importable by name, makes of each item; progress is shown as ``doing``.

    Raises
    ------
    DataError
        One of the processes was killed. What ``make`` raises is raised too, and ends the others.
    """
    processes = min(MOST, usable_processors(), len(items))
    others = {*active_children()}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent)
    try:
        parts = [items[first : first + at_once] for first in range(0, len(items), at_once)]
        futures = [pool.submit(_each, make, part) for part in parts]
        return list(tracked((made for future in futures for made in future.result()), doing, len(items)))
    except BrokenProcessPool as error:
        raise DataError(
            f"{doing}: one of {processes} processes was killed, for want of memory maybe: free some and start again, "
            "what is done is kept"
        ) from error
    finally:
        for process in {*active_children()} - others:  # they would finish what they have begun
            process.terminate()
        pool.shutdown()  # cancelling what waits would be an error in the pool's own thread (Python 3.11)


def _each(make: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [make(item) for item in items]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        end_with(parent.pid)
