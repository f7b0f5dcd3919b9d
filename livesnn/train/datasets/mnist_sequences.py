"""The paper's MNIST sequences (Seq 1 to 5) as data sets; mnist_frames.py makes each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import DataError
from livesnn.train.datasets.clips import Clips, Frames, Index, Parts, clip_random
from livesnn.train.datasets.layout import Finding, counted
from livesnn.train.datasets.mnist import Mnist, load_mnist
from livesnn.train.datasets.names import SequenceName, SplitName
from livesnn.train.datasets.request import DataRequest
from livesnn.train.datasets.split import (
    MEASURED,
    few_for_validation,
    requested_split,
    side_by_class,
    stratified_split,
)

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
        """Return sequences of the training digits, a fraction of them kept for validation by seed."""
        mnist = load_mnist(request.data)
        split = requested_split(request, before)
        train, validation = stratified_split(mnist.train_labels, split.fraction, split.seed)
        samples = self._of_training(mnist, train[: request.digits], request.seed)
        return Parts(samples, self._validation(mnist, validation), split=split)

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        """Return sequences of MNIST's test digits by seed 0, or of what the card's split kept or left."""
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
