"""Which clips are kept for validation: drawn by person, session or class, or as a model's card says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard, Split
from livesnn.errors import DataError
from livesnn.train.datasets.clips import Clips, Index, Parts
from livesnn.train.datasets.request import DataRequest, SplitName

ONE_SESSION = "a class has only one session, and validation has its last clips, so accuracy is too high: add sessions"


def requested_split(request: DataRequest, before: ModelCard | None) -> Split:
    """Return the split of a training: that of the model ``before`` it, or else one by fraction and seed."""
    split = Split(request.validation, request.seed, request.protocol, windows=request.windows)
    if before is None or before.split is None:
        return split
    return replace(before.split, protocol=split.protocol, windows=split.windows)


def split_clips(clips: Clips, request: DataRequest, before: ModelCard | None) -> Parts:
    """Return the parts of a training that follows the model ``before`` it, split by group."""
    split = draw_split(clips, requested_split(request, before), before.classes if before else ())
    training, validation = split_by_group(clips, split)
    return Parts(training, validation, split=split)


def draw_split(clips: Clips, split: Split, known: Sequence[str] = ()) -> Split:
    """Return a split that names the groups it keeps for validation, or clips where a class has one group.

    A split that names some already is only extended for classes that a model to start from doesn't know: it may have
    been trained on any other group or clip of its ``known`` classes.
    """
    named = bool(split.groups or split.clips)
    if named and not known:
        return split
    old = np.array([named and clips.classes[label] in known for label in clips.labels.tolist()], bool)
    fresh = np.flatnonzero(~np.isin(clips.groups, np.array(clips.groups)[old]))
    free = [clips.groups[i] for i in fresh]
    groups = split.groups + validation_groups(free, clips.labels[fresh], split.fraction, split.seed)
    kept = np.isin(clips.groups, groups) | np.isin(clips.names, split.clips)
    last = last_clips(clips.groups, clips.labels, split.fraction)
    last &= ~old & ~np.isin(clips.labels, clips.labels[kept])
    ends = split.clips + tuple(clips.names[i] for i in np.flatnonzero(last))
    return replace(split, groups=tuple(sorted(set(groups))), clips=ends)


def split_by_group(clips: Clips, split: Split) -> tuple[Clips, Clips]:
    """Return (training, validation); the `skipped` of validation names what the split keeps and isn't there."""
    split = draw_split(clips, split)
    held_out = np.isin(clips.groups, split.groups) | np.isin(clips.names, split.clips)
    absent = sorted({*split.groups} - {*clips.groups} | {*split.clips} - {*clips.names})
    lines = tuple(f"{name}: it was kept for validation, but is missing" for name in absent)
    validation = clips.subset(np.flatnonzero(held_out))
    return clips.subset(np.flatnonzero(~held_out)), replace(validation, skipped=lines + validation.skipped)


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


def side_by_class(card: ModelCard, labels: Index, split: SplitName, what: str = "recordings") -> Index:
    """Return the indices of what a model's split kept or left; raises DataError if that isn't known any more."""
    if card.split is None:
        raise DataError(f"the card of {card.name} doesn't say which {what} were kept: add --split test")
    _check_drawn_from(card.split, len(labels), "add --split test")
    train, validation = stratified_split(labels, card.split.fraction, card.split.seed)
    return validation if split == "validation" else train


MEASURED = 1000
"""Largest number of images or digits for validation, where more cost minutes in every epoch, and hardly change which
one is best."""


def few_for_validation(index: Index) -> Index:
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
