"""Movements of real people, by which simulated people can move: markers of a motion capture as directions of bones.

Read from a .npz with the layout of the Vicon Physical Action Data Set (Theodoridis, UCI Machine Learning Repository,
CC BY 4.0): a key sPERSON_ACTION each, int16 [T, 9, 3] in 0.1 mm at 100 Hz, z up. The markers are `MARKERS`.
"""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from livesnn.errors import DataError
from livesnn.simulate.body import FOREARM, UPPER_ARM, Array, Limbs, Random, unit

RATE_HZ, METRES = 100, 1e-4
MARKERS = ("head", "left elbow", "left wrist", "right elbow", "right wrist", "left knee", "left ankle", "right knee",
           "right ankle")  # fmt: skip
STANDING = "Standing"  # The action from which a person's height is taken
LABELS = {
    "Clapping": "hand_clapping", "Waving": "right_hand_wave", STANDING: "idle", "Walking": "walking",
    "Running": "walking",
}  # fmt: skip
"""What an action is as one of `motions.PEOPLE`; all others are `OTHERS`."""
OTHERS = "recorded"
KEPT_ASIDE = (3, 6)  # People to measure with
FAULTY = ("s6_Waving",)

HEAD_SHARE, SHOULDER_SHARE, HALF_SHOULDERS = 0.95, 0.818, 0.125
"""Height of the head's marker and of the shoulders, and half of the shoulders' width, as shares of the body's height
(Winter 2009, "Biomechanics and Motor Control of Human Movement")."""
ARM_M = 0.53  # A grown-up's, from shoulder to wrist

JUMP_M, JUMP_FRAMES, SMOOTHED_S = 0.06, 9, 0.12
"""A marker so far from its median over so many frames is left out. The rest is smoothed over this time."""
FARTHEST, MOST_YAW = 0.9, 0.9  # How far a body moves to either side, in arm lengths, and turns, in radians


class Movement(NamedTuple):
    """What somebody did, in each arm's own axes (out, up, forward)."""

    label: str  # one of `motions.PEOPLE`, or `OTHERS`
    upper: Array  # float64 [T, 2, 3], unit vectors from shoulder to elbow
    fore: Array  # float64 [T, 2, 3], unit vectors from elbow to wrist
    trunk: Array  # float64 [T, 3]: right and down in the picture, in arm lengths, and yaw in radians

    @property
    def seconds(self) -> float:
        return (len(self.upper) - 1) / RATE_HZ

    def mirrored(self) -> Movement:
        label = {"right_hand_wave": "left_hand_wave"}.get(self.label, self.label)
        return Movement(label, self.upper[:, ::-1], self.fore[:, ::-1], self.trunk * [-1, 1, -1])

    def limbs(self, moments_s: Array, arm: float, rng: Random) -> Limbs:
        """Return the limbs [T] at moments of the recording, of a body with an arm of so many pixels."""
        frames = np.arange(len(self.upper)) / RATE_HZ
        upper, fore, trunk = (
            np.stack([np.interp(moments_s, frames, each) for each in part.reshape(len(frames), -1).T], axis=1)
            for part in (self.upper, self.fore, self.trunk)
        )
        upper, fore = (unit(part.reshape(-1, 2, 3)) for part in (upper, fore))
        hand = np.tile(rng.normal(0, 0.2, (2, 3)), (len(moments_s), 1, 1))
        none = np.zeros((len(moments_s), 2))
        return Limbs(UPPER_ARM * upper + FOREARM * fore, upper, hand, trunk * [arm, arm, 1], none, none)


@cache
def load_movements(path: Path, *, kept_aside: bool = False) -> tuple[Movement, ...]:
    """Return the movements in a file, of the people to train with or of those kept aside. Raises DataError."""
    try:
        with path.open("rb") as octets, np.load(octets, allow_pickle=False) as file:
            takes = {name: file[name].astype(float) * METRES for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} can't be read ({error}): give a .npz of the Vicon Physical Action Data Set"
        ) from error
    found = []
    for name, take in takes.items():
        person, _, action = name.partition("_")
        standing = takes.get(f"{person}_{STANDING}")
        if standing is None or take.ndim != 3 or take.shape[1:] != (len(MARKERS), 3):
            raise DataError(f"{path}: {name} isn't a take of the Vicon Physical Action Data Set: give its .npz")
        markers = None if name in FAULTY else _cleaned(take)
        if (person in [f"s{number}" for number in KEPT_ASIDE]) == kept_aside and markers is not None:
            height = float(np.median(standing[:, 0, 2])) / HEAD_SHARE
            found.append(_movement(LABELS.get(action, OTHERS), markers, height))
    if not found:
        raise DataError(f"{path}: it has no movements of people to use: give a .npz of other people")
    return tuple(found)


def _cleaned(take: Array) -> Array | None:
    """Return smooth paths of the markers [T, 9, 3] without jumps; None if a marker is mostly lost."""
    from scipy.signal import medfilt, savgol_filter

    cleaned = np.empty_like(take)
    for marker in range(len(MARKERS)):
        path = take[:, marker]
        usual = np.stack([medfilt(axis, JUMP_FRAMES) for axis in path.T], axis=1)
        sound = np.flatnonzero((np.linalg.norm(path - usual, axis=1) <= JUMP_M) & path.any(axis=1))
        if 2 * len(sound) < len(path):
            return None
        cleaned[:, marker] = np.stack(
            [np.interp(np.arange(len(path)), sound, axis) for axis in path[sound].T], axis=1
        )
    smooth: Array = savgol_filter(cleaned, int(RATE_HZ * SMOOTHED_S) | 1, 2, axis=0)
    return smooth


def _movement(label: str, markers: Array, height: float) -> Movement:
    """Return what markers show. The shoulders, which have none, are below the head."""
    head, left_elbow, left_wrist, elbow, wrist, left_knee, left_ankle, knee, ankle = markers.transpose(1, 0, 2)
    up = np.array([0.0, 0.0, 1.0])
    right, forward = facing((knee - left_knee) + (ankle - left_ankle) + 0.5 * (elbow - left_elbow), up)
    below = (HEAD_SHARE - SHOULDER_SHARE) * height
    shoulders = [head - below * up + side * HALF_SHOULDERS * height * right - 0.03 * forward for side in (1.0, -1.0)]
    arms = np.stack([[*shoulders], [elbow, left_elbow], [wrist, left_wrist]]).transpose(2, 1, 0, 3)
    return movement_of(label, arms, head, right, up)


def facing(right: Array, up: Array) -> tuple[Array, Array]:
    """Return where a body's right is and what lies before it, level unit vectors [T, 3], from a rough right."""
    from scipy.signal import savgol_filter

    right = unit(right - (right @ up)[:, None] * up)
    right = unit(savgol_filter(right, min(31, (len(right) - 1) | 1), 1, axis=0))
    return right, np.cross(up, right)


def movement_of(label: str, arms: Array, head: Array, right: Array, up: Array) -> Movement:
    """Return a movement in the body's own axes.

    ``arms`` [T, 2, 3, 3] are the right and the left shoulder, elbow and wrist in m at `RATE_HZ`, ``head`` [T, 3] any
    point of the trunk, and ``right`` [T, 3] and ``up`` [3] unit vectors.
    """
    forward = np.cross(up, right)
    bones = np.empty((2, len(arms), 2, 3))
    for arm, side in enumerate((1.0, -1.0)):
        axes = np.stack([side * right, np.broadcast_to(up, right.shape), forward], axis=1)
        for bone in range(2):
            directions = unit(arms[:, arm, bone + 1] - arms[:, arm, bone])
            bones[bone, :, arm] = np.einsum("tij,tj->ti", axes, directions)
    ahead = unit(forward.mean(axis=0))
    aside = np.cross(ahead, up)
    yaw = np.arctan2(forward @ aside, forward @ ahead).clip(-MOST_YAW, MOST_YAW)
    moved = (head - np.median(head, axis=0)) / ARM_M
    across = FARTHEST * np.tanh(-(moved @ aside) / FARTHEST)
    return Movement(label, bones[0], bones[1], np.stack([across, -(moved @ up), yaw], axis=1))
