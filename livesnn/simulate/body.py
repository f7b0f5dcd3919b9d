"""A simulated person: sizes, clothes, poses, and the joints of the arms by inverse kinematics.

Lengths are pixels on an image of 128×128. A limb's own axes are (out, up, forward): away from the trunk, up,
towards the camera. The person faces the camera, so the right arm, arm 0, is on the left of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Random = np.random.Generator

IMAGE = 128.0  # Edge of the image that lengths are given for

RIGHT, LEFT = 0, 1  # Numbers of the arms

Breadth = Literal["narrow", "wide"]
"""How varied people, sensors and movements are. "narrow" is what gestures-sim tests and the demo shows. "wide", for
training, adds what real people do: other styles, farther away, in dim light (docs/experiments/simulator)."""

NARROW_SHARE = 0.35
"""Share of wide people who stand as narrow ones do, and share of those who perform a gesture as narrow ones do."""

NEAR_SHARE = 0.4  # Share of the others who sit near the camera. The rest stand farther away.

UPPER_ARM, FOREARM = 0.53, 0.46  # In arm lengths; together a little less than a stretched arm

SIDES = np.array([-1.0, 1.0])  # Image direction of each arm's `out`: right arm, left arm


class Limbs(NamedTuple):
    """The pose of arms, trunk and head at T moments. Poses can be blended: all values are vectors."""

    wrist: Array  # float64 [T, 2, 3], from the shoulder, in arm lengths, (out, up, forward)
    elbow: Array  # float64 [T, 2, 3], direction the elbow points to, any length
    hand: Array  # float64 [T, 2, 3], added to the forearm's direction to give the hand's
    trunk: Array  # float64 [T, 3], how far it is from its place: x to the right, y down, yaw in radians
    head: Array  # float64 [T, 2], how far the head is from its place on the trunk: x, y
    feet: Array  # float64 [T, 2], how far each foot is lifted

    def part(self, first: int, last: int | None = None) -> Limbs:
        """Return the moments from ``first`` up to, but not including, ``last``."""
        return Limbs(*[each[first:last] for each in self])

    def blended(self, other: Limbs, share: Array, bend: Array | None = None) -> Limbs:
        """Return the mean of this pose and ``other``, weighted by ``share`` [T]: 0 is this pose, 1 the other.

        Halfway, each wrist is off the straight line by ``bend`` [2, 3] (out, up, forward), in parts of its length.
        """
        parts = []
        for one, two in zip(self, other, strict=True):
            weight = share.reshape(-1, *[1] * (one.ndim - 1))
            parts.append(one + weight * (two - one))
        limbs = Limbs(*parts)
        if bend is None:
            return limbs
        far = np.linalg.norm(other.wrist - self.wrist, axis=-1, keepdims=True)
        return limbs._replace(wrist=limbs.wrist + (4 * share * (1 - share))[:, None, None] * far * bend)

    def turned(self, other: Limbs, share: Array, early: float) -> Limbs:
        """Return the pose on the way to ``other`` as joints turn there: each bone by the shortest way.

        The upper arm is at share^``early`` [T], and the forearm at share^(1/``early``).
        """
        (upper, fore), (to_upper, to_fore) = self._bones(), other._bones()
        upper = _between(upper, to_upper, share**early)
        fore = _between(fore, to_fore, share ** (1 / early))
        return self.blended(other, share)._replace(wrist=UPPER_ARM * upper + FOREARM * fore, elbow=upper)

    def _bones(self) -> tuple[Array, Array]:
        """Return the directions [T, 2, 3] of upper arm and forearm, by inverse kinematics as in `joints`."""
        elbow, wrist = _reached(self, UPPER_ARM, FOREARM, 1.0, 0.02)
        return unit(elbow), unit(wrist - elbow)


@dataclass(frozen=True)
class Body:
    """One person in front of the camera.

    Luminances (skin, hair, shirt, wall) are linear, 0..1. Sleeves cover the share ``sleeve`` of the arm from the
    shoulder. ``palm`` and ``finger`` are radii in hand lengths. ``leg`` is 0 for a trunk down to the picture's edge.
    """

    centre_x: float
    shoulder_y: float
    half_shoulders: float
    upper_arm: float
    forearm: float
    hand: float
    palm: float
    finger: float
    arm_radius: float
    wrist_radius: float
    head_radius: float
    distance: float
    roll: float
    skin: float
    hair: float
    shirt: float
    sleeve: float
    texture: float
    texture_period: float
    shading: float
    light: float
    wall: float
    leg: float = 0.0

    @property
    def arm(self) -> float:
        return self.upper_arm + self.forearm


def minimum_jerk(part: Array) -> Array:
    """Return how much of a movement is done after a ``part`` of its time (Flash and Hogan 1985)."""
    return part**3 * (10 - 15 * part + 6 * part**2)


def log_uniform(rng: Random, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def draw_body(rng: np.random.Generator, breadth: Breadth = "narrow") -> Body:
    """Return a random person. The ranges include those of DVS-Gesture's recordings (shoulders at y 60-82).

    Wide ones may stand so far away that they are seen down to their feet, as in UTD-MHAD.
    """
    size = log_uniform(rng, 0.7, 1.3)  # near or far
    skin = rng.uniform(0.25, 0.75)
    shirt = rng.uniform(0.04, 0.3) if rng.random() < 0.6 else rng.uniform(0.3, 0.9)
    contrast = rng.uniform(0.45, 1.9) * rng.choice([-1, 1], p=[0.7, 0.3])  # of skin and wall, in log units
    wall = float(np.clip(skin * np.exp(contrast), 0.04, 1.0))
    if rng.random() < 0.4:  # a trunk with hardly any contrast, as in real clips
        shirt = float(np.clip(wall * np.exp(rng.normal(0, 0.2)), 0.04, 1.0))
    body = Body(
        centre_x=IMAGE / 2 + rng.uniform(-16, 16),
        shoulder_y=rng.uniform(52, 88),
        half_shoulders=size * rng.uniform(18, 25),
        upper_arm=size * rng.uniform(25, 32),
        forearm=size * rng.uniform(22, 28),
        hand=size * rng.uniform(9, 15),
        palm=rng.uniform(0.34, 0.5),
        finger=rng.uniform(0.18, 0.3),
        arm_radius=size * rng.uniform(4.0, 6.5),
        wrist_radius=size * rng.uniform(2.4, 3.6),
        head_radius=size * rng.uniform(9.5, 12.5),
        distance=rng.uniform(170, 400),
        roll=rng.uniform(-0.08, 0.08),
        skin=skin,
        hair=rng.uniform(0.04, 0.4),
        shirt=shirt,
        sleeve=float(rng.choice([rng.uniform(0.25, 0.5), rng.uniform(0.85, 1.0)])),
        texture=rng.uniform(0.05, 0.6),
        texture_period=rng.uniform(2.0, 8.0),
        shading=rng.uniform(0.1, 0.45),
        light=rng.uniform(0, 2 * np.pi),
        wall=wall,
    )
    if breadth == "narrow" or rng.random() < NARROW_SHARE:
        return body
    return _nearer(body, rng) if rng.random() < NEAR_SHARE else _farther(body, rng)


def _scaled(body: Body, size: float) -> dict[str, float]:
    lengths = ("half_shoulders", "upper_arm", "forearm", "hand", "arm_radius", "wrist_radius", "head_radius")
    return {name: size * getattr(body, name) for name in lengths}


def _nearer(body: Body, rng: np.random.Generator) -> Body:
    """Return the person at a desk's distance from the camera, perhaps with no more than the hands in the picture."""
    size = log_uniform(rng, 1.2, 2.4)
    return replace(
        body, **_scaled(body, size), centre_x=IMAGE / 2 + rng.uniform(-35, 35), shoulder_y=rng.uniform(45, 115)
    )


def _farther(body: Body, rng: np.random.Generator) -> Body:
    """Return the person at another distance, anywhere in the picture, with legs."""
    size = log_uniform(rng, 0.6, 1.12)
    sizes = _scaled(body, size)
    top = 2.4 * sizes["head_radius"]
    return replace(
        body,
        **sizes,
        centre_x=IMAGE / 2 + rng.uniform(-25, 25),
        shoulder_y=rng.uniform(top, max(90, top + 20)) if rng.random() < 0.6 else body.shoulder_y,
        leg=size * 1.6 * body.arm,
    )


def joints(body: Body, limbs: Limbs) -> Array:
    """Return float64 [T, 2, 4, 3]: shoulder, elbow, wrist and fingertip of each arm, (x, y, towards the camera).

    Two-bone inverse kinematics: the elbow lies on a circle, and the point nearest to ``limbs.elbow`` is taken. A
    wrist out of reach is moved nearer.
    """
    elbow, wrist = _reached(limbs, body.upper_arm, body.forearm, body.arm, 0.5)
    fingers = (wrist - elbow) / body.forearm + limbs.hand
    fingers /= np.maximum(np.linalg.norm(fingers, axis=-1, keepdims=True), 1e-9)
    arms = np.stack([np.zeros_like(wrist), elbow, wrist, wrist + body.hand * fingers], axis=2)
    return _in_image(body, limbs, arms)


def _reached(limbs: Limbs, upper_arm: float, forearm: float, arm: float, slack: float) -> tuple[Array, Array]:
    """Return elbow and wrist [T, 2, 3] from the shoulder, in the unit of the lengths, of wrists within reach."""
    reach = limbs.wrist * arm
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    shortest = abs(upper_arm - forearm) + slack
    reached = np.clip(distance, shortest, 0.995 * (upper_arm + forearm))
    direction = reach / np.maximum(distance, 1e-9)
    along = (upper_arm**2 - forearm**2 + reached**2) / (2 * reached)
    aside = np.sqrt(np.maximum(upper_arm**2 - along**2, 0.0))
    bend = limbs.elbow - direction * np.sum(limbs.elbow * direction, axis=-1, keepdims=True)
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-9)
    return along * direction + aside * bend, reached * direction


def unit(vectors: Array) -> Array:
    """Return vectors [..., 3] at length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _between(one: Array, other: Array, share: Array) -> Array:
    """Return unit vectors [T, 2, 3] on the arc between two, at a share [T] of it (Shoemake 1985)."""
    angle = np.arccos(np.clip(np.sum(one * other, axis=-1, keepdims=True), -1, 1))
    share = share[:, None, None]
    return unit(np.sin((1 - share) * angle) * one + np.sin(share * angle) * other + 1e-6 * (one + other))


def _in_image(body: Body, limbs: Limbs, arms: Array) -> Array:
    x = (arms[..., 0] + body.half_shoulders) * SIDES[:, None]
    y, z = -arms[..., 1], arms[..., 2]
    yaw = limbs.trunk[:, 2, None, None]
    turned = x * np.cos(yaw) + z * np.sin(yaw)
    z = z * np.cos(yaw) - x * np.sin(yaw)
    nearer = body.distance / np.maximum(body.distance - z, 0.3 * body.distance)
    turned, y = turned * nearer, y * nearer
    x = turned * np.cos(body.roll) - y * np.sin(body.roll) + body.centre_x + limbs.trunk[:, 0, None, None]
    y = turned * np.sin(body.roll) + y * np.cos(body.roll) + body.shoulder_y + limbs.trunk[:, 1, None, None]
    return np.stack([x, y, z], axis=-1)


def to_and_fro(far: float, speed: float, start: float) -> Callable[[Array], Array]:
    """Return what gives the place, at moments in s, of what goes ``far`` to either side at a constant speed."""
    turn = speed / far * np.pi / 2
    return lambda times_s: far * 2 / np.pi * np.arcsin(np.sin(turn * times_s + start))


@dataclass(frozen=True)
class Beat:
    """The rhythm of a gesture: its ``phase`` in radians at the moments ``times_s`` [T]."""

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


def draw_beat(times_s: Array, rng: Random, fastest_s: float, slowest_s: float) -> Beat:
    """Return a rhythm of random period, log-uniform, that drifts a little from cycle to cycle."""
    period = log_uniform(rng, fastest_s, slowest_s)
    drift = rng.uniform(0, 0.35) * smooth_noise(times_s, rng, (), 0.7 / period)
    return Beat(times_s, 2 * np.pi * times_s / period + rng.uniform(0, 2 * np.pi) + drift)


class Motion(NamedTuple):
    """One way of a movement: its pose, the shortest and longest period in s, and how often it is chosen."""

    pose: Callable[[Beat, Random], Limbs]
    fastest_s: float
    slowest_s: float
    weight: float = 1.0

    def perform(self, times_s: Array, rng: Random) -> tuple[Limbs, Beat]:
        """Return the limbs [T] at ``times_s`` [T], in a random rhythm, and the rhythm."""
        beat = draw_beat(times_s, rng, self.fastest_s, self.slowest_s)
        return self.pose(beat, rng), beat


def one_of(motions: Sequence[Motion], rng: Random) -> Motion:
    weights = np.array([each.weight for each in motions])
    return motions[rng.choice(len(motions), p=weights / weights.sum())]


def resting(beat: Beat, rng: Random) -> Limbs:
    """Return arms that hang, or are folded in front of the body."""
    n = len(beat.times_s)
    wrist = np.empty((n, 2, 3))
    hanging = (rng.uniform(0.02, 0.22), rng.uniform(-0.99, -0.9), rng.uniform(0.02, 0.15))
    folded = (rng.uniform(-0.4, -0.1), rng.uniform(-0.85, -0.6), rng.uniform(0.2, 0.3))
    wrist[:] = hanging if rng.random() < 0.8 else folded
    wrist += rng.normal(0, 0.015, (2, 3))
    elbow = np.tile([0.6, -0.4, -0.6], (n, 2, 1)) + rng.normal(0, 0.15, (2, 3))
    hand = np.tile(rng.normal(0, 0.2, (2, 3)), (n, 1, 1))
    return Limbs(wrist, elbow, hand, np.zeros((n, 3)), np.zeros((n, 2)), np.zeros((n, 2)))


def swung(rng: Random) -> Array:
    """Return how hands leave the straight line on their way up or down (`Limbs.blended`): outwards and forwards."""
    return rng.uniform([-0.05, -0.05, -0.1], [0.35, 0.05, 0.35], (2, 3))


def vectors(*parts: npt.ArrayLike) -> Array:
    return np.stack(np.broadcast_arrays(*[np.asarray(part, float) for part in parts]), axis=-1)


def shaped(phase: Array, rng: Random) -> Array:
    """Return a wave between −1 and 1: a sine, more or less flattened at its ends."""
    flatness = rng.uniform(0.2, 2.2)
    return np.tanh(flatness * np.sin(phase)) / np.tanh(flatness)
