"""Law: what is converted is what was read, from every format that can be written here to both that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.bench.throughput import START_US
from livesnn.events.convert import convert
from livesnn.events.packet import Events
from tests.format_files import MADE_FILES
from tests.reading import read, recordings

RULES = settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
GAPS_US = (0, 0, 1, 63, 64, 127, 4_095, 4_096, 9_999, 10_001, 1_000_000)
LONG_GAPS_US = (2**24 - 1, 2**24, 2**31 - 1)
"""Of a format whose clock may stand for so long between two events, as far as a reader can tell."""
LATEST_US = {"aedat2": 2**31, "aedat3": 2**31, "evt2": 2**33, "evt21": 2**33, "evt3": 2**23, "dat": 2**32}


@st.composite
def streams(draw: st.DrawFn, name: str) -> Events:
    """Events in the corners and on the edges, at equal times, twice the same, and after long pauses."""
    width, height = MADE_FILES[name].sensor
    gaps = GAPS_US + (LONG_GAPS_US if name in ("aedat4 (LZ4)", "hdf5", "npz", "csv") else ())
    starts_us = (START_US, START_US + 1) if name == "dsec (HDF5)" else (0, 1, 5_000)  # whose times have an offset
    events = draw(recordings(x=(0, 1, width - 1), y=(0, height - 1), gaps_us=gaps, starts_us=starts_us))
    repeated = np.repeat(events, draw(st.sampled_from([1, 1, 2, 70])))
    return repeated[: np.searchsorted(repeated["t"], LATEST_US.get(name, 2**60))]


@RULES
@pytest.mark.parametrize("name", MADE_FILES)
@given(st.data())
def test_what_is_converted_is_read_back_event_for_event(tmp_path: Path, name: str, data: st.DataObject) -> None:
    events = data.draw(streams(name).filter(len))
    source = tmp_path / f"in{MADE_FILES[name].suffix}"
    out = tmp_path / f"out{data.draw(st.sampled_from(['.aedat4', '.npz']))}"
    source.unlink(missing_ok=True)
    MADE_FILES[name].write(source, iter(np.array_split(events, 1 + events.size // 50)))
    if name == "csv":  # few events don't tell the unit of their times
        source = Path(f"{source}?columns=t_us,x,y,p")
    assert np.array_equal(read(source), events)
    converted = convert(source, out, overwrite=True)
    assert converted.events == events.size
    assert np.array_equal(read(out), events)
