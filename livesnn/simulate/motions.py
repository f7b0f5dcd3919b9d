"""What simulated people do: DVS-Gesture's gestures, movements of the class "other", and people who do nothing.

Paths are in arm lengths, in each arm's own axes (out, up, forward), see body.py. everyday.py has most of the
movements that are no gesture.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

import numpy as np

from livesnn.simulate import everyday
from livesnn.simulate.body import (
    IMAGE,
    LEFT,
    NARROW_SHARE,
    RIGHT,
    Array,
    Beat,
    Breadth,
    Limbs,
    Motion,
    Random,
    log_uniform,
    one_of,
    resting,
    shaped,
    swung,
    to_and_fro,
    vectors,
)


def wander(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    for arm in rng.permutation(2)[: rng.integers(1, 3)]:
        place = np.array([rng.uniform(-0.3, 0.5), rng.uniform(-0.7, 0.6), rng.uniform(0.15, 0.5)])
        limbs.wrist[:, arm] = place + beat.sway(rng, (3,), rng.uniform(0.12, 0.3), rng.uniform(0.8, 2.0))
        limbs.elbow[:, arm] = vectors(0.8, -1.0, -0.3)
    return limbs


def flap(beat: Beat, rng: Random) -> Limbs:
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
    """Box, push or pull: move the hands to the camera and back."""
    limbs = resting(beat, rng)
    apart = rng.choice([0.0, np.pi])
    up, aside = rng.uniform(-0.35, 0.15), rng.uniform(-0.3, 0.15)
    for arm in (RIGHT, LEFT):
        forward = 0.55 + 0.33 * shaped(beat.phase + apart * arm, rng)
        limbs.wrist[:, arm] = vectors(aside, up, forward)
        limbs.elbow[:, arm] = vectors(0.8, -1.0, -0.3)
    return limbs


def walk(beat: Beat, rng: Random) -> Limbs:
    """Walk sideways through the picture and back with swinging arms."""
    limbs = resting(beat, rng)
    speed = rng.uniform(40, 160)  # pixels a second
    far = IMAGE / 2 + rng.uniform(10, 50)
    place = to_and_fro(far, speed, rng.uniform(0, 6.3))(beat.times_s)
    stride = rng.uniform(0.5, 2.5) * np.abs(np.sin(beat.phase))
    swing = rng.uniform(0.05, 0.5)
    for arm in (RIGHT, LEFT):
        turn = swing * np.sin(beat.phase + np.pi * arm)
        limbs.wrist[:, arm] = 0.95 * vectors(0.08, -np.cos(turn), np.sin(turn))
    yaw = np.full_like(place, rng.choice([-1, 1]) * rng.uniform(0.3, 1.4))
    return limbs._replace(trunk=np.stack([place, stride, yaw], axis=1))


def raising(beat: Beat, rng: Random) -> Limbs:
    """Raise the arms to a gesture's pose, hold it still, and lower them: what comes before and after a gesture."""
    rest = resting(beat, rng)
    pose = _MOTIONS[GESTURES[rng.integers(len(GESTURES) - 1)]].pose(beat, rng).part(0, 1)
    steps_s = np.exp(rng.uniform(np.log(0.2), np.log(0.9), 4 + int(np.ptp(beat.times_s) / 0.2)))
    steps_s[::2] *= rng.uniform(0.2, 1.5)  # moving and holding take turns
    knots_s = beat.times_s[0] - rng.uniform(0, 1) * steps_s[:4].sum() + np.cumsum(steps_s)
    up = (np.arange(len(steps_s)) // 2 % 2)[:, None].astype(float)
    share = everyday.through(beat.times_s, knots_s, up, stops=True)[:, 0]
    still = Limbs(*[np.repeat(each, len(share), axis=0) for each in pose])
    return rest.blended(still, share, swung(rng))


def nobody(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    return limbs._replace(trunk=limbs.trunk + np.array([100 * IMAGE, 0, 0]))


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
    "left_hand_wave": "right_hand_wave",
    "right_arm_clockwise": "left_arm_counter_clockwise",
    "left_arm_counter_clockwise": "right_arm_clockwise",
    "right_arm_counter_clockwise": "left_arm_clockwise",
    "left_arm_clockwise": "right_arm_counter_clockwise",
}
"""What a gesture becomes in a mirror. Gestures not named here stay the same."""


def mirrored(gesture: str) -> str:
    return MIRRORED.get(gesture, gesture)


IDLE, WALKING, NOBODY, RAISING = "idle", "walking", "nobody", "raising"
OBJECTS, SHAKE, PAN, CURTAIN, TWO_PEOPLE = (
    "moving_objects", "camera_shake", "camera_pan", "curtain", "two_people",
)  # fmt: skip
NOTHING = (IDLE, WALKING, NOBODY, RAISING, OBJECTS, SHAKE, PAN, CURTAIN, TWO_PEOPLE)
"""No gesture: standing still, walking by, an empty scene, arms that only rise and fall, and scenes in which something
other than a person moves (surroundings.py)."""

TEACHABLE = ("wander", "circle_both", "flap", "push", "wave_both")
"""The movements that make up the narrow "other", on which teaching is measured."""

EVERYDAY = (*TEACHABLE, *everyday.MOVEMENTS)
"""The movements that make up "other". Shipped models know them only as "other", so they can be taught."""

PEOPLE = (*GESTURES, *EVERYDAY, *NOTHING)  # Everything that a simulated person can do


def names_like(name: str) -> str:
    """Return names of `PEOPLE` for an error about an unknown one: those most like it, or the gestures and some."""
    like = get_close_matches(name, PEOPLE, 5)
    return ", ".join(like or (*GESTURES, "throw", "swipe", "idle", "walking")) + (
        f" (docs/recordings.md lists all {len(PEOPLE)})"
    )


LOOSE = 0.7  # Largest share of a movement that wide people add in another direction

MIDLINE = -0.4  # `out` of the trunk's middle, in arm lengths: half the shoulders' width


def perform(gesture: str, times_s: Array, rng: Random, breadth: Breadth = "narrow") -> Limbs:
    """Return the limbs [T] of one person performing ``gesture`` in their own way, at ``times_s`` [T]."""
    wide = breadth == "wide" and gesture in GESTURES
    motion = one_of(_WIDE[gesture], rng) if wide else _MOTIONS[gesture]
    limbs, beat = motion.perform(times_s, rng)
    alive = rng.uniform(0.003, 0.015)  # nobody holds still
    bobbing = rng.uniform(0, 0.9) * (rng.random() < 0.5)  # half of the people move only their arms
    if breadth == "wide" and gesture not in NOTHING:
        limbs = limbs._replace(wrist=_loosely(limbs.wrist, beat, rng))
    bob = bobbing * np.sin(beat.phase + rng.uniform(0, 6.3))[:, None] * rng.normal(0, 0.5, 2)
    steady = rng.uniform(0.1, 1.0)
    trunk = beat.sway(rng, (3,), steady, 0.9) * [rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.4), 0.03]
    trunk[:, :2] += bob if gesture not in NOTHING else 0
    trunk[:, 2] += rng.uniform(-0.25, 0.25)
    return limbs._replace(
        wrist=limbs.wrist + beat.sway(rng, (2, 3), alive),
        trunk=limbs.trunk + trunk,
        head=beat.sway(rng, (2,), rng.uniform(0.1, 0.9)),
    )


def _loosely(wrist: Array, beat: Beat, rng: Random) -> Array:
    """Return the wrists' path [T, 2, 3] as people perform it, not quite as they mean to.

    Hands drift, go farther at times, and turn a little where the movement is straight: a part of the path is added to
    it again, late and in another direction.
    """
    middle = wrist.mean(axis=0)
    path = wrist - middle
    moves = np.minimum(path.std(axis=0).max(axis=1, keepdims=True) / 0.1, 1)  # [2, 1]: resting hands stay
    period_s = 2 * np.pi * np.ptp(beat.times_s) / max(np.ptp(beat.phase), 1e-9)
    late_s = beat.times_s - rng.uniform(0.1, 0.4) * period_s
    late = np.stack([np.interp(late_s, beat.times_s, each) for each in path.reshape(len(path), -1).T], axis=1)
    aside = rng.standard_normal((2, 3, 3))
    aside *= rng.uniform(0, LOOSE) / np.linalg.norm(aside, 2, axis=(1, 2), keepdims=True)
    turned = np.einsum("tak,akj->taj", late.reshape(path.shape), aside)
    larger = 1 + beat.sway(rng, (2, 1), rng.uniform(0, 0.2), 1.5)
    drift = moves * beat.sway(rng, (2, 3), rng.uniform(0, 0.08), 1.5)
    return middle + larger * path + turned + drift


def _clapping(beat: Beat, rng: Random) -> Limbs:
    """Clap: the hands meet and part, and one of them may do all the moving."""
    limbs = resting(beat, rng)
    apart = (1 - shaped(beat.phase, rng)) / 2
    share = rng.uniform(0.05, 0.95)
    axis = rng.uniform(-0.4, 1.3)  # hands meet side by side, or the busier one from above
    meeting = np.array([MIDLINE, rng.uniform(-0.8, -0.25), rng.uniform(0.25, 0.6)])
    clap = _pivoting if rng.random() < 0.5 else _carrying
    for arm, part in enumerate((share, 1 - share)):
        way = vectors(np.cos(axis), np.sin(axis) * np.sign(part - 0.5), 0.0)
        limbs.wrist[:, arm], limbs.elbow[:, arm], limbs.hand[:, arm] = clap(meeting, way, part * apart, rng)
    return limbs


def _carrying(meeting: Array, way: Array, apart: Array, rng: Random) -> tuple[Array, Array, Array]:
    """Return wrist, elbow and hand of clapping with the whole arm; the wrist moves along ``way``."""
    gap = 0.04 + rng.uniform(0.2, 0.72) * apart
    hand = vectors(-0.2, rng.uniform(-0.2, 1.0), rng.uniform(0.0, 0.8))
    return meeting + gap[:, None] * way, vectors(rng.uniform(0.3, 1.0), -1.0, -0.3), hand


def _pivoting(meeting: Array, way: Array, apart: Array, rng: Random) -> tuple[Array, Array, Array]:
    """Return wrist, elbow and hand of clapping with the forearm, which turns about a resting elbow."""
    upper = vectors(rng.uniform(0.0, 0.4), -1.0, rng.uniform(-0.1, 0.4))
    upper = upper / np.linalg.norm(upper)
    forearm = (meeting - 0.53 * upper) / 0.46
    forearm = forearm / np.linalg.norm(forearm) + (0.05 + rng.uniform(0.5, 1.8) * apart)[:, None] * way
    wrist = 0.53 * upper + 0.46 * forearm / np.linalg.norm(forearm, axis=1, keepdims=True)
    return wrist, upper, vectors(rng.uniform(-0.3, 0.1), rng.uniform(-0.2, 0.6), rng.uniform(0.0, 0.4))


def _waving(arms: tuple[int, ...], beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    for arm in arms:
        upper = vectors(rng.uniform(0.05, 0.75), rng.uniform(-0.9, 0.25), rng.uniform(0.05, 0.6))
        upper = upper / np.linalg.norm(upper)
        swing = shaped(beat.phase, rng)
        tilt = rng.uniform(-0.25, 0.6) + rng.uniform(0.2, 0.7) * swing
        forearm = vectors(np.sin(tilt), np.cos(tilt), rng.uniform(0.0, 0.5))
        limbs.wrist[:, arm] = 0.53 * upper + 0.46 * forearm
        limbs.elbow[:, arm] = upper
        bend = rng.uniform(0.0, 0.7) * np.sin(beat.phase - rng.uniform(0, 0.8))
        limbs.hand[:, arm] = vectors(bend, 0.1, 0.0)
    return limbs


def _circling(signs: dict[int, int], beat: Beat, rng: Random, opening: tuple[float, float] = (0.6, 1.35)) -> Limbs:
    """Turn stretched arms round a cone. Sign +1 is down, out, up, in. ``opening``: half the cone's angle, radians."""
    limbs = resting(beat, rng)
    for arm, sign in signs.items():
        limbs.wrist[:, arm] = _cone(beat, rng, sign, opening)
        limbs.elbow[:, arm] = vectors(0.4, -1.0, -0.4)
    return limbs


def _cone(beat: Beat, rng: Random, sign: int, openings: tuple[float, float]) -> Array:
    axis = vectors(rng.uniform(0.1, 0.8), rng.uniform(-0.15, 0.25), rng.uniform(0.45, 1.0))
    axis /= np.linalg.norm(axis)
    up = vectors(0.0, 1.0, 0.0) - axis * axis[1]
    up /= np.linalg.norm(up)
    out = np.cross(up, axis)  # towards `out`, seen from before the person
    opening = rng.uniform(*openings)
    turn = beat.phase * sign
    around = np.outer(-np.cos(turn), up) + np.outer(np.sin(turn), out) * rng.uniform(0.75, 1.0)
    return rng.uniform(0.85, 0.99) * (np.cos(opening) * axis + np.sin(opening) * around)


def _bent_arm_circle(arm: int, sign: int, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    turn = beat.phase * sign
    radius = rng.uniform(0.14, 0.7) * rng.uniform(0.75, 1.0, 2)
    tilt = rng.uniform(-0.4, 0.4) * radius[1]  # the circle's lower or upper part is nearer to the camera
    limbs.wrist[:, arm] = vectors(
        rng.uniform(-0.55, 0.4) + radius[0] * np.sin(turn),
        rng.uniform(-0.4, 0.6) - radius[1] * np.cos(turn),
        rng.uniform(0.3, 0.8) + tilt * np.cos(turn),
    )
    limbs.elbow[:, arm] = vectors(rng.uniform(0.3, 1.0), -1.0, -0.3)
    limbs.hand[:, arm] = vectors(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.6), rng.uniform(0.0, 0.6))
    return limbs


def _whole_arm_wave(arm: int, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    reach, forward = rng.uniform(0.75, 0.99), rng.uniform(0.0, 1.1)
    lean = rng.uniform(-0.45, 0.75) + rng.uniform(0.2, 1.0) * shaped(beat.phase, rng)
    limbs.wrist[:, arm] = reach * vectors(
        np.sin(lean), np.cos(lean) * np.cos(forward), np.cos(lean) * np.sin(forward)
    )
    limbs.elbow[:, arm] = vectors(0.8, rng.uniform(-1.0, 0.0), -0.2)
    bend = rng.uniform(0.0, 0.6) * np.sin(beat.phase - rng.uniform(0, 0.8))
    limbs.hand[:, arm] = vectors(bend, 0.1, 0.0)
    return limbs


def _bent_arm_wave(arm: int, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    swing = shaped(beat.phase, rng)
    side = rng.uniform(0.06, 0.65)
    limbs.wrist[:, arm] = vectors(
        rng.uniform(-0.5, 0.45) + side * swing,
        rng.uniform(-0.25, 0.65) - rng.uniform(0.0, 0.4) * side * swing**2,
        rng.uniform(0.15, 0.75),
    )
    limbs.elbow[:, arm] = vectors(rng.uniform(0.4, 1.0), -1.0, rng.uniform(-0.4, 0.2))
    bend = rng.uniform(0.0, 1.0) * np.sin(beat.phase - rng.uniform(0, 0.8))
    limbs.hand[:, arm] = vectors(bend, rng.uniform(0.1, 0.9), 0.0)
    return limbs


def _drawn_circle(arm: int, sign: int, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    turn = beat.phase * sign + rng.uniform(0.0, 0.5) * np.sin(beat.phase + rng.uniform(0, 2 * np.pi))
    across, high = rng.uniform(0.4, 0.9) * rng.uniform(0.7, 1.0, 2)
    middle = everyday.drawing_place(rng)
    limbs.wrist[:, arm] = middle + vectors(across * np.sin(turn), -high * np.cos(turn), 0.0)
    limbs.elbow[:, arm] = vectors(rng.uniform(0.3, 1.0), -1.0, -0.3)
    limbs.hand[:, arm] = vectors(rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.6), rng.uniform(0.0, 0.6))
    return limbs


def _raised_wave(arm: int, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    swing, side = shaped(beat.phase, rng), log_uniform(rng, 0.1, 0.6)
    limbs.wrist[:, arm] = vectors(
        rng.normal(0.05, 0.1) + side * swing,
        rng.normal(0.37, 0.15) - rng.uniform(0.0, 0.4) * side * swing**2,
        rng.uniform(0.3, 0.75),
    )
    limbs.elbow[:, arm] = vectors(rng.uniform(0.2, 1.0), -1.0, rng.uniform(-0.4, 0.2))
    bend = rng.uniform(0.0, 0.8) * np.sin(beat.phase - rng.uniform(0, 0.8))
    limbs.hand[:, arm] = vectors(bend, rng.uniform(0.1, 0.9), 0.0)
    return limbs


def _chest_clapping(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    apart = (1 - shaped(beat.phase, rng)) / 2
    far, up, forward = log_uniform(rng, 0.2, 1.0), rng.normal(-0.05, 0.15), rng.uniform(0.28, 0.6)
    share, hand_up = rng.uniform(0.35, 0.65), rng.uniform(0.0, 1.0)
    for arm, part in enumerate((share, 1 - share)):
        limbs.wrist[:, arm] = vectors(MIDLINE + 0.05 + part * far * apart, up, forward)
        limbs.elbow[:, arm] = vectors(rng.uniform(0.4, 1.2), -1.0, -0.3)
        limbs.hand[:, arm] = vectors(-0.15, hand_up, rng.uniform(0.0, 0.8))
    return limbs


def _small_clapping(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    apart = (1 - shaped(beat.phase, rng)) / 2
    share, far = rng.uniform(0.25, 0.75), rng.uniform(0.12, 0.9)
    up, forward = rng.uniform(-0.85, 0.2), rng.uniform(0.2, 0.75)
    tilted, hand_up = rng.uniform(-0.4, 0.4), rng.uniform(-0.1, 1.0)
    for arm, part in enumerate((share, 1 - share)):
        gap = 0.03 + part * far * apart
        limbs.wrist[:, arm] = vectors(MIDLINE + gap, up + tilted * gap * (-1) ** arm, forward)
        limbs.elbow[:, arm] = vectors(rng.uniform(0.3, 1.0), -1.0, -0.3)
        limbs.hand[:, arm] = vectors(-0.15, hand_up, rng.uniform(0.0, 0.8))
    return limbs


def _wide_clapping(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    together = np.arcsin(-MIDLINE)
    open_by = rng.uniform(0.3, 1.9) * (1 - shaped(beat.phase, rng)) / 2
    lift, reach = rng.uniform(-0.7, 0.3), rng.uniform(0.7, 0.98)
    for arm in (RIGHT, LEFT):
        out = open_by * rng.uniform(0.85, 1.0) - together / reach + 0.03
        limbs.wrist[:, arm] = reach * vectors(np.sin(out), np.cos(out) * np.sin(lift), np.cos(out) * np.cos(lift))
        limbs.elbow[:, arm] = vectors(0.7, -1.0, -0.1)
        limbs.hand[:, arm] = vectors(-0.1, 0.2, 0.3)
    return limbs


def _stretched(pose: Callable[[Beat, Random], Limbs], beat: Beat, rng: Random) -> Limbs:
    limbs = pose(beat, rng)
    middle = limbs.wrist.mean(axis=0)
    size, shift = rng.uniform(0.55, 1.3), rng.normal(0, [0.0, 0.1, 0.06])
    return limbs._replace(wrist=middle + shift + size * (limbs.wrist - middle))


def _arm_roll(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    up, forward = rng.uniform(-0.65, -0.25), rng.uniform(0.28, 0.5)
    high, deep = rng.uniform(0.1, 0.26), rng.uniform(0.08, 0.22)
    sign, across = rng.choice([-1, 1]), rng.uniform(-0.2, 0.05)
    for arm in (RIGHT, LEFT):
        turn = sign * beat.phase + arm * np.pi
        limbs.wrist[:, arm] = vectors(MIDLINE + across, up + high * np.cos(turn), forward + deep * np.sin(turn))
        limbs.elbow[:, arm] = vectors(1.0, -0.6 + 0.4 * high * np.cos(turn), 0.0)
        limbs.hand[:, arm] = vectors(rng.uniform(-0.3, 0.1), 0.0, 0.1)
    return limbs


def _drums(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    apart = np.pi if rng.random() < 0.85 else rng.uniform(0, 0.5)
    high, forward = rng.uniform(0.1, 0.34), rng.uniform(0.3, 0.6)
    up = rng.uniform(-0.75, -0.4)
    for arm in (RIGHT, LEFT):
        strike = shaped(beat.phase + arm * apart, rng)
        limbs.wrist[:, arm] = vectors(rng.uniform(-0.32, 0.2), up + high * strike, forward - 0.3 * high * strike)
        limbs.elbow[:, arm] = vectors(0.8, -1.0, -0.4)
        limbs.hand[:, arm] = vectors(-0.2, rng.uniform(0, 0.9) * np.cos(beat.phase + arm * apart), 0.3)
    return limbs


def _guitar(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    strumming, fretting = (RIGHT, LEFT) if rng.random() < 0.92 else (LEFT, RIGHT)
    tilt, width = rng.uniform(-0.5, 0.6), rng.uniform(0.08, 0.28)
    strum = width * shaped(beat.phase, rng)
    limbs.wrist[:, strumming] = vectors(
        rng.uniform(-0.45, -0.15) + strum * np.sin(tilt),
        rng.uniform(-0.85, -0.6) + strum * np.cos(tilt),
        rng.uniform(0.22, 0.38),
    )
    limbs.elbow[:, strumming] = vectors(1.0, -0.5, -0.5)
    limbs.hand[:, strumming] = vectors(-0.3, rng.uniform(0, 0.6) * np.cos(beat.phase), 0.2)
    slide = beat.sway(rng, (), rng.uniform(0.0, 0.06), 1.5)
    limbs.wrist[:, fretting] = vectors(
        rng.uniform(0.15, 0.62) + slide, rng.uniform(-0.55, 0.05) + 0.5 * slide, rng.uniform(0.2, 0.45)
    )
    limbs.elbow[:, fretting] = vectors(0.5, -1.0, -0.2)
    limbs.hand[:, fretting] = vectors(-0.3, 0.9, 0.1)
    return limbs


def _both_circle(beat: Beat, rng: Random) -> Limbs:
    return _circling({arm: int(rng.choice([-1, 1])) for arm in (RIGHT, LEFT)}, beat, rng)


def _other(beat: Beat, rng: Random) -> Limbs:
    kind = TEACHABLE[rng.choice(len(TEACHABLE), p=[0.4, 0.15, 0.2, 0.15, 0.1])]
    return _MOTIONS[kind].pose(beat, rng)


def _any_movement(beat: Beat, rng: Random) -> Limbs:
    """Do anything that is no gesture; one person in ten does what the narrow "other" has."""
    if rng.random() < 0.1:
        return _other(beat, rng)
    return one_of([*everyday.MOVEMENTS.values()], rng).perform(beat.times_s, rng)[0]


_WAVES = {"right_hand_wave": RIGHT, "left_hand_wave": LEFT}
_CIRCLES = {
    "right_arm_clockwise": (RIGHT, -1),
    "right_arm_counter_clockwise": (RIGHT, 1),
    "left_arm_clockwise": (LEFT, 1),
    "left_arm_counter_clockwise": (LEFT, -1),
}
"""Which arm turns, and the sign of `_circling`."""

_MOTIONS: dict[str, Motion] = {
    "hand_clapping": Motion(_clapping, 0.17, 0.75),
    **{name: Motion(partial(_waving, (arm,)), 0.18, 0.9) for name, arm in _WAVES.items()},
    **{name: Motion(partial(_circling, {arm: sign}), 0.42, 1.8) for name, (arm, sign) in _CIRCLES.items()},
    "arm_roll": Motion(_arm_roll, 0.16, 0.75),
    "air_drums": Motion(_drums, 0.2, 0.85),
    "air_guitar": Motion(_guitar, 0.2, 0.75),
    "other": Motion(_other, 0.35, 1.5),
    "wander": Motion(wander, 0.35, 1.5),
    "circle_both": Motion(_both_circle, 0.35, 1.5),
    "flap": Motion(flap, 0.35, 1.5),
    "push": Motion(push, 0.35, 1.5),
    "wave_both": Motion(partial(_waving, (RIGHT, LEFT)), 0.35, 1.5),
    IDLE: Motion(resting, 1.0, 3.0),
    WALKING: Motion(walk, 0.8, 1.5),
    **dict.fromkeys((NOBODY, OBJECTS), Motion(nobody, 1.0, 3.0)),
    **dict.fromkeys((SHAKE, PAN, CURTAIN, TWO_PEOPLE), Motion(resting, 1.0, 3.0)),
    RAISING: Motion(raising, 0.4, 1.5),
    **everyday.MOVEMENTS,
}


_OTHER_WAYS: dict[str, tuple[Motion, ...]] = {
    "hand_clapping": (
        Motion(_small_clapping, 0.2, 1.1),
        Motion(_wide_clapping, 0.35, 1.3),
        Motion(_chest_clapping, 0.24, 0.7, 2.0),
    ),
    **{
        name: (
            Motion(partial(_waving, (arm,)), 0.4, 1.5),
            Motion(partial(_whole_arm_wave, arm), 0.45, 1.5, 1.6),
            Motion(partial(_bent_arm_wave, arm), 0.3, 1.4, 1.3),
            Motion(partial(_raised_wave, arm), 0.27, 1.0, 3.0),
        )
        for name, arm in _WAVES.items()
    },
    **{
        name: (
            Motion(partial(_circling, {arm: sign}, opening=(0.25, 1.35)), 0.45, 2.4),
            Motion(partial(_bent_arm_circle, arm, sign), 0.45, 2.0, 1.5),
            Motion(partial(_drawn_circle, arm, sign), 0.55, 1.3, 3.0),
        )
        for name, (arm, sign) in _CIRCLES.items()
    },
    "arm_roll": (Motion(partial(_stretched, _arm_roll), 0.2, 1.1),),
    "air_drums": (Motion(partial(_stretched, _drums), 0.2, 1.1),),
    "air_guitar": (Motion(partial(_stretched, _guitar), 0.2, 1.1),),
}
"""How wide people perform a gesture, besides as narrow ones do."""


def _wide(narrow: Motion, others: tuple[Motion, ...]) -> tuple[Motion, ...]:
    weight = NARROW_SHARE / (1 - NARROW_SHARE) * sum(each.weight for each in others)
    return narrow._replace(weight=weight), *others


_WIDE = {name: _wide(_MOTIONS[name], others) for name, others in _OTHER_WAYS.items()}
_WIDE["other"] = (Motion(_any_movement, 0.35, 1.5),)
