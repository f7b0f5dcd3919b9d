"""Events in text and in large .npz files: which column is which, the unit of time, blocks, damage."""

from __future__ import annotations

import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError, SourceError
from livesnn.events.convert import convert
from livesnn.events.formats.npz import BLOCK_EVENTS, LARGE_EVENTS
from livesnn.events.formats.text import BLOCK_BYTES, open_text, read_rows
from livesnn.events.packet import EVENTS_DTYPE, Events, SourceCounters
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.fake_source import joined
from tests.reading import events_at, packets_of, read, recordings

RULES = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMED = "the file doesn't name its columns: {} assumed"
UNIT = "the file doesn't give the unit of its times: {} assumed ({})"


def make_events(n: int, step_us: int = 21, start_us: int = 5_000_000) -> Events:
    return events_at(start_us + np.arange(n) * step_us, (346, 260))


def write(path: Path, events: Events, row: str = "{t},{x},{y},{p:d}", head: str = "t_us,x,y,p\n") -> Path:
    rows = (row.format(t=t, x=x, y=y, p=p, s=t / 1e6, ms=t / 1e3) for t, x, y, p in events.tolist())
    path.write_text(head + "\n".join(rows) + "\n" * bool(events.size))
    return path


STREAMS = recordings(
    x=(0, 1, 32_767),
    y=(0, 1, 32_767),
    gaps_us=(0, 1, 999, 1 << 40),
    starts_us=(0, -5, 1_633_953_690_975_950),
)


@RULES
@given(
    STREAMS,
    st.permutations("txyp"),
    st.sampled_from([",", ";", "\t", " ", ", ", "  "]),
    st.sampled_from(["\n", "\r\n"]),
    st.data(),
)
def test_what_is_read_is_what_was_written_in_any_order_of_columns(
    tmp_path: Path, events: Events, order: list[str], mark: str, end: str, data: st.DataObject
) -> None:
    head = mark.join({"t": "t_us"}.get(axis, axis) for axis in order)
    rows = (mark.join(str(int(event[axis])) for axis in order) for event in events)
    (tmp_path / "f.csv").write_bytes(end.join([head, *rows, ""]).encode())
    assert np.array_equal(read(tmp_path / "f.csv"), events)
    found = describe(tmp_path / "f.csv")
    assert (found.format, found.resolution, found.warnings) == ("csv", None, [NOTHING] * (not events.size))
    if events.size:
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(tmp_path / "f.csv", sought), events[events["t"] >= sought])


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("timestamp [us],x,y,polarity\n", "{t},{x},{y},{p:d}"),
        ("# t_us x y p\n", "{t} {x} {y} {p:d}"),
        ('\ufeff"t_us";"x";"y";"p"\n', "{t};{x};{y};{p:d}"),
        (",x,y,pol,time (us)\n", "17,{x},{y},{p},{t}"),
        ("\tx\ty\tpol\ttime (us)\n", "17\t{x}\t{y}\t{p}\t{t}"),
        ("#\tt_us\tx\ty\tp\n", "{t}\t{x}\t{y}\t{p:d}"),
        ("t_us\tx\ty\tp\t\t\n", "{t}\t{x}\t{y}\t{p:d}"),
        ("t_us x y p\t\n", "{t} {x} {y} {p:d}"),
        ("% made by hand\nx,y,p,t_us,\n", "{x},{y},{p:d},{t},"),
        ("t_s,x,y,p\n", "{s:.6f},{x},{y},{p:d}"),
        ("t_s x y p\n", "{s:.18e} {x:.18e} {y:.1f} {p:.3e}"),
        ("t_ms,x,y,p\n", "{ms:.3f},{x},{y},{p}"),
        ("t_ns,x,y,p\n", "{t}000,{x},{y},{p:d}"),
    ],
    ids=range(13),
)
def test_columns_and_the_unit_go_by_the_header(tmp_path: Path, head: str, row: str) -> None:
    events = make_events(150)
    path = write(tmp_path / "f.txt", events, row, head)
    assert np.array_equal(read(path), events)
    assert describe(path).warnings == []


def test_polarity_may_be_minus_one(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("t_us,x,y,p\n1,2,3,-1\n2,3,4,1\n")
    assert read(path)["p"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("row", "order", "unit"),
    [
        ("{s:.6f} {x} {y} {p:d}", "t,x,y,p", ("s", "fractions")),
        ("{t},{x},{y},{p:d}", "t,x,y,p", ("µs", "whole numbers")),
        ("{x},{y},{p:d},{t}", "x,y,p,t", ("µs", "whole numbers")),
        ("{x} {y} {s:.9f} {p}", "x,y,t,p", ("s", "fractions")),
    ],
)
def test_columns_without_names_are_told_apart_and_said(
    tmp_path: Path, row: str, order: str, unit: tuple[str, str]
) -> None:
    events = make_events(500)
    path = write(tmp_path / "f.txt", events, row, head="")
    assert np.array_equal(read(path), events)
    assert describe(path).warnings == [NAMED.format(order), UNIT.format(*unit)]


@pytest.mark.parametrize(
    ("step_us", "row", "unit"),
    [
        (21, "{t}", "µs"),
        (21, "{s:.6f}", "s"),
        (21, "{ms:.3f}", "ms"),
        (100, "{t}000000", None),  # may be µs of 0.01 events/s or ns of 10: neither is plausible
        (1, "{ms:.3f}", None),  # 1,000 events/s in s, a million in ms
        (1_000_000, "{t}", None),  # one event/s in µs, a thousand in ns
    ],
)
def test_the_unit_is_told_by_how_many_events_a_second_it_makes(
    tmp_path: Path, step_us: int, row: str, unit: str | None
) -> None:
    events = make_events(1_000, step_us)
    if row == "{t}":
        events["t"] += 7
    path = write(tmp_path / "f.csv", events, row + ",{x},{y},{p:d}", "t,x,y,p\n")
    if unit is None:
        with pytest.raises(FormatError, match=r"can't tell the unit .* t_s, t_ms, t_us or t_ns"):
            open_recording(path)
        return
    assert np.array_equal(read(path), events)
    assert any(f": {unit} assumed" in line for line in describe(path).warnings)


@pytest.mark.parametrize(("row", "unit"), [("{t}", "µs"), ("{t}000", "ns"), ("{s:.6f}", "s"), ("{ms:.3f}", "ms")])
def test_the_unit_of_a_clock_is_told_by_the_year(tmp_path: Path, row: str, unit: str) -> None:
    events = make_events(50, step_us=1_000_003, start_us=1_633_953_690_975_950)
    path = write(tmp_path / "f.csv", events, row + ",{x},{y},{p:d}", "t,x,y,p\n")
    assert np.abs(read(path)["t"] - events["t"]).max() <= (unit in ("s", "ms"))  # written as a float here
    assert any(f": {unit} assumed" in line for line in describe(path).warnings)


def test_a_column_map_takes_the_place_of_the_header(tmp_path: Path) -> None:
    events = make_events(100)
    path = write(tmp_path / "f.csv", events, "{p:d},{y},9.5,{x},{t}000", head="a,b,c,d,e\n")
    reader = open_text(path, columns=("p", "y", "-", "x", "t_ns"))
    recorded = np.concatenate([*reader.packets("events", None, SourceCounters())])
    reader.close()
    assert np.array_equal(recorded, events)


@pytest.mark.parametrize("head", ["346 260\n", "%geometry:346,260\n", "# geometry: 346x260\n"])
def test_the_sensor_may_be_given_before_the_rows(tmp_path: Path, head: str) -> None:
    path = write(tmp_path / "f.txt", make_events(200), "{s:.6f} {x} {y} {p:d}", head)
    with open_recording(path) as recording:
        assert recording.resolution == (346, 260)


def test_seeking_in_a_text_of_many_blocks_gives_the_events_from_there_on(tmp_path: Path) -> None:
    events = make_events(9 * BLOCK_BYTES // (8 * len("5000000,100,100,1\n")))
    path = write(tmp_path / "f.csv", events)
    assert np.array_equal(read(path), events)
    for index in (1, 9 * events.size // 10, events.size - 1):
        assert np.array_equal(read(path, int(events["t"][index])), events[index:])


@pytest.mark.parametrize(
    "bad",
    ["garbage", "1,2,3", "1,2,3,4,5", "1,2,x,0", "nan,1,1,1", "1,,2,0", "\0\0", "1e,2,3,0", "9" * 5_000],
)
def test_a_line_that_is_no_event_is_left_out_and_said(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path / "f.csv", make_events(10))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:5], bad, *lines[5:]]))
    found = describe(path)
    assert found.streams["events"].n == 10
    at = len("\n".join(lines[:5])) + 1
    assert found.warnings == [f"1 lines lost: they aren't 4 numbers (the first at byte {at})"]


@pytest.mark.parametrize("bad", ["1,-2,3,0", "1,40000,3,0", "1,2,3,7", "1e30,2,3,0", "1,2.5,3,1", "1,1e400,2,0"])
def test_a_row_that_cannot_be_an_event_is_counted_as_outside_the_sensor(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path / "f.csv", make_events(10))
    path.write_text(path.read_text() + bad)
    found = describe(path)
    assert found.streams["events"].n == 10
    assert found.warnings == ["events: 1 events outside the sensor, or without a usable time, are left out"]


@pytest.mark.parametrize(
    ("axis", "value"),
    [("x", 40_000), ("y", -1), ("x", 1.5), ("x", np.nan), ("p", 7), ("t", 1 << 62), ("x", 1 << 40)],
)
@pytest.mark.parametrize("size", [{"width": 346, "height": 260}, {}], ids=["sized", "unsized"])
def test_an_event_of_an_npz_that_cannot_be_one_is_counted_as_outside_the_sensor(
    tmp_path: Path, size: dict[str, int], axis: str, value: float
) -> None:
    events = make_events(1_000)
    columns = {name: events[name] for name in "xyp"} | {"t_us": events["t"]}
    name = "t_us" if axis == "t" else axis
    columns[name] = columns[name].astype(type(value))
    columns[name][500] = value
    np.savez(tmp_path / "f.npz", **columns, **size)
    assert np.array_equal(read(tmp_path / "f.npz"), np.delete(events, 500))
    found = describe(tmp_path / "f.npz")
    assert found.resolution == (346, 260)
    assert found.warnings[not size :] == [
        "events: 1 events outside the sensor, or without a usable time, are left out"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t,x,y\n1,2,3\n", r"no column p \(found: t, x, y\): name them after"),
        ("a,b,c,d\n1,2,3,0\n", "no column t, x, y, p"),
        ("1,2,3,0,5\n", "5 columns without names"),
        ("1,2,3\n", "3 columns without names"),
        ("900,1,5,3\n1,2,900,4\n", "can't tell which of its columns"),
        ("t_us;x;y;p\n0,5;1;2;0\n1,5;1;2;0\n", "2 of the first 2 lines aren't 4 numbers with decimal points"),
        ("t_us,x,y,p\n1,-2,3,0\n2,2,3,9\n", "2 of the first 2 events have an x or y"),
        ("t_us,x,y,p\n1,1,1,1\n2,1,1,2\n", "1 of the first 2 events have .* a p that isn't 0 and 1 or -1 and 1"),
        (",".join("1" * 100) + "\n", "100 columns are too many"),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(tmp_path / "f.csv")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "octets",
    [b"Dear Sir, or Madam\n", b"1,2,3,4\0\xff\n", b"\n\n", b"% comment\n", b"7\n", b"%0\n% end\n\x0c"],
)
def test_text_without_rows_of_numbers_is_no_recording(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "f.csv").write_bytes(octets)
    with pytest.raises(FormatError, match="not a recording of a known format"):
        open_recording(tmp_path / "f.csv")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_columns_and_the_unit_of_time_may_stand_behind_the_name(tmp_path: Path, unit: str) -> None:
    rows = "".join(f"{x} {y} {t} 9 {p}\n" for t, x, y, p in [(7_000_000, 3, 4, 1), (9_000_000, 5, 6, 0)])
    (tmp_path / "f.txt").write_text(rows)
    path = tmp_path / f"f.txt?columns=x, y,t_{unit},-,p"
    factor = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 10**-3}[unit]
    assert read(path).tolist() == [(7_000_000 * factor, 3, 4, True), (9_000_000 * factor, 5, 6, False)]
    assert read(path, int(8_000_000 * factor)).size == 1
    assert describe(path).warnings == []
    assert convert(path, tmp_path / "f.npz").events == 2


def test_a_unit_that_cannot_be_told_is_asked_for_in_a_way_that_works(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", make_events(200))
    path.write_text("t,x,y,p\n" + "".join(f"{number * 30},1,2,1\n" for number in range(200)))
    path.write_text(path.read_text().replace("0,1,2", "0.125,1,2"))
    with pytest.raises(FormatError, match=r"can't tell the unit .* 'FILE\?columns=t_us,x,y,p'"):
        open_recording(path)
    assert read(Path(f"{path}?columns=t_ms,x,y,p")).size == 200


def test_a_file_whose_own_name_has_a_question_mark_is_read_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv?columns=x,y", make_events(9))
    assert read(path).size == 9


def test_columns_of_what_is_no_text_or_not_there_are_an_error_of_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", t=[1])
    with pytest.raises(FormatError, match="only text files take"):
        open_recording(tmp_path / "f.npz?columns=t,x,y,p")
    with pytest.raises(SourceError, match=r"g\.csv: no such file"):
        open_recording(tmp_path / "g.csv?columns=t,x,y,p")
    (tmp_path / "f.csv").write_text("1,2,3,4\n")
    with pytest.raises(FormatError, match=r"no column p \(found: t, x, y, q\): name them after"):
        open_recording(tmp_path / "f.csv?columns=t,x,y,q")


def test_numbers_keep_every_digit() -> None:
    rows = read_rows(memoryview(b"1633953690.9759501 -0.5 1e3 +.25\n1234567890123456789012 2.5E-3 true False\n"), 4)
    assert rows.scaled(0, 6)[0][0] == 1_633_953_690_975_950
    assert rows.mantissas[0].tolist()[1:] == [-5, 1, 25]
    assert rows.exponents.tolist() == [[-7, -1, 3, -2], [4, -4, 0, 0]]
    assert rows.mantissas[1].tolist() == [123_456_789_012_345_678, 25, 1, 0]


@pytest.mark.parametrize("head", ["\nt_us,x,y,p\n", "t_us,x,y,p\n\n", "#\nt_us,x,y,p\n", "%\n\n# t_us x y p\n"])
def test_lines_without_anything_may_stand_before_the_rows(tmp_path: Path, head: str) -> None:
    events = make_events(50)
    assert np.array_equal(read(write(tmp_path / "f.csv", events, head=head)), events)


def test_a_sensor_that_most_events_lie_outside_of_is_an_error(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 100},1,1\n" for i in range(100))
    (tmp_path / "f.csv").write_text(f"%geometry:40,40\nt_us,x,y,p\n{rows}")
    t = np.arange(100)
    np.savez(tmp_path / "f.npz", t_us=t, x=t, y=t, p=t % 2, width=40, height=40)
    for name in ("f.csv", "f.npz"):
        with pytest.raises(FormatError, match="60 of the first 100 events are outside the sensor's 40×40"):
            open_recording(tmp_path / name)


def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", make_events(300_000))
    with open_recording(path) as recording:
        packets = packets_of(recording)
        next(packets)
        os.truncate(path, 1000)
        with pytest.raises(FormatError, match="became shorter while it was read"):
            list(packets)


# --- .npz ---


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    claims = b"\x93NUMPY\x02\x00" + (1 << 31).to_bytes(4, "little") + bytes(50 << 20)
    with zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "txyp":
            archive.writestr(f"{name}.npy", claims)
    del claims
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="not a sound"):
            open_recording(tmp_path / "f.npz")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_large_npz_is_read_in_blocks_from_where_it_lies(tmp_path: Path) -> None:
    n = LARGE_EVENTS + 3
    t, x = np.arange(n, dtype=np.int32), (np.arange(n) % 300).astype(np.uint16)
    y, p = np.zeros(n, np.uint8), np.ones(n, bool)
    np.savez(tmp_path / "f.npz", ts=t, x=x, y=y, pol=p, width=346, height=260)
    with open_recording(tmp_path / "f.npz") as recording:
        assert (recording.resolution, recording.t_start, recording.t_end) == ((346, 260), 0, n - 1)
        recording.seek(n - BLOCK_EVENTS - 9)
        events = joined(recording)
    assert np.array_equal(events["t"], t[n - BLOCK_EVENTS - 9 :])
    assert np.array_equal(events["x"], x[n - BLOCK_EVENTS - 9 :])


@pytest.mark.parametrize(
    ("name", "factor", "start_us", "warnings"),
    [
        ("t_s", 1e-6, 0, []),
        ("t_ms", 1e-3, 0, []),
        ("t_ns", 1_000, 0, []),
        ("timestamps", 1, 0, []),
        ("t", 1e-6, 0, [UNIT.format("s", "fractions")]),
        ("t", 1_000, 1_700_000_000_000_000, [UNIT.format("ns", "since 1970")]),
    ],
)
def test_the_unit_of_an_npz_is_told_by_its_columns_name_or_its_numbers(
    tmp_path: Path, name: str, factor: float, start_us: int, warnings: list[str]
) -> None:
    events = make_events(500)
    events["t"] += start_us
    columns = {name: events["t"] * factor, "x": events["x"], "y": events["y"], "p": events["p"]}
    np.savez(tmp_path / "f.npz", **columns, width=346, height=260)
    assert np.array_equal(read(tmp_path / "f.npz"), events)
    assert describe(tmp_path / "f.npz").warnings == warnings


def test_a_compressed_npz_takes_little_more_memory_than_its_events(tmp_path: Path) -> None:
    n = 3_000_000
    t = np.arange(n)
    np.savez_compressed(tmp_path / "f.npz", t=t, x=t % 300, y=t * 0, p=t % 2, width=346, height=260)
    del t
    tracemalloc.start()
    try:
        with open_recording(tmp_path / "f.npz") as recording:
            assert joined(recording).size == n
        assert tracemalloc.get_traced_memory()[1] < 4 * n * EVENTS_DTYPE.itemsize
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_npz_compressed_as_numpy_never_does_is_refused_before_it_is_unpacked(tmp_path: Path, method: int) -> None:
    np.savez(tmp_path / "sound.npz", t=np.zeros(10**6), x=np.zeros(1), y=np.zeros(1), p=np.zeros(1))
    with (
        zipfile.ZipFile(tmp_path / "sound.npz") as sound,
        zipfile.ZipFile(tmp_path / "f.npz", "w", method) as f,
    ):
        for name in sound.namelist():
            f.writestr(name, sound.read(name))
    with pytest.raises(FormatError, match=r"t\.npy is compressed in a way that numpy doesn't write"):
        open_recording(tmp_path / "f.npz")
