"""DVS-Gesture: what its archive lists and labels, how gestures are cut, and people apart; also the copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from livesnn.card import Split
from livesnn.errors import DataError, SourceError
from livesnn.events.packet import EVENTS_DTYPE, Events
from livesnn.events.recording import open_recording
from livesnn.simulate.gestures import Segment
from livesnn.simulate.motions import GESTURES
from livesnn.train.configuration import Configuration
from livesnn.train.datasets import recorded
from livesnn.train.datasets.dvs_gesture import (
    find_recordings,
    find_root,
    labels_file,
    listed_recordings,
    named_recordings,
    read_segments,
    segment_events,
)
from livesnn.train.datasets.registry import data_set, uncut_streams
from livesnn.train.evaluate_stream import evaluate_stream
from tests import trees
from tests.aedat3_writer import RESET, header, polarity, special, write_recording
from tests.fake_model import FakeModel
from tests.fake_source import joined
from tests.trees import configured

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
    before, events = make_events([*range(15), 2_000_000]), make_events(range(100))
    made.write_bytes(header() + polarity(before) + special([RESET]) + polarity(events))
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
        *[
            (
                FIRST_LINE + f"1,2,3\n\n{line}\n",
                f"line 4: '{line[:9]}.* a class from 1 to 11 and a start before an end",
            )
            for line in ("4,5", "1,2,x", "1,-2,5", "1," + "9" * 99 + ",5", "0,5,6", "12,5,6", "2,6,6")
        ],
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


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(recorded, "FEW", 1000)  # to start processes for these small files takes seconds


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["archive", "npy"])
def test_persons_stay_together_and_every_gesture_has_its_label(layout: str, tmp_path: Path) -> None:
    data = trees.dvs_gesture(tmp_path) if layout == "archive" else trees.dvs_gesture_copies(tmp_path)
    config = Configuration(dataset="dvs-gesture", data=data, protocol=layout, validation=0.3)
    parts = data_set("dvs-gesture").load_parts(config)
    people = [set(part.groups) for part in (parts.training, parts.validation)]  # type: ignore[attr-defined]
    assert [len(some) for some in people] == [2, 1]
    assert not people[0] & people[1]
    card = replace(config.card(GESTURES), split=parts.split)
    test = data_set("dvs-gesture").load_split(data, "test", card)
    assert set(test.groups) == {"user24"}
    for clips in (parts.training, parts.validation, test):
        busiest = clips.take(np.arange(len(clips)), 0)[0].sum(axis=(1, 2, 3)).argmax(axis=1)
        assert np.array_equal(busiest, (10 * clips.labels + 4) // 2)
        assert len(clips) % (2 * len(GESTURES)) == 0


@pytest.mark.slow
def test_what_is_missing_of_the_archive_is_said(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    (archive / "DvsGesture" / "user02_led.aedat").unlink()
    damaged = archive / "DvsGesture" / "user03_led.aedat"
    damaged.write_bytes(damaged.read_bytes()[:3000])
    findings = data_set("dvs-gesture").check(archive)
    assert [finding.state for finding in findings] == ["complete", "missing", "damaged", "complete"]
    assert findings[0].what == "train: user01_led.aedat, 11 gestures"
    with pytest.raises(DataError, match=r"user02_led\.aedat"):
        data_set("dvs-gesture").load_parts(configured(dataset="dvs-gesture", data=archive))


@pytest.mark.slow
def test_a_model_of_other_data_is_measured_on_the_test_users_alone(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    card = replace(Configuration(dataset="gestures-sim").card(GESTURES), split=None)
    assert len(data_set("dvs-gesture").load_split(archive, "test", card)) == 2 * len(GESTURES)
    with pytest.raises(DataError, match="add --split test"):
        data_set("dvs-gesture").load_split(archive, "validation", replace(card, split=Split()))


def set_clock_after(recording: Path, later_us: int) -> None:
    """Put events of another clock, which is then set to zero, before a recording; its own begin later."""
    with open_recording(recording) as opened:
        events = joined(opened)
    events["t"] += later_us
    early = events[:1000].copy()
    early["t"] = later_us + np.arange(50_000_000, 50_600_000, 600)
    recording.write_bytes(header() + polarity(early) + special([RESET]) + polarity(events))


@pytest.mark.slow
def test_training_cuts_a_recording_whose_clock_was_set_to_zero_as_check_does(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    card = Configuration(dataset="gestures-sim").card(GESTURES)
    whole = data_set("dvs-gesture").load_split(archive, "test", card)
    set_clock_after(archive / "DvsGesture" / "user24_led.aedat", 0)
    assert {finding.state for finding in data_set("dvs-gesture").check(archive)} == {"complete"}
    again = data_set("dvs-gesture").load_split(archive, "test", card)
    assert again.skipped == ()
    np.testing.assert_array_equal(again.take(np.arange(22), 0)[0], whole.take(np.arange(22), 0)[0])


@pytest.mark.slow
@pytest.mark.parametrize("later_us", [0, 80_000_000])
def test_uncut_recordings_are_judged_within_the_gestures_and_between_them(tmp_path: Path, later_us: int) -> None:
    data = trees.dvs_gesture(tmp_path)
    labels = data / "DvsGesture" / "user24_led_labels.csv"
    head, *lines = labels.read_text().splitlines()
    kept = [head]
    for line in lines:
        label, *times = map(int, line.split(","))
        if label != 3:  # now it is between two others
            kept.append(",".join(map(str, [label, *(t_us + later_us for t_us in times)])))
    labels.write_text("\n".join(kept))
    if later_us:
        set_clock_after(labels.with_name("user24_led.aedat"), later_us)
    card = configured(dataset="dvs-gesture", data=data, validation=0.3).card(GESTURES)
    rolling = 20 * np.eye(11)[GESTURES.index("arm_roll")]
    model = FakeModel(replace(card, input=replace(card.input, window=2)), lambda *_: rolling)
    measured = evaluate_stream(model, uncut_streams("dvs-gesture", data, "test", model.card, 10, 0))
    assert measured.recall == {name: float(name == "arm_roll") for name in GESTURES if name != GESTURES[2]}
    assert measured.n == pytest.approx(10 * 21.5, abs=10)  # 24 frames of 50 ms each, windows of two within them
    assert measured.accuracy == pytest.approx(1 / 10, abs=0.01)
    assert measured.idle_decisions_a_minute == pytest.approx(600, rel=0.1)  # every window is 0.1 s
    assert measured.minutes == pytest.approx(11 * 1.7 / 60, rel=0.05)
    assert measured.accuracy_first_minute == measured.accuracy


@pytest.mark.slow
def test_the_uncut_recordings_of_validation_are_those_of_its_users(tmp_path: Path) -> None:
    data = trees.dvs_gesture(tmp_path)
    config = configured(dataset="dvs-gesture", data=data, validation=0.3, seed=2)
    parts = data_set("dvs-gesture").load_parts(config)
    card = replace(config.card(GESTURES), split=parts.split)
    for split, clips in (("validation", parts.validation), ("train", parts.training)):
        streams = list(uncut_streams("dvs-gesture", data, split, card, 1000, 0))  # type: ignore[arg-type]
        assert len(streams) == len(set(clips.groups))  # type: ignore[attr-defined]
    one = list(uncut_streams("dvs-gesture", data, "train", card, 0.1, 0))
    assert len(one) == 1
    with pytest.raises(DataError, match="add --split test"):
        next(uncut_streams("dvs-gesture", data, "train", replace(card, split=None), 1, 0))
