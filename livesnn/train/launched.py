"""One of several processes of a training: whether this is one, and how it ends. Not here: sharing the work."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

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
