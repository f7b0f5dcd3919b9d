"""What each data set offers: clips to train on and to measure on, a check and a download.

To add one, write a module with what `DataSet` lists, called like the data set. Put its name into `names.Name`, and
into those of the tuples there that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, get_args

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError
from livesnn.train.datasets.clips import Clips, Parts, UncutStream
from livesnn.train.datasets.layout import Finding
from livesnn.train.datasets.request import VIDEOS, DataRequest, SequenceName, SplitName, VideoName


class DataSet(Protocol):
    """One data set: a module of this package, or an instance such as `mnist.SequenceSet`.

    One with uncut recordings also has ``uncut(data, split, card, minutes, seed)``, see `uncut_streams`.
    """

    INPUT: InputSpec
    SENSOR: tuple[int, int] | None  # Width and height of the cameras; None if they differ, or it has no events
    # Files that a person puts into the folder {data}; "" if `download` gets them, None if it needs no files
    TAKES: str | None
    PROTOCOLS: tuple[str, ...]  # Names of its published splits, the usual one first; ("",) if there is only one
    # The classes that become another in a mirror; None if a mirrored clip may be of no class
    MIRRORED: Mapping[str, str] | None

    def load_parts(self, request: DataRequest, before: ModelCard | None = None) -> Parts:
        """Read or simulate the samples of a training; raises DataError if the data set isn't in its official layout.

        Where a training starts from a model of the same data set, validation clips ``before`` stay validation clips.
        """
        ...

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        """Return the clips on which a model is measured; raises DataError if there are none.

        "validation" chose the model's best epoch, "train" trained it, "test" is the test part.
        """
        ...

    def check(self, data: Path) -> list[Finding]:
        """Say which files of the data set are in a folder, missing or damaged; reads all of them."""
        ...


def data_set(name: str) -> DataSet:
    if name in get_args(SequenceName):
        from livesnn.train.datasets.mnist import SequenceSet

        return cast(DataSet, SequenceSet(cast(SequenceName, name)))
    if name in VIDEOS:
        from livesnn.train.datasets.videos import VIDEO_SETS

        return cast(DataSet, VIDEO_SETS[cast(VideoName, name)])
    return cast(DataSet, import_module(f"livesnn.train.datasets.{name.replace('-', '_')}"))


def download(name: str, data: Path) -> Path | None:
    """Put a data set's file into a folder and return it; None if the data set needs no files.

    Raises DataError like `download_mnist`, and for a data set that a program can't download, with what to put where.
    """
    takes = data_set(name).TAKES
    if takes is None:
        return None
    if takes:
        raise DataError(f"livesnn can't download {name}: get {takes.format(data=data)}")
    from livesnn.train.datasets.mnist import download_mnist

    return download_mnist(data)


def mirrored_labels(name: str, classes: Sequence[str]) -> list[int]:
    """Return the label of each class in a mirror; raises DataError if a mirrored clip may be of no class."""
    swaps = data_set(name).MIRRORED
    if swaps is None:
        raise DataError(
            f"a mirrored clip of {name} may be of no class, or of another: leave --augmentation.mirror out"
        )
    return [classes.index(swaps.get(label, label)) for label in classes]


def uncut_streams(
    name: str, data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int
) -> Iterator[UncutStream]:
    """Yield about so many minutes of a data set's uncut streams, chosen by ``seed``; raises DataError without any."""
    if not 0 < minutes <= 24 * 60:
        raise DataError(f"{minutes:g} minutes can't be measured: give a number above 0, up to {24 * 60}")
    uncut = getattr(data_set(name), "uncut", None)
    if uncut is None:
        raise DataError(f"{name} has no uncut recordings: leave --stream out")
    streams: Iterator[UncutStream] = uncut(data, split, card, minutes, seed)
    return streams
