"""Decisions as lines: what `livesnn run` prints, and what programs get that follow it."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal

import numpy as np

from livesnn.card import ModelCard
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.filters import Orientation
from livesnn.events.packet import EventSource
from livesnn.events.pipeline import See
from livesnn.events.playback_clock import PlaybackClock
from livesnn.events.recording import Recording
from livesnn.events.slicer import SEEN_FLICKER
from livesnn.infer.cost import costs, energy_constants, mean_density
from livesnn.infer.decide import Decider, Silence
from livesnn.infer.load import (
    DEFAULT_MODEL,
    Engine,
    fit_events,
    load_model,
    only_model_for,
    read_card,
    shipped_for,
    wants_pictures,
)
from livesnn.infer.model import Model
from livesnn.infer.reason import ADVICE, Reason
from livesnn.infer.run import FrameStream, Recogniser, Result, StateMode, warm_up
from livesnn.infer.statistics import Percentiles, Tally
from livesnn.infer.switching_engine import PREPARING, in_use, note_of
from livesnn.progress import Notify, Progress, no_notice, no_progress
from livesnn.signals import ending_sets
from livesnn.sources import open_source
from livesnn.video.frame_source import FrameSource

MANY = 0.25  # Share of the windows without a gesture for one reason that is worth a word in the summary.


@dataclass(frozen=True)
class Row:
    """One line of `livesnn run`: see `Result`; rates by label.

    ``reset``: the state was, since the line before. ``dropped``: events that were, since then. ``network_ms``,
    ``total_ms``: see `Latency`; None for a recording, so that its rows are the same each time. ``reason``: why no
    gesture is named, where that is known. ``silence_s``: seconds without events of a live source, where that is why.
    """

    t: int
    window: int
    decision: str | None
    confidence: float
    rates: dict[str, float]
    probabilities: dict[str, float]
    reset: bool
    dropped: int
    network_ms: float | None
    total_ms: float | None
    reason: Reason | None = None
    silence_s: float | None = None


@dataclass(frozen=True)
class Summary:
    """The last line: `majority` is the most frequent decision, "nothing" not counted; latency is the network's.

    `events`: all of them, including noise. `out_of_order`: of these, put in order of time; `out_of_bounds`: left out,
    outside the sensor. `denoise`: events that came, of which were kept, and dropped for each reason; None: nothing
    was filtered. `engine` ran the last frame, `engine_frames` says how many each ran, `engine_switched_at_frame`
    (from 0) is the first that another than the first engine ran; None: there was none. `warnings`: what was assumed
    or lost in reading, what makes the decisions doubtful, and why an engine isn't there. `synops_per_frame` and the
    two behind it: see `Costs`, with `energy_constants`. `light_flicker_per_pixel`: what was taken as
    a flickering light's from the counts of each pixel of the network's picture, mean of all frames.
    `reasons`: for each `Reason`, windows without a gesture.
    """

    frames: int
    windows: int
    majority: str | None
    events: int
    dropped: int
    engine: str
    engine_frames: dict[str, int]
    engine_switched_at_frame: int | None
    latency_ms: dict[str, float]
    density: float
    synops_per_frame: float
    macs_per_frame: float
    energy_estimate_uj_per_frame: float
    energy_constants: str
    seconds: float
    warnings: tuple[str, ...]
    out_of_order: int = 0
    out_of_bounds: int = 0
    denoise: dict[str, int] | None = None
    light_flicker_per_pixel: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """How sources are decided on. Rows of a table (many.py) all have the same."""

    model: str | None = None  # None: the shipped model that fits the source
    engine: Engine = "auto"
    state: StateMode = "carry"
    every: Literal["window", "frame"] = "window"
    decider: Decider = field(default_factory=Decider)
    seconds: float | None = None
    denoise: bool = False
    orientation: Orientation = field(default_factory=Orientation)

    def check(self) -> None:
        """Raise LivesnnError where no source could be decided on: before all of them fail."""
        if self.model is not None:
            self.decider.check(read_card(self.model))


def decide_all(
    source: str | EventSource | FrameSource,
    options: RunOptions,
    *,
    decider_now: Callable[[], Decider] | None = None,  # asked once a frame; None: always that of the options
    sensor: SensorSettings | None = None,
    paced: bool = False,  # play a recording in its own time
    # Called once source and model are open; returns what sees each upright packet.
    listen: Callable[[EventSource | FrameSource, ModelCard], See | None] = lambda source, card: None,
    see: Callable[[Result], object] = lambda result: None,  # called before each row
    reset_requested: Callable[[], bool] = lambda: False,
    load: Callable[[str], Model] | None = None,  # what it returns is left open; None: `load_model`
    notify: Notify = no_notice,  # also of what takes long, and of a model that isn't the usual one
    # Around the opening of a recording; told how much of it has been read where all of it must be.
    reading: AbstractContextManager[Progress] = nullcontext(no_progress),  # noqa: B008 (has no state)
    now_s: Callable[[], float] = time.perf_counter,
) -> Iterator[Row | Summary]:
    """Yield a row a window (or a frame, once the first window is full), then the summary.

    Of a live source, what the network can't take in time is dropped and counted. When it falls silent, a row without
    a decision takes back the one before. Ctrl-C ends it as ``seconds`` does; pressed again, at once. Other parameters
    are as for `livesnn.run`. Raises LivesnnError when the source or the model can't be opened, or
    fails on the way, and when the decider names a class that the model hasn't.
    """
    pictures = wants_pictures(source, options.model)
    with reading as progress:
        opened = (
            open_source(source, notify=notify, progress=progress, at_once=True, sensor=sensor, pictures=pictures)
            if isinstance(source, str)
            else source
        )
    with closing(opened), ExitStack() as closed:
        name = options.model or _fitting(source, opened, options.orientation, notify)
        loaded = load(name) if load else closed.enter_context(in_use(load_model(name, options.engine, notify=notify)))
        options.decider.check(loaded.card)
        record = listen(opened, loaded.card)
        stop = threading.Event()
        totals = _Totals(loaded)
        ended = ending_sets(stop) if opened.live else nullcontext()
        stream = FrameStream(
            opened,
            loaded.card.input,
            seconds=options.seconds,
            stop=stop,
            orientation=options.orientation,
            denoise=options.denoise,
            clock=PlaybackClock() if paced and not opened.live else None,
            record=record,
            now_s=now_s,
        )
        with stream, ended:
            if opened.live:
                warm_up(loaded, stream.resolution, denoise=options.denoise)
            reset, dropped = False, 0  # since the row before, and until then
            row: Row | None = None
            recogniser = Recogniser(loaded)
            for frame in stream.with_silences():
                if isinstance(frame, Silence):
                    if row is not None and row.silence_s is None:
                        yield _taken_back(row, frame)
                    continue
                result = recogniser.step(
                    frame,
                    state=options.state,
                    decider=decider_now() if decider_now else options.decider,
                    reset=reset_requested(),
                    silence=stream.silence(),
                )
                totals.add(result)
                see(result)
                reset |= result.reset
                if result.window_end or (options.every == "frame" and result.window_seen):
                    now_dropped = stream.counters.dropped  # more may be while the row is being read
                    yield (row := _row(result, loaded, reset, now_dropped - dropped, live=opened.live))
                    reset, dropped = False, now_dropped
            yield totals.end(stream)


def _fitting(source: object, opened: EventSource | FrameSource, orientation: Orientation, notify: Notify) -> str:
    """Return the shipped model for a source; say why, if it isn't the usual one for events."""
    if isinstance(opened, FrameSource):
        return (only_model_for(source) if isinstance(source, str) else None) or DEFAULT_MODEL
    fit = fit_events(read_card(DEFAULT_MODEL), orientation.resolution(opened.resolution))
    if fit.better is None:
        return DEFAULT_MODEL
    notify(f"{fit.why}, so {fit.better} is used: name another model with --model")
    return fit.better


def _row(result: Result, model: Model, reset: bool, dropped: int, *, live: bool) -> Row:
    classes, latency = model.card.classes, result.latency
    return Row(
        t=result.t,
        window=result.window,
        decision=result.decision,
        confidence=result.confidence,
        rates=dict(zip(classes, result.rates.tolist(), strict=True)),
        probabilities=dict(zip(classes, result.probabilities.tolist(), strict=True)),
        reset=reset,
        dropped=dropped,
        network_ms=latency.network_ms if live else None,
        total_ms=latency.total_ms if live and isfinite(latency.total_ms) else None,
        reason=result.reason,
        silence_s=result.silence_s,
    )


def _taken_back(row: Row, silence: Silence) -> Row:
    """Return a row that says that the last one, and its decision if any, is about the past."""
    return replace(
        row,
        decision=None,
        confidence=0.0,
        reset=False,
        dropped=0,
        total_ms=1e3 * silence.seconds,
        reason=Reason.NO_EVENTS,
        silence_s=silence.seconds,
    )


class _Totals:
    """What `livesnn run` says at the end."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._begun_s = time.perf_counter()
        self._engines: Counter[str] = Counter()  # frames each ran, the first one first
        self._switched: int | None = None
        self._tally = Tally()
        self._latencies_ms = array("f")  # 4 bytes a frame: a camera runs for days
        self._densities = np.zeros(len(model.card.states) - 1)
        self._active = 0  # values of all frames other than 0
        self._flicker = 0  # of all frames
        self._reasons: Counter[Reason] = Counter()

    def add(self, result: Result) -> None:
        engine = self._model.engine
        if self._switched is None and self._engines and engine not in self._engines:
            self._switched = self._engines.total()
        self._engines[engine] += 1
        self._latencies_ms.append(result.latency.network_ms)
        self._densities += result.density
        self._active += int(np.count_nonzero(result.frame.data))
        self._flicker += result.frame.light_flicker
        if result.window_end:
            self._tally.add(result.decision)
            self._reasons.update([] if result.reason is None else [result.reason])

    def end(self, stream: FrameStream) -> Summary:
        card, counters = self._model.card, stream.counters
        frames = max(self._engines.total(), 1)
        density = self._densities / frames
        return Summary(
            frames=self._engines.total(),
            windows=self._tally.windows,
            majority=self._tally.majority,
            events=counters.events,
            dropped=counters.dropped,
            engine=self._model.engine,
            engine_frames=dict(self._engines),
            engine_switched_at_frame=self._switched,
            latency_ms=Percentiles.of(self._latencies_ms or (0.0,))._asdict(),
            density=mean_density(density, card),
            **costs(density, self._active / frames, card),
            energy_constants=energy_constants(card),
            seconds=time.perf_counter() - self._begun_s,
            warnings=(*stream.warnings, *self._doubts(stream, self._flicker / frames)),
            out_of_order=counters.out_of_order,
            out_of_bounds=counters.out_of_bounds,
            denoise=None if stream.noise is None else stream.noise.summary(),
            light_flicker_per_pixel=self._flicker / frames,
            reasons={reason.value: count for reason, count in self._reasons.items()},
        )

    def _doubts(self, stream: FrameStream, flicker: float) -> Iterator[str]:
        if dropped := stream.counters.dropped:
            yield f"{dropped:,} events were dropped, because they came faster than livesnn could process them"
        if isinstance(stream.source, Recording) and (others := ", ".join(stream.source.other_streams)):
            yield f"only one event stream was read, without {others}: give FILE?stream=NAME to read another"
        if flicker >= SEEN_FLICKER:
            yield (
                f"a flickering light or noise reaches most pixels: livesnn removed {flicker:.1f} events a pixel "
                "from each frame of the network's input"
            )
        for reason in (Reason.FEW_EVENTS, Reason.NOISE):
            if (count := self._reasons[reason]) > MANY * self._tally.windows:
                yield f"{count} of {self._tally.windows} windows name no gesture ({ADVICE[reason]})"
        if not self._tally.windows:
            window = self._model.card.input.window
            yield (
                f"no decision, because {self._engines.total()} frames are fewer than a window of {window}: "
                "give a longer source"
            )
        if (note := note_of(self._model)) and note != PREPARING:
            yield note
        size = stream.resolution
        if size is not None and (said := self._model.card.on_another_sensor(*size)):
            fitting = shipped_for(size)
            yield said + (f"; trained with this size: {', '.join(fitting)} (--model)" if fitting else "")
