"""Events become a picture: an exponential time surface in ON/OFF colours. Not here: what the network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from livesnn.errors import SourceError
from livesnn.events import EVENTS_DTYPE, Events, Resolution

Rgb = tuple[int, int, int]
LEVELS = 256
LARGEST_SENSOR = 4096
NEVER = np.iinfo(np.int64).min // 2  # far enough in the past, and `now - NEVER` doesn't wrap


@dataclass(frozen=True)
class Palette:
    """Colours, 0..255: nothing, an ON event and an OFF event at full brightness."""

    name: str
    background: Rgb
    on: Rgb
    off: Rgb

    def table(self) -> npt.NDArray[np.uint8]:
        """Return uint8 [2, LEVELS, 3]: OFF and ON from the background to full brightness."""
        ramp = np.linspace(0.0, 1.0, LEVELS)[:, None] ** 0.8  # lifts the tail of the decay out of the dark
        background = np.array(self.background, dtype=np.float64)
        rows = [background + ramp * (np.array(colour) - background) for colour in (self.off, self.on)]
        return np.rint(np.stack(rows)).astype(np.uint8)


# The first is the default: sky blue and orange of Okabe & Ito (2008) stay apart in every colour blindness.
PALETTES = {
    palette.name: palette
    for palette in (
        Palette("blue and orange", background=(11, 14, 20), on=(255, 176, 58), off=(72, 163, 245)),
        Palette("white and grey", background=(11, 14, 20), on=(245, 247, 250), off=(98, 110, 128)),
    )
}
DEFAULT_PALETTE = next(iter(PALETTES.values()))


class Accumulator:
    """Keeps each pixel's last event and paints it fading: brightness exp(−age / decay).

    Events outside the sensor are ignored here; the source counts them.

    Parameters
    ----------
    decay_us
        Age at which a pixel has faded to 1/e.

    Raises
    ------
    SourceError
        The sensor is larger than any: a picture would take all memory.
    """

    def __init__(
        self, resolution: Resolution, *, decay_us: float = 30_000.0, palette: Palette = DEFAULT_PALETTE
    ) -> None:
        if decay_us <= 0:
            raise ValueError(f"decay_us must be positive, not {decay_us}")
        if max(resolution) > LARGEST_SENSOR:
            raise SourceError(
                f"the recording claims a sensor of {resolution.width}×{resolution.height}, the window shows up to "
                f"{LARGEST_SENSOR}×{LARGEST_SENSOR}: is it damaged? (livesnn run decides without a picture)"
            )
        shape = (resolution.height, resolution.width)
        self.resolution = resolution
        self.decay_us = decay_us
        self._last_t = np.full(shape, NEVER, dtype=np.int64)
        self._last_p = np.zeros(shape, dtype=np.bool_)
        self._table = palette.table()

    def clear(self) -> None:
        """Forget every event: after a seek the old ones would lie in the future."""
        self._last_t.fill(NEVER)

    def add(self, packet: Events) -> None:
        """Take in a packet, time-ordered."""
        mark, _ = _kernels()
        mark(np.ascontiguousarray(packet, dtype=EVENTS_DTYPE), self._last_t, self._last_p)

    def picture(self, now_us: int) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], a fresh array, as seen at ``now_us``."""
        rgb = np.empty((*self._last_t.shape, 3), dtype=np.uint8)
        _, paint = _kernels()
        paint(self._last_t, self._last_p, now_us, self.decay_us, self._table, rgb)
        return rgb


def _mark(
    packet: Events,
    last_t: npt.NDArray[np.int64],
    last_p: npt.NDArray[np.bool_],
) -> None:
    height, width = last_t.shape
    for event in packet:
        if event.x < width and event.y < height:
            last_t[event.y, event.x] = event.t
            last_p[event.y, event.x] = event.p


def _paint(
    last_t: npt.NDArray[np.int64],
    last_p: npt.NDArray[np.bool_],
    now_us: int,
    decay_us: float,
    table: npt.NDArray[np.uint8],
    rgb: npt.NDArray[np.uint8],
) -> None:
    height, width = last_t.shape
    top = table.shape[1] - 1
    faded_us = decay_us * np.log(2.0 * top)  # beyond it the level rounds to 0: no exp needed
    for y in range(height):
        for x in range(width):
            age_us = max(now_us - last_t[y, x], 0)
            level = 0
            if age_us < faded_us:
                level = int(top * np.exp(-age_us / decay_us) + 0.5)
            polarity = 1 if last_p[y, x] else 0
            for channel in range(3):
                rgb[y, x, channel] = table[polarity, level, channel]


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., None]]:
    """Compile `_mark` and `_paint` on first use; they release the GIL."""
    import numba  # 0.5 s: not before the window is up

    packet = numba.types.Array(numba.from_dtype(EVENTS_DTYPE), 1, "C", readonly=True)
    last_t, last_p = numba.int64[:, ::1], numba.boolean[:, ::1]
    picture = numba.uint8[:, :, ::1]
    compile_mark = numba.njit(numba.void(packet, last_t, last_p), nogil=True, cache=True)
    compile_paint = numba.njit(
        numba.void(last_t, last_p, numba.int64, numba.float64, picture, picture), nogil=True, cache=True
    )
    return compile_mark(_mark), compile_paint(_paint)
