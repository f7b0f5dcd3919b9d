"""How events become a picture: palettes, the choice of a view, and the accumulator that paints it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution, require_usual_size

Rgb = tuple[int, int, int]
LIFT = 0.8  # exponent that lifts faint pixels out of the background


@dataclass(frozen=True)
class Palette:
    """Colours, 0..255.

    Attributes
    ----------
    background, on, off
        Of nothing, of an ON and of an OFF event at full brightness.
    between
        What both pass through on the way, from faint to bright, evenly spaced.
    """

    name: str
    background: Rgb
    on: Rgb
    off: Rgb
    between: tuple[Rgb, ...] = ()

    def shades(self, level: npt.NDArray[np.float64], *, on: bool) -> npt.NDArray[np.float64]:
        """Return the colours [..., 3], 0..255, of levels [...], 0 nothing .. 1 full brightness."""
        stops = np.array([self.background, *self.between, self.on if on else self.off], np.float64)
        at = np.linspace(0.0, 1.0, len(stops))
        return np.stack([np.interp(level**LIFT, at, stops[:, channel]) for channel in range(3)], axis=-1)

    @property
    def tells_polarity(self) -> bool:
        """Whether ON and OFF have colours of their own."""
        return self.on != self.off

    @property
    def ink(self) -> Rgb:
        """Of words and lines on the background: black or white."""
        return (0, 0, 0) if sum(self.background) > 384 else (255, 255, 255)


# The first is the default. Its orange and sky blue, as well as the darker pair of "white background", follow
# Okabe & Ito (2008) and stay apart in every colour blindness; "red and green", as in jAER, do not. In each
# palette ON and OFF differ in brightness too. "recency" is viridis (matplotlib, CC0) above a dark background.
PALETTES = {
    palette.name: palette
    for palette in (
        Palette("blue and orange", background=(11, 14, 20), on=(255, 176, 58), off=(72, 163, 245)),
        Palette("white and grey", background=(11, 14, 20), on=(245, 247, 250), off=(98, 110, 128)),
        Palette("red and green", background=(0, 0, 0), on=(40, 235, 60), off=(240, 35, 35)),
        Palette("white background", background=(252, 252, 250), on=(213, 94, 0), off=(0, 84, 158)),
        Palette(
            "recency",
            background=(11, 14, 20),
            between=((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98)),
            on=(253, 231, 37),
            off=(253, 231, 37),
        ),
    )
}
DEFAULT_PALETTE = next(iter(PALETTES.values()))


ViewMode = Literal["decay", "accumulate"]
Bytes = npt.NDArray[np.uint8]
NEVER_US = -(1 << 62)  # before any event (TIME_LIMIT_US)
FULL_COUNT = 2  # events of a pixel that make it as bright as it gets
AGES = 2048  # steps of age from an event to nothing: each less than a level of 255
FADE_US = 30_000
"""Time constant of what fades, and period of what is counted."""
FADED = 6.3  # times FADE_US: exp(−6.3) is less than half a level of 255
COUNTS = 64  # steps from no event to FULL_COUNT


@dataclass(frozen=True)
class ViewSpec:
    """How events are shown.

    Attributes
    ----------
    mode
        "decay": each pixel's last event, brightness exp(−age / FADE_US). "accumulate": its ON and OFF events of
        the last FADE_US, counted; FULL_COUNT of them are as bright as it gets.
    palette
        A name in PALETTES.

    Raises
    ------
    ValueError
        There is no such view.
    """

    mode: ViewMode = "decay"
    palette: str = DEFAULT_PALETTE.name

    def __post_init__(self) -> None:
        if self.mode not in get_args(ViewMode):
            raise ValueError(f"there is no view {self.mode!r}: choose one of {', '.join(get_args(ViewMode))}")
        if self.palette not in PALETTES:
            raise ValueError(f"there is no palette {self.palette!r}: choose one of {', '.join(PALETTES)}")


class Accumulator:
    """Keeps each pixel's last event and its counts, and paints either.

    Counts are those of the current period and of the one before, which fades out as the current one goes on, so
    that what moves steadily doesn't flicker; with no more events the current one fades out after its end.

    Events outside the sensor are ignored here; the source counts them.

    Raises
    ------
    SourceError
        The sensor is larger than any: a picture would take all memory.
    """

    def __init__(self, resolution: Resolution, view: ViewSpec = ViewSpec()) -> None:
        require_usual_size(resolution)
        shape = (resolution.height, resolution.width)
        self.resolution = resolution
        self._last = np.empty(shape, np.int64)  # 2 t + p
        self._counts = np.empty((2, *shape, 2), np.uint8)  # period (as `_slot` says), OFF and ON
        self.clear()
        self.set_view(view)

    @property
    def view(self) -> ViewSpec:
        """How events are shown now."""
        return self._look[0]

    def set_view(self, view: ViewSpec) -> None:
        """Show what there is another way from the next picture on; from any thread, in microseconds."""
        self._look = (view, _tables(view.palette))

    def clear(self) -> None:
        """Forget every event: after a seek the old ones would lie in the future."""
        self._last.fill(2 * NEVER_US)
        self._counts.fill(0)
        self._start_us, self._slot = NEVER_US, 0  # of the current period

    def add(self, packet: Events) -> None:
        """Take in a packet, time-ordered."""
        take, _, _ = _kernels()
        events = np.ascontiguousarray(packet, dtype=EVENTS_DTYPE)
        self._start_us, self._slot = take(
            events, self._last, self._counts, self._start_us, self._slot, FADE_US
        )

    def picture(self, now_us: int) -> Bytes:
        """Return uint8 [H, W, 3], a fresh array, as seen at ``now_us``."""
        view, (by_age, by_count) = self._look
        rgb = np.empty((*self._last.shape, 3), np.uint8)
        _, paint_ages, paint_counts = _kernels()
        if view.mode == "decay":
            paint_ages(self._last, now_us, FADED * FADE_US, by_age, rgb)
        else:
            periods = (now_us - self._start_us) / FADE_US
            newer, older = min(max(2 - periods, 0.0), 1.0), min(max(1 - periods, 0.0), 1.0)
            paint_counts(self._counts[self._slot], self._counts[1 - self._slot], newer, older, by_count, rgb)
        return rgb


@cache
def _tables(palette: str) -> tuple[Bytes, Bytes]:
    """Return colours by age, uint8 [2, AGES + 1, 3] (OFF, ON), and by counts, uint8 [COUNTS + 1 OFF, … ON, 3]."""
    colours = PALETTES[palette]
    levels = np.exp(-np.linspace(0.0, FADED, AGES + 1))
    levels[-1] = 0.0
    by_age = np.stack([colours.shades(levels, on=on) for on in (False, True)])
    off, on = np.meshgrid(*[np.linspace(0.0, 1.0, COUNTS + 1)] * 2, indexing="ij")
    total = np.minimum(off + on, 1.0)
    share = (on / np.maximum(off + on, 1e-9))[..., None]
    by_count = share * colours.shades(total, on=True) + (1 - share) * colours.shades(total, on=False)
    return np.rint(by_age).astype(np.uint8), np.rint(by_count).astype(np.uint8)


def _take(
    packet: Events, last: npt.NDArray[np.int64], counts: Bytes, start_us: int, slot: int, period_us: int
) -> tuple[int, int]:
    """Change ``last`` and ``counts`` in place; return when the current period began, and its index in counts."""
    height, width = last.shape
    for event in packet:
        elapsed_us = event.t - start_us
        if elapsed_us >= period_us or elapsed_us < -period_us:
            slot = 1 - slot
            counts[slot] = 0
            if 0 <= elapsed_us < 2 * period_us:
                start_us += period_us
            else:
                counts[1 - slot] = 0
                start_us = event.t
        if event.x < width and event.y < height:
            polarity = 1 if event.p else 0
            last[event.y, event.x] = 2 * event.t + polarity
            count = counts[slot, event.y, event.x, polarity]
            counts[slot, event.y, event.x, polarity] = count + (count < 255)
    return start_us, slot


def _paint_ages(
    last: npt.NDArray[np.int64], now_us: int, faded_us: float, colours: Bytes, rgb: Bytes
) -> None:
    height, width = last.shape
    steps = AGES / faded_us
    for y in range(height):
        for x in range(width):
            event = last[y, x]
            age_us = max(now_us - (event >> 1), 0)
            step = int(age_us * steps + 0.5) if age_us < faded_us else AGES
            for channel in range(3):
                rgb[y, x, channel] = colours[event & 1, step, channel]


def _paint_counts(
    newer: Bytes, older: Bytes, newer_weight: float, older_weight: float, colours: Bytes, rgb: Bytes
) -> None:
    height, width, _ = newer.shape
    newer_steps = newer_weight * COUNTS / FULL_COUNT
    older_steps = older_weight * COUNTS / FULL_COUNT
    for y in range(height):
        for x in range(width):
            off = min(int(newer[y, x, 0] * newer_steps + older[y, x, 0] * older_steps + 0.5), COUNTS)
            on = min(int(newer[y, x, 1] * newer_steps + older[y, x, 1] * older_steps + 0.5), COUNTS)
            for channel in range(3):
                rgb[y, x, channel] = colours[off, on, channel]


@cache
def _kernels() -> tuple[Callable[..., tuple[int, int]], Callable[..., None], Callable[..., None]]:
    """Compile on first use; they release the GIL."""
    import numba  # 0.5 s: not before the window is up

    packet = numba.types.Array(numba.from_dtype(EVENTS_DTYPE), 1, "C", readonly=True)
    whole, real, none = numba.int64, numba.float64, numba.void
    last, picture = numba.int64[:, ::1], numba.uint8[:, :, ::1]
    ends = numba.types.UniTuple(whole, 2)

    compile_take = numba.njit(
        ends(packet, last, numba.uint8[:, :, :, ::1], whole, whole, whole), nogil=True, cache=True
    )
    compile_ages = numba.njit(none(last, whole, real, picture, picture), nogil=True, cache=True)
    compile_counts = numba.njit(none(picture, picture, real, real, picture, picture), nogil=True, cache=True)
    return compile_take(_take), compile_ages(_paint_ages), compile_counts(_paint_counts)
