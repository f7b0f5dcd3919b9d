"""Columns of numbers as events: which column is which, the unit of time, the sensor, what can't be an event.

Shared by .npz, text and HDF5. Not here: where the columns come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from livesnn.errors import FormatError
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution

AXES = ("t", "x", "y", "p")
MAX_COORDINATE = 32767
UNUSABLE = 0xFFFF
"""The x of an event with a value that no event can have: it lies outside of every sensor, and is dropped as such."""

SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS = "s", "ms", "µs", "ns"
POWER = {SECONDS: 6, MILLISECONDS: 3, MICROSECONDS: 0, NANOSECONDS: -3}
"""What a unit is in µs, as a power of ten."""

Numbers = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

_MOST = 0.95  # of a sample
_JUMPS = 3  # of time, in a sample
_FEW = 100  # fewer events say nothing of their rate
_SLOWEST, _FASTEST = 100.0, 2e8  # events/s that a recording plausibly has
_SURELY_MICROSECONDS = 1000.0  # events/s; as ns it would be a million
_EPOCH_S = (9.4e8, 4.2e9)  # a clock of the years 2000 to 2100
_NAMES = {
    "t": r"t|ts|times?|timestamps?",
    "x": r"x|xs|x_?coord(?:inate)?s?",
    "y": r"y|ys|y_?coord(?:inate)?s?",
    "p": r"p|ps|pols?|polarity|polarities",
}
_UNITS = {
    SECONDS: r"s|secs?|seconds?",
    MILLISECONDS: r"ms|msecs?|milliseconds?",
    MICROSECONDS: r"us|µs|μs|usecs?|microseconds?",
    NANOSECONDS: r"ns|nsecs?|nanoseconds?",
}
_UNIT = re.compile("|".join(f"({pattern})" for pattern in _UNITS.values()))
_NAME = re.compile("|".join(f"({pattern})" for pattern in _NAMES.values()))


class ColumnNames(NamedTuple):
    """``by_axis`` maps t, x, y, p to the column's own name; ``unit`` is t's, or None where its name doesn't say."""

    by_axis: dict[str, str]
    unit: str | None

    @property
    def missing(self) -> list[str]:
        """Which of t, x, y, p have no column."""
        return [axis for axis in AXES if axis not in self.by_axis]


class TimeSample(NamedTuple):
    """What the beginning of a recording says of the unit of its times.

    ``n`` events take ``span`` of the unknown unit, and lie about ``middle``; ``decimals`` is 0 for whole numbers, 3
    for thousandths and 6 for finer ones; ``thousands`` says whether all are whole thousands.
    """

    n: int
    span: float
    middle: float
    decimals: int
    thousands: bool = False


def parse_size(width: str, height: str, *, most: int = MAX_COORDINATE + 1) -> Resolution | None:
    """Return the sensor's size that two texts say; None where they aren't numbers from 1 to ``most``."""
    if not all(re.fullmatch(r"\d{1,5}", side) and 0 < int(side) <= most for side in (width, height)):
        return None
    return Resolution(int(width), int(height))


def unit_named(text: str) -> str | None:
    """Return the unit that a text such as "us" or "Seconds" means; None for any other."""
    found = _UNIT.fullmatch(text.strip().lower())
    return None if found is None else tuple(_UNITS)[(found.lastindex or 1) - 1]


def find_columns(names: Iterable[str]) -> ColumnNames:
    """Return which of some columns are t, x, y and p: the first of each that is called so.

    A unit may follow the name of t: ``t_us``, ``timestamp [ns]``, ``time (s)``.
    """
    by_axis: dict[str, str] = {}
    unit = None
    for name in names:
        plain, _, said = re.sub(r"[\s_\-(\[]+([a-zµμ]+)[)\]]?$", r"|\1", name.strip().lower()).partition("|")
        of_time = unit_named(said) if said else None
        found = _NAME.fullmatch(plain if of_time else name.strip().lower())
        axis = None if found is None else AXES[(found.lastindex or 1) - 1]
        if axis is None or axis in by_axis or (of_time and axis != "t"):
            continue
        by_axis[axis] = name
        unit = of_time if axis == "t" else unit
    return ColumnNames(by_axis, unit)


def take_sample(
    values: npt.NDArray[np.float64], whole: Mask, thousandths: Mask, thousands: Mask
) -> TimeSample:
    """Return what times [N], in their order, say: which are whole, whole thousandths, and whole thousands is known.

    A few that are damaged, and a few jumps or long pauses, don't count.
    """
    if not values.size:
        return TimeSample(0, 0.0, 0.0, 0)
    steps = np.sort(np.abs(np.diff(values)))
    span = float(steps[: max(steps.size - _JUMPS, 0)].sum())
    decimals = 0 if whole.mean() >= _MOST else 3 if thousandths.mean() >= _MOST else 6
    return TimeSample(values.size, span, float(np.median(values)), decimals, bool(thousands.mean() >= _MOST))


def sample_times(t: Numbers) -> TimeSample:
    """Return what times [N] in an unknown unit say of it; those that aren't finite say nothing."""
    values = t.astype(np.float64)
    values = values[np.isfinite(values) & (np.abs(values) < TIME_LIMIT_US * 1000.0)]
    rest = np.abs(values * 1000 - np.rint(values * 1000))
    thousandths = rest <= 1e-3 + 1e-12 * np.abs(values)
    return take_sample(values, values == np.rint(values), thousandths, values % 1000 == 0)


def clock_unit(sample: TimeSample) -> str | None:
    """Return the unit of times that are of a clock, since 1970; None where they aren't."""
    for unit in (MICROSECONDS, NANOSECONDS) if sample.decimals == 0 else (SECONDS, MILLISECONDS):
        low, high = (limit * 10.0 ** (6 - POWER[unit]) for limit in _EPOCH_S)
        if low <= sample.middle <= high and (unit != SECONDS or sample.decimals):
            return unit
    return None


def tell_unit(sample: TimeSample) -> str | None:
    """Return the unit of a recording's times; None where it can't be told.

    Whole numbers are µs unless they are a clock's ns, too many a second, or so few that they may be ns. Fractions are
    seconds, unless thousandths of them may be ms with µs. 100 to 2·10⁸ events a second are taken for plausible.
    """
    if (unit := clock_unit(sample)) is not None:
        return unit
    few = sample.n < _FEW or sample.span <= 0
    if few:
        return {0: MICROSECONDS, 3: None, 6: SECONDS}[sample.decimals]
    rate = sample.n / sample.span
    per_s = {unit: rate * 10.0 ** (6 - power) for unit, power in POWER.items()}
    if sample.decimals == 0:
        return _tell_whole(sample, per_s)
    plausible = [unit for unit in (SECONDS, MILLISECONDS) if _SLOWEST <= per_s[unit] <= _FASTEST]
    if sample.decimals == 6 and SECONDS in plausible:
        return SECONDS
    return plausible[0] if len(plausible) == 1 and sample.decimals == 3 else None


def _tell_whole(sample: TimeSample, per_s: Mapping[str, float]) -> str | None:
    if _SURELY_MICROSECONDS <= per_s[MICROSECONDS] <= _FASTEST:
        return MICROSECONDS
    if per_s[MICROSECONDS] > _FASTEST:
        return MILLISECONDS if per_s[MILLISECONDS] <= _FASTEST else None
    return NANOSECONDS if sample.thousands and _SLOWEST <= per_s[NANOSECONDS] <= _FASTEST else None


def require_unit(path: Path, sample: TimeSample, how: str) -> tuple[str, str]:
    """Return (the unit of times, the warning that it was assumed); raises FormatError where it can't be told.

    Parameters
    ----------
    how
        How a person can say it: "name its column t_s, t_ms, t_us or t_ns".
    """
    unit = tell_unit(sample)
    kind = {0: "whole numbers", 3: "thousandths", 6: "fractions"}[sample.decimals]
    if unit is None:
        raise FormatError(
            f"{path}: can't tell the unit of its times ({kind}, {sample.n:,} events in {sample.span:,.6g}): {how}"
        )
    return unit, f"the file doesn't give the unit of its times: {unit} assumed ({kind})"


def microseconds(t: Numbers, unit: str) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return (times [N] in µs, which of them are sound): the others are not finite, or beyond ± TIME_LIMIT_US."""
    power = POWER[unit]
    if t.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(t.astype(np.float64) * 10.0**power)
            sound = np.abs(scaled) < TIME_LIMIT_US  # False for nan
        return np.where(sound, scaled, 0).astype(np.int64), sound
    limit = (TIME_LIMIT_US - 1) // 10 ** max(power, 0)
    if t.dtype.itemsize <= 4 and power == 0:
        return t.astype(np.int64), np.ones(t.size, np.bool_)
    if t.dtype == np.int64 and power == 0 and t.size and t.min() >= -limit and t.max() <= limit:
        return t.astype(np.int64), np.ones(t.size, np.bool_)  # as nearly always: two quick looks
    sound = np.asarray(t <= min(limit, np.iinfo(np.int64).max))
    sound &= np.asarray(t >= -limit) if t.dtype.kind == "i" else True
    whole = np.where(sound, t, 0).astype(np.int64)
    return (whole * 10**power if power >= 0 else (whole + 10**-power // 2) // 10**-power), sound


def events_of_columns(columns: Mapping[str, Numbers], unit: str, offset_us: int = 0) -> Events:
    """Return columns t, x, y, p, of numbers [N] each, as events; one that can't be one has an x of UNUSABLE.

    x and y are whole, 0..MAX_COORDINATE; p is 0 or -1 (OFF), or 1 (ON). ``offset_us`` is added to the times.
    """
    t, sound = microseconds(columns["t"], unit)
    pixels = [columns[axis] for axis in ("x", "y", "p")]
    if all(column.dtype.kind in "iub" and column.dtype != np.uint64 for column in pixels):
        events = np.empty(t.size, EVENTS_DTYPE)
        _write_events(t, sound, *_whole(pixels), offset_us, events)
        return events
    events = np.zeros(t.size, EVENTS_DTYPE)
    for axis in ("x", "y"):
        column = columns[axis]
        inside = np.greater_equal(column, 0) & np.less_equal(column, MAX_COORDINATE)
        kept = np.where(inside, column, 0)
        if column.dtype.kind == "f":
            inside &= np.asarray(kept == np.rint(kept))
        sound &= inside
        events[axis] = kept
    p = columns["p"]
    events["p"] = np.equal(p, 1)
    sound &= np.isin(p, (-1, 0, 1) if p.dtype.kind != "u" else (0, 1))
    events["t"] = t + offset_us
    events["x"][~sound] = UNUSABLE
    return events


def _whole(pixels: Sequence[Numbers]) -> list[npt.NDArray[np.integer]]:
    """Return x, y, p as `_write_events` is compiled for: as they nearly always are, or else all in 64 bits."""
    x, y, p = pixels
    if x.dtype == y.dtype == np.uint16 and p.dtype in (np.uint8, np.bool_):
        return [np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(p).view(np.uint8)]
    return [np.ascontiguousarray(column, np.int64) for column in pixels]


@njit(nogil=True, cache=True)
def _write_events(
    t: npt.NDArray[np.int64],
    sound: Mask,
    x: npt.NDArray[np.integer],
    y: npt.NDArray[np.integer],
    p: npt.NDArray[np.integer],
    offset_us: int,
    events: Events,
) -> None:
    for i in range(t.size):
        inside = (y[i] >= 0) & (y[i] <= MAX_COORDINATE)
        good = sound[i] & inside & (x[i] >= 0) & (x[i] <= MAX_COORDINATE) & (p[i] >= -1) & (p[i] <= 1)
        events[i].t, events[i].p = t[i] + offset_us, p[i] == 1
        events[i].x, events[i].y = x[i] if good else UNUSABLE, y[i] if inside else 0


def require_polarity(path: Path, p: Numbers) -> None:
    """Raise FormatError when more than a tenth of the first polarities are none, as of a file with 1 and 2."""
    strange = ~np.isin(p, (-1, 0, 1))
    if (count := np.count_nonzero(strange)) > p.size // 10:
        raise FormatError(
            f"{path}: {count:,} of the first {p.size:,} events have a p that isn't 0 and 1 or -1 and 1, "
            f"such as {p[strange][0]}: convert it"
        )


def judge(path: Path, events: Events, size: Resolution | None) -> None:
    """Raise FormatError when most of the first events of a file can't be events, or lie outside of its sensor."""
    bad = int(np.count_nonzero(events["x"] == UNUSABLE))
    if bad > events.size - bad:
        raise FormatError(
            f"{path}: {bad:,} of the first {events.size:,} events have an x or y that isn't whole and within "
            f"0..{MAX_COORDINATE}, a p that isn't 0 and 1 or -1 and 1, or no time: check its columns"
        )
    if size is None:
        return
    outside = int(np.count_nonzero((events["x"] >= size.width) | (events["y"] >= size.height)))
    if outside > events.size - outside:
        raise FormatError(
            f"{path}: {outside:,} of the first {events.size:,} events are outside of the sensor's "
            f"{size.width}×{size.height} pixels: the file is damaged, or its size is of another camera: correct it"
        )
