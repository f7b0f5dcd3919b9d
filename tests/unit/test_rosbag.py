"""Bags of robots, written and read back by rosbags: every container and coding, places in them, what is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.ros_messages import Decoder, Head
from livesnn.events.packet import Events, Resolution, SourceCounters
from livesnn.events.recording import describe, open_recording
from tests.bag_writer import ENCODERS, PACKET, PICTURES, SAMPLES, TOPIC, read_with_rosbags, write_bag
from tests.reading import events_at, read

SENSOR = Resolution(640, 480)
START_US = 1_702_309_120_762_236
SUFFIXES = (".bag", ".db3", ".mcap")


CODINGS: dict[str, dict[str, Any]] = {
    "dvs_msgs": {},
    "prophesee_event_msgs": {"kind": "prophesee_event_msgs/msg/EventArray"},
    **{encoding: {"kind": PACKET, "encoding": encoding} for encoding in ENCODERS},
}


def some(count: int = 1000, start_us: int = START_US, step_us: int = 500) -> Events:
    return events_at(start_us + np.arange(count) * step_us, SENSOR)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_read_is_what_was_written_from_any_place_on(tmp_path: Path, suffix: str, coding: str) -> None:
    events = some(start_us=5_000 if coding == "evt3" else START_US)
    path = write_bag(tmp_path / f"bag{suffix}", events, SENSOR, **CODINGS[coding])
    assert np.array_equal(read(path), events)
    for place in (0, 1, 99, 100, 501, 999):
        assert np.array_equal(read(path, int(events["t"][place])), events[place:])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("coding", ["dvs_msgs", "prophesee_event_msgs"])
def test_rosbags_reads_the_same(tmp_path: Path, suffix: str, coding: str) -> None:
    path = write_bag(tmp_path / f"bag{suffix}", some(), SENSOR, **CODINGS[coding])
    assert np.array_equal(read(path), read_with_rosbags(path, 1 if suffix == ".bag" else 2))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bag_is_described_with_the_pictures_and_samples_beside_the_events(tmp_path: Path, suffix: str) -> None:
    events = some()
    path = write_bag(tmp_path / f"bag{suffix}", events, SENSOR)
    found = describe(path)
    assert (found.format, found.camera, found.resolution) == (suffix[1:], "camera", SENSOR)
    assert (found.frames, found.imu, found.warnings) == (PICTURES, SAMPLES, [])
    (stream,) = found.streams.values()
    assert [*found.streams] == [TOPIC]
    assert (stream.n, stream.t0, stream.t1) == (events.size, events["t"][0], events["t"][-1])


def test_the_folder_of_a_ros_2_bag_is_opened_as_one_recording(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", some(), SENSOR)
    assert np.array_equal(read(path.parent), some())
    assert describe(path.parent).format == "ros2"


def test_a_compressed_bag_of_ros_1_is_read(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.bag", some(), SENSOR, compress=True)
    assert np.array_equal(read(path), some())


def test_places_are_found_though_the_clocks_of_camera_and_computer_differ(tmp_path: Path) -> None:
    events = some(4000, step_us=20_000)  # 80 s
    path = write_bag(tmp_path / "bag.db3", events, SENSOR)
    late = some(4000, step_us=20_000)
    late["t"] += (late["t"] - START_US) // 4  # a clock that is a quarter too fast
    moved = write_bag(tmp_path / "late.mcap", late, SENSOR)
    for known, written in ((path, events), (moved, late)):
        at = int(written["t"][3000])
        assert np.array_equal(read(known, at), written[3000:])


def test_the_time_of_evt3_goes_on_over_its_wraps_and_is_right_after_a_seek(tmp_path: Path) -> None:
    events = some(2000, start_us=5_000, step_us=25_000)  # 50 s: three wraps
    path = write_bag(tmp_path / "bag.mcap", events, SENSOR, each=50, **CODINGS["evt3"])
    assert np.array_equal(read(path), events)
    for place in (500, 1000, 1500, 1999):
        assert read(path, int(events["t"][place]))["t"].tolist() == events["t"][place:].tolist()


def test_vectors_of_libcaer_cmp_are_pixels_below_one_another(tmp_path: Path) -> None:
    events = some(400)
    events["t"] = START_US + np.arange(400) // 7 * 10
    events["x"], events["y"] = events["t"] % 640, np.arange(400) % 7 + 470
    events["p"] = np.arange(400) // 7 % 2 == 1
    path = write_bag(tmp_path / "bag.mcap", events, SENSOR, **CODINGS["libcaer_cmp"])
    assert np.array_equal(read(path), events)


def test_two_vectors_of_libcaer_cmp_follow_one_another_without_a_new_base() -> None:
    words = [2 << 12 | 9, 4 << 12 | 1 << 11 | 100, 5 << 12 | 0b11, 5 << 12 | 0b101]
    decoder = Decoder(SENSOR, SourceCounters())
    head = Head(encoding="libcaer_cmp", base_ns=5000, length=2 * len(words))
    (events,) = decoder.decode(np.array(words, "<u2").tobytes(), head, None)
    assert events.tolist() == [(5, 9, y, True) for y in (100, 101, 108, 110)]
    (more,) = decoder.decode(np.array([5 << 12 | 1], "<u2").tobytes(), head._replace(length=2), None)
    assert more.tolist() == [(5, 9, 116, True)]


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path: Path) -> None:
    events = some(300)
    events["x"][[5, 250]] = 640
    inside = events[events["x"] < 640]
    for number, coding in enumerate(("dvs_msgs", "mono")):
        path = write_bag(tmp_path / f"{number}.db3", events, SENSOR, **CODINGS[coding])
        assert np.array_equal(read(path), inside)
        assert any("2 events outside the sensor" in line for line in describe(path).warnings)


def test_an_encoding_that_is_not_known_is_named(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", some(), SENSOR, kind=PACKET, encoding="trigger")
    with pytest.raises(FormatError, match="coded as 'trigger': record them as evt3 or libcaer_cmp"):
        open_recording(path)


def test_a_bag_without_events_says_what_is_in_it(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.mcap", some(0), SENSOR)
    with pytest.raises(SourceError, match=f"no event stream \\(frames {PICTURES}, IMU {SAMPLES}\\)"):
        open_recording(path)


def test_a_bag_of_a_robot_that_was_switched_off_says_what_to_do(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.bag", some(), SENSOR)
    octets = bytearray(path.read_bytes())
    at = octets.index(b"index_pos=") + len(b"index_pos=")
    octets[at : at + 8] = bytes(8)
    path.write_bytes(octets)
    with pytest.raises(FormatError, match=r"not indexed.*run rosbag reindex"):
        open_recording(path)


def test_a_message_of_a_database_that_isn_t_bytes_is_left_out_and_said(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.db3", some(), SENSOR)
    with closing(sqlite3.connect(path)) as database, database:
        first = "SELECT min(id) FROM messages WHERE topic_id = (SELECT id FROM topics WHERE name = ?)"
        database.execute(f"UPDATE messages SET data = 7 WHERE id = ({first})", [TOPIC])
    assert np.array_equal(read(path), some()[100:])
    assert any("1 messages of /camera/events lost" in line for line in describe(path).warnings)


def test_a_topic_whose_messages_are_all_damaged_is_said(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag.db3", some(), SENSOR)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE messages SET data = 7")
    with pytest.raises(FormatError, match=f"the topic {TOPIC} is left out: .* copy the bag again"):
        open_recording(path)


def test_a_message_that_is_damaged_is_left_out_and_said(tmp_path: Path) -> None:
    events = some()
    path = write_bag(tmp_path / "bag.bag", events, SENSOR)
    octets = path.read_bytes()
    count = (100).to_bytes(4, "little")
    at = octets.index(SENSOR.width.to_bytes(4, "little") + count) + 4
    path.write_bytes(octets[:at] + (1 << 20).to_bytes(4, "little") + octets[at + 4 :])
    assert np.array_equal(read(path), events[100:])
    lost = "1 messages of /camera/events lost: a message ends too early"
    assert lost in describe(path).warnings


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_the_folder_of_a_ros_2_bag_without_its_metadata_says_what_to_do(tmp_path: Path, suffix: str) -> None:
    path = write_bag(tmp_path / f"bag{suffix}", some(), SENSOR)
    (path.parent / "metadata.yaml").unlink()
    with pytest.raises(SourceError, match=r"no metadata\.yaml: run ros2 bag reindex") as caught:
        open_recording(path.parent)
    assert str(caught.value).endswith(f"give a file in it, such as {path}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_first_message_without_events_is_passed_over(tmp_path: Path, suffix: str) -> None:
    path = write_bag(tmp_path / f"bag{suffix}", some(), SENSOR, empty_first=True)
    assert np.array_equal(read(path), some())
    assert describe(path).warnings == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE schema; CREATE VIEW schema AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) "
        "SELECT i AS schema_version FROM c WHERE i < 0",
        "DROP TABLE topics; CREATE VIRTUAL TABLE topics USING fts5(id, name, type, serialization_format)",
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_a_database_whose_tables_run_programs_is_refused(tmp_path: Path, statement: str, folder: bool) -> None:
    path = write_bag(tmp_path / "bag.db3", some(), SENSOR)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statement)
    with pytest.raises(FormatError, match="views or triggers, which no bag has"):
        describe(path.parent if folder else path)
