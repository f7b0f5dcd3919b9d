"""How Lightning's checkpoints get to the disk, and how one of its processes ends. Not here: what is in them."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from livesnn.files import replace_file

PR_SET_PDEATHSIG = 1
"""linux/prctl.h: what is sent to a process when its parent ends."""


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, within its folder.

    Lightning's own writes to /tmp and moves: where that is another file system, a full disk or a killed process left
    a torn file in place of the best epoch (Lightning 2.6).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it; raises OSError."""
        octets = io.BytesIO()
        torch.save(checkpoint, octets)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(Path(path), octets.getvalue())


def end_with_launcher() -> None:
    """End this process, one of several of a training, when the one that started it is killed; on Linux alone.

    It would wait for the others for half an hour, the time-out of torch's process groups.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it was killed before
            os.kill(os.getpid(), signal.SIGKILL)
