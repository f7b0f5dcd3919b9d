"""The eleven gestures and standing idle, as paths of both wrists. Not here: the body that performs them.

Paths are in arm lengths, in each arm's own axes (out, up, forward), see body.py. Clockwise and
counter-clockwise are the person's own: in the image, counter-clockwise turns clockwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from livesnn.simulate.body import Array, Limbs

GESTURES = (
    "hand_clapping",
    "right_hand_wave",
    "left_hand_wave",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "arm_roll",
    "air_drums",
    "air_guitar",
    "other",
)
"""DVS-Gesture's classes in their order (Amir et al. 2017, "A Low Power, Fully Event-Based Gesture Recognition
System", CVPR)."""

MIRRORED = {
    "right_hand_wave": "left_hand_wave",
    "right_arm_clockwise": "left_arm_counter_clockwise",
    "right_arm_counter_clockwise": "left_arm_clockwise",
}
"""What a gesture becomes in a mirror, and that becomes what it was; all others stay what they are."""

IDLE = "idle"
RIGHT, LEFT = 0, 1
MIDLINE = -0.4  # `out` of the trunk's middle, in arm lengths: half the shoulders' width
Random = np.random.Generator


@dataclass(frozen=True)
class Beat:
    """The pulse of a gesture over T moments: its ``phase`` (radians) and the moments (s)."""

    times_s: Array
    phase: Array

    def sway(self, rng: Random, shape: tuple[int, ...], size: float, fastest_hz: float = 1.2) -> Array:
        """Return slow, smooth, random movement [T, *shape] of standard deviation ``size``."""
        return smooth_noise(self.times_s, rng, shape, fastest_hz) * size


def smooth_noise(times_s: Array, rng: Random, shape: tuple[int, ...], fastest_hz: float) -> Array:
    """Return [T, *shape], mean 0 and deviation 1 over time: four sines of random frequency each."""
    frequency = rng.uniform(0.15, 1.0, (4, *shape)) * fastest_hz
    start = rng.uniform(0, 2 * np.pi, (4, *shape))
    t = times_s.reshape(-1, *[1] * (len(shape) + 1))
    return np.sin(2 * np.pi * frequency * t + start).sum(axis=1) / np.sqrt(2)


def perform(gesture: str, times_s: Array, rng: Random) -> Limbs:
    """Return the limbs [T] of one person performing ``gesture`` in their own way, at ``times_s`` [T]."""
    pose, fastest_s, slowest_s = _MOTIONS[gesture]
    beat = _beat(times_s, rng, fastest_s, slowest_s)
    limbs = pose(beat, rng)
    alive = rng.uniform(0.003, 0.015)  # nobody holds still
    bob = rng.uniform(0, 0.9) * np.sin(beat.phase + rng.uniform(0, 6.3))[:, None] * rng.normal(0, 0.5, 2)
    trunk = beat.sway(rng, (3,), 1.0, 0.9) * [rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.4), 0.03]
    trunk[:, :2] += bob if gesture != IDLE else 0
    trunk[:, 2] += rng.uniform(-0.25, 0.25)
    return limbs._replace(
        wrist=limbs.wrist + beat.sway(rng, (2, 3), alive),
        trunk=trunk,
        head=beat.sway(rng, (2,), rng.uniform(0.1, 0.9)),
    )


def _beat(times_s: Array, rng: Random, fastest_s: float, slowest_s: float) -> Beat:
    """Return a pulse of random period, log-uniform, that drifts a little from cycle to cycle."""
    period = np.exp(rng.uniform(np.log(fastest_s), np.log(slowest_s)))
    drift = rng.uniform(0, 0.35) * smooth_noise(times_s, rng, (), 0.7 / period)
    return Beat(times_s, 2 * np.pi * times_s / period + rng.uniform(0, 2 * np.pi) + drift)


def _resting(beat: Beat, rng: Random) -> Limbs:
    """Return arms that hang, or rest before the body."""
    n = len(beat.times_s)
    wrist = np.empty((n, 2, 3))
    hanging = (rng.uniform(0.02, 0.22), rng.uniform(-0.99, -0.9), rng.uniform(0.02, 0.15))
    folded = (rng.uniform(-0.4, -0.1), rng.uniform(-0.85, -0.6), rng.uniform(0.2, 0.3))
    wrist[:] = hanging if rng.random() < 0.8 else folded
    wrist += rng.normal(0, 0.015, (2, 3))
    elbow = np.tile([0.6, -0.4, -0.6], (n, 2, 1)) + rng.normal(0, 0.15, (2, 3))
    hand = np.tile(rng.normal(0, 0.2, (2, 3)), (n, 1, 1))
    return Limbs(wrist, elbow, hand, np.zeros((n, 3)), np.zeros((n, 2)))


def _vectors(*parts: npt.ArrayLike) -> Array:
    """Return [T, 3] of three parts, numbers or [T]."""
    return np.stack(np.broadcast_arrays(*[np.asarray(part, float) for part in parts]), axis=-1)


def _shaped(phase: Array, rng: Random) -> Array:
    """Return a wave between −1 and 1 that lingers at its ends or snaps: sin, or a flattened one."""
    flatness = rng.uniform(0.2, 2.2)
    return np.tanh(flatness * np.sin(phase)) / np.tanh(flatness)


def _clapping(beat: Beat, rng: Random) -> Limbs:
    limbs = _resting(beat, rng)
    axis = rng.uniform(-1.3, 1.3)  # hands meet side by side, or one from above
    gap = 0.02 + rng.uniform(0.1, 0.32) * (1 - _shaped(beat.phase, rng)) / 2
    share = rng.uniform(0.15, 0.85)
    up, forward = rng.uniform(-0.8, -0.3), rng.uniform(0.3, 0.6)
    for arm, (part, sign) in enumerate(((share, 1), (1 - share, -1))):
        aside = 2 * gap * part + 0.03
        limbs.wrist[:, arm] = _vectors(
            MIDLINE + aside * np.cos(axis), up + sign * aside * np.sin(axis), forward
        )
        limbs.hand[:, arm] = _vectors(-0.2, rng.uniform(-0.2, 1.0), rng.uniform(0.0, 0.8))
        limbs.elbow[:, arm] = _vectors(rng.uniform(0.3, 1.0), -1.0, -0.3)
    return limbs


def _waving(arms: tuple[int, ...], beat: Beat, rng: Random) -> Limbs:
    limbs = _resting(beat, rng)
    for arm in arms:
        upper = _vectors(rng.uniform(0.05, 0.75), rng.uniform(-0.9, 0.25), rng.uniform(0.05, 0.6))
        upper = upper / np.linalg.norm(upper)
        swing = _shaped(beat.phase, rng)
        tilt = rng.uniform(-0.25, 0.6) + rng.uniform(0.2, 0.7) * swing
        forearm = _vectors(np.sin(tilt), np.cos(tilt), rng.uniform(0.0, 0.5))
        limbs.wrist[:, arm] = 0.53 * upper + 0.46 * forearm
        limbs.elbow[:, arm] = upper
        bend = rng.uniform(0.0, 0.7) * np.sin(beat.phase - rng.uniform(0, 0.8))
        limbs.hand[:, arm] = _vectors(bend, 0.1, 0.0)
    return limbs


def _circling(signs: dict[int, int], beat: Beat, rng: Random) -> Limbs:
    """Turn stretched arms round a cone; sign +1: down, out, up, in."""
    limbs = _resting(beat, rng)
    for arm, sign in signs.items():
        limbs.wrist[:, arm] = _cone(beat, rng, sign)
        limbs.elbow[:, arm] = _vectors(0.4, -1.0, -0.4)
    return limbs


def _cone(beat: Beat, rng: Random, sign: int) -> Array:
    axis = _vectors(rng.uniform(0.1, 0.8), rng.uniform(-0.15, 0.25), rng.uniform(0.45, 1.0))
    axis /= np.linalg.norm(axis)
    up = _vectors(0.0, 1.0, 0.0) - axis * axis[1]
    up /= np.linalg.norm(up)
    out = np.cross(up, axis)  # towards `out`, seen from before the person
    opening = rng.uniform(0.6, 1.35)
    turn = beat.phase * sign
    around = np.outer(-np.cos(turn), up) + np.outer(np.sin(turn), out) * rng.uniform(0.75, 1.0)
    return rng.uniform(0.85, 0.99) * (np.cos(opening) * axis + np.sin(opening) * around)


def _arm_roll(beat: Beat, rng: Random) -> Limbs:
    limbs = _resting(beat, rng)
    up, forward = rng.uniform(-0.65, -0.25), rng.uniform(0.28, 0.5)
    high, deep = rng.uniform(0.1, 0.26), rng.uniform(0.08, 0.22)
    sign, across = rng.choice([-1, 1]), rng.uniform(-0.2, 0.05)
    for arm in (RIGHT, LEFT):
        turn = sign * beat.phase + arm * np.pi
        limbs.wrist[:, arm] = _vectors(
            MIDLINE + across, up + high * np.cos(turn), forward + deep * np.sin(turn)
        )
        limbs.elbow[:, arm] = _vectors(1.0, -0.6 + 0.4 * high * np.cos(turn), 0.0)
        limbs.hand[:, arm] = _vectors(rng.uniform(-0.3, 0.1), 0.0, 0.1)
    return limbs


def _drums(beat: Beat, rng: Random) -> Limbs:
    limbs = _resting(beat, rng)
    apart = np.pi if rng.random() < 0.85 else rng.uniform(0, 0.5)
    high, forward = rng.uniform(0.1, 0.34), rng.uniform(0.3, 0.6)
    up = rng.uniform(-0.75, -0.4)
    for arm in (RIGHT, LEFT):
        strike = _shaped(beat.phase + arm * apart, rng)
        limbs.wrist[:, arm] = _vectors(
            rng.uniform(-0.32, 0.2), up + high * strike, forward - 0.3 * high * strike
        )
        limbs.elbow[:, arm] = _vectors(0.8, -1.0, -0.4)
        limbs.hand[:, arm] = _vectors(-0.2, rng.uniform(0, 0.9) * np.cos(beat.phase + arm * apart), 0.3)
    return limbs


def _guitar(beat: Beat, rng: Random) -> Limbs:
    limbs = _resting(beat, rng)
    strumming, fretting = (RIGHT, LEFT) if rng.random() < 0.92 else (LEFT, RIGHT)
    tilt, width = rng.uniform(-0.5, 0.6), rng.uniform(0.08, 0.28)
    strum = width * _shaped(beat.phase, rng)
    limbs.wrist[:, strumming] = _vectors(
        rng.uniform(-0.45, -0.15) + strum * np.sin(tilt),
        rng.uniform(-0.85, -0.6) + strum * np.cos(tilt),
        rng.uniform(0.22, 0.38),
    )
    limbs.elbow[:, strumming] = _vectors(1.0, -0.5, -0.5)
    limbs.hand[:, strumming] = _vectors(-0.3, rng.uniform(0, 0.6) * np.cos(beat.phase), 0.2)
    slide = beat.sway(rng, (), rng.uniform(0.0, 0.06), 1.5)
    limbs.wrist[:, fretting] = _vectors(
        rng.uniform(0.15, 0.62) + slide, rng.uniform(-0.55, 0.05) + 0.5 * slide, rng.uniform(0.2, 0.45)
    )
    limbs.elbow[:, fretting] = _vectors(0.5, -1.0, -0.2)
    limbs.hand[:, fretting] = _vectors(-0.3, 0.9, 0.1)
    return limbs


def _wander(beat: Beat, rng: Random) -> Limbs:
    """One or both hands go here and there."""
    limbs = _resting(beat, rng)
    for arm in rng.permutation(2)[: rng.integers(1, 3)]:
        place = np.array([rng.uniform(-0.3, 0.5), rng.uniform(-0.7, 0.6), rng.uniform(0.15, 0.5)])
        limbs.wrist[:, arm] = place + beat.sway(rng, (3,), rng.uniform(0.12, 0.3), rng.uniform(0.8, 2.0))
        limbs.elbow[:, arm] = _vectors(0.8, -1.0, -0.3)
    return limbs


def _both_circle(beat: Beat, rng: Random) -> Limbs:
    """Both arms turn, which no other class does."""
    return _circling({arm: int(rng.choice([-1, 1])) for arm in (RIGHT, LEFT)}, beat, rng)


def _flap(beat: Beat, rng: Random) -> Limbs:
    """Stretched arms go up and down at the sides, or to the front."""
    limbs = _resting(beat, rng)
    forward, middle, far = rng.uniform(0, 0.8), rng.uniform(-0.5, 0.6), rng.uniform(0.4, 0.9)
    together = rng.random() < 0.8
    for arm in (RIGHT, LEFT):
        lift = middle + far * _shaped(beat.phase + (0 if together else np.pi) * arm, rng)
        limbs.wrist[:, arm] = 0.93 * _vectors(
            np.cos(lift) * np.cos(forward), np.sin(lift), np.cos(lift) * np.sin(forward)
        )
        limbs.elbow[:, arm] = _vectors(0.2, -1.0, -0.5)
    return limbs


def _push(beat: Beat, rng: Random) -> Limbs:
    """Boxing, pushing, pulling: hands go to the camera and back."""
    limbs = _resting(beat, rng)
    apart = rng.choice([0.0, np.pi])
    up, aside = rng.uniform(-0.35, 0.15), rng.uniform(-0.3, 0.15)
    for arm in (RIGHT, LEFT):
        forward = 0.55 + 0.33 * _shaped(beat.phase + apart * arm, rng)
        limbs.wrist[:, arm] = _vectors(aside, up, forward)
        limbs.elbow[:, arm] = _vectors(0.8, -1.0, -0.3)
    return limbs


def _other(beat: Beat, rng: Random) -> Limbs:
    kinds = (_wander, _both_circle, _flap, _push, partial(_waving, (RIGHT, LEFT)))
    return kinds[rng.choice(len(kinds), p=[0.4, 0.15, 0.2, 0.15, 0.1])](beat, rng)


_MOTIONS: dict[str, tuple[Callable[[Beat, Random], Limbs], float, float]] = {  # and its periods, s
    "hand_clapping": (_clapping, 0.24, 0.7),
    "right_hand_wave": (partial(_waving, (RIGHT,)), 0.26, 0.9),
    "left_hand_wave": (partial(_waving, (LEFT,)), 0.26, 0.9),
    "right_arm_clockwise": (partial(_circling, {RIGHT: -1}), 0.55, 1.6),
    "right_arm_counter_clockwise": (partial(_circling, {RIGHT: 1}), 0.55, 1.6),
    "left_arm_clockwise": (partial(_circling, {LEFT: 1}), 0.55, 1.6),
    "left_arm_counter_clockwise": (partial(_circling, {LEFT: -1}), 0.55, 1.6),
    "arm_roll": (_arm_roll, 0.24, 0.7),
    "air_drums": (_drums, 0.24, 0.8),
    "air_guitar": (_guitar, 0.22, 0.7),
    "other": (_other, 0.4, 1.4),
    IDLE: (_resting, 1.0, 3.0),
}
