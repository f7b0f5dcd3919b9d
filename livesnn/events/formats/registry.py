"""The registry of file formats: `open_reader` tells them apart by content. No format knows it.

To add a format, write one module with a `reader.Reader`, and add one line to FORMATS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.reader import Reader
from livesnn.files import closed_on_error, file_head
from livesnn.progress import Progress, no_progress

HEAD_BYTES = 64
_SUFFIX = re.compile(r"(?P<file>.+?)\?(?P<key>columns|stream)=(?P<value>.*)", re.DOTALL)


class RecordingPath(NamedTuple):
    """A file, and what follows its name: ``f.csv?columns=t_us,x,y,p`` or ``f.aedat4?stream=LEFT``."""

    file: Path
    columns: tuple[str, ...] = ()
    stream: str | None = None

    @property
    def name(self) -> str:
        """The name of the file, with the stream's if one is named."""
        return self.file.name if self.stream is None else f"{self.file.name} ({self.stream})"


class Format(NamedTuple):
    """One format: how its files begin, or which function recognises them, and what opens them.

    The functions are named as "module.function" and imported only when they are needed. ``reads_through`` says that
    opening a file reads all of it, and so takes a progress callback.
    """

    name: str
    suffixes: tuple[str, ...]
    sign: bytes | str
    opener: str
    reads_through: bool = False

    def fits(self, path: Path, head: bytes) -> bool:
        """Return whether a file is of this format, by its path and its first HEAD_BYTES bytes."""
        if isinstance(self.sign, bytes):
            return head.startswith(self.sign)
        return bool(_function(self.sign)(path, head))

    def open(self, path: Path, progress: Progress) -> Reader:
        """Open a file of this format; raises as `open_reader` does."""
        arguments = (path, progress) if self.reads_through else (path,)
        return _function(self.opener)(*arguments)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(".")
    return getattr(import_module(f"{__package__}.{module}"), function)


FORMATS: tuple[Format, ...] = (
    Format("aedat4", (".aedat4",), b"#!AER-DAT4.0\r\n", "aedat4_reader.Aedat4Reader", reads_through=True),
    Format("aedat2", (".aedat",), b"#!AER-DAT2.0", "aedat2.open_aedat2", reads_through=True),
    Format("aedat1", (".aedat",), b"#!AER-DAT1.0", "aedat2.open_aedat2", reads_through=True),
    Format("aedat3", (".aedat",), b"#!AER-DAT3.1", "aedat3.open_aedat3", reads_through=True),
    Format("npz", (".npz",), b"PK\x03\x04", "npz.open_npz"),
    Format("hdf5", (".hdf5", ".h5"), b"\x89HDF\r\n\x1a\n", "hdf5.open_hdf5"),
    Format("es", (".es",), b"Event Stream", "event_stream.open_event_stream", reads_through=True),
    Format("bag", (".bag",), b"#ROSBAG V2.0\n", "rosbag.open_bag1"),
    Format("mcap", (".mcap",), b"\x89MCAP0\r\n", "rosbag.open_mcap"),
    Format("db3", (".db3",), b"SQLite format 3\x00", "rosbag.open_sqlite"),
    Format("nmnist", (".bin",), "nmnist.looks_like_nmnist", "nmnist.open_nmnist"),
    Format("dat", (".dat",), "dat.looks_like_dat", "dat.open_dat", reads_through=True),
    Format("evt", (".raw",), "evt.looks_like_evt", "evt.open_evt", reads_through=True),
    Format("csv", (".csv", ".txt"), "text.looks_like_text", "text.open_text"),
)
"""Tried in order; those without a magic number come last."""


def parse_recording_path(path: Path) -> RecordingPath:
    """Split what follows a file's name off a path; a file of exactly that name comes first."""
    found = _SUFFIX.fullmatch(str(path))
    if not found or os.path.lexists(path):
        return RecordingPath(path)
    if found["key"] == "stream":
        return RecordingPath(Path(found["file"]), stream=found["value"])
    return RecordingPath(Path(found["file"]), tuple(column.strip() for column in found["value"].split(",")))


def open_reader(path: Path, progress: Progress = no_progress, *, at_once: bool = False) -> Reader:
    """Open a recording of any known format, recognised by its content.

    For a text table, ``f.csv?columns=t_us,x,y,p`` names its columns and overrides its header; see `text.open_text`.
    All streams of a file are opened, even if one is named. ``progress`` is called if the format must be read through.
    With ``at_once``, the reader may not be `indexed` yet. Raises SourceError when the file can't be opened, and
    FormatError when its format isn't known, or its beginning is too damaged to use.
    """
    from livesnn.compiled import forget_stale
    from livesnn.events.formats.word_reader import unwrap

    forget_stale(unwrap)  # the decoders call one another
    path, columns, _ = parse_recording_path(path)
    if os.path.isfile(path / "metadata.yaml"):
        from livesnn.events.formats.rosbag import open_folder

        return open_folder(path)
    if os.path.isdir(path) and (pieces := [*path.glob("*.db3"), *path.glob("*.mcap")]):
        raise SourceError(
            f"{path}: this folder of a ROS 2 bag has no metadata.yaml: run ros2 bag reindex {path}, or give a file "
            f"in it, such as {min(pieces)}"
        )
    head = file_head(path, HEAD_BYTES, f"recording ({_suffixes()})")
    if columns:
        from livesnn.events.formats.text import is_text, open_text

        if not is_text(head):
            raise FormatError(f"{path}: only text files take ?columns=, and this isn't one: leave it out")
        return open_text(path, columns=columns)
    for known in FORMATS:
        if known.fits(path, head):
            with closed_on_error(known.open(path, progress)) as reader:
                if not at_once:
                    reader.index(progress)
                return reader
    raise FormatError(f"{path}: {_describe(head)}: give a recording that livesnn reads ({_suffixes()})")


def _describe(head: bytes) -> str:
    if head.startswith(b"#!AER-DAT"):
        version = head[9:12].decode("ascii", errors="replace")
        return f"AEDAT {version if version.isprintable() else '?'} isn't supported yet"
    return "not a recording of a known format, or its beginning is damaged"


def _suffixes() -> str:
    return ", ".join(dict.fromkeys(suffix for known in FORMATS for suffix in known.suffixes))
