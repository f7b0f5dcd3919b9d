"""A source through a model without a window, as rows for `livesnn run`. Not here: printing them (cli.py)."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

import numpy as np

from livesnn.events import Closing, Events, EventSource, Resolution, SourceCounters
from livesnn.events.frames import frames
from livesnn.events.live import Notify, ignore
from livesnn.events.recording import Recording
from livesnn.infer import Engine, Model, load_model
from livesnn.infer.decide import probabilities
from livesnn.infer.pipeline import Result, StateMode, run
from livesnn.infer.synops import mean_density, synops
from livesnn.sources import open_source
from livesnn.threads import Buffered


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
    state: StateMode = "carry",
    every: Literal["window", "frame"] = "window",
    seconds: float | None = None,
    notify: Notify = ignore,
) -> Iterator[Row | Summary]:
    """Yield a row a window (or a frame, once the first window is full), then the summary.

    A recording is read as fast as it can be. A live source waits for nobody: what the network can't take in time
    is dropped and counted. Ctrl-C ends it as ``seconds`` does; pressed again, at once.

    Parameters
    ----------
    seconds
        End after so long: in a recording's own time, or in real time.
    notify
        Told when a live source is lost and when it is back.

    Raises
    ------
    LivesnnError
        The source or the model can't be opened, or fails on the way.
    """
    loaded = load_model(model, engine)
    opened = open_source(source, notify=notify)
    limited = _Limited(opened, seconds)
    tally = _Tally(loaded, engine)
    try:
        with limited.ended_by_ctrl_c():
            stream = frames(limited, loaded.card.input.slice, loaded.card.input)
            for result in run(stream, loaded, state=state, dropped=lambda: limited.counters.dropped):
                tally.add(result)
                if result.window_end or (every == "frame" and result.window > 0):
                    yield _row(result, loaded)
        yield tally.end(limited, tuple(getattr(opened, "warnings", ())))
    finally:
        limited.close()


def engine_name(engine: Engine) -> str:
    """Return what `load_model` runs a model with when it is asked for ``engine``."""
    return "onnx" if engine == "auto" else engine


class _Limited(Closing):
    """A source that ends after a time, or when told to; a live one through a buffer that drops the oldest."""

    def __init__(self, source: EventSource, seconds: float | None) -> None:
        self._live = not isinstance(source, Recording)
        self._source = Buffered(source, policy="drop_oldest") if self._live else source
        self._seconds = float("inf") if seconds is None else seconds
        self._stop = threading.Event()

    @property
    def resolution(self) -> Resolution:
        return self._source.resolution

    @property
    def counters(self) -> SourceCounters:
        return self._source.counters

    @property
    def arrived_s(self) -> float:
        return getattr(self._source, "arrived_s", time.perf_counter())

    @property
    def now_us(self) -> int | None:
        return getattr(self._source, "now_us", None)

    @property
    def connection(self) -> int:
        return getattr(self._source, "connection", 0)

    def __iter__(self) -> Iterator[Events]:
        begun_s, begun_us = time.perf_counter(), None
        for packet in self._source:
            if self._stop.is_set() or (self._live and time.perf_counter() - begun_s >= self._seconds):
                return
            if not self._live and packet.size:
                begun_us = int(packet["t"][0]) if begun_us is None else begun_us
                within = packet[packet["t"] < begun_us + 1e6 * self._seconds]
                yield within
                if within.size < packet.size:
                    return
            else:
                yield packet

    def close(self) -> None:
        self._source.close()

    @contextmanager
    def ended_by_ctrl_c(self) -> Iterator[None]:
        """Let the first Ctrl-C end a live source's iteration; only the main thread can, and a recording ends."""
        if not self._live or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def end(number: int, frame: FrameType | None) -> None:
            self._stop.set()
            signal.signal(signal.SIGINT, before)

        signal.signal(signal.SIGINT, end)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _row(result: Result, model: Model) -> Row:
    card = model.card
    rates = dict(zip(card.classes, result.rates.tolist(), strict=True))
    likely = dict(zip(card.classes, probabilities(result.rates, card).tolist(), strict=True))
    return Row(result.t, result.window, result.decision, result.confidence, rates, likely, result.reset)


class _Tally:
    """What `livesnn run` says at the end."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model = model
        self._engine = engine_name(engine)
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

    def end(self, source: EventSource, warnings: tuple[str, ...]) -> Summary:
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
            warnings=(*warnings, *self._doubts(source)),
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
