"""What the decisions on clips come to."""

from __future__ import annotations

import numpy as np

from livesnn.train.datasets.clips import Clips
from livesnn.train.evaluate import accuracy_recordings, confusion, count_recordings


def clips(*recordings: str) -> Clips:
    """Return five clips of classes 0, 0, 1, 1, 1."""
    frames = np.zeros((5, 10, 1, 2, 2), np.uint8)
    return Clips(frames, np.array([0, 0, 1, 1, 1]), tuple("abcde"), ("nod", "shake"), recordings)


def test_rows_are_true_classes_and_columns_decisions() -> None:
    assert confusion(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 1]), 3) == ((1, 0, 1), (0, 1, 0), (0, 1, 0))


def test_a_recording_is_decided_by_what_its_clips_say_together() -> None:
    outputs = np.array([[0.4, 0.6], [0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9]], np.float32)
    named = clips("z", "z", "y", "x", "x")  # z: 1.3 to 0.7, right; y: wrong; x: right
    assert count_recordings(named) == 3
    assert accuracy_recordings(named, outputs) == np.float64(2 / 3)


def test_where_each_clip_is_a_recording_there_is_no_other_accuracy() -> None:
    for each in (clips(), clips(*"vwxyz")):
        assert count_recordings(each) == 5
        assert accuracy_recordings(each, np.zeros((5, 2), np.float32)) is None
