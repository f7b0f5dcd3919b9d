"""Opening recordings of any format, and replaying them at a chosen speed."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.formats.nmnist import read_nmnist
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import Recording, describe, open_recording
from livesnn.paths import models_dir
from livesnn.sources import open_source
from tests.fake_source import joined
from tests.reading import packets_of

SENSOR = Resolution(64, 48)
WAIT_S = 20.0  # never reached, unless something hangs


def make_events(times: object) -> Events:
    t = np.asarray(times, np.int64)
    events = np.zeros(t.size, EVENTS_DTYPE)
    events["t"] = t
    events["x"] = t % SENSOR.width
    events["y"] = t // 7 % SENSOR.height
    events["p"] = t % 3 == 0
    return events


def record(path: Path, events: Events) -> Path:
    with Aedat4Writer(path, SENSOR) as writer:
        writer.write(events)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    """Yield a fifth of a second, an event every 20 µs."""
    opened = open_recording(record(tmp_path / "f.aedat4", make_events(1_000_000 + np.arange(0, 200_000, 20))))
    yield opened
    opened.close()


def write_nmnist(path: Path, rows: list[tuple[int, int, int, int]]) -> Path:
    octets = [[x, y, p << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF] for x, y, p, t in rows]
    path.write_bytes(np.array(octets, np.uint8).tobytes())
    return path


# --- which format ---


def test_a_format_is_told_by_its_content_not_by_its_name(tmp_path: Path) -> None:
    renamed = record(tmp_path / "f.aedat4", make_events([1, 2, 3])).rename(tmp_path / "f.txt")
    with open_recording(renamed) as recording:
        assert recording.format == "aedat4"


def test_a_bin_file_that_cannot_be_nmnist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.bin"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 5_000, np.uint8).tobytes())
    with pytest.raises(FormatError, match="not a recording of a known format"):
        open_recording(path)


def test_an_older_aedat_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "f.aedat"
    path.write_bytes(b"#!AER-DAT3.0\r\n# no events\r\n")
    with pytest.raises(FormatError, match=r"AEDAT 3\.0 isn't supported"):
        open_recording(path)


def test_a_folder_and_a_missing_file_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a folder, not a recording"):
        open_recording(tmp_path)
    with pytest.raises(SourceError, match="no such file: give the path of a recording"):
        open_recording(tmp_path / "none.aedat4")


@pytest.mark.timeout(20)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "endless.bin").symlink_to("/dev/zero")
    for name in ("pipe.bin", "endless.bin"):
        with pytest.raises(SourceError, match="not a file"):
            open_source(tmp_path / name)
        with pytest.raises(SourceError, match="not a file"):
            read_nmnist(tmp_path / name)


def test_what_livesnn_does_not_read_is_refused_without_a_command_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("hello")
    with pytest.raises(FormatError, match=r"give a recording that livesnn reads \(\.aedat4") as raised:
        open_recording(tmp_path / "f.txt")
    assert "convert" not in str(raised.value)


# --- open_source ---


def test_open_source_opens_a_path(tmp_path: Path) -> None:
    source = open_source(record(tmp_path / "f.aedat4", make_events([5, 6])))
    assert source.resolution == SENSOR
    assert sum(packet.size for packet in packets_of(source)) == source.counters.events == 2
    source.close()
    source.close()


@pytest.mark.parametrize("uri", ["unix:///tmp/dv.sock", "https://camera/stream"])
def test_open_source_says_what_is_not_supported(uri: str) -> None:
    with pytest.raises(SourceError, match="sources are not supported: give a recording"):
        open_source(uri)


def test_a_model_in_place_of_a_source_is_named() -> None:
    with pytest.raises(SourceError, match=r"gestures: this is a model: give it as --model .*gestures"):
        open_source(models_dir() / "gestures")


def test_open_source_says_that_there_is_no_such_file() -> None:
    with pytest.raises(SourceError, match=r"nothing\.aedat4: no such file: give the path"):
        open_source("nothing.aedat4")


def test_open_source_expands_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    record(tmp_path / "f.aedat4", make_events([5, 6]))
    open_source("~/f.aedat4").close()
    open_source(Path("~/f.aedat4")).close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "the source is empty"),
        ("file:///tmp/f.aedat4", "file:// isn't supported"),
        ("x" * 300, "can't be opened|no such file"),
        ("a\0b", "can't be opened"),
        ("~nobody-of-this-name/f.aedat4", "no such file"),
        (None, "must be text or a path"),
        (5, "must be text or a path"),
    ],
)
def test_what_cannot_be_a_source_is_an_error_of_one_line(uri: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as raised:
        open_source(uri)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on this system")
def test_links_that_lead_nowhere_are_called_so(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").symlink_to("nowhere")
    (tmp_path / "circle.npz").symlink_to("circle.npz")
    with pytest.raises(SourceError, match="a link that points nowhere"):
        open_source(tmp_path / "broken.npz")
    with pytest.raises(SourceError, match="can't be opened"):
        open_source(tmp_path / "circle.npz")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may open everything")
def test_a_folder_that_may_not_be_looked_into_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "locked" / "f.aedat4"
    path.parent.mkdir(mode=0)
    with pytest.raises(SourceError, match="check the path and permissions"):
        open_source(path)


# --- N-MNIST ---


def test_nmnist_records_are_decoded_bit_by_bit(tmp_path: Path) -> None:
    rows = [(0, 33, 1, 0), (33, 0, 0, 0x010203), (5, 6, 1, 0x7FFFFF)]
    recording = open_recording(write_nmnist(tmp_path / "f.bin", rows))
    events = joined(recording)
    assert [(e["x"], e["y"], e["p"], e["t"]) for e in events] == rows
    assert (recording.resolution, recording.format) == ((34, 34), "nmnist")


def test_ncaltech_time_overflows_move_all_later_times_on(tmp_path: Path) -> None:
    rows = [(200, 10, 1, 8_000), (0, 240, 0, 8_191), (3, 4, 0, 5), (0, 240, 0, 8_191), (5, 6, 1, 6)]
    recording = open_recording(write_nmnist(tmp_path / "f.bin", rows))
    events = joined(recording)
    assert events["t"].tolist() == [8_000, 8_192 + 5, 2 * 8_192 + 6]
    assert recording.resolution == (240, 180)


def test_an_nmnist_file_cut_inside_an_event_says_so(tmp_path: Path) -> None:
    path = write_nmnist(tmp_path / "f.bin", [(1, 2, 1, t) for t in range(100)])
    path.write_bytes(path.read_bytes()[:-2])
    found = describe(path)
    assert found.streams["events"].n == 99
    assert found.warnings == ["the last 3 bytes aren't a whole event: the file is cut short"]


# --- tables ---


def test_an_npz_with_its_sensor_size_needs_no_guess(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", t=[1, 2], x=[3, 4], y=[5, 6], p=[-1, 1], width=50, height=40)
    recording = open_recording(tmp_path / "f.npz")
    assert (recording.resolution, recording.warnings) == ((50, 40), [])
    assert joined(recording).tolist() == [(1, 3, 5, False), (2, 4, 6, True)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": None}, "no column p"),
        ({"t": [0.1, 0.2]}, "can't tell the unit of its times"),
        ({"x": [0.5, 1.5]}, "2 of the first 2 events have an x or y that isn't whole"),
        ({"x": [1]}, "save lists of one length"),
        ({"p": [0, 7]}, "1 of the first 2 events have .* a p that isn't 0 and 1 or -1 and 1"),
        ({"y": [-1, 40_000]}, "within 0..32767"),
        (
            {"width": 0, "height": 3},
            "width and height must each be one integer from 1 to 32768: correct them",
        ),
        ({"t": [{}, 1]}, "t must be numbers, not object"),
        ({"t": np.array([-(2**62), 2**62])}, "2 of the first 2 events have .* no time"),
        ({"t": np.array([2**64 - 2, 2**64 - 1], np.uint64)}, "no time"),
        ({"x": np.array([2**15, 2**63 + 1], np.uint64)}, "within 0..32767"),
    ],
)
def test_an_npz_that_is_no_recording_says_what_is_wrong(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    columns = {"t": [1, 2], "x": [3, 4], "y": [5, 6], "p": [0, 1], **change}
    np.savez(tmp_path / "f.npz", **{k: np.asarray(v) for k, v in columns.items() if v is not None})
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(tmp_path / "f.npz")
    assert "\n" not in str(raised.value)


def test_a_damaged_npz_is_an_error_of_one_line(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", t=np.arange(1_000), x=np.zeros(1_000, int))
    octets = (tmp_path / "f.npz").read_bytes()
    for damaged in (octets[:200], octets[:80] + b"\xaa" * 60 + octets[140:]):
        (tmp_path / "f.npz").write_bytes(damaged)
        with pytest.raises(FormatError) as raised:
            open_recording(tmp_path / "f.npz")
        assert "\n" not in str(raised.value)


def write_npz(path: Path, header: bytes) -> Path:
    """Write columns that all have the same header of an array, and nothing after it."""
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("t", "x", "y", "p"):
            archive.writestr(f"{name}.npy", member)
    return path


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("(50000001,)", "too many to hold"),
        ("(4611686018427387904,)", "too many to hold"),
        ("(-1,)", "negative size"),
        ("(1,", "not a sound"),
        ("(1,)),", "not a sound"),
        ("(" * 4_000 + ")" * 4_000, "not a sound"),
        ("(2,)", "not a sound"),
    ],
)
def test_an_npz_is_measured_by_its_headers_before_it_is_read(tmp_path: Path, shape: str, message: str) -> None:
    header = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write_npz(tmp_path / "f.npz", header))
    assert "\n" not in str(raised.value)


def test_a_table_whose_time_jumps_back_is_sorted_and_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", t=[50_000, 50_001, 0, 1], x=[0, 1, 2, 3], y=[0] * 4, p=[1] * 4, width=9, height=9)
    with open_recording(tmp_path / "f.npz") as recording:
        assert joined(recording)["x"].tolist() == [2, 3, 0, 1]
        assert recording.warnings == ["time goes back by up to 50,001 µs: all events are sorted by time"]


# --- recordings ---


def test_a_recording_can_be_read_again_from_the_start(recording: Recording) -> None:
    first, second = joined(recording), joined(recording)
    assert np.array_equal(first, second)
    assert recording.counters.events == 2 * first.size


def test_seeking_in_the_middle_of_an_iteration_goes_on_from_there(recording: Recording) -> None:
    packets = iter(recording)
    next(packets)
    recording.seek(1_150_000)
    assert next(packets).events["t"][0] == 1_150_000
    recording.seek(1_050_000)
    assert joined(packets)["t"][0] == 1_050_000


def test_seeking_outside_the_recording_is_held_to_it(recording: Recording) -> None:
    recording.seek(-5)
    assert next(packets_of(recording))["t"][0] == recording.t_start
    recording.seek(10**15)
    assert joined(recording)["t"].tolist() == [recording.t_end]


def test_packets_are_bounded_whatever_the_file_does(tmp_path: Path) -> None:
    from livesnn.events.formats.aedat4_layout import PACKET_HEADER, Compression, build_events, build_header

    content = build_events(make_events(np.arange(200_000)))
    header, _ = build_header(Compression.NONE, SENSOR, "made")
    (tmp_path / "f.aedat4").write_bytes(header + PACKET_HEADER.pack(0, len(content)) + content)
    with open_recording(tmp_path / "f.aedat4") as recording:
        sizes = [packet.size for packet in packets_of(recording)]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536


def test_a_closed_recording_ends_its_iteration(recording: Recording) -> None:
    packets = packets_of(recording)
    next(packets)
    recording.close()
    assert list(packets) == []
    assert recording.warnings == []
    with pytest.raises(SourceError, match="the recording is closed: open it again"):
        next(packets_of(recording))


def test_a_stream_that_a_file_does_not_have_is_an_error_in_a_description_too(tmp_path: Path) -> None:
    path = record(tmp_path / "f.aedat4", make_events([1, 2, 3]))
    assert list(describe(f"{path}?stream=events").streams) == ["events"]
    with pytest.raises(SourceError, match="no event stream called '/nix'; it has events: choose one of these"):
        describe(f"{path}?stream=/nix")
