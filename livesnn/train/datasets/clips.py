"""Labelled clips of frames, in memory, on disk or in the cache, and how some of them are kept for validation."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard, Split
from livesnn.console import share_done
from livesnn.errors import DataError, reason_of
from livesnn.files import replacing
from livesnn.paths import cache_dir
from livesnn.subprocesses import MOST_PROCESSES, process_pool
from livesnn.threads import usable_processors
from livesnn.train.datasets import DataRequest, Parts, SplitName
from livesnn.untrusted import DAMAGE

T = TypeVar("T")
R = TypeVar("R")
Frames = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]

UNKNOWN = -1  # Label of what is of no class, which teaches a network to doubt

IGNORED = -2  # Label of a frame that isn't scored


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

    def draw(self, split: Split, known: Sequence[str] = ()) -> Split:
        """Return a split that names the groups it keeps for validation, or clips where a class has one group.

        A split that names some already is only extended for classes that a model to start from doesn't know: it may
        have been trained on any other group or clip of its ``known`` classes.
        """
        named = bool(split.groups or split.clips)
        if named and not known:
            return split
        old = np.array([named and self.classes[label] in known for label in self.labels.tolist()], bool)
        fresh = np.flatnonzero(~np.isin(self.groups, np.array(self.groups)[old]))
        free = [self.groups[i] for i in fresh]
        groups = split.groups + validation_groups(free, self.labels[fresh], split.fraction, split.seed)
        kept = np.isin(self.groups, groups) | np.isin(self.names, split.clips)
        last = last_clips(self.groups, self.labels, split.fraction)
        last &= ~old & ~np.isin(self.labels, self.labels[kept])
        clips = split.clips + tuple(self.names[i] for i in np.flatnonzero(last))
        return replace(split, groups=tuple(sorted(set(groups))), clips=clips)

    def split_by_group(self, split: Split) -> tuple[Clips, Clips]:
        """Return (training, validation); the `skipped` of validation names what the split keeps and isn't there."""
        drawn = self.draw(split)
        held_out = np.isin(self.groups, drawn.groups) | np.isin(self.names, drawn.clips)
        absent = sorted({*drawn.groups} - {*self.groups} | {*drawn.clips} - {*self.names})
        lines = tuple(f"{name}: it was kept for validation, but is missing" for name in absent)
        validation = self.subset(np.flatnonzero(held_out))
        return self.subset(np.flatnonzero(~held_out)), replace(validation, skipped=lines + validation.skipped)

    def parts(self, request: DataRequest, before: ModelCard | None) -> Parts:
        """Return the parts of a training that follows the model ``before`` it, split by group."""
        split = self.draw(requested_split(request, before), before.classes if before else ())
        training, validation = self.split_by_group(split)
        return Parts(training, validation, split=split)

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


def requested_split(request: DataRequest, before: ModelCard | None) -> Split:
    """Return the split of a training: that of the model ``before`` it, or else one by fraction and seed."""
    split = Split(request.validation, request.seed, request.protocol, windows=request.windows)
    if before is None or before.split is None:
        return split
    return replace(before.split, protocol=split.protocol, windows=split.windows)


def stratified_split(labels: Index, fraction: float, seed: int) -> tuple[Index, Index]:
    """Return sorted indices (train, validation); ``fraction`` of each class is drawn for validation by ``seed``."""
    rng = np.random.default_rng([seed, 0x5411])
    held_out = np.zeros(len(labels), dtype=bool)
    ordered = rng.permutation(len(labels))
    ordered = ordered[np.argsort(labels[ordered], kind="stable")]  # shuffled inside each class
    target = round(len(labels) * fraction)
    held_out[ordered[(np.arange(target) * len(labels) + len(labels) // 2) // max(target, 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def draw_by_class(
    request: DataRequest, before: ModelCard | None, labels: Index, windows: int | None
) -> tuple[Split, Index, Index]:
    """Return the split of a training on so many ``windows`` of recordings with these labels.

    Returns also the indices of what it leaves for training, and of what it keeps for validation. Raises DataError if
    the model ``before`` it was trained on another number of recordings.
    """
    split = requested_split(request, before)
    _check_drawn_from(split, len(labels), "leave --init out")
    split = replace(split, windows=windows, drawn_from=len(labels))
    return split, *stratified_split(labels, split.fraction, split.seed)


def drawn_by_class(card: ModelCard, labels: Index, split: SplitName, what: str = "recordings") -> Index:
    """Return the indices of what a model's split kept or left; raises DataError if that isn't known any more."""
    if card.split is None:
        raise DataError(f"the card of {card.name} doesn't say which {what} were kept: add --split test")
    _check_drawn_from(card.split, len(labels), "add --split test")
    train, validation = stratified_split(labels, card.split.fraction, card.split.seed)
    return validation if split == "validation" else train


MEASURED = 1000
"""Largest number of images or digits for validation, where more cost minutes in every epoch, and hardly change which
one is best."""


def measured(index: Index) -> Index:
    """Return at most `MEASURED` of some indices, evenly from all."""
    return index[:: -(-len(index) // MEASURED) or 1]


def _check_drawn_from(split: Split, there: int, otherwise: str) -> None:
    if split.drawn_from not in (None, there):
        raise DataError(
            f"validation was drawn from {split.drawn_from:,} recordings, but there are {there:,} now: "
            f"give --data with the same recordings, or {otherwise}"
        )


def last_clips(groups: Sequence[str], labels: Index, fraction: float) -> npt.NDArray[np.bool_]:
    """Return bool [N]: the last ``fraction`` of each group's clips of a class, at least one of two."""
    numbers: dict[tuple[str, int], list[int]] = {}
    for number, of_one in enumerate(zip(groups, labels.tolist(), strict=True)):
        numbers.setdefault(of_one, []).append(number)
    last = np.zeros(len(labels), dtype=bool)
    for each in numbers.values():
        count = max(round(len(each) * fraction), 1)
        last[each[max(len(each) - count, 1) :]] = True
    return last


def validation_groups(groups: Sequence[str], labels: Index, fraction: float, seed: int) -> tuple[str, ...]:
    """Return the groups for validation, sorted, drawn by ``seed``; every class keeps one for training.

    Where each group has only one class (sessions of one object, the groups of UCF-101), ``fraction`` of the groups of
    each class with more than one is drawn; otherwise ``fraction`` of all groups.
    """
    classes: dict[str, set[int]] = {}
    for group, label in zip(groups, labels.tolist(), strict=True):
        classes.setdefault(group, set()).add(label)
    left = Counter(label for of_group in classes.values() for label in of_group)
    families: dict[int, list[str]] = {}
    apart = all(len(of_group) == 1 for of_group in classes.values())
    for group in sorted(classes):
        families.setdefault(min(classes[group]) if apart else 0, []).append(group)
    rng = np.random.default_rng([seed, 0x6709])
    kept: list[str] = []
    for _, members in sorted(families.items()):
        most = len(kept) + max(round(len(members) * fraction), 1)
        for group in (members[i] for i in rng.permutation(len(members))):
            if len(kept) < most and all(left[label] > 1 for label in classes[group]):
                kept.append(group)
                left.subtract(classes[group])
    return tuple(sorted(kept))


def cached(name: str, settings: object, make: Callable[[], Frames]) -> Frames:
    """Return the array of these ``settings`` (told apart by their repr) from the cache, or else make and keep it.

    A damaged file in the cache is made again. Raises DataError if the cache can't be written.
    """
    file = cache_file(name, settings)
    with suppress(*DAMAGE):  # or there is no file
        array: Frames = np.load(file)
        if array.dtype == np.uint8:
            return array
    made = make()
    keep(file, made)
    return made


def made_in_parts(
    name: str,
    parts: Sequence[T],
    settings: Callable[[T], object],
    make: Callable[[T], Frames],
    doing: str,
    *,
    at_once: int = 1,
) -> Stack:
    """Return the clips of all ``parts`` in a row; what the cache lacks is made as by `in_processes`, and kept.

    A part has a file for itself, by its ``settings`` (see `cached`).
    """
    files = [cache_file(name, settings(part)) for part in parts]
    missing = [each for each in zip(files, parts, strict=True) if not _has_clips(each[0])]
    if missing:
        in_processes(partial(_keep_made, make), missing, doing, at_once=at_once)
    return Stack([OnDisk(file) for file in files])


def _has_clips(file: Path) -> bool:
    with suppress(*DAMAGE):  # or there is no file
        return len(OnDisk(file)) > 0
    return False


def _keep_made(make: Callable[[T], Frames], missing: tuple[Path, T]) -> None:
    file, part = missing
    keep(file, make(part))


def keep(file: Path, made: Frames) -> None:
    """Write an array into the cache, whole or not at all; raises DataError if it can't be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as new, new.open("wb") as octets:
            np.save(octets, made)
    except OSError as error:
        raise DataError(
            f"{file.parent} can't be written ({reason_of(error)}): free some space there, or set "
            "LIVESNN_CACHE to another folder"
        ) from error


def cache_file(name: str, settings: object) -> Path:
    """Return the file in which `cached` keeps the array of these settings."""
    return cache_dir() / f"{name}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:16]}.npy"


def in_processes(make: Callable[[T], R], items: Sequence[T], doing: str, *, at_once: int = 1) -> list[R]:
    """Return the result of ``make`` for each item, computed by several processes that end with this one.

    A process gets ``at_once`` items at a time. ``make`` must be importable by name; what it raises is raised here
    too, and ends the other processes. ``doing`` is shown with the progress. Raises DataError if a process was killed.
    """
    processes = min(MOST_PROCESSES, usable_processors(), len(items))
    parts = [items[first : first + at_once] for first in range(0, len(items), at_once)]
    made: list[R] = []
    try:
        with share_done(f"{doing}: {len(items):,}", after_s=0.0) as show:
            show(0.0)
            if len(parts) == 1:  # sooner done than a process has begun
                return _each(make, items)
            with process_pool(processes) as pool:
                for future in [pool.submit(_each, make, part) for part in parts]:
                    made += future.result()
                    show(len(made) / len(items))
    except BrokenProcessPool as error:
        raise DataError(
            f"{doing}: one of {processes} processes was killed, maybe for lack of memory: free some and start again, "
            "finished work is kept"
        ) from error
    return made


def _each(make: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [make(item) for item in items]
