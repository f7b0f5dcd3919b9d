"""MNIST from Keras's mnist.npz, its download, and the paper's sequences (Seq 1 to 5) as data sets.

mnist_frames.py makes the frames of each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError, reason_of
from livesnn.train.datasets.clips import Clips, Frames, Index, Parts, clip_random
from livesnn.train.datasets.layout import Finding, counted
from livesnn.train.datasets.request import DataRequest, SequenceName, SplitName
from livesnn.train.datasets.split import (
    MEASURED,
    few_for_validation,
    requested_split,
    side_by_class,
    stratified_split,
)
from livesnn.untrusted import DAMAGE

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
"""From Keras (`keras.datasets.mnist`)."""


class Mnist(NamedTuple):
    """Images uint8 [N, 28, 28], white (255) on black; labels int64 [N], the digits 0 to 9."""

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_mnist(path: Path) -> Mnist:
    """Read mnist.npz; ``path`` is the file, its folder, or a folder with that as mnist.

    Raises DataError if the file is missing, damaged, or something else than MNIST.
    """
    inner = path / "mnist"
    folder = inner if inner.is_dir() and not (path / "mnist.npz").is_file() else path
    file = folder / "mnist.npz" if folder.is_dir() else path
    if not file.is_file():
        folder = file.parent if file.suffix == ".npz" else file
        raise DataError(f"no MNIST at {file}: livesnn data get mnist-still --data {folder} downloads it")
    try:
        with file.open("rb") as opened, np.lib.npyio.NpzFile(opened) as archive:
            arrays = {name: archive[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except DAMAGE as error:
        raise DataError(
            f"{file} can't be read as mnist.npz ({reason_of(error)}): download Keras's file again"
        ) from error
    for part in ("train", "test"):
        if wrong := _fault(arrays[f"x_{part}"], arrays[f"y_{part}"]):
            raise DataError(f"{file} is not MNIST, its {part} part has {wrong}: give Keras's mnist.npz")
    train_labels, test_labels = (arrays[name].astype(np.int64) for name in ("y_train", "y_test"))
    return Mnist(arrays["x_train"], train_labels, arrays["x_test"], test_labels)


def download_mnist(data: Path, url: str = MNIST_URL, sha256: str = MNIST_SHA256) -> Path:
    """Put mnist.npz into a folder, unless it is there; return it.

    Raises DataError if the file there is damaged, the server can't be reached or sends something else, or the folder
    can't be written.
    """
    file = data / "mnist.npz"
    if file.exists():
        load_mnist(file)
        return file
    import pooch
    from requests import RequestException

    try:
        pooch.retrieve(url, f"sha256:{sha256}", file.name, data)
    except (RequestException, ValueError) as error:
        raise DataError(f"{url}: {reason_of(error)}: try again, or put the file into {data} yourself") from error
    except OSError as error:
        raise DataError(f"{data} can't be written: {reason_of(error)}: choose another folder") from error
    return file


def _fault(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> str:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        return f"images {images.dtype} {list(images.shape)}, not uint8 [N, 28, 28]"
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        return f"labels {labels.dtype} {list(labels.shape)} to {len(images)} images"
    if not len(labels) or labels.min() < 0 or labels.max() > 9:
        return "labels other than 0 to 9" if len(labels) else "no images"
    return ""


_FIXED = 1 << 31  # the epoch of clips that never change: validation, test


@dataclass(frozen=True)
class SequenceSamples:
    """Sequences of some digits, each in every direction of its kind; random kinds are made anew in every epoch."""

    kind: SequenceName
    # uint8 [N, 28, 28] and int64 [N]
    digits: Frames
    digit_labels: Index
    seed: int  # Decides the random numbers, together with the epoch and the sample's index
    skipped: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        from livesnn.train.datasets.mnist_frames import classes_of

        return classes_of(self.kind)

    @property
    def labels(self) -> Index:
        """int64 [N · directions]: digit + 10 · direction, with the directions of a digit in succession."""
        directions = len(self.classes) // 10
        return (self.digit_labels[:, None] + 10 * np.arange(directions)).reshape(-1)

    def __len__(self) -> int:
        return len(self.digits) * len(self.classes) // 10

    def take(self, index: Index, epoch: int) -> tuple[Frames, Index]:
        """Return the sequences at ``index`` in an epoch, uint8 [B, 10, 1, 28, 28], and their labels."""
        import torch  # not needed to check or download MNIST

        from livesnn.train.datasets.mnist_frames import make_sequences, randoms_needed

        directions = len(self.classes) // 10
        random = np.zeros((len(index), randoms_needed(self.kind)), np.float32)
        if random.size:
            for row, i in zip(random, index.tolist(), strict=True):
                clip_random("sequence", self.seed, epoch, i).random(dtype=np.float32, out=row)
        digits = torch.from_numpy(self.digits[index // directions])
        turned = torch.from_numpy(index % directions)
        made: Frames = make_sequences(self.kind, digits, turned, torch.from_numpy(random)).numpy()
        return made, self.labels[index]

    def fixed(self, name: str) -> Clips:
        """Return all of them as clips, as they are in no epoch of a training."""
        every = np.arange(len(self))
        chunks = [self.take(some, _FIXED)[0] for some in np.array_split(every, -(-len(self) // 1000))]
        names = tuple(f"{name}/{i}" for i in range(len(self)))
        return Clips(np.concatenate(chunks), self.labels, names, self.classes)


@dataclass(frozen=True)
class SequenceSet:
    """One kind of sequences as a `DataSet`."""

    kind: SequenceName
    INPUT = InputSpec(28, 28, SliceRule(delta_t_us=100_000), kind="video", channels=1, count_max=255, scale=1 / 255)
    SENSOR = None
    MIRRORED = None
    TAKES = ""
    PROTOCOLS: tuple[str, ...] = ("",)

    def load_parts(self, request: DataRequest, before: ModelCard | None = None) -> Parts:
        mnist = load_mnist(request.data)
        split = requested_split(request, before)
        train, validation = stratified_split(mnist.train_labels, split.fraction, split.seed)
        samples = self._of_training(mnist, train[: request.digits], request.seed)
        return Parts(samples, self._validation(mnist, validation), split=split)

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        mnist = load_mnist(data)
        if split == "test":
            return SequenceSamples(self.kind, mnist.test_images, mnist.test_labels, 0).fixed("test")
        index = side_by_class(card, mnist.train_labels, split, "digits")
        if split == "validation":
            return self._validation(mnist, index)
        assert card.split is not None  # else nothing is drawn
        return self._of_training(mnist, index[:MEASURED], card.split.seed).fixed("train")

    def check(self, data: Path) -> list[Finding]:
        mnist = load_mnist(data)
        return [
            counted("training", len(mnist.train_images), 60_000, "digits"),
            counted("test", len(mnist.test_images), 10_000, "digits"),
        ]

    def _of_training(self, mnist: Mnist, index: Index, seed: int) -> SequenceSamples:
        return SequenceSamples(self.kind, mnist.train_images[index], mnist.train_labels[index], seed)

    def _validation(self, mnist: Mnist, index: Index) -> Clips:
        if not len(index):
            raise DataError("too few digits to keep some for validation: give a larger --validation, or all of MNIST")
        return self._of_training(mnist, few_for_validation(index), 0).fixed("validation")
