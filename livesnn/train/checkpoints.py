"""How Lightning's checkpoints get to the disk. Not here: what is in them, and which are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all, within its folder.

    Lightning's own writes to /tmp and moves: where that is another file system, a full disk or a killed process left
    a torn file in place of the best epoch (Lightning 2.6).
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it; raises OSError."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:  # torch's own errors name no file
            torch.save(checkpoint, file)
        new.replace(path)
