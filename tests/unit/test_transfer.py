"""Clips of real people, changed as other people and cameras would change them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import DataError, LivesnnError
from livesnn.simulate.gestures import gesture_clip
from tests.benchmarks.accuracy import bench_transfer


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    events = gesture_clip("right_hand_wave", 0, 1.6, use="test")
    columns = {name: events[name] for name in "txyp"}
    np.savez(tmp_path / "02_right_hand_wave.npz", **columns)
    np.savez(tmp_path / "09_jumping.npz", **columns)
    return tmp_path


def test_every_variant_is_decided_at_every_frame_of_a_full_window(clips: Path) -> None:
    measured = bench_transfer(clips, "gestures")
    assert measured.pop("left_out") == ["09_jumping.npz"]
    numbers = {name: variant["n"] for name, variant in measured.items()}
    assert numbers["as recorded"] == numbers["mirrored"] == numbers["scaled ×1.25"]
    assert numbers["tempo ×2"] < numbers["as recorded"] < numbers["tempo ×0.6"]
    for variant in measured.values():
        assert sum(variant["decided"]["02_right_hand_wave"].values()) == variant["n"]
        assert variant["low"] - 1e-9 <= variant["share"] <= variant["high"] + 1e-9
    mirrored = measured["mirrored"]  # a right hand is a left one
    assert mirrored["right"] == mirrored["decided"]["02_right_hand_wave"].get("left_hand_wave", 0) > 0


def test_an_empty_clip_and_a_model_of_other_classes_are_one_line(clips: Path) -> None:
    with pytest.raises(DataError, match=r"nmnist.* knows 0, 1, .*: give --model gestures"):
        bench_transfer(clips, "nmnist")
    np.savez(clips / "08_arm_roll.npz", **{name: np.zeros(0, np.int64) for name in "txyp"})
    with pytest.raises(LivesnnError, match=r"08_arm_roll\.npz"):
        bench_transfer(clips, "gestures")
