"""A model measured on labelled clips, step by step as it runs live, or two compared; and what it means, in words.

Sources of the comparison: the score interval (Wilson 1927, JASA 22:209); the test of two models on the same clips
(McNemar 1947, Psychometrika 12:153), exact as in Dietterich 1998 (Neural Computation 10:1895).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import comb, prod, sqrt
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError
from livesnn.events.slicer import Frame
from livesnn.infer.cost import costs, mean_density
from livesnn.infer.decide import Decider, FloatArray, probabilities
from livesnn.infer.model import Model
from livesnn.infer.run import run_frames
from livesnn.train.datasets.clips import Clips, Index

MISTAKES = 50  # Largest number of mistakes that are listed
TEMPERATURES = np.geomspace(1, 10, 101)
"""None is below 1: a model that has learned to doubt would lose that, and name gestures of people who stand idle."""
BINS = 15  # Bins of confidence, for the calibration error
SIGNIFICANT = 0.05  # p below which two models differ beyond chance
SHOWN = 5  # Confusions, mistakes and differing clips that are put in words
ONE_SIDED = 0.8  # Share of all decisions that one class of several shouldn't have
FAR = 2.0  # Ratio of events to those in training, either way, that makes a result doubtful


class Mistake(NamedTuple):
    """A clip that is decided wrongly with the state reset, and the model's confidence 0 to 1."""

    clip: str
    true: str
    decided: str
    confidence: float
    recording: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What `livesnn eval` prints. Accuracies are fractions 0 to 1.

    Clips are decided twice: each from zero state (``accuracy_reset``, ``accuracy_recordings``, ``confusion_reset``,
    ``mistakes``), and all as one shuffled stream that carries the state (everything else). Rows of a confusion matrix
    are true classes, columns decisions.
    """

    n: int  # clips
    accuracy_reset: float
    accuracy_carried: float
    recordings: int
    # One decision for each recording or video, by the mean rates of its clips; None where each clip is a recording
    accuracy_recordings: float | None
    accuracy_recordings_carried: float | None
    density: float  # spikes per neuron and step over all hidden neurons
    densities: dict[str, float]  # by layer
    synops_per_frame: float  # see `Costs`, as for the following two
    macs_per_frame: float
    energy_estimate_uj_per_frame: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusion_reset: tuple[tuple[int, ...], ...]
    calibration_error: float
    temperature: float  # that would suit these clips best
    mistakes: tuple[Mistake, ...]  # the `MISTAKES` most confident ones
    mean_count: float  # of a pixel
    saturated: float  # share of the pixels with events (in a video: of all) at the model's maximum count or above
    empty: float  # share of the frames that have nothing in them
    seconds: float


def evaluate(model: Model, clips: Clips, *, seed: int = 0) -> Evaluation:
    """Run each clip from zero state, then all clips as one stream in an order shuffled by ``seed``.

    Raises DataError if there are no clips, or they don't fit the model's classes or window.
    """
    card = model.card
    check_clips(card, clips)
    begun_s = time.perf_counter()
    stream = clips.shuffled(seed)
    reset = list(_decided(model, stream, "reset"))
    carried = list(_decided(model, stream, "carry"))
    truth = [clips.classes[label] for label in stream.labels]
    decided, decided_reset = (_index(each, clips.classes) for each in (carried, reset))
    density = np.mean([clip.density for clip in carried], axis=0)
    mean_count, saturated, empty, active = _count(clips, card.input)
    wrong = [
        Mistake(name, true, clip.decision, clip.confidence, recording)
        for name, recording, true, clip in zip(
            stream.names, stream.recordings or stream.names, truth, reset, strict=True
        )
        if clip.decision != true
    ]
    return Evaluation(
        n=len(clips),
        accuracy_reset=float(np.mean(decided_reset == stream.labels)),
        accuracy_carried=float(np.mean(decided == stream.labels)),
        recordings=count_recordings(stream),
        accuracy_recordings=accuracy_recordings(stream, np.array([clip.rates for clip in reset])),
        accuracy_recordings_carried=accuracy_recordings(stream, np.array([clip.rates for clip in carried])),
        density=mean_density(density, card),
        densities=dict(zip(card.states, density.tolist(), strict=False)),
        **costs(density, active, card),
        classes=clips.classes,
        confusion=confusion(stream.labels, decided, len(clips.classes)),
        confusion_reset=confusion(stream.labels, decided_reset, len(clips.classes)),
        calibration_error=calibration_error(
            [clip.confidence for clip in carried], (decided == stream.labels).tolist()
        ),
        temperature=fit_temperature([clip.rates for clip in carried], stream.labels, card),
        mistakes=tuple(sorted(wrong, key=lambda mistake: -mistake.confidence)[:MISTAKES]),
        mean_count=mean_count,
        saturated=saturated,
        empty=empty,
        seconds=time.perf_counter() - begun_s,
    )


def check_clips(card: ModelCard, clips: Clips) -> None:
    """Raise DataError if there are no clips, or they don't fit a model's classes or window."""
    if clips.classes != card.classes:
        raise DataError(
            f"the data set has the classes {clips.classes}, but the model knows {card.classes}: choose another"
        )
    if len(clips) == 0:
        raise DataError("no clips to measure on: choose another --split, or put recordings into that part")
    if clips.frames.shape[1] % card.input.window:
        raise DataError(
            f"clips of {clips.frames.shape[1]} frames aren't whole windows of {card.input.window}: make longer clips"
        )


class _Clip(NamedTuple):
    """The decision on a clip, never "nothing", its confidence, the mean rates [K] and density [hidden layers]."""

    decision: str
    confidence: float
    rates: npt.NDArray[np.float32]
    density: npt.NDArray[np.float32]


def _index(decided: list[_Clip], classes: tuple[str, ...]) -> Index:
    return np.array([classes.index(clip.decision) for clip in decided])


def _count(clips: Clips, spec: InputSpec) -> tuple[float, float, float, float]:
    """Return the mean count, the saturated and the empty share as in `Evaluation`, and a frame's values above 0."""
    total, active, full, empty = 0.0, 0, 0, 0
    for clip in clips.frames:
        total += float(clip.mean())
        active += int(np.count_nonzero(clip))
        full += int(np.count_nonzero(clip >= spec.count_max))
        empty += int(np.count_nonzero(~clip.any(axis=(1, 2, 3))))
    frames = len(clips) * clips.frames.shape[1]
    used = prod(clips.frames.shape) if spec.kind == "video" else active
    return total / len(clips), full / max(used, 1), empty / frames, active / frames


def _decided(model: Model, clips: Clips, state: Literal["carry", "reset"]) -> Iterator[_Clip]:
    """Yield the decision on each clip: of its windows' decisions the one with the highest rate over all windows.

    "reset" sets the state to zero at the beginning of each clip.
    """
    length, window = clips.frames.shape[1], model.card.input.window
    position = 0
    frames = (Frame(0, data, 0) for clip in clips.frames for data in clip)
    resets, decider = lambda: state == "reset" and position == 0, Decider(threshold=0.0, leak=0.0)
    densities, ends = [], []
    for result in run_frames(frames, model, reset_requested=resets, decider=decider):
        densities.append(result.density)
        position = (position + 1) % length
        if position % window == 0:
            ends.append(result)
        if position == 0:
            mean = np.mean([end.rates for end in ends], axis=0)
            rates = dict(zip(clips.classes, mean, strict=True))
            labels = [end.decision for end in ends if end.decision is not None]
            decision = max(labels, key=lambda label: rates[label])
            likely = probabilities(mean, model.card)
            confidence = float(likely[clips.classes.index(decision)])
            yield _Clip(decision, confidence, mean, np.mean(densities, axis=0))
            densities.clear()
            ends.clear()


def confusion(labels: Index, decided: Index, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return how often each true class (row) was decided as each class (column); labels are int64 [N]."""
    pairs = np.bincount(labels * classes + decided, minlength=classes**2)
    return tuple(map(tuple, pairs.reshape(classes, classes).tolist()))


def count_recordings(clips: Clips) -> int:
    """Return the number of recordings; where none are named, each clip is one."""
    return len(set(clips.recordings)) or len(clips)


def accuracy_recordings(clips: Clips, outputs: npt.NDArray[np.float32]) -> float | None:
    """Return the share of `recordings_right`; None where each clip is a recording."""
    right = recordings_right(clips, outputs)
    return None if right is None else float(np.mean(right))


def recordings_right(clips: Clips, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
    """Return for each recording whether its clips' outputs [N, K], summed, are highest for the true class.

    None where each clip is a recording.
    """
    if count_recordings(clips) == len(clips):
        return None
    _, first, owner = np.unique(clips.recordings, return_index=True, return_inverse=True)
    totals = np.zeros((len(first), outputs.shape[1]))
    np.add.at(totals, owner, outputs)
    return totals.argmax(1) == clips.labels[first]


def fit_temperature(rates: Sequence[FloatArray], labels: npt.NDArray[np.int64], card: ModelCard) -> float:
    """Return the temperature in `TEMPERATURES` under which the clips' ``rates`` [K] make their labels most likely.

    Source: temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", ICML).
    """
    losses = []
    for temperature in TEMPERATURES:
        with_it = replace(card, temperature=temperature)
        likely = np.stack([probabilities(each, with_it) for each in rates])
        losses.append(-np.mean(np.log(np.maximum(likely[np.arange(len(labels)), labels], 1e-12))))
    return float(round(TEMPERATURES[int(np.argmin(losses))], 4))


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Return the expected calibration error: the mean gap between confidence and accuracy (Guo et al. 2017)."""
    sure, correct = np.array(confidences), np.array(right, float)
    number = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(number, sure - correct, BINS))
    return float(gaps.sum() / len(sure))


def explain(measured: Evaluation, card: ModelCard, sensor: tuple[int, int] | None = None) -> Iterator[str]:
    """Yield lines for a person: each class, the confusions, the worst clips, and possible causes.

    ``sensor`` is the width and height of the camera that recorded the clips, if known.
    """
    confusion, names = np.array(measured.confusion), measured.classes
    yield "with the state carried:"
    for name, right, total in zip(names, confusion.diagonal(), confusion.sum(axis=1), strict=True):
        if total:
            yield f"  {name}: {right / total:.0%} of {total} clips"
    wrong = np.where(np.eye(len(names), dtype=bool), 0, confusion)
    for place in np.argsort(-wrong, axis=None, kind="stable")[:SHOWN]:
        true, decided = np.unravel_index(place, wrong.shape)
        if count := wrong[true, decided]:
            yield f"  {names[true]} decided as {names[decided]}: {count} times"
    for name, total in zip(names, confusion.sum(axis=0), strict=True):
        if total > ONE_SIDED * measured.n and len(names) > 2:
            yield f"nearly everything is decided as {name}: train longer"
    # The most confident mistake in each of a few recordings
    worst = {mistake.recording or mistake.clip: mistake for mistake in reversed(measured.mistakes)}
    if worst:
        yield "with the state reset, the most confident mistakes:"
    for mistake in sorted(worst.values(), key=lambda mistake: (-mistake.confidence, mistake.clip))[:SHOWN]:
        yield f"  {mistake.clip}: {mistake.decided} with {mistake.confidence:.0%}, but it is {mistake.true}"
    yield from doubts(measured, card)
    if sensor and (difference := card.on_another_sensor(*sensor)):
        yield f"{difference}. Train with --init on such recordings"


def doubts(measured: Evaluation, card: ModelCard) -> Iterator[str]:
    """Yield possible causes of a bad result in the data or the model."""
    yield f"a window is {card.input.window} frames of {card.input.slice}"
    if measured.empty > 0.05:
        yield f"{measured.empty:.0%} of the frames are empty: the recordings pause, or the frames are too short"
    if measured.saturated > 0.05 + FAR * (card.saturated or 0) and card.input.kind == "events":
        yield (
            f"{measured.saturated:.0%} of the pixels with events are at the model's {card.input.count_max} or above: "
            "the sensor is larger or faster than the model's, or frames are too long"
        )
    if card.mean_count and measured.mean_count:
        times = measured.mean_count / card.mean_count
        what = "brightness" if card.input.kind == "video" else "events"
        if not 1 / FAR < times < FAR:
            yield (
                f"a frame has {times:.2g} times the {what} of training, from another sensor, bias or light: "
                "train with --init on such recordings"
            )
    if measured.density < 0.005:
        yield f"the network hardly spikes (density {measured.density:.2%}): its input is weak, or it isn't trained"
    if measured.density > 0.4:
        yield f"the network spikes all the time (density {measured.density:.0%}): train with a higher --rate-weight"
    if measured.accuracy_carried < measured.accuracy_reset - 0.05:
        cost = measured.accuracy_reset - measured.accuracy_carried
        yield f"accuracy is {cost:.0%} lower with the state carried: train with a longer --burn-in, such as 20"


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
        [list(_decided(*each, state)) for each in zip(models, streams, strict=True)] for state in ("reset", "carry")
    )
    right = [_index(each, classes) == stream.labels for each in reset]
    whole = [recordings_right(stream, np.array([clip.rates for clip in each])) for each in reset]
    labels = [(label, stream.labels == label) for label in np.unique(stream.labels).tolist()]
    truth = [classes[label] for label in stream.labels]
    return ModelComparison(
        models=(first.name, second.name) if first.name != second.name else ("the first", "the second"),
        n=len(stream),
        reset=_paired(*right),
        carried=_paired(*(_index(each, classes) == stream.labels for each in carried)),
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
