"""The HDF5 reader on files made here: ECF in its three styles, DSEC's layout, columns of any origin, damage."""

from __future__ import annotations

import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.cli.recordings import describe_recording
from livesnn.errors import FormatError, SourceError
from livesnn.events.formats.hdf5 import BLOCK_EVENTS, Attributes, WatchedFile, find_places
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.events.recording import NOTHING, describe, open_recording
from livesnn.untrusted import ENTRIES, STREAMS
from tests.ecf_writer import CHUNK_EVENTS, STYLES, write_ecf
from tests.fake_source import joined
from tests.reading import packets_of, read

RULES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_events(n: int, step_us: int = 20, width: int = 640, height: int = 480) -> Events:
    events = np.zeros(n, EVENTS_DTYPE)
    events["t"] = 5_000_000 + np.arange(n) * step_us
    events["x"], events["y"] = np.arange(n) * 3 % width, np.arange(n) // 7 * 11 % height
    events["p"] = np.arange(n) % 3 == 0
    return events


def write_columns(path: Path, events: Events, group: str = "events", **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        home = file.require_group(group) if group else file
        for axis in "txyp":
            column = events[axis].astype("u1") if axis == "p" else events[axis]
            home.create_dataset(axis, data=column, chunks=(256,), maxshape=(None,), compression="gzip")
        file.attrs.update(attributes)
    return path


@st.composite
def streams(draw: st.DrawFn) -> Events:
    step_us = st.sampled_from([0, 0, 1, 14, 15, 16, 240, 255, 4_095, 1 << 20, 1 << 33])
    repeats = st.sampled_from([1, 1, 2, 14, 15, 16, 31, 64, 130])
    pixel = st.tuples(st.sampled_from([0, 1, 2, 5, 1279, 2047]), st.sampled_from([0, 7, 719]), st.booleans())
    rows = draw(st.lists(st.tuples(step_us, repeats, pixel, st.booleans()), max_size=12))
    events = np.zeros(sum(count for _, count, _, _ in rows), EVENTS_DTYPE)
    n = t = 0
    for step, count, (x, y, p), spread in rows:
        t += step
        part = events[n : n + count]
        part["t"], part["y"], part["p"] = t, y, p
        part["x"] = np.minimum(x + np.arange(count) * spread, 2047)
        n += count
    return events


@RULES
@given(streams(), st.permutations(list(STYLES)), st.data())
def test_what_is_read_of_ecf_is_what_was_written(
    tmp_path: Path, events: Events, styles: list[str], data: st.DataObject
) -> None:
    path = write_ecf(tmp_path / "f.hdf5", events, tuple(styles), geometry="2048x720")
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.format, found.resolution) == ("hdf5", (2048, 720))
    assert found.warnings == [NOTHING] * (not events.size)
    if events.size:
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


def test_a_damaged_chunk_of_ecf_is_left_out_and_said(tmp_path: Path) -> None:
    events = make_events(4 * CHUNK_EVENTS)
    path = write_ecf(tmp_path / "f.hdf5", events)
    with h5py.File(path, "r+") as file:
        dataset = file["CD/events"].id
        dataset.write_direct_chunk((CHUNK_EVENTS,), STYLES["masked"](events[:CHUNK_EVENTS])[:-20])
    expected = np.delete(events, np.s_[CHUNK_EVENTS : 2 * CHUNK_EVENTS])
    with open_recording(path) as recording:
        assert np.array_equal(joined(recording), expected)
        lost = f"{CHUNK_EVENTS} events lost: CD/events is damaged from event {CHUNK_EVENTS} on"
        assert recording.warnings == [lost]


def test_a_packed_file_that_lost_the_name_of_its_packing_is_never_read_as_what_lies_in_memory(
    tmp_path: Path,
) -> None:
    """HDF5 itself takes 4 kB of whatever was there before for a chunk of 400 bytes, another time others."""
    path = tmp_path / "f.hdf5"
    with h5py.File(path, "w") as file:
        fields = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        rows = file.create_dataset("CD/events", (512,), fields, chunks=(256,))
        for first in (0, 256):
            rows.id.write_direct_chunk((first,), bytes(400))
    with open_recording(path) as recording:
        assert sum(len(packet) for packet in packets_of(recording)) == 0
        assert "512 events lost: CD/events is damaged from event 0 on" in recording.warnings


def test_of_an_unpacked_column_with_a_short_chunk_the_other_blocks_are_read(tmp_path: Path) -> None:
    events = make_events(3 * BLOCK_EVENTS)
    path = tmp_path / "f.hdf5"
    short = BLOCK_EVENTS + 1024  # in the second block
    with h5py.File(path, "w") as file:
        for axis in "txyp":
            rows = file.create_dataset(axis, (len(events),), "i8", chunks=(1024,))
            rows.attrs["unit"] = "us"
            for first in range(0, len(events), 1024):
                octets = events[axis][first : first + 1024].astype("i8").tobytes()
                rows.id.write_direct_chunk((first,), octets[:400] if (axis, first) == ("x", short) else octets)
    expected = np.delete(events, np.s_[BLOCK_EVENTS : 2 * BLOCK_EVENTS])
    with open_recording(path) as recording:
        assert np.array_equal(joined(recording), expected)
        assert any(f"{BLOCK_EVENTS} events lost" in warning.replace(",", "") for warning in recording.warnings)


def test_a_chunk_that_ecf_left_unpacked_is_read_as_it_is(tmp_path: Path) -> None:
    events = make_events(2 * CHUNK_EVENTS)
    path = write_ecf(tmp_path / "f.hdf5", events)
    with h5py.File(path, "r+") as file:
        dataset = file["CD/events"]
        plain = np.zeros(CHUNK_EVENTS, dataset.dtype)
        for axis in "txyp":
            plain[axis] = events[axis][:CHUNK_EVENTS]
        dataset.id.write_direct_chunk((0,), plain.tobytes(), filter_mask=1)
    assert np.array_equal(read(path), events)


def test_the_layout_of_dsec_has_its_offset_added_and_needs_no_guess(tmp_path: Path) -> None:
    events = make_events(1_000)
    path = write_columns(tmp_path / "f.h5", events, height=480, width=640)
    with h5py.File(path, "r+") as file:
        file["t_offset"] = np.int64(49_599_300_523)
        file["ms_to_idx"] = np.arange(20, dtype=np.uint64)
    shifted = events.copy()
    shifted["t"] += 49_599_300_523
    assert np.array_equal(read(path), shifted)
    assert (describe(path).resolution, describe(path).warnings) == ((640, 480), [])


@pytest.mark.parametrize(
    ("offset", "added"),
    [
        (5_000_000.0, 5_000_000),
        (np.float32(5e6), 5_000_000),
        (np.array([5_000_000]), 5_000_000),
        *[(offset, None) for offset in (np.nan, 0.5, [1, 2], "1000", 2**62)],
    ],
)
def test_an_offset_of_any_kind_of_number_is_added_and_one_that_is_no_time_left_out_and_said(
    tmp_path: Path, offset: object, added: int | None
) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(10), height=480, width=640)
    with h5py.File(path, "r+") as file:
        file["t_offset"] = offset
    assert np.array_equal(read(path)["t"], make_events(10)["t"] + (added or 0))
    said = "t_offset isn't one whole number of µs, and isn't added to the times" in describe(path).warnings
    assert said == (added is None)


@pytest.mark.parametrize("virtual", [True, False])
def test_an_offset_in_another_file_is_left_out_and_said(tmp_path: Path, virtual: bool) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(10), height=480, width=640)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["n"] = np.array([5_000_000])
    with h5py.File(path, "r+") as file:
        if virtual:
            layout = h5py.VirtualLayout(shape=(1,), dtype="i8")
            layout[:] = h5py.VirtualSource(other, "n", shape=(1,))
            file.create_virtual_dataset("t_offset", layout)
        else:
            file.create_dataset("t_offset", (1,), "i8", external=[(str(other), 0, 8)])
    assert np.array_equal(read(path), make_events(10))
    assert "t_offset lies in other files, and isn't added to the times" in describe(path).warnings


def test_an_offset_behind_a_link_or_in_a_chunk_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    events = make_events(10)
    path = write_columns(tmp_path / "f.h5", events, height=480, width=640)
    with h5py.File(path, "r+") as file:
        file["t_offset"], file["u"] = h5py.SoftLink("/u"), h5py.SoftLink("/t_offset")
    assert np.array_equal(read(path), events)
    with h5py.File(path, "r+") as file:
        del file["t_offset"]
        chunk = {
            "shape": (1,),
            "maxshape": (None,),
            "chunks": (1 << 30,),
            "dtype": "u1",
            "compression": "gzip",
        }
        file.create_dataset("t_offset", **chunk).id.write_direct_chunk((0,), zlib.compress(b"\5"))
    assert np.array_equal(read(path), events)
    assert "t_offset isn't one whole number of µs, and isn't added to the times" in describe(path).warnings


def test_triggers_without_a_value_or_behind_a_link_are_none(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(10))
    with h5py.File(path, "r+") as file:
        file["EXT_TRIGGER/events"] = h5py.Empty("i8")
    assert describe(path).triggers == 0
    with h5py.File(path, "r+") as file:
        del file["EXT_TRIGGER"]
        file["EXT_TRIGGER"] = h5py.ExternalLink("other.h5", "/")
    assert describe(path).triggers == 0


def zeros(octets: int) -> bytes:
    """Return as many zeros as zlib packs them, from pieces: packing all of them takes long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 15)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (octets // (1 << 20) - 1) + packer.flush()


def lzf_zeros(octets: int) -> bytes:
    """Return as many zeros as LZF packs them: one, then copies of 264 bytes from one byte before."""
    return b"\x00\x00" + b"\xe0\xff\x00" * (octets // 264)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("compression", "packed", "rows"),
    [
        ("gzip", zeros(32 << 20), 1 << 10),
        ("gzip", zeros(1 << 30), 1 << 18),
        ("lzf", lzf_zeros(1 << 27), 1 << 18),
    ],
)
def test_a_chunk_that_unpacks_to_more_than_a_chunk_is_lost_and_said(
    tmp_path: Path, compression: str, packed: bytes, rows: int
) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for axis in "txyp":
            file.create_dataset(axis, (2 * rows,), "i8", chunks=(rows,), compression=compression)
            file[axis][rows:] = 0
        for axis in "txyp":
            file[axis].id.write_direct_chunk((0,), packed)
        file["t"].attrs["unit"] = "us"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = describe(tmp_path / "f.h5")
    assert found.streams["events"].n == (rows if rows % BLOCK_EVENTS == 0 else 0)  # the rest of its blocks is lost
    assert "damaged from event 0 on" in found.warnings[0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 400_000


def write_raw_chunks(file: h5py.File, n: int, chunk: bytes, filters: list[tuple[int, tuple[int, ...]]]) -> None:
    """Write columns of n numbers in one chunk each, as it is, that claim to have gone through these filters."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((n,))
    for number, options in filters:
        made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, options)
    for axis in "txyp":
        space = h5py.h5s.create_simple((n,))
        dataset = h5py.h5d.create(file.id, axis.encode(), h5py.h5t.NATIVE_INT64, space, made)
        dataset.write_direct_chunk((0,), chunk)


def twice_compressed(file: h5py.File) -> None:
    write_raw_chunks(file, 64, zlib.compress(zlib.compress(bytes(512))), [(h5py.h5z.FILTER_DEFLATE, (9,))] * 2)


def with_private_filter(file: h5py.File) -> None:
    write_raw_chunks(file, 8, bytes(64), [(300, ())])  # of the numbers that nothing brings


def columns(**options: object) -> Callable[[h5py.File], None]:
    def fill(file: h5py.File) -> None:
        for axis in "txyp":
            file.create_dataset(axis, **options)

    return fill


def equal_events(file: h5py.File) -> None:
    columns(shape=(16 << 20,), chunks=(1 << 20,), dtype="i8", compression="gzip")(file)
    packed = zlib.compress(bytes(8 << 20))
    for axis in "txyp":
        for first in range(0, 16 << 20, 1 << 20):
            file[axis].id.write_direct_chunk((first,), packed)


def many_streams(file: h5py.File) -> None:
    for number in range(STREAMS + 1):
        columns(data=[0])(file.create_group(f"{number}"))


def no_numbers(file: h5py.File) -> None:
    file["p"], file["image"] = ["ON", "OFF"], np.zeros((4, 3))


def no_columns(file: h5py.File) -> None:
    file["images/raw"], file["events"] = np.zeros(4), np.zeros((9, 4))


def different_lengths(file: h5py.File) -> None:
    columns(data=np.zeros(10, int))(file.create_group("events"))
    del file["events/x"]
    file["events/x"] = np.zeros(9, int)


def linked(file: h5py.File) -> None:
    write_columns(Path(file.filename).with_name("other.h5"), make_events(10))
    file["events"] = h5py.ExternalLink("other.h5", "/events")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (twice_compressed, "compressed more than once, which isn't supported: repack it"),
        (with_private_filter, r"HDF5 filter 300, .* pip install hdf5plugin"),
        (
            columns(data=np.zeros(1_100, "u1"), chunks=(1,)),
            "chunks of 1 items, which take too long to read: repack it",
        ),
        (
            columns(data=np.arange(1_000), chunks=(100,), scaleoffset=0),
            "HDF5's scale-offset filter, which isn't safe",
        ),
        (columns(data=np.arange(1_000), chunks=(100,), compression="szip"), "HDF5's SZIP filter, which isn't safe"),
        (columns(shape=(1 << 50,), dtype="i8", chunks=(1 << 10,)), "claims 1,125,899,906,842,624 items, but has 0"),
        (columns(shape=(1 << 27,), dtype="i8", chunks=(1 << 27,)), "don't fit in memory: repack it"),
        (equal_events, r"claims 16,777,216 events whose times take \d+,\d+ bytes"),
        (many_streams, "more than 64 streams of events: split it into several files"),
        (no_numbers, r"found: image \(4, 3\), p \(2,\) \(not numbers\)"),
        (no_columns, r"no events in it \(found: events \(9, 4\), images/raw \(4,\)\)"),
        (different_lengths, r"columns of different lengths \[9, 10\]"),
        (linked, "no events in it"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_one_line(
    tmp_path: Path, fill: Callable[[h5py.File], None], message: str
) -> None:
    if "SZIP" in message and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this h5py has no SZIP")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        fill(file)
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(tmp_path / "f.h5")
    assert "\n" not in str(raised.value)


def test_streams_of_one_camera_are_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.attrs["camera_name"] = "CAM"
        for group, last in (("left", 9), ("right", 99)):
            for axis in "txyp":
                file[f"{group}/{axis}"] = np.array([0, 1 if axis == "p" else last])
    with pytest.raises(SourceError, match="the camera CAM has the event streams left and right: name one of these"):
        open_recording(path, stream="CAM")
    with pytest.raises(SourceError, match="no event stream called ''; it has left, right"):
        open_recording(path, stream="")
    text = describe_recording(describe(path))
    assert "unknown size (10×10 for left, 100×100 for right is assumed, which holds all events)" in text
    assert text.count("µs assumed") == 1


@pytest.mark.parametrize(
    "names", [("ts", "xs", "ys", "ps"), ("timestamp", "x", "y", "polarity"), ("time", "x", "y", "pol")]
)
@pytest.mark.parametrize("group", ["", "some/where"])
def test_columns_go_by_many_names(tmp_path: Path, names: tuple[str, ...], group: str) -> None:
    events = make_events(300)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for name, axis in zip(names, "txyp", strict=True):
            file[f"{group}/{name}"] = events[axis] if axis != "p" else events[axis] * 2.0 - 1
    assert np.array_equal(read(tmp_path / "f.h5"), events)
    assert list(describe(tmp_path / "f.h5").streams) == [group or "events"]


def test_a_structured_dataset_is_read_in_blocks_and_sought_in(tmp_path: Path) -> None:
    events = make_events(2 * BLOCK_EVENTS + 5)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        rows = np.zeros(events.size, [("x", "<i4"), ("y", "<i4"), ("pol", "u1"), ("t_us", "<u8")])
        for name in rows.dtype.names:
            rows[name] = events[name[0]]
        file.create_dataset("deep/events", data=rows, chunks=(40_000,))
    for index in (0, 1, BLOCK_EVENTS - 1, BLOCK_EVENTS, events.size - 1):
        assert np.array_equal(read(tmp_path / "f.h5", int(events["t"][index])), events[index:])


def test_two_groups_with_events_are_two_streams(tmp_path: Path) -> None:
    write_columns(tmp_path / "f.h5", make_events(10), "left")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file.copy("left", "right")
    assert list(describe(tmp_path / "f.h5").streams) == ["left", "right"]


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-6), ("ms", 1e-3), ("us", 1), ("ns", 1000)])
def test_the_unit_of_time_is_what_an_attribute_says(tmp_path: Path, unit: str, factor: float) -> None:
    events = make_events(200, step_us=1_000)
    path = write_columns(tmp_path / "f.h5", events)
    with h5py.File(path, "r+") as file:
        del file["events/t"]
        file["events/t"] = events["t"] * factor
        file["events/t"].attrs["unit"] = unit
    assert np.array_equal(read(path), events)


def test_fractions_are_taken_for_seconds_and_what_may_be_ms_is_asked(tmp_path: Path) -> None:
    events = make_events(2_000, step_us=21)
    path = write_columns(tmp_path / "f.h5", events)
    with h5py.File(path, "r+") as file:
        del file["events/t"]
        file["events/t"] = events["t"] / 1e6
    assert np.array_equal(read(path), events)
    assert "the file doesn't give the unit of its times: s assumed (fractions)" in describe(path).warnings
    with h5py.File(path, "r+") as file:
        file["events/t"][:] = events["t"] / 1e3
    assert np.array_equal(read(path), events)  # as seconds it would be 48 events/s
    with h5py.File(path, "r+") as file:
        file["events/t"][:] = np.arange(2_000) / 1e3
    with pytest.raises(FormatError, match=r"can't tell the unit of its times .* attribute unit"):
        open_recording(path)


def test_events_outside_the_sensor_or_out_of_order_are_put_right_and_counted(tmp_path: Path) -> None:
    events = make_events(300)
    events["t"][[7, 8]] = events["t"][[8, 7]]
    events["x"][5] = 640
    path = write_columns(tmp_path / "f.h5", events, geometry="640x480")
    found = describe(path)
    assert found.streams["events"].n == 299
    assert "events: 1 events were out of order, and are sorted by time" in found.warnings
    assert "events: 1 events outside the sensor, or without a usable time, are left out" in found.warnings


def test_a_whole_chunk_of_each_column_is_kept_while_its_parts_are_read(tmp_path: Path) -> None:
    n = 1 << 21
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for axis in "txyp":
            file.create_dataset(axis, data=np.zeros(n, np.int64), chunks=(n,), compression="gzip")
    with WatchedFile(tmp_path / "f.h5") as watched, h5py.File(watched, "r") as file:
        (place,) = find_places(tmp_path / "f.h5", file, Attributes(watched))
        for dataset in place.parts.values():
            assert dataset.id.get_access_plist().get_chunk_cache()[1] == n * 8


def test_polarities_of_0_and_255_and_a_sensor_of_another_camera_are_errors(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(300), geometry="40x40")
    with pytest.raises(FormatError, match="events are outside the sensor's 40×40 pixels"):
        open_recording(path)
    with h5py.File(path, "r+") as file:
        p = file["events/p"][:].astype(np.uint8) * 255
        del file["events/p"]
        file["events/p"] = p
    with pytest.raises(FormatError, match=r"a p that isn't 0 and 1 or -1 and 1"):
        open_recording(path)


def test_no_events_at_all_are_a_recording_of_none(tmp_path: Path) -> None:
    assert describe(write_ecf(tmp_path / "f.h5", make_events(0))).streams["CD/events"].n == 0
    assert describe(write_columns(tmp_path / "g.h5", make_events(0))).streams["events"].n == 0


def test_a_file_cut_short_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(1_000))
    octets = path.read_bytes()
    for length in (8, 40, 500, len(octets) // 2, len(octets) - 1):
        path.write_bytes(octets[:length])
        with pytest.raises(FormatError, match="damaged or cut short") as raised:
            open_recording(path)
        assert "\n" not in str(raised.value)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("of", "at", "octets"),
    [
        ("heap", 16 + 16 + 8 + 8, bytes(8)),  # its free space has no size: libhdf5 never gets past it
        ("heap", 16 + 8, b"\xff" * 8),
        ("heap", 8, b"\xff" * 8),
        ("pointer", 3, b"\xff"),  # a text of 4 GB
        ("type", 0, b""),  # of two texts, whose heap isn't checked
    ],
)
def test_a_damaged_attribute_costs_nothing_else(tmp_path: Path, of: str, at: int, octets: bytes) -> None:
    path = write_ecf(tmp_path / "f.h5", make_events(100))
    if of == "type":
        with h5py.File(path, "r+") as file:
            del file.attrs["geometry"]
            kinds = np.dtype([("width", h5py.string_dtype()), ("height", h5py.string_dtype())])
            file.attrs["geometry"] = np.array([("1280", "720")], kinds)
    else:
        whole = bytearray(path.read_bytes())
        heap = whole.index(b"GCOL")
        assert whole[heap + 32 : heap + 40] == b"1280x720"
        place = at + (heap if of == "heap" else whole.index(b"\x08\0\0\0" + heap.to_bytes(8, "little")))
        whole[place : place + len(octets)] = octets
        path.write_bytes(whole)
    found = describe(path)
    assert (found.resolution, found.streams["CD/events"].n) == (None, 100)
    assert found.warnings == ["the attribute geometry is damaged, and left out"]


@pytest.mark.timeout(60)
def test_events_beside_groups_without_end_are_found(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(1000), group="")
    with h5py.File(path, "r+", libver="latest") as file:
        group = file.create_group("a/b")
        for _ in range(500):
            group = group.create_group("c")
        group["up"] = file["a"]  # and round in a circle
        for number in range(ENTRIES):
            file["a"].create_group(f"d{number}")
    assert np.array_equal(read(path), make_events(1000))


def test_an_attribute_without_a_value_costs_nothing(tmp_path: Path) -> None:
    path = write_columns(tmp_path / "f.h5", make_events(100), geometry="640x480", camera=h5py.Empty("f4"))
    assert describe(path).resolution == (640, 480)
