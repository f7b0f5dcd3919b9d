"""Compiling the spike-driven engine in a process of its own, for this one. Not here: when (auto_engine.py).

A thread that compiles when its interpreter ends aborts the process: LLVM calls back into it.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from pathlib import Path

from livesnn import itself
from livesnn.errors import ModelError
from livesnn.infer.spike_engine import is_compiled

COMMAND = "prepare"
LOOK_S, LIMIT_S = 0.1, 900.0  # compiling takes 15 s of a processor that it may have to share


_ONE_AT_A_TIME = threading.Lock()


def compile_apart(folder: Path, stop: threading.Event) -> bool:
    """Let another process compile what a model folder's step needs; return whether that is there now.

    False: ``stop`` was set, which ends the other process.

    Raises
    ------
    ModelError
        It could not be started, failed, takes too long, or its code isn't found where this process looks for it.
    """
    while not _ONE_AT_A_TIME.acquire(timeout=LOOK_S):
        if stop.is_set():
            return False
    try:
        if not is_compiled(folder):
            _run(itself.command(COMMAND, str(folder.absolute())), stop)
        if not stop.is_set() and not is_compiled(folder):
            raise ModelError("compiled code isn't kept: livesnn doctor says where numba looks for it")
    finally:
        _ONE_AT_A_TIME.release()
    return not stop.is_set()


def _run(command: list[str], stop: threading.Event) -> None:
    """Run a command to its end, or to ``stop``; raise ModelError with its last line of errors if it fails."""
    with tempfile.TemporaryFile() as errors:  # a pipe that nobody drains would hold the helper up
        try:
            helper = subprocess.Popen(
                command,
                env=itself.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        except OSError as error:
            raise ModelError(f"it can't be compiled ({command[0]}: {error.strerror})") from error
        deadline_s = time.monotonic() + LIMIT_S
        with helper:
            while helper.poll() is None and not stop.wait(LOOK_S) and time.monotonic() < deadline_s:
                pass
            ended = helper.poll() is not None
            helper.kill()
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    if stop.is_set() or (ended and helper.returncode == 0):
        return
    why = (said[-1] if said else f"exit code {helper.returncode}") if ended else f"not within {LIMIT_S:.0f} s"
    raise ModelError(f"it can't be compiled: {why}")
