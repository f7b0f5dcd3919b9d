"""evaluate: a model on labelled clips, the way it runs live: step by step, state reset and state carried (SPEC)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.errors import DataError
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider, probabilities
from livesnn.infer.model import Model
from livesnn.infer.operations import costs, mean_density
from livesnn.infer.run import run_frames
from livesnn.train.calibrate import calibration_error, fit_temperature
from livesnn.train.datasets.clips import Clips, Index
from livesnn.train.scores import accuracy_recordings, confusion, count_recordings

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
    results = run_frames(
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
