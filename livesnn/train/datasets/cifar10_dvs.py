"""CIFAR10-DVS (Li et al. 2017) in its official layout: <class>/cifar10_<class>_<0..999>.aedat, AEDAT 2.0."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.events.packet import Resolution
from livesnn.train.datasets.clips import Clips, Index, Parts
from livesnn.train.datasets.layout import Finding, absent, counted, faults
from livesnn.train.datasets.recorded import Recording, labels_of, load_recordings
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import draw_by_class, side_by_class

INPUT = InputSpec(128, 128, SliceRule(n_events=1000), count_max=4, scale=0.5)
SENSOR = Resolution(128, 128)
MIRRORED: dict[str, str] = {}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TAKES = "ten zips from figshare.com/articles/dataset/CIFAR10-DVS_New/4724671, unpacked in {data} (16 GB)"
PROTOCOLS = ("90/10", "70/30")
"""The data set has no official split. In "90/10" a tenth of each class, drawn by seed 0, is the test part, as in most
publications. In "70/30" recordings 0 to 699 of each class are for training, 700 to 999 for testing (the paper)."""
PER_CLASS = 1000
WINDOWS = 3  # Windows from a recording, evenly spread over its twenty or so


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    most = request.windows or WINDOWS
    recordings = _of_part(find_recordings(request.data), request.protocol, test=False)
    split, training, validation = draw_by_class(request, before, labels_of(recordings), most)
    load = partial(_load, recordings, request.input, most)
    return Parts(load(training), load(validation), split=split)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    if card.split is None:
        raise DataError(f"the card of {card.name} doesn't say which recordings were kept: train it again")
    recordings = _of_part(find_recordings(data), card.split.protocol, test=split == "test")
    labels = labels_of(recordings)
    chosen = np.arange(len(labels)) if split == "test" else side_by_class(card, labels, split)
    return _load(recordings, card.input, card.split.windows or WINDOWS, chosen)


def check(data: Path) -> list[Finding]:
    recordings = find_recordings(data)
    findings: list[Finding] = []
    for label, name in enumerate(CLASSES):
        of_class = [recording for recording in recordings if recording.label == label]
        findings += [found for recording in of_class for found in faults(recording.path)]
        findings.append(counted(name, len(of_class), PER_CLASS, "recordings"))
    return findings


def find_recordings(data: Path) -> list[Recording]:
    folders = (data, data / "cifar10-dvs", data / "CIFAR10DVS")
    root = next((each for each in folders if any((each / name).is_dir() for name in CLASSES)), None)
    if root is None:
        raise absent("cifar10-dvs", "CIFAR10-DVS", data, "airplane/cifar10_airplane_0.aedat …", TAKES)
    recordings = []
    for label, name in enumerate(CLASSES):
        files = {int(found[1]): path for path in (root / name).glob("*.aedat")
                 if (found := re.fullmatch(rf"cifar10_{name}_(\d{{1,3}})\.aedat", path.name))}  # fmt: skip
        if not files:
            raise DataError(
                f"no recordings of {name} in {root}: unpack {name}.zip there ({name}/cifar10_{name}_0.aedat)"
            )
        recordings += [
            Recording(path, label, f"{name}/{path.name}", f"{name}/{number}")
            for number, path in sorted(files.items())
        ]
    return recordings


def _of_part(recordings: list[Recording], protocol: str, *, test: bool) -> list[Recording]:
    numbers = np.array([int(recording.group.rpartition("/")[2]) for recording in recordings])
    if protocol == "70/30":
        is_test = numbers >= 700
    else:  # drawn from all thousand, whichever of them are there
        orders = [np.random.default_rng([0, label]).permutation(PER_CLASS) for label in range(len(CLASSES))]
        labels = [recording.label for recording in recordings]
        is_test = np.argsort(orders)[labels, numbers] < PER_CLASS // 10  # by the place in its class's order
    part = [recording for recording, tests in zip(recordings, is_test, strict=True) if tests == test]
    if not part:
        raise DataError(
            f"no recordings of the {'test' if test else 'training'} part of {protocol}: unpack all archives"
        )
    return part


def _load(recordings: list[Recording], spec: InputSpec, most: int, chosen: Index) -> Clips:
    return load_recordings("cifar10-dvs", [recordings[i] for i in chosen], CLASSES, spec, most=most)
