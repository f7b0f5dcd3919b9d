"""Looking at a file before it is read: only a regular one, and its first octets; replacing a small one whole.

Not here: what is in it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from livesnn.errors import FormatError, SourceError


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for its ~; as it is where there is no such user: pathlib raises there."""
    return Path(os.path.expanduser(path))


def require_file(path: Path, what: str = "recording") -> int:
    """Return a file's size, octets, before it is opened: opening a pipe or a device may wait for ever.

    Parameters
    ----------
    what
        What is wanted: "recording", "recording (.aedat4, .npz)".

    Raises
    ------
    SourceError
        When there is no such file, it can't be seen, or it isn't a regular file.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        missing = "a link that points nowhere" if path.is_symlink() else "no such file"
        raise SourceError(f"{path}: {missing}: give the path of a {what}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero octet in the path
        raise _closed(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path}: a folder, not a {what}: give the path of a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path}: not a file (a pipe or device): give the path of a {what}")
    return status.st_size


def file_head(path: Path, count: int, what: str = "recording") -> bytes:
    """Return a file's first octets, at most ``count``; raises as `require_file`, and FormatError when it is empty."""
    require_file(path, what)
    try:
        with open(path, "rb") as file:
            head = file.read(count)
    except OSError as error:
        raise _closed(path, error) from error
    if not head:
        raise FormatError(f"{path}: the file is empty: record it again, or get it again")
    return head


def replace_file(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all: a process killed on the way leaves the old one; raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(octets)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _closed(path: Path, error: Exception) -> SourceError:
    reason = getattr(error, "strerror", None) or error
    return SourceError(f"{str(path)!r}: can't be opened ({reason}): check the path and permissions")
