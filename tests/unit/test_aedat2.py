"""The reader of AEDAT 1.0 and 2.0 on files made here: addresses of both layouts, wrapped times, jumps, damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError
from livesnn.events.packet import Events, Resolution
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.reading import events_at, read, recordings, write

FIRST_LINE = b"#!AER-DAT2.0\r\n"
RULES = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = {
    "DVS128": Resolution(128, 128),
    "DAVIS240C": Resolution(240, 180),
    "Davis346blue": Resolution(346, 260),
    "DVS640": Resolution(640, 480),
    "CDAVIS": Resolution(320, 240),
}
END = b"#End Of ASCII Header\r\n"


def header(chip: str) -> bytes:
    return FIRST_LINE + b"# AEChip: eu.seebetter.ini.chips." + chip.encode() + b"\r\n" + END


def addresses(events: Events, chip: str) -> list[int]:
    """Return the address of each event, as the chip's electronics give it."""
    width, height = SIZES[chip]
    x, y = width - 1 - events["x"].astype(int), height - 1 - events["y"].astype(int)
    if chip == "DVS128":
        return (y << 8 | x << 1 | ~events["p"].astype(int) & 1).tolist()
    if chip == "DVS640":
        return (y << 11 | x << 1 | events["p"].astype(int)).tolist()
    return (y << 22 | x << 12 | events["p"].astype(int) << 11).tolist()


def words(rows: list[tuple[int, int]]) -> bytes:
    """Return words of (address, time): the time is cut to 32 bits, as a camera's clock is."""
    return b"".join(struct.pack(">II", address, time & 0xFFFFFFFF) for address, time in rows)


def encode(events: Events, chip: str) -> bytes:
    return words(list(zip(addresses(events, chip), events["t"].tolist(), strict=True)))


def make_events(times: object, chip: str = "DVS128") -> Events:
    return events_at(times, SIZES[chip])


def recordings_of(chip: str) -> st.SearchStrategy[tuple[str, Events]]:
    made = recordings(
        x=range(SIZES[chip].width),
        y=range(SIZES[chip].height),
        gaps_us=(0, 1, 9_999, 10_001, 2**24, 2**31 - 1),
        starts_us=(0, 1, -1, -(2**31), 2**31 - 1, -1_601_640_499),
    )
    return st.tuples(st.just(chip), made)


def aedat1(events: Events, lines: bytes = b"") -> bytes:
    pairs = zip(addresses(events, "DVS128"), events["t"].tolist(), strict=True)
    rows = b"".join(struct.pack(">HI", address, time & 0xFFFFFFFF) for address, time in pairs)
    return b"#!AER-DAT1.0\r\n" + lines + rows


@RULES
@given(st.sampled_from(sorted(SIZES)).flatmap(recordings_of), st.data())
def test_what_is_read_is_what_was_written_however_often_the_clock_wrapped(
    tmp_path: Path, made: tuple[str, Events], data: st.DataObject
) -> None:
    chip, events = made
    known = {"aedat2": header(chip) + encode(events, chip)}
    if chip == "DVS128":
        known["aedat1"] = aedat1(events, b"# Timestamps tick is 1 us\r\n")
    for name, octets in known.items():
        path = write(tmp_path / "f.aedat", octets)
        assert np.array_equal(read(path), events)
        found = describe(path)
        assert (found.format, found.camera, found.resolution) == (name, chip, SIZES[chip])
        assert found.warnings == [NOTHING] * (not events.size)
        if events.size:
            sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
            assert np.array_equal(read(path, sought), events[events["t"] >= sought])


@pytest.mark.parametrize(
    ("chip", "address", "event", "orientation"),
    [
        ("DVS128", 5 << 8 | 3 << 1, (10, 124, 122, True), "x to the right, y up (x = 127 - address, y = address)"),
        (
            "DVS128",
            5 << 8 | 3 << 1 | 1,
            (10, 124, 122, False),
            "x to the right, y up (x = 127 - address, y = address)",
        ),
        (
            "DVS640",
            5 << 11 | 3 << 1 | 1,
            (10, 636, 474, True),
            "x to the right, y up (x = 639 - address, y = address)",
        ),
    ],
)
def test_an_address_is_counted_from_the_right_and_of_a_dvs128_bit_0_is_clear_for_on(
    tmp_path: Path, chip: str, address: int, event: tuple[int, int, int, bool], orientation: str
) -> None:
    path = write(tmp_path / "f.aedat", header(chip) + words([(address, 10)]))
    assert (read(path).tolist(), describe(path).orientation) == ([event], orientation)


def test_a_frame_of_a_cdavis_has_four_pixels_for_one_of_events(tmp_path: Path) -> None:
    frame = [(1 << 31 | kind << 10 | 77, 160) for kind in (0, 1) for _ in range(640 * 480)]
    path = write(tmp_path / "f.aedat", header("CDAVIS") + words([(0, 100), *frame]))
    assert (describe(path).frames, describe(path).resolution) == (1, (320, 240))


def test_frames_inertial_samples_and_triggers_of_a_davis_are_no_events(tmp_path: Path) -> None:
    events = make_events([100, 200, 300], "DAVIS240C")
    imu = [(1 << 31 | code << 28 | 3 << 10, 150) for code in range(7)]
    pixels = 240 * 180
    frame = [(1 << 31 | kind << 10 | 77, 160) for kind in (0, 1) for _ in range(pixels)]
    trigger = [(1 << 10, 170)]
    first, *others = zip(addresses(events, "DAVIS240C"), events["t"].tolist(), strict=True)
    path = write(tmp_path / "f.aedat", header("DAVIS240C") + words([first, *imu, *frame, *trigger, *imu, *others]))
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.frames, found.imu, found.triggers, found.warnings) == (1, 2, 1, [])


def test_a_trigger_of_a_dvs128_is_no_event(tmp_path: Path) -> None:
    path = write(tmp_path / "f.aedat", header("DVS128") + words([(0x8000, 1), (0x8000_0000, 1), (0, 2)]))
    assert (read(path).size, describe(path).triggers, describe(path).warnings) == (1, 2, [])


def test_the_first_event_is_not_taken_for_a_line_of_the_header(tmp_path: Path) -> None:
    events = make_events([5, 6], "DAVIS240C")
    events["y"][0] = 180 - 1 - 0x8C  # its address starts with the octet of #
    path = tmp_path / "f.aedat"
    for end in (b"", END):
        write(path, header("DAVIS240C").replace(END, end) + encode(events, "DAVIS240C"))
        assert path.read_bytes()[-16:-15] == b"#"
        assert np.array_equal(read(path), events)


@pytest.mark.parametrize(("chip", "assumed"), [("DVS128", "DVS128"), ("DAVIS240C", "DAVIS240")])
def test_a_file_without_its_camera_is_told_by_its_addresses_and_says_so(
    tmp_path: Path, chip: str, assumed: str
) -> None:
    events = make_events(range(100), chip)
    path = write(tmp_path / "f.aedat", FIRST_LINE + "# User: José\r\n".encode() + encode(events, chip))
    assert np.array_equal(read(path), events)
    assert describe(path).warnings == [f"the file doesn't say which camera recorded it: {assumed} assumed"]


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("SBret10", "DAVIS240C"),
        ("DVS240", "DAVIS240C"),
        ("DAVI346", "Davis346blue"),
        ("Tmpdiff128", "DVS128"),
    ],
)
def test_older_and_converters_names_of_cameras_are_known(tmp_path: Path, name: str, like: str) -> None:
    events = make_events(range(100), like)
    path = write(tmp_path / "f.aedat", header(name) + encode(events, like))
    assert np.array_equal(read(path), events)
    assert (describe(path).camera, describe(path).resolution) == (name, SIZES[like])


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path: Path) -> None:
    events = make_events([1, 2, 3], "DAVIS240C")
    outside = [(200 << 22, 4), (0x3FF << 12, 5)]
    path = write(tmp_path / "f.aedat", header("DAVIS240C") + encode(events, "DAVIS240C") + words(outside))
    assert np.array_equal(read(path), events)
    assert any("2 events outside the sensor" in line for line in describe(path).warnings)


@pytest.mark.parametrize("left", range(1, 8))
def test_a_file_that_is_cut_short_gives_its_whole_events_and_says_so(tmp_path: Path, left: int) -> None:
    events = make_events([1, 2, 3])
    octets = header("DVS128") + encode(events, "DVS128")
    path = write(tmp_path / "f.aedat", octets[: len(octets) - 8 + left])
    assert np.array_equal(read(path), events[:2])
    assert any(f"the last {left} bytes aren't a whole event" in line for line in describe(path).warnings)


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"#!AER-DAT2.0", "header's first line has no end"),
        (header("Cochlea64"), "recorded by Cochlea64, which isn't supported: give one of"),
        (header("DAVIS999"), "recorded by DAVIS999"),
        (header("Tmpdiff64").replace(b"DAT2", b"DAT1"), "AEDAT 1.0 is only read of a DVS128"),
        (
            header("DVS128") + words([(1 << 20, t) for t in range(9)]),
            "header is damaged, or it is from another",
        ),
        (FIRST_LINE + words([(300 << 12, t) for t in range(9)]), "from another camera"),
    ],
    ids=range(6),
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, octets: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write(tmp_path / "f.aedat", octets))
    assert "\n" not in str(raised.value)
