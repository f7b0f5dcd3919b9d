"""cifar10-dvs-sim: CIFAR-10's images as CIFAR10-DVS was recorded, simulated; clips are made once, then cached."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError, reason_of
from livesnn.events.packet import Events, Packet
from livesnn.events.slicer import Slicer
from livesnn.simulate.saccades import CIFAR10_DVS, DVS128, loop_recording
from livesnn.train.datasets.cache import made_in_parts
from livesnn.train.datasets.cifar10_dvs import CLASSES, WINDOWS
from livesnn.train.datasets.clips import Clips, Index, Parts
from livesnn.train.datasets.layout import Finding, absent, counted
from livesnn.train.datasets.recorded import spread, windows_of
from livesnn.train.datasets.request import DataRequest, SplitName
from livesnn.train.datasets.split import draw_by_class, few_for_validation, side_by_class
from livesnn.untrusted import DAMAGE

INPUT = InputSpec(64, 64, SliceRule(n_events=1000), count_max=4, scale=0.5)
SENSOR = DVS128
MIRRORED: dict[str, str] = {}
PROTOCOLS = ("",)
TAKES = "cifar-10-binary.tar.gz (162 MB) from www.cs.toronto.edu/~kriz/cifar.html, unpacked in {data}"
NAME = "cifar10-dvs-sim"
VERSION = 1
"""Raise it with every change of a simulated recording that its settings don't show, so that nothing outdated is taken
from the cache."""

_BINARY = "cifar-10-batches-bin"
_FILES = {False: tuple(f"data_batch_{number}.bin" for number in range(1, 6)), True: ("test_batch.bin",)}
_ROW = 1 + 3 * 32 * 32  # Octets of an image in the binary files: its label, then red, green and blue
_AT_ONCE = 20  # Images that a process simulates at a time
_SECONDS = 1.3  # Length of a recording, as in the real set
_LONGEST_S = 60.0

Image = npt.NDArray[np.uint8]


class Cifar10(NamedTuple):
    """Images of the training or the test part, each uint8 [32, 32, 3], RGB, and their labels int64 [N]."""

    images: Sequence[Image]
    labels: Index
    names: tuple[str, ...]


def load_parts(request: DataRequest, before: ModelCard | None = None) -> Parts:
    images = load_cifar10(request.data, test=False)
    windows = request.windows or WINDOWS
    split, train, validation = draw_by_class(request, before, images.labels, windows)
    if len(train) > request.images:  # evenly from all: the files may be sorted by class
        train = train[np.arange(request.images) * len(train) // request.images]
    simulated = partial(simulated_clips, images, spec=request.input, windows=windows)
    return Parts(simulated(train), simulated(few_for_validation(validation)), split=split)


def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
    windows = WINDOWS if card.split is None else card.split.windows or WINDOWS
    images = load_cifar10(data, test=split == "test")
    chosen = np.arange(len(images.labels))
    if split != "test":
        chosen = few_for_validation(side_by_class(card, images.labels, split, "images"))
    return simulated_clips(images, chosen, spec=card.input, windows=windows)


def check(data: Path) -> list[Finding]:
    return [
        counted(part, len(load_cifar10(data, test=test).labels), official, "images")
        for part, test, official in (("training", False, 50_000), ("test", True, 10_000))
    ]


def load_cifar10(data: Path, *, test: bool) -> Cifar10:
    """Read CIFAR-10's binary version, or a .npz file of its images as JPEG files.

    Such a file has ``jpeg``, all files one after another, ``offsets`` [N + 1], ``label`` and ``test``. Raises
    DataError if there is neither, or something is damaged.
    """
    for folder in (data, data / "cifar10", data / "cifar-10"):
        for binary in (folder, folder / _BINARY):
            if any((binary / name).is_file() for names in _FILES.values() for name in names):
                return _read_binary(binary, test=test)
        if files := sorted(folder.glob("cifar10*.npz")):
            return _read_npz(files[0], test=test)
    raise absent(NAME, "CIFAR-10", data, f"{_BINARY}/data_batch_1.bin …", TAKES)


def _read_binary(folder: Path, *, test: bool) -> Cifar10:
    images: list[Image] = []
    labels: list[int] = []
    names: list[str] = []
    for path in (folder / name for name in _FILES[test]):
        try:
            rows = np.fromfile(path, np.uint8)
        except OSError as error:
            raise DataError(f"{path}: {reason_of(error)}: unpack the archive again") from error
        if not rows.size or rows.size % _ROW or (rows := rows.reshape(-1, _ROW))[:, 0].max() > 9:
            raise DataError(f"{path} is damaged or not CIFAR-10's: unpack the archive again")
        images += list(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels += rows[:, 0].tolist()
        names += [f"{path.stem}/{number}" for number in range(len(rows))]
    return Cifar10(images, np.array(labels, np.int64), tuple(names))


def _read_npz(file: Path, *, test: bool) -> Cifar10:
    try:
        with file.open("rb") as opened, np.lib.npyio.NpzFile(opened) as archive:
            octets, offsets, labels, of_test = (archive[key] for key in ("jpeg", "offsets", "label", "test"))
        chosen = np.flatnonzero(of_test == test)
        images = [_decoded(octets[offsets[i] : offsets[i + 1]]) for i in chosen]
    except (*DAMAGE, cv2.error) as error:
        raise DataError(f"{file} can't be read ({reason_of(error)}): get {TAKES.format(data=file.parent)}") from error
    if not images or not all(image.shape == (32, 32, 3) for image in images) or labels.max() > 9:
        part = "test" if test else "training"
        raise DataError(f"{file} has no {part} images of CIFAR-10: get {TAKES.format(data=file.parent)}")
    part = "test" if test else "train"
    return Cifar10(images, labels[chosen].astype(np.int64), tuple(f"{part}/{i}" for i in chosen))


def _decoded(octets: npt.NDArray[np.uint8]) -> Image:
    """Return a JPEG file as RGB; raises cv2.error or ValueError if it is damaged."""
    picture = cv2.imdecode(octets, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("an image can't be decoded")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def simulated_clips(images: Cifar10, chosen: Index, *, spec: InputSpec, windows: int) -> Clips:
    """Return so many windows of the simulated recording of each chosen image, evenly spread over it."""
    settings = (VERSION, CIFAR10_DVS, spec.width, spec.height, spec.slice, spec.window, windows)
    frames = made_in_parts(
        NAME,
        [images.images[i] for i in chosen],
        lambda image: (*settings, _digest(image).hex()),
        partial(_windows, spec=spec, windows=windows),
        "simulating recordings of images",
        at_once=_AT_ONCE,
    )
    names = [images.names[i] for i in chosen]
    return Clips(
        frames,
        np.repeat(images.labels[chosen], windows),
        tuple(f"{name}/{number}" for name in names for number in range(windows)),
        CLASSES,
        tuple(name for name in names for _ in range(windows)) if windows > 1 else (),
        sensor=SENSOR,
    )


def _digest(image: Image) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _windows(image: Image, spec: InputSpec, windows: int) -> Image:
    """Return windows of an image's recording, uint8 [windows, T, C, H, W]; one with few events lasts longer."""
    seconds = _SECONDS
    while True:
        frames = Slicer(DVS128, spec).push(Packet(recorded(image, seconds)))
        clips = windows_of(frames, spec)
        if len(clips) >= windows:
            return clips[spread(len(clips), windows)]
        if seconds > _LONGEST_S:
            raise DataError(f"no {windows} windows in {_LONGEST_S:g} s of an image: give fewer, or shorter frames")
        seconds *= 2


def recorded(image: Image, seconds: float = _SECONDS) -> Events:
    """Return an image's simulated recording; the same image always gives the same events."""
    seed = int.from_bytes(_digest(image)[:8], "little")
    return loop_recording(image, np.random.default_rng(seed), duration_us=round(seconds * 1e6))
