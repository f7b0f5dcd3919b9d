"""A data set as clips of frames, ready to train on. One module each; the frames come from events.frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.errors import DataError


@dataclass(frozen=True)
class Clips:
    """Labelled clips of equal length.

    Attributes
    ----------
    frames
        uint8 [N, T, C, H, W].
    labels
        int64 [N], indices into `classes`.
    names
        One a clip: where it came from.
    """

    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: npt.NDArray[np.int64]) -> Clips:
        """Return the clips at ``index``, in that order."""
        names = tuple(self.names[i] for i in index)
        return Clips(self.frames[index], self.labels[index], names, self.classes)

    def shuffled(self, seed: int) -> Clips:
        """Return the same clips in the order of a stream, by ``seed`` (SPEC, accuracy_carried)."""
        return self.subset(np.random.default_rng([seed, 0xCA44]).permutation(len(self)))

    def joined(self, other: Clips) -> Clips:
        """Return these clips, then ``other``'s; both have the same classes and length."""
        return Clips(
            np.concatenate([self.frames, other.frames]),
            np.concatenate([self.labels, other.labels]),
            self.names + other.names,
            self.classes,
        )


def stratified_split(
    labels: npt.NDArray[np.int64], fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return indices (train, validation), both sorted: ``fraction`` of each class goes to validation, by ``seed``."""
    rng = np.random.default_rng([seed, 0x5411])
    held_out = np.zeros(len(labels), dtype=bool)
    ordered = rng.permutation(len(labels))
    ordered = ordered[np.argsort(labels[ordered], kind="stable")]  # shuffled inside each class
    target = round(len(labels) * fraction)
    held_out[ordered[(np.arange(target) * len(labels) + len(labels) // 2) // max(target, 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def load_split(
    dataset: str, data: Path, split: Literal["validation", "train", "test"], card: ModelCard
) -> Clips:
    """Return the clips on which a model is measured.

    Parameters
    ----------
    data
        Folder of the data set; of its cache where the clips are simulated.
    split
        "validation": what the card's split kept from the training part; "train": the rest of it; "test": the
        official test part. Of simulated people `MEASURED_PEOPLE` a class, others in each split.

    Raises
    ------
    DataError
        No such data set, or it isn't in its official layout.
    """
    if dataset == "gestures-sim":
        from livesnn.train.datasets.gestures_sim import MEASURED_PEOPLE, load_gestures

        return load_gestures(card.input, MEASURED_PEOPLE, use=split, cache=data)
    if dataset != "nmnist":
        raise DataError(f"no data set {dataset!r}; there is: nmnist, gestures-sim")
    from livesnn.train.datasets.nmnist import load_nmnist

    if split == "test":
        return load_nmnist(data, "Test", card.input)
    clips = load_nmnist(data, "Train", card.input)
    train, validation = stratified_split(clips.labels, card.split.fraction, card.split.seed)
    return clips.subset(validation if split == "validation" else train)
