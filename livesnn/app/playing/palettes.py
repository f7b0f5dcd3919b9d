"""The colours events are shown in. Not here: the window's own (style.py), what becomes a picture (accumulator.py)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
