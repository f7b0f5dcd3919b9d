"""A data set as clips of frames, ready to train on. One module each; the frames come from events.frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard, Split
from livesnn.paths import cache_dir

if TYPE_CHECKING:
    from livesnn.train.config import TrainConfig

SplitName = Literal["validation", "train", "test"]


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


class Parts(NamedTuple):
    """What a training takes: clips to train on, clips that choose the epoch, and more of which each epoch draws some.

    ``split``: how validation was kept from the training part; None: it consists of clips of its own.
    """

    training: Clips
    validation: Clips
    extra: Clips | None
    extra_per_epoch: int
    split: Split | None


class DataSet(Protocol):
    """A module of this package: one data set."""

    INPUT: InputSpec
    """What a network is fed."""

    @staticmethod
    def load_parts(config: TrainConfig) -> Parts:
        """Read, or simulate, what ``config`` trains on; raises DataError when it isn't in its official layout."""
        ...

    @staticmethod
    def load_split(data: Path, split: SplitName, card: ModelCard) -> Clips:
        """Return the clips on which a model is measured; raises DataError when there are none.

        "validation": what chose the epoch; "train": what was trained on; "test": the test part.
        """
        ...


def data_set(name: str) -> DataSet:
    """Return the data set of that name: nmnist, gestures-sim."""
    return cast(DataSet, import_module(f"livesnn.train.datasets.{name.replace('-', '_')}"))


def cached(name: str, settings: object, make: Callable[[], npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Return what ``make`` makes of ``settings`` (told apart by their repr), from the cache where it is there."""
    file = cache_dir() / f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}.npy"
    if file.exists():
        return cast(npt.NDArray[np.uint8], np.load(file))
    made = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    partly = file.with_suffix(f".{os.getpid()}.npy")  # an interrupted one is never mistaken for a whole one
    np.save(partly, made)
    partly.replace(file)
    return made
