"""What formats have in common, on files written by independent encoders: disorder, clocks set back, no events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.bench.throughput import START_US
from livesnn.events.formats.word_reader import BLOCK_BYTES
from livesnn.events.packet import Events
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.format_files import MADE_FILES
from tests.reading import events_at, packets_of, read

OF_CAMERAS = ("aedat1", "aedat2", "aedat3", "evt2", "evt21", "evt3", "dat", "hdf5")
"""Formats that hold the times as a camera gave them, whatever their order."""


def made(folder: Path, name: str, *packets: Events) -> Path:
    known = MADE_FILES[name]
    path = folder / f"f{known.suffix}"
    known.write(path, iter(packets))
    return path


@pytest.mark.parametrize("name", OF_CAMERAS)
def test_events_slightly_out_of_order_are_put_in_order_and_counted(tmp_path: Path, name: str) -> None:
    events = events_at([7_000, 8_300, 8_100, 8_400, 8_350, 8_500], MADE_FILES[name].sensor)
    path = made(tmp_path, name, *np.split(events, [4]))
    assert read(path)["t"].tolist() == [7_000, 8_100, 8_300, 8_350, 8_400, 8_500]
    assert any("2 events were out of order" in line for line in describe(path).warnings)


@pytest.mark.parametrize("name", OF_CAMERAS)
def test_a_clock_set_to_zero_starts_a_new_packet_and_is_said(tmp_path: Path, name: str) -> None:
    times = [900_000, 900_010, 5, 15, 25]
    path = made(tmp_path, name, *np.split(events_at(times, MADE_FILES[name].sensor), [2]))
    with open_recording(path) as recording:
        assert [packet["t"].tolist() for packet in packets_of(recording)] == [times[:2], times[2:]]
        assert (recording.t_start, recording.t_end) == (5, 900_010)
        assert recording.counters.out_of_order == 0
        assert any("time jumps back 1 times" in line for line in recording.warnings)


WRAPS_US = {
    "aedat1": 2**31,
    "aedat2": 2**31,
    "aedat3": 2**31,
    "evt2": 2**34,
    "evt21": 2**34,
    "evt3": 2**24,
    "dat": 2**32,
}


@pytest.mark.parametrize("name", [*OF_CAMERAS, "es"])
def test_seeking_in_a_file_of_many_blocks_gives_the_events_from_there_on(tmp_path: Path, name: str) -> None:
    count = 3 * BLOCK_BYTES // 8
    start_us = max(START_US, WRAPS_US.get(name, 0) - 400_000)  # the clock wraps on the way
    events = events_at(start_us + np.arange(count) // 3 * 60, MADE_FILES[name].sensor)
    path = made(tmp_path, name, *np.array_split(events, 5))
    for index in (1, count // 3, count - 1):
        sought = int(events["t"][index])
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


@pytest.mark.parametrize("name", [*OF_CAMERAS, "es", "csv"])
def test_a_header_alone_is_a_recording_without_events(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, name)
    found = describe(path)
    assert read(path).size == found.duration_us == 0
    assert found.resolution == (MADE_FILES[name].sensor if name != "csv" else None)
    assert found.warnings == [NOTHING]
