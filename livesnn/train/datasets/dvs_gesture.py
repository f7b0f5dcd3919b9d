"""DVS-Gesture (Amir et al. 2017): IBM's archive, or the copies cut beforehand that circulate as .npy.

Of the archive every labelled segment is a recording: 1,176 to train on (users 1 to 23) and 288 to test (24 to 29).
The copies hold 1,077 and 264, with times in whole milliseconds: figures on the one aren't figures on the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from livesnn.card import ModelCard, Split
from livesnn.errors import DAMAGED_ARRAY, DataError, LivesnnError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import Segment as Performed
from livesnn.simulate.motions import GESTURES, MIRRORED
from livesnn.train.datasets import Finding, Parts, SplitName, Uncut
from livesnn.train.datasets.asked import Asked
from livesnn.train.datasets.clips import Clips, Frames, kept_groups, wanted_split
from livesnn.train.datasets.dvs_gesture_archive import (
    SENSOR,
    Part,
    Trial,
    cut_segments,
    find_root,
    list_trials,
    named_trials,
    read_segments,
    trial_of,
)
from livesnn.train.datasets.gestures_sim import INPUT
from livesnn.train.datasets.recorded import Recording, load_recordings, windows_of

if TYPE_CHECKING:
    from livesnn.card import InputSpec

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "check", "load_parts", "load_split"]
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
    return windows_of(Slicer(spec.slice, SENSOR, spec).push(Packet(events)), spec)


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
