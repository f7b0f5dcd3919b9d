"""folder's recordings as uncut streams: what is performed when, by their tables. Not here: reading these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from livesnn.card import BY_TABLE, ModelCard, Split
from livesnn.errors import DataError
from livesnn.events.packet import TIME_LIMIT_US
from livesnn.events.recording import Recording as Opened
from livesnn.events.recording import open_recording
from livesnn.simulate.gestures import Segment
from livesnn.train.datasets import Uncut
from livesnn.train.datasets.clips import kept_groups
from livesnn.train.datasets.recorded import Recording

NAME = "unlabelled"
"""Of what counts as rest."""

Span = tuple[int, int]


def labelled_streams(
    asked: Sequence[Recording], rows: Sequence[Recording], classes: tuple[str, ...], minutes: float
) -> Iterator[Uncut]:
    """Yield whole recordings, in the order of ``asked``, until so many minutes of them are played.

    Parameters
    ----------
    asked
        The labelled stretches that are judged, of the classes by number; those without times are left out.
    rows
        All that the tables say, of any class and part of the split.

    Raises
    ------
    DataError
        No stretch is labelled, or one begins behind its recording's end.
    LivesnnError
        A recording can't be read.
    """
    files: dict[Path, list[Recording]] = {}
    for stretch in asked:
        if stretch.part_us is not None:
            files.setdefault(stretch.path.resolve(), []).append(stretch)
    if not files:
        raise DataError(
            "none of these recordings is uncut: --stream needs labels.csv or NAME.labels.csv, which say from when to "
            "when what is performed"
        )
    left_us = minutes * 60e6
    for path, stretches in files.items():
        spans = [row.part_us for row in rows if row.part_us and row.path.resolve() == path]
        with open_recording(path) as recording:
            yield _stream(recording, stretches, spans, classes)
        left_us -= recording.duration_us
        if left_us <= 0:
            return


def whole_side(
    recordings: Sequence[Recording], card: ModelCard, split: Split, *, validation: bool
) -> list[Recording]:
    """Return the stretches that the split kept for validation, or those that it left.

    Raises
    ------
    DataError
        It kept the ends of recordings, or there are none.
    """
    if split.clips:
        raise DataError(
            f"{card.name} was validated on the ends of recordings that it trained on, so none is left whole: add "
            "--split test, for recordings of their own"
        )
    labels = np.array([recording.label for recording in recordings], np.int64)
    groups = [recording.group for recording in recordings]
    by_table = split.protocol == BY_TABLE
    kept = () if by_table else split.groups or kept_groups(groups, labels, split.fraction, split.seed)
    side = [
        recording
        for recording in recordings
        if (recording.use == "validation" if by_table else recording.group in kept) == validation
    ]
    if not side:
        raise DataError(
            f"no recordings are there that {card.name} {'was validated' if validation else 'trained'} on: give their "
            "folder, or add --split test"
        )
    return side


def _stream(
    recording: Opened, stretches: Sequence[Recording], spans: Sequence[Span], classes: tuple[str, ...]
) -> Uncut:
    begins_us = recording.labels_start
    performed = [
        Segment(classes[label], begins_us + start_us, begins_us + end_us)
        for label, start_us, end_us in _in_order(stretches)
    ]
    for stretch in stretches:
        if stretch.part_us and begins_us + stretch.part_us[0] > recording.t_end:
            raise DataError(
                f"{stretch.name} begins behind the recording's end: give seconds from its first event"
            )
    first_us, last_us = min(start for start, _ in spans), max(end for _, end in spans)
    unknown = [(-TIME_LIMIT_US, first_us), *spans, (last_us, TIME_LIMIT_US)]
    known_not = tuple((begins_us + start_us, begins_us + end_us) for start_us, end_us in unknown)
    return Uncut(NAME, recording, performed, rests=True, unknown=known_not)


def _in_order(stretches: Sequence[Recording]) -> list[tuple[int, int, int]]:
    """Return (label, start, end), none overlapping, as a stream has one decision at a time.

    Stretches of one class that touch are one, since nothing begins anew; one ends where one of another class begins.
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
