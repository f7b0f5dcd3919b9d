"""Processes: livesnn in another one, pools, their end with their parent, freed memory; and which commit this is."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from typing import IO, TYPE_CHECKING

from livesnn.errors import LivesnnError, reason_of

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that a process is sent when its parent ends."""

LAUNCHER = "LIVESNN_LAUNCHER"  # Environment variable with the process that Lightning starts the others from
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # From glibc's malloc.h
MOST_PROCESSES = 61  # Windows can't wait for more
LOOK_S, PATIENCE_S = 0.1, 1.5
LONGEST_MESSAGE = 500  # Characters of another program's last line of errors that are passed on


def command(*arguments: str) -> list[str]:
    """Return the command line of livesnn with these arguments."""
    itself = () if getattr(sys, "frozen", False) else ("-m", "livesnn")
    return [sys.executable, *itself, *arguments]


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment, with the same modules in reach whatever the working directory is."""
    reach = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return os.environ | {"PYTHONPATH": reach, "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"} | extra


def start(command: list[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command in its own session, so that it can be killed together with the processes that it starts.

    ``variables``: its environment. Its stdout and stderr are pipes.
    """
    return subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def run_apart(
    command: list[str], stop: threading.Event, *, limit_s: float, variables: Mapping[str, str] | None = None
) -> str:
    """Run a command to its end and return what it wrote to stdout; "" when ``stop`` was set, which ends it.

    ``variables``: its environment; None: that of livesnn's own commands. Raises LivesnnError if it couldn't be
    started, failed (its last line of errors), or takes longer than ``limit_s``.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:  # a full pipe would hold it up
        try:
            helper = subprocess.Popen(
                command,
                env=environment() if variables is None else variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )
        except (OSError, ValueError) as error:  # the latter for a character of the code 0
            raise LivesnnError(f"{command[0]}: {reason_of(error)}") from error
        deadline_s = time.monotonic() + limit_s
        with helper:
            while helper.poll() is None and not stop.wait(LOOK_S) and time.monotonic() < deadline_s:
                pass
            if not (ended := helper.poll() is not None):
                _end(helper)
        if stop.is_set():
            return ""
        output, messages = (_read(file) for file in (out, errors))
    if ended and helper.returncode == 0:
        return output
    if not ended:
        raise LivesnnError(f"not within {limit_s:.0f} s")
    if helper.returncode < 0:  # its last message isn't the reason
        raise LivesnnError(f"signal {-helper.returncode} ended it: check that there is enough memory")
    message = last_line(messages, f"exit code {helper.returncode}")
    raise LivesnnError(message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…")


def last_line(output: str, without: str = "") -> str:
    """Return the last line that a program has written; ``without`` one, what is given for it."""
    return output.strip().splitlines()[-1] if output.strip() else without


def end_with(parent: int) -> None:
    """End this process when its parent with this process number is killed; only on Linux."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed in between
        os.kill(os.getpid(), signal.SIGKILL)


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


@contextmanager
def process_pool(processes: int, *, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, whose libraries use so many threads. They end with this one, or where it is left."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    others = {*active_children()}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin_worker, (threads,))
    try:
        yield pool
    finally:
        for process in {*active_children()} - others:  # they would finish what they have begun
            process.terminate()
        pool.shutdown()  # cancelling what waits would be an error in the pool's own thread (Python 3.11)


def _begin_worker(threads: int) -> None:
    """Let a process of a pool end with its parent and ignore Ctrl-C, and limit its libraries' threads."""
    parent = parent_process()
    if parent is not None and parent.pid is not None:
        end_with(parent.pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for library in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[library] = str(threads)


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


def _end(helper: subprocess.Popen[bytes]) -> None:
    """End a process, so that it can leave nothing behind, or at once if it doesn't."""
    helper.terminate()
    try:
        helper.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        helper.kill()


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def own_commit() -> str:
    """Return livesnn's own commit in a checkout, "-dirty" behind it where its code differs; elsewhere its version."""
    version = sys.modules["livesnn"].__version__  # not imported: it names modules of higher layers
    git, repository = shutil.which("git"), Path(__file__).parents[1]
    if git is None or not (repository / ".git").exists():
        return f"livesnn {version}"
    head = [git, "rev-parse", "--short", "HEAD"]
    found = subprocess.run(head, cwd=repository, capture_output=True, text=True, check=False)
    if found.returncode != 0:  # git refuses a checkout that is another user's
        return f"livesnn {version}"
    differs = [git, "diff", "--quiet", "HEAD", "--", "livesnn"]
    dirty = subprocess.run(differs, cwd=repository, capture_output=True, check=False).returncode == 1
    return found.stdout.strip() + "-dirty" * dirty
