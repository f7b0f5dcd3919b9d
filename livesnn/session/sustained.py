"""What the window is measured by while events come at a given rate, and what comes of it. Plain values; no Qt.

Not here: the window (app/measured.py), the rates (bench/sustained.py).
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.slicer import Frame
from livesnn.infer.decide import Percentiles
from livesnn.infer.model import Engine, Model, State

KEPT_PACE = 0.99
"""Part of the rate asked for that has to come, and to be decided on, but for `PENDING_FRAMES`."""

PENDING_FRAMES = 2
"""That may be on their way when a measurement ends: one that fills, one that is stepped."""


@dataclass(frozen=True)
class Order:
    """What to measure.

    Attributes
    ----------
    events
        A .npy file: EVENTS_DTYPE, which lasts ``duration_us`` and is repeated.
    resolution
        Width and height of the sensor.
    events_per_s
        How many come; all of them inside the model's crop.
    model, engine, threads
        As for `load_model`.
    warm_up_s, seconds
        How long the window plays before it is measured, and while.
    cores
        Logical processors to run on, where the system lets a process choose.
    """

    events: str
    duration_us: int
    resolution: tuple[int, int]
    events_per_s: float
    model: str
    engine: Engine
    threads: int | None
    warm_up_s: float
    seconds: float
    cores: int


@dataclass(frozen=True)
class Measured:
    """What came of it, in the ``seconds`` that were measured; None, or nan, where there was nothing to measure.

    Attributes
    ----------
    sustained
        Nothing was dropped, and all that was asked for came and was decided on (`KEPT_PACE`).
    cores
        On which it ran; None: unknown.
    dropped, dropped_in_warm_up
        Events, while it was measured and before.
    step_ms
        Of the network alone.
    latency_ms
        From the arrival of a frame's last packet to the end of its step.
    engine_steps
        Steps of each engine, the warm-up's too.
    density
        Of the last `statistics.LAST_RESULTS` frames.
    """

    sustained: bool
    asked_events_per_s: float
    events_per_s: float
    decided_events_per_s: float
    frames_per_s: float
    dropped: int
    dropped_in_warm_up: int
    step_ms: dict[str, float | None]
    step_p99_to_p50: float | None
    latency_ms: dict[str, float | None]
    pictures_per_s: float
    density: float | None
    engine_steps: dict[str, int]
    cores: int | None
    seconds: float


class Timed:
    """A Model (`livesnn.infer.Model`) that notes each step of another: which engine ran it, when, on what."""

    def __init__(self, model: Model) -> None:
        self.card = model.card
        self.engines: Counter[str] = Counter()
        self._model = model
        self._notes = array("d")  # not a list of tuples: nothing for the garbage collector to go through

    @property
    def engine(self) -> str:
        """What ran the last step."""
        return self._model.engine

    def initial_state(self) -> State:
        """Return the all-zero state."""
        return self._model.initial_state()

    def step(self, frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
        """Step the other."""
        begun_s = time.perf_counter()
        stepped = self._model.step(frame, state)
        self._notes.extend((frame.arrived_s, begun_s, time.perf_counter(), frame.n_events))
        self.engines[self._model.engine] += 1
        return stepped

    def steps(self, from_s: float, to_s: float) -> npt.NDArray[np.float64]:
        """Return those that ended in this time, [N, 4]: the frame's arrival, beginning and end, s; its events."""
        notes = np.array(self._notes).reshape(-1, 4)
        return notes[(notes[:, 2] >= from_s) & (notes[:, 2] < to_s)]


class Look(NamedTuple):
    """What had come, been dropped and been shown by then."""

    at_s: float
    events: int
    dropped: int
    pictures: int
    density: float


def sum_up(order: Order, model: Timed, first: Look, last: Look, cores: int | None) -> Measured:
    """Return what happened between two looks."""
    seconds = last.at_s - first.at_s
    arrived_s, begun_s, ended_s, events = model.steps(first.at_s, last.at_s).T
    step_ms = Percentiles.of(1e3 * (ended_s - begun_s))
    came, decided = last.events - first.events, float(events.sum())
    dropped, asked = last.dropped - first.dropped, KEPT_PACE * order.events_per_s * seconds
    pending = PENDING_FRAMES * events.max(initial=0.0)
    return Measured(
        sustained=bool(dropped == 0 and min(came, decided + pending) >= asked),
        asked_events_per_s=order.events_per_s,
        events_per_s=came / seconds,
        decided_events_per_s=decided / seconds,
        frames_per_s=len(events) / seconds,
        dropped=dropped,
        dropped_in_warm_up=first.dropped,
        step_ms={**step_ms._asdict()},
        step_p99_to_p50=step_ms.p99 / step_ms.p50,
        latency_ms={**Percentiles.of(1e3 * (ended_s - arrived_s))._asdict()},
        pictures_per_s=(last.pictures - first.pictures) / seconds,
        density=last.density,
        engine_steps=dict(model.engines),
        cores=cores,
        seconds=seconds,
    )
