"""DVS-Gesture as a data set: the archive and the copies; persons apart, the official test users never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from livesnn.card import ModelCard, Split
from livesnn.errors import DataError
from livesnn.events.recording import open_recording
from livesnn.events.slicer import Frame
from livesnn.infer.model import State
from livesnn.simulate.motions import GESTURES
from livesnn.train.configuration import Configuration
from livesnn.train.datasets import recorded
from livesnn.train.datasets.registry import data_set, uncut_streams
from livesnn.train.evaluate_stream import evaluate_stream
from tests import trees
from tests.aedat3_writer import RESET, header, polarity, special
from tests.fake_source import joined
from tests.trees import configured

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(recorded, "FEW", 1000)  # to start processes for these small files takes seconds


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


def test_training_cuts_a_recording_whose_clock_was_set_to_zero_as_check_does(tmp_path: Path) -> None:
    archive = trees.dvs_gesture(tmp_path)
    card = Configuration(dataset="gestures-sim").card(GESTURES)
    whole = data_set("dvs-gesture").load_split(archive, "test", card)
    set_clock_after(archive / "DvsGesture" / "user24_led.aedat", 0)
    assert {finding.state for finding in data_set("dvs-gesture").check(archive)} == {"complete"}
    again = data_set("dvs-gesture").load_split(archive, "test", card)
    assert again.skipped == ()
    np.testing.assert_array_equal(again.take(np.arange(22), 0)[0], whole.take(np.arange(22), 0)[0])


class _AlwaysRolling:
    """Says arm_roll whatever it sees."""

    def __init__(self, card: ModelCard) -> None:
        self.card = replace(card, states={"hidden": (1,), "readout": (11,)})

    def initial_state(self) -> State:
        return np.zeros((1, 1), np.float32), np.zeros((1, 11), np.float32)

    def step(self, frame: Frame, state: State) -> tuple[np.ndarray, State]:
        return np.eye(11, dtype=np.float32)[GESTURES.index("arm_roll")] * 20, state


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
    model = _AlwaysRolling(replace(card, input=replace(card.input, window=2)))
    measured = evaluate_stream(model, uncut_streams("dvs-gesture", data, "test", model.card, 10, 0))
    assert measured.recall == {name: float(name == "arm_roll") for name in GESTURES if name != GESTURES[2]}
    assert measured.n == pytest.approx(10 * 21.5, abs=10)  # 24 frames of 50 ms each, windows of two within them
    assert measured.accuracy == pytest.approx(1 / 10, abs=0.01)
    assert measured.idle_decisions_a_minute == pytest.approx(600, rel=0.1)  # every window is 0.1 s
    assert measured.minutes == pytest.approx(11 * 1.7 / 60, rel=0.05)
    assert measured.accuracy_first_minute == measured.accuracy


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
