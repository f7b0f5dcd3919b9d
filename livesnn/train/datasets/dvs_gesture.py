"""DVS-Gesture (Amir et al. 2017): IBM's archive, or the copies cut beforehand that circulate as .npy.

Of the archive every labelled segment is a recording: 1,176 to train on (users 1 to 23) and 288 to test (24 to 29).
The copies hold 1,077 and 264, with times in whole milliseconds: figures on the one aren't figures on the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from livesnn.card import ModelCard, Split
from livesnn.errors import DAMAGED_ARRAY, DataError, FormatError, LivesnnError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import Recording as OpenRecording
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import Segment as Performed
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets import Finding, Parts, SplitName, Uncut
from livesnn.train.datasets.asked import Asked
from livesnn.train.datasets.clips import Clips, Frames, kept_groups, wanted_split
from livesnn.train.datasets.recorded import Recording, load_recordings, windows_of

if TYPE_CHECKING:
    from livesnn.card import InputSpec

TAKES = "DvsGesture.tar.gz from ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8, unpacked in {data}"
PROTOCOLS = ("archive", "npy")
COPIES = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}


def load_parts(asked: Asked, before: ModelCard | None = None) -> Parts:
    """Return the segments of the training users, some of these users kept for validation by seed."""
    recordings = find_recordings(asked.data, asked.protocol, "train")
    clips = _load(recordings, asked.input, asked.windows)
    split = clips.draw(wanted_split(asked, before), GESTURES if before else ())
    training, validation = clips.split_by_group(split)
    return Parts(training, validation, split=split)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return the test users' segments, or the users that the card's split kept or left of the others."""
    chosen = (card.split or Split(protocol=PROTOCOLS[0])) if split == "test" else _own_split(card)
    protocol = chosen.protocol if chosen.protocol in PROTOCOLS else PROTOCOLS[0]
    recordings = find_recordings(data, protocol, "test" if split == "test" else "train")
    clips = _load(recordings, card.input, None if split == "test" else chosen.windows)
    return clips if split == "test" else clips.split_by_group(chosen)[split == "validation"]


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[Uncut]:
    """Yield whole recordings of the archive until there are so many minutes of gestures, the state carried in each.

    "validation" and "train" are the users that the card's split kept and left.
    """
    if card.classes != GESTURES:
        raise DataError(f"{card.name} knows {', '.join(card.classes)}: choose a model of the gestures")
    trials = _trials(data, split, card)
    left_us = minutes * 60e6
    for number in np.random.default_rng([seed, 0x57EA]).permutation(len(trials)):
        segments = read_segments(trials[number].labels)
        with open_recording(trials[number].recording) as recording:
            performed = [Performed(GESTURES[label], start, end) for label, start, end in segments]
            yield Uncut("between", recording, performed, rests=True)
        left_us -= segments[-1].end_us - segments[0].start_us
        if left_us <= 0:
            return


def _trials(data: Path, split: SplitName, card: ModelCard) -> list[Trial]:
    root = find_root(data)
    if split == "test":
        return list(list_trials(root, "test"))
    chosen = _own_split(card)
    if chosen.clips:
        raise DataError(
            f"{card.name} was validated on users that it trained on, so none is left: add --split test"
        )
    recordings = find_recordings(data, "archive", "train")
    groups, labels = (
        [recording.group for recording in recordings],
        [recording.label for recording in recordings],
    )
    kept = chosen.groups or kept_groups(groups, np.array(labels), chosen.fraction, chosen.seed)
    wanted = {
        recording.path for recording in recordings if (recording.group in kept) == (split == "validation")
    }
    return [trial for trial in list_trials(root, "train") if trial.recording in wanted]


def _own_split(card: ModelCard) -> Split:
    """Return how validation was kept in the model's training; raises DataError for one of another data set."""
    if card.split is None or card.dataset != "dvs-gesture":
        raise DataError(f"{card.name} wasn't trained on dvs-gesture: add --split test")
    return card.split


def check(data: Path) -> list[Finding]:
    """Say which recordings of the archive are there, and whether each can be cut by its labels."""
    root = find_root(data)
    findings = []
    parts: tuple[Part, ...] = ("train", "test")
    for part in parts:
        for trial in named_trials(root, part):
            name = trial.recording.name
            if absent := [path for path in (trial.recording, trial.labels) if not path.is_file()]:
                findings.append(Finding("missing", f"{part}: {absent[0].name}"))
                continue
            try:
                count = sum(1 for _ in cut_segments(trial))
            except LivesnnError as error:
                findings.append(Finding("damaged", f"{part}: {error}"))
            else:
                findings.append(Finding("complete", f"{part}: {name}, {count} gestures"))
    return findings


def find_recordings(data: Path, protocol: str, part: Part) -> list[Recording]:
    """Return a recording a gesture, its group the person; raises DataError when there are none."""
    return _copies(data, part) if protocol == "npy" else _segments(data, part)


def _segments(data: Path, part: Part) -> list[Recording]:
    return [
        Recording(
            trial.recording,
            segment.label,
            f"{trial.recording.stem}/{number}_{GESTURES[segment.label]}",
            f"user{trial.user:02d}",
            (segment.start_us, segment.end_us),
        )
        for trial in list_trials(find_root(data), part)
        for number, segment in enumerate(read_segments(trial.labels))
    ]


def _copies(data: Path, part: Part) -> list[Recording]:
    """Return the copies of one part: ibmGestureTrain/userNN_LIGHT/<label 0..10>.npy."""
    root = data / COPIES[part]
    paths = sorted(root.glob("user*/*.npy"))
    if not paths:
        raise DataError(f"no recordings in {root}: unpack {COPIES[part]}.tar.gz there (user01_led/0.npy …)")
    wrong = [path for path in paths if path.stem not in map(str, range(len(GESTURES)))]
    if wrong:
        raise DataError(
            f"{wrong[0]} isn't named by its label, 0 to {len(GESTURES) - 1}: unpack the archive again"
        )
    return [
        Recording(path, int(path.stem), f"{path.parent.name}/{path.name}", path.parent.name.partition("_")[0])
        for path in paths
    ]


def _load(recordings: list[Recording], spec: InputSpec, most: int | None) -> Clips:
    return load_recordings("dvs-gesture", recordings, GESTURES, spec, read=_windows, most=most)


def _windows(recording: Recording, spec: InputSpec) -> Frames:
    """Return the whole windows of one gesture."""
    events = (
        _copy(recording.path) if recording.part_us is None else _segment(recording.path, recording.part_us)
    )
    return windows_of(Slicer(spec.slice, SENSOR, spec).push(events), spec)


def _segment(path: Path, part_us: tuple[int, int]) -> Events:
    """Return the events from the first to before the second time on the recording's clock."""
    try:
        cut = cut_segments(trial_of(path))
        return next(events for segment, events in cut if (segment.start_us, segment.end_us) == part_us)
    except DataError as error:  # of this recording alone
        raise SourceError(str(error)) from error


def _copy(path: Path) -> Events:
    """Return the events of a copy: a table [N, 4] of x, y, p and t in ms."""
    try:
        table = np.load(path)
        x, y, p, t = table.T
        events = np.zeros(len(table), EVENTS_DTYPE)
        events["x"], events["y"], events["p"], events["t"] = x, y, p != 0, np.rint(t * 1000.0)
    except DAMAGED_ARRAY as error:
        raise SourceError(f"{path} isn't a table of x, y, p, t: unpack the archive again") from error
    return events


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
    segments = sorted(
        (_segment_dvs_gesture_archive(path, *line) for line in lines[1:]),
        key=lambda segment: segment.start_us,
    )
    if not segments:
        raise DataError(f"{path} has no labels: {_AGAIN}")
    clipped = []
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        end_us = segment.end_us if following is None else min(segment.end_us, following.start_us)
        if end_us == segment.start_us:
            raise DataError(f"{path}: two gestures start at {segment.start_us:,} µs: {_AGAIN}")
        clipped.append(segment._replace(end_us=end_us))
    return tuple(clipped)


def _segment_dvs_gesture_archive(path: Path, number: int, line: str) -> Segment:
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
    trial: Trial, segments: tuple[Segment, ...], recording: OpenRecording
) -> Iterator[tuple[Segment, Events]]:
    parts: list[Events] = []
    done, newest_us = 0, 0
    for packet in recording:
        t = packet["t"]
        if t[0] < newest_us and (done or parts):
            raise DataError(
                f"{trial.recording}: time jumps back from {newest_us:,} to {int(t[0]):,} µs between gestures: "
                f"{_AGAIN}"
            )
        newest_us = int(t[-1])
        while True:
            first, last = np.searchsorted(t, segments[done][1:])
            parts += [packet[first:last]] if last > first else []
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
