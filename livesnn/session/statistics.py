"""Rolling statistics of a running session: percentiles, rates and means."""

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
from livesnn.events.packet import Packet
from livesnn.infer.decide import Percentiles
from livesnn.infer.operations import dense_synops, energy_estimate_uj, macs, mean_density
from livesnn.infer.run import Result

LAST_RESULTS = 200  # percentiles are over so many
RATE_S = 2.0  # rates are means over so long
_CLOCKS_APART_US = 100_000  # between packets, the computer's and a source's: no jump back


@dataclass(frozen=True)
class Counts:
    """Where the events went since the source was opened.

    What a live source yielded and dropped itself = events + dropped + skipped + unread. This holds exactly once the
    session has stopped. Before that, some events are on their way between two threads.

    Attributes
    ----------
    events
        Reached the noise filter and then the network.
    dropped
        Lost, by the source or because the network was late.
    skipped
        Thrown away while a live source was paused.
    unread
        Waiting for the network, or left when it stopped.
    noise
        Where the events went that reached the noise filter.
    out_of_order, out_of_bounds
        Put in order of time, and left out because they lie outside the sensor.
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


class EventRate:
    """Events a second of stream time, over the last `RATE_S`. From any thread."""

    def __init__(self) -> None:
        self._packets: deque[tuple[int, int]] = deque()  # end of the packet µs, events
        self._events = 0  # of these packets
        self._epoch, self._arrived_s = 0, 0.0  # of the last one
        self._lock = threading.Lock()  # held for microseconds

    def add(self, packet: Packet) -> None:
        """Take in a packet, also an empty one: time goes by.

        Where a packet doesn't tell its time, time goes by as the clock does. Another epoch begins again.
        """
        events, t_us = packet.events, packet.now_us
        if events.size:
            t_us = int(events["t"][-1])
        with self._lock:
            if packet.epoch != self._epoch:
                self._forget()
                self._epoch = packet.epoch
            if self._packets:
                newest_us = self._packets[-1][0]
                if t_us is None:
                    t_us = newest_us + max(round((packet.arrived_s - self._arrived_s) * 1e6), 0)
                elif newest_us - _CLOCKS_APART_US < t_us:
                    t_us = max(t_us, newest_us)
                else:  # a jump back
                    self._forget()
            if t_us is None:
                return
            self._arrived_s = packet.arrived_s
            self._packets.append((t_us, events.size))
            self._events += events.size
            while self._packets[0][0] < t_us - RATE_S * 1e6:
                self._events -= self._packets.popleft()[1]

    def forget(self) -> None:
        """Begin again."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._packets.clear()
        self._events = 0

    @property
    def per_s(self) -> float:
        """Events a second; nan while unknown."""
        with self._lock:
            if len(self._packets) < 2 or self._packets[-1][0] <= self._packets[0][0]:
                return float("nan")
            begun_us, first = self._packets[0]
            # The first packet's events lie before its end, where the time begins.
            return (self._events - first) * 1e6 / (self._packets[-1][0] - begun_us)


class RollingStatistics:
    """Collects what happens, and makes a Statistics on request. From any thread."""

    def __init__(self) -> None:
        self._latencies: deque[tuple[float, float, float]] = deque(maxlen=LAST_RESULTS)
        self._densities: deque[npt.NDArray[np.float32]] = deque(maxlen=LAST_RESULTS)
        self._active: deque[int] = deque(maxlen=LAST_RESULTS)  # values of the frames other than 0
        self._flickers: deque[int] = deque(maxlen=LAST_RESULTS)
        self._card: ModelCard | None = None  # of the last result's network
        self._work: _Work | None = None  # of that network
        self.arrived = EventRate()  # of all events
        self.kept = EventRate()  # of those that the noise filter lets through
        self._answered_s: deque[float] = deque()
        self._lock = threading.Lock()  # held for microseconds

    def forget_packets(self) -> None:
        """Begin the rates of events again: the next packet is from elsewhere."""
        self.arrived.forget()
        self.kept.forget()

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
            events_per_s=self.arrived.per_s,
            kept_per_s=self.kept.per_s,
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
