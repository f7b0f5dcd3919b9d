"""Results as the window shows them, their rolling statistics, and the last minutes of both for plots."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from livesnn.card import InputSpec, ModelCard
from livesnn.events.denoise import DenoiseCounts
from livesnn.events.event_rate import RATE_S
from livesnn.infer.cost import dense_synops, energy_estimate_uj, macs, mean_density
from livesnn.infer.decide import Decision
from livesnn.infer.run import Latency, Result
from livesnn.infer.statistics import Percentiles, Tally

HISTORY_US = 10_000_000  # Stream time that a `History` goes back
HISTORY_STEP_US = 20_000  # Values nearer to each other than this would fall on one pixel


class History(NamedTuple):
    """The classes' probabilities over the last HISTORY_US, oldest first.

    About one every HISTORY_STEP_US, and always the newest. ``t_us``: int64 [N], from the start of the recording,
    increasing; ``probabilities``: float32 [N, K].
    """

    t_us: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def then(self, t_us: int, probabilities: npt.NDArray[np.float32]) -> History:
        """Return a history that goes on with these [K]; a jump in time begins it again."""
        known_us, known = self
        if known_us.size and not 0 <= t_us - known_us[-1] <= HISTORY_US:
            known_us, known = NO_HISTORY
        end = known_us.size
        if end and (t_us == known_us[-1] or (end > 1 and known_us[-1] - known_us[-2] < HISTORY_STEP_US)):
            end -= 1
        used = slice(int(np.searchsorted(known_us, t_us - HISTORY_US)), end)
        rows = known[used].reshape(-1, probabilities.size)
        return History(np.append(known_us[used], t_us), np.concatenate([rows, probabilities[None]]))


NO_HISTORY = History(np.zeros(0, np.int64), np.zeros((0, 0), np.float32))


class WindowDecision(NamedTuple):
    """The decision on one window, µs from the start of the recording; label None: there was no decision."""

    start_us: int
    end_us: int
    label: str | None


@dataclass(frozen=True)
class ShownResult:
    """A Result with what the window shows beside it."""

    result: Result
    reset_by: str  # why the state was last reset; "" at the start, or where mode "reset" does it
    # Decision on the last full window, which may lie before the end of a recording that started again.
    # None: there was no full window since the source was opened, a person reset or sought, or a lost source
    # came back.
    last: Decision | None
    resets: int  # resets and seeks that a person requested before this frame
    # uint8 [C, H, W] each: the frames of the current window so far, this one last.
    frames: tuple[npt.NDArray[np.uint8], ...]
    history: History  # the probabilities up to this frame
    second: ShownResult | None = None  # of what the session is compared with


MOST_DECISIONS = 10_000  # kept for a window that doesn't take them; the oldest go first


class ResultTracker:
    """Makes results ready to be shown, and counts decisions over the passes of one session.

    For one thread, except ``decided``.
    """

    def __init__(self) -> None:
        self.first_pass = self.this_pass = Tally()  # decisions on windows
        self.n_decisions = 0  # windows of all passes that had a decision
        # The decision on each window of all passes. Who shows a decision removes it.
        self.decided: deque[WindowDecision] = deque(maxlen=MOST_DECISIONS)
        self._begun = False
        self._next_reset_by = ""  # of the frames to come
        self._reset_by = ""
        self._resets = 0
        self._last: Decision | None = None
        self._frames: list[npt.NDArray[np.uint8]] = []  # of the current window
        self._window_start_us = self._frame_end_us = 0  # of the current window and the last frame
        self._history = NO_HISTORY

    def begin_pass(self, reason: str) -> None:
        """Count a pass, which begins with the state reset for this reason."""
        if self._begun:
            self.this_pass = Tally()
        self._begun = True
        self._next_reset_by = reason

    def reset(self, resets: int, reason: str) -> None:
        """Forget the last decision because the state is reset; ``resets`` were requested by now."""
        self._resets = resets
        self._next_reset_by = reason
        self._last = None

    def add(self, result: Result, card: ModelCard, start_us: int) -> ShownResult:
        """Count a result and return it as the window shows it; ``start_us`` is when the stream began."""
        if result.carried == 1:
            self._reset_by = (self._next_reset_by or "a jump in time") if result.reset else ""
        self._next_reset_by = ""
        t_us = result.t - start_us
        if result.frame_in_window == 1:
            self._frames = []
            if (delta_t_us := card.input.slice.delta_t_us) is not None:
                self._window_start_us = t_us - delta_t_us
            else:  # of a fixed count, the first window's start is unknown
                self._window_start_us = t_us if result.reset else self._frame_end_us
        self._frames.append(result.frame.data)
        self._frame_end_us = t_us
        if result.window_seen:
            self._last = Decision(result.decision, result.confidence)
        if result.window_end:
            self.this_pass.add(result.decision)
            self.n_decisions += result.decision is not None
            self.decided.append(WindowDecision(self._window_start_us, t_us, result.decision))
        self._history = self._history.then(t_us, result.probabilities)
        return ShownResult(
            result=result,
            reset_by=self._reset_by,
            last=self._last,
            resets=self._resets,
            frames=tuple(self._frames),
            history=self._history,
        )


def why_no_window(card_input: InputSpec, *, events: int, duration_us: int) -> str:
    """Return why a recording with so many events, or a video, has no whole window although it was read to its end."""
    rule, window = card_input.slice, card_input.window
    is_video = card_input.kind == "video"
    if not (events or is_video):
        return "No events in this recording"
    if rule.delta_t_us is None:
        return f"Fewer events than one window ({window} × {rule.n_events:,})"
    window_us = window * rule.delta_t_us
    if is_video or duration_us < window_us:
        return f"Shorter than one window ({window_us / 1e6:.2f} s)"
    return f"No whole window ({window_us / 1e6:.2f} s) without a jump in time"


LAST_RESULTS = 200  # percentiles are over so many


@dataclass(frozen=True)
class Counts:
    """Where the events went since the source was opened.

    The events that a live source yielded or dropped are events + dropped + skipped + unread. This holds exactly once
    the session has stopped. Before that, some events are on their way between two threads.
    """

    events: int = 0  # reached the noise filter and then the network
    dropped: int = 0  # lost, by the source or because the network was late
    skipped: int = 0  # dropped while a live source was paused
    unread: int = 0  # waiting for the network, or left when it stopped
    noise: DenoiseCounts = field(default_factory=DenoiseCounts)  # of the events that reached the noise filter
    out_of_order: int = 0  # put in order of time
    out_of_bounds: int = 0  # left out because they lie outside the sensor
    # Events that arrived in a second of the source's own time, so that slow motion doesn't change it. Noise and
    # dropped events count, skipped ones don't.
    events_per_s: float = float("nan")
    filtered_per_s: float = float("nan")  # events in a second that the noise filter lets through


@dataclass(frozen=True)
class Statistics(Counts):
    """The numbers that the window shows: percentiles and means over the last `LAST_RESULTS`, nan while unknown."""

    slice_ms: Percentiles = field(default_factory=Percentiles)
    network_ms: Percentiles = field(default_factory=Percentiles)
    total_ms: Percentiles = field(default_factory=Percentiles)
    frames_per_s: float = float("nan")  # results in a second of real time
    density: float = float("nan")  # share of the hidden neurons that spike in a frame
    synops: float = float("nan")  # synaptic operations in a frame; nan also without hidden layers
    dense_synops: float = float("nan")  # the same where every hidden neuron spikes
    energy_estimate_uj: float = float("nan")  # arithmetic of a frame, first layer included
    light_flicker: float = 0.0  # events subtracted from each pixel of a frame because a light flickers


class _Sample(NamedTuple):
    """Of a result: latencies, densities [hidden layers], and two numbers of its frame."""

    latency: Latency
    density: npt.NDArray[np.float32]
    active: int  # values other than 0
    flicker: int


class RollingStatistics:
    """Collects results, and makes Statistics of them. May be used from any thread."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=LAST_RESULTS)
        self._card: ModelCard | None = None  # of the last result's network
        # A network's card and `dense_synops`, which take 3 ms to work out
        self._operations: tuple[ModelCard, npt.NDArray[np.floating]] | None = None
        self._result_times_s: deque[float] = deque()
        self._lock = threading.Lock()  # held for microseconds

    def add_result(self, result: Result, card: ModelCard, now_s: float) -> None:
        """Add a result, finished at ``now_s`` (`time.perf_counter`)."""
        active = int(np.count_nonzero(result.frame.data))  # 1 µs
        sample = _Sample(result.latency, result.density, active, result.frame.light_flicker)
        with self._lock:
            self._samples.append(sample)
            self._card = card
            self._result_times_s.append(now_s)
            self._forget_results(now_s)

    def snapshot(self, counts: Counts, *, now_s: float) -> Statistics:
        """Return the statistics at ``now_s``, with these counts."""
        with self._lock:
            self._forget_results(now_s)
            samples, result_times_s, card = [*self._samples], [*self._result_times_s], self._card
        return Statistics(
            **vars(counts),
            slice_ms=Percentiles.of([sample.latency.slice_ms for sample in samples]),
            network_ms=Percentiles.of([sample.latency.network_ms for sample in samples]),
            total_ms=Percentiles.of([sample.latency.total_ms for sample in samples]),
            frames_per_s=_rate(result_times_s, now_s),
            **({} if card is None else self._cost(samples, card)),
            light_flicker=sum(sample.flicker for sample in samples) / max(len(samples), 1),
        )

    def _cost(self, samples: Sequence[_Sample], card: ModelCard) -> dict[str, Any]:
        """Return what a frame costs on average, as fields of Statistics; {}: unknown."""
        density = np.mean([sample.density for sample in samples], axis=0)
        if not density.size:
            return {}
        if self._operations is None or self._operations[0] is not card:
            self._operations = (card, dense_synops(card))
        dense = self._operations[1]
        acs = float(np.sum(density * dense))
        active = float(np.mean([sample.active for sample in samples]))
        return {
            "density": mean_density(density, card),
            "synops": acs,
            "dense_synops": float(dense.sum()),
            "energy_estimate_uj": energy_estimate_uj(macs(active, card), acs, card),
        }

    def _forget_results(self, now_s: float) -> None:
        while self._result_times_s and self._result_times_s[0] < now_s - RATE_S:
            self._result_times_s.popleft()


def _rate(times_s: Sequence[float], now_s: float) -> float:
    """Return how many come in a second; the rate falls while the next one is late."""
    if len(times_s) < 2:
        return float("nan")
    between_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    return 1 / max(between_s, (now_s - times_s[0]) / len(times_s), 1e-6)


ROW_S = 0.1  # least time between two rows
KEPT_S = 300  # how far a `PlotHistory` goes back at least
_ROWS = round(KEPT_S / ROW_S)
_BINS_PER_DECADE, _DECADES, _FIRST_DECADE = 20, 6, -2
EDGES_MS = np.logspace(  # Edges of the bins of `PlotHistory.histogram`, ms: each is 12 % wide.
    _FIRST_DECADE, _FIRST_DECADE + _DECADES, _BINS_PER_DECADE * _DECADES + 1, dtype=np.float64
)

LatencyPart = Literal["slice", "network", "decision", "show"]
LATENCY_PARTS: tuple[LatencyPart, ...] = get_args(LatencyPart)
"""As in the window's numbers: those of a `Latency`, and from the arrival of a picture's events to the screen."""

Quantity = Literal["rate", "latency", "probabilities", "density", "membrane"]
FloatArray = npt.NDArray[np.float64]


class Rows(NamedTuple):
    """Values over time, oldest first; nan where there was none.

    ``at_s``: float64 [N], s since the source was opened; ``stream_s``: float64 [N], the time of the newest frame in
    the source, s since its start; ``values``: float64 [N, curves].
    """

    at_s: FloatArray
    stream_s: FloatArray
    values: FloatArray


class PlotHistory:
    """Collects what frames and statistics say, a row every `ROW_S`, the oldest overwritten. For any thread.

    A row has the longest latency since the row before, so that no spike is lost, and the means of everything else.
    The histogram counts every frame and picture. All memory is taken at the start: some 2 MB for a model
    of 11 classes and 18 layers.
    """

    def __init__(self, card: ModelCard, begun_s: float) -> None:
        layers = len(card.states)
        # The curves of each quantity, in the order of its columns.
        self.curves: dict[Quantity, tuple[str, ...]] = {
            "rate": ("arrived", "after filter"),
            "latency": LATENCY_PARTS,
            "probabilities": tuple(card.classes),
            "density": tuple(card.states)[: max(layers - 1, 0)],
            "membrane": tuple(card.states),
        }
        widths = [len(names) for names in self.curves.values()]
        ends = np.cumsum(widths).tolist()
        self._columns = {
            quantity: slice(end - width, end) for quantity, end, width in zip(self.curves, ends, widths, strict=True)
        }
        self._begun_s = begun_s
        self._at_s = np.full(_ROWS, np.nan)
        self._stream_s = np.full(_ROWS, np.nan)
        self._table = np.full((_ROWS, ends[-1]), np.nan)
        self.n_rows = 0  # ever written, also those that are overwritten by now
        self._sums = np.zeros(ends[-1])  # since the last row
        self._longest = dict.fromkeys(LATENCY_PARTS, math.nan)
        self._frames = 0
        self._newest_stream_s = math.nan
        self._seconds = np.full(KEPT_S, -1, np.int64)  # second since the start that a slot counts
        self._counts = np.zeros((KEPT_S, len(LATENCY_PARTS), len(EDGES_MS) - 1), np.uint32)
        self._lock = threading.Lock()  # held for microseconds

    @property
    def newest_s(self) -> float:
        """When the newest row was written, as `now_s`; 0: there is none."""
        return float(self._at_s[(self.n_rows - 1) % _ROWS]) if self.n_rows else 0.0

    def now_s(self) -> float:
        """Return the seconds since the source was opened."""
        return time.perf_counter() - self._begun_s

    def add_result(self, result: Result, start_us: int, at_s: float) -> None:
        """Add what a frame says; ``start_us`` is when the stream began, ``at_s`` as `now_s`."""
        latency = result.latency
        parts = (latency.slice_ms, latency.network_ms, latency.total_ms)
        with self._lock:
            for part, milliseconds in zip(LATENCY_PARTS, parts, strict=False):
                self._add_latency(part, milliseconds, at_s)
            seen = np.concatenate((result.probabilities, result.density, result.membrane))
            self._sums[-len(seen) :] += seen  # the last columns, in this order
            self._frames += 1
            self._newest_stream_s = (result.t - start_us) / 1e6

    def add_shown(self, milliseconds: float, at_s: float) -> None:
        """Add how long after the arrival of its last events a picture was on the screen."""
        with self._lock:
            self._add_latency("show", milliseconds, at_s)

    def add_statistics(self, statistics: Statistics, at_s: float) -> None:
        """Write a row if the last one is at least `ROW_S` ago: these rates, and what was added since."""
        with self._lock:
            if self.n_rows and at_s < self.newest_s + ROW_S:
                return
            index = self.n_rows % _ROWS
            row = self._table[index]
            row[:] = self._sums / self._frames if self._frames else math.nan
            row[self._columns["rate"]] = (statistics.events_per_s, statistics.filtered_per_s)
            row[self._columns["latency"]] = tuple(self._longest.values())
            self._at_s[index], self._stream_s[index] = at_s, self._newest_stream_s
            self.n_rows += 1
            self._sums[:] = 0.0
            self._frames = 0
            self._longest = dict.fromkeys(LATENCY_PARTS, math.nan)

    def rows(self, quantity: Quantity, from_s: float = -math.inf, to_s: float = math.inf) -> Rows:
        """Return copies of a quantity's rows in a time, and of the one before and after it."""
        with self._lock:
            used = min(self.n_rows, _ROWS)
            order = np.arange(self.n_rows - used, self.n_rows) % _ROWS
            at_s = self._at_s[order]
            first = max(int(np.searchsorted(at_s, from_s)) - 1, 0)
            order = order[first : int(np.searchsorted(at_s, to_s, side="right")) + 1]
            return Rows(self._at_s[order], self._stream_s[order], self._table[order, self._columns[quantity]])

    def histogram(self, from_s: float = -math.inf, to_s: float = math.inf) -> npt.NDArray[np.int64]:
        """Return how many latencies fell between `EDGES_MS` in a time, rounded to seconds: int64 [parts, bins].

        Those below the first edge or above the last are counted in the first or last bin.
        """
        with self._lock:
            chosen = (self._seconds > max(from_s - 1, -1)) & (self._seconds <= to_s)
            return self._counts[chosen].sum(axis=0, dtype=np.int64)

    def _add_latency(self, part: LatencyPart, milliseconds: float, at_s: float) -> None:
        if math.isnan(milliseconds):  # nobody knows when its events arrived
            return
        # The first is greater than nan: `max` keeps it.
        self._longest[part] = max(milliseconds, self._longest[part])
        second = int(at_s)
        slot = second % KEPT_S
        if self._seconds[slot] != second:
            self._seconds[slot] = second
            self._counts[slot] = 0
        decades = math.log10(max(milliseconds, 10.0**_FIRST_DECADE)) - _FIRST_DECADE
        bin_ = min(int(decades * _BINS_PER_DECADE), self._counts.shape[2] - 1)
        self._counts[slot, LATENCY_PARTS.index(part), bin_] += 1
