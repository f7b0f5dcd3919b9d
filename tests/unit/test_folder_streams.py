"""`livesnn eval --stream` on one's own recordings: what tables or names label, and what is between."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import BY_TABLE, InputSpec, ModelCard, SliceRule, Split
from livesnn.errors import DataError
from livesnn.events.formats.aedat4_writer import Aedat4Writer
from livesnn.events.packet import EVENTS_DTYPE
from livesnn.events.slicer import Frame
from livesnn.infer.decide import Decider
from livesnn.simulate.gestures import gesture_clip
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.clips import UncutStream
from livesnn.train.datasets.folder import find_recordings
from livesnn.train.datasets.recordings import label_of
from livesnn.train.datasets.registry import data_set, uncut_streams
from livesnn.train.evaluate_stream import StreamEvaluation, describe_stream, evaluate_stream
from tests import trees
from tests.fake_model import FakeModel

CLASSES = ("down", "up")
CARD = ModelCard(
    "lab",
    CLASSES,
    InputSpec(16, 16, SliceRule(delta_t_us=50_000), window=2),
    dataset="folder",
    split=Split(0.5),
)
BEGIN_US = 5_000_000
"""Of each recording, by its own clock."""
HEAD = "file,start,end,label,session,split"


def which_half(frame: Frame, *_: object) -> list[float]:
    """Return the class whose half of the picture has events; none where both have."""
    left, right = frame.data[..., :8].any(), frame.data[..., 8:].any()
    return [20.0 * (left and not right), 20.0 * (right and not left)]


def record(path: Path, *halves: int | None) -> None:
    """Write a second of each: events in the left half (0), in the right one (1), or in both (None)."""
    second = np.zeros(1000, EVENTS_DTYPE)
    second["t"] = np.arange(1000) * 1000
    parts = []
    for number, half in enumerate(halves):
        part = second.copy()
        part["t"] += BEGIN_US + number * 1_000_000
        part["x"] = [20, 100][half] if half is not None else np.where(np.arange(1000) % 2, 20, 100)
        part["y"] = np.arange(1000) % 128
        parts.append(part)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Aedat4Writer(path, trees.SENSOR) as writer:
        writer.write(np.concatenate(parts))


def measured(data: Path, card: ModelCard, split: str = "test", minutes: float = 10) -> StreamEvaluation:
    streams = uncut_streams("folder", data, split, card, minutes, 0)  # type: ignore[arg-type]
    return evaluate_stream(FakeModel(card, which_half), streams, Decider(threshold=0.6, hysteresis=0.6))


def test_a_lab_s_recording_is_judged_within_its_labels_from_their_onset_and_between_them(
    tmp_path: Path,
) -> None:
    record(tmp_path / "a.aedat4", 1, 0, 0, None, 1, 1, 0, 1)
    rows = [
        "1,3,down",
        "4,6,up",
        "7,8,up",
    ]  # none while both halves have events, nor of the "down" from 6 to 7
    text = "".join(f"a.aedat4,{row},ann,test\n" for row in rows)
    (tmp_path / "labels.csv").write_text(f"{HEAD}\n{text}")
    found = measured(tmp_path, CARD)
    assert found.recall == {"down": 1.0, "up": 1.0}
    assert found.accuracy == 1
    assert found.n == pytest.approx(5 * 19, abs=6)
    assert found.latency_ms["n"] == 3
    assert 50 <= found.latency_ms["p50"] <= 150
    assert found.flickers_a_minute == 0
    half = pytest.approx(300, rel=0.1)  # of 600 windows of 0.1 s
    assert found.false_decisions_a_minute == {"unlabelled": half}
    assert found.idle_decisions_a_minute == found.false_decisions_a_minute["unlabelled"]


def test_labels_without_a_whole_window_and_damage_are_said(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", 0, 1, 0, 1)
    (tmp_path / "a.aedat4").write_bytes((tmp_path / "a.aedat4").read_bytes()[:-100])
    rows = ["0,1,down", "1,1.08,up", "1.2,1.28,up", "2,3,down"]
    text = "".join(f"a.aedat4,{row},ann,test\n" for row in rows)
    (tmp_path / "labels.csv").write_text(f"{HEAD}\n{text}")
    found = measured(tmp_path, CARD)
    assert found.unmeasured == {"up": 2}
    said = "\n".join(describe_stream(found))
    assert "shorter than a window, cut off or without events: 2 of up" in said
    assert len(found.warnings) == 1
    assert found.warnings[0] in said


def test_what_belongs_to_another_part_of_the_same_recording_counts_nowhere(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", 0, 1, 0, 1, 0)
    rows = ["0,1,down,a,train", "1,2,up,b,test", "2,3,down,a,train", "3,4,down,b,test"]
    (tmp_path / "labels.csv").write_text(HEAD + "\n" + "".join(f"a.aedat4,{row}\n" for row in rows))
    found = measured(tmp_path, CARD)
    assert found.recall == {"down": 0.0, "up": 1.0}
    assert np.isnan(found.idle_decisions_a_minute)
    assert found.latency_ms["missed"] == 0.5


def streams_of(data: Path, split: str, card: ModelCard, minutes: float = 10) -> list[UncutStream]:
    return list(uncut_streams("folder", data, split, card, minutes, 0))  # type: ignore[arg-type]


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Four sessions of a recording each, labelled as the window does it."""
    for name in ("ann", "bob", "cem", "dan"):
        record(tmp_path / name / f"{name}.aedat4", 0, 1)
        text = "".join(f"{name}.aedat4,{row},\n" for row in ("0,1,down", "1,2,up"))
        (tmp_path / name / f"{name}.labels.csv").write_text(f"file,start,end,label,session\n{text}")
    return tmp_path


def test_validation_has_the_recordings_that_the_training_kept_in_order(sessions: Path) -> None:
    card = replace(CARD, split=Split(groups=("cem", "ann")))
    names = {
        split: [stream.source.path.parent.name for stream in streams_of(sessions, split, card)]  # type: ignore[attr-defined]
        for split in ("validation", "train")
    }
    assert names == {"validation": ["ann", "cem"], "train": ["bob", "dan"]}
    assert len(streams_of(sessions, "train", card, minutes=0.01)) == 1
    other = replace(CARD, dataset="gestures-sim", split=None)
    assert len(streams_of(sessions, "validation", other)) == 4
    first, second = streams_of(sessions, "train", card)[0].segments
    assert (first.gesture, first.start_us, first.end_us) == ("down", BEGIN_US, BEGIN_US + 1_000_000)
    assert second.start_us == first.end_us


def test_a_test_folder_is_laid_out_alike_and_a_table_s_split_decides(sessions: Path) -> None:
    with pytest.raises(DataError, match="put the recordings to test on there"):
        streams_of(sessions, "test", CARD)
    (sessions / "test").mkdir()
    (sessions / "dan").rename(sessions / "test" / "dan")
    assert [each.source.path.stem for each in streams_of(sessions, "test", CARD)] == ["dan"]  # type: ignore[attr-defined]
    text = "".join(
        f"{name}/{name}.aedat4,{row},{name},{use}\n"
        for name, use in (("ann", "train"), ("bob", "validation"))
        for row in ("0,1,down", "1,2,up")
    )
    (sessions / "labels.csv").write_text(f"{HEAD}\n{text}")
    card = replace(CARD, split=Split(protocol=BY_TABLE))
    (kept,) = streams_of(sessions, "validation", card)
    assert kept.source.path.stem == "bob"  # type: ignore[attr-defined]


def test_stretches_of_one_class_that_touch_are_one_and_another_class_ends_one(tmp_path: Path) -> None:
    record(tmp_path / "a.aedat4", 0, 0, 1, 1)
    rows = ["1,2.5,down", "0,1,down", "2,4,up", "2,3,up"]
    text = "".join(f"a.aedat4,{row},ann,test\n" for row in rows)
    (tmp_path / "labels.csv").write_text(f"{HEAD}\n{text}")
    (stream,) = streams_of(tmp_path, "test", CARD)
    times = [(each.gesture, each.start_us - BEGIN_US, each.end_us - BEGIN_US) for each in stream.segments]
    assert times == [("down", 0, 2_000_000), ("up", 2_000_000, 4_000_000)]


def test_what_cannot_be_streamed_is_one_line(tmp_path: Path) -> None:
    lab = trees.lab(tmp_path)  # a folder a class
    named = replace(CARD, classes=find_recordings(lab)[1])
    with pytest.raises(DataError, match=r"none of these recordings is uncut: --stream needs labels\.csv"):
        streams_of(lab, "train", named)
    with pytest.raises(DataError, match="validated on the ends of recordings"):
        streams_of(lab, "validation", replace(named, split=Split(clips=("nod/ann/0.aedat4/1",))))
    with pytest.raises(DataError, match="no recordings are there that lab was validated on"):
        streams_of(lab, "validation", replace(named, split=Split(groups=("eve",))))
    with pytest.raises(DataError, match="doesn't know 'nod'"):
        streams_of(lab, "train", CARD)
    late = "nod/ann/0.aedat4,0,1,down,ann,test\nnod/ann/0.aedat4,400,900,up,ann,test\n"
    (lab / "labels.csv").write_text(f"{HEAD}\n{late}")
    with pytest.raises(DataError, match="begins after the recording's end: give seconds"):
        streams_of(lab, "test", CARD)


PEOPLE_CARD = ModelCard("gestures", GESTURES, data_set("recordings").INPUT)
WAVE = "right_hand_wave"


def record_person(path: Path, gesture: str = WAVE) -> None:
    """Write 1.1 s of a simulated person."""
    events = gesture_clip(gesture, 0, 1.1, use="test")
    columns = {name: events[name] for name in "txyp"}
    np.savez(path, **columns, width=128, height=128)


def test_a_name_says_what_a_recording_shows(tmp_path: Path) -> None:
    names = (f"{WAVE}__ann.npz", f"02_{WAVE}.npz", "none__ann.npz", "monday.npz")
    assert [label_of(tmp_path / name, GESTURES) for name in names] == [WAVE, WAVE, None, None]
    with pytest.raises(DataError, match=r"jump__ann.npz names no class of hand_clapping, .*: rename it"):
        label_of(tmp_path / "jump__ann.npz", GESTURES)


def test_what_shows_a_class_is_measured_by_windows_and_the_rest_only_as_a_stream(tmp_path: Path) -> None:
    record_person(tmp_path / f"{WAVE}__ann.npz")
    record_person(tmp_path / "none__ann.npz", "idle")
    clips = data_set("recordings").load_split(tmp_path, "validation", PEOPLE_CARD)
    assert [GESTURES[label] for label in clips.labels] == [WAVE] * 2
    assert [line for line in clips.skipped if "none__ann.npz: shows no class" in line]
    shown = list(uncut_streams("recordings", tmp_path, "validation", PEOPLE_CARD, 1, 0))
    assert [[part.gesture for part in stream.segments] for stream in shown] == [[WAVE], []]
    assert [stream.rests for stream in shown] == [False, True]


def test_check_counts_them_and_names_what_is_damaged(tmp_path: Path) -> None:
    record_person(tmp_path / f"{WAVE}__ann.npz")
    (tmp_path / "none__bob.aedat4").write_bytes(b"nothing")
    findings = data_set("recordings").check(tmp_path)
    assert [finding.state for finding in findings] == ["damaged", "complete", "complete"]
    assert "none__bob.aedat4" in findings[0].what


def test_nothing_is_trained_on_them_and_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recordings in"):
        data_set("recordings").load_split(tmp_path, "test", PEOPLE_CARD)
    with pytest.raises(DataError, match="train on --dataset folder"):
        data_set("recordings").load_parts(trees.configured(dataset="recordings", data=tmp_path))
