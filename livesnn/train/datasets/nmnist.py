"""N-MNIST (Orchard et al. 2015) in its official layout, <Train|Test>/<digit>/NNNNN.bin, and simulated recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.events.formats.nmnist import read_nmnist
from livesnn.events.packet import Resolution
from livesnn.events.slicer import stack_clip
from livesnn.simulate.saccades import MOVES, NMNIST, RESOLUTION, saccade_recording
from livesnn.train.datasets.cache import made_in_parts
from livesnn.train.datasets.clips import Clips, Frames, Parts
from livesnn.train.datasets.layout import Finding, absent, counted, damage
from livesnn.train.datasets.mnist import load_mnist
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import draw_by_class, side_by_class

TAKES = "Train.zip and Test.zip from data.mendeley.com/datasets/468j46mzdv, in {data}/Train and Test (1.5 GB)"
PROTOCOLS = ("",)
INPUT = InputSpec(34, 34, SliceRule(delta_t_us=29_000), count_max=4, scale=0.5)
CLASSES = tuple("0123456789")
SENSOR = Resolution(34, 34)
MIRRORED = None
RECORD_BYTES = 5
PARTS = ("Train", "Test")
OFFICIAL = {
    "Train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "Test": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
}
"""Number of recordings of each digit, as in MNIST."""


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    """Return the training part, a fraction of it kept for validation by seed, and simulated digits as configured."""
    spec = request.input
    clips = load_nmnist(request.data, "Train", spec)
    split, training, validation = draw_by_class(request, before, clips.labels, request.windows)
    extra = None
    if request.simulated:
        _check_unseen(clips.names)
        extra = simulated_digits(request.mnist, spec, request.simulated_pool)
    return Parts(clips.subset(training), clips.subset(validation), extra, request.simulated, split)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    if split == "test":
        return load_nmnist(data, "Test", card.input)
    clips = load_nmnist(data, "Train", card.input)
    return clips.subset(side_by_class(card, clips.labels, split))


def check(data: Path) -> list[Finding]:
    root = find_root(data)
    findings: list[Finding] = []
    for part, official in OFFICIAL.items():
        for digit, count in enumerate(official):
            paths = sorted((root / part / str(digit)).glob("*.bin"))
            findings += [found for path in paths for found in damage(_read_clip, path, INPUT)]
            findings.append(counted(f"{part}/{digit}", len(paths), count, "recordings"))
    return findings


def _check_unseen(recordings: Sequence[str]) -> None:
    """Raise DataError if simulated digits would repeat those of recordings, whose names end in numbers from 1."""
    numbers = [Path(name).stem for name in recordings]
    if any(not number.isdecimal() or int(number) > FIRST_UNSEEN for number in numbers):
        raise DataError(
            f"simulated digits would repeat the digits of validation recordings after {FIRST_UNSEEN:05d}.bin: "
            "leave --simulated out, which a complete N-MNIST doesn't need"
        )


def find_root(data: Path) -> Path:
    """Return the folder with Train/ or Test/: ``data`` itself, or the N-MNIST folder in it."""
    for folder in (data, data / "nmnist", data / "N-MNIST"):
        if any((folder / part).is_dir() for part in PARTS):
            return folder
    raise absent("nmnist", "N-MNIST", data, "Train/<digit>/NNNNN.bin", TAKES)


def load_nmnist(data: Path, part: str, input_spec: InputSpec) -> Clips:
    """Read an official part, "Train" or "Test", as clips of one window.

    Raises DataError if the folder is missing, has no recordings, or one of them is damaged.
    """
    folder = find_root(data) / part
    paths = [(path, label) for label in range(10) for path in sorted((folder / str(label)).glob("*.bin"))]
    if not paths:
        hint = " (its Test part is here: --split test)" if (folder.parent / "Test").is_dir() else ""
        raise DataError(f"no recordings in {folder}: expected {folder}/<digit 0..9>/NNNNN.bin{hint}")
    labels = np.array([label for _, label in paths], dtype=np.int64)
    if part == "Train" and len(missing := set(range(10)) - set(labels.tolist())):
        raise DataError(f"no recordings of digit {min(missing)} in {folder}: unpack the archive again")
    frames = np.stack([_read_clip(path, input_spec) for path, _ in paths])
    return Clips(frames, labels, tuple(f"{part}/{label}/{path.name}" for path, label in paths), CLASSES)


def _read_clip(path: Path, input_spec: InputSpec) -> npt.NDArray[np.uint8]:
    size = path.stat().st_size
    if size == 0 or size % RECORD_BYTES:
        raise DataError(f"{path} is damaged: {size} bytes are not a whole number of 5-byte events; unpack it again")
    events = read_nmnist(path)
    if events.size and (events["x"].max() >= SENSOR.width or events["y"].max() >= SENSOR.height):
        raise DataError(f"{path} isn't from N-MNIST: it has events outside 34×34 pixels")
    return stack_clip(events, SENSOR, input_spec, input_spec.window)


FIRST_UNSEEN = 1000
"""MNIST's first thousand training digits are in N-MNIST's first thousand recordings. They are left out, so that no
digit of a validation recording is ever trained on."""
SIMULATED_VERSION = 1
"""Raise it with every change of a simulated recording that its settings don't show, so that nothing outdated is taken
from the cache."""
SIMULATED_SEED = 0


def simulated_digits(mnist: Path, spec: InputSpec, count: int) -> Clips:
    """Return a clip of one window of each of so many of MNIST's training digits, never the test digits."""
    digits = load_mnist(mnist)
    images, labels = digits.train_images, digits.train_labels
    images, labels = images[FIRST_UNSEEN:][:count], labels[FIRST_UNSEEN:][:count]
    frames = made_in_parts(
        "nmnist-simulated",
        [images],
        lambda some: (SIMULATED_VERSION, hashlib.sha256(some.tobytes()).hexdigest(), spec, NMNIST, MOVES),
        partial(_simulated, spec=spec),
        "simulating digits, in parts",
    )
    return Clips(frames, labels, tuple(f"simulated/{i}" for i in range(len(labels))), CLASSES)


def _simulated(images: Frames, spec: InputSpec) -> Frames:
    randoms = (np.random.default_rng([SIMULATED_SEED, index]) for index in range(len(images)))
    recordings = map(saccade_recording, images, randoms)
    return np.stack([stack_clip(events, RESOLUTION, spec, spec.window) for events in recordings])
