"""Checking, naming and reading files, and replacing a small one in one step."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from livesnn.errors import FormatError, SourceError, reason_of
from livesnn.progress import Progress, no_progress

_READ_BYTES = 1 << 18
_KEPT_BYTES = 1 << 20  # a buffer of more isn't kept for the next reading


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder for its ~; as it is where there is no such user: pathlib raises there."""
    return Path(os.path.expanduser(path))


def require_file(path: Path, what: str = "recording") -> int:
    """Return a file's size in bytes, before it is opened: opening a pipe or a device may block for ever.

    Raises SourceError when there is no such file, it can't be seen, or it isn't a regular file. ``what`` says what is
    wanted: "recording (.aedat4, .npz)".
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        missing = "a link that points nowhere" if path.is_symlink() else "no such file"
        raise SourceError(f"{path}: {missing}: give the path of a {what}") from None
    except (OSError, ValueError) as error:  # ValueError: a zero octet in the path
        raise cannot_open(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{path}: this is a folder, not a {what}: give the path of a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{path}: this is a pipe or device, not a file: give the path of a {what}")
    return status.st_size


def refuse_pipe(path: Path) -> None:
    """Raise OSError where a file can't be looked up, or is a pipe: opening one may wait for ever."""
    if stat.S_ISFIFO(path.stat().st_mode):
        raise OSError(errno.EINVAL, "this is a pipe, not a file")


def file_head(path: Path, count: int, what: str = "recording") -> bytes:
    """Return a file's first bytes, at most ``count``; raises as `require_file`, and FormatError when it is empty."""
    require_file(path, what)
    try:
        with open(path, "rb") as file:
            head = file.read(count)
    except OSError as error:
        raise cannot_open(path, error) from error
    if not head:
        raise FormatError(f"{path}: the file is empty: copy it again, or record it again")
    return head


def replace_file(path: Path, octets: bytes) -> None:
    """Write a file whole or not at all, as `replacing`."""
    with replacing(path) as new:
        new.write_bytes(octets)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a new file beside this one, .livesnn-…, which takes its place at the end, and is deleted after an error.

    A process killed on the way leaves the old one. Raises OSError, also where something else than a file is there.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "this is a folder, pipe or device", str(path))
    new = path.with_name(f".livesnn-{secrets.token_hex(6)}{path.suffix}")
    try:
        yield new
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what differs after each writing of a file; None: there is no regular one, or it can't be looked up."""
    with suppress(OSError):
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            return status.st_mtime_ns, status.st_ino, status.st_size
    return None


class _Buffer(threading.local):
    """What a thread has read last of a file."""

    def __init__(self) -> None:
        self.start = 0
        self.octets = memoryview(b"")
        self.reused = np.empty(_READ_BYTES, np.uint8).data


class BufferedFile:
    """A file read through a buffer: packets that lie close together cost one read, and memory stays bounded.

    Each thread has a buffer of its own. A view is valid until the thread's next call of `view`, or for as long as it
    is referred to if ``lasting`` is set.
    """

    def __init__(self, path: Path, progress: Progress = no_progress) -> None:
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise cannot_open(path, error) from error
        self._progress = progress
        self.path = path
        self.size = os.fstat(self._file.fileno()).st_size
        self._buffer = _Buffer()
        self._reading = threading.Lock()
        self.lasting = False

    def view(self, position: int, size: int, read_bytes: int = _READ_BYTES) -> memoryview:
        """Return ``size`` bytes, fewer at the end of the file; raises FormatError if the file has become shorter."""
        buffer = self._buffer
        start = position - buffer.start
        if start < 0 or start + size > len(buffer.octets):
            wanted = max(0, min(max(size, read_bytes), self.size - position))
            if self.lasting or wanted > _KEPT_BYTES:
                octets = np.empty(wanted, np.uint8).data
            else:
                if wanted > len(buffer.reused):
                    buffer.reused = np.empty(wanted, np.uint8).data
                octets = buffer.reused[:wanted]
            try:
                with self._reading:
                    self._file.seek(position)
                    filled = self._file.readinto(octets) or 0
            except OSError as error:
                raise SourceError(
                    f"{self.path}: reading failed at byte {position} ({reason_of(error)}): check the disk"
                ) from error
            if filled < wanted:
                raise FormatError(f"{self.path}: the file became shorter while it was read: open it again")
            buffer.octets, buffer.start, start = octets, position, 0
        return buffer.octets[start : start + size]

    def passed(self, position: int) -> None:
        """Report how much of the file has been looked through; passes on what the callback raises."""
        self._progress(position / self.size)

    def close(self) -> None:
        """Release the file."""
        self._file.close()


class Closable(Protocol):
    """What holds a file, a device or a connection until it is closed."""

    def close(self) -> object: ...


Opened = TypeVar("Opened", bound=Closable)


@contextmanager
def closed_on_error(opened: Opened) -> Iterator[Opened]:
    """Close what was opened if what is done with it raises."""
    try:
        yield opened
    except BaseException:
        opened.close()
        raise


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise SourceError for an OSError in the block, which makes or writes this file."""
    try:
        yield
    except FileExistsError as error:
        raise exists_already(path) from error
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_open(path: Path, error: Exception) -> SourceError:
    """Return the error that says why a file can't be opened."""
    return SourceError(f"{str(path)!r}: can't be opened ({reason_of(error)}): check the path and permissions")


def cannot_write(path: Path, error: OSError) -> SourceError:
    """Return the error that says why a recording, or what belongs to one, can't be written."""
    missing = isinstance(error, FileNotFoundError)
    todo = f"make the folder {path.parent} first" if missing else "check the folder and the free space"
    return SourceError(f"{path}: can't be written ({reason_of(error)}): {todo}")


def exists_already(path: Path) -> SourceError:
    """Return the error for a file that must be new, but is there."""
    return SourceError(f"{path} exists already: choose another name, or remove it first")


_SCHEME = re.compile("^(simulate:|tcp://)")
_NOT_IN_A_NAME = re.compile("[^A-Za-z0-9._]+")


def proposed_name(source: str, now: datetime) -> str:
    """Return a file name made of a source and the time: gestures-2026-11-25-141530.aedat4."""
    words = _NOT_IN_A_NAME.sub("-", _SCHEME.sub("", source)).strip("-.") or "recording"
    return f"{words}-{now:%Y-%m-%d-%H%M%S}.aedat4"
