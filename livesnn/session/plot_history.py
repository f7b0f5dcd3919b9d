"""The last minutes of results and statistics, for plots: `PlotHistory`."""

from __future__ import annotations

import math
import threading
import time
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.infer.run import Result
from livesnn.session.statistics import Statistics

ROW_S = 0.1  # least time between two rows
KEPT_S = 300  # how far a `PlotHistory` goes back at least
_ROWS = round(KEPT_S / ROW_S)

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
    All memory is taken at the start: some 1 MB for a model of 11 classes and 18 layers.
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
        self._lock = threading.Lock()  # held for microseconds

    @property
    def newest_s(self) -> float:
        """When the newest row was written, as `now_s`; 0: there is none."""
        return float(self._at_s[(self.n_rows - 1) % _ROWS]) if self.n_rows else 0.0

    def now_s(self) -> float:
        """Return the seconds since the source was opened."""
        return time.perf_counter() - self._begun_s

    def add_result(self, result: Result, start_us: int) -> None:
        """Add what a frame says; ``start_us`` is when the stream began."""
        latency = result.latency
        parts = (latency.slice_ms, latency.network_ms, latency.total_ms)
        with self._lock:
            for part, milliseconds in zip(LATENCY_PARTS, parts, strict=False):
                self._add_latency(part, milliseconds)
            seen = np.concatenate((result.probabilities, result.density, result.membrane))
            self._sums[-len(seen) :] += seen  # the last columns, in this order
            self._frames += 1
            self._newest_stream_s = (result.t - start_us) / 1e6

    def add_shown(self, milliseconds: float) -> None:
        """Add how long after the arrival of its last events a picture was on the screen."""
        with self._lock:
            self._add_latency("show", milliseconds)

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

    def _add_latency(self, part: LatencyPart, milliseconds: float) -> None:
        if not math.isnan(milliseconds):  # nan: nobody knows when its events arrived
            self._longest[part] = max(milliseconds, self._longest[part])  # the first is greater than nan
