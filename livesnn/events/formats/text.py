"""Text with one event per line (.csv, .txt), read in blocks; a header names the columns, or the numbers tell.

Columns are separated by commas, semicolons, tabs or spaces. Lines with # or % before the first row are comments,
which may name the columns (``# t_us x y p``) or the sensor's size (``%geometry:640,480``). Numbers are read exactly,
as a mantissa and a power of ten, so that no time loses a digit; numpy's and Python's parsers hold the GIL and read
large times as floats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.compiled import njit
from livesnn.errors import FormatError
from livesnn.events.formats.reader import EventStream
from livesnn.events.formats.shared_readers import BlockReader, LossyBlocks
from livesnn.events.formats.table_columns import (
    AXES,
    MAX_COORDINATE,
    MICROSECONDS,
    POWER,
    TimeSample,
    columns_to_events,
    find_columns,
    parse_size,
    require_plausible,
    require_unit,
    take_sample,
)
from livesnn.events.packet import TIME_LIMIT_US, Events, Resolution
from livesnn.files import BufferedFile, closed_on_error, file_head
from livesnn.untrusted import STREAMS

BLOCK_BYTES = 1 << 20
_LINE_BYTES = 1 << 12  # read beyond a block for its last line
_HEAD_BYTES = 1 << 16
_ORDERS = ("txyp", "xypt", "xytp")
_NAME_THEM = "name them after the file's name, in quotes: 'FILE?columns=t_us,x,y,p'"
_UNIT_TOO = "name its column t_s, t_ms, t_us or t_ns after the file's name, in quotes: 'FILE?columns=t_us,x,y,p'"
_MAX_DIGITS = 18
_MAX_EXPONENT = 400
_MINUS, _PLUS, _POINT, _ZERO, _NINE, _NEW_LINE, _RETURN = 45, 43, 46, 48, 57, 10, 13
_HASH, _PERCENT = 35, 37
_LOWER = 32  # the bit by which a small letter differs
_E, _F, _T = 101, 102, 116

Octets = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


class TextLayout(NamedTuple):
    """What the lines before the first row say; ``names`` is empty if they don't name the columns."""

    names: Sequence[str]
    columns: int
    start: int
    resolution: Resolution | None


def looks_like_text(path: Path, head: bytes) -> bool:
    """Return whether a file is text, and its first line that isn't a comment has numbers or names t, x and y."""
    if not is_text(head):
        return False
    lines = file_head(path, _HEAD_BYTES).decode("utf-8", "replace").split("\n")
    first = [line for line in lines if _is_content(line)][:2]
    if not first or not is_text("".join(first).encode()):
        return False
    return len(find_columns(_split_names(first[0])).by_axis) >= 3 or any(len(_numbers(line)) >= 3 for line in first)


def open_text(path: Path, *, columns: Sequence[str] = ()) -> BlockReader:
    """Open a text file of events.

    ``columns`` are the names of the columns from the left: t, x, y, p, and anything else for the others. t may be
    t_s, t_ms, t_us or t_ns. They override the file's header. If empty, the header names the columns; without one,
    they are inferred from the numbers with a warning.

    Raises FormatError when it isn't such a table, a column is missing, or it isn't clear what the columns or t's unit
    are.
    """
    with closed_on_error(BufferedFile(path)) as file:
        layout = _read_layout(file)
        names = columns or layout.names
        blocks = TextBlocks(file, layout.start, len(names) or layout.columns)
        sample = blocks.rows(0)
        good, bad = len(sample.mantissas), sample.bad_lines
        if bad > good:
            raise FormatError(
                f"{path}: {bad:,} of the first {good + bad:,} lines aren't {sample.mantissas.shape[1]} numbers "
                f"with decimal points: if it is a table of events, name all its columns"
            )
        blocks.order, blocks.unit, assumed = _find_meaning(file, names, sample)
        require_plausible(path, blocks.read(0), layout.resolution)
    stream = EventStream("events", "", layout.resolution)
    return BlockReader([(stream, blocks)], format_name="csv", warnings=assumed, release=file.close)


class TextBlocks(LossyBlocks):
    """The rows of a text file, in blocks of BLOCK_BYTES; see `Blocks`. A line belongs to where it begins."""

    def __init__(self, file: BufferedFile, start: int, columns: int) -> None:
        super().__init__(max(1, -(-(file.size - start) // BLOCK_BYTES)), "lines")
        self.order: Mapping[str, int] = {}
        self.unit = MICROSECONDS
        self._file = file
        self._start = start
        self._columns = columns

    def rows(self, number: int) -> Rows:
        """Return a block's rows."""
        start = self._start + number * BLOCK_BYTES
        before = 1 if number else 0
        window = bytes(self._file.view(start - before, before + BLOCK_BYTES + _LINE_BYTES))
        first = window.find(b"\n") + 1 if number else 0
        last = window.find(b"\n", before + BLOCK_BYTES - 1) + 1 or len(window)
        if number and not 0 < first <= BLOCK_BYTES:
            first = last  # no line begins here
        rows = read_rows(memoryview(window)[first:last], self._columns)
        if rows.bad_lines:
            at = start - before + first + rows.first_bad
            reason = f"they aren't {self._columns} numbers (the first at byte {at:,})"
            self.note_loss(number, rows.bad_lines, reason)
        return rows

    def read(self, number: int) -> Events:
        rows = self.rows(number)
        if not rows.exponents.any():
            return columns_to_events({axis: rows.mantissas[:, self.order[axis]] for axis in AXES}, self.unit)
        whole = {axis: rows.scaled(self.order[axis], 0) for axis in ("x", "y", "p")}
        columns = {axis: np.where(exact, values, -2) for axis, (values, exact) in whole.items()}
        columns["t"], _ = rows.scaled(self.order["t"], POWER[self.unit])
        return columns_to_events(columns, MICROSECONDS)


def is_text(octets: bytes) -> bool:
    """Return whether these bytes, at least one, are all of characters that text has."""
    return bool(octets) and re.search(rb"[\x00-\x08\x0e-\x1f\x7f]", octets) is None


def _is_content(line: str) -> bool:
    plain = line.strip().lstrip("\ufeff").strip()
    return plain != "" and plain[0] not in "#%"


def _numbers(line: str) -> list[str]:
    """Return a line's fields if all are numbers or truth values; otherwise none."""
    fields = re.findall(r"[^\s,;\"']+", line)
    sound = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|true|false", re.IGNORECASE)
    return fields if all(sound.fullmatch(field) for field in fields) else []


def _split_names(line: str) -> list[str]:
    plain = line.rstrip().lstrip(" \ufeff")
    if plain[:1] in ("#", "%"):
        plain = plain.lstrip("#% \t")  # otherwise a tab would follow a column without a name
    mark = next((mark for mark in ";,\t" if mark in plain), None)
    names = [name.strip().strip("\"'") for name in plain.split(mark)]
    return names[:-1] if names[-1:] == [""] else names


def _read_layout(file: BufferedFile) -> TextLayout:
    """Return what the lines before the first row say."""
    start, names, resolution = 0, list[str](), None
    fields, has_header = list[str](), False
    for line in bytes(file.view(0, _HEAD_BYTES)).splitlines(keepends=True):
        text = line.decode("utf-8", "replace")
        fields = _numbers(text.lstrip("\ufeff"))
        if not _is_content(text):
            size = re.search(r"geometry\W{1,3}(\d{1,5})\s*[,x]\s*(\d{1,5})", text)
            resolution = parse_size(size[1], size[2]) if size else resolution
            names = names if find_columns(_split_names(text)).missing else _split_names(text)
        elif len(fields) == 2 and resolution is None and not has_header:
            resolution = parse_size(*fields)  # as the text files of rpg_e2vid begin
        elif fields or has_header:
            break
        else:
            names, has_header = _split_names(text), True
        start += len(line)
    else:
        fields = []  # there is no row
    columns = len(names) or len(fields) or len(AXES)
    if columns > STREAMS:
        raise FormatError(f"{file.path}: {columns:,} columns are too many for a table of events: {_NAME_THEM}")
    return TextLayout(names, columns, start, resolution)


def _find_meaning(file: BufferedFile, names: Sequence[str], sample: Rows) -> tuple[Mapping[str, int], str, list[str]]:
    """Return (which column is t, x, y and p, the unit of t, what was assumed)."""
    assumed = []
    order: Mapping[str, int]
    if names:
        columns = find_columns(names)
        if columns.missing:
            raise FormatError(
                f"{file.path}: no column {', '.join(columns.missing)} (found: {', '.join(names)[:200]}): {_NAME_THEM}"
            )
        order = {axis: list(names).index(name) for axis, name in columns.by_axis.items()}
        unit = columns.unit
    elif not len(sample.mantissas):
        return dict.fromkeys(AXES, 0), MICROSECONDS, []
    else:
        order, unit = _guess_order(file, sample), None
        columns_found = ",".join(sorted(order, key=lambda axis: order[axis]))
        assumed.append(f"the file doesn't name its columns: {columns_found} assumed")
    if unit is None and len(sample.mantissas):
        unit, note = require_unit(file.path, _sample_times(sample, order["t"]), _UNIT_TOO)
        assumed.append(note)
    return order, unit or MICROSECONDS, assumed


def _values(sample: Rows) -> npt.NDArray[np.float64]:
    return sample.mantissas * 10.0 ** sample.exponents.clip(-300, 290)


def _sample_times(sample: Rows, index: int) -> TimeSample:
    whole, is_whole = sample.scaled(index, 0)
    _, is_thousandth = sample.scaled(index, 3)
    return take_sample(_values(sample)[:, index], is_whole, is_thousandth, is_whole & (whole % 1000 == 0))


def _guess_order(file: BufferedFile, sample: Rows) -> Mapping[str, int]:
    """Return the usual order of columns that the numbers fit; of several, the one with the greatest times."""
    values = _values(sample)
    if values.shape[1] != len(AXES):
        raise FormatError(
            f"{file.path}: {values.shape[1]} columns without names, instead of t, x, y and p: {_NAME_THEM}"
        )
    fitting = [order for order in _ORDERS if _fits(values[:, [order.index(axis) for axis in AXES]])]
    if not fitting:
        raise FormatError(f"{file.path}: can't tell which of its columns are t, x, y and p: {_NAME_THEM}")
    best = max(fitting, key=lambda order: values[:, order.index("t")].max())  # the first of equals
    return {axis: best.index(axis) for axis in AXES}


def _fits(values: npt.NDArray[np.float64]) -> bool:
    """Return whether columns [N, 4] can be t, x, y and p."""
    t, pixels, p = values[:, 0], values[:, 1:3], values[:, 3]
    rising = np.count_nonzero(np.diff(t) >= 0) >= 0.8 * (t.size - 1)
    inside = (pixels == np.rint(pixels)) & (pixels >= 0) & (pixels <= MAX_COORDINATE)
    fitting = inside.all(axis=1) & np.isin(p, (-1, 0, 1))
    return bool(rising and np.count_nonzero(fitting) >= 0.9 * p.size)


class Rows(NamedTuple):
    """Numbers [N, fields] as mantissas · 10^exponents; how many lines weren't such rows, where the first begins."""

    mantissas: Integers
    exponents: Integers
    bad_lines: int
    first_bad: int

    def scaled(self, index: int, power: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Return (a column [N] · 10^power, rounded; which numbers needed no rounding and are within ± TIME_LIMIT_US).

        Numbers beyond the limit become TIME_LIMIT_US.
        """
        mantissas, exponents = (np.ascontiguousarray(part[:, index]) for part in self[:2])
        numbers, exact = np.empty(mantissas.size, np.int64), np.empty(mantissas.size, np.bool_)
        _scale(mantissas, exponents, power, numbers, exact)
        return numbers, exact


def read_rows(text: memoryview, fields: int) -> Rows:
    """Read lines of ``fields`` numbers, separated by spaces, commas, semicolons, tabs or quotes.

    True is 1 and false is 0. Empty lines and those that begin with # or % are skipped.
    """
    octets = np.frombuffer(text, np.uint8)
    most = min(int(np.count_nonzero(octets == _NEW_LINE)) + 1, octets.size // (2 * fields) + 1)
    mantissas, exponents = np.empty((2, most + 1, fields), np.int64)  # one more, for lines that are no rows
    n, bad, first_bad = _read_rows(octets, mantissas, exponents)
    return Rows(mantissas[:n], exponents[:n], bad, first_bad)


@njit(nogil=True, cache=True)
def _is_apart(octet: int) -> bool:
    return octet in (9, 13, 32, 34, 39, 44, 59)  # tab, return, space, " ' , ;


@njit(nogil=True, cache=True)
def _read_word(octets: Octets, i: int, end: int) -> tuple[int, int, int]:
    """Return (1 for true or 0 for false, 0, where it ends); for any other word the end is before ``i``."""
    first, last = octets[i] | _LOWER, 0
    start = i
    while i < end and not _is_apart(octets[i]):
        last = octets[i] | _LOWER
        i += 1
    if last == _E and first == _T and i - start == 4:
        return 1, 0, i
    if last == _E and first == _F and i - start == 5:
        return 0, 0, i
    return 0, 0, start - 1


@njit(nogil=True, cache=True)
def _read_power(octets: Octets, i: int, end: int) -> tuple[int, int]:
    """Return (the power of ten after an e, where it ends); without a digit the end is before ``i``."""
    start = i
    negative = i < end and octets[i] == _MINUS
    if i < end and octets[i] in (_MINUS, _PLUS):
        i += 1
    first, power = i, 0
    while i < end and _ZERO <= octets[i] <= _NINE:
        power = min(power * 10 + (octets[i] - _ZERO), _MAX_EXPONENT)
        i += 1
    return (-power if negative else power), (i if i > first else start - 1)


@njit(nogil=True, cache=True)
def _read_number(octets: Octets, i: int, end: int) -> tuple[int, int, int]:
    """Return (mantissa, exponent, where it ends); if it isn't a number, the end is before ``i``."""
    start = i
    negative = octets[i] == _MINUS
    if octets[i] in (_MINUS, _PLUS):
        i += 1
    if i < end and (octets[i] | _LOWER) in (_T, _F):
        return _read_word(octets, i, end)
    mantissa, exponent, kept, seen, point = 0, 0, 0, 0, False
    while i < end and (_ZERO <= octets[i] <= _NINE or (octets[i] == _POINT and not point)):
        if octets[i] == _POINT:
            point = True
        elif kept < _MAX_DIGITS:
            mantissa = mantissa * 10 + (octets[i] - _ZERO)
            kept += mantissa > 0
            exponent -= point
        else:
            exponent += not point
        seen += octets[i] != _POINT
        i += 1
    if seen and i < end and octets[i] | _LOWER == _E:
        power, i = _read_power(octets, i + 1, end)
        exponent += power
    if not seen or (i < end and not _is_apart(octets[i])):
        return 0, 0, start - 1
    return (-mantissa if negative else mantissa), exponent, i


@njit(nogil=True, cache=True)
def _read_line(octets: Octets, i: int, end: int, mantissas: Integers, exponents: Integers) -> int:
    """Read one line into a row; return how many fields it has, or -1 if it isn't a row of that many numbers."""
    field = 0
    while i < end:
        if _is_apart(octets[i]):
            i += 1
            continue
        if field == 0 and (octets[i] == _HASH or octets[i] == _PERCENT):
            return 0
        if field == mantissas.size:
            return -1
        mantissas[field], exponents[field], after = _read_number(octets, i, end)
        if after <= i:
            return -1
        i = after
        field += 1
    return field if field in (0, mantissas.size) else -1


@njit(nogil=True, cache=True)
def _read_plain_line(octets: Octets, i: int, mantissas: Integers) -> int:
    """Read a line of digits with single separators between them; return where the next line begins, or -1."""
    for field in range(mantissas.size):
        start, number = i, np.int64(0)
        while i < octets.size and _ZERO <= octets[i] <= _NINE:
            number = number * 10 + (octets[i] - _ZERO)
            i += 1
        if i == start or i - start > _MAX_DIGITS or i == octets.size:
            return -1
        mantissas[field] = number
        last = field == mantissas.size - 1
        if last and octets[i] == _RETURN and i + 1 < octets.size:
            i += 1
        if (octets[i] != _NEW_LINE) if last else not _is_apart(octets[i]):
            return -1
        i += 1
    return i


@njit(nogil=True, cache=True)
def _read_rows(octets: Octets, mantissas: Integers, exponents: Integers) -> tuple[int, int, int]:
    n = bad = 0
    first_bad = start = 0
    while start < octets.size:
        end = _read_plain_line(octets, start, mantissas[n])
        if end >= 0:
            exponents[n] = 0
            n += 1
            start = end
            continue
        end = start
        while end < octets.size and octets[end] != _NEW_LINE:
            end += 1
        fields = _read_line(octets, start, end, mantissas[n], exponents[n])
        if fields < 0:
            first_bad = start if bad == 0 else first_bad
            bad += 1
        n += fields > 0
        start = end + 1
    return n, bad, first_bad


@njit(nogil=True, cache=True)
def _scale(
    mantissas: Integers, exponents: Integers, power: int, numbers: Integers, exact: npt.NDArray[np.bool_]
) -> None:
    for i in range(mantissas.size):
        mantissa, shift = mantissas[i], exponents[i] + power
        factor = np.int64(10) ** min(abs(shift), _MAX_DIGITS)
        if shift >= 0:
            exact[i] = mantissa == 0 or (shift <= _MAX_DIGITS and abs(mantissa) < TIME_LIMIT_US // factor)
            numbers[i] = mantissa * factor if exact[i] else TIME_LIMIT_US
        else:
            within = -shift <= _MAX_DIGITS
            numbers[i] = (mantissa + factor // 2) // factor if within else 0
            exact[i] = mantissa == 0 or (within and numbers[i] * factor == mantissa)
