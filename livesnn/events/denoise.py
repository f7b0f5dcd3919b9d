"""The noise filter: hot pixels, a refractory time, and background activity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import (
    DISORDER_US,
    EVENTS_DTYPE,
    TIME_LIMIT_US,
    Events,
    Packet,
    Resolution,
    require_usual_size,
)

INTERVAL_US = 125_000  # A pixel's events are counted over this time while hot pixels are learned

TICK_US = 10_000  # While no event is kept, the time that has passed is reported at least this often

NEVER = -TIME_LIMIT_US
NEWEST, REPORTED, INTERVAL_END, INTERVALS_LEFT = range(4)  # Of a clock
KEPT, HOT, REFRACTORY, ISOLATED, OUTSIDE = range(5)
"""What becomes of an event, in the order of `DenoiseCounts` but for its first."""

LEARN_INTERVALS = 8  # Hot pixels are learned in so many intervals: a second of a stream's time

_HOT_IN = 6  # of these intervals
_HOT_TIMES = 5  # as many events as the mean of its eight neighbours
_Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DenoiseSpec:
    """What is noise. The three criteria apply in this order; 0 leaves one out."""

    # A pixel is hot that makes at least so many events a second, and five times as many as its eight
    # neighbours do on average, in 6 of the 8 intervals in which it is learned. Things that move make
    # neighbours busy and stay nowhere, so that a waving hand makes no hot pixels.
    hot_hz: float = 20.0
    # An event is dropped that comes earlier than this after the last one of its pixel that wasn't
    refractory_us: int = 200
    # An event is isolated, and dropped, if none of its eight neighbours had one less than so many µs ago, of
    # either polarity: Delbruck 2008 ("Frame-free dynamic digital vision"). Isolated events count as activity;
    # those of hot pixels, or dropped by the refractory time, don't.
    activity_us: int = 10_000


class DenoiseCounts(NamedTuple):
    """Where the events went: ``events`` that came = ``kept`` + the others. ``outside``: of the sensor."""

    events: int = 0
    hot: int = 0
    refractory: int = 0
    isolated: int = 0
    outside: int = 0

    @property
    def dropped(self) -> int:
        return self.hot + self.refractory + self.isolated + self.outside

    @property
    def kept(self) -> int:
        return self.events - self.dropped

    def summary(self) -> dict[str, int]:
        return {**self._asdict(), "kept": self.kept}


class DenoiseState:
    """All that `denoise` remembers of a stream, 14 bytes a pixel, and changes in place.

    Raises as `require_usual_size`.
    """

    def __init__(self, resolution: Resolution) -> None:
        require_usual_size(resolution)
        self.resolution = resolution
        width, height = resolution
        size = (width + 2) * (height + 2)  # with a border, so that every pixel has neighbours
        self._last_us: _Whole = np.full(size, NEVER)
        self._rates = np.zeros(size, np.int32)  # events in this interval
        self._strikes = np.zeros(size, np.uint8)  # intervals in which it was hot
        self._hot = np.zeros(size, np.bool_)
        self._clock: _Whole = np.array((NEVER, NEVER, NEVER, LEARN_INTERVALS))
        self._counts: _Whole = np.zeros(5, np.int64)
        self._learn_again = False

    @property
    def counts(self) -> DenoiseCounts:
        kept, *dropped = self._counts.tolist()
        return DenoiseCounts(kept + sum(dropped), *dropped)

    @property
    def learning(self) -> bool:
        """Whether hot pixels are being learned: from the first event, or the last `learn_again`, for a second."""
        return bool(self._clock[INTERVALS_LEFT])

    @property
    def now_us(self) -> int | None:
        """The newest event's time; None before the first."""
        newest_us = int(self._clock[NEWEST])
        return None if newest_us == NEVER else newest_us

    @property
    def hot(self) -> npt.NDArray[np.bool_]:
        """Which pixels are hot, bool [H, W], a copy."""
        return self._inside(self._hot).copy()

    def _inside(self, pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return pixels.reshape(self.resolution.height + 2, -1)[1:-1, 1:-1]

    def forget(self) -> None:
        """Take the next event as the first of another part of the stream, as after a seek; hot pixels stay."""
        self._clock[NEWEST] = NEVER

    def learn_again(self) -> None:
        """Learn hot pixels from the next event on, and drop those known until then; may be called from any thread."""
        self._learn_again = True

    def read(self, packet: Events, position: int, kept: Events, spec: DenoiseSpec) -> tuple[int, int]:
        """Filter a packet from ``position`` on; return where it stopped, and how many events are in ``kept``."""
        if self._learn_again:
            self._learn_again = False
            self._strikes.fill(0)
            self._clock[INTERVAL_END:] = NEVER, LEARN_INTERVALS
        stopped, count = kernel()(
            packet, position, kept, *self.resolution, self._last_us, self._rates, self._hot, self._clock,
            self._counts, spec.refractory_us, spec.activity_us,
        )  # fmt: skip
        if self.learning and stopped < packet.size and packet["t"][stopped] >= self._clock[INTERVAL_END]:
            self._end_interval(int(packet["t"][stopped]), spec)
        return stopped, count

    def _end_interval(self, t_us: int, spec: DenoiseSpec) -> None:
        """Judge every pixel by the interval that has ended, if one had begun, and begin another."""
        if self._clock[INTERVAL_END] != NEVER:
            rates = self._rates.reshape(-1, self.resolution.width + 2)
            struck = stand_out(rates, max(spec.hot_hz * INTERVAL_US / 1e6, 1)) & (spec.hot_hz > 0)
            self._strikes.reshape(rates.shape)[1:-1, 1:-1] += struck
            self._clock[INTERVALS_LEFT] -= 1
            if not self.learning:
                np.greater_equal(self._strikes, _HOT_IN, out=self._hot)
        self._rates.fill(0)
        self._clock[INTERVAL_END] = t_us + INTERVAL_US


def stand_out(counts: npt.NDArray[np.integer], least: float) -> npt.NDArray[np.bool_]:
    """Return which pixels [H, W] are hot, by counts with a border of zeros, [H + 2, W + 2]."""
    own = counts[1:-1, 1:-1]
    rows = counts[:-2] + counts[1:-1] + counts[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - own
    return (own >= least) & (8 * own >= _HOT_TIMES * around)


def denoise(events: Events, state: DenoiseState, spec: DenoiseSpec) -> Iterator[tuple[Events, int | None]]:
    """Yield the events that are kept, with the stream time that has passed (`Packet.now_us`).

    There is one piece, or more where TICK_US went by without an event to keep. How a stream was split into packets
    changes no event. With the pieces' times it changes no frame either, of models whose window is longer than
    TICK_US. Without the times, a scene with nothing but noise would be a jump in time. A time is None while all
    events have been outside the sensor.

    The first event is always kept, as is the first after a jump back in time (as the `Slicer` sees it): frames begin
    there, with the filter as without. Until hot pixels are learned, no pixel is hot. Kept events have the times they
    came with. An event out of order is judged as if it came at the newest one's time.

    ``state`` is changed.
    """
    position = 0
    while position < events.size:
        kept = np.empty(events.size - position, EVENTS_DTYPE)
        position, count = state.read(events, position, kept, spec)
        kept.resize(count, refcheck=False)  # in place: what isn't needed is given back
        yield kept, state.now_us


SPEC = DenoiseSpec()


def denoise_packets(
    packets: Iterable[Packet],
    state: DenoiseState,
    *,
    enabled: Callable[[], bool] = lambda: True,
    epoch: int | None = None,
) -> Iterator[Packet]:
    """Yield packets without their noise.

    A packet may come in several pieces, and empty ones come too: their `now_us` tells that time goes by. ``state`` is
    changed. ``enabled`` is called once a packet; False lets it pass as it is. ``epoch``: of the packet before.
    """
    for packet in packets:
        if epoch != (epoch := packet.epoch):
            state.forget()
        if not packet.events.size or not enabled():
            yield packet
            continue
        *pieces, (last, now_us) = denoise(packet.events, state, SPEC)
        for events, passed_us in pieces:
            yield packet._replace(events=events, now_us=passed_us)
        passed = [t_us for t_us in (now_us, packet.now_us) if t_us is not None]
        yield packet._replace(events=last, now_us=max(passed, default=None))


def _filter(  # type: ignore[no-untyped-def]
    events, position, kept, width, height, last_us, rates, hot, clock, counts, refractory_us, activity_us
):
    """Fill ``kept``; return the index of the first event not read, and how many are kept. See `DenoiseState`."""
    n_kept = 0
    newest, reported = clock[NEWEST], clock[REPORTED]
    learning = clock[INTERVALS_LEFT] > 0
    while position < events.size:
        event = events[position]
        t, x, y = event.t, np.int64(event.x), np.int64(event.y)
        if x >= width or y >= height:
            position += 1
            counts[OUTSIDE] += 1
            continue
        jumps = newest - t > DISORDER_US
        if newest > reported and (jumps or t - reported > TICK_US):
            break  # so that the time of the event before is reported
        begins = jumps or newest == NEVER
        if begins:
            newest = t
            last_us[:] = NEVER
            rates[:] = 0
            clock[INTERVAL_END] = t + INTERVAL_US
        elif learning and t >= clock[INTERVAL_END]:
            break
        position += 1
        newest = t = max(newest, t)
        pixel = (y + 1) * (width + 2) + x + 1
        if learning:
            rates[pixel] += 1
        why = _judge(t, pixel, width + 2, last_us, hot, begins, refractory_us, activity_us)
        counts[why] += 1
        if why == KEPT:
            kept[n_kept] = event
            n_kept += 1
            reported = t
    clock[NEWEST] = clock[REPORTED] = newest
    return position, n_kept


def _judge(t, pixel, stride, last_us, hot, begins, refractory_us, activity_us):  # type: ignore[no-untyped-def]
    """Return what becomes of an event; note that its pixel was active."""
    if begins:
        last_us[pixel] = t
        return KEPT
    if hot[pixel]:
        return HOT
    if t - last_us[pixel] < refractory_us:
        return REFRACTORY
    last_us[pixel] = t
    up, down = pixel - stride, pixel + stride
    around = max(
        last_us[up - 1], last_us[up], last_us[up + 1], last_us[pixel - 1], last_us[pixel + 1],
        last_us[down - 1], last_us[down], last_us[down + 1],
    )  # fmt: skip
    return ISOLATED if activity_us and t - around >= activity_us else KEPT


@cache
def kernel() -> Callable[..., tuple[int, int]]:
    """Compile `_filter` on first use, for any packet, strided or read-only too; it releases the GIL."""
    import numba
    from numba.extending import register_jitable

    from livesnn.compiled import njit

    register_jitable(inline="always")(_judge)  # a call costs a tenth of the speed
    event = numba.from_dtype(EVENTS_DTYPE)
    packet = numba.types.Array(event, 1, "A", readonly=True)
    whole, times = numba.int64, numba.int64[::1]
    signature = numba.types.UniTuple(whole, 2)(
        packet, whole, event[::1], whole, whole, times, numba.int32[::1], numba.boolean[::1], times, times,
        whole, whole,
    )  # fmt: skip
    return njit(signature, nogil=True, cache=True)(_filter)
