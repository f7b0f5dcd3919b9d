"""DVS-Gesture (Amir et al. 2017): IBM's archive DvsGesture.tar.gz, or the copies that circulate as .npy.

    DvsGesture/trials_to_train.txt, trials_to_test.txt    names of recordings, one in a line: 98 and 24
    DvsGesture/userNN_LIGHT.aedat                         AEDAT 3.1 of a DVS128: the gestures of one person
    DvsGesture/userNN_LIGHT_labels.csv                    class (1 to 11), start and end on the recording's clock, µs

Every labelled segment of the archive is a recording: 1,176 for training (users 1 to 23) and 288 for testing (24 to
29). The copies hold 1,077 and 264, with times in whole milliseconds, so figures on one can't be compared with the
other. A gesture that can't be cut is left out with a message. gesture_mapping.csv isn't read: its names are GESTURES,
in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from livesnn.card import InputSpec, ModelCard, Split
from livesnn.errors import DataError, LivesnnError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Slicer
from livesnn.simulate.gestures import Segment
from livesnn.simulate.motions import GESTURES, MIRRORED
from livesnn.train.datasets.clips import Clips, Frames, Parts, UncutStream
from livesnn.train.datasets.gestures_sim import INPUT
from livesnn.train.datasets.layout import Finding, absent, numbered_lines
from livesnn.train.datasets.recorded import Recording, load_recordings, whole_side, windows_of
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import split_by_group, split_clips
from livesnn.untrusted import DAMAGE

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "TAKES", "check", "load_parts", "load_split", "uncut"]
Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
SENSOR = Resolution(128, 128)
COLUMNS = "class,startTime_usec,endTime_usec"
MOST_MISSING_US = 1_000_000
"""A recording may end so long before its last segment does, as nothing moves; if longer, it was cut short."""
_NAME = re.compile(r"user\d{1,4}_\w+\.aedat", re.ASCII)
_AGAIN = "unpack DvsGesture.tar.gz again"
TAKES = "DvsGesture.tar.gz (3 GB) from ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8, unpacked in {data}"
PROTOCOLS = ("archive", "npy")
COPIES = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    recordings = find_recordings(request.data, request.protocol, "train")
    return split_clips(_load(recordings, request.input, request.windows), request, before)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    chosen = (card.split or Split(protocol=PROTOCOLS[0])) if split == "test" else _own_split(card)
    protocol = chosen.protocol if chosen.protocol in PROTOCOLS else PROTOCOLS[0]
    recordings = find_recordings(data, protocol, "test" if split == "test" else "train")
    clips = _load(recordings, card.input, None if split == "test" else chosen.windows)
    return clips if split == "test" else split_by_group(clips, chosen)[split == "validation"]


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[UncutStream]:
    """Yield whole recordings of the archive until there are so many minutes of gestures.

    "validation" and "train" are the users that the card's split kept and left.
    """
    if card.classes != GESTURES:
        raise DataError(f"{card.name} knows {', '.join(card.classes)}: choose a model of the gestures")
    trials = listed_recordings(find_root(data), "test" if split == "test" else "train")
    if split != "test":
        recordings = find_recordings(data, "archive", "train")
        side = whole_side(recordings, card, _own_split(card), validation=split == "validation")
        files = {recording.path for recording in side}
        trials = [path for path in trials if path in files]
    left_us = minutes * 60e6
    for number in np.random.default_rng([seed, 0x57EA]).permutation(len(trials)):
        segments = read_segments(labels_file(trials[number]))
        with open_recording(trials[number]) as recording:
            yield UncutStream("between", recording, segments, rests=True)
        left_us -= segments[-1].end_us - segments[0].start_us
        if left_us <= 0:
            return


def _own_split(card: ModelCard) -> Split:
    if card.split is None or card.dataset != "dvs-gesture":
        raise DataError(f"{card.name} wasn't trained on dvs-gesture: add --split test")
    return card.split


def check(data: Path) -> list[Finding]:
    """Say which recordings of the archive are there, and whether each can be cut by its labels."""
    root = find_root(data)
    findings = []
    for part in PARTS:
        for recording in named_recordings(root, part):
            if absent := [path for path in (recording, labels_file(recording)) if not path.is_file()]:
                findings.append(Finding("missing", f"{part}: {absent[0].name}"))
                continue
            try:
                segments = read_segments(labels_file(recording))
                for _, start_us, end_us in segments:
                    segment_events(recording, start_us, end_us)
            except LivesnnError as error:
                findings.append(Finding("damaged", f"{part}: {error}"))
            else:
                findings.append(Finding("complete", f"{part}: {recording.name}, {len(segments)} gestures"))
    return findings


def find_recordings(data: Path, protocol: str, part: Part) -> list[Recording]:
    """Return a recording for each gesture, with the person as its group; raises DataError if there are none."""
    if protocol == "npy":
        return _find_copies(data, part)
    return [
        Recording(path, GESTURES.index(gesture), f"{path.stem}/{number}_{gesture}", _person(path), (start_us, end_us))
        for path in listed_recordings(find_root(data), part)
        for number, (gesture, start_us, end_us) in enumerate(read_segments(labels_file(path)))
    ]


def _find_copies(data: Path, part: Part) -> list[Recording]:
    """Return the copies of one part: ibmGestureTrain/userNN_LIGHT/<label 0 to 10>.npy."""
    root = data / COPIES[part]
    paths = sorted(root.glob("user*/*.npy"))
    if not paths:
        raise DataError(f"no recordings in {root}: unpack {COPIES[part]}.tar.gz there (user01_led/0.npy …)")
    if wrong := [path for path in paths if path.stem not in map(str, range(len(GESTURES)))]:
        raise DataError(f"{wrong[0]} isn't named by its label, 0 to {len(GESTURES) - 1}: unpack the archive again")
    return [
        Recording(path, int(path.stem), f"{path.parent.name}/{path.name}", path.parent.name.partition("_")[0])
        for path in paths
    ]


def _load(recordings: list[Recording], spec: InputSpec, most: int | None) -> Clips:
    return load_recordings("dvs-gesture", recordings, GESTURES, spec, read=_windows, most=most)


def _windows(recording: Recording, spec: InputSpec) -> Frames:
    path, part_us = recording.path, recording.part_us
    events = segment_events(path, *part_us) if part_us else _events_of_copy(path)
    return windows_of(Slicer(SENSOR, spec).push(Packet(events)), spec)


def _events_of_copy(path: Path) -> Events:
    """Return the events of a copy: a table [N, 4] of x, y, p and t in ms."""
    try:
        table = np.load(path)
        x, y, p, t = table.T
        events = np.zeros(len(table), EVENTS_DTYPE)
        events["x"], events["y"], events["p"], events["t"] = x, y, p != 0, np.rint(t * 1000.0)
    except DAMAGE as error:
        raise SourceError(f"{path} isn't a table of x, y, p, t: unpack the archive again") from error
    return events


def labels_file(recording: Path) -> Path:
    return recording.with_name(f"{recording.stem}_labels.csv")


def _person(recording: Path) -> str:
    number = recording.name.removeprefix("user").partition("_")[0]
    return f"user{int(number):02d}"


def find_root(data: Path) -> Path:
    """Return the folder with the lists of trials: ``data`` itself, or the archive's folder in it."""
    for folder in (data, data / "DvsGesture", data / "dvs-gesture", data / "dvs_gesture"):
        if any(_list_of(folder, part).is_file() for part in PARTS):
            return folder
    raise absent("dvs-gesture", "DVS-Gesture", data, "DvsGesture/trials_to_train.txt", TAKES)


def _list_of(root: Path, part: Part) -> Path:
    return root / f"trials_to_{part}.txt"


def listed_recordings(root: Path, part: Part) -> list[Path]:
    """Return the recordings of an official part; raises DataError if one of them or its labels are missing."""
    recordings = named_recordings(root, part)
    files = [path for recording in recordings for path in (recording, labels_file(recording))]
    if missing := [path for path in files if not path.is_file()]:
        raise DataError(
            f"no file {missing[0]}, nor {len(missing) - 1} others of {len(files)} that {_list_of(root, part).name} "
            f"asks for: {_AGAIN}"
        )
    return recordings


def named_recordings(root: Path, part: Part) -> list[Path]:
    """Return the recordings in the official list, in its order, whether they are there or not.

    Raises DataError if the list is missing or empty, or a line isn't the name of a recording.
    """
    listed = _list_of(root, part)
    recordings: list[Path] = []
    for number, line in numbered_lines(listed, _AGAIN):
        if _NAME.fullmatch(line) is None:
            raise DataError(f"{listed}, line {number}: {line[:60]!r} isn't a name like user01_led.aedat: {_AGAIN}")
        recordings.append(root / line)
    if not recordings:
        raise DataError(f"{listed} names no trials: {_AGAIN}")
    return recordings


def read_segments(path: Path) -> tuple[Segment, ...]:
    """Read the labels of a recording, in order of time.

    A segment that overlaps with the next one ends where that begins (in the archive: class 9 of user22_led). Raises
    DataError if the file is missing or empty, or a line isn't a class from 1 to 11 with a start before an end.
    """
    lines = numbered_lines(path, _AGAIN)
    if not lines or lines[0][1] != COLUMNS:
        raise DataError(f"{path}: the first line isn't {COLUMNS}: {_AGAIN}")
    segments = sorted((_parse_segment(path, *line) for line in lines[1:]), key=lambda each: each.start_us)
    if not segments:
        raise DataError(f"{path} has no labels: {_AGAIN}")
    clipped = []
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        end_us = segment.end_us if following is None else min(segment.end_us, following.start_us)
        if end_us == segment.start_us:
            raise DataError(f"{path}: two gestures start at {segment.start_us:,} µs: {_AGAIN}")
        clipped.append(segment._replace(end_us=end_us))
    return tuple(clipped)


def _parse_segment(path: Path, number: int, line: str) -> Segment:
    if re.fullmatch(r"\d{1,18},\d{1,18},\d{1,18}", line, re.ASCII):
        of_class, start_us, end_us = map(int, line.split(","))
        if 1 <= of_class <= len(GESTURES) and start_us < end_us:
            return Segment(GESTURES[of_class - 1], start_us, end_us)
    raise DataError(
        f"{path}, line {number}: {line[:60]!r} isn't {COLUMNS}, a class from 1 to {len(GESTURES)} and a start before "
        f"an end: {_AGAIN}"
    )


def segment_events(path: Path, start_us: int, end_us: int) -> Events:
    """Return a segment's events, EVENTS_DTYPE [N] with N > 0 and times as in the recording.

    Raises LivesnnError if the recording can't be read, isn't from a DVS128, ends before the segment does, or has no
    events in it.
    """
    parts: list[Events] = []
    newest_us = 0
    with open_recording(path) as recording:
        if recording.resolution != SENSOR:
            width, height = recording.resolution
            raise SourceError(f"{path}: {width}×{height} pixels aren't a DVS128's 128×128: {_AGAIN}")
        for packet in recording:
            t = packet.events["t"]
            if t[0] < newest_us:  # what was before the clock was set to zero is no gesture
                parts.clear()
            newest_us = int(t[-1])
            first, last = np.searchsorted(t, (start_us, end_us))
            if last > first:
                parts.append(packet.events[first:last])
            elif parts:
                break
    if newest_us + MOST_MISSING_US < end_us:
        raise SourceError(f"{path} ends at {newest_us:,} µs, before its label does at {end_us:,} µs: {_AGAIN}")
    if not parts:
        raise SourceError(f"{path}: no events from {start_us:,} to {end_us:,} µs, where a label is: {_AGAIN}")
    return np.concatenate(parts)
