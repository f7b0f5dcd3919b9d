"""What people do every day: a vocabulary of movements that a network must not take for gestures.

Most of them are strokes: a few points through which the wrists go, in arm lengths and in each arm's own axes (out,
up, forward), see body.py. Each person varies the points, the speed, the arm and the pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from livesnn.simulate.body import (
    LEFT,
    RIGHT,
    Array,
    Beat,
    Limbs,
    Motion,
    Random,
    log_uniform,
    minimum_jerk,
    resting,
    smooth_noise,
    vectors,
)

Point = tuple[float, float, float]

AGAIN_SHARE = 0.5
"""Share of people who repeat a stroke from its first point; the others come from rest and go back to it."""

PAUSE_S = (0.05, 0.6)  # How long half of the people pause between two strokes

MOVE_S, STAY_S = (0.17, 0.9), 0.2
"""How long a hand moves to its next place (log-uniform), and how long it stays there (mean of an exponential)."""

PRESENTED_SHARE = 0.5  # Share of people who move a hand higher and nearer to the camera than in everyday life

NOISE_HZ = (0.5, 3.0)  # Bandwidth of random joint paths


class Stroke(NamedTuple):
    """A movement through a few points, written for the right arm."""

    points: Sequence[Point] | Array  # Of the wrist
    # Shortest and longest time from one point to the next; a person's time is log-uniform
    step_s: tuple[float, float] = (0.2, 0.6)
    # Points of the left wrist, in its own axes; the same as ``points`` if ``both`` is set; empty: it rests
    other: tuple[Point, ...] = ()
    both: bool = False
    # Whether the wrist halts at each point, as at the corners of a drawing. Otherwise it passes them
    # smoothly.
    stops: bool = False
    turns: bool = False  # Whether half of the people go the other way
    # Where the trunk is at each point: x and y in pixels, yaw in radians; empty: it rests
    trunk: tuple[Point, ...] = ()
    weight: float = 0.5  # See `Motion`


_LOW = (0.1, -0.9, 0.25)
_DRAWN_S = (0.12, 0.5)
_STROKES: dict[str, Stroke] = {
    # Sports
    "throw": Stroke(((0.25, -0.5, 0.1), (0.35, 0.55, -0.3), (0.0, 0.55, 0.6), (-0.4, -0.4, 0.5)), (0.12, 0.4),
        trunk=((0, 0, 0), (-6, 0, 0.4), (3, 3, -0.2), (6, 6, -0.4))),
    "bowling": Stroke(((0.1, -0.85, 0.2), (0.15, -0.75, -0.5), (0.05, -0.7, 0.65), (-0.15, 0.2, 0.8)),
        (0.2, 0.5), trunk=((0, 0, 0), (0, 14, 0), (0, 20, 0), (0, 8, 0))),
    "baseball_swing": Stroke(((0.15, 0.1, 0.3), (-0.35, -0.25, 0.85), (-0.9, 0.05, 0.4), (-0.8, 0.3, 0.2)),
        (0.12, 0.4), other=((-0.85, 0.1, 0.3), (-0.45, -0.25, 0.85), (0.15, 0.05, 0.5), (0.2, 0.35, 0.2)),
        trunk=((-6, 0, 0.5), (0, 2, 0), (6, 0, -0.6), (6, 0, -0.7))),
    "golf_swing": Stroke(((0.15, 0.25, 0.2), (-0.4, -0.85, 0.35), (-0.85, 0.3, 0.3)), (0.15, 0.5),
        other=((-0.85, 0.25, 0.3), (-0.4, -0.85, 0.35), (0.15, 0.3, 0.2)),
        trunk=((-3, 3, 0.4), (0, 4, 0), (4, 0, -0.5))),
    "tennis_swing": Stroke(((0.65, -0.35, -0.2), (0.7, -0.25, 0.4), (0.0, 0.05, 0.85), (-0.6, 0.4, 0.35)),
        (0.12, 0.4), turns=True, trunk=((-4, 0, 0.5), (0, 2, 0.2), (3, 2, -0.2), (5, 0, -0.5))),
    "tennis_serve": Stroke(((0.2, -0.5, 0.3), (0.45, 0.35, -0.2), (0.1, 0.95, 0.1), (-0.35, -0.45, 0.6)),
        (0.15, 0.5), other=((-0.2, -0.5, 0.3), (0.0, 0.85, 0.35), (-0.1, 0.1, 0.4), (0.1, -0.6, 0.2))),
    "basketball_shot": Stroke(((-0.3, -0.35, 0.35), (-0.3, 0.3, 0.35), (-0.25, 0.85, 0.45)), (0.15, 0.5),
        both=True, trunk=((0, 10, 0), (0, 3, 0), (0, -3, 0))),
    "dribble": Stroke(((0.1, -0.4, 0.5), (0.1, -0.8, 0.5)), (0.13, 0.4), turns=True),
    "hook_punch": Stroke(((0.1, -0.2, 0.35), (0.55, 0.0, 0.45), (-0.45, 0.05, 0.6)), (0.1, 0.35)),
    "straight_punch": Stroke(((0.0, -0.15, 0.35), (-0.2, 0.05, 0.95)), (0.1, 0.4), turns=True),
    "block": Stroke(((0.1, -0.3, 0.35), (-0.3, 0.3, 0.5)), (0.12, 0.4), both=True),
    "catch": Stroke(((-0.1, -0.2, 0.75), (-0.3, -0.35, 0.4)), (0.15, 0.5), both=True, stops=True),
    "curl": Stroke(((0.05, -0.95, 0.1), (0.1, -0.4, 0.5), (0.0, -0.1, 0.35)), (0.2, 0.7), both=True),
    "curl_one": Stroke(((0.05, -0.95, 0.1), (0.1, -0.4, 0.5), (0.0, -0.1, 0.35)), (0.2, 0.7)),
    "jumping_jack": Stroke(((0.1, -0.95, 0.1), (0.85, 0.1, 0.1), (0.1, 0.95, 0.1)), (0.12, 0.4), both=True,
        turns=True, trunk=((0, 0, 0), (0, -7, 0), (0, 0, 0))),
    "squat": Stroke(((0.1, -0.9, 0.2), (-0.1, 0.0, 0.9)), (0.4, 1.0), both=True, stops=True,
        trunk=((0, 0, 0), (0, 28, 0))),
    "lunge": Stroke(((0.3, -0.65, 0.1), (0.3, -0.6, 0.15)), (0.4, 1.0), both=True, stops=True,
        trunk=((0, 0, 0), (5, 20, 0.1))),
    # Standing up, picking up, carrying
    "sit_down": Stroke(((0.1, -0.9, 0.15), (0.0, -0.6, 0.6), (0.0, -0.55, 0.55)), (0.3, 0.9), both=True,
        stops=True, turns=True, trunk=((0, 0, 0), (0, 22, 0), (0, 32, 0))),
    "bend": Stroke((_LOW, (0.0, -0.85, 0.5)), (0.4, 1.0), both=True, stops=True,
        trunk=((0, 0, 0), (0, 35, 0))),
    "pick_up": Stroke((_LOW, (-0.1, -0.9, 0.45), (0.0, -0.3, 0.5)), (0.3, 0.9), stops=True,
        trunk=((0, 0, 0), (-4, 36, 0.1), (0, 0, 0))),
    "lift_box": Stroke(((-0.2, -0.85, 0.45), (-0.2, -0.35, 0.5), (-0.2, 0.3, 0.6)), (0.3, 0.9), both=True,
        stops=True, turns=True, trunk=((0, 24, 0), (0, 4, 0), (0, 0, 0))),
    "knock": Stroke(((-0.1, 0.2, 0.6), (-0.15, 0.15, 0.85)), (0.08, 0.22)),
    "hammer": Stroke(((0.05, 0.5, 0.3), (0.0, -0.3, 0.65)), (0.12, 0.4)),
    "pull": Stroke(((-0.1, 0.1, 0.9), (0.1, -0.3, 0.3)), (0.2, 0.6)),
    "open_door": Stroke(((0.1, -0.4, 0.6), (0.2, -0.3, 0.85), (0.65, -0.3, 0.5)), (0.25, 0.7), stops=True),
    "wipe": Stroke(((0.25, -0.65, 0.5), (-0.6, -0.65, 0.55)), (0.2, 0.6), turns=True),
    "typing": Stroke(((-0.15, -0.55, 0.5), (-0.2, -0.6, 0.5), (-0.3, -0.55, 0.5)), (0.06, 0.2), both=True),
    "draw_bow": Stroke(((-0.6, 0.15, 0.7), (0.0, 0.2, 0.3)), (0.3, 1.0),
        other=((0.75, 0.2, 0.5), (0.8, 0.2, 0.5)), stops=True),
    "bow_strings": Stroke(((0.0, -0.2, 0.5), (-0.5, 0.0, 0.5)), (0.15, 0.6),
        other=((0.35, 0.25, 0.5), (0.35, 0.25, 0.5)), turns=True),
    # To the body
    "drink": Stroke((_LOW, (-0.1, -0.35, 0.5), (-0.35, 0.25, 0.4)), (0.3, 0.9), stops=True),
    "phone": Stroke((_LOW, (-0.25, 0.4, 0.15)), (0.35, 1.0), stops=True),
    "scratch": Stroke(((-0.3, 0.5, 0.2), (-0.33, 0.58, 0.22)), (0.07, 0.2), turns=True),
    "touch_face": Stroke((_LOW, (-0.38, 0.4, 0.4), (-0.33, 0.3, 0.4)), (0.2, 0.7), stops=True),
    "through_hair": Stroke((_LOW, (-0.4, 0.65, 0.35), (-0.3, 0.65, 0.0)), (0.2, 0.7)),
    "adjust_glasses": Stroke((_LOW, (-0.28, 0.42, 0.38), (-0.28, 0.46, 0.36)), (0.15, 0.6), both=True,
        stops=True),
    "look_at_watch": Stroke((_LOW, (-0.3, -0.2, 0.45)), (0.3, 0.8), stops=True),
    "fold_arms": Stroke((_LOW, (-0.5, -0.4, 0.4), (-0.7, -0.4, 0.3)), (0.25, 0.8), both=True, stops=True),
    "cross_arms": Stroke(((0.3, -0.3, 0.4), (-0.6, -0.15, 0.4)), (0.2, 0.6), both=True, stops=True),
    "hands_on_hips": Stroke((_LOW, (0.15, -0.65, 0.05)), (0.25, 0.8), both=True, stops=True),
    "pat_knees": Stroke(((0.0, -0.8, 0.35), (0.0, -0.92, 0.35)), (0.12, 0.4), both=True),
    # To others
    "raise_hand": Stroke((_LOW, (0.2, 0.9, 0.1)), (0.25, 0.9), stops=True),
    "hands_up": Stroke((_LOW, (0.4, 0.85, 0.1)), (0.25, 0.9), both=True, stops=True),
    "stop_sign": Stroke((_LOW, (-0.05, 0.05, 0.95)), (0.2, 0.7), stops=True),
    "point": Stroke((_LOW, (0.4, 0.1, 0.8), (0.75, 0.1, 0.4)), (0.2, 0.7), stops=True, turns=True),
    "beckon": Stroke(((0.0, -0.1, 0.65), (-0.05, 0.1, 0.4)), (0.15, 0.45)),
    "shrug": Stroke(((0.1, -0.8, 0.2), (0.45, -0.5, 0.4)), (0.2, 0.6), both=True, stops=True),
    "spread_arms": Stroke(((-0.3, -0.1, 0.6), (0.9, 0.1, 0.2)), (0.3, 0.9), both=True, stops=True,
        turns=True),
    "bow_down": Stroke(((0.1, -0.95, 0.1), (0.1, -0.9, 0.3)), (0.4, 1.0), both=True, stops=True,
        trunk=((0, 0, 0), (0, 18, 0))),
    # In the air: parts of these look like a part of a circle or one beat of a wave
    "swipe": Stroke(((0.6, -0.05, 0.55), (-0.05, 0.05, 0.85), (-0.7, 0.0, 0.5)), (0.08, 0.35), turns=True,
        weight=4.0),
    "swipe_up": Stroke(((0.0, -0.6, 0.5), (0.0, 0.0, 0.85), (-0.05, 0.6, 0.5)), (0.08, 0.35), turns=True,
        weight=2.0),
    "draw_x": Stroke(((0.3, 0.45, 0.55), (-0.5, -0.3, 0.6), (-0.5, 0.45, 0.6), (0.3, -0.3, 0.55)), _DRAWN_S,
        stops=True, turns=True, weight=2.0),
    "draw_tick": Stroke(((0.25, 0.0, 0.6), (0.05, -0.3, 0.6), (-0.55, 0.45, 0.6)), _DRAWN_S, stops=True,
        weight=2.0),
    "draw_triangle": Stroke(((-0.1, 0.45, 0.6), (0.3, -0.25, 0.6), (-0.5, -0.25, 0.6), (-0.1, 0.45, 0.6)),
        _DRAWN_S, stops=True, turns=True, weight=2.0),
    "draw_square": Stroke(((0.25, 0.4, 0.55), (0.25, -0.3, 0.6), (-0.5, -0.3, 0.6), (-0.5, 0.4, 0.55),
        (0.25, 0.4, 0.55)), _DRAWN_S, stops=True, turns=True, weight=2.0),
    "zigzag": Stroke(((0.3, 0.4, 0.55), (-0.5, 0.25, 0.6), (0.3, 0.0, 0.6), (-0.5, -0.2, 0.6)), _DRAWN_S,
        stops=True, turns=True, weight=2.0),
}  # fmt: skip


def reach(beat: Beat, rng: Random) -> Limbs:
    """Move one hand or both to random places, with minimum jerk, and let them stay a while."""
    limbs = resting(beat, rng)
    first, second = rng.permutation(2)
    paths = [_reaches(beat.times_s, rng)]
    if rng.random() < 0.5:  # the other hand does the same, or something else
        same = paths[0] + rng.normal(0, 0.06, 3)
        paths.append(same if rng.random() < 0.5 else _reaches(beat.times_s, rng))
    for arm, path in zip((first, second), paths, strict=False):
        limbs.wrist[:, arm] = path
        limbs.elbow[:, arm] = _elbow(rng)
    bent = rng.uniform(0, 10) * (rng.random() < 0.3)
    return limbs._replace(trunk=limbs.trunk + beat.sway(rng, (3,), bent, 0.8) * [1, 0.7, 0.01])


def _reaches(times_s: Array, rng: Random) -> Array:
    count = int(np.ceil((times_s[-1] - times_s[0]) / MOVE_S[0])) + 2
    places = np.stack(
        [rng.uniform(-0.7, 0.9, count), rng.uniform(-1, 1, count), rng.uniform(-0.1, 0.95, count)], axis=1
    )
    favourite = _FAVOURITES[rng.integers(len(_FAVOURITES), size=count)] + rng.normal(0, 0.06, (count, 3))
    places = np.where(rng.random((count, 1)) < 0.35, favourite, places)
    moving = log_uniform(rng, *MOVE_S) * rng.uniform(0.7, 1.4, count)
    staying = rng.exponential(STAY_S, count) + 1e-3
    steps_s = np.stack([moving, staying], axis=1).ravel()
    knots_s = times_s[0] - rng.uniform(0, steps_s[:4].sum()) + np.cumsum(steps_s)
    return through(times_s, knots_s, np.repeat(places, 2, axis=0), stops=True)


_FAVOURITES = np.array([
    (0.1, -0.95, 0.1), (0.1, -0.9, 0.2), (0.15, -0.65, 0.1), (-0.4, -0.3, 0.4), (-0.4, -0.6, 0.35),
    (-0.4, 0.35, 0.4), (-0.35, 0.6, 0.2), (-0.7, 0.0, 0.25), (0.1, 0.2, 0.3), (0.2, 0.9, 0.1),
])  # fmt: skip
"""Where hands often are: hanging, on a hip, before chest, belly and face, in the hair, on a shoulder, up."""


def drift(beat: Beat, rng: Random) -> Limbs:
    """Move hands, head and trunk along random paths of a random bandwidth."""
    limbs = resting(beat, rng)
    for arm in rng.permutation(2)[: rng.integers(1, 3)]:
        centre = vectors(rng.uniform(-0.6, 0.6), rng.uniform(-0.8, 0.7), rng.uniform(0.1, 0.6))
        size = rng.uniform(0.06, 0.3) * rng.uniform(0.3, 1.0, 3)
        limbs.wrist[:, arm] = centre + smooth_noise(beat.times_s, rng, (3,), rng.uniform(*NOISE_HZ)) * size
        limbs.elbow[:, arm] = _elbow(rng)
    far = rng.uniform(0, 9) * (rng.random() < 0.5)
    moved = smooth_noise(beat.times_s, rng, (3,), rng.uniform(*NOISE_HZ)) * far
    return limbs._replace(trunk=limbs.trunk + moved * [1, 0.5, 0.03])


def drawing_place(rng: Random) -> Array:
    """Return where the wrist is, in the mean, of people who draw in the air: before the shoulder or the face."""
    return np.array([rng.normal(-0.07, 0.15), rng.normal(0.37, 0.17), rng.uniform(0.4, 0.78)])


def arc(beat: Beat, rng: Random) -> Limbs:
    """Draw a part of a circle once, then stop, go back the same way, or let the arm hang."""
    middle = np.array([rng.uniform(-0.5, 0.4), rng.uniform(-0.4, 0.45), rng.uniform(0.35, 0.75)])
    radius = rng.uniform(0.15, 0.6, 2)
    if rng.random() < PRESENTED_SHARE:
        middle, radius = drawing_place(rng), rng.uniform(0.3, 0.9, 2)
    turns = rng.uniform(0.2, 0.75)
    start = rng.uniform(0, 2 * np.pi)
    angle = start + rng.choice([-1, 1]) * 2 * np.pi * turns * np.linspace(0, 1, 6)
    points = vectors(radius[0] * np.cos(angle), radius[1] * np.sin(angle), 0.0) + middle
    whole_s = log_uniform(rng, 0.3, 1.3) * turns / 5
    return _stroke(Stroke(points, (whole_s, 1.3 * whole_s)), beat, rng)


def scribble(beat: Beat, rng: Random) -> Limbs:
    """Draw a random figure of a few lines before the body, with corners or without."""
    count = rng.integers(3, 8)
    points = vectors(rng.uniform(-0.7, 0.5, count), rng.uniform(-0.5, 0.6, count), rng.uniform(0.45, 0.75))
    if rng.random() < PRESENTED_SHARE:
        points = drawing_place(rng) + rng.uniform(0.4, 0.9) * rng.uniform(-1, 1, (count, 3)) * [1, 1, 0.2]
    return _stroke(Stroke(points, _DRAWN_S, stops=bool(rng.random() < 0.6)), beat, rng)


def march(fast: bool, beat: Beat, rng: Random) -> Limbs:
    """Walk or jog in place: arms and feet alternate."""
    limbs = resting(beat, rng)
    swing, bent = rng.uniform(0.1, 0.6), rng.uniform(0.5, 1.0) if fast else rng.uniform(0.0, 0.3)
    lifted = np.maximum(0, np.sin(beat.phase[:, None] + [0, np.pi]))
    for arm in (RIGHT, LEFT):
        turn = swing * np.sin(beat.phase + np.pi * arm)
        hanging = vectors(0.1, -0.95 * np.cos(turn), 0.95 * np.sin(turn))
        raised = vectors(-0.05, -0.45 + 0.5 * np.sin(turn), 0.35 + 0.5 * np.sin(turn))
        limbs.wrist[:, arm] = hanging + bent * (raised - hanging)
        limbs.elbow[:, arm] = vectors(0.4, -0.8, -0.6)
    bounce = rng.uniform(1, 5 if fast else 3) * np.cos(2 * beat.phase)
    swayed = rng.uniform(0, 3) * np.sin(beat.phase)
    trunk = np.stack([swayed, bounce, 0.15 * np.sin(beat.phase)], axis=1)
    return limbs._replace(trunk=trunk, feet=rng.uniform(3, 22) * lifted)


def kick(beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    feet = np.zeros_like(limbs.feet)
    side = rng.integers(2)
    feet[:, side] = rng.uniform(8, 45) * np.maximum(0, np.sin(beat.phase)) ** 2
    sway = rng.uniform(1, 8) * (1 - 2 * side) * np.sin(beat.phase)
    limbs.wrist[:] += rng.uniform(0, 0.3) * np.sin(beat.phase)[:, None, None] * [1.0, 0.2, 0.5]
    return limbs._replace(feet=feet, trunk=np.stack([sway, 0 * sway, 0.03 * sway], axis=1))


def _stroke(stroke: Stroke, beat: Beat, rng: Random) -> Limbs:
    limbs = resting(beat, rng)
    arm = int(rng.integers(2))
    shift, size = rng.normal(0, [0.1, 0.12, 0.06]), rng.uniform(0.65, 1.25)
    if not stroke.trunk and rng.random() < PRESENTED_SHARE:
        shift += np.array([0.0, rng.uniform(0.0, 0.4), rng.uniform(0.0, 0.25)])
    poses = np.zeros((len(stroke.points), 9))
    poses[:, :3] = _varied(stroke.points, size, shift, rng)
    rest = np.concatenate([limbs.wrist[0, arm], limbs.wrist[0, 1 - arm], np.zeros(3)])
    poses[:, 3:6] = rest[3:6]
    if moves := stroke.points if stroke.both else stroke.other:
        poses[:, 3:6] = _varied(moves, size, shift if stroke.both else shift * [-1, 1, 1], rng)
        limbs.elbow[:, 1 - arm] = _elbow(rng)
    if stroke.trunk:
        poses[:, 6:] = np.array(stroke.trunk) * rng.uniform(0.3, 1.2) * [1 - 2 * arm, 1, 1 - 2 * arm]
    if stroke.turns and rng.random() < 0.5:
        poses = poses[::-1]
    cycle = poses if rng.random() < AGAIN_SHARE else np.concatenate([rest[None], poses])
    path = _cycles(beat.times_s, cycle, log_uniform(rng, *stroke.step_s), rng, stops=stroke.stops)
    limbs.wrist[:, arm], limbs.wrist[:, 1 - arm] = path[:, :3], path[:, 3:6]
    limbs.elbow[:, arm] = _elbow(rng)
    return limbs._replace(trunk=path[:, 6:])


def _varied(points: Sequence[Point] | Array, size: float, shift: Array, rng: Random) -> Array:
    """Return points [P, 3], their figure larger or smaller, elsewhere, and a little wrong."""
    there = np.array(points)
    middle = there.mean(axis=0)
    return middle + shift + size * (there - middle) + rng.normal(0, 0.04, there.shape)


def _cycles(times_s: Array, cycle: Array, step_s: float, rng: Random, *, stops: bool) -> Array:
    """Return a path [T, D] through the poses [P, D] of a cycle, from anywhere in it, with or without pauses."""
    pause_s = rng.uniform(*PAUSE_S) if rng.random() < 0.5 else 0.02
    paused = int(rng.choice([0, len(cycle) - 1]))
    poses = np.insert(cycle, paused, cycle[paused], axis=0)
    steps_s = step_s * rng.uniform(0.7, 1.4, len(poses))
    steps_s[paused + 1] = pause_s
    count = int(np.ceil((times_s[-1] - times_s[0]) / steps_s.sum())) + 2
    start_s = times_s[0] - rng.uniform(0, 1) * steps_s.sum() - steps_s[0]
    knots_s = start_s + np.cumsum(np.tile(steps_s, count))
    return through(times_s, knots_s, np.tile(poses, (count, 1)), stops=stops)


def _elbow(rng: Random) -> Array:
    return np.array([0.8, -1.0, -0.3]) + rng.normal(0, 0.3, 3)


def through(times_s: Array, knots_s: Array, poses: Array, *, stops: bool) -> Array:
    """Return the path [T, D] that is at ``poses`` [K, D] at the moments ``knots_s`` [K], rising.

    It halts at each pose, with minimum jerk between two; or goes smoothly through them (Catmull-Rom), but rests
    between two equal ones.
    """
    k = np.clip(np.searchsorted(knots_s, times_s, side="right") - 1, 0, len(poses) - 2)
    span = (knots_s[k + 1] - knots_s[k])[:, None]
    part = np.clip((times_s - knots_s[k])[:, None] / span, 0, 1)
    here, there = poses[k], poses[k + 1]
    if stops:
        return here + minimum_jerk(part) * (there - here)
    slope = np.zeros_like(poses)
    slope[1:-1] = (poses[2:] - poses[:-2]) / (knots_s[2:] - knots_s[:-2])[:, None]
    still = np.all(poses[1:] == poses[:-1], axis=1)
    slope[1:][still] = slope[:-1][still] = 0
    square, cube = part**2, part**3
    return (
        (2 * cube - 3 * square + 1) * here
        + (cube - 2 * square + part) * span * slope[k]
        + (3 * square - 2 * cube) * there
        + (cube - square) * span * slope[k + 1]
    )


MOVEMENTS: dict[str, Motion] = {
    "reach": Motion(reach, 1.0, 2.0, 72.0),
    "drift": Motion(drift, 1.0, 2.0, 9.0),
    "arc": Motion(arc, 1.0, 2.0, 9.0),
    "scribble": Motion(scribble, 1.0, 2.0, 7.0),
    "walk_in_place": Motion(partial(march, False), 0.7, 1.6, 0.5),
    "jog_in_place": Motion(partial(march, True), 0.4, 1.0, 0.5),
    "kick": Motion(kick, 0.6, 1.6, 0.5),
    **{name: Motion(partial(_stroke, stroke), 1.0, 2.0, stroke.weight) for name, stroke in _STROKES.items()},
}
