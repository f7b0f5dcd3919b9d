"""The names of the data sets and of their parts, and which flags are for which of them."""

from __future__ import annotations

from typing import Literal, get_args

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
