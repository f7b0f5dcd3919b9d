"""A model on an uncut stream of known gestures, its state carried. Not here: labelled clips (evaluate.py)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from livesnn.errors import DataError
from livesnn.events.frames import frames
from livesnn.infer import Model
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.simulate.gestures import Segment
from livesnn.simulate.live import SimulatedPerson
from livesnn.simulate.motions import GESTURES, IDLE

MINUTE_US = 60_000_000
MOST_MINUTES = 1440


@dataclass(frozen=True)
class StreamEvaluation:
    """What `livesnn eval --stream` prints.

    A frame counts when the window that ends with it lies wholly within one gesture; its decision is right when it is
    that gesture's label, and none is wrong. Accuracies are fractions 0..1 of ``n`` such frames, of those of the first
    and those of the last minute. ``idle_decisions_a_minute``: windows with any decision while a person stands idle.
    """

    n: int
    accuracy: float
    accuracy_first_minute: float
    accuracy_last_minute: float
    recall: dict[str, float]
    idle_decisions_a_minute: float
    density: float
    minutes: float
    seconds: float


class _Judged(NamedTuple):
    """A frame that counts: its time, what is performed, whether the decision is that."""

    t: int
    gesture: str
    right: bool


def evaluate_stream(model: Model, minutes: float, seed: int = 0) -> StreamEvaluation:
    """Run ``minutes`` of one simulated person's gestures, then as many of another who stands idle.

    Raises
    ------
    DataError
        The model's classes are not the gestures, or the stream is too long, or so short that no frame counts.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise DataError(f"{minutes:g} minutes can't be measured: give a number above 0, up to {MOST_MINUTES}")
    if model.card.classes != GESTURES:
        raise DataError(f"the model's classes {model.card.classes} are not the gestures {GESTURES}")
    begun_s = time.perf_counter()
    duration_us = round(minutes * MINUTE_US)
    source = _person(seed, GESTURES, duration_us)
    judged, densities = [], []
    ends_us = deque([0], model.card.input.window + 1)  # of the window's frames, and of the one before them
    for result in _results(model, source):
        densities.append(result.density)
        ends_us.append(result.t)
        if (gesture := _performed(ends_us[0], result.t, source.segments)) is not None:
            judged.append(_Judged(result.t, gesture, result.decision == gesture))
    if not judged:
        raise DataError(
            f"{minutes:g} minutes are too short: no whole window lies within a gesture: give more minutes"
        )
    idle = _person(seed + 1, (IDLE,), duration_us)
    decided = sum(result.window_end and result.decision is not None for result in _results(model, idle))
    return StreamEvaluation(
        n=len(judged),
        accuracy=_share(judged),
        accuracy_first_minute=_share([frame for frame in judged if frame.t < MINUTE_US]),
        accuracy_last_minute=_share([frame for frame in judged if frame.t >= duration_us - MINUTE_US]),
        recall={name: _share([frame for frame in judged if frame.gesture == name]) for name in GESTURES},
        idle_decisions_a_minute=decided / minutes,
        density=mean_density(np.mean(densities, axis=0), model.card),
        minutes=minutes,
        seconds=time.perf_counter() - begun_s,
    )


def _person(seed: int, gestures: tuple[str, ...], duration_us: int) -> SimulatedPerson:
    return SimulatedPerson(seed, use="test", gestures=gestures, duration_us=duration_us, paced=False)


def _results(model: Model, source: SimulatedPerson) -> Iterator[Result]:
    return run(frames(source, model.card.input.slice, model.card.input), model)


def _performed(begun_us: int, ended_us: int, segments: list[Segment]) -> str | None:
    """Return the gesture of a whole window; None where it isn't one."""
    for segment in reversed(segments[-3:]):
        if segment.start_us <= begun_us and ended_us <= segment.end_us:
            return segment.gesture
    return None


def _share(judged: list[_Judged]) -> float:
    return float(np.mean([frame.right for frame in judged])) if judged else float("nan")
