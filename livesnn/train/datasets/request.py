"""The names of the data sets and their parts, and what a data set must know of a training: the flags for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

from livesnn.card import InputSpec

SplitName = Literal["validation", "train", "test"]
SequenceName = Literal[
    "mnist-still", "mnist-seq1", "mnist-seq2", "mnist-seq3", "mnist-seq4", "mnist-seq5-total", "mnist-seq5-sorted"
]  # fmt: skip
"""The paper's MNIST sequences; mnist_frames.py makes each."""
VideoName = Literal["ucf101", "hmdb51"]
Name = Literal[
    "nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", "cifar10-dvs-sim", VideoName, "gestures-sim", "folder",
    "recordings",
    SequenceName,
]  # fmt: skip


VIDEOS = get_args(VideoName)
EVENTS = ("nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", "gestures-sim", "folder")
LONG = (*VIDEOS, "cifar10-dvs", "dvs-gesture", "folder")  # Whose recordings may have many windows
SPLIT = ("nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", *VIDEOS, "folder", "mnist-")
"""How the names of the data sets begin whose training part is split for validation."""


class Range(NamedTuple):
    """Marks a field with the lowest and the highest value that it takes."""

    low: float
    high: float


class OnlyFor(NamedTuple):
    """Marks a field that only some data sets have, with how their names begin."""

    sets: tuple[str, ...]


@dataclass(frozen=True)
class DataRequest:
    """What a data set must know of a training: a part of its `Configuration`."""

    data: Path = Path("data")
    """Folder of the data set, in its official layout. Your own recordings belong in <class>/<session>/FILE. Or name a
    table FILE.csv with the columns file,start,end,label,session and times in seconds."""
    simulated: Annotated[int, Range(0, 1_000_000), OnlyFor(("nmnist",))] = 0
    """Number of simulated recordings (MNIST digits in saccades) that are mixed into each epoch."""
    simulated_pool: Annotated[int, Range(1, 59_000), OnlyFor(("nmnist",))] = 20_000
    """Number of simulated recordings that are made in advance, for the epochs to draw from."""
    mnist: Path = Path("data/mnist/mnist.npz")
    """File of MNIST, for simulated recordings."""
    people: Annotated[int, Range(1, 1_000_000), OnlyFor(("gestures-sim",))] = 1000
    """Number of simulated people, each with 12 s of gestures, other movements and rests."""
    movements: Annotated[Path | None, OnlyFor(("gestures-sim",))] = None
    """File of what real people did (docs/training.md), by which some of the simulated people move."""
    stretch: Annotated[int, Range(20, 240), OnlyFor(("gestures-sim",))] = 40
    """Frames of the pieces that are cut out of the simulated streams. Those of --burn-in aren't scored."""
    digits: Annotated[int, Range(10, 60_000), OnlyFor(("mnist-",))] = 60_000
    """Number of MNIST's training digits to use, from the first. The validation digits stay the same."""
    images: Annotated[int, Range(10, 50_000), OnlyFor(("cifar10-dvs-sim",))] = 50_000
    """Number of CIFAR-10's training images to use, evenly from all. The validation images stay the same."""
    protocol: str = ""
    """Published split to use: split1 to split3 (UCF-101, HMDB-51), 90/10 or 70/30 (CIFAR10-DVS), archive or npy
    (DVS-Gesture). Default: the first."""
    only: Annotated[tuple[str, ...], OnlyFor(VIDEOS)] = ()
    """Classes to use. Default: all that have a folder."""
    windows: Annotated[int | None, Range(1, 100_000), OnlyFor(LONG)] = None
    """Largest number of windows from a recording, evenly spread. Default: all (3 for CIFAR10-DVS,
    real or simulated)."""
    validation: Annotated[float, Range(0.01, 0.9), OnlyFor(SPLIT)] = 0.1
    """Fraction of the training part kept for validation."""
    seed: Annotated[int, Range(0, 2**31)] = 0
    """Seed of the split, the weights, the order and the augmentation. With --init on the same data set, the model's
    split is kept."""

    @property
    def input(self) -> InputSpec:
        raise NotImplementedError
