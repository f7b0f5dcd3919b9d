"""tests/benchmarks/people.py: what counts as right, and how gestures that nobody made are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import DataError
from livesnn.infer.load import read_card
from livesnn.simulate.gestures import gesture_clip
from tests.benchmarks.people import Clip, Played, Stream, bench_people, recorded_packets, row

CARD = read_card("gestures")


def played(label: str | None, *decisions: str | None, group: str = "", counted: slice = slice(None)) -> Played:
    """Return a clip with a decision after each frame, of which those in ``counted`` count."""
    counts = np.zeros(len(decisions), bool)
    counts[counted] = True
    clip = Clip("clip", label, Stream(Path("clip"), recorded_packets), group)
    ends = [number % CARD.input.window == 0 for number in range(len(decisions))]
    return Played(clip, list(decisions), counts.tolist(), ends, len(decisions))


def test_right_is_the_share_of_the_frames_that_count_and_of_the_clips_by_majority() -> None:
    wave, clap = "right_hand_wave", "hand_clapping"
    figures = row(
        [
            played(wave, clap, wave, wave, None, clap, group="wave", counted=slice(1, 4)),
            played(clap, wave, wave, clap, group="clap"),
        ],
        CARD,
    )
    assert (figures["n"], figures["clips"], figures["majority"]) == (6, 2, 0.5)
    assert figures["right"] == pytest.approx(3 / 6)
    assert figures["wave"] == {"right": pytest.approx(2 / 3), "majority": 1.0}
    assert figures["decided"] == {wave: 4, clap: 1, "": 1}


def test_a_gesture_that_nobody_made_counts_once_for_as_long_as_it_lasts() -> None:
    figures = row([played(None, *["air_drums"] * 20, *["other"] * 10, *[None] * 10)], CARD)
    assert figures["seconds"] == 2.0
    assert figures["named_a_minute"] == pytest.approx(30)
    assert figures["windows_named"] == pytest.approx(2 / 4)


def test_a_gesture_that_changes_to_another_is_named_twice() -> None:
    figures = row([played(None, "air_drums", "arm_roll", None, "arm_roll", "other")], CARD)
    assert figures["named_a_minute"] == pytest.approx(3 / (5 * 0.05 / 60))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "people" / "dvs128"
    folder.mkdir(parents=True)
    for gesture, name in (("right_hand_wave", "right_hand_wave__redpob_2024_06_20_1"), ("idle", "none__ann")):
        events = gesture_clip(gesture, 0, 1.6, use="test")
        np.savez(folder / f"{name}.npz", **{column: events[column] for column in "txyp"}, width=128, height=128)
    return tmp_path


def test_rows_without_data_are_named(data: Path) -> None:
    figures = bench_people(data)
    assert figures["bright_wave"]["clips"] == figures["walking"]["clips"] == 1
    assert {"dim_wave", "utd_mhad_gestures", "videos"} <= set(figures["absent"])


def test_an_empty_folder_and_a_model_of_other_classes_are_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give --data"):
        bench_people(tmp_path / "people" / "dvs128")
    with pytest.raises(DataError, match="nmnist can't be measured on people"):
        bench_people(data, "nmnist")


def test_clips_that_cannot_be_read_are_left_out_and_said(data: Path) -> None:
    for damaged in data.rglob("*.npz"):
        if "none" in damaged.name:
            damaged.write_bytes(b"PK")
    figures = bench_people(data)
    assert "walking" in figures["absent"]
    assert figures["bright_wave"]["clips"] == 1
    assert figures["left_out"][0].startswith("none__ann.npz: ")


def test_where_nothing_can_be_used_that_is_one_line(data: Path) -> None:
    for damaged in data.rglob("*.npz"):
        damaged.write_bytes(b"PK")
    with pytest.raises(DataError, match="nothing in it can be used, first right_hand_wave__redpob"):
        bench_people(data)
