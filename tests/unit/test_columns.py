"""Columns of numbers as events: the same whatever type they have, and those that can't be events."""

from __future__ import annotations

import numpy as np
import pytest

from livesnn.events.formats.table_columns import (
    MAX_COORDINATE,
    MICROSECONDS,
    UNUSABLE,
    columns_to_events,
    find_columns,
)

COLUMNS = {
    "t": [5, 6, 6, 4_000_000_000],
    "x": [0, MAX_COORDINATE, MAX_COORDINATE + 1, 3],
    "y": [1, 2, 3, 65_535],
    "p": [0, 1, 1, 0],
}


@pytest.mark.parametrize(
    ("t", "pixel", "polarity"),
    [
        ("<u4", "<u2", "?"),
        ("<u4", "<u2", "u1"),
        ("<i8", ">u2", "i1"),
        ("<u8", "<i4", "<i8"),
        (">f8", "<f4", "<f8"),
    ],
)
def test_the_type_of_the_numbers_makes_no_difference(t: str, pixel: str, polarity: str) -> None:
    kinds = {"t": t, "x": pixel, "y": pixel, "p": polarity}
    columns = {axis: np.array(values).astype(kinds[axis]) for axis, values in COLUMNS.items()}
    events = columns_to_events(columns, MICROSECONDS, offset_us=10)
    assert events["t"].tolist() == [15, 16, 16, 4_000_000_010]
    assert events["x"].tolist() == [0, MAX_COORDINATE, UNUSABLE, UNUSABLE]
    assert events["y"][:3].tolist() == [1, 2, 3]
    assert events["p"].tolist() == [False, True, True, False]


def test_a_polarity_of_neither_kind_is_no_event() -> None:
    columns = {axis: np.array([7], kind) for axis, kind in {"t": "<u4", "x": "<u2", "y": "<u2", "p": "u1"}.items()}
    assert columns_to_events(columns, MICROSECONDS)["x"].tolist() == [UNUSABLE]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("long", ["t" + " (" * 200_000, "t" + "_" * 400_000 + "1"])
def test_a_name_of_separators_is_soon_no_column(long: str) -> None:
    found, _ = find_columns([long, "t (ns)", "x"])
    assert found == {"t": "t (ns)", "x": "x"}
