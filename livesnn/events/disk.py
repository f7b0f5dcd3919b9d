"""Room on the disk of a recording. Not here: who asks, and when (tape.py)."""

from __future__ import annotations

import shutil
from pathlib import Path

from livesnn.errors import SourceError

LEFT_FREE_BYTES = 200_000_000
"""Of a disk's room, recordings leave this much, or a fiftieth of a small disk: a full disk harms other programs."""

PLENTY = 1 << 62


def require_room(path: Path, more_bytes: int = 0) -> int:
    """Return how many octets may still be written to a file; many, where the system doesn't say.

    Parameters
    ----------
    path
        Of the file, which may not be there yet.
    more_bytes
        What is needed to finish it.

    Raises
    ------
    SourceError
        When there are none.
    """
    try:
        usage = shutil.disk_usage(path.parent)
    except OSError:  # writing will say why
        return PLENTY
    room = usage.free - more_bytes - min(LEFT_FREE_BYTES, usage.total // 50)
    if room <= 0:
        raise SourceError(
            f"{path}: only {in_bytes(usage.free)} left on its disk, too little to record: "
            "free some space, or record to another disk"
        )
    return room


def in_bytes(count: int) -> str:
    """Return a size in words: 3.4 MB, 1.23 GB."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
