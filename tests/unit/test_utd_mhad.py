"""UTD-MHAD: depth becomes events with the right polarity, time and side, and takes get the right labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.card import ModelCard
from livesnn.errors import DataError, FormatError
from livesnn.events.packet import Events, Packet
from livesnn.events.slicer import Slicer
from livesnn.infer.load import load_model
from livesnn.infer.run import run_frames
from livesnn.infer.statistics import Tally
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.registry import data_set
from livesnn.train.datasets.utd_mhad import (
    FRAME_US,
    LOOKS,
    SENSOR,
    Depth,
    depth_events,
    find_takes,
    read_depth,
    take_events,
)
from tests import trees

pytestmark = pytest.mark.slow

FRAMES, STILL = 40, 15
"""The hand moves from frame 15 to frame 25."""


def someone(side: int = 1, *, flicker: bool = False) -> Depth:
    """Return a person 2.5 m away, one of whose hands moves to the right (side 1) or the left (side −1)."""
    rng = np.random.default_rng(0)
    depth = np.zeros((FRAMES, 240, 320), np.uint16)
    for number, each in enumerate(depth):
        each[60:220, 140:180] = 2500
        each[40:60, 152:168] = 2500
        x = 160 + side * (40 + 4 * min(max(number - STILL, 0), 10))
        each[90:110, x - 8 : x + 8] = 2300
        if flicker:  # as the camera's contours do
            edge = rng.random((160, 2)) < 0.5
            each[60:220, [139, 180]] = np.where(edge, 2500, 0)
    return depth


def write(folder: Path, name: str, depth: Depth) -> Path:
    """Write a take in the official layout."""
    scipy_io = pytest.importorskip("scipy.io")
    path = folder / "UTD-MHAD" / "Depth" / f"{name}_depth.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy_io.savemat(path, {"d_depth": np.moveaxis(depth, 0, -1)}, do_compression=True)
    return path


def events_of(depth: Depth, look: int = 0) -> Events:
    """Return the events of a take."""
    return depth_events(depth, LOOKS[look], np.random.default_rng(0))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("look", [0, 1])
def test_a_moving_hand_is_off_on_the_side_that_gets_darker(side: int, look: int) -> None:
    events = events_of(someone(side), look)
    moving = (events["t"] > STILL * FRAME_US) & (events["t"] < (STILL + 10) * FRAME_US)
    on, off = (events[moving & (events["p"] == p)] for p in (True, False))
    ahead = np.median(off["x"]) - np.median(on["x"])
    assert (1, -1)[look] * side * ahead > 3  # the skin is darker than the first wall, brighter than the second


def test_events_come_while_something_moves() -> None:
    t = events_of(someone())["t"]
    moving = (t > (STILL - 1) * FRAME_US) & (t < (STILL + 11) * FRAME_US)
    rates = [moving.sum() / 12, (~moving).sum() / (FRAMES - 13)]
    assert rates[0] > 4 * rates[1]  # which is noise


def test_a_flickering_contour_is_no_movement() -> None:
    calm, flickering = (events_of(someone(flicker=flicker)) for flicker in (False, True))
    assert len(flickering) < 1.5 * len(calm)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    depth = someone()
    path = write(tmp_path, "a3_s1_t1", depth)
    np.testing.assert_array_equal(read_depth(path), depth)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FormatError, match=r"a3_s1_t1_depth\.mat"):
        read_depth(path)


def test_a_mirror_swaps_hands_and_directions(tmp_path: Path) -> None:
    for action in (3, 4, 9, 10, 13):
        write(tmp_path, f"a{action}_s1_t1", someone())
    labels = {
        take.action: [take.gesture(mirrored_too=mirrored) for mirrored in (False, True)]
        for take in find_takes(tmp_path)
    }
    assert labels == {
        3: ["left_hand_wave", "right_hand_wave"],
        4: ["hand_clapping", "hand_clapping"],
        9: ["left_arm_counter_clockwise", "right_arm_clockwise"],
        10: ["left_arm_clockwise", "right_arm_counter_clockwise"],
        13: ["other", "other"],
    }


def test_even_subjects_are_the_test_part_and_both_sides_are_used(tmp_path: Path) -> None:
    for subject in (1, 2):
        write(tmp_path, f"a3_s{subject}_t1", someone())
        write(tmp_path, f"a13_s{subject}_t1", someone())
    card = ModelCard("gestures", GESTURES, data_set("utd-mhad").INPUT)
    for split, subject in (("validation", "subject 1"), ("test", "subject 2")):
        clips = data_set("utd-mhad").load_split(tmp_path, split, card)  # type: ignore[arg-type]
        assert set(clips.groups) == {subject}
        assert {GESTURES[label] for label in clips.labels} == {"left_hand_wave", "right_hand_wave", "other"}
    mirrored = clips.recordings.index("a3_s2_t1_depth/mirrored")
    plain = clips.recordings.index("a3_s2_t1_depth")
    frames = clips.frames[:]
    np.testing.assert_array_equal(frames[plain], frames[mirrored][..., ::-1])


def test_odd_subjects_are_trained_on_and_whole_ones_kept_for_validation(tmp_path: Path) -> None:
    for subject in (1, 2, 3):
        for action in (4, 13):
            write(tmp_path, f"a{action}_s{subject}_t1", someone())
    parts = data_set("utd-mhad").load_parts(trees.configured(dataset="utd-mhad", data=tmp_path, validation=0.5))
    kept = [set(clips.groups) for clips in (parts.training, parts.validation)]  # type: ignore[attr-defined]
    assert sorted(kept, key=min) == [{"subject 1"}, {"subject 3"}]
    classes = parts.training.classes  # without those that nobody performs
    assert set(GESTURES) - {*classes} == {"arm_roll", "air_drums", "air_guitar"}
    card = ModelCard("mine", classes, data_set("utd-mhad").INPUT)
    clips = data_set("utd-mhad").load_split(tmp_path, "test", card)
    assert {clips.classes[label] for label in clips.labels} == {"hand_clapping", "other"}


def test_a_folder_without_takes_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no UTD-MHAD in .*: expected"):
        data_set("utd-mhad").check(tmp_path)


def test_a_real_persons_circles_are_named(data_dir: Path) -> None:
    take = data_dir / "people" / "UTD-MHAD" / "Depth" / "a9_s7_t1_depth.mat"
    if not take.is_file():
        pytest.skip(f"no {take.name} in {data_dir}")
    pytest.importorskip("scipy.io")
    model = load_model("gestures", "onnx")
    spec = model.card.input
    frames = Slicer(SENSOR, spec).push(Packet(take_events(take)))
    rates = [frame.n_events / 0.05 for frame in frames]
    assert 10_000 < np.mean(rates) < 100_000  # as in DVS-Gesture
    tally = Tally()
    for result in run_frames(frames, model):
        tally.add(result.decision)
    assert tally.majority == "left_arm_counter_clockwise"
