"""The list of data sets, and what each offers: clips to train on and to measure on, a check and a download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol, cast, get_args

from livesnn.console import sayable
from livesnn.errors import DataError, LivesnnError

if TYPE_CHECKING:  # the command line needs the names at once
    from livesnn.card import InputSpec, ModelCard, Split
    from livesnn.events.packet import EventSource
    from livesnn.simulate.gestures import Segment
    from livesnn.train.datasets.clips import Clips, Frames, Index

MOST_MINUTES = 1440
ONE_SESSION = "a class has only one session, and validation has its last clips, so accuracy is too high: add sessions"
SplitName = Literal["validation", "train", "test"]
SequenceName = Literal[
    "mnist-still", "mnist-seq1", "mnist-seq2", "mnist-seq3", "mnist-seq4", "mnist-seq5-total", "mnist-seq5-sorted"
]  # fmt: skip
"""The paper's MNIST sequences; sequences.py makes each."""
VideoName = Literal["ucf101", "hmdb51"]
Name = Literal[
    "nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", "cifar10-dvs-sim", VideoName, "gestures-sim", "folder",
    "recordings",
    SequenceName,
]  # fmt: skip


class Samples(Protocol):
    """Labelled samples for training: `Clips`, clips that are made anew in every epoch, or stretches of `Streams`."""

    @property
    def labels(self) -> Index:
        """int64 [N], indices into `classes`; a negative label is of no class. Of streams: of all frames."""
        ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Recordings that can't be read and were left out, with the reason; one line each."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Index, epoch: int) -> tuple[Frames, Index]:
        """Return the clips at ``index``, uint8 [B, T, C, H, W], and their labels, int64 [B]; of stretches [B, T].

        A clip depends only on its index and the epoch.
        """
        ...


class Parts(NamedTuple):
    """The samples of a training."""

    training: Samples  # Drawn in every epoch
    validation: Clips  # Choose the best epoch
    # More training samples, and how many of them each epoch draws
    extra: Clips | None = None
    extra_per_epoch: int = 0
    # How validation was separated from the training part; None if it consists of clips of its own
    split: Split | None = None

    @property
    def skipped(self) -> tuple[str, ...]:
        """The files left out, each with the reason."""
        return tuple(dict.fromkeys(self.training.skipped + self.validation.skipped))


def check_parts(parts: Parts) -> tuple[str, ...]:
    """Return the classes without a validation clip.

    Raises DataError if validation, or the training of a class, is empty; or a name can't go into a model's card.
    """
    classes, trained = parts.training.classes, set(parts.training.labels.tolist())
    if wrong := [name for name in classes if not (name.strip() and name.isprintable())]:
        raise DataError(f"{wrong[0]!r} can't be a class's name: rename its folder or label in printable letters")
    kept = (*parts.split.groups, *parts.split.clips) if parts.split else ()
    if odd := [name for name in kept if name != sayable(name)]:
        raise DataError(f"{odd[0]!r} can't go into the model's card, as it isn't UTF-8: rename that file or folder")
    if not len(parts.validation):
        raise DataError(
            "no clips are left for validation: add recordings, longer ones, or groups or sessions of each class"
        )
    if untrained := [name for label, name in enumerate(classes) if label not in trained]:
        why = f" (left out: {parts.training.skipped[0]})" if parts.training.skipped else ""
        raise DataError(
            f"no clip of {', '.join(untrained)} to train on{why}: add recordings or groups of each, or leave it out"
        )
    measured = set(parts.validation.labels.tolist())
    return tuple(name for label, name in enumerate(classes) if label not in measured)


class Finding(NamedTuple):
    """One line of `livesnn data check`; ``there`` of ``official`` files where they are counted.

    "unusable" is left out of a training although it isn't damaged: it is too short, or no recording.
    """

    state: Literal["complete", "incomplete", "missing", "unusable", "damaged"]
    what: str
    there: int | None = None
    official: int | None = None


def counted(name: str, there: int, official: int, what: str) -> Finding:
    """Return the finding for so many files of the official number."""
    if there == official:
        return Finding("complete", f"{name}: all {official:,} {what}", there, official)
    text = f"{there:,} of {official:,} {what} are there" if there else f"none of {official:,} {what}"
    return Finding("incomplete" if there else "missing", f"{name}: {text}", there, official)


def damage(read: Callable[..., object], *arguments: object) -> list[Finding]:
    """Return why something can't be read, as a finding; none if it can."""
    try:
        read(*arguments)
    except LivesnnError as error:
        return [Finding("damaged", str(error))]
    return []


class UncutStream(NamedTuple):
    """A stream, and what is performed in it when."""

    name: str  # Of its kind
    source: EventSource
    segments: Sequence[Segment]  # May grow while the stream is read
    # Whether nothing is performed outside the segments; otherwise that is the change from one to the next
    rests: bool
    unknown: Sequence[tuple[int, int]] = ()  # Stretches, (start, end) in µs, that count as neither


class Range(NamedTuple):
    """Marks a field with the lowest and the highest value that it takes."""

    low: float
    high: float


class OnlyFor(NamedTuple):
    """Marks a field that only some data sets have, with how their names begin."""

    sets: tuple[str, ...]


VIDEOS = get_args(VideoName)
EVENTS = ("nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", "gestures-sim", "folder")
LONG = (*VIDEOS, "cifar10-dvs", "dvs-gesture", "folder")  # Whose recordings may have many windows
SPLIT = ("nmnist", "dvs-gesture", "utd-mhad", "cifar10-dvs", *VIDEOS, "folder", "mnist-")
"""How the names of the data sets begin whose training part is split for validation."""


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


class DataSet(Protocol):
    """One data set: a module of this package, or an instance such as `mnist.SequenceSet`.

    One with uncut recordings also has ``uncut(data, split, card, minutes, seed)``, see `uncut_streams`.
    """

    @property
    def INPUT(self) -> InputSpec:  # noqa: N802 (a constant of a module)
        ...

    @property
    def SENSOR(self) -> tuple[int, int] | None:  # noqa: N802
        """Width and height of the cameras; None if they differ, or it has no events."""
        ...

    @property
    def TAKES(self) -> str | None:  # noqa: N802
        """Files that a person puts into the folder {data}; "" if `download` gets them, None if it needs no files."""
        ...

    @property
    def PROTOCOLS(self) -> tuple[str, ...]:  # noqa: N802
        """Names of its published splits, the usual one first; ("",) if there is only one."""
        ...

    @property
    def MIRRORED(self) -> Mapping[str, str] | None:  # noqa: N802
        """The classes that become another in a mirror; None if a mirrored clip may be of no class."""
        ...

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

        return SequenceSet(cast(SequenceName, name))
    if name in VIDEOS:
        from livesnn.train.datasets.videos import VIDEO_SETS

        return VIDEO_SETS[cast(VideoName, name)]
    if name == "recordings":
        from livesnn.train.datasets.folder import UncutRecordings

        return UncutRecordings()
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


def absent(name: str, title: str, data: Path, expected: str) -> DataError:
    """Return the error for a data set that isn't in a folder: what was expected there, and where to get it."""
    takes = (data_set(name).TAKES or "").format(data=data)
    return DataError(
        f"no {title} in {data}: expected {data}/{expected}. Get {takes}. "
        f"Then: livesnn data check {name} --data {data}"
    )


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
    if not 0 < minutes <= MOST_MINUTES:
        raise DataError(f"{minutes:g} minutes can't be measured: give a number above 0, up to {MOST_MINUTES}")
    uncut = getattr(data_set(name), "uncut", None)
    if uncut is None:
        raise DataError(f"{name} has no uncut recordings: leave --stream out")
    streams: Iterator[UncutStream] = uncut(data, split, card, minutes, seed)
    return streams
