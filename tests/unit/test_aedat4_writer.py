"""Writing .aedat4: other programs read it, a killed process leaves it readable, mistakes are refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.aedat4_layout import Compression, build_header
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.fake_source import joined

SENSOR = Resolution(640, 480)
COMPRESSIONS = ["lz4", "zstd", None]


def make_events(count: int, *, start_us: int = 1_700_000_000_000_000, step_us: int = 7) -> Events:
    random = np.random.default_rng(count)
    events = np.empty(count, EVENTS_DTYPE)
    events["t"] = start_us + step_us * np.arange(count)
    events["x"] = random.integers(0, SENSOR.width, count)
    events["y"] = random.integers(0, SENSOR.height, count)
    events["p"] = random.random(count) < 0.3
    return events


def record(path: Path, events: Events, compression: str | None, step: int = 777) -> Path:
    with Aedat4Writer(path, SENSOR, camera="TEST_CAM", compression=compression) as writer:  # type: ignore[arg-type]
        for first in range(0, events.size, step):
            writer.write(events[first : first + step])
    return path


def read(path: Path) -> Events:
    with open_recording(path) as recording:
        return joined(recording)


def sums(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> tuple[int, ...]:  # type: ignore[type-arg]
    wide = [axis.astype(np.int64) for axis in (x, y, p)]
    return (len(t), int(t[0]), int(t[-1]), *(int(axis.sum()) for axis in wide))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_dv_processing_reads_what_was_recorded(
    tmp_path: Path, compression: str | None, read_by_dv_processing: Callable[[Path], npt.NDArray[np.void]]
) -> None:
    import dv_processing as dv

    events = make_events(50_000)
    path = record(tmp_path / "f.aedat4", events, compression)
    oracle = dv.io.MonoCameraRecording(str(path))
    assert oracle.getCameraName() == "TEST_CAM"
    assert tuple(oracle.getEventResolution()) == SENSOR
    theirs = read_by_dv_processing(path)
    expected = sums(events["t"], events["x"], events["y"], events["p"])
    assert sums(theirs["timestamp"], theirs["x"], theirs["y"], theirs["polarity"]) == expected


def test_dv_processing_finds_a_time_range_by_our_table(tmp_path: Path) -> None:
    dv = pytest.importorskip("dv_processing", reason="dv-processing is not installed: pip install dv-processing")
    events = make_events(50_000)
    oracle = dv.io.MonoCameraRecording(str(record(tmp_path / "f.aedat4", events, "lz4")))
    start, end = int(events["t"][1_234]), int(events["t"][40_000])
    assert oracle.getEventsTimeRange(start, end).size() == 40_000 - 1_234


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_aedat_reads_what_was_recorded(tmp_path: Path, compression: str | None) -> None:
    aedat = pytest.importorskip("aedat", reason="aedat is not installed: pip install livesnn[dev]")
    events = make_events(50_000)
    path = record(tmp_path / "f.aedat4", events, compression)
    theirs = np.concatenate([packet["events"] for packet in aedat.Decoder(str(path)) if "events" in packet])
    expected = sums(events["t"], events["x"], events["y"], events["p"])
    assert sums(theirs["t"], theirs["x"], theirs["y"], theirs["on"]) == expected


def test_a_closed_file_is_read_without_a_warning_and_says_who_recorded_it(tmp_path: Path) -> None:
    events = make_events(20_000)
    found = describe(record(tmp_path / "f.aedat4", events, "lz4"))
    assert found.warnings == []
    assert (found.camera, found.resolution, found.duration_us) == ("TEST_CAM", SENSOR, 7 * 19_999)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_bit_that_flips_in_a_packet_or_the_table_is_said_with_its_place(tmp_path: Path, compression: str) -> None:
    events = make_events(20_000)
    path = record(tmp_path / "f.aedat4", events, compression)
    whole, random = path.read_bytes(), np.random.default_rng(3)
    header, position_at = build_header(Compression[compression.upper()], SENSOR, "TEST_CAM")
    table_at = int.from_bytes(whole[position_at : position_at + 8], "little")
    assert len(header) < table_at < len(whole)
    for at in [int(place) for place in random.integers(len(header), len(whole), 40)]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        found = describe(path)
        if at >= table_at:
            assert "the file's table is missing" in found.warnings[0]
        elif compression == "lz4" or not np.array_equal(read(path), events):  # ZSTD has bits that mean nothing
            said = [re.search(r"the packet at byte ([\d,]+) is left out: its", line) for line in found.warnings]
            start = max(int(place[1].replace(",", "")) for place in said if place)
            assert 0 <= at - start < 60_000
            assert found.streams["events"].n < 20_000


def test_what_a_power_failure_left_unwritten_is_said(tmp_path: Path) -> None:
    path = record(tmp_path / "f.aedat4", make_events(100_000), "lz4")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))  # zeros where nothing had reached the disk
    found = describe(path)
    assert 40_000 < found.streams["events"].n < 60_000
    assert any(line.startswith("no whole packet from byte") for line in found.warnings)


def test_nothing_recorded_is_a_file_without_events(tmp_path: Path) -> None:
    path = record(tmp_path / "f.aedat4", make_events(0), "lz4")
    found = describe(path)
    assert (found.streams["events"].n, found.streams["events"].t0, found.warnings) == (0, None, [NOTHING])
    with open_recording(path) as recording:
        assert list(recording) == []
        assert recording.duration_us == 0


def test_while_recording_at_most_a_hundredth_of_a_second_is_not_in_the_file_yet(tmp_path: Path) -> None:
    events = make_events(100_000)
    path = tmp_path / "f.aedat4"
    with Aedat4Writer(path, SENSOR) as writer:
        for first in range(0, 90_000, 100):
            writer.write(events[first : first + 100])
            if first % 10_000 == 5_000:
                found = describe(path).streams["events"]
                assert found.t1 is not None
                assert int(events["t"][first + 99]) - found.t1 <= 10_000


def test_packets_may_be_empty_strided_read_only_reused_and_of_fields_in_any_order(tmp_path: Path) -> None:
    events = make_events(1_000)
    strided = events[:500:2]
    strided.flags.writeable = False
    other = np.zeros(500, [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for name in ("t", "x", "y", "p"):
        other[name] = events[name][500:]
    with Aedat4Writer(tmp_path / "f.aedat4", SENSOR) as writer:
        for packet in (events[:0], strided, other, events[:0]):
            writer.write(packet)
        other["x"] = 0
    assert np.array_equal(read(tmp_path / "f.aedat4"), np.concatenate([strided, events[500:]]))


@pytest.mark.parametrize(
    ("axis", "first", "value", "message"),
    [
        ("x", 9, SENSOR.width, "outside the sensor of 640×480"),
        ("t", 9, 0, "aren't in order of time"),
        *[("t", 0, t, "out of range") for t in (2**62, -(2**62), 2**63 - 1, -(2**63))],
    ],
)
def test_an_event_that_cannot_be_is_refused_and_nothing_of_its_packet_written(
    tmp_path: Path, axis: str, first: int, value: int, message: str
) -> None:
    wrong = make_events(10)
    wrong[axis][first:] = value
    with Aedat4Writer(tmp_path / "f.aedat4", SENSOR) as writer:
        writer.write(make_events(10))
        with pytest.raises(FormatError, match=message):
            writer.write(wrong)
        with pytest.raises(SourceError, match="1-D array with fields"):
            writer.write(np.arange(4))  # type: ignore[arg-type]
    for packet in (wrong, wrong[:0]):
        with pytest.raises(SourceError, match="is closed"):
            writer.write(packet)
    assert describe(tmp_path / "f.aedat4").streams["events"].n == 10


@pytest.mark.parametrize(
    ("name", "sensor", "message"),
    [
        ("f.aedat4", Resolution(40_000, 10), "can't hold a sensor of 40000×10"),
        ("f.raw", SENSOR, r"choose a name that ends in \.aedat4"),
        ("nowhere/f.aedat4", SENSOR, "can't be written"),
        ("old.aedat4", SENSOR, "exists already"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_of_one_line_and_leaves_none(
    tmp_path: Path, name: str, sensor: Resolution, message: str
) -> None:
    (tmp_path / "old.aedat4").write_bytes(b"somebody's work")
    with pytest.raises((FormatError, SourceError), match=message) as raised:
        Aedat4Writer(tmp_path / name, sensor)
    assert "\n" not in str(raised.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"somebody's work"]
    Aedat4Writer(tmp_path / "F.AEDAT4", SENSOR).close()
    assert describe(tmp_path / "F.AEDAT4").format == "aedat4"


KILLED = """
import os, sys, signal
import numpy as np
from livesnn.events.packet import EVENTS_DTYPE, Resolution
from livesnn.events.recorder import Aedat4Writer
events = np.zeros(100_000, EVENTS_DTYPE)
events["t"] = 10 * np.arange(100_000)
writer = Aedat4Writer(sys.argv[1], Resolution(4, 4))
for first in range(0, 100_000, 250):
    writer.write(events[first : first + 250])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_all_but_the_last_hundredth_of_a_second(tmp_path: Path) -> None:
    path = tmp_path / "f.aedat4"
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    found = describe(path)
    assert found.streams["events"].t1 is not None
    assert found.streams["events"].t1 >= 999_990 - 10_000
    assert found.streams["events"].n == found.streams["events"].t1 // 10 + 1
    assert any("it was never closed" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("camera", "stored"),
    [
        ("a\0b\x01\ufffe", "ab"),
        ("\udcffDVX", "DVX"),
        ("two\nlines <&> 'µ'", "two lines <&> 'µ'"),
        ("x" * 2_000_000, "x" * 200),
    ],
)
def test_any_name_of_a_camera_leaves_a_readable_file(tmp_path: Path, camera: str, stored: str) -> None:
    with Aedat4Writer(tmp_path / "f.aedat4", SENSOR, camera=camera) as writer:
        writer.write(make_events(10))
    found = describe(tmp_path / "f.aedat4")
    assert (found.camera, found.streams["events"].n, found.warnings) == (stored, 10, [])


FULL = """
import resource, sys
from livesnn.errors import SourceError
from livesnn.events.packet import Resolution
from livesnn.events.recorder import Aedat4Writer
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    Aedat4Writer(sys.argv[1], Resolution(4, 4))
except SourceError as error:
    sys.exit(7 if "can't be written" in str(error) else str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on a file's size")
@pytest.mark.parametrize("room", [0, 100])
def test_a_header_that_cannot_be_written_leaves_no_file(tmp_path: Path, room: int) -> None:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    path = tmp_path / "f.aedat4"
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(path), str(room)], env=environment, timeout=60, check=False
    )
    assert ended.returncode == 7
    assert not path.exists()


def test_closing_twice_and_an_exception_leave_a_whole_file(tmp_path: Path) -> None:
    events = make_events(1_000)
    writer = Aedat4Writer(tmp_path / "f.aedat4", SENSOR)
    with pytest.raises(FormatError), writer:  # noqa: PT012 (what comes before the error is the point)
        writer.write(events)
        writer.write(events[::-1])
    writer.close()
    found = describe(tmp_path / "f.aedat4")
    assert (found.streams["events"].n, found.warnings) == (1_000, [])
