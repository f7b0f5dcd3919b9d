"""The AEDAT 3.1 reader on files made here: kinds of packets, wrapped and reset clocks, sources, damage."""

from __future__ import annotations

import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError
from livesnn.events.formats.aedat3 import SEGMENT_EVENTS
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import NOTHING, describe, open_recording
from livesnn.untrusted import STREAMS
from tests.aedat3_writer import (
    FRAME,
    IMU6,
    IMU9,
    POLARITY,
    RESET,
    RISING_EDGE,
    SPECIAL,
    frames,
    header,
    imu,
    packet,
    polarity,
    special,
    write_recording,
)
from tests.fake_source import joined
from tests.reading import events_at, packets_of, read, write

RULES = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
WRAP_US = 1 << 31
OTHER = packet(100, bytes(12), 3, event_bytes=4)


def make_events(times: object) -> Events:
    return events_at(times, (128, 128))


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Events, list[bytes]]:
    """Events, and their packets with others in between."""
    pixel = st.tuples(st.integers(0, 127), st.integers(0, 127), st.booleans())
    gap_us = st.sampled_from([0, 1, 9_999, 10_001, 2**24, WRAP_US - 1, 5 * WRAP_US])
    rows = draw(st.lists(st.tuples(gap_us, pixel), max_size=40))
    events = np.zeros(len(rows), EVENTS_DTYPE)
    start_us = draw(st.sampled_from([0, 1, WRAP_US - 1, 10**15]))
    events["t"] = start_us + np.cumsum([0, *(gap for gap, _ in rows)])[:-1]
    for index, (_, (x, y, p)) in enumerate(rows):
        events["x"][index], events["y"][index], events["p"][index] = x, y, p
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    others = [b"", special([RISING_EDGE], 5), imu(IMU6, 2), OTHER]
    parts = []
    for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        parts += [polarity(events[first:last]), draw(st.sampled_from(others))]
    return events, parts


@RULES
@given(recordings(), st.data())
def test_what_is_read_is_what_was_written_however_it_is_packed_and_the_clock_wrapped(
    tmp_path: Path, made: tuple[Events, list[bytes]], data: st.DataObject
) -> None:
    events, parts = made
    path = write(tmp_path / "f.aedat", header(), *parts)
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.format, found.camera, found.resolution) == ("aedat3", "DVS128", (128, 128))
    nothing = not any((events.size, found.frames, found.imu, found.triggers))
    said = [line for line in found.warnings if "of an unknown type" in line]
    assert found.warnings == said + [NOTHING] * nothing
    assert len(said) == any(part == OTHER for part in parts)
    if events.size:
        with open_recording(path) as recording:
            assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


@pytest.mark.parametrize("packet_events", [10, 700, 4096, SEGMENT_EVENTS + 1, 10**9])
def test_packets_are_of_reasonable_size_whatever_they_are_in_the_file(tmp_path: Path, packet_events: int) -> None:
    events = make_events(WRAP_US - 400_000 + np.arange(3 * SEGMENT_EVENTS + 7) * 20)
    path = write_recording(tmp_path / "f.aedat", events, packet_events)
    with open_recording(path) as recording:
        sizes = [packet.size for packet in packets_of(recording)]
    assert sum(sizes) == events.size
    assert max(sizes) <= SEGMENT_EVENTS
    assert len(sizes) <= 9
    for index in (0, 1, SEGMENT_EVENTS - 1, SEGMENT_EVENTS, 2 * SEGMENT_EVENTS + 5, events.size - 1):
        assert np.array_equal(read(path, int(events["t"][index])), events[index:])


def test_a_packet_is_read_in_pieces_so_that_memory_is_bounded(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "f.aedat", make_events(np.arange(1 << 20)), 1 << 20)
    read(write_recording(tmp_path / "g.aedat", make_events([1])))  # what is made once
    tracemalloc.start()
    try:
        with open_recording(path) as recording:
            assert sum(packet.size for packet in packets_of(recording)) == 1 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20 < path.stat().st_size


def test_a_packet_may_have_room_for_more_events_than_it_has(tmp_path: Path) -> None:
    pieces = []
    for number in range(50):
        words = np.zeros((100, 2), "<u4")
        words[:, 0] = 10 << 17 | 20 << 2 | 3
        words[:, 1] = 1_000_000 + 10_000 * number + 10 * np.arange(100)
        body = words.tobytes() + bytes(8 * 28)
        pieces.append(packet(POLARITY, body, 100, event_bytes=8, capacity=128))
    path = write(tmp_path / "f.aedat", header(), *pieces)
    assert describe(path).warnings == []
    with open_recording(path) as recording:
        assert (recording.t_start, recording.t_end) == (1_000_000, 1_490_990)
    assert int(read(path, 1_300_000)["t"][0]) == 1_300_000


def test_an_event_has_its_bits_where_the_specification_has_them(tmp_path: Path) -> None:
    words = struct.pack("<II", 3 << 17 | 5 << 2 | 1 << 1 | 1, 10) + struct.pack("<II", 127 << 17 | 1, 11)
    fields = struct.pack("<hhiiiiii", 1, 1, 8, 4, 2, 2, 2, 2)
    path = write(tmp_path / "f.aedat", header(), fields, words)
    assert read(path).tolist() == [(2 << 31 | 10, 3, 5, True), (2 << 31 | 11, 127, 0, False)]
    assert describe(path).orientation == "x to the right, y down"


def test_frames_inertial_samples_and_triggers_are_counted_and_what_is_unknown_is_said(
    tmp_path: Path,
) -> None:
    events = make_events([100, 200, 300])
    png = packet(FRAME - 0x8000, bytes(77), 2, event_bytes=86_436, time_offset=8, capacity=77)
    no_triggers = special([0, 5, 14, 15, 16, 17]) + special([RISING_EDGE], 7, valid=False)
    path = write(
        tmp_path / "f.aedat", header("1: DAVIS240C", form="PNGFrames"), special([RISING_EDGE, 3, 12], 50),
        frames(2), polarity(events[:1]), imu(IMU6, 3), imu(IMU9, 4), png, no_triggers, polarity(events[1:1]),
        packet(12, bytes(40), 5, event_bytes=8), packet(4242, bytes(30), 2, event_bytes=15), polarity(events[1:]),
    )  # fmt: skip
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.frames, found.imu, found.triggers) == (4, 7, 3)
    (warning,) = found.warnings
    assert re.fullmatch(r"2 packets are of an unknown type, the first at byte [\d,]+: they are left out", warning)


@pytest.mark.parametrize("kind", [SPECIAL, FRAME + 1, IMU6 + 2, 9, 33])
def test_a_packet_of_events_whose_type_is_damaged_is_said_with_its_place(tmp_path: Path, kind: int) -> None:
    events = make_events(range(0, 9_000, 3))
    first, damaged, last = (bytearray(polarity(part)) for part in np.split(events, 3))
    damaged[:2] = struct.pack("<h", kind)
    found = describe(write(tmp_path / "f.aedat", header(), first, damaged, last))
    assert found.streams["events"].n == 2_000
    assert found.warnings == [
        f"1 packets are of an unknown type, the first at byte {len(header() + first):,}: they are left out"
    ]


def test_invalid_events_are_left_out_and_counted_once(tmp_path: Path) -> None:
    events = make_events(np.arange(0, 5_000, 10))
    invalid = np.arange(events.size) % 5 == 0
    path = write(
        tmp_path / "f.aedat",
        header(),
        polarity(events[:1], invalid=invalid[:1]),
        polarity(events[1:], invalid=invalid[1:]),
    )
    with open_recording(path) as recording:
        for _ in range(2):
            assert np.array_equal(joined(recording), events[~invalid])
            assert [line for line in recording.warnings if "invalid" in line] == [
                "100 events that the recording software marked as invalid are left out"
            ]
        assert (recording.t_start, recording.t_end) == (10, 4_990)
    path = write(tmp_path / "g.aedat", header(), polarity(make_events([1, 2]), invalid=np.ones(2, bool)))
    assert (read(path).size, describe(path).duration_us) == (0, 0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([900_000, 900_010], [5, 15, 25]),
        ([], [5, 15]),  # nothing to tell
    ],
)
def test_a_clock_that_the_camera_says_is_set_to_zero_starts_a_new_packet_and_is_said(
    tmp_path: Path, before: list[int], after: list[int]
) -> None:
    parts = polarity(make_events(before)), special([RESET]), polarity(make_events(after))
    with open_recording(write(tmp_path / "f.aedat", header(), *parts)) as recording:
        packets = [packet["t"].tolist() for packet in packets_of(recording)]
        assert packets == [times for times in (before, after) if times]
        assert (recording.t_start, recording.t_end) == (5, max(before + after))
        assert recording.counters.out_of_order == 0
        jumps = ["events: time jumps back 1 times, as when the camera's clock is reset"]
        assert recording.warnings == jumps * bool(before)


def test_time_that_jumps_back_inside_a_packet_cuts_it(tmp_path: Path) -> None:
    times = [900_000, 900_010, 5, 15, 700_000, 10]
    path = write(tmp_path / "f.aedat", header(), polarity(make_events(times)))
    with open_recording(path) as recording:
        found = [packet["t"].tolist() for packet in packets_of(recording)]
    assert found == [times[:2], times[2:5], times[5:]]


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path: Path) -> None:
    events = make_events([1, 2, 3, 4, 5])
    events["x"][1], events["y"][3] = 128, 0x7FFF
    path = write(tmp_path / "f.aedat", header(), polarity(events))
    assert read(path)["t"].tolist() == [1, 3, 5]
    assert any("2 events outside the sensor" in line for line in describe(path).warnings)


@pytest.mark.parametrize(
    ("named", "camera", "size"),
    [
        ("DVS128", "DVS128", (128, 128)),
        ("Davis240c", "Davis240c", (240, 180)),
        ("DAVIS346Cbsi", "DAVIS346Cbsi", (346, 260)),
        ("DAVIS208", "DAVIS208", (208, 192)),
        ("DAVIS640", "DAVIS640", (640, 480)),
        ("DAVISHet640", "DAVISHet640", (320, 240)),
        ("File,dvsSizeX=346,dvsSizeY=260,apsSizeX=346\r\n#-Source 0: DAVIS346B", "DAVIS346B", (346, 260)),
        ("Network,dvsSizeX=200,dvsSizeY=100,apsSizeX=0,apsSizeY=0", "", (200, 100)),
        ("File,dvsSizeX=0,dvsSizeY=99999", "", None),
        ("Test", "Test", None),
    ],
)  # fmt: skip
def test_the_sensor_is_the_one_that_the_header_names(
    tmp_path: Path, named: str, camera: str, size: Resolution | None
) -> None:
    events = make_events([5, 6])
    path = write_recording(tmp_path / "f.aedat", events, 10, f"1: {named}")
    found = describe(path)
    assert (found.camera, found.resolution) == (camera, size)
    with open_recording(path) as recording:
        assert recording.resolution == (size or (6, 8))  # what holds the events
        assert any("6×8 assumed, which holds all events" in line for line in recording.warnings) == (size is None)


def test_two_cameras_in_one_file_are_two_streams_with_their_own_clocks(tmp_path: Path) -> None:
    left, right = make_events(np.arange(0, 9_000, 30)), make_events(10**6 + np.arange(0, 900, 3))
    parts = [
        polarity(events[i : i + 50], source=source)
        for i in range(0, 300, 50)
        for source, events in ((1, left), (2, right))
    ]
    for sources, names in (
        (("1: DVS128", "2: DAVIS240C"), ["DVS128/events", "DAVIS240C/events"]),
        (("1: DVS128", "2: DVS128"), ["1/events", "2/events"]),
    ):
        path = write(tmp_path / "f.aedat", header(*sources), *parts)
        found = describe(path)
        assert list(found.streams) == names
        assert found.warnings == []
        for name, events in zip(names, (left, right), strict=True):
            assert np.array_equal(read(path, stream=name), events)


@pytest.mark.parametrize(
    ("head", "size", "warnings"),
    [
        (
            header("0: DVS128"),
            (128, 128),
            ["events come from source 1, but the header names source 0: DVS128 assumed"],
        ),
        (b"#!AER-DAT3.1\n#!END-HEADER\n", None, []),
    ],
)
def test_a_source_that_the_header_does_not_name_is_read_all_the_same(
    tmp_path: Path, head: bytes, size: Resolution | None, warnings: list[str]
) -> None:
    events = make_events([5, 6])
    path = write(tmp_path / "f.aedat", head, polarity(events, source=1))
    assert np.array_equal(read(path), events)
    assert (describe(path).resolution, describe(path).warnings) == (size, warnings)


def test_a_file_that_is_cut_short_gives_its_whole_packets_and_says_so(tmp_path: Path) -> None:
    events = make_events(range(30))
    octets = header() + b"".join(polarity(events[i : i + 10]) for i in range(0, 30, 10))
    last = len(octets) - len(polarity(events[20:]))
    for size in range(last + 1, len(octets)):
        path = write(tmp_path / "f.aedat", octets[:size])
        assert np.array_equal(read(path), events[:20])
        (warning,) = describe(path).warnings
        assert warning.startswith(f"the packet at byte {last:,} is cut short, or damaged (")
        assert warning.endswith(f": {size - last:,} bytes lost")


HOSTILE = {
    "event size 0": (1, 1, 0, 4, 0, 10, 10, 10),
    "negative event size": (1, 1, -8, 4, 0, 10, 10, 10),
    "huge event size": (2, 1, 2**31 - 1, 4, 0, 2**31 - 1, 2**31 - 1, 1),
    "events of another size": (1, 1, 16, 4, 0, 1, 1, 1),
    "time elsewhere": (1, 1, 8, 0, 0, 1, 1, 1),
    "negative number": (1, 1, 8, 4, 0, 10, -1, -1),
    "negative capacity": (1, 1, 8, 4, 0, -(2**31), 1, 1),
    "huge number": (1, 1, 8, 4, 0, 2**31 - 1, 2**31 - 1, 2**31 - 1),
    "more events than fit": (1, 1, 8, 4, 0, 1, 2**31 - 1, 1),
    "negative overflow": (1, 1, 8, 4, -1, 1, 1, 1),
    "negative source": (1, -1, 8, 4, 0, 1, 1, 1),
    "packed events": (POLARITY - 0x8000, 1, 8, 4, 0, 20, 10, 10),
    "huge packed frame": (FRAME - 0x8000, 1, 8, 4, 0, 2**31 - 1, 1, 1),
    "zeros": (0,) * 8,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_packet_ends_what_is_read_and_is_said(tmp_path: Path, fields: tuple[int, ...]) -> None:
    events = make_events(range(10))
    damaged = struct.pack("<hhiiiiii", *fields) + bytes(100)
    path = write(tmp_path / "f.aedat", header(), polarity(events), damaged, polarity(events))
    assert np.array_equal(read(path), events)
    lost = 28 + 100 + 28 + 80
    (warning,) = describe(path).warnings
    assert warning.endswith(f"): {lost:,} bytes lost")
    assert "\n" not in warning


def test_a_file_of_countless_sources_ends_at_the_first_too_many(tmp_path: Path) -> None:
    parts = [polarity(make_events([n]), source=n) for n in range(1, 500)]
    found = describe(write(tmp_path / "f.aedat", header(), *parts))
    assert len(found.streams) == STREAMS
    assert any(f"a source beyond the first {STREAMS}" in line for line in found.warnings)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((b"#!AER-DAT3.1\r\n",), "the header has no #!END-HEADER line"),
        ((b"#!AER-DAT3.1\r\n#Format: RAW\r\n", polarity(make_events([1]))), "the header has no #!END-HEADER line"),
        ((b"#!AER-DAT3.0\r\n#Format: RAW\r\n",), "AEDAT 3.0 isn't supported"),
        ((header(form="SerializedTS"),), "the format 'SerializedTS', which isn't supported"),
        ((header(form="SerializedTS,PNGFrames"),), "the format 'SerializedTS,PNGFrames'"),
        ((header(), struct.pack("<hhiiiiii", *HOSTILE["event size 0"]), bytes(80)), "the first packet is damaged"),
        ((header(), struct.pack("<hhiiiiii", *HOSTILE["packed events"]), bytes(80)), "its events are compressed"),
        ((header(), bytes(1000)), "the first packet is damaged"),
        (
            (header("1: DVS128"), polarity(events_at(range(90))[81:])),
            "of the first 9 events are outside the sensor's 128×128 pixels",
        ),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, parts: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write(tmp_path / "f.aedat", *parts))
    assert "\n" not in str(raised.value)
