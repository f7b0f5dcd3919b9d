"""A source through a model without a window, as rows for `livesnn run`. Not here: printing them (cli.py)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from livesnn.events import open_source
from livesnn.events.frames import frames
from livesnn.infer import Engine, Model, load_model
from livesnn.infer.pipeline import Result, run
from livesnn.infer.synops import synops


def decide_all(
    source: str,
    model: str,
    *,
    engine: Engine = "auto",
    state: Literal["carry", "reset"] = "carry",
    every: Literal["window", "frame"] = "window",
) -> Iterator[dict[str, Any]]:
    """Yield a row a window (or a frame, once the first window is full), then ``{"summary": {...}}``.

    Raises
    ------
    LivesnnError
        The source or the model can't be opened, or fails on the way.
    """
    loaded = load_model(model, engine)
    opened = open_source(source)
    summary = _Summary(loaded, engine)
    try:
        stream = frames(opened, loaded.card.input.slice, loaded.card.input)
        for result in run(stream, loaded, state=state, dropped=lambda: opened.counters.dropped):
            row = _row(result, loaded)
            summary.add(result)
            if result.window_end or (every == "frame" and summary.window_full):
                yield row
        yield {"summary": summary.end(opened.counters.events, opened.counters.dropped)}
    finally:
        opened.close()


def _row(result: Result, model: Model) -> dict[str, Any]:
    rates = zip(model.card.classes, result.rates.tolist(), strict=True)
    return {
        "t": result.t,
        "window": result.window,
        "decision": result.decision,
        "confidence": result.confidence,
        "rates": dict(rates),
        "reset": result.reset,
    }


class _Summary:
    """What `livesnn run` says at the end."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model = model
        self._engine = "onnx" if engine == "auto" else engine
        self._begun_s = time.perf_counter()
        self._frames = self._windows = 0
        self._decisions: Counter[str] = Counter()
        self._latencies_ms: list[float] = []
        self._densities = np.zeros(len(model.card.states))
        self._since_reset = 0

    @property
    def window_full(self) -> bool:
        """Whether the rates cover a whole window."""
        return self._since_reset >= self._model.card.input.window

    def add(self, result: Result) -> None:
        self._frames += 1
        self._since_reset = 1 if result.reset else self._since_reset + 1
        self._latencies_ms.append(result.latency.network_ms)
        self._densities += np.nan_to_num(result.density)
        if result.window_end:
            self._windows += 1
            if result.decision is not None:
                self._decisions[result.decision] += 1

    def end(self, events: int, dropped: int) -> dict[str, Any]:
        card = self._model.card
        density = self._densities / max(self._frames, 1)
        neurons = [np.prod(shape) for shape in card.states.values()][:-1]
        p50, p95, p99 = np.percentile(self._latencies_ms or [0.0], (50, 95, 99))
        most = self._decisions.most_common(1)
        return {
            "frames": self._frames,
            "windows": self._windows,
            "majority": most[0][0] if most else None,
            "events": events,
            "dropped": dropped,
            "engine": self._engine,
            "latency_ms": {"p50": float(p50), "p95": float(p95), "p99": float(p99)},
            "density": float(np.average(density[:-1], weights=neurons)),
            "synops_per_frame": synops(density.astype(np.float32), card),
            "seconds": time.perf_counter() - self._begun_s,
        }
