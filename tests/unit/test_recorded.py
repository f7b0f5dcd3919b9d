"""Movements of real people by which simulated people move, and how joints turn from one pose to the next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import DataError
from livesnn.simulate.body import LEFT, RIGHT, Limbs
from livesnn.simulate.practice import practice_frames
from livesnn.simulate.recorded import MARKERS, OTHERS, load_movements
from livesnn.train.datasets.gestures_sim import INPUT

FRAMES = 300


def take(lifted: float = 0.0) -> np.ndarray:
    """Return a person of 1.8 m who faces along y and moves the right wrist up and down by so many metres."""
    places = {
        "head": (0, 0, 1.71), "left elbow": (-0.3, 0, 1.14), "left wrist": (-0.3, 0.05, 0.9),
        "right elbow": (0.3, 0, 1.14), "right wrist": (0.3, 0.05, 0.9), "left knee": (-0.15, 0, 0.5),
        "left ankle": (-0.15, 0, 0.1), "right knee": (0.15, 0, 0.5), "right ankle": (0.15, 0, 0.1),
    }  # fmt: skip
    path = np.tile([places[name] for name in MARKERS], (FRAMES, 1, 1)).astype(float)
    path[:, MARKERS.index("right wrist"), 2] += lifted * np.sin(np.arange(FRAMES) / 15) ** 2
    return (path * 1e4).astype(np.int16)


@pytest.fixture
def movements(tmp_path: Path) -> Path:
    file = tmp_path / "movements.npz"
    lost = take()
    lost[: FRAMES // 2 + 1, 2] = 0
    takes = {f"s{person}_Standing": take() for person in (1, 3)}
    np.savez(file, s1_Waving=take(0.45), s1_Slapping=take(0.2), s1_Pushing=lost, s3_Clapping=take(0.3), **takes)
    return file


def test_people_are_told_apart_and_a_take_with_a_lost_marker_is_left_out(movements: Path) -> None:
    assert sorted(each.label for each in load_movements(movements)) == ["idle", OTHERS, "right_hand_wave"]
    assert sorted(each.label for each in load_movements(movements, kept_aside=True)) == ["hand_clapping", "idle"]


def test_a_body_moves_as_the_person_did_and_in_a_mirror_with_the_other_arm(movements: Path) -> None:
    wave = next(each for each in load_movements(movements) if each.label == "right_hand_wave")
    moments_s = np.linspace(0, wave.seconds, 100)
    limbs = wave.limbs(moments_s, 50.0, np.random.default_rng(0))
    assert np.ptp(limbs.wrist[:, RIGHT, 1]) > 0.5
    assert np.ptp(limbs.wrist[:, LEFT], axis=0).max() < 0.02
    assert limbs.wrist[:, LEFT, 1].max() < -0.9  # it hangs
    other = wave.mirrored()
    assert other.label == "left_hand_wave"
    swapped = other.limbs(moments_s, 50.0, np.random.default_rng(0))
    assert np.allclose(swapped.wrist[:, LEFT], limbs.wrist[:, RIGHT])


def test_joints_turn_from_pose_to_pose_and_keep_the_bones_lengths() -> None:
    def pose(wrist: tuple[float, float, float]) -> Limbs:
        place = np.tile(wrist, (50, 2, 1)).astype(float)
        elbow = np.tile((0.6, -0.4, -0.6), (50, 2, 1))
        return Limbs(place, elbow, np.zeros_like(place), np.zeros((50, 3)), *np.zeros((2, 50, 2)))

    hanging, raised = pose((0.1, -0.95, 0.1)), pose((0.1, 0.95, 0.1))
    way = hanging.turned(raised, np.linspace(0, 1, 50), early=1.3)
    assert np.allclose(way.wrist[0], hanging.wrist[0], atol=0.02)
    assert np.allclose(way.wrist[-1], raised.wrist[-1], atol=0.02)
    assert np.linalg.norm(way.wrist[25, RIGHT]) > 0.4  # the hand goes round the shoulder: straight would be 0.14


def test_who_practises_does_what_real_people_did(movements: Path) -> None:
    theirs = load_movements(movements)
    frames, performed = practice_frames(4, INPUT, 100, theirs)
    assert OTHERS in performed
    again, the_same = practice_frames(4, INPUT, 100, theirs)
    assert np.array_equal(frames, again)
    assert performed == the_same


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04broken"])
def test_what_is_no_file_of_movements_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"give a \.npz"):
        load_movements(tmp_path / "m.npz")


def test_takes_of_another_layout_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", s1_Waving=take(), s2_Standing=take())
    with pytest.raises(DataError, match="s1_Waving isn't a take"):
        load_movements(tmp_path / "m.npz")
