"""Your own recordings, in a folder for each class or with tables of labels, in any format that livesnn reads.

    DIR/<class>/<session>/…, or DIR/<class>/FILE          a recording of the class that the folder names
    DIR/labels.csv, or another FILE.csv                   a table with one line for each stretch of a recording
    DIR/[<session>/…/]*.labels.csv                        the same, as the window writes it beside a recording
        file,start,end,label,session[,split]              times in seconds from the recording's first event

A session is all that was recorded of a person or thing at a time. It goes to training or validation as a whole; if a
class has only one session, its last clips go to validation. Without a name each file is a session, or each folder
with `*.labels.csv`. A column split (train, validation, test) decides instead. Files and folders whose names begin
with "." or "_" are ignored. The test part is DIR/test, laid out like DIR, or what the table says.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast, get_args

import numpy as np

from livesnn.card import BY_TABLE, InputSpec, ModelCard, SliceRule, Split
from livesnn.errors import DataError, LivesnnError
from livesnn.events.formats.registry import FORMATS
from livesnn.events.labels import COLUMNS, SUFFIX, Row, read_table
from livesnn.events.packet import TIME_LIMIT_US
from livesnn.events.recording import Recording as Opened
from livesnn.events.recording import open_recording
from livesnn.simulate.gestures import Segment
from livesnn.sources import describe
from livesnn.train.datasets.clips import Clips, Parts, UncutStream
from livesnn.train.datasets.layout import Finding
from livesnn.train.datasets.recorded import Recording, as_opened, left_out, load_recordings, whole_side
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import split_by_group, split_clips

INPUT = InputSpec(64, 64, SliceRule(delta_t_us=50_000), count_max=8, scale=0.25, without_flicker=True)
SENSOR = None
MIRRORED = None
TAKES = "your own recordings, {data}/<class>/<session>/FILE, or {data}/labels.csv"
PROTOCOLS = ("",)
LABELS = "labels.csv"
TEST = "test"
HIDDEN = (".", "_")
REST = "unlabelled"  # Name of rest in a measurement

NO_TEXT = frozenset(suffix for known in FORMATS if known.name != "csv" for suffix in known.suffixes)
"""Suffixes of recordings only. A text may be a table of events or of labels, or somebody's notes."""
MOST_FILES = 200_000  # In a folder, which takes 3 s to look through


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    """Return the clips; a fraction of the sessions is kept for validation by seed, unless a table says which."""
    found, classes = find_recordings(request.data)
    recordings = [recording for recording in found if recording.use != "test"]
    clips = load_opened(recordings, classes, request.input, request.windows)
    if not any(recording.use for recording in recordings):
        theirs = before.split if before else None
        kept = {*theirs.groups, *theirs.clips} if theirs else set()
        return split_clips(
            clips, request, before if kept & {*clips.groups, *clips.names} else None
        )  # None: another folder
    split = Split(request.validation, request.seed, BY_TABLE, windows=request.windows)
    training, validation = _parts(recordings, clips, split)
    return Parts(training, validation, split=split)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return the test part, or what the card's split kept or left; for a model of another data set, all of DIR."""
    recordings = _part(data, split, card)
    if split == "test" or card.dataset != "folder" or card.split is None:
        return load_opened(recordings, card.classes, card.input)
    clips = load_opened(recordings, card.classes, card.input, card.split.windows)
    return _parts(recordings, clips, card.split)[split == "validation"]


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[UncutStream]:
    """Yield whole recordings with labelled stretches of that part, in order, until so many minutes are played.

    Between the first and the last label of a recording, a stretch without a label counts as rest: the person who
    labelled it saw none of the classes there. If a table only names a few good examples, there are too many false
    decisions, and all other figures hold. What is before the first label, after the last one, or labelled for another
    part doesn't count. ``seed`` is ignored.
    """
    recordings = _part(data, split, card)
    if split != "test" and card.dataset == "folder" and card.split is not None:
        recordings = whole_side(recordings, card, card.split, validation=split == "validation")
    yield from _labelled_streams(recordings, [*recordings, *find_recordings(data)[0]], card.classes, minutes)


def _part(data: Path, split: SplitName, card: ModelCard) -> list[Recording]:
    recordings, classes = find_recordings(data)
    if split == "test":
        if named := [recording for recording in recordings if recording.use == "test"]:
            recordings = named
        elif (data / TEST).is_dir():
            recordings, classes = find_recordings(data / TEST)
        else:
            raise DataError(
                f"no folder {data / TEST}, and no row of {LABELS} with split test: put the recordings to test on "
                "there"
            )
    elif card.dataset == "folder":
        recordings = [recording for recording in recordings if recording.use != "test"]
    if strange := sorted(set(classes) - set(card.classes)):
        known = ", ".join(card.classes)
        raise DataError(f"{card.name} doesn't know {strange[0]!r}, a class of {data}: it knows {known}")
    return [recording._replace(label=card.classes.index(classes[recording.label])) for recording in recordings]


def load_opened(
    recordings: list[Recording], classes: tuple[str, ...], spec: InputSpec, most: int | None = None
) -> Clips:
    clips = load_recordings("folder", recordings, classes, spec, most=most)
    used = set(clips.recordings)
    sensor, warnings = as_opened([some for some in recordings if some.name in used])
    return replace(clips, sensor=sensor, warnings=warnings)


def check(data: Path) -> list[Finding]:
    recordings, classes = find_recordings(data)
    findings = _check(recordings, classes)
    if (data / TEST).is_dir() and not any(recording.use == "test" for recording in recordings):
        try:
            findings += _check(*find_recordings(data / TEST), f"{TEST}/")
        except DataError as error:
            findings.append(Finding("unusable", str(error)))
    return findings


def _check(recordings: list[Recording], classes: tuple[str, ...], before: str = "") -> list[Finding]:
    findings: list[Finding] = []
    for path in dict.fromkeys(recording.path for recording in recordings):
        with suppress(LivesnnError):  # said below
            findings += [Finding("damaged", f"{path}: {line}") for line in describe(path).warnings]
    lost = left_out("folder", recordings, INPUT)
    for recording, why, unread in lost:
        damaged = unread and recording.path.suffix.lower() in NO_TEXT
        findings.append(Finding("damaged" if damaged else "unusable", f"{before}{recording.name}: {why}"))
    gone = {recording.name for recording, _, _ in lost}
    usable = [recording for recording in recordings if recording.name not in gone]
    by_table = any(recording.use in ("train", "validation") for recording in usable)
    for label, name in enumerate(classes):
        of_class = [recording for recording in usable if recording.label == label]
        tested = [recording for recording in of_class if recording.use == "test"]
        trained = [recording for recording in of_class if recording.use != "test"]
        findings.append(_counted(f"{before}{name}", trained))
        if tested:
            findings.append(_counted(f"{TEST}/{name}", tested))
        if not before and not by_table and len({recording.group for recording in trained}) == 1:
            findings.append(
                Finding("incomplete", f"{name}: only one session: record another, which validation can have")
            )
    return findings


def _counted(name: str, recordings: Sequence[Recording]) -> Finding:
    sessions = len({recording.group for recording in recordings})
    counts = f"{len(recordings)} recording{'s' * (len(recordings) != 1)} of {sessions} session{'s' * (sessions != 1)}"
    return Finding("complete" if recordings else "missing", f"{name}: {counts}")


def _parts(recordings: list[Recording], clips: Clips, split: Split) -> tuple[Clips, Clips]:
    uses = {recording.name: recording.use for recording in recordings}
    if split.protocol == BY_TABLE:
        kept = np.array([uses[name] == "validation" for name in clips.recordings])
        if not kept.any():
            raise DataError("no row of the table has split validation: give it to some of each class, or to no row")
        return clips.subset(np.flatnonzero(~kept)), clips.subset(np.flatnonzero(kept))
    return split_by_group(clips, split)


def find_recordings(data: Path) -> tuple[list[Recording], tuple[str, ...]]:
    """Return the recordings and the sorted names of the classes; raises DataError with fewer than two classes."""
    if not data.exists():
        raise DataError(f"no folder {data}: give --data a folder with one folder a class, or a table like {LABELS}")
    table = data if data.is_file() else data / LABELS
    if data.is_file() and data.suffix.lower() in NO_TEXT:
        raise DataError(f"{data} is no table of labels: give --data a folder with one folder a class, or a .csv file")
    labelled = _from_table(table) if table.is_file() else _labelled_beside(data) or _from_folders(data)
    classes = tuple(sorted({label for label, _ in labelled}))
    recordings = [recording._replace(label=classes.index(label)) for label, recording in labelled]
    _refuse_twice(recordings)
    _refuse_overlaps(recordings)
    if len(classes) < 2:
        raise DataError(
            f"{len(classes)} classes in {data}: give {data}/<class>/<recordings> for two or more, or {table}"
        )
    return recordings, classes


def _refuse_twice(recordings: Iterable[Recording]) -> None:
    seen: dict[object, str] = {}
    for recording in recordings:
        stretch = recording.path.resolve(), recording.part_us
        if stretch in seen:
            raise DataError(f"{recording.name} is there twice, also as {seen[stretch]}: leave one of them out")
        seen[stretch] = recording.name


def _refuse_overlaps(recordings: Iterable[Recording]) -> None:
    stretches = [
        (recording.path.resolve(), *(recording.part_us or (0, TIME_LIMIT_US)), recording) for recording in recordings
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
        longest[path] = max((before_us, other), (last_us, recording), key=lambda seen: seen[0])


def _side(recording: Recording, by_table: bool) -> object:
    return (recording.use or "train") if by_table else (recording.use, recording.group)


def _from_folders(data: Path) -> list[tuple[str, Recording]]:
    found = []
    visible = (path for path in data.iterdir() if path.name != TEST and not path.name.startswith(HIDDEN))
    for folder in sorted(path for path in visible if path.is_dir()):
        if folder.name.lower() in (TEST, "validation"):
            raise DataError(
                f"{folder}: this is no class: recordings for a test belong in {data / TEST}, and those for "
                f"validation are drawn, or named in {LABELS}"
            )
        recordings = [path for path in files_below(folder) if not path.name.endswith(SUFFIX)]
        if not recordings:
            raise DataError(f"{folder} has no recordings: record some, or delete it")
        for path in recordings:
            parts = path.relative_to(data).parts
            session = "/".join(parts[1:-1]) or f"{folder.name}/{path.name}"
            found.append((folder.name, Recording(path, 0, "/".join(parts), session)))
    return found


def _labelled_beside(data: Path) -> list[tuple[str, Recording]]:
    """Return what the tables beside the recordings in a folder say, or else those in the folders below it.

    Raises DataError if a recording has no labels although others have some: it is unclear whether to leave it out.
    """
    if tables := sorted(data.glob(f"*{SUFFIX}")):
        return [row for table in tables for row in _from_table(table)]
    files = [path for path in files_below(data) if path.relative_to(data).parts[0] != TEST]
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


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and below it, except hidden ones; links are followed, each folder once.

    Raises DataError when a folder can't be read, or there are more than `MOST_FILES`.
    """

    def refuse(error: OSError) -> NoReturn:
        raise DataError(f"{error.filename}: can't be read ({error.strerror}): check the folder's permissions")

    found: list[Path] = []
    seen: set[Path] = set()
    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = Path(root).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        visible = (Path(root) / name for name in names if not name.startswith(HIDDEN))
        found += [path for path in visible if path.is_file()]
        if len(found) > MOST_FILES:
            raise DataError(f"{folder} has more than {MOST_FILES:,} files: give a folder with nothing but recordings")
    return sorted(found)


def _from_table(table: Path, below: Path = Path()) -> list[tuple[str, Recording]]:
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
        raise DataError(f"{where}: {COLUMNS[values.index('')]} is missing: the columns are {','.join(COLUMNS)}")
    file, start, end, label, session = values
    path = table.parent / file
    if not os.path.isfile(path):  # False for a name that is too long, where pathlib raises
        raise DataError(f"{where}: no file {path}: correct the name, or put it there")
    try:
        first_us, last_us = round(float(start) * 1e6), round(float(end) * 1e6)
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: {start!r} to {end!r} aren't seconds: correct them") from error
    if not 0 <= first_us < last_us:
        raise DataError(f"{where}: {start} to {end} s isn't a span of time: start must be 0 or more, and before end")
    use = (row.get("split") or "").strip() or None
    if use not in (None, *get_args(SplitName)):
        raise DataError(
            f"{where}: split {use!r} is none of {', '.join(get_args(SplitName))}: correct it, or leave it out"
        )
    name = f"{below.as_posix()}/{file}" if below.parts else file
    session = session or (below.as_posix() if below.parts else name)
    stretch = f"{name}@{start}-{end}"
    return label, Recording(path, 0, stretch, session, (first_us, last_us), cast(SplitName | None, use))


def _labelled_streams(
    measured: Sequence[Recording], rows: Sequence[Recording], classes: tuple[str, ...], minutes: float
) -> Iterator[UncutStream]:
    """Yield whole recordings, in the order of their ``measured`` stretches, until so many minutes of them are played.

    ``rows`` are all stretches in the tables, of any class and part of the split.
    """
    files: dict[Path, list[Recording]] = {}
    for stretch in measured:
        if stretch.part_us is not None:
            files.setdefault(stretch.path.resolve(), []).append(stretch)
    if not files:
        raise DataError(
            "none of these recordings is uncut: --stream needs labels.csv or NAME.labels.csv, which say when each "
            "gesture begins and ends"
        )
    left_us = minutes * 60e6
    for path, stretches in files.items():
        spans = [row.part_us for row in rows if row.part_us and row.path.resolve() == path]
        with open_recording(path) as recording:
            yield _stream(recording, stretches, spans, classes)
        left_us -= recording.duration_us
        if left_us <= 0:
            return


def _stream(
    recording: Opened, stretches: Sequence[Recording], spans: Sequence[tuple[int, int]], classes: tuple[str, ...]
) -> UncutStream:
    begins_us = recording.labels_start
    performed = [
        Segment(classes[label], begins_us + start_us, begins_us + end_us)
        for label, start_us, end_us in _in_order(stretches)
    ]
    for stretch in stretches:
        if stretch.part_us and begins_us + stretch.part_us[0] > recording.t_end:
            raise DataError(f"{stretch.name} begins after the recording's end: give seconds from its first event")
    first_us, last_us = min(start for start, _ in spans), max(end for _, end in spans)
    unknown = [(-TIME_LIMIT_US, first_us), *spans, (last_us, TIME_LIMIT_US)]
    known_not = tuple((begins_us + start_us, begins_us + end_us) for start_us, end_us in unknown)
    return UncutStream(REST, recording, performed, rests=True, unknown=known_not)


def _in_order(stretches: Sequence[Recording]) -> list[tuple[int, int, int]]:
    """Return (label, start, end) in order and without overlaps, as a stream has one decision at a time.

    Stretches of one class that touch are joined; a stretch ends where one of another class begins.
    """
    ordered: list[tuple[int, int, int]] = []
    for stretch in sorted(stretches, key=lambda each: each.part_us or (0, 0)):
        start_us, end_us = stretch.part_us or (0, 0)
        if ordered and start_us <= ordered[-1][2]:
            label, begun_us, before_us = ordered.pop()
            if label == stretch.label:
                start_us, end_us = begun_us, max(before_us, end_us)
            elif begun_us < start_us:
                ordered.append((label, begun_us, start_us))
        ordered.append((stretch.label, start_us, end_us))
    return ordered
