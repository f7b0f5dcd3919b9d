"""What happened when in a recording: NAME.labels.csv beside NAME.aedat4.

Each line is a stretch: file,start,end,label,session, in seconds from the first event. `livesnn train` reads it too.
"""

from __future__ import annotations

import csv
import errno
import io
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from livesnn.errors import DataError, SourceError
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.packet import Closing
from livesnn.files import exists_already, replace_file, require_file, writing
from livesnn.untrusted import ENTRIES

SUFFIX = ".labels.csv"
COLUMNS = ("file", "start", "end", "label", "session")

_HEADER = f"{','.join(COLUMNS)}\n".encode()

Row = dict[str, str | None]


@dataclass(frozen=True)
class Label:
    """A stretch of a recording, seconds from its first event; ``session``: who or what was recorded, when, or ""."""

    label: str
    start: float
    end: float
    session: str = ""


def labels_file(recording: Path) -> Path:
    return recording.parent / f"{recording.stem}{SUFFIX}"


def read_labels(recording: Path) -> tuple[Label, ...]:
    """Return a recording's labels, in the order of their file, lines of other recordings left out; none without one.

    Raises DataError when the file can't be read, a line of it doesn't say from when to when what holds, there are
    more than `ENTRIES`, or all lines are of recordings that are called otherwise, as after both were renamed.
    """
    recording = parse_recording_path(recording).file
    table = labels_file(recording)
    _, lines = read_table(table)
    own = [(number, row) for number, row in lines if _is_of(row, recording)]
    names = [row["file"] or "" for _, row in lines]
    if names and not own and not any(_is_there(recording, name) for name in names):
        raise DataError(f"{table}: its lines name {names[0]!r}: write {recording.name} in the column file")
    if len(own) > ENTRIES:
        raise DataError(f"{table}: {len(own):,} labels are more than {ENTRIES:,}: split the recording")
    return tuple(_label(table, number, row) for number, row in own)


def has_labels(recording: Path) -> bool:
    """Return whether a recording has labels; raises DataError when their file can't be read."""
    recording = parse_recording_path(recording).file
    _, lines = read_table(labels_file(recording))
    return any(_is_of(row, recording) for _, row in lines)


def _is_of(row: Row, recording: Path) -> bool:
    """Return whether a line is of a recording: its file is relative to the table, as in training."""
    file = row["file"] or ""
    return recording.name in (os.path.normpath(file), os.path.normpath(file.strip()))


def _is_there(recording: Path, name: str) -> bool:
    """Return whether a line's file is there, with the recording's name but for its suffix."""
    path = recording.parent / name.strip()
    return path.stem == recording.stem and os.path.isfile(path)


def read_table(table: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """Return (the columns, the rows after them, each with its line's number); the usual ones, and none, of no file.

    Raises DataError when it can't be read, or lacks a column.
    """
    if not os.path.lexists(table):  # False for a name too long to be one, where pathlib raises
        return [*COLUMNS], []
    try:
        require_file(table, "table of labels")
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)  # a quote without an end would take all lines after it
            header, lines = [*(rows.fieldnames or ())], [(rows.line_num, row) for row in rows]
    except SourceError as error:
        raise DataError(str(error)) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{table}: can't be read ({error}): save it as UTF-8, with columns {','.join(COLUMNS)}"
        ) from error
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise DataError(f"{table}: its first line has the column {twice[0]} twice: rename one")
    if lacking := [name for name in COLUMNS[:4] if name not in header]:
        raise DataError(f"{table}: its first line lacks the column {lacking[0]}: write {','.join(COLUMNS)}")
    if long := [number for number, row in lines if None in row]:
        raise DataError(f"{table}, line {long[0]}: it has more fields than the first line: leave some out")
    return header, lines


def _label(table: Path, number: int, row: Row) -> Label:
    label = (row["label"] or "").strip()
    try:
        start, end = float(row["start"] or ""), float(row["end"] or "")
    except ValueError:
        start = end = float("nan")
    if not label or not 0 <= start < end < float("inf"):
        raise DataError(f"{table}, line {number}: give a label, a start of 0 s or more, and a later end")
    return Label(label, start, end, (row.get("session") or "").strip())


def moved(labels: Iterable[Label], by_s: float, lasts_s: float = math.inf) -> tuple[Label, ...]:
    """Return what is left of labels in a recording whose first event comes ``by_s`` earlier, or later below 0.

    ``lasts_s``: how long that recording lasts.
    """
    shifted = (
        replace(label, start=max(label.start + by_s, 0.0), end=min(label.end + by_s, lasts_s)) for label in labels
    )
    return tuple(label for label in shifted if label.start < label.end)


def keep_labels(recording: Path, labels: Iterable[Label]) -> None:
    """Write these labels beside a recording in place of those it has; lines of other recordings stay as they are.

    Raises DataError when there is a file already that can't be read. Raises SourceError when it can't be written; it
    is as before then.
    """
    table = labels_file(recording)
    header, lines = read_table(table)
    others = [row for _, row in lines if not _is_of(row, recording)]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows([*others, *(_row(recording, label) for label in labels)])
    with writing(table):
        replace_file(table, text.getvalue().encode(errors="replace"))


class LabelWriter(Closing):
    """Writes a recording's labels; the file appears with the first one.

    One label at a time: another one ends it. Whatever happens to the process, the file is whole, and the label that
    holds is in it up to the last `reach`. Times are µs from the recording's first event, and never go back.

    Raises SourceError when the file exists already, or can't be written, here and in every method.
    """

    def __init__(self, recording: Path) -> None:
        self.path = labels_file(recording)
        self.count = 0
        self._recording = recording
        self._holds: Label | None = None
        self._reached_us = 0
        self._file: io.FileIO | None = None
        self._row_at = 0  # where in the file the last row starts
        self._end = 0
        if os.path.lexists(self.path):
            raise exists_already(self.path)

    def begin(self, label: str | None, at_us: int) -> None:
        """From now on this label holds; None: none does."""
        self.reach(at_us)
        self._row_at = self._end
        self._holds = None if label is None else Label(label, self._reached_us / 1e6, 0.0)

    def reach(self, at_us: int) -> None:
        """Write that the label still holds."""
        self._reached_us = max(self._reached_us, at_us)
        if self._holds is None or self._reached_us / 1e6 <= self._holds.start:
            return
        self.count += self._row_at == self._end
        self._write(_line(self._recording, replace(self._holds, end=self._reached_us / 1e6)))

    def sync(self) -> None:
        """Wait until the disk has what is written; may run in another thread, but not during `close`."""
        if self._file is not None:
            with writing(self.path):
                os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, row: bytes) -> None:
        """Write this row over the last one, which isn't longer, in one go."""
        with writing(self.path):
            if self._file is None:
                self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 (closed by close)
                self._row_at = self._file.write(_HEADER)
            self._file.seek(self._row_at)
            if self._file.write(row) < len(row):
                self._file.truncate(self._row_at)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end = self._row_at + len(row)


def _row(recording: Path, label: Label) -> Row:
    times = (f"{seconds:.6f}" for seconds in (label.start, label.end))
    return dict(zip(COLUMNS, (recording.name, *times, label.label, label.session), strict=True))


def _line(recording: Path, label: Label) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(_row(recording, label).values())
    return text.getvalue().encode(errors="replace")
