"""The numbers of a session as they are now: latencies, rates, density, and where the events went."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.card import ModelCard
from livesnn.events.denoise import DenoiseCounts
from livesnn.events.event_rate import RATE_S
from livesnn.infer.cost import dense_synops, energy_estimate_uj, macs, mean_density
from livesnn.infer.run import Latency, Result
from livesnn.infer.statistics import Percentiles

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
