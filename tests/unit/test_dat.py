"""The .dat reader on files made here from the specification: headers, wrapped times, damage."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError
from livesnn.events.formats.registry import open_reader
from livesnn.events.packet import Events, SourceCounters
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.fake_source import joined
from tests.reading import events_at, read, recordings, write
from tests.waiting import eventually

RULES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FIRST_LINES = b"% Data file containing CD events\n% Version 2\n"
SIZE = b"% Width 640\n% Height 480\n"
KIND = b"\x0c\x08"


def encode(events: Events) -> bytes:
    words = np.empty((events.size, 2), "<u4")
    words[:, 0] = events["t"] & 0xFFFFFFFF
    words[:, 1] = (
        events["x"].astype(np.uint32) | events["y"].astype(np.uint32) << 14 | events["p"].astype(np.uint32) << 28
    )
    return words.tobytes()


RECORDINGS = recordings(
    x=(0, 1, 639),
    y=(0, 1, 479),
    gaps_us=(0, 1, 9_999, 10_001, 2**24, 2**31 - 1),
    starts_us=(0, 1, 2**31, 2**32 - 1),
)


@RULES
@given(RECORDINGS, st.sampled_from([b"", SIZE]), st.sampled_from([KIND, b"\0\x08"]), st.data())
def test_what_is_read_is_what_was_written_however_often_the_clock_wrapped(
    tmp_path: Path, events: Events, size: bytes, kind: bytes, data: st.DataObject
) -> None:
    path = write(tmp_path / "f.dat", FIRST_LINES + size + kind + encode(events))
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.format, found.resolution) == ("dat", (640, 480) if size else None)
    assert found.warnings == [NOTHING] * (not events.size)
    if events.size:
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


@pytest.mark.parametrize("version", [b"0", b"1"])
def test_versions_0_and_1_are_of_an_atis_with_fewer_bits_for_x_and_y(tmp_path: Path, version: bytes) -> None:
    events = events_at(np.arange(500) * 7, (304, 240))
    words = np.empty((events.size, 2), "<u4")
    words[:, 0] = events["t"]
    words[:, 1] = events["x"] | events["y"].astype("<u4") << 9 | events["p"].astype("<u4") << 17
    path = write(tmp_path / "f.dat", FIRST_LINES.replace(b"2", version) + KIND + words.tobytes())
    assert np.array_equal(read(path), events)
    assert (describe(path).resolution, describe(path).warnings) == ((304, 240), [])


def test_a_long_file_is_opened_at_once_and_indexed_as_it_is_read(tmp_path: Path) -> None:
    events = events_at(np.arange(2_000_000) * 3)  # 16 MB
    path = write(tmp_path / "f.dat", FIRST_LINES + SIZE + KIND + encode(events))
    with closing(open_reader(path, at_once=True)) as reader:
        assert not reader.indexed
        assert (reader.time_range("events") or (0, 0))[1] < events["t"][-1] // 2 + 300_000
        packets = list(reader.packets("events", None, SourceCounters()))
        assert np.array_equal(np.concatenate(packets), events)
        assert reader.indexed
        assert reader.time_range("events") == (events["t"][0], events["t"][-1])


def test_a_recording_opened_at_once_is_longer_once_its_index_is_complete(tmp_path: Path) -> None:
    events = events_at(np.arange(2_000_000) * 3)
    path = write(tmp_path / "f.dat", FIRST_LINES + SIZE + KIND + encode(events))
    with open_recording(path, at_once=True) as recording:
        eventually(lambda: recording.t_end == events["t"][-1])
        recording.seek(int(events["t"][1_900_000]))
        assert np.array_equal(joined(recording), events[1_900_000:])


def test_damage_behind_the_part_that_was_indexed_first_is_said(tmp_path: Path) -> None:
    events = events_at(np.arange(3_000_000) * 3)
    events["x"][1_100_000:] = 700
    path = write(tmp_path / "f.dat", FIRST_LINES + SIZE + KIND + encode(events))
    with pytest.raises(FormatError, match="are outside the sensor's 640×480 pixels"):
        open_recording(path)
    with open_recording(path, at_once=True) as recording:
        assert joined(recording).size == 1_100_000
        eventually(lambda: any("are outside the sensor's" in line for line in recording.warnings))


def test_a_file_without_a_header_is_told_by_its_events(tmp_path: Path) -> None:
    events = events_at(np.arange(100) * 3)
    path = write(tmp_path / "f.dat", encode(events))
    assert np.array_equal(read(path), events)
    assert any("it has no header" in line for line in describe(path).warnings)


@pytest.mark.parametrize(
    "header",
    [
        b"% Height 480\n% Version 2\n% Width 640\n% date 2023-05-01 10:00:00\n% end\n",  # metavision_file_to_dat
        b"% Version 2\n% evt 3.0\n% format EVT3;height=480;width=640\n% end\n",  # with its source's fields
        FIRST_LINES + b"%\n% \n" + SIZE,
    ],
)
def test_a_header_is_told_by_its_version_and_type_of_events_and_may_have_empty_lines(
    tmp_path: Path, header: bytes
) -> None:
    events = events_at(range(100))
    path = write(tmp_path / "f_cd.dat", header + KIND + encode(events))
    assert np.array_equal(read(path), events)
    assert describe(path).resolution == (640, 480)


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path: Path) -> None:
    events = events_at([1, 2, 3, 4, 5])
    events["x"][1], events["y"][3] = 640, 480
    path = write(tmp_path / "f.dat", FIRST_LINES + SIZE + KIND + encode(events))
    assert np.array_equal(read(path), events[[0, 2, 4]])
    assert any("2 events outside the sensor" in line for line in describe(path).warnings)


def test_a_file_cut_anywhere_gives_its_whole_events_and_says_so(tmp_path: Path) -> None:
    events = events_at(np.arange(20))
    octets = FIRST_LINES + SIZE + KIND + encode(events)
    for cut in range(1, 8 * events.size + 1):
        path = write(tmp_path / "f.dat", octets[:-cut])
        assert np.array_equal(read(path), events[: (160 - cut) // 8])
        left = -cut % 8
        said = [f"the last {left} bytes aren't a whole word: the file is cut short"] if left else []
        assert describe(path).warnings == [*said, *[NOTHING] * (cut > 152)]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (FIRST_LINES, "ends after its header"),
        (FIRST_LINES + b"\x0e\x08" + bytes(80), "holds external triggers, not events"),
        (FIRST_LINES + b"\x0c\x10" + bytes(80), "type 12 with 16 bytes aren't supported"),
        (FIRST_LINES.replace(b"2", b"3") + KIND, "DAT version '3' isn't supported"),
        (
            FIRST_LINES + b"% Width 2\n% Height 2\n" + KIND + encode(events_at(range(9)))[16:],
            "outside the sensor",
        ),
        (bytes(range(256)), "not a recording of a known format"),
    ],
    ids=range(6),
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, octets: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write(tmp_path / "f.dat", octets))
    assert "\n" not in str(raised.value)
