"""Labelled clips of frames, in memory or on disk, and uncut streams: what data sets return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from livesnn.card import Split
from livesnn.console import sayable
from livesnn.errors import DataError

if TYPE_CHECKING:  # these take a while, and the command line needs the flags at once
    from livesnn.events.packet import EventSource
    from livesnn.simulate.gestures import Segment


Frames = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]

UNKNOWN = -1  # Label of what is of no class, which teaches a network to doubt

IGNORED = -2  # Label of a frame that isn't scored


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


class UncutStream(NamedTuple):
    """A stream, and what is performed in it when."""

    name: str  # Of its kind
    source: EventSource
    segments: Sequence[Segment]  # May grow while the stream is read
    # Whether nothing is performed outside the segments; otherwise that is the change from one to the next
    rests: bool
    unknown: Sequence[tuple[int, int]] = ()  # Stretches, (start, end) in µs, that count as neither


def clip_random(purpose: str, seed: int, epoch: int, number: int) -> np.random.Generator:
    """Return the random generator of one clip in one epoch: the same in any batch and on any number of machines."""
    return np.random.default_rng([*purpose.encode(), seed, epoch, number])


class OnDisk:
    """An array of clips in a .npy file, which is opened only while clips are read: thousands need no open files.

    ``mirrored``: whether the clips are mirrored left to right. Raises ValueError or OSError if it is no such file.
    """

    def __init__(self, path: Path, *, mirrored: bool = False) -> None:
        self._path, self._mirrored = path, mirrored
        array = np.load(path, mmap_mode="r")
        if array.dtype != np.uint8 or array.ndim != 5:
            raise ValueError(f"{path} holds {array.dtype} {array.shape}, not clips")
        self.shape: tuple[int, ...] = array.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Frames:
        clips = np.asarray(np.load(self._path, mmap_mode="r")[index])
        return clips[..., ::-1] if self._mirrored else clips


class Stack:
    """Arrays of clips in a row as one array, without copying them together.

    The arrays are uint8 [N, T, C, H, W] with any N; ``order`` says which of all clips it has, and in which order.
    """

    def __init__(self, arrays: Sequence[Frames | OnDisk], order: Index | None = None) -> None:
        self._arrays = arrays
        self._first = np.cumsum([0, *map(len, arrays)])
        self._order = np.arange(self._first[-1]) if order is None else order
        self.shape = (len(self._order), *arrays[0].shape[1:])

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: slice | Index) -> Frames:
        chosen = self._order[index]
        holder = np.searchsorted(self._first, chosen, side="right") - 1
        taken = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for number in np.unique(holder):
            here = np.flatnonzero(holder == number)
            taken[here] = self._arrays[number][chosen[here] - self._first[number]]
        return taken

    def __iter__(self) -> Iterator[Frames]:
        return (self[i : i + 1][0] for i in range(len(self)))

    def subset(self, index: Index) -> Stack:
        """Return the clips at ``index``, in that order, without reading them."""
        return Stack(self._arrays, self._order[index])


@dataclass(frozen=True)
class Clips:
    """Labelled clips of equal length."""

    frames: Frames | Stack  # uint8 [N, T, C, H, W], or a `Stack` of that shape
    labels: Index  # int64 [N], indices into `classes`
    names: tuple[str, ...]  # Where each clip comes from
    classes: tuple[str, ...]
    # The recording or video that each clip is a part of; empty if each clip is a recording of its own
    recordings: tuple[str, ...] = ()
    # The person, session or group of videos that each clip belongs to; or empty. A split keeps a group on one
    # side where a class has two or more groups.
    groups: tuple[str, ...] = ()
    # Recordings that can't be read and were left out, with the reason; one line each
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # What opening the recordings reported, such as damage; one line each
    # Width and height of the camera that recorded them; None if unknown, or if there are several
    sensor: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Index, epoch: int) -> tuple[Frames, Index]:
        return self.frames[index], self.labels[index]

    def subset(self, index: Index) -> Clips:
        frames = self.frames.subset(index) if isinstance(self.frames, Stack) else self.frames[index]
        return replace(
            self,
            frames=frames,
            labels=self.labels[index],
            names=tuple(self.names[i] for i in index),
            recordings=tuple(self.recordings[i] for i in index) if self.recordings else (),
            groups=tuple(self.groups[i] for i in index) if self.groups else (),
        )

    def shuffled(self, seed: int) -> Clips:
        """Return the same clips in the order of a stream, shuffled by ``seed``."""
        return self.subset(np.random.default_rng([seed, 0xCA44]).permutation(len(self)))


@dataclass(frozen=True)
class Streams:
    """Uncut streams with a label for each frame; every epoch cuts other stretches out of them."""

    frames: Stack  # uint8 [N, F, C, H, W]
    # int64 [N, F]: indices into `classes` and the `kinds` behind them, `UNKNOWN` or `IGNORED`
    frame_labels: Index
    classes: tuple[str, ...]
    stretch: int  # Frames of a stretch
    seed: int  # Decides the stretches, together with the epoch
    kinds: tuple[str, ...] = ()  # What is shown besides the classes
    # Class of each class and kind: an index into `classes`, or `UNKNOWN`. Empty if there are no kinds.
    class_of: tuple[int, ...] = ()
    skipped: tuple[str, ...] = ()

    @property
    def labels(self) -> Index:
        """Classes of all frames, int64 [N · F]."""
        labels = self.frame_labels.reshape(-1)
        table = np.array(self.class_of or range(len(self.classes)), np.int64)
        return np.where(labels < 0, labels, table[np.maximum(labels, 0)])

    @property
    def _cuts(self) -> int:
        return self.frame_labels.shape[1] // self.stretch

    def __len__(self) -> int:
        return len(self.frame_labels) * self._cuts

    def take(self, index: Index, epoch: int) -> tuple[Frames, Index]:
        last, streams = self.frame_labels.shape[1] - self.stretch, index // self._cuts
        firsts = [clip_random("cut", self.seed, epoch, i).integers(last + 1) for i in index.tolist()]
        cuts = np.arange(len(index))[:, None], np.array(firsts)[:, None] + np.arange(self.stretch)
        return self.frames[streams][cuts], self.frame_labels[streams][cuts]
