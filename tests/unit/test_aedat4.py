"""The .aedat4 reader on files made here: layout, damage, limits, order."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard

from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.aedat4_layout import (
    PACKET_HEADER,
    ROW_DTYPE,
    Compression,
    Decompressor,
    PacketRow,
    build_events,
    build_header,
    build_table,
    compress,
    each_row,
    parse_table,
)
from livesnn.events.formats.aedat4_reader import Aedat4Reader
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution, SourceCounters
from livesnn.events.recording import NOTHING, Recording, describe, open_recording
from livesnn.untrusted import PIECE_BYTES, WHOLE_BYTES, DamageError
from tests.fake_source import joined
from tests.reading import packets_of

SENSOR = Resolution(346, 260)


def make_events(count: int, *, seed: int = 0, start_us: int = 1_600_000_000_000_000) -> Events:
    random = np.random.default_rng(seed)
    events = np.empty(count, EVENTS_DTYPE)
    events["t"] = start_us + np.sort(random.integers(0, 100 * count, count))
    events["x"] = random.integers(0, SENSOR.width, count)
    events["y"] = random.integers(0, SENSOR.height, count)
    events["p"] = random.random(count) < 0.5
    return events


def write(path: Path, events: Events, compression: str | None = "lz4") -> Path:
    with Aedat4Writer(path, SENSOR, compression=compression) as writer:  # type: ignore[arg-type]
        writer.write(events)
    return path


def write_raw(
    path: Path,
    *contents: bytes,
    compression: Compression = Compression.NONE,
    pack: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Write a file without a table, of packets with these contents."""
    header, _ = build_header(compression, SENSOR, "made")
    packed = map(pack, contents)
    path.write_bytes(header + b"".join(PACKET_HEADER.pack(0, len(one)) + one for one in packed))
    return path


def read(recording: Recording) -> Events:
    with recording:
        packets = [*packets_of(recording)]
    return np.concatenate(packets) if packets else np.empty(0, EVENTS_DTYPE)


def test_without_compression_a_packet_is_a_view_of_what_was_read(tmp_path: Path) -> None:
    events = make_events(1_000)
    recording = open_recording(write(tmp_path / "f.aedat4", events, None))
    with recording:
        packets = [*packets_of(recording)]
    bases = {id(packet.base.obj if isinstance(packet.base, memoryview) else packet.base) for packet in packets}
    assert all(packet.base is not None and packet.strides == (16,) for packet in packets)
    assert len(packets) > len(bases) or len(packets) == 1  # neighbours share one block read from the file
    assert np.array_equal(np.concatenate(packets), events)


@pytest.mark.parametrize("compression", ["lz4", "zstd", None])
def test_packets_stay_as_they_are_when_later_ones_are_read_and_belong_to_the_caller(
    tmp_path: Path, compression: str | None
) -> None:
    events = make_events(300_000)  # larger than the reader's window
    recording = open_recording(write(tmp_path / "f.aedat4", events, compression))
    with recording:
        packets = [*packets_of(recording)]
    assert np.array_equal(np.concatenate(packets), events)
    assert all(packet.flags.writeable for packet in packets)


@pytest.mark.parametrize("number", list(Compression))
def test_every_compression_of_the_format_is_read(tmp_path: Path, number: Compression) -> None:
    pack = {
        Compression.NONE: bytes,
        Compression.LZ4: lz4.frame.compress,
        Compression.LZ4_HIGH: lambda content: lz4.frame.compress(content, compression_level=9),
        Compression.ZSTD: zstandard.ZstdCompressor().compress,
        Compression.ZSTD_HIGH: zstandard.ZstdCompressor(level=19, write_content_size=False).compress,
    }[number]
    events = make_events(5_000)
    path = write_raw(tmp_path / "f.aedat4", build_events(events), compression=number, pack=pack)
    assert np.array_equal(read(open_recording(path)), events)


@pytest.mark.parametrize(
    "options",
    [
        {"store_size": True},
        {"block_linked": False, "block_size": lz4.frame.BLOCKSIZE_MAX4MB},
        {"content_checksum": True, "block_checksum": True},
    ],
)
def test_every_kind_of_lz4_frame_is_unpacked(options: dict[str, object]) -> None:
    content = build_events(make_events(20_000))
    packed = lz4.frame.compress(content, **options)
    assert Decompressor(Compression.LZ4).decompress(memoryview(packed)) == content


@pytest.mark.parametrize("compression", [Compression.LZ4, Compression.ZSTD])
def test_a_changed_octet_of_a_packet_is_damage(compression: Compression) -> None:
    packed = compress(build_events(make_events(1_000)), compression)
    for place in range(20, len(packed), len(packed) // 50):
        damaged = bytearray(packed)
        damaged[place] ^= 0x10
        with pytest.raises(DamageError):
            Decompressor(compression).decompress(memoryview(damaged), 1 << 20)


@pytest.mark.parametrize("compression", [Compression.LZ4, Compression.ZSTD])
def test_the_table_of_a_recording_of_a_day_is_larger_than_any_packet(compression: Compression) -> None:
    content = bytes(PIECE_BYTES + 1)
    packed = lz4.frame.compress(content) if compression is Compression.LZ4 else zstandard.compress(content)
    unpacked = Decompressor(compression).decompress(memoryview(packed), WHOLE_BYTES)
    assert len(unpacked) == len(content)


@pytest.mark.parametrize("compression", [Compression.LZ4, Compression.ZSTD])
def test_a_packet_that_would_unpack_to_gigabytes_is_refused(compression: Compression) -> None:
    size = PIECE_BYTES + 1
    content = bytes(size)
    packed = lz4.frame.compress(content) if compression is Compression.LZ4 else zstandard.compress(content)
    assert len(packed) < size / 100
    with pytest.raises(DamageError):
        Decompressor(compression).decompress(memoryview(packed))


def strayed(*times: int) -> bytes:
    """Return a packet of events in the middle of which these times can't be."""
    events = make_events(100)
    events["t"][50 : 50 + len(times)] = times
    return build_events(events)


LIST_TOO_LONG = build_events(make_events(100))[:28] + struct.pack("<I", 0xFFFFFFFF) + bytes(1_600)


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (LIST_TOO_LONG, "a list is longer than the packet"),
        (strayed(np.iinfo(np.int64).max), "its times are damaged"),
        (strayed(2**62), "its times are damaged"),
        (strayed(-(2**62)), "its times are damaged"),
        (strayed(-(2**63)), "its times are damaged"),
        (strayed(0, 1 << 62, -(1 << 63), -(1 << 62), 0), "its times are damaged"),  # wraps to where it began
        (build_events(make_events(0)), ""),  # an empty one is no damage
    ],
    ids=range(7),
)
def test_a_damaged_packet_is_left_out_and_named(tmp_path: Path, damaged: bytes, said: str) -> None:
    events = make_events(100)
    recording = open_recording(write_raw(tmp_path / "f.aedat4", damaged, build_events(events), damaged))
    assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
    assert np.array_equal(read(recording), events)
    assert sum(said in warning for warning in recording.warnings if "left out" in warning) == (2 if said else 0)


def test_a_table_of_times_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    events = make_events(100)
    path = write(tmp_path / "f.aedat4", events, None)
    octets = bytearray(path.read_bytes())
    octets[octets.rindex(struct.pack("<q", events["t"][-1])) + 7] = 0x7F
    path.write_bytes(bytes(octets))
    recording = open_recording(path)
    recording.close()
    assert (recording.t_start, recording.t_end) == (events["t"][0], events["t"][-1])
    assert any("its times are damaged" in warning for warning in recording.warnings)


def test_a_packet_that_starts_a_little_before_the_last_one_ended_is_held_to_its_time(tmp_path: Path) -> None:
    events = make_events(1_000)
    newest = int(events["t"][599])
    path = write_raw(tmp_path / "f.aedat4", build_events(events[:600]), build_events(events[500:]))
    recording = open_recording(path)
    found = read(recording)
    assert (np.diff(found["t"]) >= 0).all()
    assert recording.counters.out_of_order == np.count_nonzero(events["t"][500:] < newest) > 0


def test_a_jump_back_in_time_is_said_and_the_file_is_as_long_as_all_of_it(tmp_path: Path) -> None:
    later, earlier = make_events(100, start_us=10**9), make_events(100, start_us=10**6)
    recording = open_recording(write_raw(tmp_path / "f.aedat4", build_events(later), build_events(earlier)))
    assert (recording.t_start, recording.t_end) == (int(earlier["t"][0]), int(later["t"][-1]))
    recording.seek(recording.t_start)
    assert np.array_equal(joined(recording), np.concatenate([later, earlier]))
    assert recording.counters.out_of_order == 0
    assert [line for line in recording.warnings if "time jumps back 1 times" in line]
    list(recording)
    assert len([line for line in recording.warnings if "time jumps back" in line]) == 1
    recording.close()


def test_a_recording_says_what_it_put_right_once_it_is_read(tmp_path: Path) -> None:
    events = make_events(1_000)
    events["x"][10], events["y"][20], events["x"][30] = SENSOR.width, SENSOR.height, 0xFFFF
    events[[100, 200]] = events[[200, 100]]
    path = write_raw(tmp_path / "f.aedat4", build_events(events))
    left = np.delete(events, [10, 20, 30])
    with open_recording(path) as recording:
        before = recording.warnings
        assert np.array_equal(joined(recording), left[np.argsort(left["t"], kind="stable")])
        assert recording.counters.out_of_bounds == 3
        after = recording.warnings
        assert sum(packet.size for packet in packets_of(recording)) == 997
        assert recording.warnings == after == describe(path).warnings
    late = np.count_nonzero(left["t"] < np.maximum.accumulate(left["t"]))
    assert after[len(before) :] == [
        f"events: {late:,} events were out of order, and are sorted by time",
        "events: 3 events outside the sensor, or without a usable time, are left out",
    ]


def test_what_was_put_right_is_of_one_whole_reading(tmp_path: Path) -> None:
    events = make_events(1_000)
    events["x"][[10, 990]] = SENSOR.width
    recording = open_recording(
        write_raw(tmp_path / "f.aedat4", build_events(events[:500]), build_events(events[500:]))
    )
    recording.seek(int(events["t"][600]))
    list(recording)
    assert not [line for line in recording.warnings if "outside the sensor" in line]
    recording.seek(recording.t_start)
    list(recording)
    list(recording)
    assert [line for line in recording.warnings if "outside" in line] == [
        f"{recording.stream}: 2 events outside the sensor, or without a usable time, are left out"
    ]
    recording.close()


def test_an_unreadable_header_is_an_error(tmp_path: Path) -> None:
    header, _ = build_header(Compression.LZ4, SENSOR, "made")
    for damaged in (
        header[:40],
        header[:14] + b"\xff\xff\xff\x7f" + header[18:],
        header.replace(b"<dv", b"<<<"),
    ):
        path = tmp_path / "f.aedat4"
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match="the header is damaged"):
            open_recording(path)


@pytest.mark.parametrize("text", [b'key="sizeX" type="int">346', b'name="0" path'])
def test_a_number_of_thousands_of_digits_in_the_header_is_damage(tmp_path: Path, text: bytes) -> None:
    header, _ = build_header(Compression.NONE, SENSOR, "made" + "x" * 6_000)
    shorter = header.replace(b"x" * 6_000, b"")
    assert header.count(text) == shorter.count(text) == 1
    digit = text.index(b"346") if b"346" in text else text.index(b"0")
    longer = text[:digit] + b"1" * 6_000 + text[digit:]
    path = tmp_path / "f.aedat4"
    path.write_bytes(header.replace(b"x" * 6_000, b"").replace(text, longer))  # as long as the header says
    with pytest.raises(FormatError, match=r"the header is damaged \(a number of 6,00. digits"):
        open_recording(path)


def test_a_recording_of_pictures_alone_says_so(tmp_path: Path) -> None:
    header, _ = build_header(Compression.NONE, SENSOR, "made")
    path = tmp_path / "f.aedat4"
    content = build_events(make_events(3)).replace(b"EVTS", b"FRME")
    path.write_bytes(header.replace(b"EVTS", b"FRME") + PACKET_HEADER.pack(0, len(content)) + content)
    with pytest.raises(SourceError, match=r"it has no event stream \(frames 1, IMU 0\): choose another recording"):
        open_recording(path)


def test_a_sensor_size_that_the_file_does_not_give_is_taken_from_the_events_and_said(tmp_path: Path) -> None:
    events = make_events(1_000)
    path = write_raw(tmp_path / "f.aedat4", build_events(events))
    path.write_bytes(path.read_bytes().replace(b'key="sizeX"', b'key="sizeQ"'))
    recording = open_recording(path)
    recording.close()
    assert recording.resolution == (events["x"].max() + 1, events["y"].max() + 1)
    assert any("doesn't give the sensor's size" in warning for warning in recording.warnings)


def test_a_table_written_is_the_table_read() -> None:
    rows = [PacketRow(number % 3, 100 * number, 92, number, 10**15 + number, -number) for number in range(1_000)]
    assert [*each_row(parse_table(memoryview(build_table(np.array(rows, ROW_DTYPE)))))] == rows


@pytest.mark.parametrize("octet", [0, 4, 24, 44, 45, 46, 47, 52])
def test_a_damaged_table_leads_nowhere_outside(octet: int) -> None:
    content = bytearray(build_table(np.array([PacketRow(0, 100, 92, 5, 1, 2)] * 3, ROW_DTYPE)))
    content[octet] ^= 0xFF
    content[octet + 1] ^= 0xFF
    try:
        table = parse_table(memoryview(bytes(content)))
    except DamageError:
        return
    assert len(table) <= 3


def test_a_table_that_lies_is_found_out_and_the_file_walked(tmp_path: Path) -> None:
    events = make_events(30_000)
    path = write(tmp_path / "f.aedat4", events, None)
    octets = bytearray(path.read_bytes())
    header, _ = build_header(Compression.NONE, SENSOR, "livesnn")
    first = struct.pack("<qi", len(header) + 8, 0)  # where the table says the first packet lies
    assert octets.count(first) == 1
    octets[octets.index(first)] ^= 0x40
    path.write_bytes(bytes(octets))
    recording = open_recording(path)
    assert np.array_equal(read(recording), events)
    assert any("it doesn't match the packets" in warning for warning in recording.warnings)


def test_seeking_reads_a_handful_of_packets_not_the_whole_file(tmp_path: Path) -> None:
    events = make_events(200_000)
    parts = map(build_events, np.array_split(events, 2_000))
    reader = Aedat4Reader(write_raw(tmp_path / "f.aedat4", *parts))
    sought = int(events["t"][150_000])
    first = next(reader.packets("events", sought, SourceCounters()))
    reader.close()
    assert first["t"][0] == sought
    assert first.size <= 100


def test_one_event_of_a_wrong_time_hides_no_other_from_a_seek(tmp_path: Path) -> None:
    parts = np.array_split(make_events(4_000), 40)
    parts[20]["t"][50] -= 3_600_000_000
    recording = open_recording(write_raw(tmp_path / "f.aedat4", *map(build_events, parts)))
    sought = int(parts[10]["t"][0])
    recording.seek(sought)
    found = read(recording)
    assert found["t"][0] == sought
    assert found.size == 3_000


def test_a_damaged_packet_hides_none_before_it_from_a_seek(tmp_path: Path) -> None:
    parts = np.array_split(make_events(4_000), 40)
    contents = [bytearray(build_events(part)) for part in parts]
    for number in range(21, 40):
        contents[number][28:32] = struct.pack("<I", 0xFFFFFFFF)
    recording = open_recording(write_raw(tmp_path / "f.aedat4", *map(bytes, contents)))
    sought = int(parts[20]["t"][50])
    recording.seek(sought)
    assert np.array_equal(read(recording), parts[20][50:])


def test_packets_of_a_stream_that_the_header_does_not_name_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "f.aedat4", make_events(5000))
    octets = path.read_bytes()
    assert octets.count(b'name="0"') == 1
    path.write_bytes(octets.replace(b'name="0"', b'name="1"'))
    found = describe(path)
    assert found.streams["events"].n == 0
    assert found.warnings == [
        "5 packets belong to no stream in the file's header, and are left out",
        NOTHING,
    ]


def test_packets_of_a_type_that_is_not_known_are_said_to_be_left_out(tmp_path: Path) -> None:
    header, _ = build_header(Compression.NONE, SENSOR, "made")
    path = tmp_path / "f.aedat4"
    content = build_events(make_events(3))
    path.write_bytes(header.replace(b"EVTS", b"EVTR") + (PACKET_HEADER.pack(0, len(content)) + content) * 2)
    assert "2 packets are of an unknown type, 'EVTR', and are left out" in describe(path).warnings


@pytest.fixture(params=["one core", "all cores"])
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the process use one core, where the system can, then all that it may use."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if usable is not None and request.param == "one core":
        os.sched_setaffinity(0, {min(usable)})
    yield
    if usable is not None:
        os.sched_setaffinity(0, usable)


def write_with_faults(path: Path) -> tuple[Path, Events]:
    """Write 60 packets of which 5 are damaged, 1 is empty and 1 out of order; return what is left of them."""
    sound = np.array_split(make_events(600_000), 60)
    contents = [bytearray(build_events(part)) for part in sound]
    for number in (7, 8, 30, 31, 59):
        contents[number][28:32] = struct.pack("<I", 0xFFFFFFFF)
    contents[40] = bytearray(build_events(sound[40][:0]))
    contents[20] = bytearray(build_events(sound[20][::-1]))
    order = np.argsort(sound[20][::-1]["t"], kind="stable")
    sound[20] = sound[20][::-1][order]
    left = [part for number, part in enumerate(sound) if number not in (7, 8, 30, 31, 40, 59)]
    write_raw(path, *map(bytes, contents), compression=Compression.LZ4, pack=lz4.frame.compress)
    return path, np.concatenate(left)


@pytest.mark.usefixtures("cores")
def test_on_every_number_of_cores_the_same_packets_are_left_out_and_named(tmp_path: Path) -> None:
    path, left = write_with_faults(tmp_path / "f.aedat4")
    recording = open_recording(path)
    found = read(recording)
    assert np.array_equal(found, left)
    assert recording.counters.out_of_order > 9_000
    assert sum("left out: a list is longer" in warning for warning in recording.warnings) == 5


@pytest.mark.usefixtures("cores")
def test_damage_that_is_not_reached_is_not_named(tmp_path: Path) -> None:
    path, left = write_with_faults(tmp_path / "f.aedat4")
    with open_recording(path) as recording:
        packets = packets_of(recording)
        first = [next(packets) for _ in range(7)]
        known = [warning for warning in recording.warnings if "left out" in warning]
    assert np.array_equal(np.concatenate(first), left[:70_000])
    assert len(known) == 1  # the last packet's, which was looked at for the recording's end


@pytest.mark.usefixtures("cores")
def test_packets_that_unpack_to_more_than_is_held_ahead_are_read_too(tmp_path: Path) -> None:
    events = np.zeros(1_100_000, EVENTS_DTYPE)
    contents, path = [build_events(events)] * 3, tmp_path / "f.aedat4"
    write_raw(path, *contents, compression=Compression.ZSTD, pack=zstandard.compress)
    recording = open_recording(path)
    assert read(recording).size == 3 * events.size
    assert not any("left out" in warning for warning in recording.warnings)


@pytest.mark.usefixtures("cores")
def test_a_recording_closed_while_it_is_read_ends_and_leaves_no_thread(tmp_path: Path) -> None:
    recording = open_recording(write(tmp_path / "f.aedat4", make_events(1_000_000)))
    packets = packets_of(recording)
    assert all(next(packets).size for _ in range(500))
    recording.close()
    assert [*packets] == []
    assert not [name for name in map(str, threading.enumerate()) if "livesnn-prefetch" in name]


@pytest.mark.usefixtures("cores")
def test_a_file_that_becomes_shorter_is_an_error_after_what_could_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "f.aedat4", make_events(1_000_000))
    with open_recording(path) as recording:
        packets = packets_of(recording)
        sizes = [next(packets).size]
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(FormatError, match="became shorter"):
            sizes.extend(packet.size for packet in packets)
    assert 400_000 < sum(sizes) < 500_000
