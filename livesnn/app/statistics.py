"""Rolling statistics of a running session: percentiles, rates, means. Plain values; no threads, no Qt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from livesnn.infer.pipeline import Result

LAST_RESULTS = 200  # percentiles are over so many
RATE_S = 2.0  # rates are means over so long


@dataclass(frozen=True)
class Percentiles:
    """Of one part of the latency, ms; nan while nothing has been measured."""

    p50: float = float("nan")
    p95: float = float("nan")
    p99: float = float("nan")


@dataclass(frozen=True)
class Statistics:
    """What the strip shows.

    Attributes
    ----------
    slice_ms, network_ms, total_ms
        Over the last `LAST_RESULTS` results.
    events_per_s
        Events that arrived in a second of the recording's own time, so that slow motion doesn't change it.
    frames_per_s
        Results in a second of real time.
    density
        Mean over the layers that spike, and over the last results; nan while unknown.
    events
        Read since the source was opened.
    dropped
        Events lost since the source was opened.
    """

    slice_ms: Percentiles = Percentiles()
    network_ms: Percentiles = Percentiles()
    total_ms: Percentiles = Percentiles()
    events_per_s: float = float("nan")
    frames_per_s: float = float("nan")
    density: float = float("nan")
    events: int = 0
    dropped: int = 0


@dataclass
class Rolling:
    """Collects in the pipeline's thread, and makes a Statistics on request there.

    Its deques are owned by that thread; the Statistics may go anywhere.
    """

    events: int = 0
    _latencies: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=LAST_RESULTS))
    _densities: deque[float] = field(default_factory=lambda: deque(maxlen=LAST_RESULTS))
    _packets: deque[tuple[int, int]] = field(default_factory=deque)  # end of the packet µs, events
    _answered_s: deque[float] = field(default_factory=deque)

    def add_packet(self, n_events: int, t_us: int) -> None:
        """Take in a packet whose last event is at ``t_us``."""
        if self._packets and t_us < self._packets[-1][0]:
            self._packets.clear()  # a jump back
        self.events += n_events
        self._packets.append((t_us, n_events))
        while self._packets[0][0] < t_us - RATE_S * 1e6:
            self._packets.popleft()

    def add_result(self, result: Result, density: float, now_s: float) -> None:
        """Take in a result finished at ``now_s`` (`time.perf_counter`), and the network's mean density in it."""
        latency = result.latency
        self._latencies.append((latency.slice_ms, latency.network_ms, latency.total_ms))
        self._densities.append(density)
        self._answered_s.append(now_s)
        self._forget_answers(now_s)

    def snapshot(self, *, dropped: int, now_s: float) -> Statistics:
        """Return the statistics at ``now_s``."""
        self._forget_answers(now_s)
        parts = [_percentiles(np.array(part)) for part in zip(*self._latencies, strict=True)]
        slice_ms, network_ms, total_ms = parts or [Percentiles()] * 3
        return Statistics(
            slice_ms=slice_ms,
            network_ms=network_ms,
            total_ms=total_ms,
            events_per_s=self._events_per_s(),
            frames_per_s=_rate(len(self._answered_s), self._answered_s, now_s),
            density=float(np.mean(self._densities)) if self._densities else float("nan"),
            events=self.events,
            dropped=dropped,
        )

    def _forget_answers(self, now_s: float) -> None:
        while self._answered_s and self._answered_s[0] < now_s - RATE_S:
            self._answered_s.popleft()

    def _events_per_s(self) -> float:
        if len(self._packets) < 2:
            return float("nan")
        seconds = (self._packets[-1][0] - self._packets[0][0]) / 1e6
        # The first packet's events lie before its end, where the time begins.
        events = sum(n_events for _, n_events in self._packets) - self._packets[0][1]
        return events / seconds if seconds > 0 else float("nan")


def _rate(count: int, times_s: deque[float], now_s: float) -> float:
    if count < 2:
        return float("nan")
    return count / max(now_s - times_s[0], 1e-3)


def _percentiles(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Percentiles:
    known = values[np.isfinite(values)]
    if not known.size:
        return Percentiles()
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return Percentiles(float(p50), float(p95), float(p99))
