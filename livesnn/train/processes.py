"""The processes of a training: those that share its batches, those that read its data, and their memory."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import TypeVar

from livesnn.console import share_done
from livesnn.errors import DataError
from livesnn.subprocesses import end_with, end_with_parent
from livesnn.threads import usable_processors

T = TypeVar("T")
R = TypeVar("R")

LAUNCHER = "LIVESNN_LAUNCHER"  # Environment variable with the process that Lightning starts the others from
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # From glibc's malloc.h
MOST_PROCESSES = 61  # Windows can't wait for more


def shares_another() -> bool:
    """Whether this is one of several processes of a training, and not the first (Lightning, torchrun, SLURM)."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))


def end_with_launcher() -> None:
    """End this process when the one that Lightning started it from is killed; only on Linux.

    Otherwise it would wait for the others for half an hour, the time-out of torch's process groups. torchrun and
    SLURM look after their own processes.
    """
    if not shares_another():
        os.environ[LAUNCHER] = str(os.getpid())
        return
    parent = os.getppid()
    if os.environ.get(LAUNCHER) == str(parent):
        end_with(parent)


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for later use; nothing happens with another allocator.

    glibc gets blocks above 32 MB from the kernel each time, which zeroes them page by page. That was more than half
    of ConvSNN's step on MNIST's sequences: 125 clips/s without and 275 with this (50 clips, bf16, one thread).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    allocator = ctypes.CDLL(None)
    allocator.mallopt(M_MMAP_MAX, 0)
    allocator.mallopt(M_TRIM_THRESHOLD, -1)


def in_processes(make: Callable[[T], R], items: Sequence[T], doing: str, *, at_once: int = 1) -> list[R]:
    """Return the result of ``make`` for each item, computed by several processes that end with this one.

    A process gets ``at_once`` items at a time. ``make`` must be importable by name; what it raises is raised here
    too, and ends the other processes. ``doing`` is shown with the progress. Raises DataError if a process was killed.
    """
    processes = min(MOST_PROCESSES, usable_processors(), len(items))
    others = {*active_children()}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent)
    try:
        parts = [items[first : first + at_once] for first in range(0, len(items), at_once)]
        futures = [pool.submit(_each, make, part) for part in parts]
        made: list[R] = []
        with share_done(f"{doing}: {len(items):,}", after_s=0.0) as show:
            show(0.0)
            for future in futures:
                made += future.result()
                show(len(made) / len(items))
        return made
    except BrokenProcessPool as error:
        raise DataError(
            f"{doing}: one of {processes} processes was killed, maybe for lack of memory: free some and start again, "
            "finished work is kept"
        ) from error
    finally:
        for process in {*active_children()} - others:  # they would finish what they have begun
            process.terminate()
        pool.shutdown()  # cancelling what waits would be an error in the pool's own thread (Python 3.11)


def _each(make: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [make(item) for item in items]
