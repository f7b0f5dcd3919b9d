"""The .raw reader on files made here from the specification: EVT 2.0, 2.1 and 3.0, wraps, vectors, damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import FormatError
from livesnn.events.formats.shared_readers import PACKET_EVENTS
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.events.recording import NOTHING, describe, open_recording
from tests.fake_source import joined
from tests.reading import events_at, packets_of, read, write
from tests.waiting import eventually

RULES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZE = "% geometry 1280x720\n"
PIXELS = 1280, 720
MIDSTREAM = "it starts in the middle of a stream: {} bytes before the first time are left out"


class Version(NamedTuple):
    """One coding: its header, its words' type, how many µs until its clock wraps, how events become words."""

    header: str
    dtype: str
    wrap_us: int
    encode: Callable[[Events], Iterator[int]]


def steps_of(t_us: int, last_us: int, bits: int, longest: int) -> list[int]:
    """Return the TIME_HIGH contents from one time to the next: a camera doesn't leave out half a round."""
    first, last = last_us >> bits, t_us >> bits
    return [] if first == last else [*range(first + longest, last, longest), last]


def high_2(t_us: int, last_us: int) -> list[int]:
    return [8 << 28 | high & 0xFFFFFFF for high in steps_of(t_us, last_us, 6, 1 << 26)]


def head_2(event: np.void) -> int:
    return int(event["p"]) << 28 | (int(event["t"]) & 63) << 22 | int(event["x"]) << 11 | int(event["y"])


def encode_2(events: Events) -> Iterator[int]:
    last_us = -64
    for event in events:
        yield from high_2(int(event["t"]), last_us)
        yield head_2(event)
        last_us = int(event["t"])


def encode_21(events: Events) -> Iterator[int]:
    """One word for neighbours that follow each other to the right, within 32 pixels."""
    last_us = -64
    i = 0
    while i < events.size:
        first, bits, right = events[i].copy(), 0, -1
        yield from (high << 32 for high in high_2(int(first["t"]), last_us))
        last_us = int(first["t"])
        first["x"] = int(first["x"]) // 32 * 32
        while i < events.size and same_vector(events[i], first) and right < events[i]["x"] < first["x"] + 32:
            right = int(events[i]["x"])
            bits |= 1 << right - int(first["x"])
            i += 1
        yield head_2(first) << 32 | bits


def same_vector(event: np.void, first: np.void) -> bool:
    return all(event[axis] == first[axis] for axis in ("t", "y", "p"))


def swap_halves(words: Iterator[int]) -> Iterator[int]:
    return ((word << 32 | word >> 32) & (1 << 64) - 1 for word in words)


def encode_3(events: Events) -> Iterator[int]:
    """Write what changes, no more; runs to the right become vectors of 12, 12 and 8."""
    high_us, low, y = -4096, -1, -1
    for (t, row, on), run in groupby(events.tolist(), key=lambda event: (event[0], event[2], event[3])):
        yield from (8 << 12 | high & 0xFFF for high in steps_of(t, high_us, 12, 1 << 10))
        if (t & 0xFFF, high_us >> 12) != (low, t >> 12):
            yield 6 << 12 | t & 0xFFF
        if row != y:
            yield row
        high_us, low, y = t, t & 0xFFF, row
        yield from runs([event[1] for event in run], on)


def runs(columns: list[int], on: bool) -> Iterator[int]:
    while columns:
        x = columns[0]
        count = 1
        while count < len(columns) and columns[count - 1] < columns[count] < x + 32:
            count += 1
        near = columns[:count]
        if count == 1:
            yield 2 << 12 | on << 11 | x
        else:
            bits = sum(1 << c - x for c in near)
            yield from (3 << 12 | on << 11 | x, 4 << 12 | bits & 0xFFF, 4 << 12 | bits >> 12 & 0xFFF)
            yield 5 << 12 | bits >> 24
        columns = columns[count:]


EVT2 = Version("% evt 2.0\n", "<u4", 1 << 34, encode_2)
EVT21 = Version("% format EVT21;endianness=little;height=720;width=1280\n", "<u8", 1 << 34, encode_21)
LEGACY = Version("% evt 2.1\n% endianness legacy\n", "<u8", 1 << 34, lambda events: swap_halves(encode_21(events)))
EVT3 = Version("% evt 3.0\n% format EVT3;height=720;width=1280\n", "<u2", 1 << 24, encode_3)
VERSIONS = {"evt2": EVT2, "evt21": EVT21, "evt21-legacy": LEGACY, "evt3": EVT3}
each_version = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)


def octets_of(version: Version, words: Iterable[int], header: str | None = None) -> bytes:
    start = f"{version.header}{SIZE}% end\n" if header is None else header
    return start.encode() + np.fromiter(words, np.uint64).astype(version.dtype).tobytes()


def make_events(times: object) -> Events:
    return events_at(times, PIXELS)


def word_3(kind: int, content: int = 0) -> int:
    return kind << 12 | content


def plain_words(version: Version, events: Events) -> npt.NDArray[np.uint64]:
    """Return one event after the other, each with its whole time."""
    t, x, y, on = (events[axis].astype(np.uint64) for axis in ("t", "x", "y", "p"))
    if version is EVT3:
        return np.stack([8 << 12 | t >> 12 & 0xFFF, 6 << 12 | t & 0xFFF, y, 2 << 12 | on << 11 | x], 1).ravel()
    high, head = 8 << 28 | t >> 6 & 0xFFFFFFF, on << 28 | (t & 63) << 22 | x << 11 | y
    bits = {EVT2: (high, head), EVT21: (high << 32, head << 32 | 1), LEGACY: (high, head | 1 << 32)}
    return np.stack(bits[version], 1).ravel()


@st.composite
def recordings(draw: st.DrawFn, wrap_us: int) -> Events:
    pixel = st.tuples(st.sampled_from([0, 1, 31, 32, 1247, 1279]), st.sampled_from([0, 1, 719]), st.booleans())
    step = st.sampled_from([(0, 1), (0, 2), (0, 31), (1, 0), (63, 0), (4095, 0), (4096, 0), (9_999_999, 0)])
    rows = draw(st.lists(st.tuples(step, st.one_of(st.none(), pixel)), max_size=40))
    t = draw(st.sampled_from([0, 1, 4095, wrap_us - 4097, wrap_us - 1]))
    x, y, on, events = 0, 0, False, []
    for (gap_us, right), jump in rows:  # a neighbour to the right, now or later, or any other pixel
        x, y, on = (min(x + right, 1279), y, on) if jump is None else jump
        events.append((t, x, y, on))
        t += gap_us
    return np.array(events, EVENTS_DTYPE)


@each_version
@RULES
@given(st.data())
def test_what_is_read_is_what_was_written_however_often_the_clock_wrapped(
    tmp_path: Path, version: Version, data: st.DataObject
) -> None:
    events = data.draw(recordings(version.wrap_us))
    path = write(tmp_path / "f.raw", octets_of(version, version.encode(events)))
    assert np.array_equal(read(path), events)
    found = describe(path)
    assert (found.resolution, found.triggers, found.warnings) == (PIXELS, 0, [NOTHING] * (not events.size))
    if events.size:
        sought = data.draw(st.integers(int(events["t"][0]), int(events["t"][-1])))
        assert np.array_equal(read(path, sought), events[events["t"] >= sought])


@each_version
def test_vectors_at_the_end_of_a_packet_go_into_the_next_one(tmp_path: Path, version: Version) -> None:
    """Rows of neighbours, so long that vectors straddle what a packet may hold."""
    rows, columns = 40, 1277
    events = np.zeros(rows * columns, EVENTS_DTYPE)
    events["t"], events["y"] = np.repeat([np.arange(rows) * 10, np.arange(rows)], columns, axis=1)
    events["x"] = np.tile(np.arange(columns), rows) + 3
    path = write(tmp_path / "f.raw", octets_of(version, version.encode(events)))
    with open_recording(path) as recording:
        packets = [*packets_of(recording)]
    assert np.array_equal(np.concatenate(packets), events)
    assert PACKET_EVENTS - 32 <= max(packet.size for packet in packets) <= PACKET_EVENTS


@each_version
def test_a_version_is_told_by_the_words_where_the_header_says_nothing(tmp_path: Path, version: Version) -> None:
    events = make_events(1_000_000 + np.arange(3_000) * 17)
    words = list(version.encode(events))
    for header in ("", "% Date 2020-09-25 07:48:29\n% integrator_name Prophesee\n"):
        path = write(tmp_path / "f.raw", octets_of(version, words, header))
        assert np.array_equal(read(path), events)
        assert describe(path).resolution is None


def test_an_order_of_halves_that_the_words_contradict_is_not_believed(tmp_path: Path) -> None:
    events = make_events(1_000_000 + np.arange(500) * 17)
    for said, true in ((EVT21, LEGACY), (LEGACY, EVT21)):
        path = write(tmp_path / "f.raw", octets_of(said, true.encode(events)))
        assert np.array_equal(read(path), events)


@pytest.mark.parametrize("said", VERSIONS)
@pytest.mark.parametrize("true", VERSIONS)
def test_a_header_that_contradicts_the_words_is_an_error(tmp_path: Path, said: str, true: str) -> None:
    if said[:5] == true[:5]:
        return
    words = VERSIONS[true].encode(make_events(1_000_000 + np.arange(3_000) * 17))
    path = write(tmp_path / "f.raw", octets_of(VERSIONS[true], words, VERSIONS[said].header))
    with pytest.raises(FormatError, match=r"the header says EVT .*correct the header") as raised:
        open_recording(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("% format EVT3;height=720;width=1280\n", (1280, 720)),
        ("% evt 3.0\n% geometry 640x480\n", (640, 480)),
        ("% evt 3.0\n% width 320\n% height 320\n", (320, 320)),
        ("% evt 3.0\n% plugin_name hal_plugin_gen31_fx3\n", (640, 480)),
        ("% evt 3.0\n% integrator_name Prophesee\n% plugin_name hal_plugin_gen41_evk3\n", (1280, 720)),
        ("% evt 3.0\n% plugin_name hal_plugin_prophesee\n% sensor_name GenX320\n", (320, 320)),
        ("% evt 3.0\n% sensor_generation 4.2\n", (1280, 720)),
        ("% evt 3.0\n% integrator_name Prophesee\n% system_ID 49\n", (1280, 720)),
        ("% evt 3.0\n% integrator_name Else\n% system_ID 49\n", None),
        ("% evt 3.0\n% geometry 0x0\n", None),
        ("% evt 3.0\n", None),
    ],
)
def test_the_sensors_size_is_the_headers_or_that_of_the_sensor_it_names(
    tmp_path: Path, header: str, size: tuple[int, int] | None
) -> None:
    path = write(tmp_path / "f.raw", octets_of(EVT3, encode_3(make_events([5, 6])), header))
    assert describe(path).resolution == size
    with open_recording(path) as recording:
        assert recording.resolution == (size or (6, 8))


def test_a_header_that_says_two_sizes_is_warned_about(tmp_path: Path) -> None:
    header = "% format EVT3;height=720;width=1280\n% geometry 640x480\n"
    path = write(tmp_path / "f.raw", octets_of(EVT3, encode_3(make_events([5, 6])), header))
    assert describe(path).resolution == (1280, 720)
    assert describe(path).warnings == [
        "its header says that the sensor has 1280×720 and 640×480 pixels: 1280×720 is taken"
    ]


def test_a_body_that_starts_with_the_octets_of_a_header_line_is_none(tmp_path: Path) -> None:
    words = [0x2025, 0x6441, 0x8001, 0x6002, 3, 0x2004]  # "% Ad…": x of 37, then a time
    path = write(tmp_path / "f.raw", octets_of(EVT3, words, "% evt 3.0\n"))
    assert read(path).tolist() == [(4098, 4, 3, False)]


def test_bits_of_a_vector_are_pixels_from_its_base_on_which_moves_by_its_length(tmp_path: Path) -> None:
    words = [word_3(8, 1), word_3(6, 2), 7, word_3(3, 0x800 | 100)]
    words += [
        word_3(4, 0b100000000001),
        word_3(5, 0xF00 | 0b10000001),
        word_3(4, 1),
        word_3(2, 5),
        word_3(4, 1),
    ]
    path = write(tmp_path / "f.raw", octets_of(EVT3, words))
    assert read(path)["x"].tolist() == [100, 111, 112, 119, 120, 5, 132]
    assert read(path)["p"].tolist() == [True] * 5 + [False, True]
    assert set(read(path)["y"].tolist()) == {7}


def test_triggers_are_counted_and_other_words_skipped(tmp_path: Path) -> None:
    others = [word_3(14, 0x14), word_3(15, 9), word_3(15, 0xFFF), word_3(7, 3)]
    words = [
        word_3(8, 1),
        word_3(6, 2),
        7,
        word_3(10, 1),
        word_3(2, 5),
        *others,
        word_3(10, 0x100),
        word_3(2, 6),
    ]
    found = describe(write(tmp_path / "f.raw", octets_of(EVT3, words)))
    assert (found.triggers, found.streams["events"].n, found.warnings) == (2, 2, [])
    words = [8 << 28 | 1, 10 << 28 | 1, 0, 14 << 28 | 5, 15 << 28 | 0xFFFFFFF, 1 << 28]
    found = describe(write(tmp_path / "f.raw", octets_of(EVT2, words)))
    assert (found.triggers, found.streams["events"].n, found.warnings) == (1, 2, [])
    found = describe(write(tmp_path / "f.raw", octets_of(EVT21, [word << 32 | 1 for word in words])))
    assert (found.triggers, found.streams["events"].n, found.warnings) == (1, 2, [])


def test_inertial_samples_of_evt2_are_counted_however_many(tmp_path: Path) -> None:
    words = [8 << 28 | 1, *[13 << 28 | 5, *[15 << 28 | 7] * 5, 1 << 28] * 100]
    found = describe(write(tmp_path / "f.raw", octets_of(EVT2, words)))
    assert (found.imu, found.streams["events"].n, found.warnings) == (100, 100, [])


def test_a_high_time_that_changes_sets_the_low_one_to_zero_until_it_comes(tmp_path: Path) -> None:
    words = [word_3(8, 1), word_3(6, 4095), 7, word_3(2, 1), word_3(8, 1), word_3(2, 2)]
    words += [word_3(8, 2), word_3(2, 3), word_3(6, 5), word_3(2, 4)]
    path = write(tmp_path / "f.raw", octets_of(EVT3, words))
    assert read(path)["t"].tolist() == [8191, 8191, 8192, 8197]


def test_padding_of_evt3_is_skipped(tmp_path: Path) -> None:
    words = [word_3(8, 1), word_3(6, 2), 7, *[word_3(2, 5), 0x9999] * 100]
    found = describe(write(tmp_path / "f.raw", octets_of(EVT3, words)))
    assert (found.streams["events"].n, found.warnings) == (100, [])


def test_a_header_is_believed_where_rows_are_empty_or_events_are_out_of_order(tmp_path: Path) -> None:
    rows = [word_3(8, 1), word_3(6, 2), *[3, 4, word_3(2, 5)] * 100]
    assert read(write(tmp_path / "f.raw", octets_of(EVT3, rows))).size == 100
    disorder = [8 << 28 | 1, *[1 << 28 | 9 << 22, 1 << 28] * 100]
    assert read(write(tmp_path / "f.raw", octets_of(EVT2, disorder))).size == 200


def test_words_of_no_known_type_are_skipped_and_counted(tmp_path: Path) -> None:
    events = make_events(1_000 + np.arange(500))
    for version, strange in ((EVT2, 5 << 28), (EVT21, 5 << 60), (EVT21, 13 << 60), (EVT3, 0xC123)):
        words = [*version.encode(events), strange, strange]
        path = write(tmp_path / "f.raw", octets_of(version, words))
        assert np.array_equal(read(path), events)
        assert any("2 words are of a type" in line for line in describe(path).warnings)


@pytest.mark.parametrize(
    ("version", "words", "times", "warnings"),
    [
        (EVT3, [7, 2 << 12, 6 << 12 | 9, 2 << 12, 8 << 12 | 1, 6 << 12 | 2, 2 << 12], [4098], [MIDSTREAM.format(10)]),
        (EVT2, [1 << 28, 8 << 28 | 1, 1 << 28], [64], [MIDSTREAM.format(8)]),
        (EVT3, [7, 2 << 12], [], ["it never gives the time: its events are left out", NOTHING]),
    ],
)
def test_events_before_the_first_whole_time_are_left_out_and_it_is_said(
    tmp_path: Path, version: Version, words: list[int], times: list[int], warnings: list[str]
) -> None:
    path = write(tmp_path / "f.raw", octets_of(version, words))
    assert (read(path)["t"].tolist(), describe(path).warnings) == (times, warnings)


def test_an_event_whose_row_was_never_given_is_left_out(tmp_path: Path) -> None:
    words = [word_3(8, 1), word_3(6, 2), word_3(2, 5), 7, word_3(2, 6), word_3(4, 1), word_3(2, 7)]
    path = write(tmp_path / "f.raw", octets_of(EVT3, words))
    assert read(path)["x"].tolist() == [6, 7]


def test_events_outside_the_sensor_are_left_out_and_counted(tmp_path: Path) -> None:
    words = [word_3(8, 1), word_3(6, 2), 719, word_3(2, 1279), word_3(2, 1280), 720, word_3(2, 5), 0]
    words += [word_3(3, 1275), word_3(4, 0xFFF)]
    path = write(tmp_path / "f.raw", octets_of(EVT3, words + [word_3(2, 1)] * 9))
    with open_recording(path) as recording:
        assert joined(recording)["x"].tolist() == [1279, *range(1275, 1280), *[1] * 9]
        assert recording.counters.out_of_bounds == 2 + 7
    path = write(tmp_path / "f.raw", octets_of(EVT21, [8 << 60, (1260 << 11) << 32 | 0xFFFFFFFF]))
    with open_recording(path) as recording:
        assert joined(recording)["x"].tolist() == list(range(1260, 1280))
        assert recording.counters.out_of_bounds == 12
    path = write(tmp_path / "f.raw", octets_of(EVT3, [word_3(8, 1), word_3(6, 2), 800, *[word_3(2, 1)] * 9]))
    with pytest.raises(FormatError, match="9 of 9 events are outside the sensor's 1280×720"):
        open_recording(path)


@each_version
def test_slightly_back_over_a_wrap_is_no_further_wrap(tmp_path: Path, version: Version) -> None:
    wrap_us = version.wrap_us
    events = make_events([wrap_us - 2, wrap_us + 1, wrap_us - 1, wrap_us + 3])
    path = write(tmp_path / "f.raw", octets_of(version, version.encode(events)))
    assert read(path)["t"].tolist() == [wrap_us - 2, wrap_us - 1, wrap_us + 1, wrap_us + 3]


@each_version
def test_a_file_cut_anywhere_near_its_end_gives_its_whole_words_and_says_so(tmp_path: Path, version: Version) -> None:
    events = make_events(4_000 + np.arange(100) * 3)
    octets = octets_of(version, version.encode(events))
    word_bytes = np.dtype(version.dtype).itemsize
    for cut in range(1, 26):  # three words of the longest
        path = write(tmp_path / "f.raw", octets[:-cut])
        found = read(path)
        assert np.array_equal(found, events[: found.size])
        left = -cut % word_bytes
        said = [f"the last {left} bytes aren't a whole word: the file is cut short"] if left else []
        assert describe(path).warnings == said


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"% format HISTO3D;height=320;width=320\n% end\n1234", "'HISTO3D', which isn't supported: give"),
        (b"% evt 4.0\n", "'4.0', which isn't supported"),
        (b"% integrator_name Prophesee\n", "doesn't say which EVT version"),
        (b"% plugin_name no line end", "not a recording of a known format"),
        (b"\xff\x00" * 999, "not a recording of a known format"),
    ],
    ids=range(5),
)
def test_what_cannot_be_read_is_an_error_of_one_line(tmp_path: Path, octets: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message) as raised:
        open_recording(write(tmp_path / "f.raw", octets))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_read_while_it_is_indexed_has_every_event_once(tmp_path: Path) -> None:
    t = np.arange(64 * 40_000).reshape(-1, 64)  # 10 MB: more than what is indexed before it is open
    places = t % 1280 << 11 | t % 720
    words = np.concatenate([8 << 28 | t[:, :1] >> 6, 1 << 28 | (t & 63) << 22 | places], axis=1)
    path = tmp_path / "long.raw"
    path.write_bytes(f"% evt 2.0\n{SIZE}".encode() + words.astype("<u4").tobytes())
    with open_recording(path, at_once=True) as recording:
        found = joined(recording)
        eventually(lambda: recording.indexed)
        assert (recording.t_start, recording.t_end) == (0, t.size - 1)
    assert np.array_equal(found["t"], t.ravel())
    assert np.array_equal(found["x"], t.ravel() % 1280)
