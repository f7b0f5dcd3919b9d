"""One of several processes of a training: whether this is one, and how it ends. Not here: sharing the work."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

from livesnn.errors import DataError
from livesnn.threads import usable_processors
from livesnn.train.datasets.cache import tracked

LAUNCHER = "LIVESNN_LAUNCHER"
"""Environment: the process that Lightning starts the others from."""
PR_SET_PDEATHSIG = 1
"""linux/prctl.h: what is sent to a process when its parent ends."""


def shares_another() -> bool:
    """Whether this is one of several processes of a training, and not the first (Lightning, torchrun, SLURM)."""
    return any(os.environ.get(name, "0") != "0" for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))


def end_with_launcher() -> None:
    """End this process when the one is killed that Lightning started it from; on Linux alone.

    It would wait for the others for half an hour, the time-out of torch's process groups. torchrun and SLURM look
    after their own.
    """
    if not shares_another():
        os.environ[LAUNCHER] = str(os.getpid())
        return
    parent = os.getppid()
    if os.environ.get(LAUNCHER) == str(parent):
        end_with(parent)


def end_with(parent: int) -> None:
    """End this process when the one that started it is killed, whose number is given; on Linux alone."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed in between
        os.kill(os.getpid(), signal.SIGKILL)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for what comes next, where it is what allocates; nothing elsewhere.

    It takes blocks above 32 MB from the kernel each time, which zeroes them page by page: more than half of ConvSNN's
    step on MNIST's sequences (125 and 275 clips/s without and with this; 50 clips, bf16, one thread, AMD EPYC).
    """
    if platform.libc_ver()[0] != "glibc":
        return
    allocator = ctypes.CDLL(None)
    allocator.mallopt(M_MMAP_MAX, 0)
    allocator.mallopt(M_TRIM_THRESHOLD, -1)


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
