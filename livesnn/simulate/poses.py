"""What all movements are made of: their pulse, slow random movement, arms at rest. Not here: movements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from livesnn.simulate.body import Array, Limbs

RIGHT, LEFT = 0, 1
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


def draw_beat(times_s: Array, rng: Random, fastest_s: float, slowest_s: float) -> Beat:
    """Return a pulse of random period, log-uniform, that drifts a little from cycle to cycle."""
    period = np.exp(rng.uniform(np.log(fastest_s), np.log(slowest_s)))
    drift = rng.uniform(0, 0.35) * smooth_noise(times_s, rng, (), 0.7 / period)
    return Beat(times_s, 2 * np.pi * times_s / period + rng.uniform(0, 2 * np.pi) + drift)


def resting(beat: Beat, rng: Random) -> Limbs:
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


def vectors(*parts: npt.ArrayLike) -> Array:
    """Return [T, 3] of three parts, numbers or [T]."""
    return np.stack(np.broadcast_arrays(*[np.asarray(part, float) for part in parts]), axis=-1)


def shaped(phase: Array, rng: Random) -> Array:
    """Return a wave between −1 and 1 that lingers at its ends or snaps: sin, or a flattened one."""
    flatness = rng.uniform(0.2, 2.2)
    return np.tanh(flatness * np.sin(phase)) / np.tanh(flatness)
