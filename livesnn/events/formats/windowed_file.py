"""A file read through a window, whatever its format. Not here: what lies where in it (the formats)."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

import numpy as np

from livesnn.errors import FormatError, SourceError
from livesnn.progress import Progress, untold

_READ_BYTES = 1 << 18


def open_unbuffered(path: Path) -> FileIO:
    """Open a file for reading; raises SourceError when it can't be."""
    try:
        return open(path, "rb", buffering=0)
    except OSError as error:
        raise SourceError(
            f"{path}: can't be opened ({error.strerror}): check the path and its permissions"
        ) from error


class WindowedFile:
    """A file read through a window: neighbouring packets cost one read, and memory stays bounded.

    A view holds until the next call of `view`, or, once ``lasting`` is set, for as long as it is referred to.
    ``progress`` is told what a reader says with `passed`.
    """

    def __init__(self, path: Path, progress: Progress = untold) -> None:
        self._file = open_unbuffered(path)
        self._progress = progress
        self.path = path
        self.size = os.fstat(self._file.fileno()).st_size
        self._start = 0
        self._window = memoryview(b"")
        self._reused = np.empty(_READ_BYTES, np.uint8).data
        self.lasting = False

    def view(self, position: int, size: int, read_bytes: int = _READ_BYTES) -> memoryview:
        """Return ``size`` octets, fewer at the end of the file; raises FormatError when that has come nearer."""
        start = position - self._start
        if start < 0 or start + size > len(self._window):
            wanted = max(0, min(max(size, read_bytes), self.size - position))
            fresh = self.lasting or wanted > len(self._reused)
            window = np.empty(wanted, np.uint8).data if fresh else self._reused[:wanted]
            try:
                self._file.seek(position)
                filled = self._file.readinto(window) or 0
            except OSError as error:
                raise SourceError(
                    f"{self.path}: reading failed at byte {position} ({error.strerror})"
                ) from error
            if filled < wanted:
                raise FormatError(f"{self.path}: it became shorter while it was read: open it again")
            self._window, self._start, start = window, position, 0
        return self._window[start : start + size]

    def passed(self, position: int) -> None:
        """Tell how far a look at the whole file has come; raises what ends it."""
        self._progress(position / self.size)

    def close(self) -> None:
        """Release the file."""
        self._file.close()
