"""Text with an event a line (.csv, .txt): columns named by a header, or told apart; read in blocks, of any length.

Columns lie apart by commas, semicolons, tabs or spaces; lines with # or % before them are comments, which may name
the columns (``# t_us x y p``) or the sensor's size (``%geometry:640,480``). Not here: reading the numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from livesnn.errors import FormatError
from livesnn.events.formats import EventStream
from livesnn.events.formats.blocks import BlockReader, BlockStream, Losses
from livesnn.events.formats.columns import (
    AXES,
    MAX_COORDINATE,
    MICROSECONDS,
    POWER,
    TimeSample,
    events_of_columns,
    find_columns,
    judge,
    parse_size,
    require_polarity,
    require_unit,
    take_sample,
)
from livesnn.events.formats.text_numbers import Integers, Rows, read_rows, scaled
from livesnn.events.formats.windowed_file import WindowedFile
from livesnn.events.packet import Events, Resolution
from livesnn.files import file_head

BLOCK_BYTES = 1 << 20
_LINE_BYTES = 1 << 12  # read beyond a block, for the line that ends there
_HEAD_BYTES = 1 << 16
_MAX_COLUMNS = 64
_ORDERS = ("txyp", "xypt", "xytp")
_NAME_THEM = "say what they are behind its name, in quotes: 'FILE?columns=t_us,x,y,p'"
_UNIT_TOO = (
    "name its column t_s, t_ms, t_us or t_ns, behind the file's name, in quotes: 'FILE?columns=t_us,x,y,p'"
)


class TextLayout(NamedTuple):
    """``names`` of the columns are empty where the file doesn't give them; its rows begin at ``start``."""

    names: Sequence[str]
    columns: int
    start: int
    resolution: Resolution | None


def looks_like_text_table(path: Path, head: bytes) -> bool:
    """Say whether a file is text, and its first line that is no comment a row of numbers or names t, x and y."""
    if not is_text(head):
        return False
    lines = file_head(path, _HEAD_BYTES).decode("utf-8", "replace").split("\n")
    first = [line for line in lines if _is_content(line)][:2]
    if not first or not is_text("".join(first).encode()):
        return False
    return len(find_columns(_split_names(first[0])).by_axis) >= 3 or any(
        len(_numbers(line)) >= 3 for line in first
    )


def open_text(path: Path, *, columns: Sequence[str] = ()) -> BlockReader:
    """Open a text file of events.

    Parameters
    ----------
    columns
        What the columns are, from the left: t, x, y, p, and anything else for those that don't matter. t may be t_s,
        t_ms, t_us or t_ns. They count for more than the file's header; when empty, the header says it, otherwise the
        numbers, with a warning.

    Raises
    ------
    FormatError
        When it isn't such a table, a column is missing, or it can't be told what the columns or t's unit are.
    """
    file = WindowedFile(path)
    try:
        layout = _read_layout(file)
        _check_named(path, columns)
        names = columns or layout.names
        blocks = TextBlocks(file, layout.start, len(names) or layout.columns)
        sample = blocks.rows(0)
        _refuse_bad_lines(file, sample)
        blocks.order, blocks.unit, assumed = _find_meaning(file, names, sample)
        judge(path, blocks.read(0), layout.resolution)
        require_polarity(path, _values(sample)[:, blocks.order["p"]])
    except BaseException:
        file.close()
        raise
    stream = EventStream("events", "", layout.resolution)
    return BlockReader([BlockStream(stream, blocks)], format_name="csv", warnings=assumed, release=file.close)


class TextBlocks:
    """The rows of a text file, in blocks of BLOCK_BYTES; see `Blocks`. A line belongs to where it begins."""

    def __init__(self, file: WindowedFile, start: int, columns: int) -> None:
        self.order: Mapping[str, int] = {}
        self.unit = MICROSECONDS
        self.count = max(1, -(-(file.size - start) // BLOCK_BYTES))
        self._file = file
        self._start = start
        self._columns = columns
        self._losses = Losses("lines")

    @property
    def warnings(self) -> list[str]:
        """What is damaged, as far as read."""
        return self._losses.warnings

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
            self._losses.note(number, rows.bad_lines, reason)
        return rows

    def read(self, number: int) -> Events:
        """Return a block's events."""
        rows = self.rows(number)
        if not rows.exponents.any():
            return events_of_columns({axis: rows.mantissas[:, self.order[axis]] for axis in AXES}, self.unit)
        whole = {axis: scaled(*_column(rows, self.order[axis]), 0) for axis in ("x", "y", "p")}
        columns = {axis: np.where(exact, values, -2) for axis, (values, exact) in whole.items()}
        columns["t"], _ = scaled(*_column(rows, self.order["t"]), POWER[self.unit])
        return events_of_columns(columns, MICROSECONDS)


def _column(rows: Rows, index: int) -> tuple[Integers, Integers]:
    return rows.mantissas[:, index], rows.exponents[:, index]


def is_text(octets: bytes) -> bool:
    """Say whether octets, not none, have nothing among them that text doesn't have."""
    return bool(octets) and re.search(rb"[\x00-\x08\x0e-\x1f\x7f]", octets) is None


def _is_content(line: str) -> bool:
    plain = line.strip().lstrip("\ufeff").strip()
    return plain != "" and plain[0] not in "#%"


def _numbers(line: str) -> list[str]:
    """Return a line's fields when all are numbers or truth values; nothing otherwise."""
    fields = re.findall(r"[^\s,;\"']+", line)
    sound = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|true|false", re.IGNORECASE)
    return fields if all(sound.fullmatch(field) for field in fields) else []


def _split_names(line: str) -> list[str]:
    plain = line.rstrip().lstrip(" \ufeff")
    if plain[:1] in ("#", "%"):
        plain = plain.lstrip("#% \t")  # else a tab stands behind a column without a name
    mark = next((mark for mark in ";,\t" if mark in plain), None)
    names = [name.strip().strip("\"'") for name in plain.split(mark)]
    return names[:-1] if names[-1:] == [""] else names


def _read_layout(file: WindowedFile) -> TextLayout:
    """Return what the lines before the first row say."""
    start, names, resolution = 0, list[str](), None
    has_header = False
    for line in bytes(file.view(0, min(_HEAD_BYTES, file.size))).splitlines(keepends=True):
        text = line.decode("utf-8", "replace")
        fields = _numbers(text.lstrip("\ufeff"))
        if not _is_content(text):
            said = re.search(r"geometry\W{1,3}(\d{1,5})\s*[,x]\s*(\d{1,5})", text)
            resolution = parse_size(said[1], said[2]) if said else resolution
            names = names if find_columns(_split_names(text)).missing else _split_names(text)
        elif len(fields) == 2 and resolution is None and not has_header:
            resolution = parse_size(*fields)  # as the text files of rpg_e2vid begin
        elif fields or has_header:
            return _layout(file, names, len(fields), start, resolution)
        else:
            names, has_header = _split_names(text), True
        start += len(line)
    return _layout(file, names, 0, start, resolution)


def _layout(
    file: WindowedFile, names: Sequence[str], fields: int, start: int, resolution: Resolution | None
) -> TextLayout:
    columns = len(names) or fields or len(AXES)
    if columns > _MAX_COLUMNS:
        raise FormatError(
            f"{file.path}: {columns:,} columns are too many for a table of events: {_NAME_THEM}"
        )
    return TextLayout(names, columns, start, resolution)


def _check_named(path: Path, columns: Sequence[str]) -> None:
    """Raise FormatError unless what a person calls the columns names t, x, y and p, each once."""
    if not columns:
        return
    missing = find_columns(columns).missing
    axes = Counter(axis for name in columns for axis in find_columns([name]).by_axis)
    if wrong := [*missing, *(axis for axis, count in axes.items() if count > 1)]:
        what = f"{wrong[0]} isn't among them" if missing else f"{wrong[0]} is there twice"
        raise FormatError(f"{path}: columns={','.join(columns)[:200]}: {what}: {_NAME_THEM}")


def _refuse_bad_lines(file: WindowedFile, sample: Rows) -> None:
    rows, columns = sample.mantissas.shape
    if sample.bad_lines > rows:
        raise FormatError(
            f"{file.path}: {sample.bad_lines:,} of the first {rows + sample.bad_lines:,} lines aren't {columns} "
            f"numbers, with points for decimals: name as many columns as it has, or it is no table of events"
        )


def _find_meaning(
    file: WindowedFile, names: Sequence[str], sample: Rows
) -> tuple[Mapping[str, int], str, list[str]]:
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
        said = ",".join(sorted(order, key=lambda axis: order[axis]))
        assumed.append(f"the file doesn't name its columns: {said} assumed")
    if unit is None and len(sample.mantissas):
        unit, note = require_unit(file.path, _sample_times(sample, order["t"]), _UNIT_TOO)
        assumed.append(note)
    return order, unit or MICROSECONDS, assumed


def _values(sample: Rows) -> npt.NDArray[np.float64]:
    return sample.mantissas * 10.0 ** sample.exponents.clip(-300, 290)


def _sample_times(sample: Rows, index: int) -> TimeSample:
    whole, is_whole = scaled(*_column(sample, index), 0)
    _, is_thousandth = scaled(*_column(sample, index), 3)
    return take_sample(_values(sample)[:, index], is_whole, is_thousandth, is_whole & (whole % 1000 == 0))


def _guess_order(file: WindowedFile, sample: Rows) -> Mapping[str, int]:
    """Return the usual order that the numbers fit; of several, the one with the greatest times."""
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
    """Say whether columns [N, 4] can be t, x, y and p."""
    t, pixels, p = values[:, 0], values[:, 1:3], values[:, 3]
    rising = np.count_nonzero(np.diff(t) >= 0) >= 0.8 * (t.size - 1)
    inside = (pixels == np.rint(pixels)) & (pixels >= 0) & (pixels <= MAX_COORDINATE)
    fitting = inside.all(axis=1) & np.isin(p, (-1, 0, 1))
    return bool(rising and np.count_nonzero(fitting) >= 0.9 * p.size)
