"""Decisions on real movements by simulated people: `python -m tests.benchmarks.filmed_skeletons --data DIR`.

The joints of UTD-MHAD (Chen, Jafari, Kehtarnavaz 2015) move a simulated body before a simulated sensor. If a model is
wrong on these and right on simulated people, it doesn't know the movements. If it is right on these and wrong on the
depth videos of the same people, it doesn't know what they look like.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.io import loadmat

from livesnn.cli.parser import run_script
from livesnn.console import say
from livesnn.events.packet import Packet
from livesnn.events.slicer import Slicer
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import run_frames
from livesnn.simulate.body import Limbs, Random
from livesnn.simulate.gestures import RESOLUTION
from livesnn.simulate.scene import FRAME_US, Film, draw_scene, shapes_of
from tests.benchmarks.people import NAMED

UTD = {3: "right_hand_wave", 4: "hand_clapping", 9: "right_arm_clockwise", 10: "right_arm_counter_clockwise"}
"""The gesture that each action is; all others are "other"."""

RATE_HZ = 30
SHOULDERS, ARM = (8, 4), 3  # Numbers of the right and the left shoulder, each followed by elbow and wrist
ARM_M = 0.53  # A grown-up's, from shoulder to wrist


def limbs_of(path: Path, rng: Random, arm_px: float) -> Limbs:
    """Return the pose of a take at every `FRAME_US`; a body of ``arm_px`` moves its trunk as far as the person."""
    joints = loadmat(path)["d_skel"].transpose(2, 0, 1).astype(float)
    recorded_s = np.arange(len(joints)) / RATE_HZ
    times_s = np.arange(0, recorded_s[-1], FRAME_US * 1e-6)
    joints = CubicSpline(recorded_s, joints)(times_s)
    right = np.sign(np.median(joints[:, SHOULDERS[0], 0] - joints[:, SHOULDERS[1], 0]))
    wrist, elbow = np.empty((2, len(times_s), 2, 3))
    for arm, first in enumerate(SHOULDERS):
        shoulder, bend, hand = joints[:, first : first + ARM].transpose(1, 0, 2)
        bones = np.linalg.norm([bend - shoulder, hand - bend], axis=2)
        axes = np.array([right * (1 - 2 * arm), 1.0, -1.0]) / np.percentile(bones, 90, axis=1).sum()
        wrist[:, arm], elbow[:, arm] = (hand - shoulder) * axes, (bend - shoulder) * axes
    moved = joints[:, SHOULDERS].mean(axis=1) - joints[0, SHOULDERS].mean(axis=0)
    trunk = np.stack([-right * moved[:, 0], -moved[:, 1], 0 * times_s], axis=1) * arm_px / ARM_M
    hand = np.tile(rng.normal(0, 0.2, 3), (len(times_s), 2, 1))
    return Limbs(wrist, elbow, hand, trunk, *np.zeros((2, len(times_s), 2)))


def decisions(path: Path, seed: int, model: Model) -> tuple[list[str], float]:
    """Return what is decided after each full window while a simulated person performs a take, and its seconds."""
    rng = np.random.default_rng([seed, *path.name.encode()])
    scene = draw_scene(rng, RESOLUTION, 0.0, "narrow")
    limbs = limbs_of(path, rng, scene.body.arm)
    times_us = FRAME_US * np.arange(1, len(limbs.wrist) + 1)
    events = Film(scene, limbs, rng).shoot(shapes_of(scene, limbs), times_us)
    slicer = Slicer(RESOLUTION, model.card.input)
    frames = slicer.push(Packet(events, now_us=int(times_us[-1])))
    return [result.decision or "not sure" for result in run_frames(frames, model)], times_us[-1] * 1e-6


def main(data: Path, model: str = "gestures", people: int = 2) -> None:
    """Print what a model decides while simulated people perform UTD-MHAD's gestures, and what it names otherwise.

    Parameters
    ----------
    data
        Folder with UTD-MHAD.
    people
        Number of simulated people who perform each take.
    """
    loaded = load_model(model)
    names, minutes = 0, 0.0
    for action in range(1, 28):
        paths = sorted((data / "UTD-MHAD/Skeleton").glob(f"a{action}_*_skeleton.mat"))
        takes = [decisions(path, seed, loaded) for path in paths for seed in range(people)]
        if action in UTD:
            decided = Counter(
                label for take, _ in takes for label in take[int(0.2 * len(take)) : int(0.8 * len(take))]
            )
            shares = ", ".join(f"{label} {n / decided.total():.2f}" for label, n in decided.most_common(4))
            say(f"{UTD[action]}: {shares} (n = {decided.total()})")
            continue
        named = Counter(label for take, _ in takes for label, _ in groupby(take) if label in NAMED)
        lasted = sum(seconds for _, seconds in takes) / 60
        names, minutes = names + named.total(), minutes + lasted
        if named:
            say(f"action {action}: {named.total() / lasted:.0f} a minute, {named.most_common(1)[0][0]}")
    say(f"all other actions: {names / minutes:.1f} gestures named a minute ({minutes:.0f} minutes)")


if __name__ == "__main__":
    run_script(main)
