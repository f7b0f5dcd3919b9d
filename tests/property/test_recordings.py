"""Laws of recordings: written = read, seek = suffix, replay = recording, damage = error or warning, in time."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.playback_clock import PlaybackClock, paced
from livesnn.events.recording import describe, open_recording
from tests.damage import cut_off, flip_a_bit, put_in, set_a_number, set_octets, take_out
from tests.fake_source import joined
from tests.reading import read

WIDEST = Resolution(32_767, 32_767)
RULES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

gaps_us = st.one_of(st.just(0), st.integers(0, 300), st.integers(9_990, 10_010), st.integers(0, 10**10))
one_event = st.tuples(gaps_us, st.sampled_from([0, 1, 32_766]), st.integers(0, 32_766), st.booleans())
compressions = st.sampled_from(["lz4", "zstd", None])


@st.composite
def event_lists(draw: st.DrawFn) -> Events:
    """Few events, repeated: equal times and duplicates, empty stretches, the corners of the largest sensor."""
    rows = draw(st.lists(one_event, max_size=40))
    repeated = draw(st.integers(1, 60))
    events = np.zeros(len(rows) * repeated, EVENTS_DTYPE)
    for name, column in zip(("t", "x", "y", "p"), zip(*rows, strict=True), strict=False):
        events[name] = np.repeat(np.asarray(column, np.int64), repeated)
    start = draw(st.sampled_from([0, -(10**9), 1_700_000_000_000_000]))
    gaps = events["t"].copy()
    gaps[np.arange(gaps.size) % repeated != 0] = 0
    events["t"] = start + np.cumsum(gaps)
    return events


@st.composite
def splits(draw: st.DrawFn, size: int) -> list[int]:
    return sorted(draw(st.lists(st.integers(0, size), max_size=6)))


@RULES
@given(st.data(), event_lists(), compressions, st.booleans())
def test_what_is_read_is_what_was_written_however_it_was_split_from_any_time_on(
    tmp_path: Path,
    data: st.DataObject,
    events: Events,
    compression: Literal["lz4", "zstd"] | None,
    closed: bool,
) -> None:
    path = tmp_path / "f.aedat4"
    path.unlink(missing_ok=True)  # of the example before
    parts = np.split(events, data.draw(splits(events.size)))
    with Aedat4Writer(path, WIDEST, compression=compression) as writer:
        for part in parts:
            writer.write(part)
    if not closed:  # as after a kill: no table, and the header says so
        octets = bytearray(path.read_bytes())
        table = describe_table_position(octets)
        octets[table.start : table.stop] = (-1).to_bytes(8, "little", signed=True)
        path.write_bytes(bytes(octets))
    with open_recording(path) as recording:
        assert np.array_equal(joined(recording), events)
        assert recording.counters.out_of_order == recording.counters.out_of_bounds == 0
        if events.size:
            assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
            sought = data.draw(st.integers(recording.t_start, recording.t_end))
            assert np.array_equal(read(path, sought), events[events["t"] >= sought])


def describe_table_position(octets: bytearray) -> slice:
    """Return where the header stores the table's position: the only int64 in it."""
    from livesnn.events.formats.aedat4_layout import field, root_table

    content = memoryview(bytes(octets))[18:]
    start = 18 + field(content, root_table(content, 0), 1)
    return slice(start, start + 8)


@RULES
@given(event_lists(), st.sampled_from([None, 1e9, 1e12]))
def test_a_paced_recording_is_the_recording(tmp_path: Path, events: Events, speed: float | None) -> None:
    path = tmp_path / "f.aedat4"
    path.unlink(missing_ok=True)  # of the example before
    with Aedat4Writer(path, WIDEST) as writer:
        writer.write(events)
    clock = PlaybackClock()
    clock.play(speed)
    with open_recording(path) as recording:
        assert np.array_equal(joined(paced(recording, clock)), events)


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the octets of a small recording, one for each compression."""
    random = np.random.default_rng(3)
    events = np.zeros(2_000, EVENTS_DTYPE)
    events["t"] = 10**15 + np.sort(random.integers(0, 60_000, events.size))
    events["x"], events["y"] = random.integers(0, 64, (2, events.size))
    files = {}
    for compression in ("lz4", "zstd", None):
        path = tmp_path_factory.mktemp("small") / "f.aedat4"
        with Aedat4Writer(path, Resolution(64, 64), compression=compression) as writer:  # type: ignore[arg-type]
            writer.write(events)
        files[str(compression)] = path.read_bytes()
    return files


OF_DISKS_AND_CRASHES = (flip_a_bit, set_octets, cut_off, take_out, put_in, set_a_number)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("compression", ["lz4", "zstd", "None"])
def test_a_damaged_file_is_read_or_refused_but_never_hangs_or_crashes(
    tmp_path: Path, small_file: dict[str, bytes], compression: str
) -> None:
    random = np.random.default_rng(11)
    path = tmp_path / "f.aedat4"
    path.unlink(missing_ok=True)  # of the example before
    refused = 0
    for _ in range(80):
        damage = OF_DISKS_AND_CRASHES[random.integers(len(OF_DISKS_AND_CRASHES))]
        path.write_bytes(damage(bytearray(small_file[compression]), random))
        try:
            found = describe(path)
            events = read(path)
        except (FormatError, SourceError):
            refused += 1
            continue
        assert events.size == found.streams["events"].n if "events" in found.streams else events.size <= 2_000
        assert events.size <= 2_000
        assert (np.diff(events["t"]) >= 0).all() or any("table is missing" in line for line in found.warnings)
        if events.size < 2_000:
            assert found.warnings, "events were lost without a word"
    assert refused < 80
