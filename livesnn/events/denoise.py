"""Noise out of a stream of events: hot pixels, a refractory time, background activity. Packets in, kept events out.

`livesnn bench denoise`, ten simulated people of 4 s on 128×128, mean (least to most): among shot noise of 0.3 Hz a
pixel, leak of 0.1 Hz and 0.2 % hot pixels of 50 Hz, 94 % of the noise is dropped (92-96) and 88 % of the signal kept
(70-96); of 1 Hz 89 % (87-91) and 88 % (72-96); of 5 Hz 65 % (64-67) and 91 % (80-97). Of the hot pixels 93, 92 and
76 % are found, and none that isn't. All three together, in one core's processor time on a busy machine (AMD EPYC):
64, 34 and 18 Mev/s on 128×128, 640×480 and 1280×720, where what is remembered doesn't fit into the cache.

Not here: a source whose packets go through it (denoised.py), putting times and coordinates right (formats/tidy.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events import EVENTS_DTYPE, Events, Resolution, as_events, require_usual_size
from livesnn.events.denoise_kernel import INTERVAL_END, INTERVAL_US, INTERVALS_LEFT, NEVER, NEWEST, kernel

LEARN_INTERVALS = 8
"""Hot pixels are learned in so many intervals: a second of a stream's time."""

_HOT_IN = 6  # of these intervals
_HOT_TIMES = 5  # as many events as the mean of its eight neighbours
_Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DenoiseSpec:
    """What is noise. An event is asked the three questions in this order; 0 leaves one out.

    Attributes
    ----------
    hot_hz
        A pixel is hot that makes at least so many events a second, and five times as many as its eight neighbours
        do on average, in 6 of the 8 intervals in which it is learned. Things that move make neighbours busy and
        stay nowhere, so that a waving hand makes no hot pixels.
    refractory_us
        An event is dropped that comes earlier than this after the last one of its pixel that wasn't.
    activity_us
        An event is isolated, and dropped, if none of its eight neighbours had one less than so many µs ago, of either
        polarity: Delbruck 2008 ("Frame-free dynamic digital vision"). Isolated events count as activity; those of
        hot pixels, or dropped by the refractory time, don't.
    """

    hot_hz: float = 20.0
    refractory_us: int = 200
    activity_us: int = 10_000

    def __post_init__(self) -> None:
        if min(self.hot_hz, self.refractory_us, self.activity_us) < 0:
            raise SourceError(f"{self}: rates and times can't be negative: give 0 to leave a filter out")


class DenoiseCounts(NamedTuple):
    """Where the events went: ``events`` that came = ``kept`` + the others. ``outside``: of the sensor."""

    events: int = 0
    hot: int = 0
    refractory: int = 0
    isolated: int = 0
    outside: int = 0

    @property
    def dropped(self) -> int:
        """All that wasn't kept."""
        return self.hot + self.refractory + self.isolated + self.outside

    @property
    def kept(self) -> int:
        """Events handed on."""
        return self.events - self.dropped

    def summary(self) -> dict[str, int]:
        """Return all of them by name, for JSON."""
        return {**self._asdict(), "kept": self.kept}


class DenoiseState:
    """All that `denoise` remembers of a stream, 14 bytes a pixel. Whoever has it owns it; `denoise` changes it.

    It isn't returned anew like other states: copying it would take longer than a packet's filtering.
    ``times_learned``: how often hot pixels have been learned to the end. Raises as `require_usual_size`.
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
        self.times_learned = 0

    @property
    def counts(self) -> DenoiseCounts:
        """Since it was made."""
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

    def know(self, hot: npt.NDArray[np.bool_]) -> None:
        """Take these pixels for hot, bool [H, W], in place of learning them: before the first event."""
        self._inside(self._hot)[:] = hot
        self._clock[INTERVALS_LEFT] = 0

    def _inside(self, pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return pixels.reshape(self.resolution.height + 2, -1)[1:-1, 1:-1]

    def forget(self) -> None:
        """Take the next event as the first of another part of the stream, as after a seek; hot pixels stay."""
        self._clock[NEWEST] = NEVER

    def learn_again(self) -> None:
        """Learn hot pixels from the next event on; those known are dropped until it is done, and forgotten then.

        Of all the methods only this and the properties may be called from any thread.
        """
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
            rows = rates[:-2] + rates[1:-1] + rates[2:]
            around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - rates[1:-1, 1:-1]
            often = rates[1:-1, 1:-1] >= max(spec.hot_hz * INTERVAL_US / 1e6, 1)
            struck = often & (8 * rates[1:-1, 1:-1] >= _HOT_TIMES * around) & (spec.hot_hz > 0)
            self._strikes.reshape(rates.shape)[1:-1, 1:-1] += struck
            self._clock[INTERVALS_LEFT] -= 1
            if not self.learning:
                np.greater_equal(self._strikes, _HOT_IN, out=self._hot)
                self.times_learned += 1
        self._rates.fill(0)
        self._clock[INTERVAL_END] = t_us + INTERVAL_US


class Kept(NamedTuple):
    """What is left of a piece of a packet.

    Attributes
    ----------
    events
        EVENTS_DTYPE, maybe none.
    came
        How many events the piece had.
    now_us
        Stream time that has passed with it, for `Slicer.push`; None before the first event.
    """

    events: Events
    came: int
    now_us: int | None


def denoise(packet: Events, state: DenoiseState, spec: DenoiseSpec) -> Iterator[Kept]:
    """Yield what is left of a packet, in one piece, or in more where TICK_US went by without an event to keep.

    How a stream was split into packets changes no event. With the pieces' times it changes no frame either, of
    models whose window is longer than TICK_US; without them a scene with nothing but noise would be a jump in time.

    The first event is always kept, as is the first after time has jumped back (as the `Slicer` sees it): there
    frames begin, with the filters as without. Until they are learned, no pixel is hot. Kept events have the times
    they came with; an event out of order is judged as if it came at the newest one's.

    Parameters
    ----------
    packet
        EVENTS_DTYPE [N], maybe empty, or what `as_events` makes one of; raises SourceError when it isn't.
    state
        Of the stream so far; changed.
    """
    packet = as_events(packet)
    position = 0
    while position < packet.size:
        kept = np.empty(packet.size - position, EVENTS_DTYPE)
        stopped, count = state.read(packet, position, kept, spec)
        kept.resize(count, refcheck=False)  # in place: what isn't needed is given back
        came, position = stopped - position, stopped
        yield Kept(kept, came, state.now_us)
