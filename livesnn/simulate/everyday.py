"""Movements that are no gesture: of the class "other", and people who walk by. Not here: the gestures (motions.py).

Paths are in arm lengths, in each arm's own axes (out, up, forward), see body.py.
"""

from __future__ import annotations

import numpy as np

from livesnn.simulate.body import IMAGE, Limbs
from livesnn.simulate.poses import LEFT, RIGHT, Beat, Random, resting, shaped, vectors


def wander(beat: Beat, rng: Random) -> Limbs:
    """One or both hands go here and there."""
    limbs = resting(beat, rng)
    for arm in rng.permutation(2)[: rng.integers(1, 3)]:
        place = np.array([rng.uniform(-0.3, 0.5), rng.uniform(-0.7, 0.6), rng.uniform(0.15, 0.5)])
        limbs.wrist[:, arm] = place + beat.sway(rng, (3,), rng.uniform(0.12, 0.3), rng.uniform(0.8, 2.0))
        limbs.elbow[:, arm] = vectors(0.8, -1.0, -0.3)
    return limbs


def flap(beat: Beat, rng: Random) -> Limbs:
    """Stretched arms go up and down at the sides, or to the front."""
    limbs = resting(beat, rng)
    forward, middle, far = rng.uniform(0, 0.8), rng.uniform(-0.5, 0.6), rng.uniform(0.4, 0.9)
    together = rng.random() < 0.8
    for arm in (RIGHT, LEFT):
        lift = middle + far * shaped(beat.phase + (0 if together else np.pi) * arm, rng)
        limbs.wrist[:, arm] = 0.93 * vectors(
            np.cos(lift) * np.cos(forward), np.sin(lift), np.cos(lift) * np.sin(forward)
        )
        limbs.elbow[:, arm] = vectors(0.2, -1.0, -0.5)
    return limbs


def push(beat: Beat, rng: Random) -> Limbs:
    """Boxing, pushing, pulling: hands go to the camera and back."""
    limbs = resting(beat, rng)
    apart = rng.choice([0.0, np.pi])
    up, aside = rng.uniform(-0.35, 0.15), rng.uniform(-0.3, 0.15)
    for arm in (RIGHT, LEFT):
        forward = 0.55 + 0.33 * shaped(beat.phase + apart * arm, rng)
        limbs.wrist[:, arm] = vectors(aside, up, forward)
        limbs.elbow[:, arm] = vectors(0.8, -1.0, -0.3)
    return limbs


def walk(beat: Beat, rng: Random) -> Limbs:
    """Walk through the picture and back, sideways, with swinging arms."""
    limbs = resting(beat, rng)
    speed = rng.uniform(40, 160)  # pixels a second
    far = IMAGE / 2 + rng.uniform(10, 50)
    place = far * 2 / np.pi * np.arcsin(np.sin(speed / far * np.pi / 2 * beat.times_s + rng.uniform(0, 6.3)))
    stride = rng.uniform(0.5, 2.5) * np.abs(np.sin(beat.phase))
    swing = rng.uniform(0.05, 0.5)
    for arm in (RIGHT, LEFT):
        turn = swing * np.sin(beat.phase + np.pi * arm)
        limbs.wrist[:, arm] = 0.95 * vectors(0.08, -np.cos(turn), np.sin(turn))
    yaw = np.full_like(place, rng.choice([-1, 1]) * rng.uniform(0.3, 1.4))
    return limbs._replace(trunk=np.stack([place, stride, yaw], axis=1))


def nobody(beat: Beat, rng: Random) -> Limbs:
    """Be far out of the picture."""
    limbs = resting(beat, rng)
    return limbs._replace(trunk=limbs.trunk + np.array([100 * IMAGE, 0, 0]))
