"""The data set "recordings", for measuring only: uncut recordings, each of one class or of none.

    DIR/right_hand_wave__ann_monday.aedat4                shows the class right_hand_wave from beginning to end
    DIR/02_right_hand_wave.npz                            the same, with a number in front
    DIR/none__street.raw, or any other name               shows none of the classes

Folders in DIR are read too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.events.formats.registry import FORMATS
from livesnn.events.recording import open_recording
from livesnn.simulate.gestures import Segment
from livesnn.train.datasets.clips import Clips, Parts, UncutStream
from livesnn.train.datasets.folder import INPUT, MIRRORED, PROTOCOLS, REST, SENSOR, files_below, load_opened
from livesnn.train.datasets.layout import Finding, faults
from livesnn.train.datasets.recorded import Recording
from livesnn.train.datasets.request import DataRequest, SplitName

__all__ = ["INPUT", "MIRRORED", "PROTOCOLS", "SENSOR", "TAKES", "check", "load_parts", "load_split", "uncut"]
NONE = "none"
TAKES = "your own recordings, {data}/LABEL__NAME.aedat4 or {data}/none__NAME.aedat4"


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    """Raise DataError: nothing says which of the recordings are one person's, and so how to split them."""
    raise DataError(
        f"the recordings in {request.data} are only for measuring: train on --dataset folder, with one folder a class"
    )


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    """Return the windows of the recordings that show a class, whatever ``split`` is."""
    found = find_recordings(data, card.classes)
    labelled = [Recording(path, card.classes.index(label), path.name, path.name) for path, label in found if label]
    clips = load_opened(labelled, card.classes, card.input)
    rest = tuple(f"{path.name}: shows no class, so only --stream measures it" for path, label in found if not label)
    return replace(clips, skipped=clips.skipped + rest)


def uncut(data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int) -> Iterator[UncutStream]:
    """Yield whole recordings, those that show a class first, until so many minutes are played."""
    left_us = minutes * 60e6
    for path, label in sorted(find_recordings(data, card.classes), key=lambda each: each[1] is None):
        with open_recording(path) as recording:
            performed = [Segment(label, recording.labels_start, recording.t_end + 1)] if label else []
            yield UncutStream(REST, recording, performed, rests=label is None)
            left_us -= recording.duration_us
        if left_us <= 0:
            return


def check(data: Path) -> list[Finding]:
    paths = _recordings_in(data)
    findings = [found for path in paths for found in faults(path)]
    counts = Counter(named(path) or NONE for path in paths)
    return findings + [Finding("complete", f"{label}: {count} recordings") for label, count in sorted(counts.items())]


def find_recordings(data: Path, classes: Sequence[str]) -> list[tuple[Path, str | None]]:
    """Return the recordings of a folder with their classes, None for none of them; raises DataError without any."""
    return [(path, label_of(path, classes)) for path in _recordings_in(data)]


def _recordings_in(data: Path) -> list[Path]:
    suffixes = {suffix for known in FORMATS for suffix in known.suffixes}
    found = [path for path in files_below(data) if path.suffix.lower() in suffixes] if data.is_dir() else []
    if not found:
        raise DataError(f"no recordings in {data}: give --data a folder with some, such as LABEL__NAME.aedat4")
    return found


def label_of(path: Path, classes: Sequence[str]) -> str | None:
    """Return the class that a recording shows, None for none of ``classes``; raises DataError for an unknown one."""
    label = named(path)
    if label and label != NONE and label not in classes and "__" in path.stem:
        raise DataError(f"{path.name} names no class of {', '.join(classes)}: rename it, or begin with {NONE}__")
    return label if label in classes else None


def named(path: Path) -> str:
    """Return the label in a recording's name, or ""."""
    before, double, _ = path.stem.partition("__")
    numbered = re.fullmatch(r"\d+_(\w+)", path.stem, re.ASCII)
    return before if double else numbered[1] if numbered else ""
