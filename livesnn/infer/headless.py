"""A source through a model without a window, as rows for `livesnn run`. Not here: printing them (cli.py)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from livesnn.events import EventSource, open_source
from livesnn.events.frames import frames
from livesnn.infer import Engine, Model, load_model
from livesnn.infer.decide import probabilities
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import mean_density, synops


@dataclass(frozen=True)
class Row:
    """One line of `livesnn run`: see `Result`; rates by label."""

    t: int
    window: int
    decision: str | None
    confidence: float
    rates: dict[str, float]
    probabilities: dict[str, float]
    reset: bool


@dataclass(frozen=True)
class Summary:
    """The last line: `majority` is the most frequent decision, "nothing" not counted; latency is the network's.

    `warnings`: what was assumed or lost in reading, and what makes the decisions doubtful.
    """

    frames: int
    windows: int
    majority: str | None
    events: int
    dropped: int
    engine: str
    latency_ms: dict[str, float]
    density: float
    synops_per_frame: float
    seconds: float
    warnings: tuple[str, ...]


def decide_all(
    source: str,
    model: str,
    *,
    engine: Engine = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
) -> Iterator[Row | Summary]:
    """Yield a row a window (or a frame, once the first window is full), then the summary.

    Raises
    ------
    LivesnnError
        The source or the model can't be opened, or fails on the way.
    """
    loaded = load_model(model, engine)
    opened = open_source(source)
    tally = _Tally(loaded, engine)
    try:
        stream = frames(opened, loaded.card.input.slice, loaded.card.input)
        for result in run(stream, loaded, state=state, dropped=lambda: opened.counters.dropped):
            tally.add(result)
            if result.window_end or (every == "frame" and result.window > 0):
                yield _row(result, loaded)
        yield tally.end(opened)
    finally:
        opened.close()


def _row(result: Result, model: Model) -> Row:
    card = model.card
    rates = dict(zip(card.classes, result.rates.tolist(), strict=True))
    likely = dict(zip(card.classes, probabilities(result.rates, card).tolist(), strict=True))
    return Row(result.t, result.window, result.decision, result.confidence, rates, likely, result.reset)


class _Tally:
    """What `livesnn run` says at the end."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model = model
        self._engine = "onnx" if engine == "auto" else engine
        self._begun_s = time.perf_counter()
        self._frames = self._windows = 0
        self._decisions: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._densities = np.zeros(len(model.card.states) - 1)

    def add(self, result: Result) -> None:
        self._frames += 1
        self._latencies_ms.append(result.latency.network_ms)
        self._densities += result.density
        if result.window_end:
            self._windows += 1
            if result.decision is not None:
                self._decisions[result.decision] += 1

    def end(self, source: EventSource) -> Summary:
        card = self._model.card
        density = self._densities / max(self._frames, 1)
        p50, p95, p99 = np.percentile(self._latencies_ms or [0.0], (50, 95, 99))
        most = self._decisions.most_common(1)
        return Summary(
            frames=self._frames,
            windows=self._windows,
            majority=most[0][0] if most else None,
            events=source.counters.events,
            dropped=source.counters.dropped,
            engine=self._engine,
            latency_ms={"p50": float(p50), "p95": float(p95), "p99": float(p99)},
            density=mean_density(density, card),
            synops_per_frame=synops(density, card),
            seconds=time.perf_counter() - self._begun_s,
            warnings=(*getattr(source, "warnings", ()), *self._doubts(source)),
        )

    def _doubts(self, source: EventSource) -> Iterator[str]:
        spec = self._model.card.input
        if not self._windows:
            length = f" ({spec.slice.delta_t_us * spec.window / 1e6:g} s)" if spec.slice.delta_t_us else ""
            yield f"no decision: {source.counters.events} events are less than one window{length}"
        if tuple(source.resolution) != (spec.width, spec.height):
            yield (
                f"the sensor is {source.resolution.width}×{source.resolution.height}, scaled to the model's "
                f"{spec.width}×{spec.height}: it may never have seen the like"
            )
