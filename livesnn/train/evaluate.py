"""A model measured on labelled clips, step by step as it runs live, and what that means, in words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
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
    reset = list(decided_clips(model, stream, "reset"))
    carried = list(decided_clips(model, stream, "carry"))
    truth = [clips.classes[label] for label in stream.labels]
    decided, decided_reset = (decided_labels(each, clips.classes) for each in (carried, reset))
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


def decided_labels(decided: list[_Clip], classes: tuple[str, ...]) -> Index:
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


def decided_clips(model: Model, clips: Clips, state: Literal["carry", "reset"]) -> Iterator[_Clip]:
    """Yield the decision on each clip: of its windows' decisions the one with the highest rate over all windows.

    "reset" sets the state to zero at the beginning of each clip.
    """
    length, window = clips.frames.shape[1], model.card.input.window
    position = 0
    frames = (
        Frame(0, data, 0, start=state == "reset" and number == 0)
        for clip in clips.frames
        for number, data in enumerate(clip)
    )
    densities, ends = [], []
    for result in run_frames(frames, model, decider=Decider(threshold=0.0, leak=0.0)):
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
