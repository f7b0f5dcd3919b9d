"""Two models measured on the same clips, and whether they differ beyond chance.

Sources: the score interval (Wilson 1927, JASA 22:209); the test of two models on the same clips (McNemar 1947,
Psychometrika 12:153), exact as in Dietterich 1998 (Neural Computation 10:1895).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.infer.model import Model
from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import SHOWN, check_clips, decided_clips, decided_labels, recordings_right

SIGNIFICANT = 0.05  # p below which two models differ beyond chance


@dataclass(frozen=True)
class Share:
    """A fraction 0 to 1, and the limits of its 95 % score interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """Two models on the same ``n`` clips or recordings."""

    n: int
    accuracy: tuple[Share, Share]
    only_right: tuple[int, int]  # Number on which only the first is right, and only the second
    p: float  # Two-sided, of McNemar's exact test


@dataclass(frozen=True)
class Differing:
    """A clip on which two models decide differently, with the state reset."""

    clip: str
    true: str
    decided: tuple[str, str]


@dataclass(frozen=True)
class ModelComparison:
    """What `livesnn eval --compare` prints."""

    models: tuple[str, str]
    n: int  # clips
    reset: Paired
    carried: Paired
    # By the mean rates of a recording's clips, each from zero state; None where each clip is a recording
    by_recording: Paired | None
    by_class: dict[str, Paired]  # with the state reset
    differing: tuple[Differing, ...]


def compare(models: tuple[Model, Model], clips: tuple[Clips, Clips], *, seed: int = 0) -> ModelComparison:
    """Measure two models on the clips that both sets have, by name, as `evaluate` does with one.

    ``clips`` are the same recordings, each as its model reads them. Raises DataError if there are no common clips, or
    they don't fit a model.
    """
    first, second = (model.card for model in models)
    if first.classes != second.classes:
        raise DataError(f"{first.name} and {second.name} know different classes: compare models of the same ones")
    if (first.input.slice, first.input.window) != (second.input.slice, second.input.window):
        raise DataError(f"{first.name} and {second.name} have frames of different lengths: their clips differ")
    places = [{name: place for place, name in enumerate(each.names)} for each in clips]
    common = [name for name in places[0] if name in places[1]]
    if not common:
        raise DataError("no clip was kept out of both models' training: compare them on the test part")
    streams = [
        each.subset(np.array([place[name] for name in common])).shuffled(seed)
        for each, place in zip(clips, places, strict=True)
    ]
    for card, stream in zip((first, second), streams, strict=True):
        check_clips(card, stream)
    stream, classes = streams[0], first.classes
    reset, carried = (
        [list(decided_clips(*each, state)) for each in zip(models, streams, strict=True)]
        for state in ("reset", "carry")
    )
    right = [decided_labels(each, classes) == stream.labels for each in reset]
    whole = [recordings_right(stream, np.array([clip.rates for clip in each])) for each in reset]
    labels = [(label, stream.labels == label) for label in np.unique(stream.labels).tolist()]
    truth = [classes[label] for label in stream.labels]
    return ModelComparison(
        models=(first.name, second.name) if first.name != second.name else ("the first", "the second"),
        n=len(stream),
        reset=_paired(*right),
        carried=_paired(*(decided_labels(each, classes) == stream.labels for each in carried)),
        by_recording=None if whole[0] is None or whole[1] is None else _paired(whole[0], whole[1]),
        by_class={classes[label]: _paired(*(each[of_class] for each in right)) for label, of_class in labels},
        differing=tuple(
            Differing(name, true, (one.decision, other.decision))
            for name, true, one, other in zip(stream.names, truth, *reset, strict=True)
            if one.decision != other.decision
        ),
    )


def _paired(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> Paired:
    only = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    accuracy = score_interval(int(first.sum()), len(first)), score_interval(int(second.sum()), len(first))
    return Paired(len(first), accuracy, only, mcnemar(*only))


def score_interval(right: int, n: int) -> Share:
    """Return a share of ``n`` > 0 with Wilson's 95 % interval."""
    z, share = 1.959964, right / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At 0 and 1 a limit is the share itself, but for rounding
    return Share(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the probability of numbers at least as unequal if each such clip were either model's with 1/2."""
    n = only_first + only_second
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(only_first, only_second) + 1)) / 2**n)


def describe_comparison(compared: ModelComparison) -> Iterator[str]:
    """Yield lines for a person: accuracies, whether they differ beyond chance, each class, and some of the clips."""
    first, second = compared.models
    ways = {"with the state reset": compared.reset, "with the state carried": compared.carried}
    if compared.by_recording is not None:
        ways["of whole recordings, by their clips' mean rates"] = compared.by_recording
    for way, paired in ways.items():
        yield f"accuracy {way} (n = {paired.n:,}; 95 % interval):"
        for name, share in zip(compared.models, paired.accuracy, strict=True):
            yield f"  {name}: {share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
        better = compared.models[paired.only_right[1] > paired.only_right[0]]
        verdict = f"{better} is better" if paired.p < SIGNIFICANT else "the difference is within chance"
        one, other = paired.only_right
        yield f"  only {first} is right on {one:,}, only {second} on {other:,}: p = {paired.p:.2g}, {verdict}"
    if compared.by_recording is not None:
        yield "clips of one recording are alike: judge by the recordings"
    yield "with the state reset:"
    for name, paired in compared.by_class.items():
        shares = [f"{share.value:.0%}" for share in paired.accuracy]
        yield f"  {name}: {first} {shares[0]}, {second} {shares[1]} of {paired.n:,} clips, p = {paired.p:.2g}"
    such = ", such as" * (len(compared.differing) > SHOWN)
    yield f"the models decide differently on {len(compared.differing):,} of {compared.n:,} clips{such}"
    for clip in compared.differing[:SHOWN]:
        yield f"  {clip.clip}: {clip.decided[0]} and {clip.decided[1]}, but it is {clip.true}"
