"""The Event Stream reader on files made here: DVS and ATIS, pauses, resets, blocks, damage."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError
from livesnn.events.formats.event_stream import BLOCK_BYTES
from livesnn.events.packet import Events
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.reading import events_at, read, recordings, write

RULES = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
DVS, ATIS = 1, 2


def header(kind: int = DVS, width: int = 320, height: int = 240, version: tuple[int, ...] = (2, 0, 0)) -> bytes:
    return b"Event Stream" + bytes(version) + bytes([kind]) + struct.pack("<HH", width, height)


def encode(events: Events, kind: int = DVS, height: int = 240, crossing: bool = False) -> bytes:
    """Return the octets of events: y is counted from the bottom."""
    octets, before = bytearray(), 0
    for t, x, y, p in events.tolist():
        elapsed, before = t - before, t
        if kind == DVS:
            octets += b"\xff" * (elapsed // 127)
            first = elapsed % 127 << 1 | p
        else:
            threes, left = divmod(elapsed // 63, 3)
            octets += b"\xff" * threes + (bytes([0xFC | left]) if left else b"")
            first = elapsed % 63 << 2 | p << 1 | crossing
        octets += struct.pack("<BHH", first, x, height - 1 - y)
    return bytes(octets)


def make_events(n: int, step_us: int = 20) -> Events:
    return events_at(np.arange(n) * step_us, (320, 240))


GAPS_US = (0, 1, 62, 63, 64, 126, 127, 128, 189, 254, 100_000)
STREAMS = recordings(x=(0, 1, 255, 256, 319), y=(0, 1, 239), gaps_us=GAPS_US, starts_us=GAPS_US)


@RULES
@given(STREAMS, st.sampled_from([DVS, ATIS]), st.data())
def test_what_is_read_is_what_was_written(tmp_path: Path, events: Events, kind: int, data: st.DataObject) -> None:
    path = write(tmp_path / "f.es", header(kind) + encode(events, kind))
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.format, found.resolution, found.warnings) == (
        "es",
        (320, 240),
        [NOTHING] * (not events.size),
    )
    if events.size:
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


def test_y_is_counted_from_the_bottom(tmp_path: Path) -> None:
    path = write(tmp_path / "f.es", header() + struct.pack("<BHH", 3 << 1 | 1, 7, 0))
    assert read(path).tolist() == [(3, 7, 239, True)]


def test_resets_are_no_events_and_let_no_time_pass(tmp_path: Path) -> None:
    events = make_events(4)
    first, rest = encode(events[:1]), encode(events)[5:]
    assert np.array_equal(read(write(tmp_path / "f.es", header() + first + b"\xfe" * 5 + rest)), events)


def test_threshold_crossings_are_counted_and_let_time_pass(tmp_path: Path) -> None:
    events = make_events(4)
    octets = encode(events[:2], ATIS) + encode(events[:2], ATIS, crossing=True)
    path = write(tmp_path / "f.es", header(ATIS) + octets + encode(events[1:2], ATIS))
    assert read(path)["t"].tolist() == [0, 20, 60]
    assert describe(path).warnings == ["2 threshold crossings (an ATIS's light levels) aren't read"]


def test_a_pause_longer_than_a_block_is_a_pause(tmp_path: Path) -> None:
    octets = encode(make_events(1)) + b"\xff" * (2 * BLOCK_BYTES) + encode(make_events(1))
    path = write(tmp_path / "f.es", header() + octets)
    assert read(path)["t"].tolist() == [0, 2 * BLOCK_BYTES * 127]
    assert read(path, 5)["t"].tolist() == [2 * BLOCK_BYTES * 127]


def test_an_event_outside_the_sensor_is_left_out_and_counted(tmp_path: Path) -> None:
    events = make_events(30)
    octets = bytearray(encode(events))
    octets[5 * 10 + 1 : 5 * 10 + 3] = struct.pack("<H", 320)
    found = describe(write(tmp_path / "f.es", header() + octets))
    assert found.streams["events"].n == 29
    assert found.warnings == ["5 bytes lost: they can't be events; times after them may be too early"]


def test_octets_that_are_missing_cost_the_event_they_belong_to(tmp_path: Path) -> None:
    events = make_events(100)
    octets = encode(events)
    path = write(tmp_path / "f.es", header() + octets[: 5 * 50 + 1] + octets[5 * 50 + 3 :])
    found = read(path)
    assert np.array_equal(found[:50], events[:50])
    assert found.size == 99
    assert np.array_equal(found["x"][50:], events["x"][51:])
    assert describe(path).warnings == ["3 bytes lost: they can't be events; times after them may be too early"]


@pytest.mark.parametrize("left", range(1, 5))
def test_a_file_that_is_cut_short_gives_its_whole_events_and_says_so(tmp_path: Path, left: int) -> None:
    events = make_events(3)
    path = write(tmp_path / "f.es", header() + encode(events)[: 10 + left])
    assert np.array_equal(read(path), events[:2])
    assert describe(path).warnings == [f"the last {left} bytes aren't a whole event: the file is cut short"]


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (header()[:14], "ends within its header"),
        (header()[:18], "claims 320×0 pixels: it is damaged or cut short"),
        (header(version=(1, 0, 0)), r"Event Stream 1\.0\.0 isn't supported: give a file of version 2"),
        (header(0), "it has generic events, no DVS events: give a DVS or ATIS recording"),
        (header(4), "it has color events"),
        (header(77), r"events of an unknown kind \(77\)"),
        (header(width=0), "claims 0×240 pixels"),
        (header(width=3, height=3) + encode(make_events(99)), "can't be events within the header's 3×3 pixels"),
    ],
    ids=range(8),
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, octets: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write(tmp_path / "f.es", octets))
    assert "\n" not in str(raised.value)


@pytest.mark.timeout(20)
def test_damage_before_a_long_pause_is_passed_over_at_once(tmp_path: Path) -> None:
    events = make_events(20_000)
    pause = b"\xff" * 90_000
    sound = header() + encode(events)
    outside = struct.pack("<BHH", 0, 0xFFFE, 0xFFFE) * 20
    found = describe(write(tmp_path / "f.es", sound + outside[:-3] + pause + outside[:-3] + encode(events)))
    assert any("bytes lost" in warning for warning in found.warnings)
