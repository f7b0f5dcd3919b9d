"""A data set as samples ready to train on. One module each; the frames come from events.frames, or from video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, cast, get_args

from livesnn.errors import DataError

if TYPE_CHECKING:  # the command line needs the names at once
    from livesnn.card import InputSpec, ModelCard, Split
    from livesnn.events.packet import EventSource
    from livesnn.simulate.gestures import Segment
    from livesnn.train.datasets.asked import Asked
    from livesnn.train.datasets.clips import Clips, Frames, Index

MOST_MINUTES = 1440
SplitName = Literal["validation", "train", "test"]
SequenceName = Literal[
    "mnist-still", "mnist-seq1", "mnist-seq2", "mnist-seq3", "mnist-seq4", "mnist-seq5-total", "mnist-seq5-sorted"
]  # fmt: skip
Name = Literal[
    "nmnist", "dvs-gesture", "cifar10-dvs", "ucf101", "hmdb51", "gestures-sim", "folder", SequenceName
]  # fmt: skip


class Samples(Protocol):
    """What a training draws from: `Clips`, or clips that are made anew in every epoch."""

    @property
    def labels(self) -> Index:
        """int64 [N], indices into `classes`; negative: none of them."""
        ...

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def skipped(self) -> tuple[str, ...]:
        """Recordings left out since they can't be read, and why; one line each."""
        ...

    def __len__(self) -> int: ...

    def take(self, index: Index, epoch: int) -> Frames:
        """Return the clips at ``index``, uint8 [B, T, C, H, W]; a clip depends on its index and the epoch alone."""
        ...


class Parts(NamedTuple):
    """What a training takes: samples, clips that choose the epoch, and more samples of which each epoch draws some.

    ``split``: how validation was kept from the training part; None: it consists of clips of its own.
    """

    training: Samples
    validation: Clips
    extra: Clips | None = None
    extra_per_epoch: int = 0
    split: Split | None = None


def check_parts(parts: Parts) -> tuple[str, ...]:
    """Return the classes that validation has no clip of.

    Raises
    ------
    DataError
        A part or the training of a class is empty, or a class's name can't go into a model's card.
    """
    classes, trained = parts.training.classes, set(parts.training.labels.tolist())
    if wrong := [name for name in classes if not (name.strip() and name.isprintable())]:
        raise DataError(
            f"{wrong[0]!r} can't be a class's name: rename its folder or label in printable letters"
        )
    kept = (*parts.split.groups, *parts.split.clips) if parts.split else ()
    if odd := [name for name in kept if name != name.encode(errors="replace").decode()]:
        raise DataError(
            f"{odd[0]!r} can't go into the model's card, as it isn't UTF-8: rename that file or folder"
        )
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
    """One line of `livesnn data check`; ``there`` of ``official`` files, where they are counted.

    "unusable" is what a training leaves out though nothing is wrong with it: too short, or no recording.
    """

    state: Literal["complete", "incomplete", "missing", "unusable", "damaged"]
    what: str
    there: int | None = None
    official: int | None = None


def counted(name: str, there: int, official: int, what: str) -> Finding:
    """Return what is to be said of so many files of the official number."""
    if there == official:
        return Finding("complete", f"{name}: all {official:,} {what}", there, official)
    said = f"{there:,} of {official:,} {what} are there" if there else f"none of {official:,} {what}"
    return Finding("incomplete" if there else "missing", f"{name}: {said}", there, official)


class Uncut(NamedTuple):
    """A stream and what is performed in it when; ``segments`` may grow while it is read. ``name``: of its kind.

    ``rests``: whether nothing is performed outside the segments; else it is the change from one to another.
    ``unknown``: stretches, (start, end) in µs, that count as neither.
    """

    name: str
    source: EventSource
    segments: Sequence[Segment]
    rests: bool
    unknown: Sequence[tuple[int, int]] = ()


class DataSet(Protocol):
    """A module of this package, or a `sequence_sets.SequenceSet`: one data set."""

    @property
    def INPUT(self) -> InputSpec:  # noqa: N802 (a constant of a module)
        """What a network is fed."""
        ...

    @property
    def SENSOR(self) -> tuple[int, int] | None:  # noqa: N802
        """Width and height of the cameras; None: of any, or it isn't of events."""
        ...

    @property
    def TAKES(self) -> str | None:  # noqa: N802
        """What a person puts where, {data} being the folder; "": `download` gets it; None: it takes no files."""
        ...

    @property
    def PROTOCOLS(self) -> tuple[str, ...]:  # noqa: N802
        """The names of its published splits, the usual one first; ("",) where there is one alone."""
        ...

    @property
    def MIRRORED(self) -> Mapping[str, str] | None:  # noqa: N802
        """What a class becomes in a mirror, where it becomes another; None: what a mirror shows is of no class."""
        ...

    def load_parts(self, asked: Asked, before: ModelCard | None = None) -> Parts:
        """Read, or simulate, what ``asked`` trains on; raises DataError when it isn't in its official layout.

        ``before``: of a model of the same data set that is trained on: what was kept from its training stays kept.
        """
        ...

    def load_split(self, data: Path, split: SplitName, card: ModelCard) -> Clips:
        """Return the clips on which a model is measured; raises DataError when there are none.

        "validation": what chose the epoch; "train": what was trained on; "test": the test part.
        """
        ...

    def check(self, data: Path) -> list[Finding]:
        """Say what of the data set is in a folder, and what is missing or damaged; reads all of it."""
        ...


def data_set(name: str) -> DataSet:
    """Return the data set of that `Name`."""
    if name in get_args(SequenceName):
        from livesnn.train.datasets.mnist import SequenceSet

        return SequenceSet(name)
    return cast(DataSet, import_module(f"livesnn.train.datasets.{name.replace('-', '_')}"))


def mirrored_labels(name: str, classes: Sequence[str]) -> list[int]:
    """Return the label of each class's clips in a mirror; raises DataError when a mirror makes nonsense of them."""
    swaps = data_set(name).MIRRORED
    if swaps is None:
        raise DataError(
            f"a mirrored clip of {name} may be of no class, or of another: leave --augmentation.mirror out"
        )
    return [classes.index(swaps.get(label, label)) for label in classes]


def uncut_streams(
    name: str, data: Path, split: SplitName, card: ModelCard, minutes: float, seed: int
) -> Iterator[Uncut]:
    """Yield about so many minutes of a data set's uncut streams, chosen by ``seed``: its module's `uncut`.

    Raises
    ------
    DataError
        It has none.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise DataError(f"{minutes:g} minutes can't be measured: give a number above 0, up to {MOST_MINUTES}")
    uncut = getattr(data_set(name), "uncut", None)
    if uncut is None:
        raise DataError(f"{name} has no uncut recordings: leave --stream out")
    streams: Iterator[Uncut] = uncut(data, split, card, minutes, seed)
    return streams
