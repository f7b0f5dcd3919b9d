"""tests/benchmarks/people.py: what counts as right, and how gestures that nobody made are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.errors import DataError
from livesnn.infer.load import read_card
from livesnn.simulate.gestures import gesture_clip
from tests.benchmarks.people import (
    ROWS,
    Clip,
    Played,
    Stream,
    bandai_movement,
    bench_people,
    filmed_packets,
    recorded_packets,
    row,
)

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
    assert (figures["wave"]["right"], figures["wave"]["majority"]) == (pytest.approx(2 / 3), 1.0)
    assert figures["decided"] == {wave: 4, clap: 1, "": 1}


def test_a_performance_is_named_if_its_gesture_is_decided_once_and_another_may_be_too() -> None:
    wave, clap = "right_hand_wave", "hand_clapping"
    figures = row(
        [
            played(wave, None, clap, wave, "other", group="both", counted=slice(0, 1)),
            played(wave, None, "other", "other", wave, group="right"),
            played(wave, "other", None, None, None, group="missed"),
        ],
        CARD,
    )
    assert (figures["named"], figures["another"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (figures["both"]["first_s"], figures["right"]["first_s"], figures["first_s"]) == (0.15, 0.2, 0.175)
    assert (figures["missed"]["named"], figures["missed"]["another"], figures["missed"]["first_s"]) == (0, 0, None)


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


ARM = np.array([[0, 0, 0], [0, -280, 0], [0, -530, 0]])  # hangs from the shoulder, in Bandai's units


def bandai_take(waves: bool) -> npt.NDArray[np.int16]:
    """Return two seconds of a person who faces the camera and stands, or waves the right hand."""
    joints = np.zeros((60, 8, 3))
    joints[:, 1, 1] = 700
    joints[:, 2:5], joints[:, 5:] = ARM + np.array([-180, 500, 0]), ARM + np.array([180, 500, 0])
    if waves:
        joints[:, 4, 0] = -180 - 200 * np.sin(np.arange(60) / 3)
        joints[:, 4, 1] = 500
    return joints.astype(np.int16)


def test_a_simulated_person_moves_as_the_recorded_one(tmp_path: Path) -> None:
    path = tmp_path / "people" / "bandai_waves.npz"
    path.parent.mkdir()
    np.savez(path, **{"wave-right-hand_normal_1": bandai_take(True), "bow_normal_1": bandai_take(False)})
    [wave], [bow] = ROWS["filmed_waves"](tmp_path), ROWS["filmed_others"](tmp_path)
    assert (wave.label, bow.label, ROWS["filmed_raised_hands"](tmp_path)) == ("right_hand_wave", None, [])
    movement = bandai_movement(wave.stream)
    swing = np.ptp(movement.fore, axis=0)  # of the right and the left forearm
    assert swing[0, 0] > 1.0
    assert swing[1].max() < 0.01
    np.testing.assert_allclose(movement.upper[:, 1], np.tile([0, -1, 0], (len(movement.upper), 1)), atol=1e-6)
    resolution, [packet] = filmed_packets(wave.stream)
    left_half = packet.events["x"] < resolution.width / 2
    assert left_half.mean() > 0.6  # A person's right hand is on the left of the picture
    _, [still] = filmed_packets(bow.stream)
    assert len(packet.events) > 3 * len(still.events)


def test_damaged_movements_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "people" / "bandai_waves.npz"
    path.parent.mkdir()
    path.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"bandai_waves\.npz can't be read"):
        bench_people(tmp_path)


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
