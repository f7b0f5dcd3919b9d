"""`--dataset recordings`: uncut recordings whose names say what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.card import ModelCard
from livesnn.errors import DataError
from livesnn.simulate.gestures import gesture_clip
from livesnn.simulate.motions import GESTURES
from livesnn.train.datasets.recordings import label_of
from livesnn.train.datasets.registry import data_set, uncut_streams
from tests import trees

CARD = ModelCard("gestures", GESTURES, data_set("recordings").INPUT)
WAVE = "right_hand_wave"


def record(path: Path, gesture: str = WAVE) -> None:
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
    record(tmp_path / f"{WAVE}__ann.npz")
    record(tmp_path / "none__ann.npz", "idle")
    clips = data_set("recordings").load_split(tmp_path, "validation", CARD)
    assert [GESTURES[label] for label in clips.labels] == [WAVE] * 2
    assert [line for line in clips.skipped if "none__ann.npz: shows no class" in line]
    shown = list(uncut_streams("recordings", tmp_path, "validation", CARD, 1, 0))
    assert [[part.gesture for part in stream.segments] for stream in shown] == [[WAVE], []]
    assert [stream.rests for stream in shown] == [False, True]


def test_check_counts_them_and_names_what_is_damaged(tmp_path: Path) -> None:
    record(tmp_path / f"{WAVE}__ann.npz")
    (tmp_path / "none__bob.aedat4").write_bytes(b"nothing")
    findings = data_set("recordings").check(tmp_path)
    assert [finding.state for finding in findings] == ["damaged", "complete", "complete"]
    assert "none__bob.aedat4" in findings[0].what


def test_nothing_is_trained_on_them_and_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recordings in"):
        data_set("recordings").load_split(tmp_path, "test", CARD)
    with pytest.raises(DataError, match="train on --dataset folder"):
        data_set("recordings").load_parts(trees.configured(dataset="recordings", data=tmp_path))
