"""File formats of recordings: what a reader offers, and `open_reader`, which tells formats apart by content.

A new format is one module with a reader, and one line in FORMATS. Not here: replay (events/recording.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from livesnn.errors import FormatError
from livesnn.events.packet import Events, Resolution, SourceCounters
from livesnn.files import file_head
from livesnn.numba_cache import forget_stale
from livesnn.progress import Progress, untold

HEAD_BYTES = 64
_ASKED = re.compile(r"(?P<file>.+?)\?(?P<what>columns|stream)=(?P<of>.*)", re.DOTALL)


class Asked(NamedTuple):
    """A file, and what its name is followed by: ``f.csv?columns=t_us,x,y,p``, or ``f.aedat4?stream=LEFT``."""

    file: Path
    columns: tuple[str, ...] = ()
    stream: str | None = None

    @property
    def name(self) -> str:
        """The file's name, and the stream's."""
        return self.file.name if self.stream is None else f"{self.file.name} ({self.stream})"


@dataclass(frozen=True)
class EventStream:
    """One stream of events in a file; ``resolution`` is None where the file doesn't say.

    ``mirrored`` says for x and y whether the file counts them the other way: packets are upright all the same.
    """

    name: str
    camera: str
    resolution: Resolution | None
    mirrored: tuple[bool, bool] = (False, False)


class OtherContent(NamedTuple):
    """How many frames, inertial samples and triggers a file holds beside its events."""

    frames: int = 0
    imu: int = 0
    triggers: int = 0


class Reader(Protocol):
    """An open file. Used from one thread at a time.

    Attributes
    ----------
    format
        Short name, e.g. ``aedat4``.
    camera
        What recorded it, as the file says; empty when it doesn't.
    orientation
        How the file's coordinates lie, in words.
    streams
        Its event streams, in the file's order; maybe none.
    resolution
        Of the first event stream, else of the frames; None where the file doesn't say.
    """

    @property
    def format(self) -> str: ...  # noqa: D102
    @property
    def camera(self) -> str: ...  # noqa: D102
    @property
    def orientation(self) -> str: ...  # noqa: D102
    @property
    def streams(self) -> Sequence[EventStream]: ...  # noqa: D102
    @property
    def resolution(self) -> Resolution | None: ...  # noqa: D102

    @property
    def warnings(self) -> list[str]:
        """What is damaged, missing or assumed, as far as the file has been read; one line each."""
        ...

    def packets(self, stream: str, start_us: int | None, counters: SourceCounters) -> Iterator[Events]:
        """Yield the stream's packets of EVENTS_DTYPE from the first event at or after ``start_us``.

        Packets are the caller's own, time-ordered, not empty, and may be strided. Events out of order are put
        in order and counted, events outside the sensor dropped and counted, in ``counters`` (whose
        ``events`` the caller keeps). Damaged packets are left out, and a warning says so.
        """
        ...

    def time_range(self, stream: str) -> tuple[int, int] | None:
        """Return the least and the greatest time, as far as the stream's ends tell, µs; None: no events."""
        ...

    def other_content(self) -> OtherContent:
        """Count what isn't events."""
        ...

    def close(self) -> None:
        """Release the file; safe to call twice."""
        ...


class Format(NamedTuple):
    """How a format is recognised: ``fits`` gets the path and the file's first HEAD_BYTES octets."""

    name: str
    suffixes: tuple[str, ...]
    fits: Callable[[Path, bytes], bool]
    open: Callable[[Path, Progress], Reader]


def _open_aedat4(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.aedat4 import Aedat4Reader

    return Aedat4Reader(path, progress)


def _open_aedat2(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.aedat2 import open_aedat2

    return open_aedat2(path, progress)


def _open_aedat3(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.aedat3 import Aedat3Reader

    return Aedat3Reader(path, progress)


def _open_tables(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.tables import open_npz

    return open_npz(path)


def _fits_text(path: Path, head: bytes) -> bool:
    from livesnn.events.formats.text_tables import looks_like_text_table

    return looks_like_text_table(path, head)


def _open_text(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.text_tables import open_text

    return open_text(path)


def _open_hdf5(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.hdf5 import open_hdf5

    return open_hdf5(path)


def _open_event_stream(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.event_stream import open_event_stream

    return open_event_stream(path, progress)


def _fits_nmnist(path: Path, head: bytes) -> bool:
    from livesnn.events.formats.nmnist import looks_like_nmnist

    return path.suffix.lower() == ".bin" and looks_like_nmnist(head)


def _open_nmnist(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.nmnist import open_nmnist

    return open_nmnist(path)


def _fits_dat(path: Path, head: bytes) -> bool:
    if not head.startswith(b"% ") and path.suffix.lower() != ".dat":
        return False
    from livesnn.events.formats.dat import looks_like_dat

    return looks_like_dat(path, head)


def _open_dat(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.dat import open_dat

    return open_dat(path, progress)


def _fits_evt(path: Path, head: bytes) -> bool:
    if not head.startswith(b"% ") and path.suffix.lower() != ".raw":
        return False
    from livesnn.events.formats.evt import looks_like_evt

    return looks_like_evt(path)


def _open_evt(path: Path, progress: Progress) -> Reader:
    from livesnn.events.formats.evt import open_evt

    return open_evt(path, progress)


FORMATS: tuple[Format, ...] = (
    Format("aedat4", (".aedat4",), lambda _, head: head.startswith(b"#!AER-DAT4.0\r\n"), _open_aedat4),
    Format("aedat2", (".aedat",), lambda _, head: head.startswith(b"#!AER-DAT2.0"), _open_aedat2),
    Format("aedat3", (".aedat",), lambda _, head: head.startswith(b"#!AER-DAT3.1"), _open_aedat3),
    Format("npz", (".npz",), lambda _, head: head.startswith(b"PK\x03\x04"), _open_tables),
    Format("hdf5", (".hdf5", ".h5"), lambda _, head: head.startswith(b"\x89HDF\r\n\x1a\n"), _open_hdf5),
    Format("es", (".es",), lambda _, head: head.startswith(b"Event Stream"), _open_event_stream),
    Format("nmnist", (".bin",), _fits_nmnist, _open_nmnist),
    Format("dat", (".dat",), _fits_dat, _open_dat),
    Format("evt", (".raw",), _fits_evt, _open_evt),
    Format("csv", (".csv", ".txt"), _fits_text, _open_text),
)
"""Tried in order; those without a magic number come last."""


def asked(path: Path) -> Asked:
    """Return what a path asks for; the path itself where there is a file of that whole name."""
    found = _ASKED.fullmatch(str(path))
    if not found or os.path.lexists(path):
        return Asked(path)
    if found["what"] == "stream":
        return Asked(Path(found["file"]), stream=found["of"])
    return Asked(Path(found["file"]), tuple(column.strip() for column in found["of"].split(",")))


def open_reader(path: Path, progress: Progress = untold) -> Reader:
    """Open a recording of any known format, by its content.

    Parameters
    ----------
    path
        Of a text table ``f.csv?columns=t_us,x,y,p`` says what its columns are, whatever its header says; see
        `text_tables.open_text`. All streams of a file are opened, whichever is asked for.
    progress
        Told how much has been read where the format must be read to open it.

    Raises
    ------
    SourceError
        When the file can't be opened.
    FormatError
        When its format isn't known, or its beginning is damaged beyond use.
    """
    from livesnn.events.formats.word_stream import unwrap

    forget_stale(unwrap)  # the decoders call one another
    path, columns, _ = asked(path)
    head = file_head(path, HEAD_BYTES, f"recording ({_suffixes()})")
    if columns:
        return _open_with_columns(path, head, columns)
    for known in FORMATS:
        if known.fits(path, head):
            return known.open(path, progress)
    raise FormatError(f"{path}: {_what_it_is(head)}: give a recording that livesnn reads ({_suffixes()})")


def _open_with_columns(path: Path, head: bytes, columns: tuple[str, ...]) -> Reader:
    from livesnn.events.formats.text_tables import is_text, open_text

    if not is_text(head):
        raise FormatError(
            f"{path}: columns are of text alone, which it isn't: leave out what is behind its name"
        )
    return open_text(path, columns=columns)


def _what_it_is(head: bytes) -> str:
    if head.startswith(b"#!AER-DAT"):
        version = head[9:12].decode("ascii", errors="replace")
        return f"AEDAT {version if version.isprintable() else '?'} isn't supported yet"
    return "not a recording of a known format, or its beginning is damaged"


def _suffixes() -> str:
    return ", ".join(dict.fromkeys(suffix for known in FORMATS for suffix in known.suffixes))
