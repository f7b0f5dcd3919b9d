"""evaluate: a model on labelled clips, the way it runs live: step by step, state reset and state carried (SPEC)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider, FloatArray, probabilities
from livesnn.infer.model import Model
from livesnn.infer.operations import costs, mean_density
from livesnn.infer.run import run
from livesnn.train.datasets.clips import Clips, Index
from livesnn.train.evaluate_stream import StreamEvaluation

MISTAKES = 50
"""Most that are listed."""


class Mistake(NamedTuple):
    """A clip of a recording decided wrongly with the state reset, and how sure of it the model was, 0..1."""

    clip: str
    true: str
    decided: str
    confidence: float
    recording: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What `livesnn eval` prints. Accuracies are fractions 0..1 over ``n`` clips.

    ``accuracy_recordings``: one decision a recording or video, by the mean rates of its clips, each from zero state;
    None where each clip is a recording of its own. ``density``: spikes a neuron a step over all hidden neurons, in
    the carried run; ``densities``: by layer; ``synops_per_frame`` and the two behind it: see `Costs`. ``confusion``:
    rows are true classes, columns decisions, of the carried run; ``confusion_reset``: of the other.
    ``calibration_error``: between confidence and accuracy, 0..1, and the ``temperature`` that would suit these clips;
    both of the carried run. ``mistakes``: the surest `MISTAKES` of the other. ``mean_count``: of a pixel;
    ``saturated``: the share of pixels with events (of video: of all) at the model's maximum count or above;
    ``empty``: of frames with nothing in them.
    """

    n: int
    accuracy_reset: float
    accuracy_carried: float
    recordings: int
    accuracy_recordings: float | None
    density: float
    densities: dict[str, float]
    synops_per_frame: float
    macs_per_frame: float
    energy_estimate_uj_per_frame: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    confusion_reset: tuple[tuple[int, ...], ...]
    calibration_error: float
    temperature: float
    mistakes: tuple[Mistake, ...]
    mean_count: float
    saturated: float
    empty: float
    seconds: float


def evaluate(model: Model, clips: Clips, *, seed: int = 0) -> Evaluation:
    """Run each clip from zero state, then all of them in an order shuffled by ``seed`` as one stream.

    Raises
    ------
    DataError
        The clips' classes are not the model's.
    """
    card = model.card
    _check(card, clips)
    begun_s = time.perf_counter()
    stream = clips.shuffled(seed)
    reset = list(_decided(model, stream, "reset"))
    carried = list(_decided(model, stream, "carry"))
    truth = [clips.classes[label] for label in stream.labels]
    decided, decided_reset = (_index(each, clips.classes) for each in (carried, reset))
    density = np.mean([clip.density for clip in carried], axis=0)
    counts, active = _counts(clips, card.input)
    return Evaluation(
        n=len(clips),
        accuracy_reset=float(np.mean(decided_reset == stream.labels)),
        accuracy_carried=float(np.mean(decided == stream.labels)),
        recordings=count_recordings(stream),
        accuracy_recordings=accuracy_recordings(stream, np.array([clip.rates for clip in reset])),
        density=mean_density(density, card),
        densities=dict(zip(card.states, density.tolist(), strict=False)),
        **costs(density, active, card),
        classes=clips.classes,
        confusion=confusion(stream.labels, decided, len(clips.classes)),
        confusion_reset=confusion(stream.labels, decided_reset, len(clips.classes)),
        calibration_error=calibration_error(
            [clip.confidence for clip in carried],
            (decided == stream.labels).tolist(),
        ),
        temperature=fit_temperature([clip.rates for clip in carried], stream.labels, card),
        mistakes=_mistakes(stream, reset, truth),
        **counts,
        seconds=time.perf_counter() - begun_s,
    )


def _check(card: ModelCard, clips: Clips) -> None:
    if clips.classes != card.classes:
        raise DataError(f"the data set's classes {clips.classes} are not the model's {card.classes}")
    if len(clips) == 0:
        raise DataError("no clips to measure on: choose another split")
    if clips.frames.shape[1] % card.input.window:
        raise DataError(
            f"clips of {clips.frames.shape[1]} frames are not whole windows of the model's {card.input.window}"
        )


class _Clip(NamedTuple):
    """What was decided on a clip, never "nothing", and how surely; its mean rates [K] and density [hidden layers]."""

    decision: str
    confidence: float
    rates: npt.NDArray[np.float32]
    density: npt.NDArray[np.float32]


def _index(decided: list[_Clip], classes: tuple[str, ...]) -> Index:
    return np.array([classes.index(clip.decision) for clip in decided])


def _mistakes(stream: Clips, decided: list[_Clip], truth: list[str]) -> tuple[Mistake, ...]:
    recordings = stream.recordings or stream.names
    wrong = [
        Mistake(name, true, clip.decision, clip.confidence, recording)
        for name, recording, true, clip in zip(stream.names, recordings, truth, decided, strict=True)
        if clip.decision != true
    ]
    return tuple(sorted(wrong, key=lambda mistake: -mistake.confidence)[:MISTAKES])


class _Counts(TypedDict):
    mean_count: float
    saturated: float
    empty: float


def _counts(clips: Clips, spec: InputSpec) -> tuple[_Counts, float]:
    """Return these, and the mean number of a frame's values that aren't 0."""
    total, active, full, empty = 0.0, 0, 0, 0
    for clip in clips.frames:
        total += float(clip.mean())
        active += int(np.count_nonzero(clip))
        full += int(np.count_nonzero(clip >= spec.count_max))
        empty += int(np.count_nonzero(~clip.any(axis=(1, 2, 3))))
    frames = len(clips) * clips.frames.shape[1]
    used = prod(clips.frames.shape) if spec.kind == "video" else active
    counts: _Counts = {
        "mean_count": total / len(clips), "saturated": full / max(used, 1), "empty": empty / frames,
    }  # fmt: skip
    return counts, active / frames


def _decided(model: Model, clips: Clips, state: Literal["carry", "reset"]) -> Iterator[_Clip]:
    """Yield each clip's decision: of its windows' labels the one with the highest rate over all of them.

    "reset" zeroes the state at the beginning of each clip.
    """
    length, window = clips.frames.shape[1], model.card.input.window
    position = 0
    frames = (Frame(0, data, 0) for clip in clips.frames for data in clip)
    results = run(
        frames,
        model,
        reset_requested=lambda: state == "reset" and position == 0,
        decider=Decider(threshold=0.0),
    )
    densities, ends = [], []
    for result in results:
        densities.append(result.density)
        position = (position + 1) % length
        if position % window == 0:
            ends.append(result)
        if position == 0:
            mean = np.mean([end.rates for end in ends], axis=0)
            rates = dict(zip(clips.classes, mean, strict=True))
            labels = [end.decision for end in ends if end.decision is not None]
            decision = max(labels, key=lambda label: rates[label])
            likely = probabilities(mean, model.card, temperature=model.card.temperature)
            confidence = float(likely[clips.classes.index(decision)])
            yield _Clip(decision, confidence, mean, np.mean(densities, axis=0))
            densities.clear()
            ends.clear()


def confusion(labels: Index, decided: Index, classes: int) -> tuple[tuple[int, ...], ...]:
    """Return how often each class, a row, was decided to be which, a column; of indices of classes, int64 [N]."""
    pairs = np.bincount(labels * classes + decided, minlength=classes**2)
    return tuple(map(tuple, pairs.reshape(classes, classes).tolist()))


def count_recordings(clips: Clips) -> int:
    """Return how many recordings the clips are of: where none are named, each is one."""
    return len(set(clips.recordings)) or len(clips)


def accuracy_recordings(clips: Clips, outputs: npt.NDArray[np.float32]) -> float | None:
    """Return the share of recordings whose clips' outputs, [N, K], together are highest for the true class.

    None where each clip is a recording.
    """
    if count_recordings(clips) == len(clips):
        return None
    _, first, owner = np.unique(clips.recordings, return_index=True, return_inverse=True)
    totals = np.zeros((len(first), outputs.shape[1]))
    np.add.at(totals, owner, outputs)
    return float(np.mean(totals.argmax(1) == clips.labels[first]))


TEMPERATURES = np.geomspace(1, 10, 101)
"""None below 1: a model that was taught doubt would lose it, and name gestures of people who stand idle."""
BINS = 15


def fit_temperature(rates: Sequence[FloatArray], labels: npt.NDArray[np.int64], card: ModelCard) -> float:
    """Return the temperature of `TEMPERATURES` under which clips' ``rates`` [K] make their labels likeliest.

    Source: temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", ICML).
    """
    losses = [
        -np.mean(np.log(np.maximum(_of_labels(rates, labels, card, temperature), 1e-12)))
        for temperature in TEMPERATURES
    ]
    return float(round(TEMPERATURES[int(np.argmin(losses))], 4))


def calibration_error(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """Return the mean distance between confidence and accuracy over bins of confidence (ECE; Guo et al. 2017)."""
    sure, correct = np.array(confidences), np.array(right, float)
    number = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.abs(np.bincount(number, sure - correct, BINS))
    return float(gaps.sum() / len(sure))


def _of_labels(
    rates: Sequence[FloatArray], labels: npt.NDArray[np.int64], card: ModelCard, temperature: float
) -> npt.NDArray[np.float32]:
    likely = np.stack([probabilities(each, card, temperature=temperature) for each in rates])
    return likely[np.arange(len(labels)), labels]


SHOWN = 5
ONE_SIDED = 0.8
"""Share of all decisions that one class of several shouldn't have."""
FAR = 2.0
"""Times more or fewer events than in training that make a model doubtful."""


def explain(measured: Evaluation, card: ModelCard, sensor: tuple[int, int] | None = None) -> Iterator[str]:
    """Yield lines for a person: each class, what is taken for what, the worst clips, and what may be the cause.

    ``sensor``: width and height of the camera of the data measured on, where it is known.
    """
    yield from _classes(measured)
    yield from _confusions(measured)
    yield from _favourite(measured)
    yield from _worst(measured)
    yield from doubts(measured, card)
    if sensor and (said := card.on_another_sensor(*sensor)):
        yield f"{said}; train with --init on such recordings"


def doubts(measured: Evaluation, card: ModelCard) -> Iterator[str]:
    """Yield what of the data or the model may be the cause of a bad result."""
    rule, window = card.input.slice, card.input.window
    long = f"{rule.delta_t_us / 1000:g} ms" if rule.delta_t_us else f"{rule.n_events} events"
    yield f"a window is {window} frames of {long}"
    if measured.empty > 0.05:
        yield f"{measured.empty:.0%} of the frames are empty: recordings that pause, or frames too short for them"
    if measured.saturated > 0.05 + FAR * (card.saturated or 0) and card.input.kind == "events":
        yield (
            f"{measured.saturated:.0%} of the pixels with events are at the model's {card.input.count_max} or above: "
            "the sensor is larger or faster than the model's, or frames are too long"
        )
    if card.mean_count and measured.mean_count:
        times = measured.mean_count / card.mean_count
        what = "light" if card.input.kind == "video" else "events"
        if not 1 / FAR < times < FAR:
            yield (
                f"a frame has {times:.2g} times the {what} of those in training: another sensor, bias or light; "
                "train with --init on such recordings"
            )
    if measured.density < 0.005:
        yield f"the network hardly fires (density {measured.density:.2%}): its input is too weak, or it hasn't learnt"
    if measured.density > 0.4:
        yield f"the network fires all the time (density {measured.density:.0%}): --rate-weight was too low"
    if measured.accuracy_carried < measured.accuracy_reset - 0.05:
        cost = measured.accuracy_reset - measured.accuracy_carried
        yield f"carrying the state costs {cost:.0%}: train with --burn-in 20"


def _classes(measured: Evaluation) -> Iterator[str]:
    for name, row in zip(measured.classes, measured.confusion, strict=True):
        if sum(row):
            share = row[measured.classes.index(name)] / sum(row)
            yield f"{name}: {share:.0%} of {sum(row)} clips"


def _favourite(measured: Evaluation) -> Iterator[str]:
    """Say so when nearly everything is taken for one class."""
    for name, decided in zip(measured.classes, zip(*measured.confusion, strict=True), strict=True):
        if sum(decided) > ONE_SIDED * measured.n and len(measured.classes) > 2:
            yield f"nearly everything is taken for {name}: the model has learnt little else; train longer"


def _confusions(measured: Evaluation) -> Iterator[str]:
    pairs = Counter({
        (true, decided): count
        for true, row in zip(measured.classes, measured.confusion, strict=True)
        for decided, count in zip(measured.classes, row, strict=True)
        if true != decided and count
    })  # fmt: skip
    for (true, decided), count in pairs.most_common(SHOWN):
        yield f"{true} taken for {decided}: {count} times"


def _worst(measured: Evaluation) -> Iterator[str]:
    """Yield the worst clip of each of a few recordings."""
    worst = {mistake.recording or mistake.clip: mistake for mistake in reversed(measured.mistakes)}
    for mistake in sorted(worst.values(), key=lambda mistake: (-mistake.confidence, mistake.clip))[:SHOWN]:
        yield f"{mistake.clip}: {mistake.decided} with {mistake.confidence:.0%}, but it is {mistake.true}"


def describe_stream(measured: StreamEvaluation) -> Iterator[str]:
    """Yield what was measured that isn't one number, in words."""
    late = measured.latency_ms
    yield (
        f"decided right {late['p50']:.0f} ms after the change to a gesture was complete (median of "
        f"{late['n']:.0f}; 90 %: {late['p90']:.0f} ms; never: {late['missed']:.1%})"
    )
    after = [f"{share:.0%} {ms} ms" for ms, share in measured.accuracy_after_ms.items()]
    yield f"right so long after the onset: {', '.join(after)}"
    rates = measured.false_decisions_a_minute.items()
    false = [f"{name} {'– (too short)' if np.isnan(rate) else f'{rate:.1f}'}" for name, rate in rates]
    yield f"false decisions a minute: {', '.join(false)}"
    if measured.unmeasured:
        short = ", ".join(f"{count} of {name}" for name, count in measured.unmeasured.items())
        yield f"no frame counts of these gestures, shorter than a window, cut off or without events: {short}"
    yield from measured.warnings
    yield "right by class: " + ", ".join(f"{name} {share:.0%}" for name, share in measured.recall.items())
