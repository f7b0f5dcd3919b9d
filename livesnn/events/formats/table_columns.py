"""From columns of numbers to events, for npz, text and hdf5: which column is t, x, y or p, and in which unit t is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.packet import EVENTS_DTYPE, TIME_LIMIT_US, Events, Resolution

AXES = ("t", "x", "y", "p")
MAX_COORDINATE = 32767
UNUSABLE = 0xFFFF
"""The x given to an event with an invalid value: it lies outside every sensor and is dropped for that."""

SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS = "s", "ms", "µs", "ns"
POWER = {SECONDS: 6, MILLISECONDS: 3, MICROSECONDS: 0, NANOSECONDS: -3}  # A unit in µs, as a power of ten

Numbers = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

_MOST = 0.95  # of a sample
_JUMPS = 3  # of time, in a sample
_FEW = 100  # fewer events don't show their rate
_SLOWEST, _FASTEST = 100.0, 2e8  # events/s that a recording plausibly has
_SURELY_MICROSECONDS = 1000.0  # events/s; as ns it would be a million
_EPOCH_S = (9.4e8, 4.2e9)  # seconds since 1970, in the years 2000 to 2100
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
# Looks at each character once: what begins within a row of separators is no other match.
_SUFFIX = re.compile(r"(?<![\s_\-(\[])[\s_\-(\[]+([a-zµμ]+)[)\]]?$")


class ColumnNames(NamedTuple):
    """``by_axis`` maps t, x, y, p to the column's own name; ``unit`` is t's, or None if its name doesn't give it."""

    by_axis: dict[str, str]
    unit: str | None

    @property
    def missing(self) -> list[str]:
        """Which of t, x, y, p have no column."""
        return [axis for axis in AXES if axis not in self.by_axis]


class TimeSample(NamedTuple):
    """What the beginning of a recording shows of the unit of its times.

    ``n`` events span ``span`` of the unknown unit, with the median time ``middle``. ``decimals`` is 0 for whole
    numbers, 3 for thousandths and 6 for finer fractions. ``thousands`` says whether all are whole thousands.
    """

    n: int
    span: float
    middle: float
    decimals: int
    thousands: bool = False


def parse_size(width: str, height: str, *, most: int = MAX_COORDINATE + 1) -> Resolution | None:
    """Return the sensor's size that two texts give; None if they aren't numbers from 1 to ``most``."""
    if not all(re.fullmatch(r"\d{1,5}", side) and 0 < int(side) <= most for side in (width, height)):
        return None
    return Resolution(int(width), int(height))


def unit_named(text: str) -> str | None:
    """Return the unit that a text such as "us" or "Seconds" means; None for any other."""
    found = _UNIT.fullmatch(text.strip().lower())
    return None if found is None else tuple(_UNITS)[(found.lastindex or 1) - 1]


def find_columns(names: Iterable[str]) -> ColumnNames:
    """Return which columns are t, x, y and p: the first with a usual name of each.

    A unit may follow the name of t: ``t_us``, ``timestamp [ns]``, ``time (s)``.
    """
    by_axis: dict[str, str] = {}
    unit = None
    for name in names:
        plain, _, suffix = _SUFFIX.sub(r"|\1", name.strip().lower()).partition("|")
        of_time = unit_named(suffix) if suffix else None
        found = _NAME.fullmatch(plain if of_time else name.strip().lower())
        axis = None if found is None else AXES[(found.lastindex or 1) - 1]
        if axis is None or axis in by_axis or (of_time and axis != "t"):
            continue
        by_axis[axis] = name
        unit = of_time if axis == "t" else unit
    return ColumnNames(by_axis, unit)


def take_sample(values: npt.NDArray[np.float64], whole: Mask, thousandths: Mask, thousands: Mask) -> TimeSample:
    """Return the sample of times [N] in their order, given which are whole, whole thousandths and whole thousands.

    A few damaged times, jumps and long pauses don't matter.
    """
    if not values.size:
        return TimeSample(0, 0.0, 0.0, 0)
    steps = np.sort(np.abs(np.diff(values)))
    span = float(steps[: max(steps.size - _JUMPS, 0)].sum())
    decimals = 0 if whole.mean() >= _MOST else 3 if thousandths.mean() >= _MOST else 6
    return TimeSample(values.size, span, float(np.median(values)), decimals, bool(thousands.mean() >= _MOST))


def sample_times(t: Numbers) -> TimeSample:
    """Return the sample of times [N] in an unknown unit; those that aren't finite are left out."""
    values = t.astype(np.float64)
    values = values[np.isfinite(values) & (np.abs(values) < TIME_LIMIT_US * 1000.0)]
    rest = np.abs(values * 1000 - np.rint(values * 1000))
    thousandths = rest <= 1e-3 + 1e-12 * np.abs(values)
    return take_sample(values, values == np.rint(values), thousandths, values % 1000 == 0)


def clock_unit(sample: TimeSample) -> str | None:
    """Return the unit of times that count from 1970; None if they don't."""
    for unit in (MICROSECONDS, NANOSECONDS) if sample.decimals == 0 else (SECONDS, MILLISECONDS):
        low, high = (limit * 10.0 ** (6 - POWER[unit]) for limit in _EPOCH_S)
        if low <= sample.middle <= high and (unit != SECONDS or sample.decimals):
            return unit
    return None


def infer_unit(sample: TimeSample) -> str | None:
    """Return the unit of a recording's times; None if it isn't clear.

    Whole numbers are µs, unless they are ns since 1970, the rate of events would be too high, or it would be so low
    that they may be ns. Fractions are seconds, unless they are thousandths that may be ms with µs. Rates of 100 to
    2·10⁸ events per second are plausible.
    """
    if (unit := clock_unit(sample)) is not None:
        return unit
    few = sample.n < _FEW or sample.span <= 0
    if few:
        return {0: MICROSECONDS, 3: None, 6: SECONDS}[sample.decimals]
    rate = sample.n / sample.span
    per_s = {unit: rate * 10.0 ** (6 - power) for unit, power in POWER.items()}
    if sample.decimals == 0:
        return _infer_whole(sample, per_s)
    plausible = [unit for unit in (SECONDS, MILLISECONDS) if _SLOWEST <= per_s[unit] <= _FASTEST]
    if sample.decimals == 6 and SECONDS in plausible:
        return SECONDS
    return plausible[0] if len(plausible) == 1 and sample.decimals == 3 else None


def _infer_whole(sample: TimeSample, per_s: Mapping[str, float]) -> str | None:
    if _SURELY_MICROSECONDS <= per_s[MICROSECONDS] <= _FASTEST:
        return MICROSECONDS
    if per_s[MICROSECONDS] > _FASTEST:
        return MILLISECONDS if per_s[MILLISECONDS] <= _FASTEST else None
    return NANOSECONDS if sample.thousands and _SLOWEST <= per_s[NANOSECONDS] <= _FASTEST else None


def require_unit(path: Path, sample: TimeSample, how: str) -> tuple[str, str]:
    """Return (the unit of times, the warning that it was assumed); raises FormatError if the unit isn't clear.

    ``how`` is what the user can do: "name its column t_s, t_ms, t_us or t_ns".
    """
    unit = infer_unit(sample)
    kind = {0: "whole numbers", 3: "thousandths", 6: "fractions"}[sample.decimals]
    if unit is None:
        raise FormatError(
            f"{path}: can't tell the unit of its times ({kind}, {sample.n:,} events in {sample.span:,.6g}): {how}"
        )
    return unit, f"the file doesn't give the unit of its times: {unit} assumed ({kind})"


def microseconds(t: Numbers, unit: str) -> tuple[npt.NDArray[np.int64], Mask]:
    """Return (times [N] in µs, which of them are valid): the others aren't finite, or are beyond ± TIME_LIMIT_US."""
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


def columns_to_events(columns: Mapping[str, Numbers], unit: str, offset_us: int = 0) -> Events:
    """Return columns t, x, y, p, numbers [N] each, as events; an invalid event gets an x of UNUSABLE.

    Valid are whole x and y from 0 to MAX_COORDINATE, and p of 0 or -1 (OFF) or 1 (ON). ``offset_us`` is added to the
    times.
    """
    t, sound = microseconds(columns["t"], unit)
    events = np.empty(t.size, EVENTS_DTYPE)
    x, y, p = (columns[axis] for axis in ("x", "y", "p"))
    if x.dtype == y.dtype == np.uint16 and p.dtype in (np.uint8, np.bool_):  # as usual: not converted
        x, y, p = np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(p).view(np.uint8)
    else:
        x, y, p = _whole(x), _whole(y), _whole(p)
    _write_events(t, sound, x, y, p, offset_us, events)
    return events


def _whole(column: Numbers) -> npt.NDArray[np.int64]:
    """Return numbers in 64 bits; -2, which is invalid, for those that aren't whole or are too large."""
    if column.dtype.kind in "iub" and column.dtype != np.uint64:
        return np.ascontiguousarray(column, np.int64)
    fits = np.greater_equal(column, -1) & np.less_equal(column, MAX_COORDINATE) & np.equal(column, np.rint(column))
    whole = np.full(column.size, -2)
    whole[fits] = column[fits]
    return whole


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


def require_plausible(path: Path, events: Events, size: Resolution | None) -> None:
    """Raise FormatError when a tenth of a file's first events are invalid, or most lie outside its sensor."""
    bad = int(np.count_nonzero(events["x"] == UNUSABLE))
    if bad > events.size // 10:
        raise FormatError(
            f"{path}: {bad:,} of the first {events.size:,} events have an x or y that isn't whole and within "
            f"0..{MAX_COORDINATE}, a p that isn't 0 and 1 or -1 and 1, or no time: check its columns"
        )
    if size is None:
        return
    outside = int(np.count_nonzero((events["x"] >= size.width) | (events["y"] >= size.height)))
    if outside > events.size - outside:
        raise FormatError(
            f"{path}: {outside:,} of the first {events.size:,} events are outside the sensor's {size.words} pixels: "
            "the file is damaged, or its size is another camera's: correct it"
        )
