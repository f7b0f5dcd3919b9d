"""IBM's archive of DVS-Gesture (Amir et al. 2017), DvsGesture.tar.gz unpacked: trials, their labels, their events.

    DvsGesture/trials_to_train.txt, trials_to_test.txt    names of recordings, one a line: 98 and 24
    DvsGesture/userNN_LIGHT.aedat                         AEDAT 3.1 of a DVS128: a person's gestures one by one
    DvsGesture/userNN_LIGHT_labels.csv                    class (1 to 11), start and end on the recording's clock, µs

All segments are given, 1,176 and 288 by others' count. Not here: which of them a cut of the data set has, and frames.
IBM's errata.txt is said to name user02_lab and user12_fluorescent_led as damaged: what can't be cut is an error here,
left out by the caller or not at all. gesture_mapping.csv isn't read: its names are GESTURES, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from livesnn.errors import DataError, FormatError, SourceError
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import Recording, open_recording
from livesnn.simulate.motions import GESTURES

Part = Literal["train", "test"]
SENSOR = Resolution(128, 128)
COLUMNS = "class,startTime_usec,endTime_usec"
MOST_MISSING_US = 1_000_000
"""So long before a segment's end its recording may end, as when nothing moves: longer, and it was cut short."""

_NAME = re.compile(r"(user(\d{1,4})_\w+)\.aedat", re.ASCII)
_AGAIN = "unpack DvsGesture.tar.gz again"


class Trial(NamedTuple):
    """A recording: where it and its labels are, and whose it is, as its name says."""

    recording: Path
    labels: Path
    user: int


class Segment(NamedTuple):
    """A gesture in a recording, ``start_us`` ≤ t < ``end_us`` on the recording's clock; ``label`` counts from 0."""

    label: int
    start_us: int
    end_us: int


def find_root(data: Path) -> Path:
    """Return the folder that holds the lists of trials: ``data`` itself, or the archive's in it."""
    for folder in (data, data / "DvsGesture", data / "dvs-gesture", data / "dvs_gesture"):
        if any(_list_of(folder, part).is_file() for part in ("train", "test")):
            return folder
    raise DataError(
        f"no DVS-Gesture in {data}: expected {data}/DvsGesture/trials_to_train.txt (unpack DvsGesture.tar.gz there)"
    )


def _list_of(root: Path, part: str) -> Path:
    return root / f"trials_to_{part}.txt"


def list_trials(root: Path, part: Part) -> tuple[Trial, ...]:
    """Return the trials of the official part, all of whose files are there; see `named_trials`."""
    trials = named_trials(root, part)
    files = [path for trial in trials for path in (trial.recording, trial.labels)]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise DataError(
            f"no file {missing[0]}, nor {len(missing) - 1} others of {len(files)} that {_list_of(root, part).name} "
            f"asks for: {_AGAIN}"
        )
    return trials


def named_trials(root: Path, part: Part) -> tuple[Trial, ...]:
    """Return the trials that the official list names, in its order, whether their files are there or not.

    Raises
    ------
    DataError
        The list is missing, empty, or one of its lines isn't the name of a trial, or is there twice.
    """
    listed = _list_of(root, part)
    trials: list[Trial] = []
    for number, line in _lines(listed):
        if _NAME.fullmatch(line) is None:
            raise DataError(
                f"{listed}, line {number}: {line[:60]!r} isn't a name like user01_led.aedat: {_AGAIN}"
            )
        trial = trial_of(root / line)
        if trial in trials:
            raise DataError(f"{listed}, line {number}: {line} is there twice: {_AGAIN}")
        trials.append(trial)
    if not trials:
        raise DataError(f"{listed} names no trials: {_AGAIN}")
    return tuple(trials)


def trial_of(recording: Path) -> Trial:
    """Return the trial that a recording's name says."""
    found = _NAME.fullmatch(recording.name)
    if found is None:
        raise DataError(f"{recording} isn't named like user01_led.aedat: {_AGAIN}")
    return Trial(recording, recording.with_name(f"{found[1]}_labels.csv"), int(found[2]))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line) of a text file's lines that aren't empty."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise DataError(f"no file {path}: {_AGAIN}") from None
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}): check its permissions") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()


def read_segments(path: Path) -> tuple[Segment, ...]:
    """Read a recording's labels, in order of time, so that no two overlap.

    A segment that goes on when the next one starts is clipped to end there (in the archive: class 9 of user22_led).

    Raises
    ------
    DataError
        The file is missing or empty, or a line of it isn't a class from 1 to 11 and a time from start to end.
    """
    lines = list(_lines(path))
    if not lines or lines[0][1] != COLUMNS:
        raise DataError(f"{path}: the first line isn't {COLUMNS}: {_AGAIN}")
    segments = sorted((_segment(path, *line) for line in lines[1:]), key=lambda segment: segment.start_us)
    if not segments:
        raise DataError(f"{path} has no labels: {_AGAIN}")
    clipped = []
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        end_us = segment.end_us if following is None else min(segment.end_us, following.start_us)
        if end_us == segment.start_us:
            raise DataError(f"{path}: two gestures start at {segment.start_us:,} µs: {_AGAIN}")
        clipped.append(segment._replace(end_us=end_us))
    return tuple(clipped)


def _segment(path: Path, number: int, line: str) -> Segment:
    where = f"{path}, line {number}"
    if re.fullmatch(r"\d{1,18},\d{1,18},\d{1,18}", line, re.ASCII) is None:
        raise DataError(f"{where}: {line[:60]!r} isn't three whole numbers, {COLUMNS}: {_AGAIN}")
    of_class, start_us, end_us = map(int, line.split(","))
    if not 1 <= of_class <= len(GESTURES):
        raise DataError(f"{where}: class {of_class} isn't 1 to {len(GESTURES)}: {_AGAIN}")
    if start_us >= end_us:
        raise DataError(f"{where}: the gesture ends at {end_us:,} µs, before it starts: {_AGAIN}")
    return Segment(of_class - 1, start_us, end_us)


def cut_segments(trial: Trial) -> Iterator[tuple[Segment, Events]]:
    """Yield each segment of a trial with its events, in order of time, in one pass through the recording.

    Events are EVENTS_DTYPE [N], N > 0, the caller's own, times as in the recording. What is before a flaw is yielded.

    Raises
    ------
    DataError
        A file is missing or damaged, the recording isn't of a DVS128, its clock is set back between two gestures, it
        ends before a segment does, or a segment has no events.
    """
    segments = read_segments(trial.labels)
    try:
        with open_recording(trial.recording) as recording:
            if recording.resolution != SENSOR:
                width, height = recording.resolution
                raise DataError(
                    f"{trial.recording}: {width}×{height} pixels aren't a DVS128's 128×128: {_AGAIN}"
                )
            yield from _cut(trial, segments, recording)
    except (SourceError, FormatError) as error:
        raise DataError(f"{error} ({_AGAIN})") from error


def _cut(
    trial: Trial, segments: tuple[Segment, ...], recording: Recording
) -> Iterator[tuple[Segment, Events]]:
    parts: list[Events] = []
    done, newest_us = 0, 0
    for packet in recording:
        t = packet.events["t"]
        if t[0] < newest_us and (done or parts):
            raise DataError(
                f"{trial.recording}: time jumps back from {newest_us:,} to {int(t[0]):,} µs between gestures: "
                f"{_AGAIN}"
            )
        newest_us = int(t[-1])
        while True:
            first, last = np.searchsorted(t, segments[done][1:])
            parts += [packet.events[first:last]] if last > first else []
            if last == t.size or not (
                done or parts
            ):  # the rest comes later, maybe when the clock is set to zero
                break
            yield _joined(trial, segments[done], parts)
            parts, done = [], done + 1
            if done == len(segments):
                return
    for segment in segments[done:]:
        if segment.end_us > newest_us + MOST_MISSING_US or segment.start_us > newest_us:
            raise DataError(
                f"{trial.recording} ends at {newest_us:,} µs, before its labels do (class {segment.label + 1}, "
                f"{segment.start_us:,} to {segment.end_us:,} µs): {_AGAIN}"
            )
        yield _joined(trial, segment, parts)
        parts = []


def _joined(trial: Trial, segment: Segment, parts: list[Events]) -> tuple[Segment, Events]:
    if not parts:
        raise DataError(
            f"{trial.recording}: no events from {segment.start_us:,} to {segment.end_us:,} µs, where "
            f"{trial.labels.name} has class {segment.label + 1}: {_AGAIN}"
        )
    return segment, np.concatenate(parts)
