"""A model on an uncut stream of known gestures, its state carried. Not here: labelled clips (evaluate.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from livesnn.errors import DataError
from livesnn.events import Closing, Events, Resolution, SourceCounters
from livesnn.events.frames import frames
from livesnn.infer import Model
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.simulate.gestures import RESOLUTION, Segment, gesture_stream
from livesnn.simulate.motions import GESTURES, IDLE

MINUTE_US = 60_000_000


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


class SimulatedStream(Closing):
    """The start of a `gesture_stream` as an EventSource that remembers what was performed when."""

    def __init__(self, seed: int, duration_us: int, gestures: tuple[str, ...] = GESTURES) -> None:
        self.resolution: Resolution = RESOLUTION
        self.counters = SourceCounters()
        self.segments: list[Segment] = []
        self._stream = gesture_stream(seed, use="test", gestures=gestures)
        self._duration_us = duration_us

    def __iter__(self) -> Iterator[Events]:
        """Yield packets, as fast as they are made."""
        for take in self._stream:
            if self.segments[-1:] != [take.segment]:
                self.segments.append(take.segment)
            self.counters.events += take.events.size
            yield take.events
            if take.end_us >= self._duration_us:
                return

    def close(self) -> None:
        """Nothing is held."""


def evaluate_stream(model: Model, minutes: float, seed: int = 0) -> StreamEvaluation:
    """Run ``minutes`` of one simulated person's gestures, then as many of another who stands idle.

    Raises
    ------
    DataError
        The model's classes are not the gestures.
    """
    if model.card.classes != GESTURES:
        raise DataError(f"the model's classes {model.card.classes} are not the gestures {GESTURES}")
    begun_s = time.perf_counter()
    duration_us = round(minutes * MINUTE_US)
    source = SimulatedStream(seed, duration_us)
    judged, densities = [], []
    for result in _results(model, source):
        densities.append(result.density)
        if (gesture := _performed(result, source.segments, model)) is not None:
            judged.append(_Judged(result.t, gesture, result.decision == gesture))
    idle = SimulatedStream(seed + 1, duration_us, (IDLE,))
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


def _results(model: Model, source: SimulatedStream) -> Iterator[Result]:
    return run(frames(source, model.card.input.slice, model.card.input), model)


def _performed(result: Result, segments: list[Segment], model: Model) -> str | None:
    """Return the gesture of the whole window that ends with a result; None where it isn't one, or there is none."""
    spec = model.card.input
    begun_us = result.t - spec.window * (spec.slice.delta_t_us or 0)
    for segment in reversed(segments[-3:]):
        if segment.start_us <= begun_us and result.t <= segment.end_us:
            return segment.gesture
    return None


def _share(judged: list[_Judged]) -> float:
    return float(np.mean([frame.right for frame in judged])) if judged else float("nan")
