"""What a gesture's events look like, as numbers, to tell a simulated from a real one. Not here: the report."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from livesnn.errors import DataError
from livesnn.events.packet import Events, Resolution

Array = npt.NDArray[np.float64]

BIN_US = 20_000
FEWEST = 50
"""Events of a bin that has a centre."""
BLOCK = 8
"""Edge in pixels of the blocks of which the quieter half is the background."""


def fingerprint(events: Events, resolution: Resolution) -> dict[str, float]:
    """Return the statistics of a clip of a moving person.

    Returns
    -------
    Of all events ``rate_kev_s`` and its coefficient of variation over bins of 20 ms ``rate_cv``; ``on_share``; of the
    quieter half of blocks of 8×8 pixels ``background_hz`` a pixel; ``busiest_share``, the events of the busiest 5 %
    of pixels; in pixels the centre ``centre_x``, ``centre_y`` and standard deviation ``spread_x``, ``spread_y``; the
    median ``speed_px_s`` of the centre of a bin; between events of a pixel ``interval_ms`` (median),
    ``short_share`` (below 5 ms) and ``same_polarity`` (share that repeat the polarity).

    Raises
    ------
    DataError
        There are too few events to say anything.
    """
    duration_us = int(events["t"][-1] - events["t"][0]) if len(events) else 0
    if duration_us < 5 * BIN_US or len(events) < 10 * FEWEST:
        raise DataError(
            f"{len(events)} events in {duration_us} µs are too few to compare: take a longer clip"
        )
    counts = np.bincount(
        events["y"].astype(np.int64) * resolution.width + events["x"],
        minlength=resolution.width * resolution.height,
    )
    busiest = np.sort(counts)[::-1][: len(counts) // 20]
    x, y = events["x"].astype(np.float64), events["y"].astype(np.float64)
    return {
        "rate_kev_s": len(events) / duration_us * 1e3,
        "rate_cv": _rate_cv(events),
        "on_share": float(events["p"].mean()),
        "background_hz": _background_hz(counts.reshape(resolution.height, resolution.width), duration_us),
        "busiest_share": float(busiest.sum() / counts.sum()),
        "centre_x": float(x.mean()),
        "centre_y": float(y.mean()),
        "spread_x": float(x.std()),
        "spread_y": float(y.std()),
        "speed_px_s": _speed_px_s(events, x, y),
        **_intervals(events, resolution),
    }


def rate_over_time(events: Events) -> Array:
    """Return events a second, float64, of each whole bin of `BIN_US`."""
    number = (events["t"] - events["t"][0]) // BIN_US
    return np.bincount(number)[:-1] / BIN_US * 1e6


def _rate_cv(events: Events) -> float:
    rate = rate_over_time(events)
    return float(rate.std() / rate.mean())


def _background_hz(counts: npt.NDArray[np.int64], duration_us: int) -> float:
    rows, columns = (size // BLOCK for size in counts.shape)
    blocks = (
        counts[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).sum((1, 3)).ravel()
    )
    quiet = np.sort(blocks)[: len(blocks) // 2]
    return float(quiet.mean() / BLOCK**2 / duration_us * 1e6)


def _speed_px_s(events: Events, x: Array, y: Array) -> float:
    number = (events["t"] - events["t"][0]) // BIN_US
    count = np.bincount(number)
    centre = np.stack([np.bincount(number, each) for each in (x, y)], axis=1) / np.maximum(count, 1)[:, None]
    step = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    known = (count[1:] >= FEWEST) & (count[:-1] >= FEWEST)
    return float(np.median(step[known]) / BIN_US * 1e6) if known.any() else 0.0


def _intervals(events: Events, resolution: Resolution) -> dict[str, float]:
    pixel = events["y"].astype(np.int64) * resolution.width + events["x"]
    order = np.argsort(pixel, kind="stable")  # events are in order of time
    same_pixel = np.diff(pixel[order]) == 0
    interval_ms = np.diff(events["t"][order])[same_pixel] / 1e3
    repeated = np.diff(events["p"][order].astype(np.int8))[same_pixel] == 0
    return {
        "interval_ms": float(np.median(interval_ms)),
        "short_share": float((interval_ms < 5).mean()),
        "same_polarity": float(repeated.mean()),
    }
