"""Compiling the spike-driven engine in a process of its own, for this one. Not here: when (auto_engine.py).

A thread that compiles when its interpreter ends aborts the process: LLVM calls back into it.
"""

from __future__ import annotations

import threading
from pathlib import Path

from livesnn import itself
from livesnn.errors import LivesnnError, ModelError
from livesnn.infer.spike_engine import is_compiled

COMMAND = "prepare"
LIMIT_S = 900.0  # compiling takes 15 s of a processor that it may have to share


_ONE_AT_A_TIME = threading.Lock()


def compile_apart(folder: Path, stop: threading.Event) -> bool:
    """Let another process compile what a model folder's step needs; return whether that is there now.

    False: ``stop`` was set, which ends the other process.

    Raises
    ------
    ModelError
        It could not be started, failed, takes too long, or its code isn't found where this process looks for it.
    """
    while not _ONE_AT_A_TIME.acquire(timeout=itself.LOOK_S):
        if stop.is_set():
            return False
    try:
        if not is_compiled(folder):
            _compile(folder, stop)
        if not stop.is_set() and not is_compiled(folder):
            raise ModelError("compiled code isn't kept: livesnn doctor says where numba looks for it")
    finally:
        _ONE_AT_A_TIME.release()
    return not stop.is_set()


def _compile(folder: Path, stop: threading.Event) -> None:
    command = itself.command(COMMAND, str(folder.absolute()))
    try:
        itself.run_apart(command, stop, limit_s=LIMIT_S)
    except LivesnnError as error:
        raise ModelError(f"it can't be compiled: {error}") from error
