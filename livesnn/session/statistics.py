"""Rolling statistics of a running session: percentiles, rates, means. Plain values; no Qt.

Not here: what was counted by whom (playback.py, session.py).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.denoise import DenoiseCounts
from livesnn.infer.decide import Percentiles
from livesnn.infer.operations import dense_synops, energy_estimate_uj, macs, mean_density
from livesnn.infer.run import Result
from livesnn.session.tap import Seen

LAST_RESULTS = 200  # percentiles are over so many
RATE_S = 2.0  # rates are means over so long
_CLOCKS_APART_US = 100_000  # between packets, the computer's and a source's: no jump back


@dataclass(frozen=True)
class Counts:
    """Where the events went since the source was opened.

    Of a live source, what it gave and dropped itself = events + dropped + skipped + unread + noise.dropped: exactly,
    once the session has stopped; but for what is on its way between two threads, before.

    Attributes
    ----------
    events
        Taken by the network.
    dropped
        Lost, by the source or because the network was late.
    skipped
        Thrown away while a live source was paused.
    unread
        Waiting for the network, or left when it stopped.
    noise
        What became of the events that went through the noise filters.
    out_of_order, out_of_bounds
        Put in order of time, and left out since they lie outside the sensor.
    """

    events: int = 0
    dropped: int = 0
    skipped: int = 0
    unread: int = 0
    noise: DenoiseCounts = field(default_factory=DenoiseCounts)
    out_of_order: int = 0
    out_of_bounds: int = 0


@dataclass(frozen=True)
class Statistics(Counts):
    """What the window's numbers are.

    Attributes
    ----------
    slice_ms, network_ms, total_ms
        Over the last `LAST_RESULTS` results.
    events_per_s
        Events that arrived in a second of the source's own time, so that slow motion doesn't change it; those
        dropped are among them, and noise, those skipped are not.
    kept_per_s
        Those of them that the noise filters have let through.
    frames_per_s
        Results in a second of real time.
    density
        Share of the hidden neurons that spike in a frame, mean over the last results; nan while unknown.
    synops, dense_synops
        Synaptic operations of a frame, mean over the last results, and of one in which every hidden neuron spikes;
        nan while unknown, and of a network without hidden layers.
    energy_estimate_uj
        Of a frame's arithmetic, the first layer's too, as `livesnn run` estimates it.
    light_flicker
        What was taken from each pixel's counts in a frame as a flickering light's, mean over the last results.
    """

    slice_ms: Percentiles = field(default_factory=Percentiles)
    network_ms: Percentiles = field(default_factory=Percentiles)
    total_ms: Percentiles = field(default_factory=Percentiles)
    events_per_s: float = float("nan")
    kept_per_s: float = float("nan")
    frames_per_s: float = float("nan")
    density: float = float("nan")
    synops: float = float("nan")
    dense_synops: float = float("nan")
    energy_estimate_uj: float = float("nan")
    light_flicker: float = 0.0


class _Work(NamedTuple):
    """What a network's spikes and values come to: 3 ms to find out, so once."""

    card: ModelCard
    dense_synops: npt.NDArray[np.floating]
    macs_of_a_value: float


class _Spent(NamedTuple):
    """The last fields of Statistics."""

    density: float = float("nan")
    synops: float = float("nan")
    dense_synops: float = float("nan")
    energy_estimate_uj: float = float("nan")


class RollingStatistics:
    """Collects what happens, and makes a Statistics on request. From any thread."""

    def __init__(self) -> None:
        self._latencies: deque[tuple[float, float, float]] = deque(maxlen=LAST_RESULTS)
        self._densities: deque[npt.NDArray[np.float32]] = deque(maxlen=LAST_RESULTS)
        self._active: deque[int] = deque(maxlen=LAST_RESULTS)  # values of the frames other than 0
        self._flickers: deque[int] = deque(maxlen=LAST_RESULTS)
        self._card: ModelCard | None = None  # of the last result's network
        self._work: _Work | None = None  # of that network
        self._packets: deque[tuple[int, int, int]] = deque()  # end of the packet µs, events, events kept
        self._n_events = self._n_kept = 0  # of these packets
        self._connection, self._arrived_s = 0, 0.0  # of the last one
        self._answered_s: deque[float] = deque()
        self._lock = threading.Lock()  # held for microseconds

    def add_seen(self, seen: Seen, *, connection: int = 0) -> None:
        """Take in a packet as it came, also an empty one: time goes by.

        Of a source that doesn't say how much, it goes by as the clock does.
        """
        t_us = int(seen.events["t"][-1]) if seen.events.size else seen.now_us
        if self._packets:
            newest_us = self._packets[-1][0]
            if t_us is None:
                t_us = newest_us + max(round((seen.arrived_s - self._arrived_s) * 1e6), 0)
            elif newest_us - _CLOCKS_APART_US < t_us:
                t_us = max(t_us, newest_us)
        if t_us is not None:
            self.add_packet(seen.came, t_us, n_kept=seen.events.size, connection=connection)
            self._arrived_s = seen.arrived_s

    def add_packet(self, n_events: int, t_us: int, *, n_kept: int | None = None, connection: int = 0) -> None:
        """Take in that a packet has arrived, whose last event is at ``t_us``; None: all of it was kept.

        With another ``connection`` it doesn't follow on: what lies between is no time in which events could come.
        """
        n_kept = n_events if n_kept is None else n_kept
        with self._lock:
            jumped_back = self._packets and t_us < self._packets[-1][0]
            if jumped_back or connection != self._connection:
                self._forget_packets()
            self._connection = connection
            self._packets.append((t_us, n_events, n_kept))
            self._n_events += n_events
            self._n_kept += n_kept
            while self._packets[0][0] < t_us - RATE_S * 1e6:
                _, old_events, old_kept = self._packets.popleft()
                self._n_events -= old_events
                self._n_kept -= old_kept

    def forget_packets(self) -> None:
        """Begin the rate of events again: the next packet is from elsewhere."""
        with self._lock:
            self._forget_packets()

    def _forget_packets(self) -> None:
        self._packets.clear()
        self._n_events = self._n_kept = 0

    def add_result(self, result: Result, card: ModelCard, now_s: float) -> None:
        """Take in a network's result, finished at ``now_s`` (`time.perf_counter`)."""
        latency, active = result.latency, int(np.count_nonzero(result.frame.data))  # 1 µs
        with self._lock:
            self._latencies.append((latency.slice_ms, latency.network_ms, latency.total_ms))
            self._densities.append(result.density)
            self._active.append(active)
            self._flickers.append(result.frame.light_flicker)
            self._card = card
            self._answered_s.append(now_s)
            self._forget_answers(now_s)

    def snapshot(self, counts: Counts, *, now_s: float) -> Statistics:
        """Return the statistics at ``now_s``, with these counts."""
        with self._lock:
            self._forget_answers(now_s)
            latencies, answered_s = list(self._latencies), list(self._answered_s)
            densities, active, card = list(self._densities), list(self._active), self._card
            flicker = sum(self._flickers) / max(len(self._flickers), 1)
            events_per_s, kept_per_s = self._per_s()
        spent = _Spent()
        if card is not None:
            spent = self._spent(np.mean(densities, axis=0), float(np.mean(active)), card)
        parts = [Percentiles.of(part) for part in zip(*latencies, strict=True)]
        slice_ms, network_ms, total_ms = parts or [Percentiles()] * 3
        return Statistics(
            **vars(counts),
            slice_ms=slice_ms,
            network_ms=network_ms,
            total_ms=total_ms,
            events_per_s=events_per_s,
            kept_per_s=kept_per_s,
            frames_per_s=_rate(answered_s, now_s),
            density=spent.density,
            synops=spent.synops,
            dense_synops=spent.dense_synops,
            energy_estimate_uj=spent.energy_estimate_uj,
            light_flicker=flicker,
        )

    def _spent(self, density: npt.NDArray[np.float32], active: float, card: ModelCard) -> _Spent:
        if not density.size:
            return _Spent()
        if self._work is None or self._work.card is not card:
            self._work = _Work(card, dense_synops(card), macs(1.0, card))
        acs = float(np.sum(density * self._work.dense_synops))
        return _Spent(
            mean_density(density, card),
            acs,
            float(self._work.dense_synops.sum()),
            energy_estimate_uj(active * self._work.macs_of_a_value, acs, card),
        )

    def _forget_answers(self, now_s: float) -> None:
        while self._answered_s and self._answered_s[0] < now_s - RATE_S:
            self._answered_s.popleft()

    def _per_s(self) -> tuple[float, float]:
        if len(self._packets) < 2 or self._packets[-1][0] <= self._packets[0][0]:
            return float("nan"), float("nan")
        begun_us, first_events, first_kept = self._packets[0]
        seconds = (self._packets[-1][0] - begun_us) / 1e6
        # The first packet's events lie before its end, where the time begins.
        return (self._n_events - first_events) / seconds, (self._n_kept - first_kept) / seconds


class ShowLatency:
    """How long events take to the screen: from the arrival of a picture's newest event to its painting.

    Of one thread alone, the one that paints.
    """

    def __init__(self) -> None:
        self._latencies_ms: deque[float] = deque(maxlen=LAST_RESULTS)

    def add(self, arrived_s: float, now_s: float) -> None:
        """Take in that a picture with this arrival has been painted; both by `time.perf_counter`.

        An arrival of 0 is unknown and counts for nothing.
        """
        if arrived_s:
            self._latencies_ms.append((now_s - arrived_s) * 1e3)

    def percentiles(self) -> Percentiles:
        """Return those of the last `LAST_RESULTS` pictures."""
        return Percentiles.of(self._latencies_ms)


def _rate(times_s: Sequence[float], now_s: float) -> float:
    """Return how many come in a second, also where the next one is late."""
    if len(times_s) < 2:
        return float("nan")
    between_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    return 1 / max(between_s, (now_s - times_s[0]) / len(times_s), 1e-6)
