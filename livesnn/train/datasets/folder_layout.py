"""Which recordings a lab's folder or table holds, of which class and session. Not here: reading them (folder.py).

The layout is in the docstring of folder.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast, get_args

from livesnn.errors import DataError
from livesnn.events.labels import COLUMNS, SUFFIX, Row, read_table
from livesnn.events.packet import TIME_LIMIT_US
from livesnn.train.datasets import SplitName
from livesnn.train.datasets.recorded import Recording

LABELS = "labels.csv"
TEST = "test"
HIDDEN = (".", "_")


def find_recordings(data: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """Return the recordings and the classes, by name; raises DataError when there are none, or one class alone."""
    if not data.exists():
        raise DataError(
            f"no folder {data}: give --data a folder with one folder a class, or a table like {LABELS}"
        )
    table = data if data.is_file() else data / LABELS
    labelled = _from_table(table) if table.is_file() else _labelled_beside(data) or _from_folders(data)
    classes = tuple(sorted({label for label, _ in labelled}))
    recordings = [recording._replace(label=classes.index(label)) for label, recording in labelled]
    _refuse_twice(recordings)
    _refuse_overlaps(recordings)
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} classes in {data}: expected {data}/<class>/<recordings> for two or more, or {table}"
        )
    return recordings, classes


def _refuse_twice(recordings: Iterable[Recording]) -> None:
    """Raise DataError if a stretch of a file is there twice, under whatever names."""
    seen: dict[object, str] = {}
    for recording in recordings:
        stretch = recording.path.resolve(), recording.part_us
        if stretch in seen:
            raise DataError(f"{recording.name} is there twice, as {seen[stretch]}: leave one of them out")
        seen[stretch] = recording.name


def _refuse_overlaps(recordings: Iterable[Recording]) -> None:
    """Raise DataError if two sessions share a part of a file, or one class's part lies within another's."""
    stretches = [
        (recording.path.resolve(), *(recording.part_us or (0, TIME_LIMIT_US)), recording)
        for recording in recordings
    ]
    by_table = any(recording.use in ("train", "validation") for *_, recording in stretches)
    longest: dict[Path, tuple[int, Recording]] = {}
    for path, first_us, last_us, recording in sorted(stretches, key=lambda stretch: stretch[:3]):
        before_us, other = longest.get(path, (0, recording))
        if first_us < before_us and _side(recording, by_table) != _side(other, by_table):
            raise DataError(
                f"{other.name} and {recording.name} overlap but may be on two sides of the split: correct their "
                "times, or give both the same session and split"
            )
        within = last_us <= before_us or first_us == (other.part_us or (0,))[0]
        if within and recording.label != other.label:
            raise DataError(
                f"one of {recording.name} and {other.name} lies within the other: correct their times"
            )
        longest[path] = max((before_us, other), (last_us, recording), key=lambda seen: seen[0])


def _side(recording: Recording, by_table: bool) -> object:
    """Return what decides where a recording goes."""
    return (recording.use or "train") if by_table else (recording.use, recording.group)


def _from_folders(data: Path) -> list[tuple[str, Recording]]:
    found = []
    visible = (path for path in data.iterdir() if path.name != TEST and not path.name.startswith(HIDDEN))
    for folder in sorted(path for path in visible if path.is_dir()):
        for path in _files(folder):
            parts = path.relative_to(data).parts
            if not path.name.endswith(SUFFIX):
                session = "/".join(parts[1:-1]) or f"{folder.name}/{path.name}"
                found.append((folder.name, Recording(path, 0, "/".join(parts), session)))
    return found


def _labelled_beside(data: Path) -> list[tuple[str, Recording]]:
    """Return what the tables beside recordings in a folder say, or else those in the folders below it.

    Raises
    ------
    DataError
        There, a recording has no labels where others have: it would be neither of a class, nor left out knowingly.
    """
    if tables := sorted(data.glob(f"*{SUFFIX}")):
        return [row for table in tables for row in _from_table(table)]
    files = [path for path in _files(data) if path.relative_to(data).parts[0] != TEST]
    tables = [path for path in files if path.name.endswith(SUFFIX)]
    labelled = [row for table in tables for row in _from_table(table, table.parent.relative_to(data))]
    named = {recording.path.resolve() for _, recording in labelled}
    kinds = {path.suffix for path in named}
    if left := [path for path in files if path.suffix in kinds and path.resolve() not in named]:
        raise DataError(
            f"{left[0]} has no labels, as {labelled[0][1].path} has: label it, or move it out of {data}; if folders "
            f"are the classes, move the {SUFFIX[1:]} out"
        )
    return labelled


def _files(folder: Path) -> list[Path]:
    """Return all files in a folder and those below it, through links too, each folder once; none of hidden names."""
    found: list[Path] = []
    seen: set[Path] = set()
    for root, folders, names in os.walk(folder, followlinks=True):
        real = Path(root).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        visible = (Path(root) / name for name in names if not name.startswith(HIDDEN))
        found += [path for path in visible if path.is_file()]
    return sorted(found)


def _from_table(table: Path, below: Path = Path()) -> list[tuple[str, Recording]]:
    """Return what a table says; ``below``: the folder it lies in, from that of the data set."""
    header, rows = read_table(table)
    known = (*COLUMNS, "split")
    if odd := [name for name in header if name not in known and name.strip().lower() in known]:
        right = odd[0].strip().lower()
        raise DataError(f"{table}: its column {odd[0]!r} is written {right!r}: correct its first line")
    return [_row(table, below, number, row) for number, row in rows]


def _row(table: Path, below: Path, number: int, row: Row) -> tuple[str, Recording]:
    where = f"{table}, line {number}"
    values = [(row.get(name) or "").strip() for name in COLUMNS]
    if not all(values[:4]):
        raise DataError(
            f"{where}: {COLUMNS[values.index('')]} is missing: the columns are {','.join(COLUMNS)}"
        )
    file, start, end, label, session = values
    path = table.parent / file
    if not os.path.isfile(path):  # False for a name too long to be one, where pathlib raises
        raise DataError(f"{where}: no file {path}: correct the name, or put it there")
    try:
        first_us, last_us = round(float(start) * 1e6), round(float(end) * 1e6)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: {start!r} to {end!r} aren't seconds: correct them") from error
    if not 0 <= first_us < last_us:
        raise DataError(
            f"{where}: {start} to {end} s is no stretch of time: start must be 0 or more, and before end"
        )
    use = (row.get("split") or "").strip() or None
    if use not in (None, *get_args(SplitName)):
        raise DataError(
            f"{where}: split {use!r} is none of {', '.join(get_args(SplitName))}: correct it, or leave it out"
        )
    name = f"{below.as_posix()}/{file}" if below.parts else file
    session = session or (below.as_posix() if below.parts else name)
    stretch = f"{name}@{start}-{end}"
    return label, Recording(path, 0, stretch, session, (first_us, last_us), cast(SplitName | None, use))
