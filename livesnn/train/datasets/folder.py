"""folder: a lab's own recordings, one folder a class, or uncut recordings with labels.csv. Any format livesnn reads.

    DIR/<class>/<session>/…, or DIR/<class>/FILE          a recording is of its folder's class
    DIR/labels.csv, or another FILE.csv:                  a line a stretch of a recording
    DIR/[<session>/…/]*.labels.csv                        the same, as the window writes it beside each recording
        file,start,end,label,session[,split]              seconds from its first event; files from the table's folder

A session is who or what was recorded, when: all of one goes to training, or all to validation; of a class with one
session its last clips. Where none is given, each file is one, or of `*.labels.csv` in folders each folder. A column
split (train, validation, test) decides instead.
Files and folders whose names start with "." or "_" are left out. The test part is DIR/test, laid out like DIR, or
what the table says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from livesnn.card import BY_TABLE, InputSpec, ModelCard, SliceRule, Split
from livesnn.errors import DataError, LivesnnError
from livesnn.events.formats.registry import FORMATS
from livesnn.sources import open_source
from livesnn.train.datasets import Finding, Parts, SplitName, Uncut
from livesnn.train.datasets.asked import Asked
from livesnn.train.datasets.clips import Clips, wanted_split
from livesnn.train.datasets.folder_layout import LABELS, TEST, find_recordings
from livesnn.train.datasets.folder_streams import labelled_streams, whole_side
from livesnn.train.datasets.recorded import Recording, as_opened, left_out, load_recordings

INPUT = InputSpec(64, 64, SliceRule(delta_t_us=50_000), count_max=8, scale=0.25, without_flicker=True)
SENSOR = None
MIRRORED = None
TAKES = "your own recordings, {data}/<class>/<session>/FILE, or {data}/labels.csv"
PROTOCOLS = ("",)


def load_parts(asked: Asked, before: ModelCard | None = None) -> Parts:
    """Return what is for training and for validation: all sessions but a fraction by seed, unless a table says."""
    recordings, classes = find_recordings(asked.data)
    recordings = [recording for recording in recordings if recording.use != "test"]
    clips = _load(recordings, classes, asked.input, asked.windows)
    if any(recording.use for recording in recordings):
        split = Split(asked.validation, asked.seed, BY_TABLE, windows=asked.windows)
    else:
        before = before if before and _has_kept(clips, before.split) else None  # else it is of another folder
        split = clips.draw(wanted_split(asked, before), before.classes if before else ())
    training, validation = _parts(recordings, clips, split)
    return Parts(training, validation, split=split)


def _has_kept(clips: Clips, split: Split | None) -> bool:
    return split is not None and bool({*split.groups} & {*clips.groups} or {*split.clips} & {*clips.names})


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return the test part, or what the card's split kept or left; a model of another data set sees all of DIR."""
    recordings = _part(data, split, card)
    if split == "test" or card.dataset != "folder" or card.split is None:
        return _load(recordings, card.classes, card.input)
    clips = _load(recordings, card.classes, card.input, card.split.windows)
    return _parts(recordings, clips, card.split)[split == "validation"]


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[Uncut]:
    """Yield whole recordings with labelled stretches of that part, in order, until so many minutes are played.

    Between the first and the last label of a recording, of whatever part, a stretch without one counts as rest:
    whoever labelled it has seen it, and named none of the classes. Where a table names a few good examples alone that
    is wrong: false decisions come out too many, and all else holds. What is before the first label, behind the last
    one, or labelled for another part counts nowhere. ``seed`` decides nothing.
    """
    recordings = _part(data, split, card)
    if split != "test" and card.dataset == "folder" and card.split is not None:
        recordings = whole_side(recordings, card, card.split, validation=split == "validation")
    yield from labelled_streams(recordings, [*recordings, *find_recordings(data)[0]], card.classes, minutes)


def _part(data: Path, split: SplitName, card: ModelCard) -> list[Recording]:
    """Return the test part, or all that may be of the others, its labels those of the card."""
    recordings, classes = find_recordings(data)
    if split == "test":
        recordings, classes = _test_part(data, recordings, classes)
    elif card.dataset == "folder":
        recordings = [recording for recording in recordings if recording.use != "test"]
    if strange := sorted(set(classes) - set(card.classes)):
        known = ", ".join(card.classes)
        raise DataError(f"{card.name} doesn't know {strange[0]!r}, a class of {data}: it knows {known}")
    return [
        recording._replace(label=card.classes.index(classes[recording.label])) for recording in recordings
    ]


def _load(
    recordings: list[Recording], classes: tuple[str, ...], spec: InputSpec, most: int | None = None
) -> Clips:
    clips = load_recordings("folder", recordings, classes, spec, most=most)
    used = set(clips.recordings)
    sensor, warnings = as_opened([some for some in recordings if some.name in used])
    return replace(clips, sensor=sensor, warnings=warnings)


def _test_part(
    data: Path, recordings: list[Recording], classes: tuple[str, ...]
) -> tuple[list[Recording], tuple[str, ...]]:
    if said := [recording for recording in recordings if recording.use == "test"]:
        return said, classes
    if not (data / TEST).is_dir():
        raise DataError(
            f"no folder {data / TEST}, and no row of {LABELS} with split test: put the recordings to test on there"
        )
    return find_recordings(data / TEST)


def check(data: Path) -> list[Finding]:
    """Say how many recordings each class has, those to test on too, and what is too short, unknown or damaged."""
    recordings, classes = find_recordings(data)
    findings = _check(recordings, classes)
    if (data / TEST).is_dir() and not any(recording.use == "test" for recording in recordings):
        try:
            findings += _check(*find_recordings(data / TEST), f"{TEST}/")
        except DataError as error:
            findings.append(Finding("unusable", str(error)))
    return findings


def _check(recordings: list[Recording], classes: tuple[str, ...], before: str = "") -> list[Finding]:
    findings = []
    for path in dict.fromkeys(recording.path for recording in recordings):
        with suppress(LivesnnError), closing(open_source(str(path))) as source:
            findings += [Finding("damaged", f"{path}: {line}") for line in source.warnings]
    # A text that is no table of events is somebody's notes.
    suffixes = {suffix for known in FORMATS if known.name != "csv" for suffix in known.suffixes}
    for recording, why, unread in left_out("folder", recordings, INPUT):
        damaged = unread and recording.path.suffix.lower() in suffixes
        findings.append(Finding("damaged" if damaged else "unusable", f"{before}{recording.name}: {why}"))
    for label, name in enumerate(classes):
        of_class = [recording for recording in recordings if recording.label == label]
        sessions = len({recording.group for recording in of_class})
        counts = f"{len(of_class)} recordings of {sessions} sessions"
        findings.append(Finding("complete", f"{before}{name}: {counts}"))
    return findings


def _parts(recordings: list[Recording], clips: Clips, split: Split) -> tuple[Clips, Clips]:
    """Return (training, validation)."""
    uses = {recording.name: recording.use for recording in recordings}
    if split.protocol == BY_TABLE:
        kept = np.array([uses[name] == "validation" for name in clips.recordings])
        if not kept.any():
            raise DataError(
                "no row of the table has split validation: give it to some of each class, or to no row"
            )
        return clips.subset(np.flatnonzero(~kept)), clips.subset(np.flatnonzero(kept))
    return clips.split_by_group(split)
