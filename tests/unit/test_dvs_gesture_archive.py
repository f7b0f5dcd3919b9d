"""Trees like IBM's archive of DVS-Gesture, written here: what is listed, labelled and cut, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.errors import DataError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.simulate.gestures import Segment
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.dvs_gesture import (
    find_recordings,
    find_root,
    labels_file,
    listed_recordings,
    named_recordings,
    read_segments,
    segment_events,
)
from tests.aedat3_writer import RESET, header, polarity, special, write_recording

RULES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
Labels = list[tuple[int, int, int]]
FIRST_LINE = "class,startTime_usec,endTime_usec\n"


def make_events(times: object) -> Events:
    t = np.asarray(times, np.int64)
    events = np.zeros(t.size, EVENTS_DTYPE)
    events["t"], events["x"], events["y"] = t, np.arange(t.size) % 128, np.arange(t.size) * 7 % 128
    events["p"] = np.arange(t.size) % 3 == 0
    return events


def write_labels(path: Path, labels: Labels) -> Path:
    path.write_text(
        FIRST_LINE + "".join(f"{label},{start},{end}\n" for label, start, end in labels), encoding="utf-8"
    )
    return path


def write_trial(root: Path, name: str, events: Events, labels: Labels, packet_events: int = 100) -> Path:
    root.mkdir(exist_ok=True)
    write_labels(root / f"{name}_labels.csv", labels)
    return write_recording(root / f"{name}.aedat", events, packet_events)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return the folder of an archive with two people in one part, a third in the other."""
    root = tmp_path / "DvsGesture"
    for name in ("user01_fluorescent_led", "user02_natural", "user24_led"):
        write_trial(root, name, make_events(range(0, 9_000, 10)), [(1, 1_000, 2_000), (11, 5_000, 6_000)])
    (root / "trials_to_train.txt").write_text("user01_fluorescent_led.aedat\r\nuser02_natural.aedat\r\n\r\n")
    (root / "trials_to_test.txt").write_text("user24_led.aedat")
    return root


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a trial: (events, labels, events a packet)."""
    return lambda *args: write_trial(tmp_path / "DvsGesture", "user07_lab", *args)


def test_the_trials_of_a_part_are_those_of_its_official_list_in_its_order(archive: Path) -> None:
    assert find_root(archive.parent) == find_root(archive) == archive
    trials = listed_recordings(archive, "train")
    assert trials == [archive / "user01_fluorescent_led.aedat", archive / "user02_natural.aedat"]
    assert labels_file(trials[0]) == archive / "user01_fluorescent_led_labels.csv"
    assert {each.group for each in find_recordings(archive, "archive", "train")} == {"user01", "user02"}
    assert [trial.name for trial in listed_recordings(archive, "test")] == ["user24_led.aedat"]


def cut(trial: Path) -> list[list[int]]:
    """Return the times of each segment's events."""
    segments = read_segments(labels_file(trial))
    return [segment_events(trial, start_us, end_us)["t"].tolist() for _, start_us, end_us in segments]


@RULES
@given(st.data())
def test_what_is_cut_is_what_a_mask_over_the_whole_recording_gives(tmp_path: Path, data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=200))
    events = make_events(data.draw(st.sampled_from([0, 7, (1 << 31) - 500])) + np.cumsum(gaps))
    t = events["t"]
    starts = np.unique(t[data.draw(st.lists(st.integers(0, t.size - 1), min_size=1, max_size=8))]).tolist()
    labels = [(data.draw(st.integers(1, 11)), start, start + data.draw(st.integers(1, 300))) for start in starts]
    made = write_trial(tmp_path / "archive", "user03_led", events, labels, data.draw(st.integers(1, 50)))
    segments = read_segments(labels_file(made))
    assert cut(made) == [t[(t >= start_us) & (t < end_us)].tolist() for _, start_us, end_us in segments]


def test_a_segment_is_clipped_to_end_where_the_next_one_starts_as_in_user22_led(tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "user22_led_labels.csv", [(9, 500, 900), (10, 850, 1_000), (8, 100, 400)])
    assert read_segments(labels) == (
        Segment(GESTURES[7], 100, 400),
        Segment(GESTURES[8], 500, 850),
        Segment(GESTURES[9], 850, 1_000),
    )


def test_only_what_is_behind_a_clock_that_is_set_to_zero_counts(tmp_path: Path) -> None:
    made = write_trial(tmp_path / "archive", "user03_led", make_events([1]), [(1, 10, 20), (2, 50, 90)])
    made.write_bytes(
        header() + polarity(make_events(range(40))) + special([RESET]) + polarity(make_events(range(100)))
    )
    assert cut(made) == [list(range(10, 20)), list(range(50, 90))]


def test_a_recording_may_end_a_little_before_its_last_label_but_not_long_before(
    trial: Callable[..., Path],
) -> None:
    events = make_events(range(0, 5_000_000, 1_000))
    assert len(cut(trial(events, [(2, 4_000_000, 5_900_000)]))[0]) == 1_000
    for label in ((2, 4_000_000, 6_100_000), (2, 5_000_000, 6_100_000)):
        with pytest.raises(SourceError, match=r"ends at 4,999,000 µs, before its label does at 6,100,000 µs"):
            cut(trial(events, [label]))


def test_a_segment_without_events_is_an_error(trial: Callable[..., Path]) -> None:
    with pytest.raises(SourceError, match=r"user07_lab\.aedat: no events from 30 to 80 µs"):
        cut(trial(make_events([10, 20, 90]), [(1, 0, 15), (2, 30, 80)]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line isn't class,startTime_usec,endTime_usec"),
        ("1,2,3\n", "the first line isn't class,"),
        (FIRST_LINE, "has no labels"),
        (FIRST_LINE + "1,2,3\n\n4,5\n", "line 4: '4,5' isn't three whole numbers"),
        (FIRST_LINE + "1,2,x\n", "line 2: '1,2,x' isn't three"),
        (FIRST_LINE + "1,-2,5\n", "line 2: '1,-2,5' isn't three"),
        (FIRST_LINE + "1," + "9" * 99 + ",5\n", "line 2: '1,9999"),
        (FIRST_LINE + "1,2,3\n0,5,6\n", "line 3: class 0 isn't 1 to 11"),
        (FIRST_LINE + "12,5,6\n", "line 2: class 12 isn't 1 to 11"),
        (FIRST_LINE + "2,6,6\n", "line 2: the gesture ends at 6 µs, before it starts"),
        (FIRST_LINE + "2,6,9\n3,6,8\n", "two gestures start at 6 µs"),
        ("\0" * 400, "the first line isn't"),
    ],
    ids=range(12),
)
def test_labels_that_are_damaged_are_an_error_of_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "user01_led_labels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        read_segments(path)
    assert str(path) in str(raised.value)
    assert "unpack DvsGesture.tar.gz again" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no trials"),
        ("user01_led.aedat\nuser1.aedat\n", "line 2: 'user1.aedat' isn't a name like user01_led.aedat"),
        ("../user01_led.aedat\n", "line 1: '../user01_led.aedat' isn't a name"),
    ],
    ids=range(3),
)
def test_a_list_of_trials_that_is_damaged_is_an_error_of_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "trials_to_test.txt").write_text(text)
    with pytest.raises(DataError, match=message) as raised:
        named_recordings(tmp_path, "test")
    assert "\n" not in str(raised.value)


def test_what_is_missing_is_named(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no DVS-Gesture in .*unpack"):
        find_root(tmp_path / "elsewhere")
    (archive / "user02_natural_labels.csv").unlink()
    with pytest.raises(
        DataError, match=r"no file .*user02_natural_labels\.csv, nor 0 others of 4 that trials_to_train"
    ):
        listed_recordings(archive, "train")
    assert len(named_recordings(archive, "train")) == 2
    (archive / "trials_to_test.txt").unlink()
    with pytest.raises(DataError, match=r"no file .*trials_to_test\.txt"):
        listed_recordings(archive, "test")


def test_a_recording_that_is_of_something_else_is_an_error(trial: Callable[..., Path]) -> None:
    made = trial(make_events([1, 2]), [(1, 0, 5)])
    write_recording(made, make_events([1, 2]), 10, "1: DAVIS240C")
    with pytest.raises(SourceError, match="240×180 pixels aren't a DVS128's 128×128"):
        cut(made)
