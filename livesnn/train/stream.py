"""A model on uncut streams of known gestures, its state carried. Not here: labelled clips (evaluate.py)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.frames import frames
from livesnn.infer import Model
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density
from livesnn.simulate.gestures import Segment
from livesnn.train.datasets import Uncut

MINUTE_US = 60_000_000


@dataclass(frozen=True)
class StreamEvaluation:
    """What `livesnn eval --stream` prints.

    A frame counts when the window that ends with it lies wholly within one gesture; its decision is right when it is
    that gesture's label, and none is wrong. Accuracies are fractions 0..1 of ``n`` such frames, of those of the first
    and those of the last minute. ``idle_decisions_a_minute``: windows with any decision while nothing is performed,
    a minute of such windows; nan where there are none. ``minutes``: from the start to the last frame that counts.
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
    """A frame that counts: its time in all that is played, what is performed (None: nothing), whether it is right.

    ``span_us``: how long its window lasts. ``density``: of each hidden layer.
    """

    t: int
    gesture: str | None
    right: bool
    span_us: int
    density: npt.NDArray[np.float32]


def evaluate_stream(model: Model, streams: Iterable[Uncut]) -> StreamEvaluation:
    """Run streams one after the other, each from zero state.

    Raises
    ------
    DataError
        So little is played that no frame counts.
    """
    begun_s = time.perf_counter()
    judged: list[_Judged] = []
    played_us = 0
    for stream in streams:
        for frame in _judge(model, stream):
            judged.append(frame._replace(t=played_us + frame.t))
        played_us = judged[-1].t if judged else 0
    performed = [frame for frame in judged if frame.gesture is not None]
    if not performed:
        raise DataError("no whole window lies within a gesture: give --stream more minutes")
    idle = [frame for frame in judged if frame.gesture is None]
    idle_us = sum(frame.span_us for frame in idle)
    last_us = performed[-1].t
    gestures = [name for name in model.card.classes if any(frame.gesture == name for frame in performed)]
    return StreamEvaluation(
        n=len(performed),
        accuracy=_share(performed),
        accuracy_first_minute=_share([frame for frame in performed if frame.t < MINUTE_US]),
        accuracy_last_minute=_share([frame for frame in performed if frame.t >= last_us - MINUTE_US]),
        recall={name: _share([frame for frame in performed if frame.gesture == name]) for name in gestures},
        idle_decisions_a_minute=_wrong(idle) * MINUTE_US / idle_us if idle_us else float("nan"),
        density=mean_density(np.mean([frame.density for frame in performed], axis=0), model.card),
        minutes=last_us / MINUTE_US,
        seconds=time.perf_counter() - begun_s,
    )


def _judge(model: Model, stream: Uncut) -> Iterator[_Judged]:
    """Yield the frames that count: whose windows lie in one gesture, and windows in which nothing is performed."""
    card = model.card
    begun_us: int | None = None
    ends_us: deque[int] = deque(
        maxlen=card.input.window + 1
    )  # of the window's frames, and of the one before them
    for result in run(frames(stream.source, card.input.slice, card.input), model):
        if begun_us is None:
            begun_us = result.t - (card.input.slice.delta_t_us or 0)
            ends_us.append(begun_us)
        ends_us.append(result.t)
        if result.reset:
            ends_us = deque([ends_us[-2]], ends_us.maxlen)
            ends_us.append(result.t)
        full = len(ends_us) == ends_us.maxlen
        frame = _judged(result, ends_us[0], stream) if full else None
        if frame is not None:
            yield frame._replace(t=result.t - begun_us)


def _judged(result: Result, begun_us: int, stream: Uncut) -> _Judged | None:
    """Return a frame whose window began then, where it counts."""
    span_us, density = result.t - begun_us, result.density
    gesture = _performed(begun_us, result.t, stream.segments)
    if gesture is not None:
        return _Judged(result.t, gesture, result.decision == gesture, span_us, density)
    idle = stream.rests and not any(
        segment.start_us < result.t and begun_us < segment.end_us for segment in stream.segments
    )
    if idle and result.window_end:
        return _Judged(result.t, None, result.decision is None, span_us, density)
    return None


def _performed(begun_us: int, ended_us: int, segments: Sequence[Segment]) -> str | None:
    """Return the gesture of a whole window; None where it isn't one."""
    for segment in reversed(segments):
        if segment.start_us <= begun_us and ended_us <= segment.end_us:
            return segment.gesture
    return None


def _share(judged: list[_Judged]) -> float:
    return float(np.mean([frame.right for frame in judged])) if judged else float("nan")


def _wrong(judged: list[_Judged]) -> int:
    return sum(not frame.right for frame in judged)
